//! The log of judged statements, counted by shape: what other policies are tried out on.
//!
//! A statement that passes costs one addition: its reading counts itself and is listed once between two flushes. Bounded in
//! memory; a session never waits for it. Loses what was not flushed when the process is killed, and what the approver
//! does not take: holds have a record of their own. Nothing that could be a value leaves (invariant 7).

mod scrub;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use abeyance_api::{FACTS_BYTES_MAX, RECORDS_MAX, ShadowHit, StatementRecord};
use abeyance_policy::{Decision, Verdict};
use abeyance_sql::StatementFacts;
use chrono::{DateTime, Utc};
use tokio::time::timeout;

use crate::{
    Agent, Gateway, Target,
    session::{Reading, Shown},
    snapshot::Snapshot,
};

/// Between two flushes.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// How long the approver may take for one call.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// Readings and shapes that are kept between two flushes; more are not logged.
const LISTED_MAX: usize = 8192;
/// Bytes of one call's records.
const CALL_BYTES_MAX: usize = 192 * 1024;

/// What was judged since the last flush.
#[derive(Debug, Default)]
pub(crate) struct StatementLog {
    listed: Mutex<Vec<Listed>>,
    told: Mutex<HashMap<String, StatementRecord>>,
    /// Statements that found no room, or that the approver did not take.
    lost: AtomicU64,
}

/// Whose statements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) agent: &'a Arc<Agent>,
    pub(crate) target: &'a Arc<Target>,
    pub(crate) snapshot: &'a Arc<Snapshot>,
}

/// A reading that counted something.
#[derive(Debug)]
struct Listed {
    reading: Arc<Reading>,
    index: usize,
    agent: Arc<Agent>,
    target: Arc<Target>,
    snapshot: Arc<Snapshot>,
}

impl StatementLog {
    /// Counts the statements of a judged batch.
    pub(crate) fn note(
        &self,
        whose: Whose<'_>,
        statements: &[Shown],
        now: impl Fn() -> DateTime<Utc>,
    ) {
        for statement in statements {
            match statement.as_read() {
                Some((reading, index)) if reading.seen_first(index) => {
                    self.list(whose, reading, index);
                }
                Some(_) => {}
                None => {
                    if let (Some(facts), Some(verdict)) = (statement.facts(), statement.verdict()) {
                        self.tell(whose, facts, verdict, 1, now());
                    }
                }
            }
        }
    }

    fn list(&self, whose: Whose<'_>, reading: &Arc<Reading>, index: usize) {
        let mut listed = held(&self.listed);
        if listed.len() >= LISTED_MAX {
            self.lost
                .fetch_add(reading.seen_take(index), Ordering::Relaxed);
            return;
        }
        listed.push(Listed {
            reading: Arc::clone(reading),
            index,
            agent: Arc::clone(whose.agent),
            target: Arc::clone(whose.target),
            snapshot: Arc::clone(whose.snapshot),
        });
    }

    fn tell(
        &self,
        whose: Whose<'_>,
        facts: &StatementFacts,
        verdict: &Verdict,
        count: u64,
        now: DateTime<Utc>,
    ) {
        let decision = word(&verdict.decision);
        let version = whose.snapshot.rules.version();
        let key = [
            whose.agent.name.as_str(),
            whose.target.name.as_str(),
            facts.fingerprint.as_str(),
            verdict.rule.as_str(),
            decision,
            version,
        ]
        .join("\0");
        let mut told = held(&self.told);
        if let Some(known) = told.get_mut(&key) {
            known.count += count;
            known.last_seen = now;
            return;
        }
        let json = serde_json::to_string(&scrub::facts(facts)).unwrap_or_default();
        if told.len() >= LISTED_MAX || json.is_empty() || json.len() > FACTS_BYTES_MAX {
            self.lost.fetch_add(count, Ordering::Relaxed);
            return;
        }
        let hit = |(rule, decision): &(String, Decision)| ShadowHit {
            rule: rule.clone(),
            decision: word(decision).to_owned(),
        };
        told.insert(
            key,
            StatementRecord {
                agent: whose.agent.name.clone(),
                target: whose.target.name.clone(),
                fingerprint: facts.fingerprint.clone(),
                rule: verdict.rule.clone(),
                decision: decision.to_owned(),
                policy_version: version.to_owned(),
                text: facts.redacted.clone(),
                facts: json,
                shadow: verdict.shadow.iter().map(hit).collect(),
                count,
                first_seen: now,
                last_seen: now,
            },
        );
    }

    /// Everything since the last time.
    fn take(&self, now: DateTime<Utc>) -> Vec<StatementRecord> {
        let listed = std::mem::take(&mut *held(&self.listed));
        for one in listed {
            let count = one.reading.seen_take(one.index);
            let facts = one.reading.facts.get(one.index);
            let verdict = one.reading.verdicts.get(one.index);
            if let (Some(facts), Some(verdict)) = (facts, verdict) {
                let whose = Whose {
                    agent: &one.agent,
                    target: &one.target,
                    snapshot: &one.snapshot,
                };
                self.tell(whose, facts, verdict, count, now);
            }
        }
        let told = std::mem::take(&mut *held(&self.told));
        told.into_values().collect()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Hold { .. } => "hold",
        Decision::Deny => "deny",
    }
}

impl Gateway {
    /// Flushes the log now and then, until sessions are to end.
    pub(crate) async fn statements_keep(&self) {
        loop {
            // Both arms are cancel-safe.
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(FLUSH_EVERY) => self.statements_flush().await,
            }
        }
    }

    /// Gives what was counted to the approver.
    pub(crate) async fn statements_flush(&self) {
        let mut call: Vec<StatementRecord> = Vec::new();
        let mut bytes = 0;
        for record in self.statements.take(self.clock.now()) {
            let length = record.facts.len() * 2 + record.text.len() * 2;
            if !call.is_empty() && (call.len() >= RECORDS_MAX || bytes + length > CALL_BYTES_MAX) {
                self.statements_send(std::mem::take(&mut call)).await;
                bytes = 0;
            }
            bytes += length;
            call.push(record);
        }
        if !call.is_empty() {
            self.statements_send(call).await;
        }
        let lost = self.statements.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                statements = lost,
                "not in the log of statements; holds and rules are not affected"
            );
        }
    }

    async fn statements_send(&self, records: Vec<StatementRecord>) {
        let count: u64 = records.iter().map(|record| record.count).sum();
        let sent = timeout(FLUSH_TIMEOUT, self.desk.statements_record(records)).await;
        if !matches!(sent, Ok(Ok(()))) {
            self.statements.lost.fetch_add(count, Ordering::Relaxed);
        }
    }
}
