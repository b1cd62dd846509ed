//! Who decides, through which surface.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{DecideError, GrantId, GrantWish, HoldId, HoldView, PersonId, PersonRef};

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
    /// Approves alone, as a member of the route's break-glass group; takes a reason.
    #[serde(default)]
    pub break_glass: bool,
    /// The approval is to hold for the same shape for a while; given when as many wish it as it takes to approve.
    #[serde(default)]
    pub grant: Option<GrantWish>,
    /// By what a surface tells one request from another; the same one, sent again, is not counted twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// One decision on several holds of one shape, agent and target. Each is authorised and recorded by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkDecision {
    /// At most 100, all pending and alike.
    pub holds: Vec<HoldId>,
    pub claimant: Claimant,
    pub decision: Decision,
    pub reason: Option<String>,
    pub surface: Surface,
    /// By what a surface tells one request from another; the same one, sent again, is not counted twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What became of one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkOutcome {
    pub hold: HoldId,
    /// The hold after the vote, or why it did not count.
    pub result: Result<Box<HoldView>, DecideError>,
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
    /// Alone, in an emergency.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// With the wish that it holds for the same shape for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<GrantWish>,
    /// Not cast for this hold, but for the one that gave this grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_grant: Option<GrantId>,
}
