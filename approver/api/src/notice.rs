//! The outbox for what is said beside the cards: people mentioned under a card, a shift that has
//! changed hands, a chat's group that follows whoever is on call.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ChatKind, HoldId, PersonRef};

/// Where a notice goes. Ids are the vendor's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub enum NoticeTo {
    /// Under a card.
    Thread {
        channel: String,
        message: String,
    },
    Channel {
        channel: String,
    },
    /// Not said but done: the group has these users from now on.
    UserGroup {
        group: String,
    },
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub enum NoticeBody {
    /// These people are asked to decide.
    Asked {
        hold: HoldId,
        /// In words: `schedule dba`.
        who: String,
        people: Vec<PersonRef>,
        expires_at: DateTime<Utc>,
    },
    /// A shift has changed hands.
    HandedOver {
        schedule: String,
        /// Nobody, when the schedule has a gap.
        people: Vec<PersonRef>,
        before: Vec<PersonRef>,
        /// Why these: `layer office, turn 2`.
        because: String,
        until: Option<DateTime<Utc>>,
    },
    /// The users of a group.
    Members { users: Vec<String> },
}

/// A notice that was not delivered yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeTask {
    pub id: Uuid,
    pub chat: ChatKind,
    pub to: NoticeTo,
    pub body: NoticeBody,
    pub made_at: DateTime<Utc>,
    /// A delivery was begun before and never confirmed: look for the message before posting again.
    pub in_doubt: bool,
    /// How often delivery failed in a row.
    pub failures: u32,
}

/// A delivery that did not work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeFailure {
    pub id: Uuid,
    /// The vendor's error, without message content.
    pub error: String,
    /// When to try again; `None` gives up.
    pub retry_in: Option<Duration>,
    /// The message may have arrived.
    pub in_doubt: bool,
}
