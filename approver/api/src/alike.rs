//! Holds that are alike, as somebody has to see them who decides them together.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Estimate, HoldId};

/// One of them. What it says never changes: a hold's request and its age are those of its opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlikeHold {
    pub id: HoldId,
    pub created_at: DateTime<Utc>,
    /// Rows it would change, as its card says it.
    pub rows: Estimate,
}

/// A hold, and those that wait and may be decided by whoever saw it: of its shape, agent, target and route, and doing no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alike {
    /// The hold that was asked about, then the others, oldest first; no more than may be decided at once. None when
    /// it is decided.
    pub holds: Vec<AlikeHold>,
    /// How many more there are among those that were looked at, for which one decision has no room.
    pub more: u64,
}
