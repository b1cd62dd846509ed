//! The approver as its callers see it.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    Alike, BindingDigest, BulkDecision, BulkOutcome, CardFailure, CardReceipt, CardTask, ChatKind,
    Claimed, DecideError, DecisionRequest, DeskError, HoldId, HoldReceipt, HoldRequest, HoldView,
    LookRequest, NoticeFailure, NoticeTask, Outcome, Resolution, StatementRecord, WithdrawReason,
};

/// What a proxy asks of the approver.
#[async_trait]
pub trait HoldDesk: Send + Sync + 'static {
    /// Makes a hold. When this returns, the hold is durable.
    async fn hold_open(&self, request: HoldRequest) -> Result<HoldReceipt, DeskError>;

    /// Waits until the hold is resolved. Cancel-safe: dropping the future changes nothing.
    /// Bounded by the hold's expiry; implementations repair lost connections themselves and give
    /// up with [`DeskError::Unavailable`] only when the approver stays away.
    async fn hold_wait(&self, id: &HoldId) -> Result<Resolution, DeskError>;

    /// Takes the one permit an approval is good for. Callers use [`crate::Permit::claim`].
    async fn hold_claim(&self, id: &HoldId, binding: BindingDigest) -> Result<Claimed, DeskError>;

    /// Takes a hold back because nobody waits for it any more. Idempotent; on an approved
    /// hold that was not claimed it becomes lapsed.
    async fn hold_withdraw(&self, id: &HoldId, reason: WithdrawReason) -> Result<(), DeskError>;

    /// Reports what happened after the claim. Idempotent for an equal outcome.
    async fn hold_report(&self, id: &HoldId, outcome: Outcome) -> Result<(), DeskError>;

    /// Adds to the log of judged statements; at most [`crate::RECORDS_MAX`] at once. Nobody waits for it, and a desk
    /// without such a log forgets them.
    async fn statements_record(&self, _records: Vec<StatementRecord>) -> Result<(), DeskError> {
        Ok(())
    }
}

/// Which holds to list, newest first.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct HoldFilter {
    /// Only holds that wait for a decision.
    pub pending_only: bool,
    /// At most this many; the server caps it at 500.
    pub limit: u32,
}

/// What reviewers' surfaces ask of the approver.
#[async_trait]
pub trait DecisionDesk: Send + Sync + 'static {
    async fn hold_view(&self, id: &HoldId) -> Result<HoldView, DeskError>;
    async fn hold_list(&self, filter: HoldFilter) -> Result<Vec<HoldView>, DeskError>;
    /// Casts a vote. The server looks the claimant up and authorises them now (invariant 9).
    /// Returns the hold after the vote.
    async fn hold_decide(&self, request: DecisionRequest) -> Result<HoldView, DecideError>;
    /// Decides several holds of one shape, agent and target; each is authorised and recorded by itself.
    async fn holds_decide(&self, _request: BulkDecision) -> Result<Vec<BulkOutcome>, DecideError> {
        Err(DecideError::Invalid {
            detail: "holds are decided one by one here".to_owned(),
        })
    }
    /// A hold and the others that wait and are like it: same shape, agent, target and route.
    async fn holds_alike(&self, _id: &HoldId) -> Result<Alike, DeskError> {
        Ok(Alike::default())
    }
    /// Puts the next step of an escalation off for a bounded time. No vote. Returns the hold as it is then.
    async fn hold_look(&self, _request: LookRequest) -> Result<HoldView, DecideError> {
        Err(DecideError::Invalid {
            detail: "looks cannot be noted here".to_owned(),
        })
    }
}

/// What a chat asks of the approver: which cards are stale, and that it has mended them.
#[async_trait]
pub trait CardDesk: Send + Sync + 'static {
    /// Cards that do not show their hold's latest state and whose retry time has come.
    async fn cards_due(&self, chat: ChatKind, limit: u32) -> Result<Vec<CardTask>, DeskError>;
    /// Notes that delivery of a task's first post is about to begin, so that a crash leaves it in doubt.
    async fn card_begin(&self, task: &CardTask) -> Result<(), DeskError>;
    async fn card_delivered(&self, receipt: CardReceipt) -> Result<(), DeskError>;
    async fn card_failed(&self, failure: CardFailure) -> Result<(), DeskError>;
    /// Notices that were not delivered and whose retry time has come, leased to the caller.
    async fn notices_due(
        &self,
        _chat: ChatKind,
        _limit: u32,
    ) -> Result<Vec<NoticeTask>, DeskError> {
        Ok(Vec::new())
    }
    /// Notes that delivery is about to begin, so that a crash leaves it in doubt.
    async fn notice_begin(&self, _id: Uuid) -> Result<(), DeskError> {
        Ok(())
    }
    async fn notice_delivered(&self, _id: Uuid) -> Result<(), DeskError> {
        Ok(())
    }
    async fn notice_failed(&self, _failure: NoticeFailure) -> Result<(), DeskError> {
        Ok(())
    }
    /// Returns when a card or a notice may have become due, or after `at_most`. A wake-up, not a fact: look again.
    async fn cards_changed(&self, at_most: Duration);
}
