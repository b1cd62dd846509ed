//! What a proxy tells of the statements it judged, held or not: for trying out another policy on them later.
//!
//! One record stands for every statement of one shape that one rule decided alike. Holds no literal (invariant 7): facts
//! are names and shapes. Not an audit record: some may be lost when a proxy dies.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Statements of one shape, by one agent at one target, that one rule of one policy decided alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementRecord {
    pub agent: String,
    pub target: String,
    pub fingerprint: String,
    /// The rule that decided, or `default`.
    pub rule: String,
    /// `allow`, `hold` or `deny`.
    pub decision: String,
    pub policy_version: String,
    /// Pretty-printed, literals and comments out.
    pub text: String,
    /// The facts of the last of them, as JSON.
    pub facts: String,
    /// Rules in shadow mode that matched the last of them, with what they would have decided.
    pub shadow: Vec<ShadowHit>,
    pub count: u64,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
}

/// A rule that was not enforced, and would have decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowHit {
    pub rule: String,
    pub decision: String,
}

/// The most records of one call.
pub const RECORDS_MAX: usize = 64;
/// The longest facts that are recorded, in bytes.
pub const FACTS_BYTES_MAX: usize = 64 * 1024;
