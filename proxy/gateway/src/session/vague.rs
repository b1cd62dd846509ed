//! What verdicts may rest on besides texts and names: the moment, and what the target says that a batch would do.
//!
//! A batch is judged without its blast radius first, and an allow stands. Only what would wait or be refused, under
//! rules that ask for it, is probed and judged again. What the probe did not find out stays unknown.

use abeyance_api::{self as api, Estimate, EstimateSource};
use abeyance_policy::{Blast, Decision, Moment};
use abeyance_wire::postgres::TransactionStatus;

use super::{
    Session,
    judge::{JudgedBatch, Shown},
};
use crate::error::SessionError;

impl Session {
    /// This session now, with a batch of so many statements.
    pub(super) fn moment(&self, count: u64) -> Moment<'_> {
        let now = self.gateway.clock.now();
        let identity = &self.identity;
        Moment {
            in_transaction: Some(self.client_status() != TransactionStatus::Idle),
            application_name: Some(identity.application_name.as_deref().unwrap_or_default()),
            client_addr: Some(without_port(&identity.client_addr)),
            session_age: (now - identity.started_at).to_std().ok(),
            statements_in_batch: Some(count),
            ..Moment::at(now)
        }
    }

    /// Whether the blast radius may change the verdict: some rule asks for it, and a rule or the default holds or
    /// denies a statement.
    pub(super) fn wants_blast(&self, judged: &JudgedBatch) -> bool {
        let mut verdicts = judged.shown().iter().filter_map(Shown::verdict);
        self.snapshot.rules.needs_blast()
            && verdicts.any(|verdict| verdict.decision != Decision::Allow)
    }

    /// Judges a batch again, each statement with what it would do.
    pub(super) async fn examine_with_blast(
        &mut self,
        judged: JudgedBatch,
    ) -> Result<JudgedBatch, SessionError> {
        let shown = judged.shown();
        let facts: Vec<_> = shown.iter().filter_map(Shown::facts).cloned().collect();
        let radius = self.blast_of(shown, &facts).await?;
        let known: Vec<Option<Blast>> = radius
            .each
            .iter()
            .map(|blast| blast.as_ref().map(for_rules))
            .collect();
        let (batch, _, _) = judged.into_parts();
        let judged = self.examine(batch, &known).await?;
        if judged.shown().iter().filter_map(Shown::facts).eq(&facts) {
            return Ok(judged.with_blast(radius.whole));
        }
        // What was asked about is not what would run now.
        let (batch, _, _) = judged.into_parts();
        self.examine(batch, &[]).await
    }
}

/// What rules may rest on. A planner's guess is not knowledge: numbers count when they were counted.
fn for_rules(blast: &api::Blast) -> Blast {
    let cascades = blast.cascades.as_ref().map(|cascades| {
        let mut rows = cascades.iter().map(|cascade| counted(&cascade.rows));
        rows.try_fold(0u64, |sum, rows| Some(sum.saturating_add(rows?)))
    });
    Blast {
        rows: counted(&blast.rows),
        cascade_rows: cascades.flatten(),
        blocked_sessions: blast.blocks_now,
        rewrites: match blast.rewrite {
            api::blast::Rewrite::No => Some(false),
            api::blast::Rewrite::Unknown => None,
            api::blast::Rewrite::Moments
            | api::blast::Rewrite::Seconds
            | api::blast::Rewrite::Minutes
            | api::blast::Rewrite::Hours => Some(true),
        },
        full_scan: match blast.access {
            api::blast::Access::Unknown => None,
            api::blast::Access::FullScan => Some(true),
            api::blast::Access::Index | api::blast::Access::NotApplicable => Some(false),
        },
        reversible: match blast.undo {
            api::blast::Undo::Unknown => None,
            api::blast::Undo::Nothing | api::blast::Undo::Counterpart => Some(true),
            api::blast::Undo::UntilCommit | api::blast::Undo::Never => Some(false),
        },
        transactional: blast.transactional,
    }
}

/// Rows, where they were counted. Of "at most" the most counts; of "more than" nobody knows how many: more than any
/// rule asks about.
fn counted(estimate: &Estimate) -> Option<u64> {
    match estimate.source {
        EstimateSource::Exact | EstimateSource::AtMost => estimate.rows,
        EstimateSource::Bounded => Some(u64::MAX),
        EstimateSource::Estimated | EstimateSource::Unknown => None,
    }
}

/// The address of `address:port`.
fn without_port(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, _)) if address.parse::<std::net::SocketAddr>().is_ok() => {
            host.trim_start_matches('[').trim_end_matches(']')
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_not_knowledge() {
        let rows = |estimate| for_rules(&api::Blast::of_rows(estimate)).rows;
        assert_eq!(rows(Estimate::exact(5)), Some(5));
        assert_eq!(rows(Estimate::at_most(5)), Some(5));
        assert_eq!(rows(Estimate::more_than(5)), Some(u64::MAX));
        assert_eq!(rows(Estimate::estimated(5)), None);
        let nothing = for_rules(&api::Blast::unknown("timeout"));
        assert_eq!(nothing, Blast::default());
    }

    #[test]
    fn addresses_lose_their_port() {
        assert_eq!(without_port("10.0.0.1:99"), "10.0.0.1");
        assert_eq!(without_port("[::1]:99"), "::1");
        assert_eq!(without_port("::1"), "::1");
    }
}
