//! The log of judged statements: counted by shape, bounded in number and age. Not part of the audit record.

use std::{path::Path, time::Duration};

use abeyance_api::{FACTS_BYTES_MAX, RECORDS_MAX, StatementRecord};
use chrono::{DateTime, Utc};
use sqlx::{
    Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{
    OpenError, Store, StoreError,
    row::{count_at, instant_at, json, micros, parse, to_i64},
    writer::Scope,
};
use crate::limits;

impl Store {
    /// Adds to the counts, and forgets what is too old or too much.
    pub(crate) async fn statements_record(
        &self,
        records: Vec<StatementRecord>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |scope: &mut Scope| {
                Box::pin(async move {
                    for record in records.iter().take(RECORDS_MAX) {
                        if record.facts.len() <= FACTS_BYTES_MAX {
                            add(&mut scope.conn, record).await?;
                        }
                    }
                    forget(&mut scope.conn, now).await
                })
            })
            .await
    }
}

async fn add(conn: &mut SqliteConnection, record: &StatementRecord) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO statement (agent, target, fingerprint, rule, decision, policy_version, text, facts, shadow,
                                count, first_seen, last_seen)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET
             count = count + excluded.count, last_seen = max(last_seen, excluded.last_seen),
             text = excluded.text, facts = excluded.facts, shadow = excluded.shadow",
    )
    .bind(record.agent.as_str())
    .bind(record.target.as_str())
    .bind(record.fingerprint.as_str())
    .bind(record.rule.as_str())
    .bind(record.decision.as_str())
    .bind(record.policy_version.as_str())
    .bind(record.text.as_str())
    .bind(record.facts.as_str())
    .bind(json(&record.shadow)?)
    .bind(to_i64(record.count))
    .bind(micros(record.first_seen))
    .bind(micros(record.last_seen))
    .execute(conn)
    .await?;
    Ok(())
}

async fn forget(conn: &mut SqliteConnection, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM statement WHERE last_seen < ? OR last_seen <
             (SELECT last_seen FROM statement ORDER BY last_seen DESC LIMIT 1 OFFSET ?)",
    )
    .bind(micros(now - limits::STATEMENTS_KEPT))
    .bind(limits::STATEMENTS_LOGGED_MAX)
    .execute(conn)
    .await?;
    Ok(())
}

/// The statements of a store's log that were seen since, the most frequent first. The store may be in use.
///
/// # Errors
/// When the file cannot be read, or is no store that keeps such a log.
pub async fn statements_logged(
    file: &Path,
    since: DateTime<Utc>,
) -> Result<Vec<StatementRecord>, OpenError> {
    let failed = |error: StoreError| OpenError::store(file, error);
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .busy_timeout(Duration::from_secs(5));
    let connect = SqliteConnection::connect_with(&options);
    let mut conn = connect.await.map_err(|error| failed(error.into()))?;
    let rows = sqlx::query(
        "SELECT * FROM statement WHERE last_seen >= ? ORDER BY count DESC, fingerprint LIMIT ?",
    )
    .bind(micros(since))
    .bind(limits::STATEMENTS_LOGGED_MAX)
    .fetch_all(&mut conn)
    .await
    .map_err(|error| failed(error.into()))?;
    rows.iter().map(|row| record(row).map_err(failed)).collect()
}

fn record(row: &SqliteRow) -> Result<StatementRecord, StoreError> {
    Ok(StatementRecord {
        agent: row.try_get("agent")?,
        target: row.try_get("target")?,
        fingerprint: row.try_get("fingerprint")?,
        rule: row.try_get("rule")?,
        decision: row.try_get("decision")?,
        policy_version: row.try_get("policy_version")?,
        text: row.try_get("text")?,
        facts: row.try_get("facts")?,
        shadow: parse(row.try_get("shadow")?)?,
        count: count_at(row, "count")?,
        first_seen: instant_at(row, "first_seen")?,
        last_seen: instant_at(row, "last_seen")?,
    })
}
