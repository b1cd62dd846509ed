//! Whom a hold has asked so far, who looks at it, and who is asked next.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Claimant, HoldId, PersonRef, Surface};

/// Where a hold stands among the steps of its route. Empty for a route without steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// Steps that asked somebody, in order.
    pub asked: Vec<AskedStep>,
    /// The step that comes if nobody decides.
    pub next: Option<NextStep>,
    /// Who said that they look, in order.
    pub looks: Vec<LookView>,
}

/// One step that asked somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedStep {
    /// Whom the step names, in words: `schedule dba`.
    pub who: String,
    /// Who that was when it fired.
    pub people: Vec<PersonRef>,
    pub at: DateTime<Utc>,
}

/// A step that has not fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextStep {
    /// Whom it names, in words: `group leads`.
    pub who: String,
    pub at: DateTime<Utc>,
}

/// Somebody said "I'm looking".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookView {
    pub person: PersonRef,
    /// Until then the next step waits for them.
    pub until: DateTime<Utc>,
}

/// A request to put the next step off for a while.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookRequest {
    pub hold: HoldId,
    pub claimant: Claimant,
    pub surface: Surface,
}
