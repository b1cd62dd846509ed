//! A PostgreSQL server of its own for a test process, and a fresh database for each test.
//!
//! The server logs every statement, so that a test can say what reached the target and what did not.

mod install;
mod template;
mod users;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio_postgres::NoTls;

pub use users::{PASSWORD, User};

use crate::{Process, eventually, scratch_dir};
use install::Install;

/// The database every test's database is cloned from.
const TEMPLATE_DATABASE: &str = "clinic_template";

/// How the proxy's connections for catalogs call themselves.
const CATALOG: &str = "abeyance catalog|";

/// How the log names what the proxy runs on its own account: looking things up, and nothing of a client's.
const OWN: &str = "execute _abeyance";

/// How the proxy asks what the target makes of a statement.
const EXPLAIN: &str = "EXPLAIN (VERBOSE, FORMAT JSON) ";

/// How often a free port may turn out to be taken before the server has it.
const PORT_ATTEMPTS: usize = 5;

/// A running server. Stopped, and its data removed, when the last handle is dropped.
#[derive(Debug)]
pub struct Postgres {
    process: Mutex<Process>,
    folder: TempDir,
    port: u16,
    bin: PathBuf,
}

/// A database nobody else uses.
#[derive(Debug, Clone)]
pub struct Database {
    server: Arc<Postgres>,
    /// Its name; also what the tests call the target.
    pub name: String,
}

impl Postgres {
    /// The server of this test process, started when nobody holds it yet.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub async fn start() -> Result<Arc<Self>> {
        static SHARED: tokio::sync::Mutex<Weak<Postgres>> =
            tokio::sync::Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let fresh = Arc::new(Self::launch().await?);
        *shared = Arc::downgrade(&fresh);
        Ok(fresh)
    }

    /// A server that no other test shares: for tests that stop it.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn launch() -> Result<Self> {
        let install = Install::find()?;
        let folder = scratch_dir()?;
        let data = folder.path().join("data");
        template::copy(&install, &data)?;
        users::certificates(&data)?;
        install.own(folder.path())?;
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            if let Some(process) = launch_on(&install, &data, folder.path(), port).await? {
                return Ok(Self {
                    process: Mutex::new(process),
                    folder,
                    port,
                    bin: install.bin,
                });
            }
        }
        bail!("no free port for PostgreSQL after {PORT_ATTEMPTS} attempts");
    }

    /// A fresh clone of the clinic.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn database(self: &Arc<Self>) -> Result<Database> {
        let name = format!(
            "clinic_{}",
            &uuid::Uuid::new_v4().simple().to_string()[..12]
        );
        let admin = self.admin("postgres").await?;
        admin
            .batch_execute(&format!(
                "CREATE DATABASE {name} TEMPLATE {TEMPLATE_DATABASE}"
            ))
            .await?;
        Ok(Database {
            server: Arc::clone(self),
            name,
        })
    }

    /// The name of a fresh database with nothing in it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn empty_database(&self) -> Result<String> {
        let name = format!("empty_{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let admin = self.admin("postgres").await?;
        let make = format!("CREATE DATABASE {name} TEMPLATE template0");
        admin.batch_execute(&make).await?;
        Ok(name)
    }

    /// The loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the unix-domain socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate that signed the server's, in PEM.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("data").join(users::CA_FILE)
    }

    /// A program of this installation, such as `psql`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Stops the server at once, as a crash would.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn crash(&self) -> Result<()> {
        self.process().signal(Signal::QUIT)
    }

    /// Starts it again on its old port after [`Postgres::crash`].
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&self) -> Result<()> {
        let install = Install::find()?;
        let data = self.folder.path().join("data");
        eventually("the end of PostgreSQL", || {
            let ended = self.process().ended();
            async move { ended }
        })
        .await?;
        let process = launch_on(&install, &data, self.folder.path(), self.port).await?;
        *self.process() = process.context("its port was taken meanwhile")?;
        Ok(())
    }

    async fn admin(&self, database: &str) -> Result<tokio_postgres::Client> {
        let settings = format!(
            "host=127.0.0.1 port={} user=postgres dbname={database}",
            self.port
        );
        let (client, connection) = tokio_postgres::connect(&settings, NoTls).await?;
        detach(async move {
            let _ = connection.await;
        });
        Ok(client)
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_after(&self, lines: usize) -> Vec<String> {
        self.process().stderr().after(lines)
    }
}

impl Database {
    /// The server this database lives in.
    #[must_use]
    pub fn server(&self) -> &Arc<Postgres> {
        &self.server
    }

    /// A superuser's connection, past the proxy.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn admin(&self) -> Result<tokio_postgres::Client> {
        self.server.admin(&self.name).await
    }

    /// The first column of the first row of `query`, as a number.
    ///
    /// # Errors
    /// When the query fails or gives no such row.
    pub async fn number(&self, query: &str) -> Result<i64> {
        let rows = self
            .admin()
            .await?
            .query(&format!("SELECT ({query})::bigint"), &[])
            .await?;
        Ok(rows.first().context("no row")?.try_get(0)?)
    }

    /// Every statement this database was asked to run so far by anybody but the harness, in order.
    /// Without what the proxy looks up on its own account.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn statements(&self) -> Result<Vec<String>> {
        self.statements_after(0).await
    }

    /// The same, without those of the log's first lines.
    ///
    /// # Errors
    /// As [`Database::statements`].
    pub async fn statements_after(&self, lines: usize) -> Result<Vec<String>> {
        Ok(statements_in(&self.log_after(lines).await?, &self.whose()))
    }

    /// How many lines the server has logged so far.
    #[must_use]
    pub fn logged(&self) -> usize {
        self.server.process().stderr().count()
    }

    /// Every statement the proxy had explained so far, without the words that ask for it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn explained(&self) -> Result<Vec<String>> {
        let whose = self.whose();
        let log = self.log_after(0).await?;
        let ours = log.iter().filter(|line| line.contains(&whose));
        let asked = ours.filter_map(|line| line.split_once(EXPLAIN));
        Ok(asked.map(|(_, text)| text.to_owned()).collect())
    }

    fn whose(&self) -> String {
        format!("@{} ", self.name)
    }

    /// What the server has logged until now, without the first lines.
    async fn log_after(&self, lines: usize) -> Result<Vec<String>> {
        let marker = format!("marker {}", uuid::Uuid::new_v4().simple());
        self.admin()
            .await?
            .batch_execute(&format!("SELECT '{marker}'"))
            .await?;
        eventually("the marker in the server's log", || {
            let log = self.server.log_after(lines);
            let marker = marker.clone();
            async move {
                let seen = log.iter().rev().any(|line| line.contains(&marker));
                Ok(seen.then_some(log))
            }
        })
        .await
    }

    /// Fails when any statement containing `text` reached this database.
    ///
    /// # Errors
    /// Naming the statement.
    pub async fn never_saw(&self, text: &str) -> Result<()> {
        let statements = self.statements().await?;
        let hit = statements.iter().find(|line| line.contains(text));
        ensure!(hit.is_none(), "the target was asked to run {hit:?}");
        Ok(())
    }
}

/// The statements in the log of one database. A statement that spans lines stays one.
fn statements_in(log: &[String], whose: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut ours = false;
    for line in log {
        if let Some(rest) = line.strip_prefix('\t') {
            if let (true, Some(last)) = (ours, found.last_mut()) {
                let last: &mut String = last;
                last.push('\n');
                last.push_str(rest);
            }
            continue;
        }
        ours = line.contains(whose) && !line.contains("postgres@") && !line.contains(CATALOG);
        let statement = line.split_once("LOG:  ").and_then(|(_, said)| {
            let (what, text) = said.split_once(": ")?;
            let run = ["statement", "execute", "fastpath"];
            let run = run.iter().any(|begins| what.starts_with(begins));
            (run && !what.starts_with(OWN)).then_some(text)
        });
        match statement {
            Some(text) if ours => found.push(text.to_owned()),
            _ => ours = false,
        }
    }
    found
}

async fn launch_on(
    install: &Install,
    data: &Path,
    sockets: &Path,
    port: u16,
) -> Result<Option<Process>> {
    let mut command = install.command("postgres");
    command.arg("-D").arg(data).arg("-k").arg(sockets);
    for setting in [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        "max_connections=400".into(),
        "fsync=off".into(),
        "full_page_writes=off".into(),
        "wal_level=minimal".into(),
        "max_wal_senders=0".into(),
        "shared_buffers=16MB".into(),
        "jit=off".into(),
        "log_statement=all".into(),
        "log_line_prefix=%m [%p] %a|%u@%d ".into(),
        "log_destination=stderr".into(),
        "logging_collector=off".into(),
        "ssl=on".into(),
        format!("ssl_cert_file={}", users::CERTIFICATE_FILE),
        format!("ssl_key_file={}", users::KEY_FILE),
        "max_prepared_transactions=10".into(),
        "timezone=UTC".into(),
        "log_timezone=UTC".into(),
    ] {
        command.arg("-c").arg(setting);
    }
    let mut process = Process::start("postgres", &mut command)?.stopped_by(Signal::QUIT);
    let up = eventually("PostgreSQL to start", || {
        let ended = process.ended();
        let log = process.stderr().all();
        async move {
            if log
                .iter()
                .any(|line| line.contains("ready to accept connections"))
            {
                return Ok(Some(true));
            }
            if ended?.is_some() {
                ensure!(
                    log.iter().any(|line| line.contains("in use")),
                    "it ended: {log:#?}"
                );
                return Ok(Some(false));
            }
            Ok(None)
        }
    })
    .await?;
    Ok(up.then_some(process))
}

/// A loopback port that was free a moment ago.
///
/// # Errors
/// When the machine has none.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}

/// Runs a connection's driver until its client is dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "ends with its client, inside one test"
)]
pub fn detach(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// Runs a helper program and insists that it succeeds.
fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
