//! What the stand-in remembers, as tests see it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::blocks;
use crate::config::Workspace;

/// A message in a channel.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    pub ts: String,
    pub channel: String,
    /// Who wrote it; the bot user for the app's own.
    pub user: String,
    pub text: String,
    pub blocks: Vec<Value>,
    pub metadata: Option<Value>,
    pub edits: u32,
    pub edited_ts: Option<String>,
    pub thread_ts: Option<String>,
    /// Action ids that show "operation timed out" since the last edit.
    pub triangles: Vec<String>,
}

/// A message one user sees and nobody else.
#[derive(Debug, Clone, Serialize)]
pub struct Ephemeral {
    pub ts: String,
    pub channel: String,
    /// Who sees it.
    pub user: String,
    /// Who wrote it: the bot user, or `USLACKBOT` for Slack's own notices.
    pub from: String,
    pub text: String,
    pub blocks: Vec<Value>,
    pub triangles: Vec<String>,
}

/// An open modal.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    pub id: String,
    /// Who has it open.
    pub user: String,
    /// As Slack would return it from `views.open`.
    pub view: Value,
    /// `block_id` -> message, from `response_action: errors`.
    pub errors: serde_json::Map<String, Value>,
    /// "We had some trouble connecting": the app refused or was silent.
    pub trouble: Option<String>,
}

/// A Web API call and its answer.
#[derive(Debug, Clone, Serialize)]
pub struct ApiRequest {
    pub id: u64,
    pub method: String,
    /// First letters of the token: `xoxb`, `xapp`, or empty.
    pub token_kind: String,
    pub args: Value,
    pub status: u16,
    /// `None`: the connection was cut before the answer.
    pub answer: Option<Value>,
    /// Microseconds since the Unix epoch.
    pub at_micros: u64,
}

/// Something a user did, sent to the app.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    pub id: u64,
    pub kind: Kind,
    pub via: Via,
    pub payload: Value,
    pub outcome: Outcome,
    #[serde(rename = "took_ms", serialize_with = "as_millis")]
    pub took: Duration,
    /// Socket Mode: how many connections were tried.
    pub attempts: u32,
    /// The dialog the user had to confirm first.
    pub confirm: Option<Value>,
    /// HTTP: the request byte for byte.
    pub recorded: Option<RecordedRequest>,
}

impl Delivery {
    /// The app answered 200, or acknowledged the envelope, in time.
    #[must_use]
    pub fn acked(&self) -> bool {
        matches!(self.outcome, Outcome::Acked { .. })
    }

    /// The user sees a warning triangle or "trouble connecting".
    #[must_use]
    pub fn user_sees_triangle(&self) -> bool {
        !self.acked()
    }
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    BlockActions,
    ViewSubmission,
    ViewClosed,
    SlashCommand,
    Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    Http,
    Socket,
    Nowhere,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Outcome {
    /// 200 in time. Over Socket Mode the body is the response payload, or empty.
    Acked { status: u16, body: String },
    /// No answer in 3 s.
    TimedOut,
    /// Another status.
    Refused { status: u16, body: String },
    /// No connection, or it broke.
    Unreachable { error: String },
}

/// An HTTP request to the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRequest {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What an app answered to a forged request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// 0 when there was no answer.
    pub status: u16,
    pub body: String,
    pub error: Option<String>,
}

/// Trouble for the next `times` calls of `method` ("*": every method).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub method: String,
    pub kind: FaultKind,
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FaultKind {
    /// Answers late.
    Latency { ms: u64 },
    /// Does nothing and answers nothing until faults are cleared; then both.
    Stall,
    /// Does the work, then cuts the connection: the caller is in doubt.
    DropResponse,
    /// Does not do the work; the caller is in doubt all the same.
    DropRequest,
    /// An HTTP error without the work.
    Status { status: u16 },
    /// 429 with `Retry-After`.
    RateLimited { retry_after_secs: u64 },
    /// Does the work and answers with half a JSON document.
    InvalidJson,
    /// `ok: false` without the work.
    Error { code: String },
}

/// A Socket Mode connection.
#[derive(Debug, Clone, Serialize)]
pub struct SocketInfo {
    pub id: u64,
    pub acked: u64,
    pub open_envelopes: usize,
    /// Messages from the client that Slack would not understand.
    pub nonsense: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectReason {
    /// About to be closed; the connection stays for ten more seconds.
    Warning,
    RefreshRequested,
    LinkDisabled,
}

impl DisconnectReason {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::RefreshRequested => "refresh_requested",
            Self::LinkDisabled => "link_disabled",
        }
    }
}

impl Message {
    /// Every text in it, a line each: the fallback text, then the blocks.
    #[must_use]
    pub fn all_text(&self) -> String {
        let blocks = Value::Array(self.blocks.clone());
        format!("{}\n{}", self.text, blocks::block_text(&blocks))
    }

    /// The ids of what can be clicked.
    #[must_use]
    pub fn action_ids(&self) -> Vec<String> {
        elements(&self.blocks)
            .filter_map(|(_, element)| element["action_id"].as_str().map(str::to_owned))
            .collect()
    }

    /// The element with this action id.
    #[must_use]
    pub fn button(&self, action_id: &str) -> Option<&Value> {
        elements(&self.blocks)
            .map(|(_, element)| element)
            .find(|element| element["action_id"] == action_id)
    }

    /// As Slack's API shows it.
    pub(crate) fn as_slack(&self, workspace: &Workspace, with_metadata: bool) -> Value {
        let mut message = json!({"user": self.user, "type": "message", "ts": self.ts});
        if self.user == workspace.bot_user {
            message["bot_id"] = json!(workspace.bot_id);
            message["app_id"] = json!(workspace.app_id);
        }
        message["text"] = json!(self.text);
        message["team"] = json!(workspace.team_id);
        if let Some(thread) = &self.thread_ts {
            message["thread_ts"] = json!(thread);
        }
        if let Some(ts) = &self.edited_ts {
            message["edited"] = json!({"user": workspace.bot_id, "ts": ts});
        }
        if !self.blocks.is_empty() {
            message["blocks"] = json!(self.blocks);
        }
        if let (true, Some(metadata)) = (with_metadata, &self.metadata) {
            message["metadata"] = metadata.clone();
        }
        message
    }
}

impl Ephemeral {
    /// Every text in it, a line each.
    #[must_use]
    pub fn all_text(&self) -> String {
        let blocks = Value::Array(self.blocks.clone());
        format!("{}\n{}", self.text, blocks::block_text(&blocks))
    }
}

/// Interactive elements with their block.
pub(crate) fn elements(blocks: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    blocks.iter().flat_map(|block| {
        let many = block["elements"].as_array().into_iter().flatten();
        many.chain(block.get("accessory"))
            .filter(|element| element.get("action_id").is_some())
            .map(move |element| (block, element))
    })
}
