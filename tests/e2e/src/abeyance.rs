//! The binary under test, run as an operator runs it.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{Config, Process, abeyance_binary, eventually, scratch_dir};

/// Which processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Serve,
    Proxy,
    Approver,
}

impl Part {
    fn command(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Proxy => "proxy",
            Self::Approver => "approver",
        }
    }
}

/// A running `abeyance`. Stopped when dropped.
#[derive(Debug)]
pub struct Abeyance {
    process: Process,
    part: Part,
    config: Config,
    approver_url: Option<String>,
    ready: Ready,
    folder: TempDir,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Ready {
    proxy: Option<String>,
    approver: Option<String>,
}

impl Abeyance {
    /// `abeyance serve`.
    ///
    /// # Errors
    /// With what it wrote when it does not start.
    pub async fn serve(config: &Config) -> Result<Self> {
        Self::start(Part::Serve, config.clone(), None, scratch_dir()?).await
    }

    /// `abeyance approver`.
    ///
    /// # Errors
    /// As [`Abeyance::serve`].
    pub async fn approver_only(config: &Config) -> Result<Self> {
        Self::start(Part::Approver, config.clone(), None, scratch_dir()?).await
    }

    /// `abeyance proxy` that asks the approver at `url`.
    ///
    /// # Errors
    /// As [`Abeyance::serve`].
    pub async fn proxy_only(config: &Config, url: &str) -> Result<Self> {
        Self::start(
            Part::Proxy,
            config.clone(),
            Some(url.to_owned()),
            scratch_dir()?,
        )
        .await
    }

    /// `abeyance proxy` that asks several approvers, the first one first.
    ///
    /// # Errors
    /// As [`Abeyance::serve`].
    pub async fn proxy_of(config: &Config, urls: &[&str]) -> Result<Self> {
        let list = serde_json::to_string(urls)?;
        Self::start(Part::Proxy, config.clone(), Some(list), scratch_dir()?).await
    }

    async fn start(
        part: Part,
        config: Config,
        approver_url: Option<String>,
        folder: TempDir,
    ) -> Result<Self> {
        let file = folder.path().join("abeyance.toml");
        std::fs::write(&file, config.to_toml(approver_url.as_deref()))?;
        let (process, ready) = launch(part, &config, folder.path()).await?;
        Ok(Self {
            process,
            part,
            config,
            approver_url,
            ready,
            folder,
        })
    }

    /// `host:port` of the proxy.
    ///
    /// # Errors
    /// When this process runs none.
    pub fn proxy(&self) -> Result<&str> {
        self.ready.proxy.as_deref().context("no proxy runs here")
    }

    /// The proxy's port.
    ///
    /// # Errors
    /// When this process runs none.
    pub fn proxy_port(&self) -> Result<u16> {
        let (_, port) = self.proxy()?.rsplit_once(':').context("host:port")?;
        Ok(port.parse()?)
    }

    /// `http://host:port` of API and console.
    ///
    /// # Errors
    /// When this process runs none.
    pub fn approver_url(&self) -> Result<String> {
        let address = self
            .ready
            .approver
            .as_deref()
            .context("no approver runs here")?;
        Ok(format!("http://{address}"))
    }

    /// The folder with configuration and store.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.process.stderr().all()
    }

    /// Changes the configuration file, as an editor that replaces files does.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn edit(&self, change: impl FnOnce(String) -> String) -> Result<()> {
        let file = self.folder.path().join("abeyance.toml");
        let written = self.folder.path().join("abeyance.toml.new");
        std::fs::write(&written, change(std::fs::read_to_string(&file)?))?;
        Ok(std::fs::rename(written, file)?)
    }

    /// SIGHUP.
    ///
    /// # Errors
    /// When it is gone.
    pub fn hang_up(&mut self) -> Result<()> {
        self.process.signal(Signal::HUP)
    }

    /// Waits until a line of the log says all of `words`.
    ///
    /// # Errors
    /// When none does.
    pub async fn logged(&self, words: &[&str]) -> Result<String> {
        eventually(&format!("a log line with {words:?}"), || {
            let says = |line: &String| words.iter().all(|word| line.contains(word));
            let found = self.log().into_iter().find(says);
            async move { Ok(found) }
        })
        .await
    }

    /// Any signal: SIGSTOP and SIGCONT for a machine that stands still.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&mut self) -> Result<std::process::ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.process.wait().await
    }

    /// Starts the same command on the same store and, so that others find it again, the same ports.
    ///
    /// # Errors
    /// As [`Abeyance::serve`].
    pub async fn restart(&mut self) -> Result<()> {
        if let Some(address) = &self.ready.approver {
            self.config.approver_listen.clone_from(address);
        }
        if let Some(address) = &self.ready.proxy {
            self.config.proxy_listen.clone_from(address);
        }
        let text = self.config.to_toml(self.approver_url.as_deref());
        std::fs::write(self.folder.path().join("abeyance.toml"), text)?;
        (self.process, self.ready) = launch(self.part, &self.config, self.folder.path()).await?;
        Ok(())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }
}

async fn launch(part: Part, config: &Config, folder: &Path) -> Result<(Process, Ready)> {
    let ready_file = folder.join("ready.json");
    let _ = std::fs::remove_file(&ready_file);
    // A full disk comes to the process as an error, not as a signal that kills it.
    let binary = command()?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(binary.get_program());
    for (name, value) in binary.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .arg(part.command())
        .arg("--config")
        .arg(folder.join("abeyance.toml"));
    command
        .arg("--ready-file")
        .arg(&ready_file)
        .current_dir(folder);
    command.envs(config.environment());
    let mut process = Process::start(part.command(), &mut command)?;
    let ready = eventually(&format!("abeyance {} to start", part.command()), || {
        let ended = process.ended();
        let log = process.stderr().all();
        let file = ready_file.clone();
        async move {
            if let Ok(text) = std::fs::read_to_string(&file) {
                return Ok(Some(serde_json::from_str(&text)?));
            }
            if let Some(status) = ended? {
                bail!("it ended with {status}: {}", log.join("\n"));
            }
            Ok(None)
        }
    })
    .await?;
    Ok((process, ready))
}

/// The binary, free of the caller's settings.
///
/// # Errors
/// When it cannot be built.
pub fn command() -> Result<Command> {
    let mut command = Command::new(abeyance_binary()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ABEYANCE_") {
            command.env_remove(name);
        }
    }
    command.env("RUST_BACKTRACE", "1");
    Ok(command)
}

/// Longer than any retry of a proxy that lost its approver.
pub const OUTAGE: Duration = Duration::from_secs(60);
