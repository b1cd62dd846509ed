//! Looking at the record: what waits, what was decided, and how one hold went.
//!
//! Every look names who looks. The server looks them up now and shows a person of the roster what the console
//! shows them: redacted text, names, times. Strangers get nothing, not even whether something exists.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Claimant, DecideError, HoldId, HoldView, PersonRef};

/// Somebody as people name them. The server knows who is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Named {
    /// By the name in the configuration.
    Name { name: String },
    /// By a Slack user id.
    Slack { user: String },
}

/// Which holds to find.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldSearch {
    pub claimant: Claimant,
    pub which: Which,
    #[serde(default)]
    pub agent: Option<String>,
    #[serde(default)]
    pub target: Option<String>,
    /// Only those this person has voted on.
    #[serde(default)]
    pub person: Option<Named>,
    /// At most this many; the server has a cap of its own.
    pub limit: u32,
}

/// What a search is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "which", rename_all = "snake_case", deny_unknown_fields)]
pub enum Which {
    /// Those that wait; what ends first comes first.
    Waiting,
    /// Those that were decided, expired or were taken back since then; the latest comes first.
    Decided { since: DateTime<Utc> },
}

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldsFound {
    pub holds: Vec<HoldView>,
    /// How many there are altogether.
    pub total: u64,
}

/// A hold, and everything that is written down about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldHistory {
    pub hold: HoldView,
    /// Oldest first.
    pub lines: Vec<RecordLine>,
}

/// One event of the record as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    pub at: DateTime<Utc>,
    pub text: String,
    /// Somebody's own words.
    pub quote: Option<String>,
}

/// What people ask of the record.
#[async_trait]
pub trait RecordDesk: Send + Sync + 'static {
    /// Who somebody is, at this moment.
    async fn person(&self, claimant: &Claimant) -> Result<PersonRef, DecideError>;
    /// Finds holds.
    async fn holds_search(&self, search: HoldSearch) -> Result<HoldsFound, DecideError>;
    /// One hold with its history.
    async fn hold_history(
        &self,
        id: &HoldId,
        claimant: &Claimant,
    ) -> Result<HoldHistory, DecideError>;
}
