//! Holds in the store: make, step, read.

use abeyance_api::{BindingDigest, HoldId, HoldRequest, HoldState};
use abeyance_holds::{
    AuditEvent, Event, Hold, NewHold, Refusal, Terms, escalation::Plan, quorum::Quorum,
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    HoldRecord, Store, StoreError, Told,
    db::sql,
    grants::Coverable,
    instances::{self, Instance},
    record::{load, records},
    row::{hold_id_at, maybe_instant_at, micros, state_at},
};
use crate::limits;

mod open;
mod step;

#[cfg(test)]
pub(super) use open::free_id;
pub(super) use step::{step, step_on, write_down};

/// What a record is made from.
#[derive(Debug, Clone)]
pub(crate) struct NewRecord {
    pub(crate) request_key: Uuid,
    pub(crate) request: HoldRequest,
    pub(crate) asked: String,
    pub(crate) quorum: Quorum,
    pub(crate) plan: Plan,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) terms: Terms,
    /// A grant may cover it.
    pub(crate) coverable: Coverable,
    /// Slack channels that get a card.
    pub(crate) slack_channels: Vec<String>,
    /// The first step, when it is due at once: no card is ever shown without it.
    pub(crate) first: Option<(Event, Told)>,
    /// Who waits, and until when it is believed to.
    pub(crate) instance: Option<(Instance, DateTime<Utc>)>,
}

impl NewRecord {
    /// The hold it makes.
    pub(crate) fn hold(&self, now: DateTime<Utc>) -> (Hold, Vec<AuditEvent>) {
        let request = &self.request;
        let new = NewHold {
            binding: request.binding,
            route: request.route.clone(),
            owner: request.agent.owner.clone(),
            actor: request.agent.actor.clone(),
            plan: self.plan.clone(),
            quorum: self.quorum.clone(),
            terms: self.terms.clone(),
            expires_at: self.expires_at,
            policy_version: request.policy_version.clone(),
        };
        Hold::open(new, now)
    }
}

/// The answer to an open.
#[derive(Debug)]
pub(crate) enum Opened {
    New(HoldRecord),
    /// The same request was opened before; its answer was lost. Or a ticket came back.
    Again(HoldRecord),
    /// As many holds wait as may.
    Crowded,
    /// Whoever asked has taken the opening back meanwhile.
    Closed,
}

/// The answer to a step.
#[derive(Debug)]
pub(crate) enum Stepped {
    Done(Box<HoldRecord>),
    Refused(Refusal),
    /// It is another proxy's.
    Foreign,
    NotFound,
}

impl Store {
    pub(crate) async fn hold_open(
        &self,
        new: NewRecord,
        now: DateTime<Utc>,
    ) -> Result<Opened, StoreError> {
        self.writer
            .write(move |scope| Box::pin(open::open(scope, new, now)))
            .await
    }

    /// Applies `event`, after whatever time has done to the hold already.
    pub(crate) async fn hold_step(
        &self,
        id: &HoldId,
        event: Event,
        now: DateTime<Utc>,
    ) -> Result<Stepped, StoreError> {
        let id = id.clone();
        self.writer
            .write(move |scope| Box::pin(async move { step(scope, &id, event, None, now).await }))
            .await
    }

    /// The same for what `proxy` says of a hold that has to be its own.
    pub(crate) async fn hold_step_of(
        &self,
        id: &HoldId,
        event: Event,
        proxy: Option<Instance>,
        now: DateTime<Utc>,
    ) -> Result<Stepped, StoreError> {
        let id = id.clone();
        self.writer
            .write(move |scope| {
                Box::pin(async move {
                    if step::is_foreign(scope, &id, &event, proxy, now).await? {
                        return Ok(Stepped::Foreign);
                    }
                    step(scope, &id, event, None, now).await
                })
            })
            .await
    }

    /// A claim; `key` lets its owner repeat it when the answer was lost. Whoever claims runs the batch: from then on
    /// the hold is that instance's.
    pub(crate) async fn hold_claim(
        &self,
        id: &HoldId,
        binding: BindingDigest,
        key: Uuid,
        runs: Option<(Instance, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) -> Result<Stepped, StoreError> {
        let id = id.clone();
        self.writer
            .write(move |scope| {
                Box::pin(async move {
                    let proxy = runs.map(|(instance, _)| instance);
                    let event = Event::Claim { binding };
                    if step::is_foreign(scope, &id, &event, proxy, now).await? {
                        return Ok(Stepped::Foreign);
                    }
                    let stepped = step::claim(scope, &id, binding, key.to_string(), now).await?;
                    if let (Stepped::Done(_), Some((instance, until))) = (&stepped, runs) {
                        instances::takes(&mut scope.conn, instance, until, &id).await?;
                    }
                    Ok(stepped)
                })
            })
            .await
    }

    pub(crate) async fn hold(&self, id: &HoldId) -> Result<Option<HoldRecord>, StoreError> {
        let mut conn = self.reader().await?;
        load(&mut conn, id).await
    }

    /// Newest first. `before` is the last one of the page before.
    pub(crate) async fn holds(
        &self,
        pending_only: bool,
        before: Option<&HoldId>,
        limit: u32,
    ) -> Result<Vec<HoldRecord>, StoreError> {
        let rows = match (pending_only, before) {
            (true, _) => sql(
                "SELECT * FROM hold WHERE state = 'pending' ORDER BY created_at DESC, id LIMIT $1",
            ),
            (false, None) => sql("SELECT * FROM hold ORDER BY created_at DESC, id LIMIT $1"),
            (false, Some(before)) => {
                sql("SELECT hold.* FROM hold JOIN hold AS last ON last.id = $1
                 WHERE hold.created_at < last.created_at
                    OR (hold.created_at = last.created_at AND hold.id > last.id)
                 ORDER BY hold.created_at DESC, hold.id LIMIT $2")
                .bind(before.as_str())
            }
        };
        let mut conn = self.reader().await?;
        let rows = rows.bind(limit).fetch_all(&mut conn).await?;
        records(&mut conn, &rows).await
    }

    /// Holds that are not over, and of which nobody said who waits.
    pub(crate) async fn holds_unleased(&self) -> Result<Vec<(HoldId, HoldState)>, StoreError> {
        let rows = sql("SELECT id, state FROM hold
             WHERE state IN ('pending', 'approved', 'claimed') AND instance IS NULL")
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter()
            .map(|row| Ok((hold_id_at(row, "id")?, state_at(row, "state")?)))
            .collect()
    }

    /// Holds that time has ended.
    pub(crate) async fn holds_overdue(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<HoldId>, StoreError> {
        let rows = sql(
            "SELECT id FROM hold WHERE deadline_at IS NOT NULL AND deadline_at <= $1
             ORDER BY deadline_at LIMIT $2",
        )
        .bind(micros(now))
        .bind(limits::EXPIRE_BATCH)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(|row| hold_id_at(row, "id")).collect()
    }

    /// When time will end the next one.
    pub(crate) async fn next_deadline(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let row = sql("SELECT min(deadline_at) AS next FROM hold WHERE deadline_at IS NOT NULL")
            .fetch_one(&mut self.reader().await?)
            .await?;
        maybe_instant_at(&row, "next")
    }
}
