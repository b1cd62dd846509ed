//! Cards in Slack: what the reconciler calls.

use std::{collections::HashMap, sync::Arc};

use abeyance_api::{ChatKind, HoldId, NoticeBody, NoticeTask, NoticeTo};
use abeyance_chat::{Card, ChatPort, PortError, notice_line};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use slack_morphism::prelude::*;
use tokio::sync::Mutex;
use url::Url;

use crate::{
    CallError,
    api::{Content, Past, PastMessage, SlackApi},
    blocks,
    complaints::Complaints,
    identity::Identity,
    limits, text,
};

/// Marks our cards, so that one whose posting was never confirmed can be found again.
const EVENT_TYPE: &str = "abeyance_hold";
/// The same for notices.
const NOTICE_TYPE: &str = "abeyance_notice";

#[derive(Clone)]
pub(crate) struct SlackPort {
    pub api: Arc<SlackApi>,
    pub identity: Arc<Identity>,
    pub complaints: Arc<Complaints>,
    /// The channel of each person's direct messages.
    pub places: Arc<Mutex<HashMap<String, String>>>,
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

    /// Where a card goes: a channel, or for a person's id the channel of their direct messages.
    async fn place(&self, channel: &str) -> Result<String, PortError> {
        if !text::is_user_id(channel) {
            return Ok(channel.to_owned());
        }
        if let Some(known) = self.places.lock().await.get(channel) {
            return Ok(known.clone());
        }
        let opened = self.api.conversations_open(channel).await;
        let opened = opened.map_err(|error| self.complain(channel, &error))?;
        let mut places = self.places.lock().await;
        if places.len() >= limits::PLACES_MAX {
            places.clear();
        }
        places.insert(channel.to_owned(), opened.clone());
        Ok(opened)
    }

    fn notice_content(notice: &NoticeTask) -> Option<Content> {
        let line = notice_line(&notice.body)?;
        let payload = [("notice".to_owned(), notice.id.to_string())].into();
        Some(Content {
            text: blocks::line(&line, limits::FALLBACK_MAX),
            blocks: vec![blocks::section(blocks::line(&line, limits::ASKED_MAX))],
            metadata: Some(
                SlackMessageMetadata::new(NOTICE_TYPE.to_owned()).with_event_payload(payload),
            ),
        })
    }

    /// Walks what was said somewhere since `from`, and gives the first message of ours that bears the mark.
    async fn marked(
        &self,
        channel: &str,
        mut past: Past,
        mark: Mark<'_>,
    ) -> Result<Option<String>, PortError> {
        if let Err(error) = self.identity.known().await {
            return Err(self.complain(channel, &error));
        }
        for _ in 0..limits::HISTORY_PAGES_MAX {
            let page = match self.api.past(&past).await {
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
                if self.is_ours(message, mark).await {
                    return Ok(Some(message.ts.clone()));
                }
            }
            match page.next() {
                Some(cursor) => past.cursor = Some(cursor),
                None => break,
            }
        }
        Ok(None)
    }

    /// Ours by its author and by its metadata: others can write metadata, too.
    async fn is_ours(&self, message: &PastMessage, mark: Mark<'_>) -> bool {
        let Some(metadata) = &message.metadata else {
            return false;
        };
        let payload = metadata
            .pointer("/event_payload")
            .and_then(|all| all.get(mark.key));
        let marked = metadata.get("event_type").and_then(Value::as_str) == Some(mark.event_type)
            && payload.and_then(Value::as_str) == Some(mark.value);
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

/// What marks a message as ours.
#[derive(Clone, Copy)]
struct Mark<'a> {
    event_type: &'a str,
    key: &'a str,
    value: &'a str,
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
        let channel = &self.place(channel).await?;
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
        let channel = &self.place(channel).await?;
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
        let channel = self.place(channel).await?;
        let past = Past {
            channel: channel.clone(),
            thread: None,
            oldest: format!("{}.000000", posted_after.timestamp()),
            cursor: None,
        };
        let mark = Mark {
            event_type: EVENT_TYPE,
            key: "hold",
            value: hold.as_str(),
        };
        self.marked(&channel, past, mark).await
    }

    async fn notify(&self, notice: &NoticeTask) -> Result<(), PortError> {
        let (channel, thread) = match (&notice.to, &notice.body) {
            (NoticeTo::UserGroup { group }, NoticeBody::Members { users }) => {
                let synced = self.api.usergroup_update(group, users).await;
                return synced.map_err(|error| self.complain(group, &error));
            }
            (NoticeTo::Thread { channel, message }, _) => (channel, Some(message.as_str())),
            (NoticeTo::Channel { channel }, _) => (channel, None),
            (NoticeTo::UserGroup { .. }, _) => return Err(nothing_to_say()),
        };
        let content = Self::notice_content(notice).ok_or_else(nothing_to_say)?;
        let channel = self.place(channel).await?;
        let posted = self.api.post_in(&channel, thread, content).await;
        posted
            .map(drop)
            .map_err(|error| self.complain(&channel, &error))
    }

    async fn find_notice(&self, notice: &NoticeTask) -> Result<bool, PortError> {
        let (channel, thread) = match &notice.to {
            NoticeTo::Thread { channel, message } => (channel, Some(message.clone())),
            NoticeTo::Channel { channel } => (channel, None),
            NoticeTo::UserGroup { .. } => return Ok(false),
        };
        let channel = self.place(channel).await?;
        let since = notice.made_at.timestamp() - limits::CLOCKS_DIFFER_SECS;
        let past = Past {
            channel: channel.clone(),
            thread,
            oldest: format!("{since}.000000"),
            cursor: None,
        };
        let id = notice.id.to_string();
        let mark = Mark {
            event_type: NOTICE_TYPE,
            key: "notice",
            value: &id,
        };
        Ok(self.marked(&channel, past, mark).await?.is_some())
    }
}

fn nothing_to_say() -> PortError {
    PortError::Gone {
        error: "a notice without words".to_owned(),
    }
}
