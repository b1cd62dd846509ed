//! Exceptions from schedules: who stands in, from when until when, by whose word.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Claimant, DecideError, DeskError, PersonId, Surface};

/// Somebody stands in on a schedule. Half-open: `from` is in it, `until` is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    pub id: Uuid,
    pub schedule: String,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub people: Vec<PersonId>,
    pub author: PersonId,
    pub reason: String,
    /// Of two that cover a moment, the one made last counts.
    pub made_at: DateTime<Utc>,
}

/// A request for one or, for a swap, two overrides; all or none of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    pub schedule: String,
    pub spans: Vec<OverrideSpan>,
    pub reason: String,
    pub claimant: Claimant,
    pub surface: Surface,
}

/// Who stands in when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideSpan {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub people: Vec<PersonId>,
}

/// A request to take an override back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideRemoval {
    pub id: Uuid,
    pub reason: String,
    pub claimant: Claimant,
    pub surface: Surface,
}

/// What surfaces ask of the approver about schedules.
#[async_trait]
pub trait OncallDesk: Send + Sync + 'static {
    /// Overrides that end after `since`, in the order they were made.
    async fn overrides(&self, since: DateTime<Utc>) -> Result<Vec<Override>, DeskError>;
    /// Makes all of the spans or none. The server looks the claimant up and authorises them now.
    async fn override_add(&self, request: OverrideRequest) -> Result<Vec<Override>, DecideError>;
    /// Takes one back; it stays in the record.
    async fn override_remove(&self, removal: OverrideRemoval) -> Result<(), DecideError>;
}
