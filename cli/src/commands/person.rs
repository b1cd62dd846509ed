//! `person token`: a log-in for the console, and the hash the configuration keeps of it.

use abeyance_api::PersonId;
use secrecy::ExposeSecret as _;

use crate::{exit::Failure, output};

/// Prints the token once, and the line for the configuration.
///
/// # Errors
/// When the name cannot be used or the machine gives no random bytes.
pub fn person_token(name: &str) -> Result<(), Failure> {
    let person: PersonId = name
        .parse()
        .map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let (token, hash) = abeyance_approver::new_token()
        .map_err(|error| Failure::Unavailable(format!("no random bytes: {error}")))?;
    output::remark(&format!("The console token of {person}, shown this once:"));
    output::remark(&format!("\n    {}\n", token.expose_secret()));
    output::remark(&format!("For [[person]] {person} in the configuration:\n"));
    output::line(&format!("console_token_hash = \"{hash}\""));
    Ok(())
}
