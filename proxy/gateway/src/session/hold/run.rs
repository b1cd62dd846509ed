//! From the approval to the outcome: the permit is claimed, the batch runs, what came of it is reported.

use std::time::Duration;

use abeyance_api::{HoldId, Outcome, WithdrawReason};
use abeyance_wire::postgres::ErrorFields;
use tokio::time::Instant;

use super::{
    super::{
        Session,
        cleared::{Cleared, clear_permitted},
        judge::JudgedBatch,
        relay::Broken,
        turn::{Turn, Wants, turn},
        wording,
    },
    Bound,
    wait::Waited,
};
use crate::error::{SessionError, TargetError};

/// How claiming ended.
pub(super) enum Claim {
    Cleared(Cleared),
    Refused(ErrorFields),
    Over(SessionError),
}

impl Session {
    /// Takes the permit and clears the batch with it. Gives the batch back when it must be refused.
    pub(super) async fn claim(
        &mut self,
        judged: JudgedBatch,
        story: &wording::Story<'_>,
        bound: &Bound,
        rows_cap: Option<u64>,
    ) -> (Claim, Option<Box<JudgedBatch>>) {
        let hold = &story.receipt.id;
        let permit = match self.gateway.claim(hold, bound.binding).await {
            Ok(permit) => permit,
            Err(error) => {
                tracing::warn!(%error, hold = hold.as_str(), "the permit could not be claimed");
                self.gateway.withdraw(hold, WithdrawReason::ClientGone);
                let refused = Claim::Refused(story.not_claimed(&error));
                return (refused, Some(Box::new(judged)));
            }
        };
        // The claim took a moment: a client that left or cancelled meanwhile gets nothing run.
        let nothing_ran = |reason: &str| Outcome::RolledBack {
            reason: format!("{reason}; nothing ran"),
            elapsed: Duration::ZERO,
        };
        if let Some(error) = self.left_meanwhile() {
            self.gateway.report(
                hold,
                nothing_ran("the client left while the approval was claimed"),
            );
            return (Claim::Over(error), None);
        }
        if self.slot.requests.try_recv().is_ok() {
            self.gateway.report(
                hold,
                nothing_ran("the client cancelled while the approval was claimed"),
            );
            return (Claim::Refused(story.cancelled()), Some(Box::new(judged)));
        }
        let binding = self.binding(&judged, bound.manner, bound.defaults.as_deref());
        match clear_permitted(judged, binding, permit, rows_cap) {
            Ok(cleared) => (Claim::Cleared(cleared), None),
            Err(_) => {
                self.gateway
                    .report(hold, nothing_ran("the permit was for another batch"));
                let error = SessionError::Internal("a permit did not cover its batch");
                (Claim::Over(error), None)
            }
        }
    }

    /// Looks at the client's socket once more, without waiting.
    fn left_meanwhile(&mut self) -> Option<SessionError> {
        use futures::FutureExt;
        let wants = Wants {
            client: true,
            unwritten_max: self.gateway.limits.outbox_bytes_max,
        };
        while let Some(happened) = turn(&mut self.client, &mut self.target, wants).now_or_never() {
            match happened {
                Turn::Client | Turn::Drained => {}
                Turn::Target => {
                    if let Err(error) = self.pass_asynchronous() {
                        return Some(error);
                    }
                }
                Turn::ClientGone => return Some(SessionError::ClientGone),
                Turn::TargetGone(_) => return Some(TargetError::Gone.into()),
            }
            if self.client.input.len() > self.gateway.limits.buffered_while_held_bytes_max {
                break;
            }
        }
        match self.client_left() {
            Some(Waited::Over(error, _)) => Some(error),
            _ => None,
        }
    }

    /// Runs the approved batch and reports what came of it.
    pub(super) async fn run_approved(
        &mut self,
        cleared: Cleared,
        hold: &HoldId,
    ) -> Result<(), SessionError> {
        tracing::info!(hold = hold.as_str(), "approved and running");
        let started = Instant::now();
        let (outcome, result) = match self.relay(cleared).await {
            Ok(ran) => (ran.into_outcome(started.elapsed()), Ok(())),
            Err(Broken { error, ran }) if ran.fatal => {
                (ran.into_outcome(started.elapsed()), Err(error))
            }
            Err(Broken { error, .. }) => {
                let reason = format!("the session broke while the batch ran: {}", error.kind());
                (Outcome::Unknown { reason }, Err(error))
            }
        };
        self.gateway.report(hold, outcome);
        result
    }
}
