//! Grants: an approval that holds for a while, for statements of one shape.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Claimant, DecideError, DeskError, HoldId, InvalidId, PersonRef, Surface};

/// A grant as people see and type it: `GRT-7K3Q`, after the hold `HLD-7K3Q` it was given with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GrantId(String);

impl GrantId {
    /// A hold gives at most one grant.
    #[must_use]
    pub fn of(hold: &HoldId) -> Self {
        let suffix = hold.as_str().trim_start_matches("HLD-");
        Self(format!("GRT-{suffix}"))
    }

    /// The hold it was given with.
    ///
    /// # Errors
    /// Never for an id that was read.
    pub fn hold(&self) -> Result<HoldId, InvalidId> {
        self.0.trim_start_matches("GRT-").parse()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GrantId {
    type Err = InvalidId;

    /// Accepts what people type: any case, with or without the `GRT-` prefix.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let upper = text.trim().to_ascii_uppercase();
        let suffix = upper.strip_prefix("GRT-").unwrap_or(&upper);
        let hold: HoldId = suffix.parse().map_err(|_| InvalidId {
            what: "grant id",
            expected: "something like GRT-7K3Q",
        })?;
        Ok(Self::of(&hold))
    }
}

impl TryFrom<String> for GrantId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<GrantId> for String {
    fn from(id: GrantId) -> Self {
        id.0
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a reviewer adds to an approval: the same shape may run again for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantWish {
    pub minutes: u32,
    /// How often it may be used, after this one.
    pub uses: u32,
}

/// Everything a surface may show of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantView {
    pub id: GrantId,
    /// The hold it was given with.
    pub hold: HoldId,
    pub agent: String,
    pub target: String,
    pub database: String,
    pub route: String,
    /// The statements' shapes, in order.
    pub fingerprints: Vec<String>,
    /// The first statement, redacted.
    pub statement: String,
    /// The most rows each use may change.
    pub rows_cap: Option<u64>,
    pub uses: u32,
    pub used: u32,
    pub by: Vec<PersonRef>,
    pub made_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub revoked: Option<Revoked>,
    /// It can still be used.
    pub active: bool,
}

/// Who ended a grant early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    pub by: PersonRef,
    pub reason: Option<String>,
    pub at: DateTime<Utc>,
}

/// A request to end a grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRevocation {
    pub id: GrantId,
    pub claimant: Claimant,
    pub reason: Option<String>,
    pub surface: Surface,
}

/// What surfaces ask of the approver about grants.
#[async_trait]
pub trait GrantDesk: Send + Sync + 'static {
    /// Newest first; only those that can still be used when `active_only`.
    async fn grants(&self, active_only: bool) -> Result<Vec<GrantView>, DeskError>;
    /// Ends a grant: the next statement of its shape is held again. The server looks the claimant up and
    /// authorises them now.
    async fn grant_revoke(&self, revocation: GrantRevocation) -> Result<GrantView, DecideError>;
}
