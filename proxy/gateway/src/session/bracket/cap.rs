//! How many rows a batch may change, and how many it did, by the server's own command tags.
//!
//! Rows that cascades and triggers change besides are not in the tags, and not counted.

use abeyance_api::{Blast, Estimate, EstimateSource, HoldId};
use abeyance_sql::{StatementClass, StatementFacts, TransactionEffect};
use abeyance_wire::postgres::{ErrorFields, SqlState, backend::CommandTag};

use crate::session::{
    Session,
    judge::{Held, JudgedBatch},
};

/// What is added at least to an estimate before it becomes a cap: small estimates are off by more than a factor.
const SLACK_ROWS: u64 = 100;

/// The most rows a run may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cap {
    /// Of an approved batch, over all its statements.
    Approved { hold: HoldId, rows: u64 },
    /// Of each statement that a rule lets pass.
    Ruled { rule: String, rows: u64 },
}

/// The cap an approval carries: the exact count, or the estimate with tolerance; never more than the rule's own.
/// Unknown, or only known to be large, is no cap.
fn cap_for(rows: &Estimate, tolerance: f64, rows_max: Option<u64>) -> Option<u64> {
    let shown = match (rows.source, rows.rows) {
        (EstimateSource::Exact | EstimateSource::AtMost, Some(rows)) => Some(rows),
        (EstimateSource::Estimated, Some(rows)) => Some(tolerated(rows, tolerance)),
        (EstimateSource::Bounded | EstimateSource::Unknown, _) | (_, None) => None,
    };
    match (shown, rows_max) {
        (Some(shown), Some(max)) => Some(shown.min(max)),
        (shown, max) => shown.or(max),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a cap is rough; casts from floats saturate"
)]
fn tolerated(rows: u64, tolerance: f64) -> u64 {
    let scaled = (rows as f64 * tolerance.max(1.0)).ceil() as u64;
    scaled.max(rows.saturating_add(SLACK_ROWS))
}

/// Whether a rule's cap on rows applies: not to reads, nor to what changes definitions or files at once.
pub(crate) fn changes_rows(facts: &StatementFacts) -> bool {
    changes(Some(facts)) && (facts.impact.transactional || facts.opaque.is_some())
}

/// Why no cap can guard a batch of these statements; `None` when one can.
fn uncappable(statements: &[StatementFacts]) -> Option<&'static str> {
    let opaque = |facts: &StatementFacts| facts.opaque.is_some() && facts.refers_to.is_none();
    if statements.iter().any(opaque) {
        return Some("no row cap: what it does is not understood");
    }
    let at_once = |facts: &StatementFacts| {
        facts.transaction == TransactionEffect::None && !facts.impact.transactional
    };
    if statements.iter().any(at_once) {
        return Some("no row cap and no way back: it cannot run inside a transaction");
    }
    None
}

impl Session {
    /// Puts the cap of an approval into what reviewers are shown, or why there is none.
    pub(in crate::session) fn guard(&self, blast: &mut Blast, judged: &JudgedBatch, held: &Held) {
        if !held.statements.iter().any(|facts| changes(Some(facts))) {
            return;
        }
        if let Some(note) = uncappable(&held.statements) {
            blast.notes.push(note.to_owned());
            return;
        }
        let tolerance = self.gateway.limits.rows_tolerance;
        let rows_max = judged.rows_max().map(|(_, rows)| rows);
        blast.rows_cap = cap_for(&blast.rows, tolerance, rows_max);
    }
}

/// Rows changed so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    total: u64,
    /// Of the last statement.
    last: u64,
}

impl Tally {
    /// Takes a completed statement's tag; `written` is what the target counted, where it was asked.
    pub(super) fn add(&mut self, tag: &CommandTag, changes: bool, written: Option<u64>) {
        let verb = tag.as_str().split(' ').next().unwrap_or_default();
        let counts = match verb {
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" => true,
            // CREATE TABLE AS and SELECT INTO say SELECT; so does a read whose CTE writes.
            "SELECT" | "COPY" | "FETCH" => changes,
            _ => false,
        };
        let told = if counts { tag.rows().unwrap_or(0) } else { 0 };
        // The target's own count is better than that of rows returned.
        self.last = match written {
            Some(written) if matches!(verb, "SELECT" | "FETCH") => written,
            written => told.max(written.unwrap_or(0)),
        };
        self.total = self.total.saturating_add(self.last);
    }

    /// Takes what the target counted of a command that told nothing itself.
    pub(super) fn add_counted(&mut self, written: u64) {
        self.last = written;
        self.total = self.total.saturating_add(written);
    }

    /// The refusal of what changed nobody knows how many rows.
    pub(super) fn uncounted(cap: &Cap) -> (ErrorFields, String) {
        let (Cap::Approved { rows, .. } | Cap::Ruled { rows, .. }) = cap;
        let line = format!(
            "rows that nobody could count were changed under a cap of {rows}; everything was rolled back"
        );
        let fields = ErrorFields::error(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("it may change {rows} rows, and the target does not count them while some of what it returns is still to come"),
        )
        .detail("Nothing was kept.")
        .hint("Execute it without a limit on rows.");
        (fields, line)
    }

    /// The refusal, when a cap is exceeded, and the same in a line for the record.
    pub(super) fn exceeds(self, cap: &Cap) -> Option<(ErrorFields, String)> {
        let (changed, rows, whose) = match cap {
            Cap::Approved { hold, rows } => (self.total, *rows, format!("{hold}'s approval")),
            Cap::Ruled { rule, rows } => (self.last, *rows, format!("rule \"{rule}\"")),
        };
        if changed <= rows {
            return None;
        }
        let line = format!(
            "changed {changed} rows, more than the cap of {rows}; everything was rolled back"
        );
        // 54000, program limit exceeded: no driver takes it for a reason to try again.
        let fields = ErrorFields::error(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("{whose} covers {rows} rows, and {changed} were changed: everything was rolled back"),
        )
        .detail(format!("Rows changed: {changed}. Cap: {rows}. Nothing was kept."))
        .hint("Narrow the statement down, or ask again: the next approval is for the rows it shows then.");
        Some((fields, line))
    }
}

/// Whether a SELECT, FETCH or COPY tag of this statement may count changed rows.
pub(super) fn changes(facts: Option<&StatementFacts>) -> bool {
    let Some(facts) = facts else { return true };
    let writes = [
        StatementClass::Write,
        StatementClass::Ddl,
        StatementClass::Opaque,
    ];
    !facts.writes.is_empty()
        || !facts.alters.is_empty()
        || writes.iter().any(|class| facts.classes.contains(class))
}

#[cfg(test)]
mod tests {
    use abeyance_sql::{ReadOptions, analyse};
    use abeyance_wire::postgres::WireStr;

    use super::*;

    fn estimate(rows: Option<u64>, source: EstimateSource) -> Estimate {
        Estimate {
            rows,
            source,
            note: None,
        }
    }

    #[test]
    fn a_cap_is_what_was_shown_with_tolerance() {
        use EstimateSource::{AtMost, Bounded, Estimated, Exact, Unknown};
        for (rows, source, max, expected) in [
            (Some(12), Exact, None, Some(12)),
            (Some(0), Exact, None, Some(0)),
            (Some(3), AtMost, None, Some(3)),
            (Some(12), Estimated, None, Some(112)),
            (Some(5000), Estimated, None, Some(10_000)),
            (Some(5000), Estimated, Some(600), Some(600)),
            (Some(5000), Bounded, None, None),
            (Some(5000), Bounded, Some(9), Some(9)),
            (None, Unknown, None, None),
            (Some(u64::MAX), Estimated, None, Some(u64::MAX)),
        ] {
            assert_eq!(
                cap_for(&estimate(rows, source), 2.0, max),
                expected,
                "{rows:?} {source:?}"
            );
        }
    }

    #[test]
    fn rows_that_are_only_returned_do_not_count() {
        let mut tally = Tally::default();
        for (tag, changes) in [
            ("SELECT 50", false),
            ("DELETE 3", true),
            ("INSERT 0 4", true),
            ("COPY 9", false),
        ] {
            tally.add(&CommandTag::new(WireStr::from_static(tag)), changes, None);
        }
        assert_eq!(tally.total, 7);
        let cap = |rows| Cap::Approved {
            hold: "HLD-7K3Q".parse().unwrap(),
            rows,
        };
        assert!(tally.exceeds(&cap(7)).is_none());
        let (fields, line) = tally.exceeds(&cap(6)).unwrap();
        assert_eq!(fields.sqlstate(), Some(SqlState::PROGRAM_LIMIT_EXCEEDED));
        assert_eq!(
            line,
            "changed 7 rows, more than the cap of 6; everything was rolled back"
        );
    }

    #[test]
    fn what_cannot_be_rolled_back_has_no_cap() {
        for (sql, capped) in [
            ("DELETE FROM rooms", true),
            ("VACUUM rooms", false),
            ("CREATE INDEX CONCURRENTLY i ON rooms (beds)", false),
            ("DO $$ BEGIN DELETE FROM rooms; END $$", false),
            ("DELETE FROM rooms; SELECT 1", true),
        ] {
            let facts = analyse(sql.as_bytes(), ReadOptions::default()).statements;
            assert_eq!(uncappable(&facts).is_none(), capped, "{sql}");
        }
    }
}
