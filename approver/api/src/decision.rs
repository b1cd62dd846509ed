//! Who decides, through which surface.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{HoldId, PersonId, PersonRef};

/// What a reviewer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Approve,
    Deny,
}

/// Where a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    Slack,
    Console,
    Cli,
}

/// Who claims to decide, before the server has looked them up. A surface authenticates the
/// claim (signature, log-in); only the server knows what the person may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Claimant {
    /// A Slack user id, from a request whose signature was verified.
    Slack { user: String },
    /// A person logged in to the console or the command line.
    Person { id: PersonId },
}

/// A request to decide one hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    pub hold: HoldId,
    pub claimant: Claimant,
    pub decision: Decision,
    /// In the reviewer's words, at most 500 characters; a denial should have one.
    pub reason: Option<String>,
    pub surface: Surface,
}

/// A decision that counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    pub person: PersonRef,
    pub decision: Decision,
    pub reason: Option<String>,
    pub surface: Surface,
    pub at: DateTime<Utc>,
}
