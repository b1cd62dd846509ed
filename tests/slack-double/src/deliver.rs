//! Brings a payload to the app, by HTTP with a signature or over Socket Mode, and waits for the acknowledgement
//! no longer than Slack does.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::clock;
use crate::config::Interactivity;
use crate::inner::Inner;
use crate::model::{Answer, Delivery, Kind, Outcome, RecordedRequest, Via};
use crate::sign;

/// Slack reads no longer answers.
const ANSWER_MAX: usize = 1024 * 1024;

/// Sends and waits; the delivery is recorded by the caller, together with its effects.
pub(crate) async fn deliver(
    inner: &Inner,
    kind: Kind,
    payload: Value,
    confirm: Option<Value>,
) -> Delivery {
    let (interactivity, id) = inner.change(|world| (world.interactivity.clone(), world.next_id()));
    let start = Instant::now();
    let mut delivery = Delivery {
        id,
        kind,
        via: Via::Nowhere,
        payload,
        outcome: Outcome::Unreachable {
            error: "the app has interactivity switched off".to_owned(),
        },
        took: Duration::ZERO,
        attempts: 0,
        confirm,
        recorded: None,
    };
    match interactivity {
        Interactivity::Off => {}
        Interactivity::Socket => {
            delivery.via = Via::Socket;
            let (outcome, attempts) = inner
                .sockets
                .send(kind, &delivery.payload, inner.ack_limit)
                .await;
            (delivery.outcome, delivery.attempts) = (outcome, attempts);
        }
        Interactivity::Http {
            request_url,
            command_url,
        } => {
            delivery.via = Via::Http;
            delivery.attempts = 1;
            let url = match (kind, command_url) {
                (Kind::SlashCommand, Some(url)) => url,
                _ => request_url,
            };
            let request = signed(inner, &url, kind, &delivery.payload);
            delivery.outcome = outcome(send(inner, &request, inner.ack_limit).await);
            delivery.recorded = Some(request);
        }
    }
    delivery.took = start.elapsed();
    delivery
}

fn outcome(sent: Sent) -> Outcome {
    match sent {
        Sent::Answered { status: 200, body } => Outcome::Acked { status: 200, body },
        Sent::Answered { status, body } => Outcome::Refused { status, body },
        Sent::TimedOut => Outcome::TimedOut,
        Sent::Failed(error) => Outcome::Unreachable { error },
    }
}

/// The request Slack makes of a payload.
pub(crate) fn signed(inner: &Inner, url: &str, kind: Kind, payload: &Value) -> RecordedRequest {
    let (content_type, body) = encode(kind, payload);
    let timestamp = clock::unix_seconds();
    let signature = sign::v0(&inner.signing_secret, timestamp, body.as_bytes());
    RecordedRequest {
        url: url.to_owned(),
        headers: slack_headers(content_type, Some(timestamp), Some(&signature)),
        body,
    }
}

pub(crate) fn encode(kind: Kind, payload: &Value) -> (&'static str, String) {
    const FORM: &str = "application/x-www-form-urlencoded";
    let mut form = form_urlencoded::Serializer::new(String::new());
    match kind {
        Kind::Event => return ("application/json", payload.to_string()),
        Kind::SlashCommand => {
            for (name, value) in payload.as_object().into_iter().flatten() {
                form.append_pair(name, value.as_str().unwrap_or_default());
            }
        }
        Kind::BlockActions | Kind::ViewSubmission | Kind::ViewClosed => {
            form.append_pair("payload", &payload.to_string());
        }
    }
    (FORM, form.finish())
}

pub(crate) fn slack_headers(
    content_type: &str,
    timestamp: Option<i64>,
    signature: Option<&str>,
) -> Vec<(String, String)> {
    let mut headers = vec![
        (
            "user-agent",
            "Slackbot 1.0 (+https://api.slack.com/robots)".to_owned(),
        ),
        ("accept", "application/json,*/*".to_owned()),
        ("content-type", content_type.to_owned()),
    ];
    if let Some(timestamp) = timestamp {
        headers.push(("x-slack-request-timestamp", timestamp.to_string()));
    }
    if let Some(signature) = signature {
        headers.push(("x-slack-signature", signature.to_owned()));
    }
    headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

pub(crate) enum Sent {
    Answered { status: u16, body: String },
    TimedOut,
    Failed(String),
}

impl From<Sent> for Answer {
    fn from(sent: Sent) -> Self {
        let (status, body, error) = match sent {
            Sent::Answered { status, body } => (status, body, None),
            Sent::TimedOut => (0, String::new(), Some("timed out".to_owned())),
            Sent::Failed(error) => (0, String::new(), Some(error)),
        };
        Self {
            status,
            body,
            error,
        }
    }
}

/// Posts byte for byte what is in `request`.
pub(crate) async fn send(inner: &Inner, request: &RecordedRequest, limit: Duration) -> Sent {
    match tokio::time::timeout(limit, post(inner, request)).await {
        Err(_) => Sent::TimedOut,
        Ok(Ok((status, body))) => Sent::Answered { status, body },
        Ok(Err(error)) => Sent::Failed(format!("{error:#}")),
    }
}

async fn post(inner: &Inner, request: &RecordedRequest) -> anyhow::Result<(u16, String)> {
    let uri: hyper::Uri = request
        .url
        .parse()
        .context("the request URL is no address")?;
    ensure!(
        uri.scheme_str() == Some("http"),
        "the double delivers over plain http only"
    );
    let authority = uri
        .authority()
        .context("the request URL names no host")?
        .as_str();
    let address = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let stream = TcpStream::connect(&address)
        .await
        .context("cannot connect to the app")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    inner.tracker.spawn(connection);
    let mut builder = hyper::Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header("host", authority);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let body = Full::new(Bytes::copy_from_slice(request.body.as_bytes()));
    let response = sender
        .send_request(builder.body(body)?)
        .await
        .context("the app gave no answer")?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_MAX)
        .collect()
        .await;
    let body = body.map_err(|error| anyhow::anyhow!("the app's answer broke off: {error}"))?;
    Ok((
        status,
        String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    ))
}
