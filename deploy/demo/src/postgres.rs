//! A scratch PostgreSQL from native binaries, in a folder of its own.
//!
//! `initdb` and `postgres` refuse to run as root, so root runs them as another account.

use std::{
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use tokio::process::Command;

use crate::process::Server;

const SCHEMA: &str = include_str!("../clinic.sql");
const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A running server with the clinic loaded.
pub struct Postgres {
    server: Server,
    socket: PathBuf,
    pub port: u16,
    pub version: String,
    /// The password of `clinic_app`: what only Abeyance gets to know.
    pub app_password: String,
}

impl Postgres {
    /// Makes the server, loads the clinic and waits until it answers.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let bin = find_binaries()?;
        let account = Account::unprivileged()?;
        let home = folder.join("postgres");
        std::fs::create_dir(&home)?;
        account.give(&home)?;
        let data = home.join("data");
        let mut initdb = account.command(&bin.join("initdb"));
        initdb
            .arg("--pgdata")
            .arg(&data)
            .args([
                "--username=postgres",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
            ])
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .stdin(Stdio::null());
        run(initdb, "initdb").await?;

        let port = free_port()?;
        let child = account
            .command(&bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                &format!("port={port}"),
            ])
            .args(["-c", &format!("unix_socket_directories={}", home.display())])
            .args(["-c", "fsync=off", "-c", "log_min_messages=warning"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("postgres.log"))?)
            // Ctrl-C reaches the whole foreground group; the order of stopping is ours.
            .process_group(0)
            .spawn()
            .context("postgres starts")?;
        let server = Server::new("PostgreSQL", child, Signal::INT, STOP_WITHIN);
        let mut database = Self {
            server,
            socket: home,
            port,
            version: String::new(),
            app_password: secret()?,
        };
        database.wait_until_ready(folder).await?;
        database.load().await?;
        database.version = database.ask("SHOW server_version").await?;
        Ok(database)
    }

    async fn wait_until_ready(&mut self, folder: &Path) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + START_WITHIN;
        while self.query("postgres", "SELECT 1").await.is_err() {
            let ended = self.server.has_ended()?;
            if ended || tokio::time::Instant::now() > deadline {
                let log = std::fs::read_to_string(folder.join("postgres.log")).unwrap_or_default();
                bail!("PostgreSQL did not start:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn load(&self) -> anyhow::Result<()> {
        self.query("postgres", "CREATE DATABASE clinic").await?;
        self.query("clinic", SCHEMA).await?;
        let password = format!("ALTER ROLE clinic_app PASSWORD '{}'", self.app_password);
        self.query("clinic", &password).await?;
        Ok(())
    }

    /// Asks the database itself, past Abeyance, as its owner. Returns the first value.
    pub async fn ask(&self, sql: &str) -> anyhow::Result<String> {
        self.query("clinic", sql).await
    }

    async fn query(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new("psql");
        psql.args([
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            database,
        ])
        .arg("-h")
        .arg(&self.socket)
        .args(["-p", &self.port.to_string(), "-c", sql])
        .stdin(Stdio::null());
        run(psql, "psql").await
    }

    /// Stops the server.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }
}

/// Runs to the end and returns what it printed.
async fn run(mut command: Command, name: &str) -> anyhow::Result<String> {
    let output = command
        .output()
        .await
        .with_context(|| format!("{name} cannot be started; run scripts/setup demo"))?;
    if !output.status.success() {
        bail!(
            "{name} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The folder that holds `initdb` and `postgres`: in PATH, else where Debian puts them, newest first.
fn find_binaries() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort_by_key(|folder| std::cmp::Reverse(version_of(folder)));
    folders.extend(versions);
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context("no PostgreSQL server is installed; run scripts/setup demo")
}

fn version_of(folder: &Path) -> u32 {
    let version = folder.parent().and_then(Path::file_name);
    version
        .and_then(|name| name.to_str()?.parse().ok())
        .unwrap_or(0)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// 128 random bits in hex.
pub fn secret() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).context("random bytes")?;
    Ok(hex::encode(bytes))
}

/// Whom the server runs as.
enum Account {
    /// Us; we are not root.
    Own,
    Other {
        user: u32,
        group: u32,
    },
}

impl Account {
    fn unprivileged() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let accounts = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
        let find = |name: &str| {
            accounts.lines().find_map(|line| {
                let mut fields = line.split(':');
                let found = fields.next()? == name;
                let user = fields.nth(1)?.parse().ok()?;
                let group = fields.next()?.parse().ok()?;
                found.then_some(Self::Other { user, group })
            })
        };
        find("postgres")
            .or_else(|| find("nobody"))
            .context("PostgreSQL does not run as root, and there is no account postgres or nobody")
    }

    fn give(&self, folder: &Path) -> anyhow::Result<()> {
        if let Self::Other { user, group } = self {
            chown(folder, Some(*user), Some(*group))?;
        }
        Ok(())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // The caller's folder may be closed to the other account.
        command.current_dir("/");
        if let Self::Other { user, group } = self {
            command.uid(*user).gid(*group);
        }
        command
    }
}
