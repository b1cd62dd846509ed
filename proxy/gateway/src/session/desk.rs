//! What a session asks of the approver beside waiting: claim, withdraw, report.
//!
//! These outlive the session that asked: they run on the gateway's tracker, which shutdown waits for. Each is
//! retried within a bound, and a claim is never dropped half way.

use std::{sync::Arc, time::Duration};

use abeyance_api::{BindingDigest, DeskError, HoldDesk, HoldId, Outcome, Permit, WithdrawReason};
use tokio::time::{Instant, timeout};

use crate::Gateway;

impl Gateway {
    /// Claims a permit. The claim itself is never dropped half way: if it comes too late, that is reported.
    pub(super) async fn claim(
        &self,
        hold: &HoldId,
        binding: BindingDigest,
    ) -> Result<Permit, DeskError> {
        let desk = Arc::clone(&self.desk);
        let id = hold.clone();
        let mut claim = self
            .background
            .spawn(async move { Permit::claim(&*desk, &id, binding).await });
        match timeout(self.limits.claim_timeout, &mut claim).await {
            Ok(Ok(claimed)) => claimed,
            Ok(Err(_)) => Err(DeskError::Unavailable {
                detail: "the claim failed inside the proxy".to_owned(),
            }),
            Err(_) => {
                let desk = Arc::clone(&self.desk);
                let id = hold.clone();
                let limit = self.limits.report_timeout;
                self.background.spawn(async move {
                    if let Ok(Ok(_too_late)) = claim.await {
                        let outcome = Outcome::RolledBack {
                            reason: "the claim was answered too late; nothing ran".to_owned(),
                            elapsed: Duration::ZERO,
                        };
                        report(&*desk, &id, outcome, limit).await;
                    }
                });
                Err(DeskError::Unavailable {
                    detail: "no answer to the claim in time".to_owned(),
                })
            }
        }
    }

    /// Takes a hold back, beside the session.
    pub(super) fn withdraw(&self, hold: &HoldId, reason: WithdrawReason) {
        let desk = Arc::clone(&self.desk);
        let id = hold.clone();
        let limit = self.limits.report_timeout;
        self.background.spawn(async move {
            let attempt = || desk.hold_withdraw(&id, reason);
            retried("withdrawing the hold", &id, limit, attempt).await;
        });
    }

    /// Reports an outcome, beside the session: a report that is lost does not lose the client's result.
    pub(super) fn report(&self, hold: &HoldId, outcome: Outcome) {
        let desk = Arc::clone(&self.desk);
        let id = hold.clone();
        let limit = self.limits.report_timeout;
        self.background
            .spawn(async move { report(&*desk, &id, outcome, limit).await });
    }
}

async fn report(desk: &dyn HoldDesk, hold: &HoldId, outcome: Outcome, limit: Duration) {
    let attempt = || desk.hold_report(hold, outcome.clone());
    retried("reporting the outcome", hold, limit, attempt).await;
}

/// Tries until it works, the desk says it never will, or time is up.
async fn retried<F>(what: &str, hold: &HoldId, limit: Duration, mut attempt: impl FnMut() -> F)
where
    F: Future<Output = Result<(), DeskError>>,
{
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match attempt().await {
            Ok(()) => return,
            Err(error) => error,
        };
        let lasting = !matches!(error, DeskError::Unavailable { .. });
        if lasting || Instant::now() + pause > deadline {
            if matches!(error, DeskError::Conflict { .. }) {
                tracing::debug!(%error, hold = hold.as_str(), what, "the hold has moved on");
            } else {
                tracing::error!(%error, hold = hold.as_str(), what, "gave up");
            }
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
