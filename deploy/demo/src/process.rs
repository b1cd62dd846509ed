//! Child processes that this program started, and nothing else: each is stopped by its own id.

use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

/// Asks the child to end with `signal`, waits, and kills it when it does not.
pub async fn stop(
    name: &str,
    child: &mut Child,
    signal: Signal,
    within: Duration,
) -> anyhow::Result<()> {
    let Some(pid) = child.id() else {
        return Ok(());
    };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.with_context(|| format!("{name} has no process id"))?;
    // It may have ended in the meantime; waiting below settles that.
    let _ = kill_process(pid, signal);
    if tokio::time::timeout(within, child.wait()).await.is_err() {
        child
            .kill()
            .await
            .with_context(|| format!("{name} does not end"))?;
        anyhow::bail!("{name} did not stop within {within:?} and was killed");
    }
    Ok(())
}
