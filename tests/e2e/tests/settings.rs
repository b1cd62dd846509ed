//! Wrong configurations and stores that cannot be used: everything is said at once, and nothing runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use abeyance_e2e::{
    Abeyance, Config, Postgres, RawClient,
    abeyance::command,
    postgres::{PASSWORD, User},
    root, scratch_dir,
    world::http_client,
};
use anyhow::Result;
use rustix::process::{Pid, Resource, Rlimit};

fn check(text: &str) -> Result<Output> {
    let folder = scratch_dir()?;
    let file = folder.path().join("wrong.toml");
    fs::write(&file, text)?;
    Ok(command()?
        .args(["check-config", "--config"])
        .arg(&file)
        .output()?)
}

/// Ten mistakes, each with the line it is on and a word its message must have.
#[test]
fn ten_mistakes_are_all_reported_at_once() {
    let text = r#"[proxy]
listen = "not an address"
colour = "blue"

[[target]]
name = "clinic"
address = "127.0.0.1:5432"
database = "clinic"
user = "app"
tls = "perhaps"

[[agent]]
name = "bot"
owner = "nobody"
targets = ["clinic", "elsewhere"]
verifier = "SCRAM-SHA-256$oops"

[approver]
listen = "127.0.0.1:0"
store = "abeyance.db"
console_url = "not a url"

[[person]]
name = "ann"
console_token_hash = "md5:123"

[[route]]
name = "dba"
reviewers = ["ann", "ghost"]
timeout = "5 parsecs"

[policy]
default = "hold"
route = "missing"
"#;
    let mistakes = [
        (2, "listen"),
        (3, "colour"),
        (10, "tls"),
        (14, "nobody"),
        (15, "elsewhere"),
        (16, "verifier"),
        (21, "console_url"),
        (25, "console_token_hash"),
        (29, "ghost"),
        (30, "timeout"),
        (34, "missing"),
    ];
    let output = check(text).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    // `error: what is wrong`, ` --> file:line:column`, the line itself, ` = hint`.
    let reports: Vec<&str> = said.split("\nerror: ").collect();
    for (line, word) in mistakes {
        let place = format!("wrong.toml:{line}:");
        let report = reports
            .iter()
            .find(|report| report.contains(&place) && report.contains(word));
        let report =
            report.unwrap_or_else(|| panic!("line {line} ({word}) is not reported:\n{said}"));
        assert!(
            report.contains("\n  = ") || report.contains(" = "),
            "no hint: {report}"
        );
    }
}

#[test]
fn the_example_is_right() {
    let example = root().join("deploy/abeyance.toml");
    let output = command()
        .unwrap()
        .args(["check-config", "--role", "none", "--config"])
        .arg(example)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// `serve` refuses what `check-config` refuses, and listens nowhere.
#[test]
fn a_wrong_configuration_does_not_start() {
    let folder = scratch_dir().unwrap();
    fs::write(folder.path().join("abeyance.toml"), "[proxy]\nlisten = 5\n").unwrap();
    let output = command()
        .unwrap()
        .arg("serve")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let output = command()
        .unwrap()
        .args(["serve", "--config", "absent.toml"])
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(64 | 74)), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("absent.toml"),
        "{output:?}"
    );
}

/// A store that cannot be written stops the start, with the file's name and what to do.
#[tokio::test]
async fn a_read_only_store_does_not_start() {
    let database = Postgres::start().await.unwrap().database().await.unwrap();
    let folder = scratch_dir().unwrap();
    let store = folder.path().join("abeyance.db");
    fs::create_dir(&store).unwrap();
    let mut config = Config::for_database(&database);
    config.store = store.display().to_string();
    let refused = format!("{:#}", Abeyance::serve(&config).await.unwrap_err());
    assert!(refused.contains("abeyance.db"), "{refused}");

    // A file nobody may write. To root every file is writable, so this part needs another account.
    fs::remove_dir(&store).unwrap();
    drop(Abeyance::serve(&config).await.unwrap());
    let file = config.write_to(folder.path()).unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let output = as_somebody_else(&config, &file).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("abeyance.db"), "{said}");
}

/// `abeyance serve` under an account that owns nothing here.
fn as_somebody_else(config: &Config, file: &Path) -> Result<Output> {
    let program = command()?.get_program().to_owned();
    // The build folder may not be open to others: run a copy.
    let copy = scratch_dir()?;
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755))?;
    let binary = copy.path().join("abeyance");
    fs::copy(&program, &binary)?;
    let mut command = Command::new(&binary);
    if rustix::process::geteuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command.arg(&binary);
    }
    command.envs(config.environment());
    Ok(command.args(["serve", "--config"]).arg(file).output()?)
}

/// The disk is full from one moment to the next: what would be held is refused, nothing runs, and
/// when there is room again everything works.
#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let database = Postgres::start().await.unwrap().database().await.unwrap();
    let config = Config::for_database(&database);
    let abeyance = Abeyance::serve(&config).await.unwrap();
    let address = abeyance.proxy().unwrap();
    let mut client = RawClient::log_in(address, User::Scram.name(), &database.name, PASSWORD)
        .await
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(abeyance.id()).unwrap());
    let before = rustix::process::prlimit(
        pid,
        Resource::Fsize,
        Rlimit {
            current: Some(0),
            maximum: None,
        },
    )
    .unwrap();

    let replies = client
        .query("DELETE FROM rooms WHERE floor = 2")
        .await
        .unwrap();
    let error = replies.iter().find(|reply| reply.tag == b'E').unwrap();
    assert_eq!(error.sqlstate().as_deref(), Some("57P03"), "{replies:?}");
    assert!(error.field(b'H').is_some(), "says what to do: {replies:?}");
    assert_eq!(replies.last().unwrap().body.as_ref(), b"I");
    database.never_saw("DELETE").await.unwrap();
    // What needs no decision goes on.
    assert!(
        client
            .query("SELECT 1")
            .await
            .unwrap()
            .iter()
            .any(|reply| reply.tag == b'D')
    );
    let ready = format!("{}/readyz", abeyance.approver_url().unwrap());
    let health = http_client().get(ready).send().await.unwrap();
    assert_eq!(health.status(), 503);

    rustix::process::prlimit(pid, Resource::Fsize, before).unwrap();
    client
        .start_query("DELETE FROM rooms WHERE floor = 2")
        .await
        .unwrap();
    client.until(b'N').await.unwrap();
    database.never_saw("DELETE").await.unwrap();
}
