//! The record of every step: append-only, each row's hash covering the one before it.

use abeyance_api::HoldId;
use abeyance_holds::AuditEvent;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    HoldRecord, Store, StoreError,
    row::{instant_at, json, micros, parse, to_i64},
};
use crate::limits;

/// One row of a hold's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldEvent {
    pub at: DateTime<Utc>,
    /// The hold's version after the step.
    pub version: u64,
    pub event: AuditEvent,
}

/// What a walk over the whole record found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Rows that fit.
    pub intact: u64,
    /// The first row that does not, by its number; `None` when all do.
    pub broken_at: Option<i64>,
    /// The last hash, as hex: keep it elsewhere to notice a cut-off end.
    pub head: String,
}

const GENESIS: [u8; 32] = [0; 32];
/// Rows read at once by a walk.
const WALK_STEP: i64 = 1_000;

struct Sealed<'a> {
    seq: i64,
    hold: &'a str,
    version: i64,
    at: i64,
    name: &'a str,
    body: &'a str,
}

impl Sealed<'_> {
    /// Every field, each preceded by its length, after the hash of the row before.
    fn hash(&self, prev: &[u8]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let numbers = [self.seq, self.version, self.at].map(i64::to_be_bytes);
        let texts = [self.hold, self.name, self.body].map(str::as_bytes);
        let fields = numbers.iter().map(<[u8; 8]>::as_slice).chain(texts);
        for field in std::iter::once(prev).chain(fields) {
            hasher.update((field.len() as u64).to_be_bytes());
            hasher.update(field);
        }
        hasher.finalize().into()
    }
}

pub(super) async fn append(
    conn: &mut SqliteConnection,
    record: &HoldRecord,
    event: &AuditEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let last = sqlx::query("SELECT seq, hash FROM hold_event ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut *conn)
        .await?;
    let (seq, prev): (i64, Vec<u8>) = match last {
        Some(row) => (row.try_get::<i64, _>("seq")? + 1, row.try_get("hash")?),
        None => (1, GENESIS.to_vec()),
    };
    let body = json(event)?;
    let sealed = Sealed {
        seq,
        hold: record.id.as_str(),
        version: to_i64(record.hold.version),
        at: micros(now),
        name: event.name(),
        body: &body,
    };
    let hash = sealed.hash(&prev);
    sqlx::query(
        "INSERT INTO hold_event (seq, hold, version, at, name, body, prev_hash, hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(sealed.seq)
    .bind(sealed.hold)
    .bind(sealed.version)
    .bind(sealed.at)
    .bind(sealed.name)
    .bind(sealed.body)
    .bind(prev)
    .bind(hash.as_slice())
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a refused attempt down, up to a bound: somebody who keeps clicking fills no disk.
pub(super) async fn append_refusal(
    conn: &mut SqliteConnection,
    record: &HoldRecord,
    event: &AuditEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let recorded: u32 = sqlx::query_scalar(
        "SELECT count(*) FROM hold_event
         WHERE hold = ? AND name IN ('vote_refused', 'claim_refused')",
    )
    .bind(record.id.as_str())
    .fetch_one(&mut *conn)
    .await?;
    if recorded >= limits::REFUSALS_RECORDED_MAX {
        tracing::warn!(hold = %record.id, "too many refused attempts; not recorded any more");
        return Ok(());
    }
    append(conn, record, event, now).await
}

impl Store {
    /// A hold's history, oldest first.
    pub(crate) async fn hold_events(&self, id: &HoldId) -> Result<Vec<HoldEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, version, body FROM hold_event WHERE hold = ? ORDER BY seq LIMIT ?",
        )
        .bind(id.as_str())
        .bind(limits::EVENTS_SHOWN_MAX)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(HoldEvent {
                    at: instant_at(row, "at")?,
                    version: super::row::count_at(row, "version")?,
                    event: parse(row.try_get("body")?)?,
                })
            })
            .collect()
    }

    /// Walks the record from its first row and checks every link.
    pub(crate) async fn audit_verify(&self) -> Result<AuditReport, StoreError> {
        let mut prev = GENESIS.to_vec();
        let mut intact = 0;
        let mut last = 0_i64;
        loop {
            let rows = sqlx::query("SELECT * FROM hold_event WHERE seq > ? ORDER BY seq LIMIT ?")
                .bind(last)
                .bind(WALK_STEP)
                .fetch_all(&self.readers)
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let Some(hash) = link(row, last, &prev)? else {
                    return Ok(AuditReport {
                        intact,
                        broken_at: Some(last + 1),
                        head: hex::encode(prev),
                    });
                };
                prev = hash;
                last += 1;
                intact += 1;
            }
        }
        Ok(AuditReport {
            intact,
            broken_at: None,
            head: hex::encode(prev),
        })
    }
}

/// The row's hash when it follows `last` and is what was written.
fn link(row: &SqliteRow, last: i64, prev: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let sealed = Sealed {
        seq: row.try_get("seq")?,
        hold: row.try_get("hold")?,
        version: row.try_get("version")?,
        at: row.try_get("at")?,
        name: row.try_get("name")?,
        body: row.try_get("body")?,
    };
    let stored_prev: &[u8] = row.try_get("prev_hash")?;
    let stored: Vec<u8> = row.try_get("hash")?;
    let good = sealed.seq == last + 1 && stored_prev == prev && sealed.hash(prev) == *stored;
    Ok(good.then_some(stored))
}
