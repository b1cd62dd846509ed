//! Requests that Slack never sent: what an attacker, or a broken network, would put in front of the app.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::config::Interactivity;
use crate::deliver::{encode, send, slack_headers};
use crate::inner::Inner;
use crate::model::{Answer, Kind, RecordedRequest};
use crate::payload;
use crate::sign;

/// The button a forged click is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    pub user: String,
    pub channel: String,
    pub ts: String,
    pub action_id: String,
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
    /// Signed with another secret.
    WrongSecret(Target),
    /// Rightly signed, long ago (negative: in the future).
    OldTimestamp {
        #[serde(flatten)]
        target: Target,
        age_secs: i64,
    },
    /// The signature is right for another body.
    TamperedBody(Target),
    /// Rightly signed, but not what Slack sends: the body as given.
    SignedGarbage { body: String },
    /// Unsigned, so many bytes.
    Oversized { bytes: usize },
    Raw {
        headers: Vec<(String, String)>,
        body: String,
    },
}

pub(crate) async fn forge(inner: &Inner, forgery: Forgery) -> anyhow::Result<Answer> {
    let request = build(inner, forgery)?;
    Ok(send(inner, &request, inner.ack_limit).await.into())
}

fn request_url(inner: &Inner) -> anyhow::Result<String> {
    match inner.world().interactivity.clone() {
        Interactivity::Http { request_url, .. } => Ok(request_url),
        Interactivity::Socket | Interactivity::Off => {
            bail!("forging needs interactivity over HTTP")
        }
    }
}

fn build(inner: &Inner, forgery: Forgery) -> anyhow::Result<RecordedRequest> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let now = clock::unix_seconds();
    let right =
        |timestamp: i64, body: &str| sign::v0(&inner.signing_secret, timestamp, body.as_bytes());
    if let Forgery::Replay { delivery } = forgery {
        let world = inner.world();
        let found = world.deliveries.iter().find(|known| known.id == delivery);
        let found = found.with_context(|| format!("there is no delivery {delivery}"))?;
        return found
            .recorded
            .clone()
            .context("that delivery did not go over HTTP");
    }
    let url = request_url(inner)?;
    let (headers, body) = match forgery {
        Forgery::Replay { .. } => bail!("a replay is answered above"),
        Forgery::BadSignature(target) => {
            let signature = format!("v0={}", clock::random_hex(64));
            (
                slack_headers(FORM, Some(now), Some(&signature)),
                click_body(inner, &target)?,
            )
        }
        Forgery::NoSignature(target) => (
            slack_headers(FORM, Some(now), None),
            click_body(inner, &target)?,
        ),
        Forgery::NoTimestamp(target) => {
            let body = click_body(inner, &target)?;
            (slack_headers(FORM, None, Some(&right(now, &body))), body)
        }
        Forgery::WrongSecret(target) => {
            let body = click_body(inner, &target)?;
            let signature = sign::v0("another secret", now, body.as_bytes());
            (slack_headers(FORM, Some(now), Some(&signature)), body)
        }
        Forgery::OldTimestamp { target, age_secs } => {
            let (body, then) = (click_body(inner, &target)?, now - age_secs);
            (
                slack_headers(FORM, Some(then), Some(&right(then, &body))),
                body,
            )
        }
        Forgery::TamperedBody(target) => {
            let body = click_body(inner, &target)?;
            let signature = right(now, &body);
            (
                slack_headers(FORM, Some(now), Some(&signature)),
                format!("{body}&x=1"),
            )
        }
        Forgery::SignedGarbage { body } => (
            slack_headers(FORM, Some(now), Some(&right(now, &body))),
            body,
        ),
        Forgery::Oversized { bytes } => {
            let body = format!("payload={}", "x".repeat(bytes.saturating_sub(8)));
            (slack_headers(FORM, Some(now), None), body)
        }
        Forgery::Raw { headers, body } => (headers, body),
    };
    Ok(RecordedRequest { url, headers, body })
}

fn click_body(inner: &Inner, target: &Target) -> anyhow::Result<String> {
    let click = inner.change(|world| {
        payload::block_actions(
            inner,
            world,
            &target.user,
            &target.channel,
            &target.ts,
            &target.action_id,
            None,
        )
    })?;
    Ok(encode(Kind::BlockActions, &click.payload).1)
}
