//! Openings that were given up: their caller got no answer, and does not know whether there is a hold.
//!
//! The caller's own key says which opening is meant. A hold that was made under it is taken back, and what arrives
//! under it later makes none (invariants 4 and 5).

use abeyance_api::{HoldId, WithdrawReason};
use abeyance_holds::Event;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    Store, StoreError,
    db::{Conn, sql},
    events::{Happened, audit_append},
    holds::step,
    record::load,
    row::{hold_id_at, micros},
    writer::Scope,
};
use crate::limits;

/// What is written down of an opening that never became a hold.
#[derive(Debug, Serialize)]
struct Closed<'a> {
    event: &'a str,
    request_key: &'a str,
    reason: WithdrawReason,
}

impl Store {
    /// Takes back what was opened under `key`, and closes the key. Gives the hold there was. Repeated, it changes nothing
    /// more. A ticket stays, and so does its key: it waits for its agent, who finds it by sending the same statement.
    pub(crate) async fn opening_withdraw(
        &self,
        key: Uuid,
        reason: WithdrawReason,
        now: DateTime<Utc>,
    ) -> Result<Option<HoldId>, StoreError> {
        let key = key.to_string();
        self.writer
            .write(move |scope| Box::pin(async move { withdraw(scope, &key, reason, now).await }))
            .await
    }
}

async fn withdraw(
    scope: &mut Scope,
    key: &str,
    reason: WithdrawReason,
    now: DateTime<Utc>,
) -> Result<Option<HoldId>, StoreError> {
    let opened = sql("SELECT id FROM hold WHERE request_key = $1")
        .bind(key)
        .fetch_optional(&mut scope.conn)
        .await?;
    let opened = opened.map(|row| hold_id_at(&row, "id")).transpose()?;
    if let Some(id) = &opened {
        let record = load(&mut scope.conn, id).await?;
        if record.is_some_and(|record| record.hold.terms.ticket) {
            return Ok(opened);
        }
    }
    if is_closed(&mut scope.conn, key).await? {
        return Ok(opened);
    }
    close(&mut scope.conn, key, now).await?;
    match &opened {
        // One that is over by itself stays as it is.
        Some(id) => drop(step(scope, id, Event::Withdraw { reason }, None, now).await?),
        None => write_down(scope, key, reason, now).await?,
    }
    Ok(opened)
}

/// Whether nothing may be opened under this key any more.
pub(super) async fn is_closed(conn: &mut Conn, key: &str) -> Result<bool, StoreError> {
    sql("SELECT 1 FROM opening_closed WHERE request_key = $1")
        .bind(key)
        .exists(conn)
        .await
}

async fn close(conn: &mut Conn, key: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sql("DELETE FROM opening_closed WHERE closed_at < $1")
        .bind(micros(now - limits::OPENINGS_CLOSED_KEPT))
        .execute(conn)
        .await?;
    sql("INSERT INTO opening_closed (request_key, closed_at) VALUES ($1, $2)")
        .bind(key)
        .bind(micros(now))
        .execute(conn)
        .await?;
    Ok(())
}

async fn write_down(
    scope: &mut Scope,
    key: &str,
    reason: WithdrawReason,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let closed = Closed {
        event: "opening_closed",
        request_key: key,
        reason,
    };
    let happened = Happened {
        hold: None,
        version: 0,
        name: closed.event,
        policy_version: None,
    };
    audit_append(scope, &happened, &closed, now).await
}
