//! What is written down about schedules, beside the holds.

use abeyance_api::{PersonId, Surface};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One line of the record that belongs to no hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum OncallEvent {
    OverrideAdded {
        id: Uuid,
        schedule: String,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        people: Vec<PersonId>,
        author: PersonId,
        reason: String,
        surface: Surface,
    },
    OverrideRemoved {
        id: Uuid,
        schedule: String,
        by: PersonId,
        reason: String,
        surface: Surface,
    },
    HandedOver {
        schedule: String,
        people: Vec<PersonId>,
        before: Vec<PersonId>,
        because: String,
    },
}

impl OncallEvent {
    /// The event's name in the store.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::OverrideAdded { .. } => "override_added",
            Self::OverrideRemoved { .. } => "override_removed",
            Self::HandedOver { .. } => "handed_over",
        }
    }
}
