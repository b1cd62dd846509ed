//! Abeyance as its users run it: a binary, a configuration file, secrets in the environment.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    Args,
    chat::Chat,
    postgres::{Postgres, secret},
    process::Server,
};

const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const AGENT: &str = "billing-bot";
/// Lines of the log that help when something went wrong.
const LOG_LINES: usize = 30;

/// A running `abeyance serve`.
pub struct Abeyance {
    server: Server,
    log: PathBuf,
    /// What runs it, and what it was made to read.
    pub binary: PathBuf,
    pub config: PathBuf,
    pub agent: &'static str,
    pub agent_password: String,
    /// Bob's log-in to the console.
    pub console_token: String,
    pub proxy: SocketAddr,
    pub console: SocketAddr,
}

/// The ready file of `abeyance serve`.
#[derive(Deserialize)]
struct Ready {
    proxy: SocketAddr,
    approver: SocketAddr,
}

impl Abeyance {
    /// Writes the configuration, starts the binary and waits until it listens.
    pub async fn start(
        folder: &Path,
        args: &Args,
        database: &Postgres,
        chat: &Chat,
    ) -> anyhow::Result<Self> {
        let binary = find_binary(args)?;
        let agent_password = secret()?;
        let agent = agent_entry(&binary, &agent_password).await?;
        let (console_token, token_hash) = person_token(&binary).await?;
        let (port, console_port) = if args.scripted {
            (0, free_or_any(0)?)
        } else {
            (free_or_any(args.port)?, free_or_any(args.console_port)?)
        };
        let config = Configuration {
            port,
            console_port,
            database_port: database.port,
            agent: &agent,
            token_hash: &token_hash,
            chat,
        };
        let file = folder.join("abeyance.toml");
        std::fs::write(&file, config.to_toml())?;
        let (ready_file, log) = (folder.join("ready.json"), folder.join("abeyance.log"));
        let child = Command::new(&binary)
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .arg("--ready-file")
            .arg(&ready_file)
            .env("CLINIC_PASSWORD", &database.app_password)
            .envs(chat.tokens())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            // Ctrl-C reaches the whole foreground group; the order of stopping is ours.
            .process_group(0)
            .spawn()
            .context("abeyance starts")?;
        let mut server = Server::new("abeyance", child, Signal::TERM, STOP_WITHIN);
        let ready = wait_until_ready(&mut server, &ready_file, &log).await?;
        Ok(Self {
            server,
            log,
            binary,
            config: file,
            agent: AGENT,
            agent_password,
            console_token,
            proxy: ready.proxy,
            console: ready.approver,
        })
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Waits until it has ended on its own.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        self.server.ended().await
    }

    /// Stops it as a service manager would.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }
}

fn tail(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// Both binaries are built into the same folder.
fn find_binary(args: &Args) -> anyhow::Result<PathBuf> {
    if let Some(given) = &args.abeyance {
        return Ok(given.clone());
    }
    let beside = std::env::current_exe()?.with_file_name("abeyance");
    if !beside.is_file() {
        bail!("{} is not there; run `make demo`", beside.display());
    }
    Ok(beside)
}

async fn wait_until_ready(server: &mut Server, file: &Path, log: &Path) -> anyhow::Result<Ready> {
    let deadline = tokio::time::Instant::now() + START_WITHIN;
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            return serde_json::from_str(&text).context("the ready file");
        }
        if server.has_ended()? || tokio::time::Instant::now() > deadline {
            bail!("abeyance did not start:\n{}", tail(log));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `abeyance agent add`, with a password of ours so that it can be shown again.
async fn agent_entry(binary: &Path, password: &str) -> anyhow::Result<String> {
    let mut child = Command::new(binary)
        .args([
            "agent", "add", AGENT, "--owner", "ann", "--target", "clinic",
        ])
        .arg("--password-stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("abeyance agent add")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(password.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!("abeyance agent add failed");
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// `abeyance person token`: the token is on standard error, the hash on standard output.
async fn person_token(binary: &Path) -> anyhow::Result<(String, String)> {
    let output = Command::new(binary)
        .args(["person", "token", "bob"])
        .output()
        .await
        .context("abeyance person token")?;
    let shown = String::from_utf8(output.stderr)?;
    let token = shown
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("abp_"))
        .context("abeyance person token shows a token")?;
    Ok((token.to_owned(), String::from_utf8(output.stdout)?))
}

/// The port when it is free, else any other.
fn free_or_any(port: u16) -> anyhow::Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", port)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}

/// What the demo's configuration file is made of.
struct Configuration<'a> {
    port: u16,
    console_port: u16,
    database_port: u16,
    agent: &'a str,
    token_hash: &'a str,
    chat: &'a Chat,
}

impl Configuration<'_> {
    fn to_toml(&self) -> String {
        let Self {
            port,
            console_port,
            database_port,
            agent,
            token_hash,
            chat,
        } = self;
        let owner = chat
            .owner
            .as_ref()
            .map_or(String::new(), |user| format!("slack = \"{user}\""));
        let api_url = chat
            .api_url()
            .map_or(String::new(), |url| format!("api_url = \"{url}\""));
        let (channel, reviewer) = (&chat.channel, &chat.reviewer);
        format!(
            r#"# Made by the demo; ends with it.

[proxy]
listen = "127.0.0.1:{port}"

[[target]]
name = "clinic"
address = "127.0.0.1:{database_port}"
database = "clinic"
user = "clinic_app"
password = {{ env = "CLINIC_PASSWORD" }}
tls = "disable"
environment = "demo"

{agent}
[approver]
listen = "127.0.0.1:{console_port}"
store = "abeyance.db"
console_url = "http://127.0.0.1:{console_port}"

[[person]]
name = "ann"
display_name = "Ann"
{owner}

[[person]]
name = "bob"
display_name = "Bob"
slack = "{reviewer}"
{token_hash}
[[route]]
name = "dba"
reviewers = ["ann", "bob"]
timeout = "2m"
slack_channel = "{channel}"

[[route]]
name = "quick"
reviewers = ["bob"]
timeout = "4s"
slack_channel = "{channel}"

[slack]
mode = "socket"
bot_token = {{ env = "SLACK_BOT_TOKEN" }}
app_token = {{ env = "SLACK_APP_TOKEN" }}
{api_url}

[policy]
default = "hold"
route = "dba"

[[rule]]
name = "reads-pass"
class = ["read", "session", "transaction"]
verdict = "allow"

[[rule]]
name = "writes-are-asked"
kind = ["INSERT", "UPDATE", "DELETE", "MERGE"]
verdict = "hold"
route = "dba"

[[rule]]
name = "truncate-is-asked-quickly"
kind = ["TRUNCATE"]
verdict = "hold"
route = "quick"
message = "empties whole tables"

[[rule]]
name = "no-server-files"
kind = ["COPY PROGRAM", "COPY FILE"]
verdict = "deny"
message = "reads or writes files or programs on the database server"
"#
        )
    }
}
