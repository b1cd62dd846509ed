//! `agent add`: a new password, and the configuration that knows it without holding it.

use std::io::Read as _;

use abeyance_wire::postgres::scram::ScramVerifier;

use crate::{args::AgentAddArgs, exit::Failure, output};

/// Random bytes of a made password; 192 bits.
const PASSWORD_BYTES: usize = 24;
/// Shorter ones can be guessed from a stolen verifier.
const PASSWORD_CHARS_MIN: usize = 12;
/// PostgreSQL's clients refuse longer ones.
const PASSWORD_BYTES_MAX: u64 = 1024;
/// PostgreSQL's own bound for names.
const NAME_BYTES_MAX: usize = 63;

/// Prints the password once, and the `[[agent]]` to put into the configuration.
///
/// # Errors
/// When the name or the given password cannot be used.
pub fn agent_add(args: &AgentAddArgs) -> Result<(), Failure> {
    check_name(&args.name)?;
    let given = args.password_stdin.then(read_password).transpose()?;
    let made = given.is_none();
    let password = match given {
        Some(password) => password,
        None => make_password()?,
    };
    let verifier = ScramVerifier::generate(&password)
        .map_err(|error| Failure::Usage(format!("the password cannot be used: {error}")))?;
    if made {
        output::remark(&format!("The password of {}, shown this once:", args.name));
        output::remark(&format!("\n    {password}\n"));
        output::remark("For the configuration:\n");
    }
    output::line(&snippet(args, &verifier));
    Ok(())
}

fn snippet(args: &AgentAddArgs, verifier: &ScramVerifier) -> String {
    let targets: Vec<String> = args.targets.iter().map(|name| quoted(name)).collect();
    let owner = match &args.owner {
        Some(owner) => format!("owner = {}", quoted(owner)),
        None => {
            "# owner = \"...\"  # a [[person]]; never approves this agent's statements".to_owned()
        }
    };
    let comment = if targets.is_empty() {
        "  # name at least one [[target]]"
    } else {
        ""
    };
    format!(
        "[[agent]]\nname = {}\n{owner}\ntargets = [{}]{comment}\nverifier = {}",
        quoted(&args.name),
        targets.join(", "),
        quoted(&verifier.to_string()),
    )
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn check_name(name: &str) -> Result<(), Failure> {
    let good = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name
            .chars()
            .any(|char| char.is_control() || char.is_whitespace());
    if good {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "an agent's name has 1 to {NAME_BYTES_MAX} bytes and no white space"
    )))
}

fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(PASSWORD_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Io(format!("standard input: {error}")))?;
    let password = text.trim_end_matches(['\n', '\r']);
    if text.len() as u64 > PASSWORD_BYTES_MAX || password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(Failure::Usage(format!(
            "a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
        )));
    }
    Ok(password.to_owned())
}

/// Only letters, digits, `-` and `_`: fit for connection strings without quoting.
fn make_password() -> Result<String, Failure> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0_u8; PASSWORD_BYTES * 8 / 6];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Unavailable(format!("no random bytes: {error}")))?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 64)]))
        .collect())
}
