//! What proxies ask about a hold they opened.

use std::time::Duration;

use abeyance_api::{
    BindingDigest, Claimed, DeskError, HoldDesk, HoldId, HoldReceipt, HoldRequest, Outcome,
    Resolution, StatementRecord, WithdrawReason,
};
use abeyance_holds::Event;
use async_trait::async_trait;
use chrono::TimeDelta;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{done, refused, stopping};
use crate::{Approver, limits, reconcile::until, store::Instance};

/// The reconciler ends an overdue hold; a waiter does it itself only when that did not happen.
const WAITER_GRACE: TimeDelta = TimeDelta::milliseconds(500);

impl Approver {
    /// Claims once per `key`: only the claimant whose answer was lost may ask again.
    pub(crate) async fn hold_claim_once(
        &self,
        id: &HoldId,
        binding: BindingDigest,
        key: Uuid,
        instance: Option<Instance>,
    ) -> Result<Claimed, DeskError> {
        let now = self.0.clock.now();
        let runs = instance.map(|instance| (instance, self.lease_end()));
        let claim = self.0.store.hold_claim(id, binding, key, runs, now);
        let stepped = claim.await?;
        let record = done(stepped)?;
        let Some(vote) = record.hold.deciding_vote() else {
            return refused("the hold has no deciding vote".to_owned());
        };
        tracing::info!(hold = %id, by = %vote.person.id, "permit claimed");
        Ok(Claimed {
            hold: record.id,
            binding: record.hold.binding,
            vote: vote.clone(),
            at: record.hold.updated_at,
        })
    }

    /// `proxy`: who asks, and may for its own holds.
    pub(crate) async fn hold_withdraw_by(
        &self,
        id: &HoldId,
        reason: WithdrawReason,
        proxy: Option<Instance>,
    ) -> Result<(), DeskError> {
        self.step_of(id, Event::Withdraw { reason }, proxy).await
    }

    pub(crate) async fn hold_report_by(
        &self,
        id: &HoldId,
        outcome: Outcome,
        proxy: Option<Instance>,
    ) -> Result<(), DeskError> {
        self.step_of(id, Event::Report { outcome }, proxy).await
    }

    async fn step_of(
        &self,
        id: &HoldId,
        event: Event,
        proxy: Option<Instance>,
    ) -> Result<(), DeskError> {
        let now = self.0.clock.now();
        let stepped = self.0.store.hold_step_of(id, event, proxy, now);
        done(stepped.await?).map(drop)
    }
}

#[async_trait]
impl HoldDesk for Approver {
    async fn hold_open(&self, request: HoldRequest) -> Result<HoldReceipt, DeskError> {
        let (reply, answer) = oneshot::channel();
        let approver = self.clone();
        self.0
            .tasks
            .spawn(async move { approver.hold_open_inside(request, reply).await });
        answer.await.map_err(|_| stopping())?
    }

    async fn hold_wait(&self, id: &HoldId) -> Result<Resolution, DeskError> {
        let mut waiter = self.0.signals.wait_on(id);
        loop {
            // Nothing of the hold is kept while a thousand wait, nor room for what looks it up.
            let left = {
                let record = Box::pin(self.0.store.hold(id)).await?;
                let hold = record.ok_or(DeskError::NotFound)?.hold;
                if let Some(resolution) = hold.resolution {
                    return Ok(resolution);
                }
                hold.expires_at + WAITER_GRACE - self.0.clock.now()
            };
            if left <= TimeDelta::zero() {
                let now = self.0.clock.now();
                done(Box::pin(self.0.store.hold_step(id, Event::Tick, now)).await?)?;
                continue;
            }
            // Both arms are cancel-safe.
            tokio::select! {
                () = waiter.changed() => {}
                () = tokio::time::sleep(until(left).min(limits::REPAIR_EVERY)) => {}
            }
        }
    }

    /// The caller may go away meanwhile: a permit that reached nobody is written down as unused.
    async fn hold_claim(&self, id: &HoldId, binding: BindingDigest) -> Result<Claimed, DeskError> {
        let (reply, answer) = oneshot::channel();
        let (approver, id) = (self.clone(), id.clone());
        self.0.tasks.spawn(async move {
            let inside = Some(approver.own_instance());
            let claimed = approver
                .hold_claim_once(&id, binding, Uuid::new_v4(), inside)
                .await;
            if let Err(Ok(_unused)) = reply.send(claimed) {
                let outcome = Outcome::RolledBack {
                    reason: "the session ended before it got its permit; nothing ran".to_owned(),
                    elapsed: Duration::ZERO,
                };
                if let Err(error) = approver.hold_report(&id, outcome).await {
                    tracing::warn!(hold = %id, %error, "an unused permit stays without an outcome");
                }
            }
        });
        answer.await.map_err(|_| stopping())?
    }

    async fn hold_withdraw(&self, id: &HoldId, reason: WithdrawReason) -> Result<(), DeskError> {
        let inside = Some(self.own_instance());
        self.hold_withdraw_by(id, reason, inside).await
    }

    async fn hold_report(&self, id: &HoldId, outcome: Outcome) -> Result<(), DeskError> {
        let inside = Some(self.own_instance());
        self.hold_report_by(id, outcome, inside).await
    }

    async fn statements_record(&self, records: Vec<StatementRecord>) -> Result<(), DeskError> {
        let now = self.0.clock.now();
        Ok(self.0.store.statements_record(records, now).await?)
    }
}
