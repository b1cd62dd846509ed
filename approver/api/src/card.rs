//! The outbox between holds and chat: a card is a projection of a hold.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{HoldId, HoldView};

/// Which chat a card lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    Slack,
}

impl ChatKind {
    /// The name used in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
        }
    }
}

/// A card that does not show its hold's latest state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardTask {
    pub chat: ChatKind,
    /// The vendor's channel id.
    pub channel: String,
    pub hold: HoldView,
    /// The vendor's message id (`ts` on Slack) once the card was posted.
    pub message: Option<String>,
    /// A delivery was begun before and never confirmed: look for the message before posting again.
    pub in_doubt: bool,
    /// How often delivery failed in a row.
    pub failures: u32,
}

/// A delivery that worked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardReceipt {
    pub chat: ChatKind,
    pub hold: HoldId,
    pub channel: String,
    pub message: String,
    /// The hold version that was rendered.
    pub version: u64,
}

/// A delivery that did not work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardFailure {
    pub chat: ChatKind,
    pub hold: HoldId,
    pub channel: String,
    /// The hold version that was rendered.
    pub version: u64,
    /// The vendor's error, without message content.
    pub error: String,
    /// When to try again (from `Retry-After`, or a backoff); `None` gives up on this card.
    pub retry_in: Option<Duration>,
    /// The message may have arrived (time-out after sending).
    pub in_doubt: bool,
}
