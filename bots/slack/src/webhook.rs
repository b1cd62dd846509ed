//! Clicks and commands over HTTP: `POST /slack/interactions` and `POST /slack/commands`.
//!
//! Refuses as early as it can: by length before a byte of the body is read, by headers before the rest of
//! it, by signature before anything in it is believed. Nothing of a body is ever logged.

use std::sync::Arc;

use abeyance_api::Clock;
use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_LENGTH},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::{sync::Semaphore, time::timeout};
use tracing::{info, warn};

use crate::{
    bot::Inbox,
    clicks::Ack,
    limits,
    signature::{Signed, Unsigned, Verifier},
};

/// Where Slack is told to send clicks.
pub(crate) const PATH: &str = "/slack/interactions";
/// Where Slack is told to send commands.
pub(crate) const COMMANDS_PATH: &str = "/slack/commands";

pub(crate) struct Webhook {
    pub inbox: Inbox,
    pub verifier: Verifier,
    pub clock: Arc<dyn Clock>,
    pub room: Semaphore,
}

impl Webhook {
    pub fn new(inbox: Inbox, verifier: Verifier, clock: Arc<dyn Clock>) -> Self {
        Self {
            inbox,
            verifier,
            clock,
            room: Semaphore::new(limits::WEBHOOKS_MAX),
        }
    }

    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(PATH, post(interactions))
            .route(COMMANDS_PATH, post(commands))
            .with_state(self)
    }

    /// Believes a request, or says which status it gets and why.
    async fn signed(&self, request: Request) -> Result<Signed, Refused> {
        let (head, body) = request.into_parts();
        let declared = head
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > limits::BODY_BYTES_MAX as u64) {
            return Err(too_large());
        }
        let claimed = self
            .verifier
            .claim(&head.headers, self.now())
            .map_err(|why| unsigned(&why))?;
        let body = read(body).await?;
        self.verifier
            .verify(&claimed, body, self.now())
            .map_err(|why| unsigned(&why))
    }

    fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }
}

/// A status, and a line that says what to do. Never anything of the request.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

async fn interactions(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    let signed = match believed(&webhook, request).await {
        Ok(signed) => signed,
        Err(refused) => return refused.into_response(),
    };
    match payload(&signed) {
        Ok(None) => StatusCode::OK.into_response(),
        Ok(Some(payload)) => answer(webhook.inbox.clicks.accept(&payload).await),
        Err(what) => malformed(what),
    }
}

async fn commands(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    let signed = match believed(&webhook, request).await {
        Ok(signed) => signed,
        Err(refused) => return refused.into_response(),
    };
    match fields(&signed) {
        Ok(None) => StatusCode::OK.into_response(),
        Ok(Some(fields)) => answer(webhook.inbox.commands.accept(&fields)),
        Err(what) => malformed(what),
    }
}

async fn believed(webhook: &Webhook, request: Request) -> Result<Signed, Refused> {
    let room = webhook.room.try_acquire();
    let signed = match &room {
        Ok(_room) => webhook.signed(request).await,
        Err(_) => Err(Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests at once".to_owned(),
        )),
    };
    signed.inspect_err(|refused| {
        info!(
            status = refused.0.as_u16(),
            why = refused.1,
            "refused a request to the Slack webhook"
        );
    })
}

fn malformed(what: &'static str) -> Response {
    warn!(what, "a signed request to the Slack webhook was malformed");
    Refused(StatusCode::BAD_REQUEST, what.to_owned()).into_response()
}

fn answer(ack: Ack) -> Response {
    let refused = |status, why: &str| Refused(status, why.to_owned()).into_response();
    match ack {
        // An empty body: Slack would show anything else to everybody.
        Ack::Empty => StatusCode::OK.into_response(),
        Ack::Answer(answer) => Json(answer).into_response(),
        Ack::Malformed(what) => refused(StatusCode::BAD_REQUEST, what),
        Ack::Foreign => refused(
            StatusCode::FORBIDDEN,
            "this app belongs to another workspace",
        ),
        Ack::Busy => refused(StatusCode::SERVICE_UNAVAILABLE, "too many clicks at once"),
    }
}

/// The JSON inside the form. `None` for Slack's occasional certificate check.
fn payload(signed: &Signed) -> Result<Option<Value>, &'static str> {
    let mut found = None;
    for (key, value) in url::form_urlencoded::parse(signed.body()) {
        match key.as_ref() {
            "payload" if found.is_some() => return Err("more than one payload"),
            "payload" => found = Some(value),
            "ssl_check" => return Ok(None),
            _ => {}
        }
    }
    let text = found.ok_or("no payload")?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|_| "the payload is not JSON")
}

/// The fields of a command, each once. `None` for Slack's occasional certificate check.
fn fields(signed: &Signed) -> Result<Option<Value>, &'static str> {
    let mut fields = serde_json::Map::new();
    for (key, value) in url::form_urlencoded::parse(signed.body()) {
        if key == "ssl_check" {
            return Ok(None);
        }
        if fields.len() >= limits::COMMAND_FIELDS_MAX {
            return Err("too many fields");
        }
        if fields.insert(key.into_owned(), value.into()).is_some() {
            return Err("a field is there twice");
        }
    }
    Ok(Some(Value::Object(fields)))
}

async fn read(body: Body) -> Result<Bytes, Refused> {
    match timeout(
        limits::BODY_READ_MAX,
        Limited::new(body, limits::BODY_BYTES_MAX).collect(),
    )
    .await
    {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refused(
            StatusCode::BAD_REQUEST,
            "the body did not arrive whole".to_owned(),
        )),
        Err(_) => Err(Refused(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive".to_owned(),
        )),
    }
}

fn too_large() -> Refused {
    Refused(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("at most {} bytes", limits::BODY_BYTES_MAX),
    )
}

fn unsigned(why: &Unsigned) -> Refused {
    let status = match why {
        Unsigned::Malformed | Unsigned::Stale | Unsigned::Mismatch => StatusCode::UNAUTHORIZED,
        Unsigned::Replayed => StatusCode::CONFLICT,
        Unsigned::Full => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refused(status, why.to_string())
}
