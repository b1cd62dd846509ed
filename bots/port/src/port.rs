//! What a chat vendor implements.

use std::time::Duration;

use abeyance_api::{ChatKind, HoldId, NoticeTask};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::Card;

/// A chat that can show cards. Implementations bound every call in time.
#[async_trait]
pub trait ChatPort: Send + Sync + 'static {
    fn kind(&self) -> ChatKind;

    /// Posts a card and returns the vendor's message id.
    async fn post(&self, channel: &str, card: &Card) -> Result<String, PortError>;

    /// Makes the message show this card. Idempotent.
    async fn update(&self, channel: &str, message: &str, card: &Card) -> Result<(), PortError>;

    /// Looks for a card that an earlier, unconfirmed `post` may have left behind.
    async fn find(
        &self,
        channel: &str,
        hold: &HoldId,
        posted_after: DateTime<Utc>,
    ) -> Result<Option<String>, PortError>;

    /// Says a notice, or does what it asks for.
    async fn notify(&self, _notice: &NoticeTask) -> Result<(), PortError> {
        Err(PortError::Gone {
            error: "this chat has no notices".to_owned(),
        })
    }

    /// Whether an earlier, unconfirmed `notify` left its message behind.
    async fn find_notice(&self, _notice: &NoticeTask) -> Result<bool, PortError> {
        Ok(false)
    }
}

/// Why a chat did not do what it was asked. The text carries no message content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortError {
    /// Asked to slow down.
    RateLimited { retry_after: Duration },
    /// It may or may not have happened: a time-out, a cut connection, an answer nobody understands.
    Doubt { error: String },
    /// It did not happen; trying again may help once somebody has mended something.
    Refused { error: String },
    /// The message is not there any more.
    Gone { error: String },
    /// The chat does not let us look. Only from `find`.
    Blind { error: String },
}

impl PortError {
    /// What to keep in the store.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::RateLimited { retry_after } => {
                format!("rate limited for {} s", retry_after.as_secs())
            }
            Self::Doubt { error }
            | Self::Refused { error }
            | Self::Gone { error }
            | Self::Blind { error } => error.clone(),
        }
    }
}
