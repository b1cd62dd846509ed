//! What time does to holds: they expire, and approvals nobody claims lapse.
//!
//! Looks at stored state and closes the gap. A signal only wakes it, a timer repairs lost
//! signals and a clock that was set.

use std::time::Duration;

use abeyance_holds::Event;
use tokio_util::sync::CancellationToken;

use crate::{Approver, StoreError, limits};

/// After a store that did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(crate) async fn run(approver: &Approver, shutdown: CancellationToken) {
    let mut changed = approver.0.signals.holds().subscribe();
    while !shutdown.is_cancelled() {
        changed.mark_unchanged();
        let sleep = match settle_overdue(approver).await {
            Ok(sleep) => sleep,
            Err(error) => {
                tracing::error!(%error, "holds cannot be expired; trying again");
                RETRY_AFTER
            }
        };
        // All arms are cancel-safe.
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = changed.changed() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Ends what time has ended. Returns how long nothing more is due.
async fn settle_overdue(approver: &Approver) -> Result<Duration, StoreError> {
    let inner = &approver.0;
    loop {
        let now = inner.clock.now();
        let overdue = inner.store.holds_overdue(now).await?;
        if overdue.is_empty() {
            let next = inner.store.next_deadline().await?;
            let sleep = next.map_or(limits::REPAIR_EVERY, |next| until(next - now));
            return Ok(sleep.min(limits::REPAIR_EVERY));
        }
        for id in overdue {
            inner.store.hold_step(&id, Event::Tick, now).await?;
        }
    }
}

/// A little past the instant, so that one look is enough.
pub(crate) fn until(wait: chrono::TimeDelta) -> Duration {
    wait.to_std().unwrap_or_default() + Duration::from_millis(2)
}
