//! The three desks, over the store: here the one that opens holds and gives permits, beneath it those of reviewers
//! and of chats.

mod cards;
mod checks;
mod decision;
mod wording;

use std::time::Duration;

use abeyance_api::{
    BindingDigest, Claimed, DeskError, HoldDesk, HoldId, HoldReceipt, HoldRequest, Outcome,
    Resolution, StatementRecord, TransactionContext, WithdrawReason,
};
use abeyance_holds::Event;
use async_trait::async_trait;
use chrono::TimeDelta;
use tokio::sync::oneshot;
use uuid::Uuid;

use checks::check_request;
pub(crate) use checks::clean_reason;
use wording::asked;

use crate::{
    Approver, escalate, limits,
    overrides::exceptions,
    reconcile::until,
    store::{Coverable, HoldRecord, Instance, NewRecord, Opened, Stepped},
};

/// The reconciler ends an overdue hold; a waiter does it itself only when that did not happen.
const WAITER_GRACE: TimeDelta = TimeDelta::milliseconds(500);

impl Approver {
    /// Opens a hold once per `key`: a caller that lost the answer repeats the call with the same key.
    pub(crate) async fn hold_open_once(
        &self,
        request: HoldRequest,
        key: Uuid,
        instance: Option<Instance>,
    ) -> Result<HoldReceipt, DeskError> {
        let mut new = self.new_record(request, key).await?;
        // A ticket waits for its agent, not for a proxy.
        let waits = instance.filter(|_| !new.request.manner.ticket);
        new.instance = waits.map(|instance| (instance, self.lease_end()));
        let now = self.0.clock.now();
        let record = match self.0.store.hold_open(new, now).await? {
            Opened::New(record) => {
                tracing::info!(hold = %record.id, route = %record.hold.route,
                    agent = %record.request.agent.name, target = %record.request.target.name, "hold opened");
                if let Err(error) = escalate::escalate(self, &record.id).await {
                    tracing::warn!(hold = %record.id, %error, "its first step comes late");
                }
                record
            }
            Opened::Again(record) => record,
            Opened::Crowded => {
                return refused(format!(
                    "{} holds are waiting already; decide some first",
                    limits::PENDING_MAX
                ));
            }
        };
        let again = record.request.manner.ticket || record.hold.terms.by_grant.is_some();
        Ok(HoldReceipt {
            rows_cap: carried_cap(&record),
            resolution: record.hold.resolution.clone().filter(|_| again),
            console_url: self.console_link(&record.id),
            id: record.id,
            expires_at: record.hold.expires_at,
            asked: record.asked,
        })
    }

    async fn new_record(&self, request: HoldRequest, key: Uuid) -> Result<NewRecord, DeskError> {
        check_request(&request)?;
        let roster = self.roster();
        let Some(route) = roster.route(&request.route) else {
            return refused(format!(
                "there is no route {}; add it to the approver's configuration",
                request.route
            ));
        };
        // At its COMMIT a transaction is asked about because it is open.
        let open = request.transaction == TransactionContext::Open && !request.manner.at_commit;
        if open && route.terms.refuse_in_transaction {
            let route = route.name.clone();
            return Err(DeskError::InTransaction { route });
        }
        let timeout = route.terms.timeout(route.timeout, &request);
        let timeout = TimeDelta::from_std(timeout).map_err(|_| DeskError::Refused {
            detail: format!("the timeout of route {} is too long", route.name),
        })?;
        let now = self.0.clock.now();
        let span = (now, now + timeout);
        let exceptions = exceptions(&self.0.store, &roster, now).await?;
        let of = |schedule: &str| exceptions.of(schedule);
        if !roster.quorum_reachable(route, &request.agent, span, of) {
            return refused(format!(
                "route {} needs {} to approve, and has not so many who may for agent {}: its owner \
                 and its actor never do; add reviewers",
                route.name, route.quorum, request.agent.name
            ));
        }
        let asked = asked(&roster, route, &request);
        let mut new = NewRecord {
            request_key: key,
            asked,
            plan: route.plan.clone(),
            terms: route.terms.of(&request),
            coverable: Coverable {
                quorum: route.quorum.clone(),
                grantable: route.terms.grants(&request),
                known: roster.everybody(),
            },
            quorum: route.quorum.clone(),
            expires_at: now + timeout,
            slack_channels: route.slack_channel.iter().cloned().collect(),
            first: None,
            instance: None,
            request,
        };
        new.first = escalate::first(&roster, &exceptions, &new, now);
        Ok(new)
    }

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

    async fn step(&self, id: &HoldId, event: Event) -> Result<Box<HoldRecord>, DeskError> {
        let now = self.0.clock.now();
        done(self.0.store.hold_step(id, event, now).await?)
    }
}

#[async_trait]
impl HoldDesk for Approver {
    /// The caller may go away meanwhile: then the hold is taken back, since nobody knows its id.
    async fn hold_open(&self, request: HoldRequest) -> Result<HoldReceipt, DeskError> {
        let (reply, answer) = oneshot::channel();
        let approver = self.clone();
        self.0.tasks.spawn(async move {
            // A ticket waits for its agent, whatever becomes of the connection.
            let ticket = request.manner.ticket;
            let inside = Some(approver.own_instance());
            let opened = approver
                .hold_open_once(request, Uuid::new_v4(), inside)
                .await;
            if let Err(Ok(receipt)) = reply.send(opened)
                && !ticket
            {
                let reason = WithdrawReason::ClientGone;
                if let Err(error) = approver.hold_withdraw(&receipt.id, reason).await {
                    tracing::warn!(hold = %receipt.id, %error, "an abandoned hold stays until it expires");
                }
            }
        });
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
                Box::pin(self.step(id, Event::Tick)).await?;
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
        self.step(id, Event::Withdraw { reason }).await.map(drop)
    }

    async fn hold_report(&self, id: &HoldId, outcome: Outcome) -> Result<(), DeskError> {
        self.step(id, Event::Report { outcome }).await.map(drop)
    }

    async fn statements_record(&self, records: Vec<StatementRecord>) -> Result<(), DeskError> {
        let now = self.0.clock.now();
        Ok(self.0.store.statements_record(records, now).await?)
    }
}

fn done(stepped: Stepped) -> Result<Box<HoldRecord>, DeskError> {
    match stepped {
        Stepped::Done(record) => Ok(record),
        Stepped::Refused(refusal) => Err(refusal.into()),
        Stepped::NotFound => Err(DeskError::NotFound),
    }
}

/// The cap on rows of an approval that was given earlier: a ticket's, or its grant's.
fn carried_cap(record: &HoldRecord) -> Option<u64> {
    let ticket = record.request.blast.rows_cap;
    let ticket = ticket.filter(|_| record.request.manner.ticket);
    let granted = record.hold.terms.by_grant.as_ref();
    let granted = granted.and_then(|used| used.rows_cap);
    ticket.into_iter().chain(granted).min()
}

fn stopping() -> DeskError {
    DeskError::Unavailable {
        detail: "the approver is stopping".to_owned(),
    }
}

fn refused<T>(detail: String) -> Result<T, DeskError> {
    Err(DeskError::Refused { detail })
}
