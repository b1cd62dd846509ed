//! Reads what `EXPLAIN (VERBOSE, FORMAT JSON)` says: the relations, writes and functions the target
//! would really touch, and how many rows it expects.
//!
//! Pure: it knows the shape of plans, neither who asked for one nor what was expected of it. Nothing of
//! it is shown that could hold a literal: conditions and outputs are not read (invariant 7). Size, depth
//! and nodes are bounded (invariant 10), and a node that is not known is reported as such, so that whoever
//! compares can doubt it.

mod compare;
mod node;

use std::collections::BTreeSet;

use serde_json::Value;

pub use self::compare::{Surprise, enlightened, unvouched};
use crate::{FunctionName, RelationName};

/// How to ask: put before the statement.
pub const EXPLAIN_PREFIX: &str = "EXPLAIN (VERBOSE, FORMAT JSON) ";

/// The longest plan that is read, in bytes.
pub const PLAN_BYTES_MAX: usize = 1024 * 1024;
/// Nodes of all plans of a statement together.
pub const PLAN_NODES_MAX: usize = 20_000;

/// What came back is no plan that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the plan is longer than {PLAN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the plan has more than {PLAN_NODES_MAX} nodes")]
    TooManyNodes,
    /// Also a plan that is nested too deeply to be read.
    #[error("the plan has a shape that is not known")]
    Shape,
}

/// What a statement comes to. Rules can make several plans of one statement, or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explained {
    pub plans: Vec<Plan>,
    /// A rule turned it into something that has no plan: NOTIFY, say.
    pub utilities: usize,
}

/// One plan, its nodes flattened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Rows it returns, as planned; 0 for a write that returns none.
    pub rows: u64,
    /// The planner's cost of all of it.
    pub cost: f64,
    /// Where rows come from, each place once for every time it is scanned.
    pub scans: Vec<Scan>,
    pub writes: Vec<PlannedWrite>,
    /// Functions that stand alone in FROM. Those in expressions, and several in one `ROWS FROM`, are
    /// not in a plan by name.
    pub functions: BTreeSet<FunctionName>,
    /// Nodes that are not known, and those of extensions.
    pub unknown: BTreeSet<String>,
    /// A condition is false whatever the rows are, so parts were left out: with other constants there
    /// may be more. Partitions that are left out do not count.
    pub pruned: bool,
}

/// Rows of one relation that are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    pub relation: RelationName,
    pub method: ScanMethod,
    /// Rows that are left after its conditions, as planned.
    pub rows: u64,
    /// It has conditions of its own: on an index, or on each row.
    pub filtered: bool,
}

/// How a relation's rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanMethod {
    /// Every row is looked at, in whatever order.
    Full,
    /// By index, or by the rows' own places.
    Index,
    /// TABLESAMPLE.
    Sample,
    /// On another server.
    Foreign,
}

/// A ModifyTable.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedWrite {
    pub operation: Operation,
    /// The table that is named: the parent of partitions and children.
    pub target: RelationName,
    /// Every table whose rows would be changed. For INSERT into a partitioned table only that one.
    pub tables: BTreeSet<RelationName>,
    /// Rows that reach it, as planned.
    pub rows: u64,
    /// All rows of one of its tables are looked at in order to find them.
    pub full_scan: bool,
}

/// What a ModifyTable does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Insert,
    Update,
    Delete,
    Merge,
}

impl Operation {
    /// The statement's name: `INSERT`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Merge => "MERGE",
        }
    }
}

impl Explained {
    /// Reads the one value EXPLAIN returned.
    ///
    /// # Errors
    /// When it is over a bound, or not shaped as a plan.
    pub fn from_json(json: &[u8]) -> Result<Self, PlanError> {
        if json.len() > PLAN_BYTES_MAX {
            return Err(PlanError::TooLong);
        }
        // serde_json refuses more than 128 levels: about 60 nodes inside one another.
        let Ok(Value::Array(entries)) = serde_json::from_slice(json) else {
            return Err(PlanError::Shape);
        };
        let mut explained = Self::default();
        let mut nodes_left = PLAN_NODES_MAX;
        for entry in &entries {
            match entry {
                Value::Object(entry) => {
                    let top = entry.get("Plan").ok_or(PlanError::Shape)?;
                    explained.plans.push(node::plan(top, &mut nodes_left)?);
                }
                Value::String(_) => explained.utilities += 1,
                _ => return Err(PlanError::Shape),
            }
        }
        Ok(explained)
    }

    pub fn scans(&self) -> impl Iterator<Item = &Scan> {
        self.plans.iter().flat_map(|plan| &plan.scans)
    }

    pub fn writes(&self) -> impl Iterator<Item = &PlannedWrite> {
        self.plans.iter().flat_map(|plan| &plan.writes)
    }

    pub fn functions(&self) -> impl Iterator<Item = &FunctionName> {
        self.plans.iter().flat_map(|plan| &plan.functions)
    }

    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.plans
            .iter()
            .flat_map(|plan| plan.unknown.iter().map(String::as_str))
    }

    /// Constants let the planner leave parts out.
    #[must_use]
    pub fn pruned(&self) -> bool {
        self.plans.iter().any(|plan| plan.pruned)
    }

    /// Rows that would be changed, or for a read rows that would be returned; `None` when nothing is
    /// planned. Rows that MERGE may change are counted as changed.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let changed = self.writes().map(|write| write.rows);
        changed.reduce(u64::saturating_add).or_else(|| {
            let returned = self.plans.iter().map(|plan| plan.rows);
            returned.reduce(u64::saturating_add)
        })
    }

    /// The planner's cost of all plans.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.plans.iter().map(|plan| plan.cost).sum()
    }
}

#[cfg(test)]
mod tests;
