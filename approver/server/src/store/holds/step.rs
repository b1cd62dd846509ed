//! Takes a hold a step on: one version, with all its records, or nothing.

use abeyance_api::{BindingDigest, Decision, HoldId, HoldState, Outcome};
use abeyance_holds::{AuditEvent, Event, Hold, ProxyCall, Refusal, transition};
use chrono::{DateTime, Utc};

use super::{
    super::{
        HoldRecord, StoreError,
        db::{Conn, sql},
        events, grants,
        instances::{self, Instance},
        lookups,
        record::load,
        row::{json, micros, to_i64},
        writer::Scope,
    },
    Stepped,
};
use crate::signals::Touched;

pub(in crate::store) async fn step(
    scope: &mut Scope,
    id: &HoldId,
    event: Event,
    claim_key: Option<String>,
    now: DateTime<Utc>,
) -> Result<Stepped, StoreError> {
    match load(&mut scope.conn, id).await? {
        Some(record) => step_on(scope, record, event, claim_key, now).await,
        None => Ok(Stepped::NotFound),
    }
}

/// The same for a hold that was read in this transaction.
pub(in crate::store) async fn step_on(
    scope: &mut Scope,
    mut record: HoldRecord,
    event: Event,
    claim_key: Option<String>,
    now: DateTime<Utc>,
) -> Result<Stepped, StoreError> {
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
                events::append_late(scope, &record, &late, now).await?;
                scope.touch(Touched::Hold(record.id.clone()));
                return Ok(Stepped::Done(Box::new(record)));
            }
            if let Some(attempt) = attempt(event, &refusal) {
                events::append_refusal(scope, &record, &attempt, now).await?;
            }
            Ok(Stepped::Refused(refusal))
        }
    }
}

/// Whether `event` is about a hold that another proxy opened or runs; then that is written down. A ticket that waits
/// is nobody's.
pub(super) async fn is_foreign(
    scope: &mut Scope,
    id: &HoldId,
    event: &Event,
    proxy: Option<Instance>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let whose = instances::whose(&mut scope.conn, id).await?;
    if whose.is_none() || whose == proxy.map(|proxy| proxy.id) {
        return Ok(false);
    }
    let Some(record) = load(&mut scope.conn, id).await? else {
        return Ok(false);
    };
    let call = match event {
        Event::Claim { .. } => ProxyCall::Claim,
        Event::Report { .. } => ProxyCall::Report,
        _ => ProxyCall::Withdraw,
    };
    tracing::warn!(hold = %id, ?call, "another proxy than the hold's own was refused");
    let refused = AuditEvent::ProxyRefused { call };
    events::append_refusal(scope, &record, &refused, now).await?;
    scope.touch(Touched::Hold(record.id));
    Ok(true)
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

pub(super) async fn claim(
    scope: &mut Scope,
    id: &HoldId,
    binding: BindingDigest,
    key: String,
    now: DateTime<Utc>,
) -> Result<Stepped, StoreError> {
    let Some(record) = load(&mut scope.conn, id).await? else {
        return Ok(Stepped::NotFound);
    };
    if record.hold.state == HoldState::Claimed
        && record.hold.binding == binding
        && record.claim_key.as_ref() == Some(&key)
    {
        return Ok(Stepped::Done(Box::new(record)));
    }
    step_on(scope, record, Event::Claim { binding }, Some(key), now).await
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

pub(super) async fn save(
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
        super::super::steps::save(&mut scope.conn, record).await?;
    }
    if hold.votes != before.votes {
        save_votes(&mut scope.conn, record).await?;
    }
    super::super::cards::want(&mut scope.conn, &record.id, hold.version).await?;
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

pub(in crate::store) async fn write_down(
    scope: &mut Scope,
    record: &HoldRecord,
    events: &[AuditEvent],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for event in events {
        events::append(scope, record, event, now).await?;
    }
    scope.touch(Touched::Hold(record.id.clone()));
    Ok(())
}
