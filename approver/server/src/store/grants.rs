//! Grants in the store: beside the hold that gave them, found by their shape, spent in the transaction that opens
//! the hold they cover.

use abeyance_api::{BindingDigest, GrantId, HoldRequest, PersonId, PersonRef};
use abeyance_holds::{
    AuditEvent, Event, GrantUse, Hold,
    grant::{Grant, shape},
    quorum::Quorum,
    transition,
};
use chrono::{DateTime, Utc};

use super::{
    HoldRecord, Store, StoreError,
    db::{Conn, sql},
    holds::write_down,
    record::{load, record},
    row::{hold_id_at, json, micros},
    writer::Scope,
};
use crate::{limits, signals::Touched};

/// What a new hold may be covered by.
#[derive(Debug, Clone)]
pub(crate) struct Coverable {
    /// What the route wants now.
    pub(crate) quorum: Quorum,
    pub(crate) grantable: bool,
    /// Everybody in the roster.
    pub(crate) known: Vec<PersonId>,
}

/// What came of revoking.
#[derive(Debug)]
pub(crate) enum RevokedGrant {
    Done(Box<Grant>),
    /// It was over already.
    Over,
    NotFound,
}

/// What all holds that one grant may cover have in common, and all that may be decided together.
pub(super) fn key(request: &HoldRequest) -> String {
    let shape = shape(request);
    let place = [
        &request.agent.name,
        &request.target.name,
        &request.target.database,
        &request.route,
        &request.rule,
    ];
    let meaning = request.manner.shape.map(String::from).unwrap_or_default();
    let parts = place.into_iter().chain([&meaning]).chain(&shape);
    BindingDigest::over(parts.map(String::as_bytes)).to_string()
}

/// Writes down the grant that was agreed on with an approval, if there was one.
pub(super) async fn keep(
    conn: &mut Conn,
    record: &mut HoldRecord,
    events: &[AuditEvent],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let agreed = events.iter().find_map(|event| match event {
        AuditEvent::Granted { agreed } => Some(agreed),
        _ => None,
    });
    let (Some(agreed), Some(vote)) = (agreed, record.hold.deciding_vote()) else {
        return Ok(());
    };
    let grant = Grant::new(&record.id, &record.request, agreed, vote.clone(), now);
    sql("UPDATE hold SET grant_key = $1 WHERE id = $2")
        .bind(key(&record.request))
        .bind(record.id.as_str())
        .execute(conn)
        .await?;
    save(conn, &grant, now).await?;
    record.grant = Some(grant);
    Ok(())
}

async fn save(conn: &mut Conn, grant: &Grant, now: DateTime<Utc>) -> Result<(), StoreError> {
    let left = match grant.is_active(now) {
        true => grant.uses.saturating_sub(grant.used),
        false => 0,
    };
    sql("UPDATE hold SET grant_given = $1, grant_until = $2, grant_left = $3 WHERE id = $4")
        .bind(json(grant)?)
        .bind(micros(grant.expires_at))
        .bind(left)
        .bind(grant.hold.as_str())
        .execute(conn)
        .await?;
    super::cards::again(conn, &grant.hold).await
}

/// Approves a hold that was just made by a grant that covers it, and takes one use of that grant.
pub(super) async fn cover(
    scope: &mut Scope,
    made: &HoldRecord,
    coverable: &Coverable,
    now: DateTime<Utc>,
) -> Result<Option<(Hold, Vec<AuditEvent>)>, StoreError> {
    let rows = sql(
        "SELECT id FROM hold WHERE grant_key = $1 AND grant_left > 0 AND grant_until > $2
         ORDER BY grant_until, id LIMIT $3",
    )
    .bind(key(&made.request))
    .bind(micros(now))
    .bind(limits::GRANTS_TRIED_MAX)
    .fetch_all(&mut scope.conn)
    .await?;
    for row in rows {
        let Some(giver) = load(&mut scope.conn, &hold_id_at(&row, "id")?).await? else {
            continue;
        };
        let Some(grant) = giver.grant else { continue };
        // Whom a step asked then may count still, as long as they are there at all.
        let asked = giver.hold.escalation.people().map(|person| &person.id);
        let quorum = coverable
            .quorum
            .with_more(asked.filter(|id| coverable.known.contains(id)));
        let fits = grant.covers(&made.request, &quorum, coverable.grantable, now);
        if let Err(unfit) = fits {
            tracing::info!(grant = %grant.id(), hold = %made.id, %unfit, "a grant does not cover a hold");
            continue;
        }
        let taken = grant.taken();
        let used = GrantUse {
            left: taken.uses.saturating_sub(taken.used),
            grant: Box::new(grant),
        };
        let Ok(covered) = transition(&made.hold, Event::UseGrant(used), now) else {
            continue;
        };
        save(&mut scope.conn, &taken, now).await?;
        scope.touch(Touched::Cards);
        return Ok(Some(covered));
    }
    Ok(None)
}

impl Store {
    /// Grants, newest first.
    pub(crate) async fn grants(
        &self,
        active_only: bool,
        now: DateTime<Utc>,
    ) -> Result<Vec<Grant>, StoreError> {
        let wanted = if active_only {
            sql(
                "SELECT * FROM hold WHERE grant_given IS NOT NULL AND grant_left > 0 AND grant_until > $1
                 ORDER BY grant_until DESC, id LIMIT $2",
            )
            .bind(micros(now))
        } else {
            sql(
                "SELECT * FROM hold WHERE grant_given IS NOT NULL AND grant_until > $1
                 ORDER BY grant_until DESC, id LIMIT $2",
            )
            .bind(0_i64)
        };
        let rows = wanted
            .bind(limits::LIST_MAX)
            .fetch_all(&mut self.reader().await?)
            .await?;
        let grants = rows.iter().map(|row| Ok(record(row, Vec::new())?.grant));
        grants.filter_map(Result::transpose).collect()
    }

    /// Ends a grant. When this returns, no hold is covered by it any more.
    pub(crate) async fn grant_revoke(
        &self,
        id: &GrantId,
        by: PersonRef,
        reason: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<RevokedGrant, StoreError> {
        let hold = id
            .hold()
            .map_err(|error| StoreError::Other(error.to_string()))?;
        self.writer
            .write(move |scope| {
                Box::pin(async move {
                    let Some(record) = load(&mut scope.conn, &hold).await? else {
                        return Ok(RevokedGrant::NotFound);
                    };
                    let Some(grant) = &record.grant else {
                        return Ok(RevokedGrant::NotFound);
                    };
                    let Some((grant, event)) = grant.revoke(by, reason, now) else {
                        return Ok(RevokedGrant::Over);
                    };
                    save(&mut scope.conn, &grant, now).await?;
                    write_down(scope, &record, &[event], now).await?;
                    scope.touch(Touched::Cards);
                    Ok(RevokedGrant::Done(Box::new(grant)))
                })
            })
            .await
    }
}
