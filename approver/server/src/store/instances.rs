//! Who lives: each proxy has a lease, and holds of one whose lease has run out are ended, whichever approver
//! sees it first.

use abeyance_api::{HoldId, HoldState, Outcome, WithdrawReason};
use abeyance_holds::Event;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Store, StoreError,
    db::{Conn, Sql, sql},
    holds,
    row::{count_at, hold_id_at, micros, state_at},
    writer::Scope,
};
use crate::limits;

/// A proxy, as its holds name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: Uuid,
    /// It is part of this process.
    pub(crate) inside: bool,
}

/// What was done about an instance that went away.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) holds: usize,
    /// There are more of them: call again.
    pub(crate) more: bool,
}

impl Store {
    /// The instance lives, at least until then.
    pub(crate) async fn instance_beat(
        &self,
        instance: Instance,
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |scope| {
                Box::pin(async move { beat(&mut scope.conn, instance, until).await })
            })
            .await
    }

    /// Instances whose lease has run out.
    pub(crate) async fn instances_lapsed(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<Uuid>, StoreError> {
        let rows =
            sql("SELECT id FROM instance WHERE lease_until <= $1 ORDER BY lease_until LIMIT $2")
                .bind(micros(now))
                .bind(limits::INSTANCES_ENDED_MAX)
                .fetch_all(&mut self.reader().await?)
                .await?;
        rows.iter()
            .map(|row| {
                let id: &str = row.try_get("id")?;
                id.parse()
                    .map_err(|_| StoreError::unreadable("an instance"))
            })
            .collect()
    }

    /// Ends what an instance left open, unless it has shown up again.
    pub(crate) async fn instance_end(
        &self,
        id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Ended, StoreError> {
        self.writer
            .write(move |scope| Box::pin(async move { end(scope, id, now).await }))
            .await
    }

    /// Every process that had proxy and approver in one is gone: this one holds the store's lock.
    pub(crate) async fn instances_inside_forsaken(&self) -> Result<(), StoreError> {
        self.writer
            .write(|scope| {
                Box::pin(async move {
                    sql("UPDATE instance SET lease_until = 0 WHERE inside = TRUE")
                        .execute(&mut scope.conn)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// How far this machine's clock is ahead of the store's, in microseconds; 0 for a file.
    pub(crate) async fn clock_ahead(&self, now: DateTime<Utc>) -> Result<i64, StoreError> {
        let row = Sql::either(
            "SELECT CAST($1 AS INTEGER) AS at",
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 0 * $1::bigint AS at",
        )
        .bind(micros(now))
        .fetch_one(&mut self.reader().await?)
        .await?;
        Ok(micros(now) - row.try_get::<i64>("at")?)
    }
}

/// A lease is never shortened: of two approvers whose clocks differ the later one counts.
pub(super) async fn beat(
    conn: &mut Conn,
    instance: Instance,
    until: DateTime<Utc>,
) -> Result<(), StoreError> {
    sql(
        "INSERT INTO instance (id, inside, lease_until) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET lease_until = CASE
             WHEN instance.lease_until > excluded.lease_until THEN instance.lease_until
             ELSE excluded.lease_until END",
    )
    .bind(instance.id.to_string())
    .bind(instance.inside)
    .bind(micros(until))
    .execute(conn)
    .await?;
    Ok(())
}

/// Which instance waits for the hold or runs its batch.
pub(super) async fn whose(conn: &mut Conn, hold: &HoldId) -> Result<Option<Uuid>, StoreError> {
    let row = sql("SELECT instance FROM hold WHERE id = $1 AND instance IS NOT NULL")
        .bind(hold.as_str())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let id: &str = row.try_get("instance")?;
    let id = id
        .parse()
        .map_err(|_| StoreError::unreadable("an instance"))?;
    Ok(Some(id))
}

/// The instance runs the batch of a hold from now on.
pub(super) async fn takes(
    conn: &mut Conn,
    instance: Instance,
    until: DateTime<Utc>,
    hold: &HoldId,
) -> Result<(), StoreError> {
    beat(conn, instance, until).await?;
    sql("UPDATE hold SET instance = $1 WHERE id = $2")
        .bind(instance.id.to_string())
        .bind(hold.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

async fn end(scope: &mut Scope, id: Uuid, now: DateTime<Utc>) -> Result<Ended, StoreError> {
    let id = id.to_string();
    let lapsed = sql("SELECT 1 FROM instance WHERE id = $1 AND lease_until <= $2")
        .bind(&id)
        .bind(micros(now));
    if !lapsed.exists(&mut scope.conn).await? {
        return Ok(Ended::default());
    }
    let rows = sql("SELECT id, state FROM hold
         WHERE instance = $1 AND state IN ('pending', 'approved', 'claimed') LIMIT $2")
    .bind(&id)
    .bind(limits::EXPIRE_BATCH)
    .fetch_all(&mut scope.conn)
    .await?;
    for row in &rows {
        let (hold, state) = (hold_id_at(row, "id")?, state_at(row, "state")?);
        holds::step(scope, &hold, gone(state), None, now).await?;
    }
    let left = sql("SELECT count(*) AS left_open FROM hold
         WHERE instance = $1 AND state IN ('pending', 'approved', 'claimed')")
    .bind(&id)
    .fetch_one(&mut scope.conn)
    .await?;
    let more = count_at(&left, "left_open")? > 0 && !rows.is_empty();
    if !more {
        sql("DELETE FROM instance WHERE id = $1")
            .bind(&id)
            .execute(&mut scope.conn)
            .await?;
    }
    Ok(Ended {
        holds: rows.len(),
        more,
    })
}

/// What becomes of a hold whose proxy is gone.
pub(crate) fn gone(state: HoldState) -> Event {
    match state {
        HoldState::Claimed => Event::Report {
            outcome: Outcome::Unknown {
                reason: "the proxy went away while the batch ran".to_owned(),
            },
        },
        _ => Event::Withdraw {
            reason: WithdrawReason::ProxyLost,
        },
    }
}
