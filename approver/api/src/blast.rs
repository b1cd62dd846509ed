//! What executing a held batch would do, each part with how it is known.
//!
//! Made by the proxy's probes for the reviewer. Holds names and numbers, never a literal
//! (invariant 7). A probe that failed or took too long leaves *unknown*, never zero.

use serde::{Deserialize, Serialize};

use crate::Estimate;

/// The blast radius of a held batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blast {
    /// Rows the batch itself changes; for a read, rows it returns.
    pub rows: Estimate,
    /// What foreign keys take along, recursively; `None` when it could not be found out.
    pub cascades: Option<Vec<Cascade>>,
    /// Triggers that would fire: `audit on public.patients: public.audit_row()`. `None`: unknown.
    pub triggers: Option<Vec<String>>,
    pub locks: Vec<Lock>,
    /// Sessions that use the locked relations right now and would wait; `None`: unknown.
    pub blocks_now: Option<u64>,
    pub rewrite: Rewrite,
    /// How the target would find the rows.
    pub access: Access,
    pub undo: Undo,
    /// Views that read what is changed, or would go with it; `None`: unknown.
    pub views: Option<Vec<String>>,
    /// An approved run that changes more rows than this is rolled back. `None`: no such guard.
    pub rows_cap: Option<u64>,
    /// What kept the probes from knowing more, and what else a reviewer should see.
    pub notes: Vec<String>,
}

/// Rows of another table that go or change because of a foreign key.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rewrite {
    No,
    Unknown,
    /// Under about a second.
    Moments,
    Seconds,
    Minutes,
    Hours,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    Unknown,
    /// No rows are looked for.
    NotApplicable,
    Index,
    FullScan,
}

/// What is left to do once it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
