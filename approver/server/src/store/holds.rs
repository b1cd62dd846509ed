//! Holds in the store: make, step, read.

use abeyance_api::{BindingDigest, Decision, HoldId, HoldRequest, HoldState, Outcome};
use abeyance_holds::{
    AuditEvent, Event, Hold, NewHold, Refusal, Terms, escalation::Plan, quorum::Quorum, transition,
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    HoldRecord, Store, StoreError, Told,
    db::{Conn, sql},
    events,
    grants::{self, Coverable},
    instances::{self, Instance},
    lookups, openings,
    record::{load, record, votes},
    row::{count_at, hold_id_at, json, maybe_instant_at, micros, state_at, to_i64},
    writer::Scope,
};
use crate::{limits, signals::Touched};

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
    NotFound,
}

impl Store {
    pub(crate) async fn hold_open(
        &self,
        new: NewRecord,
        now: DateTime<Utc>,
    ) -> Result<Opened, StoreError> {
        self.writer
            .write(move |scope| Box::pin(open(scope, new, now)))
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
                    let stepped = claim(scope, &id, binding, key.to_string(), now).await?;
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
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            let id = hold_id_at(&row, "id")?;
            let votes = votes(&mut conn, &id).await?;
            records.push(record(&row, votes)?);
        }
        Ok(records)
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

async fn open(scope: &mut Scope, new: NewRecord, now: DateTime<Utc>) -> Result<Opened, StoreError> {
    let key = new.request_key.to_string();
    if openings::is_closed(&mut scope.conn, &key).await? {
        return Ok(Opened::Closed);
    }
    let earlier = sql("SELECT id FROM hold WHERE request_key = $1")
        .bind(&key)
        .fetch_optional(&mut scope.conn)
        .await?;
    if let Some(earlier) = earlier {
        let id = hold_id_at(&earlier, "id")?;
        let record = load(&mut scope.conn, &id).await?;
        return record
            .map(Opened::Again)
            .ok_or_else(|| StoreError::unreadable("a hold"));
    }
    if let Some(ticket) = ticket_of(&mut scope.conn, &new.request, now).await? {
        return Ok(Opened::Again(ticket));
    }
    let pending = sql("SELECT count(*) AS pending FROM hold WHERE state = 'pending'")
        .fetch_one(&mut scope.conn)
        .await?;
    if count_at(&pending, "pending")? >= u64::from(limits::PENDING_MAX) {
        return Ok(Opened::Crowded);
    }
    let (hold, events) = new.hold(now);
    let mut record = HoldRecord {
        id: free_id(&mut scope.conn, getrandom::fill).await?,
        hold,
        request: new.request,
        asked: new.asked,
        grant: None,
        claim_key: None,
    };
    if let Some((instance, until)) = new.instance {
        instances::beat(&mut scope.conn, instance, until).await?;
    }
    // A ticket waits for its agent, whatever becomes of the proxy that asked.
    let asks = new.instance.filter(|_| !record.hold.terms.ticket);
    let waits = asks.map(|(instance, _)| instance.id.to_string());
    insert(scope, &record, &key, waits).await?;
    super::steps::save(&mut scope.conn, &record).await?;
    write_down(scope, &record, &events, now).await?;
    if let Some((hold, events)) = grants::cover(scope, &record, &new.coverable, now).await? {
        // Nobody is asked, and no card made: that of the hold which gave the grant says so.
        save(scope, &mut record, hold, &events, now).await?;
        return Ok(Opened::New(record));
    }
    lookups::company_changed(scope, &record).await?;
    for channel in &new.slack_channels {
        super::cards::insert(&mut scope.conn, &record, channel, now).await?;
    }
    if let Some((event, told)) = new.first {
        let stepped = super::steps::ask(scope, &record.id, event, told, now).await?;
        if let Stepped::Done(asked) = stepped {
            record = *asked;
        }
    }
    Ok(Opened::New(record))
}

/// The hold of a ticket that came back: one that waits, one that was approved and not used, or one that was denied
/// and would still be waiting. Anything else is asked anew.
async fn ticket_of(
    conn: &mut Conn,
    request: &HoldRequest,
    now: DateTime<Utc>,
) -> Result<Option<HoldRecord>, StoreError> {
    if !request.manner.ticket {
        return Ok(None);
    }
    let row = sql("SELECT id FROM hold WHERE binding = $1 ORDER BY created_at DESC, id LIMIT 1")
        .bind(request.binding.to_string())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let Some(record) = load(conn, &hold_id_at(&row, "id")?).await? else {
        return Ok(None);
    };
    let hold = &record.hold;
    let same = hold.terms.ticket
        && record.request.agent.name == request.agent.name
        && record.request.target.name == request.target.name
        && record.request.route == request.route;
    let stands = match hold.state_at(now) {
        HoldState::Pending | HoldState::Approved => true,
        HoldState::Denied => now < hold.expires_at,
        HoldState::Claimed
        | HoldState::Expired
        | HoldState::Withdrawn
        | HoldState::Lapsed
        | HoldState::Executed
        | HoldState::Failed
        | HoldState::RolledBack => false,
    };
    Ok((same && stands).then_some(record))
}

/// An id nobody has, four characters when there is room, longer when it is crowded.
pub(super) async fn free_id(
    conn: &mut Conn,
    fill: fn(&mut [u8]) -> Result<(), getrandom::Error>,
) -> Result<HoldId, StoreError> {
    for length in limits::ID_LENGTHS {
        for _ in 0..limits::ID_TRIES {
            let mut entropy = vec![0_u8; length];
            fill(&mut entropy)
                .map_err(|error| StoreError::Other(format!("no randomness: {error}")))?;
            let id = HoldId::from_entropy(&entropy)
                .map_err(|error| StoreError::Other(error.to_string()))?;
            let taken = sql("SELECT 1 FROM hold WHERE id = $1").bind(id.as_str());
            if !taken.exists(conn).await? {
                return Ok(id);
            }
        }
    }
    Err(StoreError::Other("no free hold id".to_owned()))
}

pub(super) async fn step(
    scope: &mut Scope,
    id: &HoldId,
    event: Event,
    claim_key: Option<String>,
    now: DateTime<Utc>,
) -> Result<Stepped, StoreError> {
    let Some(mut record) = load(&mut scope.conn, id).await? else {
        return Ok(Stepped::NotFound);
    };
    if record.hold.is_overdue(now) {
        let (hold, events) = transition(&record.hold, Event::Tick, now)
            .map_err(|refusal| StoreError::Other(refusal.to_string()))?;
        save(scope, &mut record, hold, &events, now).await?;
    }
    match transition(&record.hold, event.clone(), now) {
        Ok((hold, events)) => {
            if hold.state == HoldState::Claimed && record.claim_key.is_none() {
                record.claim_key = claim_key;
            }
            save(scope, &mut record, hold, &events, now).await?;
            Ok(Stepped::Done(Box::new(record)))
        }
        Err(refusal) => {
            if let Some(late) = late(&event, &record.hold) {
                events::append_late(&mut scope.conn, &record, &late, now).await?;
                scope.touch(Touched::Hold(record.id.clone()));
                return Ok(Stepped::Done(Box::new(record)));
            }
            if let Some(attempt) = attempt(event, &refusal) {
                events::append_refusal(&mut scope.conn, &record, &attempt, now).await?;
            }
            Ok(Stepped::Refused(refusal))
        }
    }
}

/// A proxy that was given up comes back and says what nobody knew. The hold stays as people saw it end.
fn late(event: &Event, hold: &Hold) -> Option<AuditEvent> {
    let Event::Report { outcome } = event else {
        return None;
    };
    let unknown = |outcome: &Outcome| matches!(outcome, Outcome::Unknown { .. });
    let ended_unknown = hold.outcome.as_ref().is_some_and(unknown);
    (ended_unknown && !unknown(outcome)).then(|| AuditEvent::ReportedLate {
        outcome: outcome.clone(),
    })
}

async fn claim(
    scope: &mut Scope,
    id: &HoldId,
    binding: BindingDigest,
    key: String,
    now: DateTime<Utc>,
) -> Result<Stepped, StoreError> {
    if let Some(record) = load(&mut scope.conn, id).await?
        && record.hold.state == HoldState::Claimed
        && record.hold.binding == binding
        && record.claim_key.as_ref() == Some(&key)
    {
        return Ok(Stepped::Done(Box::new(record)));
    }
    step(scope, id, Event::Claim { binding }, Some(key), now).await
}

/// Attempts by people and proxies that had no right are written down although nothing changed.
fn attempt(event: Event, refusal: &Refusal) -> Option<AuditEvent> {
    match (event, refusal) {
        (Event::Vote(ballot), Refusal::OwnAgent | Refusal::NotAReviewer { .. }) => {
            Some(AuditEvent::VoteRefused {
                person: ballot.person,
                decision: ballot.decision,
                surface: ballot.surface,
                why: refusal.to_string(),
            })
        }
        (Event::BreakGlass(glass), Refusal::OwnAgent | Refusal::NoBreakGlass { .. }) => {
            Some(AuditEvent::VoteRefused {
                person: glass.person,
                decision: Decision::Approve,
                surface: glass.surface,
                why: refusal.to_string(),
            })
        }
        (Event::Claim { binding }, Refusal::BindingMismatch) => {
            Some(AuditEvent::ClaimRefused { presented: binding })
        }
        _ => None,
    }
}

async fn save(
    scope: &mut Scope,
    record: &mut HoldRecord,
    next: Hold,
    events: &[AuditEvent],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if next == record.hold {
        return Ok(());
    }
    let before = std::mem::replace(&mut record.hold, next);
    let hold = &record.hold;
    let updated = sql(
        "UPDATE hold SET version = $1, state = $2, updated_at = $3, claimable_until = $4, deadline_at = $5,
                resolution = $6, resolved_at = $7, outcome = $8, claim_key = $9, terms = $10
         WHERE id = $11 AND version = $12",
    )
    .bind(to_i64(hold.version))
    .bind(hold.state.as_str())
    .bind(micros(hold.updated_at))
    .bind(hold.claimable_until.map(micros))
    .bind(hold.deadline().map(micros))
    .bind(hold.resolution.as_ref().map(json).transpose()?)
    .bind(hold.resolved_at.map(micros))
    .bind(hold.outcome.as_ref().map(json).transpose()?)
    .bind(record.claim_key.as_deref())
    .bind(json(&hold.terms)?)
    .bind(record.id.as_str())
    .bind(to_i64(before.version))
    .execute(&mut scope.conn)
    .await?;
    if updated != 1 {
        return Err(StoreError::Other("the hold changed meanwhile".to_owned()));
    }
    if hold.escalation != before.escalation || hold.step_at() != before.step_at() {
        super::steps::save(&mut scope.conn, record).await?;
    }
    if hold.votes != before.votes {
        save_votes(&mut scope.conn, record).await?;
    }
    super::cards::want(&mut scope.conn, &record.id, hold.version).await?;
    // Who was covered by a grant was never anybody's company.
    if lookups::ended(before.state, hold.state) && hold.terms.by_grant.is_none() {
        lookups::company_changed(scope, record).await?;
    }
    grants::keep(&mut scope.conn, record, events, now).await?;
    write_down(scope, record, events, now).await
}

async fn save_votes(conn: &mut Conn, record: &HoldRecord) -> Result<(), StoreError> {
    for (seat, vote) in record.hold.votes.iter().enumerate() {
        sql(
            "INSERT INTO vote (hold, person, seat, body) VALUES ($1, $2, $3, $4)
             ON CONFLICT (hold, person) DO UPDATE SET body = excluded.body",
        )
        .bind(record.id.as_str())
        .bind(vote.person.id.as_str())
        .bind(i64::try_from(seat).unwrap_or(i64::MAX))
        .bind(json(vote)?)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

pub(super) async fn write_down(
    scope: &mut Scope,
    record: &HoldRecord,
    events: &[AuditEvent],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for event in events {
        events::append(&mut scope.conn, record, event, now).await?;
    }
    scope.touch(Touched::Hold(record.id.clone()));
    Ok(())
}

async fn insert(
    scope: &mut Scope,
    record: &HoldRecord,
    key: &str,
    instance: Option<String>,
) -> Result<(), StoreError> {
    let hold = &record.hold;
    sql(
        "INSERT INTO hold (id, request_key, version, state, route, quorum, quorum_parts, binding, request, asked,
                           created_at, updated_at, expires_at, deadline_at, terms, instance, agent, target,
                           alike_key)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    )
    .bind(record.id.as_str())
    .bind(key)
    .bind(to_i64(hold.version))
    .bind(hold.state.as_str())
    .bind(hold.route.as_str())
    .bind(i64::try_from(hold.quorum.seats()).unwrap_or(i64::MAX))
    .bind(json(&hold.quorum.parts())?)
    .bind(hold.binding.to_string())
    .bind(json(&record.request)?)
    .bind(record.asked.as_str())
    .bind(micros(hold.created_at))
    .bind(micros(hold.updated_at))
    .bind(micros(hold.expires_at))
    .bind(hold.deadline().map(micros))
    .bind(json(&hold.terms)?)
    .bind(instance)
    .bind(record.request.agent.name.as_str())
    .bind(record.request.target.name.as_str())
    .bind(grants::key(&record.request))
    .execute(&mut scope.conn)
    .await?;
    Ok(())
}
