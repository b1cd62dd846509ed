//! Cards in Slack: what the reconciler calls.

use std::sync::Arc;

use abeyance_api::{ChatKind, HoldId};
use abeyance_chat::{Card, ChatPort, PortError};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use slack_morphism::prelude::*;
use url::Url;

use crate::{
    CallError,
    api::{Content, PastMessage, SlackApi},
    blocks,
    complaints::Complaints,
    identity::Identity,
    limits,
};

/// Marks our cards, so that one whose posting was never confirmed can be found again.
const EVENT_TYPE: &str = "abeyance_hold";

#[derive(Clone)]
pub(crate) struct SlackPort {
    pub api: Arc<SlackApi>,
    pub identity: Arc<Identity>,
    pub complaints: Arc<Complaints>,
    pub console: Option<Url>,
}

impl SlackPort {
    fn content(&self, card: &Card, blocks: Vec<SlackBlock>) -> Content {
        let payload = [("hold".to_owned(), card.hold.to_string())].into();
        Content {
            text: blocks::fallback(card),
            blocks,
            metadata: Some(
                SlackMessageMetadata::new(EVENT_TYPE.to_owned()).with_event_payload(payload),
            ),
        }
    }

    fn full(&self, card: &Card) -> Content {
        self.content(card, blocks::blocks(card, self.console.as_ref()))
    }

    fn minimal(&self, card: &Card) -> Content {
        self.content(card, blocks::minimal_blocks(card, self.console.as_ref()))
    }

    fn complain(&self, channel: &str, error: &CallError) -> PortError {
        self.complaints.call_failed(error, Some(channel));
        error.for_port()
    }

    /// Ours by its author and by its metadata: others can write metadata, too.
    async fn is_card_of(&self, message: &PastMessage, hold: &HoldId) -> bool {
        let Some(metadata) = &message.metadata else {
            return false;
        };
        let marked = metadata.get("event_type").and_then(Value::as_str) == Some(EVENT_TYPE)
            && metadata
                .pointer("/event_payload/hold")
                .and_then(Value::as_str)
                == Some(hold.as_str());
        if !marked {
            return false;
        }
        match self.identity.known().await {
            Ok(us) => {
                message.user.as_ref() == Some(&us.user_id)
                    || (message.bot_id.is_some() && message.bot_id == us.bot_id)
            }
            Err(_) => false,
        }
    }
}

/// Slack refused how the card looks, not that it comes.
fn refused_layout(error: &CallError) -> bool {
    let codes = [
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "invalid_arguments",
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

#[async_trait]
impl ChatPort for SlackPort {
    fn kind(&self) -> ChatKind {
        ChatKind::Slack
    }

    async fn post(&self, channel: &str, card: &Card) -> Result<String, PortError> {
        let mut posted = self.api.post(channel, self.full(card)).await;
        if let Err(error) = &posted
            && refused_layout(error)
        {
            self.complaints.call_failed(error, Some(channel));
            posted = self.api.post(channel, self.minimal(card)).await;
        }
        posted.map_err(|error| self.complain(channel, &error))
    }

    async fn update(&self, channel: &str, message: &str, card: &Card) -> Result<(), PortError> {
        let mut updated = self.api.update(channel, message, self.full(card)).await;
        if let Err(error) = &updated
            && refused_layout(error)
        {
            self.complaints.call_failed(error, Some(channel));
            updated = self.api.update(channel, message, self.minimal(card)).await;
        }
        updated.map_err(|error| self.complain(channel, &error))
    }

    async fn find(
        &self,
        channel: &str,
        hold: &HoldId,
        posted_after: DateTime<Utc>,
    ) -> Result<Option<String>, PortError> {
        let oldest = format!("{}.000000", posted_after.timestamp());
        let mut request = SlackApiConversationsHistoryRequest::new()
            .with_channel(channel.into())
            .with_oldest(oldest.into())
            .with_limit(limits::HISTORY_PAGE);
        if let Err(error) = self.identity.known().await {
            return Err(self.complain(channel, &error));
        }
        for _ in 0..limits::HISTORY_PAGES_MAX {
            let page = match self.api.history(&request).await {
                Ok(page) => page,
                Err(error) if error.code() == Some("missing_scope") => {
                    self.complaints.call_failed(&error, Some(channel));
                    return Err(PortError::Blind {
                        error: error.to_string(),
                    });
                }
                Err(error) => return Err(self.complain(channel, &error)),
            };
            for message in &page.messages {
                if self.is_card_of(message, hold).await {
                    return Ok(Some(message.ts.clone()));
                }
            }
            match page.next() {
                Some(cursor) => request.cursor = Some(cursor),
                None => break,
            }
        }
        Ok(None)
    }
}
