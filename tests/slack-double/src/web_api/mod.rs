//! `/api/{method}`: arguments, token, scope, rate limit, then the method. Every call is recorded with its answer.

mod args;
mod chat;
mod conversations;
mod people;
pub(crate) mod views;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

pub(crate) use args::Args;
pub(crate) use chat::{Content, content};

use crate::blocks::Refusal;
use crate::clock;
use crate::config::{Rates, Token};
use crate::inner::Inner;
use crate::model::{ApiRequest, FaultKind};
use crate::server::ConnectionCut;
use crate::world::World;

/// Slack refuses larger bodies long before this.
const BODY_MAX: usize = 2 * 1024 * 1024;

/// `ok: false` with a code.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: &'static str,
    /// Becomes `errors`, and `response_metadata.messages` with `[ERROR]` in front.
    messages: Vec<String>,
    extra: Vec<(&'static str, Value)>,
    retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(code: &'static str) -> Self {
        Self {
            code,
            messages: Vec::new(),
            extra: Vec::new(),
            retry_after: None,
        }
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::invalid_arguments(vec![format!("missing required field: {name}")])
    }

    pub(crate) fn invalid_arguments(messages: Vec<String>) -> Self {
        Self {
            messages,
            ..Self::new("invalid_arguments")
        }
    }

    /// A refusal of message blocks; `too_long` is what this method calls that.
    pub(crate) fn of_blocks(refusal: Refusal, too_long: &'static str) -> Self {
        match refusal {
            Refusal::Format => Self::new("invalid_blocks_format"),
            Refusal::TooLong => Self::new(too_long),
            Refusal::Invalid(messages) => Self {
                messages,
                ..Self::new("invalid_blocks")
            },
        }
    }

    fn missing_scope(needed: &str, token: &Token) -> Self {
        let mut error = Self::new("missing_scope");
        error.extra.push(("needed", json!(needed)));
        error
            .extra
            .push(("provided", json!(token.scopes.join(","))));
        error
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({"ok": false, "error": self.code});
        if !self.messages.is_empty() {
            if self.code == "invalid_blocks" {
                body["errors"] = json!(self.messages);
            }
            let lines: Vec<String> = self
                .messages
                .iter()
                .map(|line| format!("[ERROR] {line}"))
                .collect();
            body["response_metadata"] = json!({"messages": lines});
        }
        for (name, value) in &self.extra {
            body[*name] = value.clone();
        }
        body
    }
}

type Answered = Result<Value, ApiError>;

/// What a method needs of the token.
fn scope_of(method: &str) -> Option<Option<&'static str>> {
    Some(match method {
        "auth.test" | "views.open" | "views.update" | "views.push" => None,
        "apps.connections.open" => Some("connections:write"),
        "chat.postMessage" | "chat.update" | "chat.postEphemeral" | "chat.delete" => {
            Some("chat:write")
        }
        "conversations.history" | "conversations.replies" => Some("channels:history"),
        "conversations.open" => Some("im:write"),
        "conversations.info" => Some("channels:read"),
        "users.info" => Some("users:read"),
        "users.lookupByEmail" => Some("users:read.email"),
        "usergroups.list" | "usergroups.users.list" => Some("usergroups:read"),
        "usergroups.users.update" => Some("usergroups:write"),
        _ => return None,
    })
}

/// A call that is held up. It is forgotten when its caller gives up: the server drops its work then.
struct Stalled<'a> {
    inner: &'a Inner,
    id: u64,
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        let id = self.id;
        self.inner
            .change(|world| world.stalled.retain(|stalled| *stalled != id));
    }
}

/// Waits until faults are cleared.
async fn stall(inner: &Inner) {
    let mut changes = inner.changed.subscribe();
    let (id, cleared) = inner.change(|world| {
        let id = world.next_id();
        world.stalled.push(id);
        (id, world.cleared)
    });
    let _stalled = Stalled { inner, id };
    while inner.world().cleared == cleared {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

pub(crate) async fn call(
    State(inner): State<Arc<Inner>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let cut = parts.extensions.get::<ConnectionCut>().cloned();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large");
    };
    let args = Args::parse(&method, &parts, &body);
    let fault = inner.change(|world| world.take_fault(&method));
    let mut reply = Reply::of_fault(fault.as_ref());
    if let Some(FaultKind::Latency { ms }) = &fault {
        tokio::time::sleep(Duration::from_millis(*ms)).await;
    }
    if fault == Some(FaultKind::Stall) {
        stall(&inner).await;
    }
    if reply.is_none() && fault != Some(FaultKind::DropRequest) {
        reply = Some(inner.change(|world| answer(&inner, world, &method, &args)));
    }
    let dropped = matches!(
        fault,
        Some(FaultKind::DropResponse | FaultKind::DropRequest)
    );
    record(&inner, &method, &args, reply.as_ref().filter(|_| !dropped));
    let Some(reply) = reply.filter(|_| !dropped) else {
        if let Some(ConnectionCut(cut)) = cut {
            cut.cancel();
        }
        // The connection is being cut; this answer has nowhere to go.
        return std::future::pending().await;
    };
    if fault == Some(FaultKind::InvalidJson) {
        let text = reply.body.to_string();
        let half: String = text.chars().take(text.chars().count() / 2).collect();
        return reply.headers(Response::new(Body::from(half)));
    }
    reply.into_response()
}

fn answer(inner: &Inner, world: &mut World, method: &str, args: &Result<Args, ApiError>) -> Reply {
    let args = match args {
        Ok(args) => args,
        Err(error) => return Reply::error(error),
    };
    let token = match token_of(world, args) {
        Ok(token) => token,
        Err(error) => return Reply::error(&error),
    };
    let mut reply = match permitted(world, method, args, &token) {
        Err(error) => Reply::error(&error),
        Ok(()) => match dispatch(inner, world, method, args) {
            Err(error) => Reply::error(&error),
            Ok(mut body) => {
                if !args.warnings.is_empty() {
                    body["warning"] = json!(args.warnings.join(","));
                    body["response_metadata"]["warnings"] = json!(args.warnings);
                }
                Reply::ok(body)
            }
        },
    };
    reply.scopes = Some(token.scopes.join(","));
    reply.accepted = scope_of(method).flatten();
    reply
}

fn token_of(world: &World, args: &Args) -> Result<Token, ApiError> {
    let value = args.token.as_deref().unwrap_or_default();
    if value.is_empty() {
        return Err(ApiError::new("not_authed"));
    }
    let known = world.tokens.iter().find(|token| token.value == value);
    known.cloned().ok_or_else(|| ApiError::new("invalid_auth"))
}

fn permitted(world: &mut World, method: &str, args: &Args, token: &Token) -> Result<(), ApiError> {
    let Some(scope) = scope_of(method) else {
        return Err(ApiError::new("unknown_method"));
    };
    let app_level = token.value.starts_with("xapp-");
    if app_level != (method == "apps.connections.open") && !(app_level && method == "auth.test") {
        return Err(ApiError::new("not_allowed_token_type"));
    }
    if let Some(scope) = scope {
        let direct = args.text("channel").is_some_and(|id| id.starts_with('D'));
        let private = args.text("channel").and_then(|id| {
            world
                .workspace
                .channel(&id)
                .map(|channel| channel.is_private)
        });
        let scope = match (scope, private) {
            ("channels:history", _) if direct => "im:history",
            ("channels:read", _) if direct => "im:read",
            ("channels:history", Some(true)) => "groups:history",
            ("channels:read", Some(true)) => "groups:read",
            (scope, _) => scope,
        };
        if !token.scopes.iter().any(|have| have == scope) {
            return Err(ApiError::missing_scope(scope, token));
        }
    }
    if world.rates == Rates::Slack {
        let channel = args.text("channel").unwrap_or_default();
        let taken = world
            .limiter
            .take(&token.value, method, &channel, clock::since_epoch());
        if let Err(secs) = taken {
            let mut error = ApiError::new("ratelimited");
            error.retry_after = Some(secs);
            return Err(error);
        }
    }
    Ok(())
}

fn dispatch(inner: &Inner, world: &mut World, method: &str, args: &Args) -> Answered {
    match method {
        "auth.test" => Ok(people::auth_test(inner, world)),
        "apps.connections.open" => Ok(connections_open(inner, world)),
        "chat.postMessage" => chat::post(world, args),
        "chat.update" => chat::update(world, args),
        "chat.postEphemeral" => chat::post_ephemeral(world, args),
        "chat.delete" => chat::delete(world, args),
        "conversations.history" => conversations::history(world, args),
        "conversations.replies" => conversations::replies(world, args),
        "conversations.info" => conversations::info(world, args),
        "conversations.open" => conversations::open(world, args),
        "views.open" => views::open(world, args),
        "views.push" => views::push(world, args),
        "views.update" => views::update(world, args),
        "users.info" => people::info(world, args),
        "users.lookupByEmail" => people::lookup_by_email(world, args),
        "usergroups.list" => Ok(people::groups(world, args)),
        "usergroups.users.list" => people::group_users(world, args),
        "usergroups.users.update" => people::group_users_update(world, args),
        _ => Err(ApiError::new("unknown_method")),
    }
}

fn connections_open(inner: &Inner, world: &mut World) -> Value {
    let ticket = world.new_ticket();
    let url = format!(
        "ws://{}/link/?ticket={ticket}&app_id={}",
        inner.addr, world.workspace.app_id
    );
    json!({"ok": true, "url": url})
}

fn record(inner: &Inner, method: &str, args: &Result<Args, ApiError>, reply: Option<&Reply>) {
    let (map, token) = match args {
        Ok(args) => (args.map.clone(), args.token.clone().unwrap_or_default()),
        Err(_) => (Map::new(), String::new()),
    };
    inner.change(|world| {
        let id = world.next_id();
        world.record_request(ApiRequest {
            id,
            method: method.to_owned(),
            token_kind: token.split('-').next().unwrap_or_default().to_owned(),
            args: Value::Object(map),
            status: reply.map_or(0, |reply| reply.status.as_u16()),
            answer: reply.map(|reply| reply.body.clone()),
            at_micros: u64::try_from(clock::since_epoch().as_micros()).unwrap_or(u64::MAX),
        });
    });
}

/// An answer before it is bytes.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    body: Value,
    retry_after: Option<u64>,
    scopes: Option<String>,
    accepted: Option<&'static str>,
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            retry_after: None,
            scopes: None,
            accepted: None,
        }
    }

    fn error(error: &ApiError) -> Self {
        Self {
            status: if error.retry_after.is_some() {
                StatusCode::TOO_MANY_REQUESTS
            } else {
                StatusCode::OK
            },
            retry_after: error.retry_after,
            ..Self::ok(error.body())
        }
    }

    /// The answer of a fault that keeps the work from being done.
    fn of_fault(fault: Option<&FaultKind>) -> Option<Self> {
        match fault? {
            FaultKind::Status { status } => Some(Self {
                status: StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                ..Self::ok(json!({"ok": false, "error": "fatal_error"}))
            }),
            FaultKind::RateLimited { retry_after_secs } => Some(Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after: Some(*retry_after_secs),
                ..Self::ok(json!({"ok": false, "error": "ratelimited"}))
            }),
            FaultKind::Error { code } => Some(Self::ok(json!({"ok": false, "error": code}))),
            FaultKind::Latency { .. }
            | FaultKind::Stall
            | FaultKind::DropResponse
            | FaultKind::DropRequest
            | FaultKind::InvalidJson => None,
        }
    }

    fn into_response(self) -> Response {
        let bytes = Bytes::from(self.body.to_string());
        self.headers(Response::new(Body::from(bytes)))
    }

    fn headers(&self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        set("content-type", "application/json; charset=utf-8");
        set("x-slack-req-id", &clock::random_hex(32));
        set(
            "cache-control",
            "private, no-cache, no-store, must-revalidate",
        );
        if let Some(scopes) = &self.scopes {
            set("x-oauth-scopes", scopes);
        }
        if let Some(accepted) = self.accepted {
            set("x-accepted-oauth-scopes", accepted);
        }
        if let Some(secs) = self.retry_after {
            set("retry-after", &secs.to_string());
        }
        response
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
