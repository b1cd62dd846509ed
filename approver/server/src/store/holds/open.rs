//! Makes a hold, once for each key.

use abeyance_api::{HoldId, HoldRequest, HoldState};
use chrono::{DateTime, Utc};

use super::{
    super::{
        HoldRecord, StoreError,
        db::{Conn, sql},
        grants, instances, lookups,
        record::load,
        row::{count_at, hold_id_at, json, micros, to_i64},
        steps,
        writer::Scope,
    },
    NewRecord, Opened, Stepped,
    step::{save, write_down},
};
use crate::limits;

pub(super) async fn open(
    scope: &mut Scope,
    new: NewRecord,
    now: DateTime<Utc>,
) -> Result<Opened, StoreError> {
    let key = new.request_key.to_string();
    let seen = sql(
        "SELECT (SELECT count(*) FROM opening_closed WHERE request_key = $1) AS closed,
                (SELECT id FROM hold WHERE request_key = $1) AS id,
                (SELECT count(*) FROM hold WHERE state = 'pending') AS pending",
    )
    .bind(&key)
    .fetch_one(&mut scope.conn)
    .await?;
    if count_at(&seen, "closed")? > 0 {
        return Ok(Opened::Closed);
    }
    if seen.try_get::<Option<&str>>("id")?.is_some() {
        let id = hold_id_at(&seen, "id")?;
        let record = load(&mut scope.conn, &id).await?;
        return record
            .map(Opened::Again)
            .ok_or_else(|| StoreError::unreadable("a hold"));
    }
    if let Some(ticket) = ticket_of(&mut scope.conn, &new.request, now).await? {
        return Ok(Opened::Again(ticket));
    }
    if count_at(&seen, "pending")? >= u64::from(limits::PENDING_MAX) {
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
    write_down(scope, &record, &events, now).await?;
    if let Some((hold, events)) = grants::cover(scope, &record, &new.coverable, now).await? {
        // Nobody is asked, and no card made: that of the hold which gave the grant says so.
        save(scope, &mut record, hold, &events, now).await?;
        return Ok(Opened::New(record));
    }
    lookups::company_changed(scope, &record).await?;
    for channel in &new.slack_channels {
        super::super::cards::insert(&mut scope.conn, &record, channel, now).await?;
    }
    if let Some((event, told)) = new.first {
        let made = record.clone();
        if let Stepped::Done(asked) = steps::ask_of(scope, made, event, told, now).await? {
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
pub(in crate::store) async fn free_id(
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
                           alike_key, escalation, step_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
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
    .bind(json(&hold.escalation)?)
    .bind(hold.step_at().map(micros))
    .execute(&mut scope.conn)
    .await?;
    Ok(())
}
