//! Who lives: keeps this process's own lease, and ends the holds of proxies whose lease ran out.
//!
//! A lease that ran out proves something only to an approver that could have been told: one that ran, and
//! reached its store, for the whole of it. Carries its share of invariant 4: a hold nobody waits for any more
//! gives no permit.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Approver, StoreError, limits};

/// Looks in one lease; a lease survives two beats that were lost.
pub(crate) const BEATS: u32 = 3;

/// Keeps leases until `shutdown`.
pub(crate) async fn run(approver: &Approver, shutdown: CancellationToken) {
    let lease = approver.0.proxy_lease;
    let every = lease / BEATS;
    let mut watch = Watch::default();
    while !shutdown.is_cancelled() {
        let seen = look(approver, &mut watch).await;
        if let Err(error) = seen {
            watch = Watch::default();
            tracing::warn!(%error, "leases cannot be kept; trying again");
        }
        // Both arms are cancel-safe.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

async fn look(approver: &Approver, watch: &mut Watch) -> Result<(), StoreError> {
    let inner = &approver.0;
    let now = inner.clock.now();
    if inner.single_process {
        approver.beat(approver.own_instance()).await?;
    }
    let lapsed = inner.store.instances_lapsed(now).await?;
    if !watch.proves(Instant::now(), inner.proxy_lease) || lapsed.is_empty() {
        return Ok(());
    }
    let ahead = inner.store.clock_ahead(now).await?;
    if ahead.unsigned_abs()
        > limits::CLOCK_SKEW_MAX
            .as_micros()
            .try_into()
            .unwrap_or(u64::MAX)
    {
        tracing::error!(
            ahead_ms = ahead / 1_000,
            "this machine's clock differs from the store's; leases are not judged until it is set right"
        );
        return Ok(());
    }
    for id in lapsed {
        approver.end_instance(id).await?;
    }
    Ok(())
}

impl Approver {
    /// Ends what a proxy left open.
    pub(crate) async fn end_instance(&self, id: uuid::Uuid) -> Result<(), StoreError> {
        loop {
            let ended = self.0.store.instance_end(id, self.0.clock.now()).await?;
            if ended.holds > 0 {
                tracing::warn!(proxy = %id, holds = ended.holds, "a proxy went away; its holds are over");
            }
            if !ended.more {
                return Ok(());
            }
        }
    }

    /// Notes that a proxy lives. Returns how long that is believed.
    pub(crate) async fn beat(
        &self,
        instance: crate::store::Instance,
    ) -> Result<Duration, StoreError> {
        let until = self.lease_end();
        self.0.store.instance_beat(instance, until).await?;
        Ok(self.0.proxy_lease)
    }

    /// When a lease that begins now runs out.
    pub(crate) fn lease_end(&self) -> chrono::DateTime<chrono::Utc> {
        let lease = TimeDelta::from_std(self.0.proxy_lease).unwrap_or(TimeDelta::minutes(1));
        self.0.clock.now() + lease
    }
}

/// How long this approver has been looking without a break.
#[derive(Debug, Default)]
struct Watch {
    since: Option<Instant>,
    last: Option<Instant>,
}

impl Watch {
    /// Notes a look, and says whether looks went on for a whole lease: then every proxy had its chance.
    fn proves(&mut self, now: Instant, lease: Duration) -> bool {
        let unbroken = self
            .last
            .is_some_and(|last| now.duration_since(last) < lease);
        self.last = Some(now);
        if !unbroken {
            self.since = Some(now);
        }
        self.since
            .is_some_and(|since| now.duration_since(since) >= lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unbroken_watch_proves_anything() {
        let lease = Duration::from_secs(30);
        let mut watch = Watch::default();
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        for seconds in [0, 10, 20] {
            assert!(!watch.proves(after(seconds), lease));
        }
        assert!(watch.proves(after(30), lease));
        // The process was stopped, or its store away.
        assert!(!watch.proves(after(70), lease));
    }
}
