//! The proof that a batch may go upstream (invariant 2).
//!
//! A [`Cleared`] can be made in three ways only: every statement was judged allow, a permit covers exactly these
//! bytes, or nothing of it can last without a permit for its COMMIT (`deferred`). The one function that writes a batch takes it by value.

use abeyance_api::{BindingDigest, HoldId, Permit};
use abeyance_policy::Review;
use abeyance_sql::{StatementClass, StatementFacts};
use abeyance_wire::postgres::Frame;

use super::{
    bracket::{Cap, lifts},
    judge::{Finding, JudgedBatch, Shown, Step},
    ledger::Clearance,
    stirs::Stirs,
    ticket::Drift,
};

/// A batch that may run, once.
#[derive(Debug)]
pub(crate) struct Cleared {
    frames: Vec<Frame>,
    steps: Vec<Step>,
    hold: Option<HoldId>,
    reading_doubt: bool,
    unseen: bool,
    stirs: Stirs,
    drift: Drift,
    cap: Option<Cap>,
    /// Something in it is no plain read.
    writes: bool,
    /// It is one statement, and that cannot run inside a transaction.
    alone: bool,
    /// It changes rows, and nothing else.
    rows_alone: bool,
    /// All of it is known to run as well inside a transaction.
    encloses: bool,
}

/// The permit is for something else.
#[derive(Debug, thiserror::Error)]
#[error("the permit does not cover this batch")]
pub(crate) struct NotCovered;

impl Cleared {
    pub(crate) fn clearance(&self) -> Clearance {
        self.hold
            .clone()
            .map_or(Clearance::Allowed, Clearance::Permitted)
    }

    pub(crate) fn reading_doubt(&self) -> bool {
        self.reading_doubt
    }

    pub(crate) fn runs_unseen_code(&self) -> bool {
        self.unseen
    }

    /// What it may change about the meaning of names.
    pub(crate) fn stirs(&self) -> Stirs {
        self.stirs
    }

    /// What it may do to the way later batches are read.
    pub(crate) fn drift(&self) -> Drift {
        self.drift
    }

    /// How many rows it may change.
    pub(crate) fn cap(&self) -> Option<&Cap> {
        self.cap.as_ref()
    }

    /// Something in it is no plain read.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    /// It is one statement, and that cannot run inside a transaction.
    pub(crate) fn alone(&self) -> bool {
        self.alone
    }

    /// It changes rows, and no definitions.
    pub(crate) fn changes_rows_alone(&self) -> bool {
        self.rows_alone
    }

    /// An approved change of rows that may be put into a transaction of ours.
    pub(crate) fn encloses(&self) -> bool {
        self.hold.is_some() && self.rows_alone && self.encloses
    }

    /// The hold whose permit it has.
    pub(crate) fn hold(&self) -> Option<&HoldId> {
        self.hold.as_ref()
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// For the writer, which spends the proof.
    pub(super) fn into_parts(self) -> (Vec<Frame>, Vec<Step>) {
        (self.frames, self.steps)
    }
}

/// Clears a batch whose every statement is allowed; gives back any other.
pub(crate) fn clear_allowed(judged: JudgedBatch) -> Result<Cleared, Box<JudgedBatch>> {
    match judged.finding() {
        Finding::Allowed => {
            let cap = judged.rows_max().map(|(rule, rows)| Cap::Ruled {
                rule: rule.to_owned(),
                rows,
            });
            Ok(clear(judged, None, cap))
        }
        Finding::Held(_) | Finding::Refused(_) => Err(Box::new(judged)),
    }
}

/// Clears a held batch with the permit that was claimed for it. `binding` is computed anew from what
/// is about to be written; `rows_cap` is what reviewers were shown.
pub(crate) fn clear_permitted(
    judged: JudgedBatch,
    binding: BindingDigest,
    permit: Permit,
    rows_cap: Option<u64>,
) -> Result<Cleared, NotCovered> {
    match judged.finding() {
        // Rules that became laxer while it waited do not spoil the approval.
        Finding::Held(_) | Finding::Allowed if permit.covers(binding) => {
            let hold = permit.hold().clone();
            drop(permit);
            let cap = rows_cap.map(|rows| Cap::Approved {
                hold: hold.clone(),
                rows,
            });
            Ok(clear(judged, Some(hold), cap))
        }
        Finding::Allowed | Finding::Held(_) | Finding::Refused(_) => Err(NotCovered),
    }
}

/// Clears a batch that may run inside its transaction, which cannot end well without a permit.
pub(crate) fn clear_deferred(judged: JudgedBatch) -> Result<Cleared, Box<JudgedBatch>> {
    match judged.finding() {
        Finding::Held(held) if held.review == Review::Commit && !held.at_commit => {
            let cap = judged.rows_max().map(|(rule, rows)| Cap::Ruled {
                rule: rule.to_owned(),
                rows,
            });
            Ok(clear(judged, None, cap))
        }
        Finding::Allowed | Finding::Held(_) | Finding::Refused(_) => Err(Box::new(judged)),
    }
}

fn clear(judged: JudgedBatch, hold: Option<HoldId>, cap: Option<Cap>) -> Cleared {
    let reading_doubt = judged.reading_doubt();
    let unseen = judged.runs_unseen_code();
    let stirs = judged.stirs();
    let facts = || judged.shown().iter().filter_map(Shown::facts);
    let writes = facts().any(lifts);
    let alone = facts().count() == 1 && facts().all(|facts| !facts.impact.transactional);
    let rows_alone = writes && facts().all(changes_rows_at_most);
    let encloses =
        facts().all(|facts| facts.is_certain() && facts.kinds.iter().all(|kind| is_of_rows(kind)));
    let drift = Drift::by(&judged);
    let (batch, steps, _) = judged.into_parts();
    Cleared {
        frames: batch.into_frames(),
        steps,
        hold,
        reading_doubt,
        unseen,
        stirs,
        drift,
        cap,
        writes,
        alone,
        rows_alone,
        encloses,
    }
}

/// It takes no lock that keeps others from looking at definitions.
fn changes_rows_at_most(facts: &StatementFacts) -> bool {
    let rows = |class: &StatementClass| match class {
        StatementClass::Read
        | StatementClass::Write
        | StatementClass::Copy
        | StatementClass::Transaction
        | StatementClass::Session
        | StatementClass::Unvouched => true,
        StatementClass::Ddl
        | StatementClass::SessionRisk
        | StatementClass::Utility
        | StatementClass::Opaque => false,
    };
    facts.opaque.is_none() && facts.alters.is_empty() && facts.classes.iter().all(rows)
}

fn is_of_rows(kind: &str) -> bool {
    matches!(kind, "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE")
}
