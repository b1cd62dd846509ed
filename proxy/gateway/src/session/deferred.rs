//! Hold at COMMIT: statements that a rule reviews with their transaction run, and the transaction waits before it is
//! kept.
//!
//! Running is what the rule allows; keeping is what somebody has to approve. So invariant 2 holds for what lasts: while
//! anything deferred is open, every batch that could make it last (COMMIT in all its spellings, and whatever is not
//! understood) waits for a permit of its own, which is bound to what ran. All other ends are the server's own:
//! a session that goes away is rolled back.
//!
//! Deferred is only what the target can take back, and only inside a transaction the client itself began.

mod lasting;
mod record;

use abeyance_api::{BindingDigest, RedactedStatement};
use abeyance_policy::Review;
use abeyance_sql::{StatementFacts, TransactionEffect};
use abeyance_wire::postgres::{TransactionStatus, frontend::tag};

use self::lasting::{
    Lasting, can_be_taken_back, ends_whole, lasting, meant_otherwise, prepared_elsewhere, rows_of,
    rules_changed, runs_whole, statements,
};
pub(super) use self::{
    lasting::{does_more, rolls_back},
    record::Deferred,
};
use super::{
    Session,
    bracket::{ALL_ROWS, readings},
    card,
    cleared::clear_deferred,
    judge::{Finding, Held, JudgedBatch, Place, Refused, Shown},
    outcome::Ran,
    own::own_statement,
};
use crate::error::{SessionError, TargetError};

/// Different statements that one transaction may defer; what comes after them waits itself.
const STATEMENTS_MAX: usize = 48;

/// Has the server begin its counts anew (PostgreSQL 15).
const TAKE_COUNTS: &str = "SELECT pg_catalog.pg_stat_force_next_flush()";

impl Session {
    /// Whether a held batch may run now, and wait at its COMMIT.
    pub(super) fn may_defer(&self, judged: &JudgedBatch, held: &Held) -> bool {
        let room = self.deferred.as_ref().is_none_or(|deferred| {
            deferred.route == held.route
                && deferred.statements.len() + held.statements.len() <= STATEMENTS_MAX
        });
        held.review == Review::Commit
            && room
            && held.statements.len() <= STATEMENTS_MAX
            && !self.floored()
            && !self.standing.is_unsynced()
            && ends_whole(judged)
            && runs_whole(judged)
            && self.stays_inside(&held.statements)
            && judged.shown().iter().all(can_be_taken_back)
    }

    /// From its first statement on, the batch is inside a transaction of the client's own, and stays there.
    fn stays_inside(&self, statements: &[StatementFacts]) -> bool {
        let mut inside = self.client_status() == TransactionStatus::InTransaction;
        for facts in statements {
            match facts.transaction {
                TransactionEffect::Begin => inside = true,
                TransactionEffect::None if inside => {}
                _ => return false,
            }
        }
        inside
    }

    /// Makes a batch wait that could make what was deferred last; refuses what would take it out of sight.
    pub(super) fn guard_commit(&self, judged: &mut JudgedBatch) {
        let Some(deferred) = &self.deferred else {
            return;
        };
        // The end of a failed transaction keeps nothing; in one batch with other statements it may not be the end
        // of a failed one any more, since ROLLBACK TO heals it.
        let failed = self.standing.status_known() == TransactionStatus::Failed;
        if failed && statements(judged.steps()) <= 1 {
            return;
        }
        let place = Place {
            status: TransactionStatus::InTransaction,
            extended: judged
                .frames()
                .first()
                .map(abeyance_wire::postgres::Frame::tag)
                != Some(tag::QUERY),
        };
        match lasting(judged) {
            Lasting::No => {}
            Lasting::Elsewhere => judged.guard(Finding::Refused(Refused {
                fields: prepared_elsewhere(),
                place,
            })),
            Lasting::Maybe if deferred.policy != self.snapshot.rules.version() => {
                judged.guard(Finding::Refused(Refused {
                    fields: rules_changed(),
                    place,
                }));
            }
            Lasting::Maybe if deferred.overtaken => {
                judged.guard(Finding::Refused(Refused {
                    fields: meant_otherwise(),
                    place,
                }));
            }
            Lasting::Maybe => {
                let statements = judged.shown().iter().filter_map(Shown::facts);
                let held = Held {
                    rule: deferred.rule.clone(),
                    route: deferred.route.clone(),
                    reasons: deferred.reasons.clone(),
                    statements: statements.cloned().collect(),
                    place,
                    reason: judged.reason().map(str::to_owned),
                    review: Review::Statement,
                    at_commit: true,
                };
                judged.hold_at_commit(held);
            }
        }
    }

    /// Runs a batch that is reviewed with its transaction, and writes down what it did.
    pub(super) async fn run_deferred(&mut self, judged: JudgedBatch) -> Result<(), SessionError> {
        let Some(before) = self.rows_before().await? else {
            // Nobody could say what it changed.
            return Box::pin(self.hold(judged)).await;
        };
        let Finding::Held(held) = judged.finding() else {
            return Err(SessionError::Internal(
                "a batch was deferred without a rule",
            ));
        };
        let statements = match card::statements_each(&held.statements) {
            Ok(statements) => statements,
            Err(fields) => {
                let place = held.place;
                return self.hold_refused(judged, place, None, &fields).await;
            }
        };
        let (rule, route) = (held.rule.clone(), held.route.clone());
        let reasons = held.reasons.clone();
        let shape = self.shape(&judged, held);
        let effects: Vec<bool> = held
            .statements
            .iter()
            .map(|facts| facts.transaction == TransactionEffect::None)
            .collect();
        let bytes: Vec<Vec<u8>> = judged
            .frames()
            .iter()
            .map(|frame| frame.raw().to_vec())
            .collect();
        let readings = readings(judged.steps(), &self.ledger);
        let Ok(cleared) = clear_deferred(judged) else {
            return Err(SessionError::Internal("a deferred batch was not cleared"));
        };
        // Before it runs: what breaks half way has run, too.
        let policy = self.snapshot.rules.version().to_owned();
        let digest = self.deferred.as_ref().map(|deferred| deferred.digest);
        let deferred = self.deferred.get_or_insert_with(|| Deferred {
            rule: rule.clone(),
            route,
            reasons: Vec::new(),
            statements: Vec::new(),
            digest: BindingDigest::over([b"deferred".as_slice()]),
            policy,
            shape: Some(BindingDigest::over([b"deferred".as_slice()])),
            overtaken: false,
        });
        deferred.means(shape);
        for reason in reasons {
            if !deferred.reasons.contains(&reason) {
                deferred.reasons.push(reason);
            }
        }
        tracing::info!(rule, "runs, and waits at its COMMIT");
        let ran = match self.relay(cleared).await {
            Ok(ran) => ran,
            Err(broken) => return Err(broken.error),
        };
        let written = self.rows_so_far().await?.saturating_sub(before);
        if !self.still_means(&readings).await
            && let Some(deferred) = &mut self.deferred
        {
            deferred.overtaken = true;
        }
        self.deferred_ran(statements, &effects, (&ran, written), digest, &bytes);
        Ok(())
    }

    /// Where the server's own counters stand: cascades, triggers, rules and all. `None`: they cannot be had.
    ///
    /// They go on over transactions until the server takes them to its statistics, which it does outside a
    /// transaction alone, and then when it likes or is told to.
    async fn rows_before(&mut self) -> Result<Option<u64>, SessionError> {
        if self.standing.status == TransactionStatus::InTransaction {
            return self.rows_so_far().await.map(Some);
        }
        own_statement(&mut self.target, TAKE_COUNTS)?;
        let limit = self.gateway.limits.exchange_timeout;
        let taken = tokio::time::timeout(limit, self.own_group()).await;
        let taken = taken.map_err(|_| TargetError::Timeout)??;
        Ok(taken.sqlstate.is_none().then_some(0))
    }

    /// The same while the transaction is open; what failed keeps nothing.
    async fn rows_so_far(&mut self) -> Result<u64, SessionError> {
        if self.standing.status != TransactionStatus::InTransaction {
            return Ok(0);
        }
        Ok(self.rows_written(ALL_ROWS).await?.unwrap_or(0))
    }

    fn deferred_ran(
        &mut self,
        statements: Vec<RedactedStatement>,
        effects: &[bool],
        (ran, written): (&Ran, u64),
        before: Option<BindingDigest>,
        bytes: &[Vec<u8>],
    ) {
        // A transaction that failed or ended keeps nothing.
        let Some(deferred) = &mut self.deferred else {
            return;
        };
        let tags = ran.tags();
        let told = |sum: u64, tag: &String| sum.saturating_add(rows_of(tag));
        let mut besides = written.saturating_sub(tags.iter().fold(0, told));
        // Which statement of a batch it was the server does not tell: the last one that ran carries it.
        let last = effects
            .iter()
            .take(tags.len().max(1))
            .rposition(|counts| *counts);
        for (index, (statement, counts)) in statements.into_iter().zip(effects).enumerate() {
            if *counts {
                let rows = tags.get(index).map_or(0, |tag| rows_of(tag));
                let more = if Some(index) == last {
                    std::mem::take(&mut besides)
                } else {
                    0
                };
                deferred.add(statement, rows, more);
            }
        }
        let before = before.map(String::from).unwrap_or_default();
        let parts = std::iter::once(before.as_bytes())
            .chain(bytes.iter().map(Vec::as_slice))
            .chain(tags.iter().map(String::as_bytes));
        deferred.digest = BindingDigest::over(parts);
    }

    /// The COMMIT was not approved: everything is rolled back, as with a COMMIT that fails.
    pub(super) async fn roll_back_deferred(&mut self) -> Result<(), SessionError> {
        self.deferred = None;
        let limit = self.gateway.limits.exchange_timeout;
        own_statement(&mut self.target, "ROLLBACK")?;
        let rolled_back = tokio::time::timeout(limit, self.own_group()).await;
        rolled_back.map_err(|_| TargetError::Timeout)??;
        if self.standing.status != TransactionStatus::Idle {
            return Err(TargetError::Protocol("a transaction could not be rolled back").into());
        }
        self.standing
            .ready(TransactionStatus::Idle, &mut self.ledger);
        self.sight.ran(super::stirs::Stirs::end(), false);
        Ok(())
    }
}
