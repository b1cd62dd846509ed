//! Waiting for a condition. Never a guess about time: only a bound on patience.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

/// How long a test waits for something that should happen soon. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at a condition: longer the longer it has been waited for, so that looking is never the work.
const POLL: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];

/// Looks at `condition` until it gives a value, for at most [`PATIENCE`].
///
/// # Errors
/// When patience runs out, naming `what`; the condition's own error ends the wait at once.
pub async fn eventually<T, F, Fut>(what: &str, mut condition: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let begin = Instant::now();
    let deadline = begin + PATIENCE;
    loop {
        let looked = tokio::time::timeout_at(deadline, condition())
            .await
            .with_context(|| format!("still waiting for {what} after {PATIENCE:?}"))?;
        if let Some(value) = looked.with_context(|| format!("while waiting for {what}"))? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("still waiting for {what} after {PATIENCE:?}");
        }
        tokio::time::sleep((begin.elapsed() / 4).clamp(POLL[0], POLL[1])).await;
    }
}
