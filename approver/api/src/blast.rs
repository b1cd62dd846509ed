//! What executing a held batch would do, each part with how it is known.
//!
//! Made by the proxy's probes for the reviewer. Holds names and numbers, never a literal
//! (invariant 7). A probe that failed or took too long leaves *unknown*, never zero: every part that
//! can be unknown is an `Option`, or has a variant that says so.

mod stored;
pub mod words;

use serde::{Deserialize, Serialize};

pub(crate) use stored::blast_or_estimate;

/// The blast radius of a held batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blast {
    /// Rows the batch itself changes; for a read, rows it returns.
    pub rows: Estimate,
    /// What foreign keys, TRUNCATE or DROP take along, recursively; `None` when it could not be found out.
    pub cascades: Option<Vec<Cascade>>,
    /// Triggers that would fire: `audit on public.patients: public.audit_row()`. `None`: unknown.
    pub triggers: Option<Vec<String>>,
    /// Locks that are taken and kept until the transaction ends; `None`: unknown.
    pub locks: Option<Vec<Lock>>,
    /// Other sessions that use the locked relations right now in a way that shuts the batch out, or
    /// that wait to: they and the batch cannot go on at the same time. `None`: unknown.
    pub blocks_now: Option<u64>,
    /// Those of `blocks_now` that already hold their lock: the batch would have to wait for them.
    pub waits_for: Option<u64>,
    pub rewrite: Rewrite,
    /// Bytes that are written anew, as the tables are now.
    pub rewrite_bytes: Option<u64>,
    /// How the target would find the rows.
    pub access: Access,
    pub undo: Undo,
    /// It can run inside a transaction, so that a guard can roll it back. `None`: unknown.
    pub transactional: Option<bool>,
    /// Views that read what is changed, or would go with it; `None`: unknown.
    pub views: Option<Vec<String>>,
    /// An approved run that changes more rows than this is rolled back. `None`: no such guard.
    pub rows_cap: Option<u64>,
    /// What kept the probes from knowing more, and what else a reviewer should see.
    pub notes: Vec<String>,
}

impl Blast {
    /// Only a number of rows is known, or why it is not.
    #[must_use]
    pub fn of_rows(rows: Estimate) -> Self {
        Self {
            rows,
            cascades: None,
            triggers: None,
            locks: None,
            blocks_now: None,
            waits_for: None,
            rewrite: Rewrite::Unknown,
            rewrite_bytes: None,
            access: Access::Unknown,
            undo: Undo::Unknown,
            transactional: None,
            views: None,
            rows_cap: None,
            notes: Vec::new(),
        }
    }

    /// Nothing is known, because of `note`.
    #[must_use]
    pub fn unknown(note: impl Into<String>) -> Self {
        Self::of_rows(Estimate::unknown(note))
    }
}

/// A number of rows. A failed probe is unknown, never zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    pub rows: Option<u64>,
    pub source: EstimateSource,
    /// What kept the probe from knowing more, for the reviewer.
    pub note: Option<String>,
}

impl Estimate {
    /// Nothing is known, because of `note`.
    #[must_use]
    pub fn unknown(note: impl Into<String>) -> Self {
        Self {
            rows: None,
            source: EstimateSource::Unknown,
            note: Some(note.into()),
        }
    }

    /// Counted, or plain from the text.
    #[must_use]
    pub fn exact(rows: u64) -> Self {
        Self::known(rows, EstimateSource::Exact)
    }

    /// From the target's statistics.
    #[must_use]
    pub fn estimated(rows: u64) -> Self {
        Self::known(rows, EstimateSource::Estimated)
    }

    /// At most `rows`: so many were counted, and some may be left out.
    #[must_use]
    pub fn at_most(rows: u64) -> Self {
        Self::known(rows, EstimateSource::AtMost)
    }

    /// More than `rows`: counting stopped there.
    #[must_use]
    pub fn more_than(rows: u64) -> Self {
        Self::known(rows, EstimateSource::Bounded)
    }

    fn known(rows: u64, source: EstimateSource) -> Self {
        Self {
            rows: Some(rows),
            source,
            note: None,
        }
    }
}

/// How a number is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EstimateSource {
    /// Counted.
    Exact,
    /// Counted, and possibly fewer: a trigger or a conflict may leave rows out.
    AtMost,
    /// From the target's statistics: the planner's guess.
    Estimated,
    /// More than this many; counting stopped there.
    Bounded,
    Unknown,
}

/// Rows of another table that go or change along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cascade {
    pub relation: String,
    pub action: CascadeAction,
    pub rows: Estimate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CascadeAction {
    Delete,
    SetNull,
    SetDefault,
    Update,
    Truncate,
    Drop,
}

/// A lock that is taken and kept until the transaction ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    pub relation: String,
    /// The mode's name in the manual: `ACCESS EXCLUSIVE`.
    pub mode: String,
}

/// Whether whole tables are written anew, and roughly how long that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rewrite {
    No,
    /// Under about a second.
    Moments,
    Seconds,
    Minutes,
    Hours,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// No rows are looked for.
    NotApplicable,
    Index,
    FullScan,
    Unknown,
}

/// What is left to do once it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Nothing was changed.
    Nothing,
    /// Another statement restores it, and no row was lost.
    Counterpart,
    /// ROLLBACK, until it is committed.
    UntilCommit,
    /// Nothing: it takes effect at once, or outside the database.
    Never,
    Unknown,
}
