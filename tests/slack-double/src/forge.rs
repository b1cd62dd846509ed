//! Requests that Slack never sent: what an attacker, or a broken network, would put in front of the app.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::config::Interactivity;
use crate::deliver::{encode, send, slack_headers};
use crate::inner::Inner;
use crate::model::{Answer, Kind, RecordedRequest};
use crate::payload;
use crate::sign;

/// What a forged request is about: a button that would be clicked, or a command that would be typed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    Click {
        user: String,
        channel: String,
        ts: String,
        action_id: String,
    },
    Command {
        user: String,
        channel: String,
        command: String,
        text: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Forgery {
    /// A recorded delivery byte for byte, with its old signature and timestamp.
    Replay { delivery: u64 },
    /// A right timestamp, random signature.
    BadSignature(Target),
    /// No signature header.
    NoSignature(Target),
    /// No timestamp header; the signature is over the right one.
    NoTimestamp(Target),
    /// Signed with another secret, as another app's would be.
    WrongSecret(Target),
    /// Rightly signed, long ago (negative: in the future).
    OldTimestamp {
        #[serde(flatten)]
        target: Target,
        age_secs: i64,
    },
    /// The signature is right for another body.
    TamperedBody(Target),
    /// Rightly signed, from another workspace than the token's.
    OtherTeam(Target),
    /// Rightly signed, but not what Slack sends: the body as given.
    SignedGarbage { body: String },
    /// Unsigned, so many bytes.
    Oversized { bytes: usize },
    Raw {
        headers: Vec<(String, String)>,
        body: String,
    },
    /// The same, sent to where commands go.
    AtCommands { forgery: Box<Forgery> },
    /// The same, sent to where clicks go.
    AtClicks { forgery: Box<Forgery> },
}

/// Where the app takes what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Clicks,
    Commands,
}

pub(crate) async fn forge(inner: &Inner, forgery: Forgery) -> anyhow::Result<Answer> {
    let request = build(inner, forgery)?;
    Ok(send(inner, &request, inner.ack_limit).await.into())
}

fn url(inner: &Inner, door: Door) -> anyhow::Result<String> {
    match inner.world().interactivity.clone() {
        Interactivity::Http {
            request_url,
            command_url,
        } => Ok(match door {
            Door::Clicks => request_url,
            Door::Commands => command_url.unwrap_or(request_url),
        }),
        Interactivity::Socket | Interactivity::Off => {
            bail!("forging needs interactivity over HTTP")
        }
    }
}

fn build(inner: &Inner, forgery: Forgery) -> anyhow::Result<RecordedRequest> {
    let at = |door, forgery: Forgery| {
        let url = url(inner, door)?;
        Ok(RecordedRequest {
            url,
            ..build(inner, forgery)?
        })
    };
    match forgery {
        Forgery::AtCommands { forgery } => at(Door::Commands, *forgery),
        Forgery::AtClicks { forgery } => at(Door::Clicks, *forgery),
        Forgery::Replay { delivery } => recorded(inner, delivery),
        Forgery::BadSignature(target) => {
            let signature = format!("v0={}", clock::random_hex(64));
            forged(inner, &target, |made| made.signature = Some(signature))
        }
        Forgery::NoSignature(target) => forged(inner, &target, |made| made.signature = None),
        Forgery::NoTimestamp(target) => forged(inner, &target, |made| made.timestamp = None),
        Forgery::WrongSecret(target) => forged(inner, &target, |made| made.sign("another secret")),
        Forgery::OldTimestamp { target, age_secs } => forged(inner, &target, |made| {
            made.timestamp = made.timestamp.map(|now| now - age_secs);
            made.sign(&inner.signing_secret);
        }),
        Forgery::TamperedBody(target) => forged(inner, &target, |made| made.body.push_str("&x=1")),
        Forgery::OtherTeam(target) => {
            let (kind, mut payload) = payload(inner, &target)?;
            elsewhere(&mut payload);
            let body = encode(kind, &payload).1;
            Ok(Made::signed(inner, body).sent_to(url(inner, target.door())?))
        }
        Forgery::SignedGarbage { body } => {
            Ok(Made::signed(inner, body).sent_to(url(inner, Door::Clicks)?))
        }
        Forgery::Oversized { bytes } => {
            let body = format!("payload={}", "x".repeat(bytes.saturating_sub(8)));
            let mut made = Made::signed(inner, body);
            made.signature = None;
            Ok(made.sent_to(url(inner, Door::Clicks)?))
        }
        Forgery::Raw { headers, body } => {
            let url = url(inner, Door::Clicks)?;
            Ok(RecordedRequest { url, headers, body })
        }
    }
}

fn recorded(inner: &Inner, delivery: u64) -> anyhow::Result<RecordedRequest> {
    let world = inner.world();
    let found = world.deliveries.iter().find(|known| known.id == delivery);
    let found = found.with_context(|| format!("there is no delivery {delivery}"))?;
    let request = found.recorded.clone();
    request.context("that delivery did not go over HTTP")
}

/// What Slack would have sent, and then one thing wrong with it.
fn forged(
    inner: &Inner,
    target: &Target,
    wrong: impl FnOnce(&mut Made),
) -> anyhow::Result<RecordedRequest> {
    let (kind, payload) = payload(inner, target)?;
    let mut made = Made::signed(inner, encode(kind, &payload).1);
    wrong(&mut made);
    Ok(made.sent_to(url(inner, target.door())?))
}

/// A request in the making.
struct Made {
    timestamp: Option<i64>,
    signature: Option<String>,
    body: String,
}

impl Made {
    fn signed(inner: &Inner, body: String) -> Self {
        let mut made = Self {
            timestamp: Some(clock::unix_seconds()),
            signature: None,
            body,
        };
        made.sign(&inner.signing_secret);
        made
    }

    fn sign(&mut self, secret: &str) {
        let timestamp = self.timestamp.unwrap_or_default();
        self.signature = Some(sign::v0(secret, timestamp, self.body.as_bytes()));
    }

    fn sent_to(self, url: String) -> RecordedRequest {
        const FORM: &str = "application/x-www-form-urlencoded";
        RecordedRequest {
            url,
            headers: slack_headers(FORM, self.timestamp, self.signature.as_deref()),
            body: self.body,
        }
    }
}

impl Target {
    fn door(&self) -> Door {
        match self {
            Self::Click { .. } => Door::Clicks,
            Self::Command { .. } => Door::Commands,
        }
    }
}

fn payload(inner: &Inner, target: &Target) -> anyhow::Result<(Kind, Value)> {
    inner.change(|world| match target {
        Target::Click {
            user,
            channel,
            ts,
            action_id,
        } => {
            let click = payload::block_actions(inner, world, user, channel, ts, action_id, None)?;
            Ok((Kind::BlockActions, click.payload))
        }
        Target::Command {
            user,
            channel,
            command,
            text,
        } => {
            let typed = payload::slash_command(inner, world, user, channel, command, text)?;
            Ok((Kind::SlashCommand, typed))
        }
    })
}

/// Says that it comes from another workspace.
fn elsewhere(payload: &mut Value) {
    const TEAM: &str = "T0OTHER001";
    for pointer in ["/team_id", "/team/id", "/user/team_id"] {
        if let Some(team) = payload.pointer_mut(pointer) {
            *team = json!(TEAM);
        }
    }
}
