//! Child processes that this program started, and nothing else: each is stopped by its own id,
//! also when the demo is interrupted half-way.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

/// How often a process that was asked to end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A server that ends with this value.
pub struct Server {
    name: &'static str,
    child: Child,
    /// What it takes for a request to end.
    signal: Signal,
    within: Duration,
}

impl Server {
    /// Takes charge of a child.
    pub fn new(name: &'static str, child: Child, signal: Signal, within: Duration) -> Self {
        Self {
            name,
            child,
            signal,
            within,
        }
    }

    /// Whether it ended on its own.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it has ended on its own.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        self.child.wait().await?;
        Ok(())
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.ask();
        match tokio::time::timeout(self.within, self.child.wait()).await {
            Ok(ended) => {
                ended.with_context(|| format!("{} does not end", self.name))?;
                Ok(())
            }
            // Dropping it kills it.
            Err(_) => bail!("{} did not stop within {:?}", self.name, self.within),
        }
    }

    fn ask(&self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It may have ended in the meantime; waiting settles that.
            let _ = kill_process(pid, self.signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ask();
        let deadline = Instant::now() + self.within;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _ = self.child.start_kill();
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
