//! The log of judged statements: counted by shape, bounded in number and age. Not part of the audit record.

use abeyance_api::{FACTS_BYTES_MAX, RECORDS_MAX, StatementRecord};
use chrono::{DateTime, Utc};

use super::{
    OpenError, Store, StoreError, StoreLocation,
    db::{Conn, Row, sql},
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

async fn add(conn: &mut Conn, record: &StatementRecord) -> Result<(), StoreError> {
    sql(
        "INSERT INTO statement (agent, target, fingerprint, rule, decision, policy_version, text, facts, shadow,
                                count, first_seen, last_seen)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (agent, target, fingerprint, rule, decision, policy_version) DO UPDATE SET
             count = statement.count + excluded.count,
             last_seen = CASE WHEN statement.last_seen > excluded.last_seen
                 THEN statement.last_seen ELSE excluded.last_seen END,
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

async fn forget(conn: &mut Conn, now: DateTime<Utc>) -> Result<(), StoreError> {
    sql("DELETE FROM statement WHERE last_seen < $1 OR last_seen <
             (SELECT last_seen FROM statement ORDER BY last_seen DESC LIMIT 1 OFFSET $2)")
    .bind(micros(now - limits::STATEMENTS_KEPT))
    .bind(limits::STATEMENTS_LOGGED_MAX)
    .execute(conn)
    .await?;
    Ok(())
}

/// The statements of a store's log that were seen since, the most frequent first. The store may be in use.
///
/// # Errors
/// When the store cannot be read, or keeps no such log.
pub async fn statements_logged(
    location: &StoreLocation,
    since: DateTime<Utc>,
) -> Result<Vec<StatementRecord>, OpenError> {
    let failed = |error: StoreError| OpenError::store(location, error);
    let mut conn = super::look(location).await?;
    let rows = sql(
        "SELECT * FROM statement WHERE last_seen >= $1 ORDER BY count DESC, fingerprint LIMIT $2",
    )
    .bind(micros(since))
    .bind(limits::STATEMENTS_LOGGED_MAX)
    .fetch_all(&mut conn)
    .await
    .map_err(failed)?;
    rows.iter().map(|row| record(row).map_err(failed)).collect()
}

fn record(row: &Row) -> Result<StatementRecord, StoreError> {
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
