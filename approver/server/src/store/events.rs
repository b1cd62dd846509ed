//! The record of every step: append-only, each row's hash covering the one before it.

use abeyance_api::HoldId;
use abeyance_holds::AuditEvent;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    HoldRecord, Store, StoreError,
    db::{Conn, Row, sql},
    row::{instant_at, json, micros, parse, to_i64},
    writer::Scope,
};
use crate::limits;

/// One row of a hold's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldEvent {
    pub at: DateTime<Utc>,
    /// The hold's version after the step.
    pub version: u64,
    pub event: AuditEvent,
    /// Of the policy that demanded the hold; rows from before it was kept have none.
    pub policy_version: Option<String>,
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
const POLICY_VERSION: &str = "policy_version";
/// Rows read at once by a walk.
const WALK_STEP: i64 = 1_000;

struct Sealed<'a> {
    seq: i64,
    /// Empty for what belongs to no hold.
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

/// Where the record ends: its last row, or what comes before its first.
#[derive(Debug)]
pub(super) struct Tail {
    seq: i64,
    hash: Vec<u8>,
}

impl Tail {
    async fn read(conn: &mut Conn) -> Result<Self, StoreError> {
        let last = sql("SELECT seq, hash FROM hold_event ORDER BY seq DESC LIMIT 1")
            .fetch_optional(conn)
            .await?;
        Ok(match last {
            Some(row) => Self {
                seq: row.try_get("seq")?,
                hash: row.try_get("hash")?,
            },
            None => Self {
                seq: 0,
                hash: GENESIS.to_vec(),
            },
        })
    }
}

/// What is written down of something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Happened<'a> {
    /// `None` for what belongs to no hold: an override, a grant taken back, an instance that went away.
    pub(crate) hold: Option<&'a HoldId>,
    /// The hold's version after it; 0 without one.
    pub(crate) version: u64,
    /// A short word, the same as the body's `event`.
    pub(crate) name: &'a str,
    /// Of the policy it happened under, where one is known.
    pub(crate) policy_version: Option<&'a str>,
}

/// Writes `body` at the end of the record, in the transaction of `scope`. It has to be a JSON object without
/// literals; the policy's version is put beside its fields.
pub(crate) async fn audit_append(
    scope: &mut Scope,
    happened: &Happened<'_>,
    body: &impl Serialize,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    append_row(scope, happened, body, now).await
}

pub(super) async fn append(
    scope: &mut Scope,
    record: &HoldRecord,
    event: &AuditEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let happened = Happened {
        hold: Some(&record.id),
        version: record.hold.version,
        name: event.name(),
        policy_version: Some(&record.request.policy_version),
    };
    append_row(scope, &happened, event, now).await
}

async fn append_row(
    scope: &mut Scope,
    happened: &Happened<'_>,
    body: &impl Serialize,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Tail { seq, hash: prev } = match scope.tail.take() {
        Some(tail) => tail,
        None => Tail::read(&mut scope.conn).await?,
    };
    let body = with_policy(body, happened.policy_version)?;
    let sealed = Sealed {
        seq: seq + 1,
        hold: happened.hold.map_or("", HoldId::as_str),
        version: to_i64(happened.version),
        at: micros(now),
        name: happened.name,
        body: &body,
    };
    let hash = sealed.hash(&prev);
    sql(
        "INSERT INTO hold_event (seq, hold, version, at, name, body, prev_hash, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(sealed.seq)
    .bind(happened.hold.map(HoldId::as_str))
    .bind(sealed.version)
    .bind(sealed.at)
    .bind(sealed.name)
    .bind(sealed.body)
    .bind(prev)
    .bind(hash.as_slice())
    .execute(&mut scope.conn)
    .await?;
    scope.tail = Some(Tail {
        seq: seq + 1,
        hash: hash.to_vec(),
    });
    Ok(())
}

/// The body as JSON, with `policy_version` beside its own fields.
fn with_policy(body: &impl Serialize, policy: Option<&str>) -> Result<String, StoreError> {
    let mut body =
        serde_json::to_value(body).map_err(|error| StoreError::Other(error.to_string()))?;
    let Some(fields) = body.as_object_mut() else {
        return Err(StoreError::Other("an audit record is an object".to_owned()));
    };
    if let Some(policy) = policy.filter(|policy| !policy.is_empty()) {
        fields
            .entry(POLICY_VERSION)
            .or_insert_with(|| policy.into());
    }
    json(&body)
}

/// The policy's version as a body has it.
#[derive(Deserialize)]
struct UnderPolicy {
    policy_version: Option<String>,
}

/// Writes a refused attempt down, up to a bound: somebody who keeps clicking fills no disk.
pub(super) async fn append_refusal(
    scope: &mut Scope,
    record: &HoldRecord,
    event: &AuditEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = sql("SELECT count(*) AS recorded FROM hold_event
         WHERE hold = $1 AND name IN ('vote_refused', 'claim_refused', 'proxy_refused')")
    .bind(record.id.as_str())
    .fetch_one(&mut scope.conn)
    .await?;
    if row.try_get::<i64>("recorded")? >= i64::from(limits::REFUSALS_RECORDED_MAX) {
        tracing::warn!(hold = %record.id, "too many refused attempts; not recorded any more");
        return Ok(());
    }
    append(scope, record, event, now).await
}

/// Writes down the outcome of a hold that ended without one. The first that is heard counts; a repetition adds nothing.
pub(super) async fn append_late(
    scope: &mut Scope,
    record: &HoldRecord,
    event: &AuditEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let heard = sql("SELECT 1 FROM hold_event WHERE hold = $1 AND name = $2")
        .bind(record.id.as_str())
        .bind(event.name());
    if heard.exists(&mut scope.conn).await? {
        return Ok(());
    }
    append(scope, record, event, now).await
}

impl Store {
    /// A hold's history, oldest first.
    pub(crate) async fn hold_events(&self, id: &HoldId) -> Result<Vec<HoldEvent>, StoreError> {
        let rows =
            sql("SELECT at, version, body FROM hold_event WHERE hold = $1 ORDER BY seq LIMIT $2")
                .bind(id.as_str())
                .bind(limits::EVENTS_SHOWN_MAX)
                .fetch_all(&mut self.reader().await?)
                .await?;
        rows.iter()
            .map(|row| {
                let body: &str = row.try_get("body")?;
                Ok(HoldEvent {
                    at: instant_at(row, "at")?,
                    version: super::row::count_at(row, "version")?,
                    event: parse(body)?,
                    policy_version: parse::<UnderPolicy>(body)?.policy_version,
                })
            })
            .collect()
    }

    /// Walks the record from its first row and checks every link.
    pub(crate) async fn audit_verify(&self) -> Result<AuditReport, StoreError> {
        walk(&mut self.reader().await?).await
    }
}

pub(super) async fn walk(conn: &mut Conn) -> Result<AuditReport, StoreError> {
    let mut prev = GENESIS.to_vec();
    let mut intact = 0;
    let mut last = 0_i64;
    loop {
        let rows = sql("SELECT * FROM hold_event WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(last)
            .bind(WALK_STEP)
            .fetch_all(conn)
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

/// The row's hash when it follows `last` and is what was written.
fn link(row: &Row, last: i64, prev: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let sealed = Sealed {
        seq: row.try_get("seq")?,
        hold: row.try_get::<Option<&str>>("hold")?.unwrap_or_default(),
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
