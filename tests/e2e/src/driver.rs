//! The programs under `tests/drivers`, run against any address.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    Database, Process, build_dir,
    postgres::{PASSWORD, User},
    root,
    workspace::locked,
};

/// A driver with a program of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Psql,
    Psycopg,
    Asyncpg,
    Node,
    Jdbc,
}

/// What a program printed.
#[derive(Debug)]
pub struct Printed {
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

impl Driver {
    /// Runs the program in one of its modes: `work`, `held` or `denied`.
    ///
    /// # Errors
    /// When it is not installed or fails.
    pub async fn run(
        self,
        mode: &str,
        port: u16,
        database: &Database,
        user: User,
    ) -> Result<Printed> {
        let mut process = self.start(mode, port, database, user)?;
        let status = process.wait().await?;
        let printed = Printed {
            stdout: process.stdout().finished(),
            stderr: process.stderr().finished(),
        };
        ensure!(
            status.success(),
            "{self:?} {mode} ended with {status}: {printed:#?}"
        );
        Ok(printed)
    }

    /// Starts the program and does not wait for it.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn start(self, mode: &str, port: u16, database: &Database, user: User) -> Result<Process> {
        let mut command = self.command(mode, database)?;
        command
            .env("E2E_HOST", "127.0.0.1")
            .env("E2E_PORT", port.to_string())
            .env("E2E_USER", user.name())
            .env("E2E_PASSWORD", PASSWORD)
            .env("E2E_DATABASE", &database.name);
        libpq(&mut command, port, database, user);
        Process::start(&format!("{self:?}"), &mut command)
    }

    fn command(self, mode: &str, database: &Database) -> Result<Command> {
        let folder = root().join("tests/drivers");
        let mut command = match self {
            Self::Psql => {
                let mut psql = Command::new(database.server().program("psql"));
                psql.args(["-X", "-f"])
                    .arg(folder.join("psql").join(format!("{mode}.sql")));
                return Ok(psql);
            }
            Self::Psycopg | Self::Asyncpg => {
                let name = if self == Self::Psycopg {
                    "psycopg"
                } else {
                    "asyncpg"
                };
                let mut python = Command::new(installed("drivers/venv/bin/python")?);
                python.arg(folder.join(name).join("work.py"));
                python
            }
            Self::Node => node_program("work.js")?,
            Self::Jdbc => {
                let jar = PathBuf::from("/usr/share/java/postgresql.jar");
                ensure!(jar.exists(), "pgjdbc is not installed: run scripts/setup");
                let mut java = Command::new("java");
                java.arg("-cp").arg(jar).arg(folder.join("jdbc/Work.java"));
                java
            }
        };
        command.arg(mode);
        Ok(command)
    }
}

/// A Node.js program of `tests/drivers/node`.
///
/// # Errors
/// When what it needs cannot be installed.
pub fn node_program(name: &str) -> Result<Command> {
    installed("drivers")?;
    let mut node = Command::new("node");
    let program = root().join("tests/drivers/node").join(name);
    node.arg("--no-deprecation").arg(program);
    Ok(node)
}

/// Settings that libpq reads from the environment.
pub fn libpq(command: &mut Command, port: u16, database: &Database, user: User) {
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", port.to_string())
        .env("PGUSER", user.name())
        .env("PGPASSWORD", PASSWORD)
        .env("PGDATABASE", &database.name)
        .env("LC_ALL", "C.UTF-8");
}

/// A file under `build/`, put there by `tests/drivers/setup`.
fn installed(path: &str) -> Result<PathBuf> {
    locked("drivers", || {
        let setup = root().join("tests/drivers/setup");
        let output = Command::new(&setup)
            .output()
            .with_context(|| setup.display().to_string())?;
        ensure!(
            output.status.success(),
            "{}: {}",
            setup.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    })?;
    Ok(build_dir("")?.join(path))
}

impl Printed {
    /// The value a step printed.
    ///
    /// # Errors
    /// When there is no such step.
    pub fn step(&self, name: &str) -> Result<Value> {
        for line in &self.stdout {
            let line: Value = serde_json::from_str(line).with_context(|| line.clone())?;
            if line.get("step").and_then(Value::as_str) == Some(name) {
                return line.get("value").cloned().context("a step has a value");
            }
        }
        anyhow::bail!("no step {name:?} in {:#?} {:#?}", self.stdout, self.stderr)
    }
}
