//! psql as an agent runs it: through Abeyance, with nothing but its own password.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{product::Abeyance, say};

/// More lines than any statement of the story prints.
const LINES_MAX: usize = 1000;

/// One psql that runs one statement.
pub struct Psql {
    child: Child,
    lines: watch::Receiver<Vec<String>>,
    readers: JoinSet<()>,
}

/// How a psql ended.
pub struct Ended {
    pub text: String,
    pub succeeded: bool,
}

impl Psql {
    /// Starts it and shows the command.
    pub fn start(product: &Abeyance, sql: &str) -> anyhow::Result<Self> {
        say::line(&format!("  $ psql -c \"{sql}\""));
        let mut child = Command::new("psql")
            .args(["-X", "-v", "VERBOSITY=verbose", "-c", sql])
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", product.proxy.port().to_string())
            .env("PGUSER", product.agent)
            .env("PGPASSWORD", &product.agent_password)
            .env("PGDATABASE", "clinic")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("psql starts")?;
        let (sender, mut receiver) = mpsc::channel(LINES_MAX);
        let (all, lines) = watch::channel(Vec::new());
        let mut readers = JoinSet::new();
        if let Some(out) = child.stdout.take() {
            readers.spawn(forward(out, sender.clone()));
        }
        if let Some(err) = child.stderr.take() {
            readers.spawn(forward(err, sender));
        }
        readers.spawn(async move {
            while let Some(line) = receiver.recv().await {
                say::line(format!("    {line}").trim_end());
                all.send_modify(|lines| lines.push(line));
            }
        });
        Ok(Self {
            child,
            lines,
            readers,
        })
    }

    /// Waits for a line that holds `text`, and returns it.
    pub async fn line_with(&mut self, text: &str, within: Duration) -> anyhow::Result<String> {
        let seen = |lines: &Vec<String>| lines.iter().any(|line| line.contains(text));
        let found = tokio::time::timeout(within, self.lines.wait_for(seen)).await;
        match found {
            Ok(Ok(lines)) => lines
                .iter()
                .find(|line| line.contains(text))
                .cloned()
                .context("the line was just there"),
            Ok(Err(_)) => bail!("psql ended without `{text}`"),
            Err(_) => bail!("psql did not show `{text}` within {within:?}"),
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until it ends.
    pub async fn end(mut self, within: Duration) -> anyhow::Result<Ended> {
        let status = tokio::time::timeout(within, self.child.wait())
            .await
            .with_context(|| format!("psql did not end within {within:?}"))??;
        while self.readers.join_next().await.is_some() {}
        Ok(Ended {
            text: self.lines.borrow().join("\n"),
            succeeded: status.success(),
        })
    }

    /// Kills it, as a crash would.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("psql is killed")
    }
}

async fn forward(from: impl AsyncRead + Unpin, to: mpsc::Sender<String>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if to.send(line).await.is_err() {
            return;
        }
    }
}
