//! Calls as somebody types them: what they may leave unsaid, and what is told of what does not fit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that fails stops its test"
)]

mod support;

use abeyance_api::{DecisionDesk as _, HoldDesk as _, HoldId, HoldState};
use abeyance_approver::Approver;
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use support::{BOT_TOKEN, PROXY_TOKEN, console_token, open, scratch};
use tower::ServiceExt as _;

/// Whoever calls with a token.
struct Caller<'a> {
    approver: &'a Approver,
    token: String,
}

impl<'a> Caller<'a> {
    fn new(approver: &'a Approver, token: &str) -> Self {
        let token = token.to_owned();
        Self { approver, token }
    }

    fn person(approver: &'a Approver, who: &str) -> Self {
        Self::new(approver, console_token(who).expose_secret())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path), Body::empty()).await
    }

    async fn post(&self, path: &str, body: &str) -> (StatusCode, Value) {
        self.send(Request::post(path), Body::from(body.to_owned()))
            .await
    }

    async fn send(&self, request: axum::http::request::Builder, body: Body) -> (StatusCode, Value) {
        let request = request
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header("abeyance-request-id", uuid::Uuid::new_v4().to_string());
        let request = request.body(body).unwrap();
        let (parts, body) = self
            .approver
            .router()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        if bytes.is_empty() {
            return (parts.status, Value::Null);
        }
        let json = serde_json::from_slice(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        (parts.status, json.unwrap_or_else(|_| panic!("{text}")))
    }

    /// What is told of a call that does not fit.
    async fn refused(&self, path: &str, body: Option<&str>) -> String {
        let (status, answer) = match body {
            Some(body) => self.post(path, body).await,
            None => self.get(path).await,
        };
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {answer}");
        assert_eq!(answer["error"], "refused", "{path}: {answer}");
        answer["detail"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_not_repeated() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    let bob = Caller::person(&s.approver, "bob");
    let bot = Caller::new(&s.approver, BOT_TOKEN);
    let proxy = Caller::new(&s.approver, PROXY_TOKEN);
    let decision = format!("/api/v1/holds/{id}/decision");
    let claim = format!("/api/v1/holds/{id}/claim");
    let cases = [
        (
            &bob,
            &*decision,
            r#"{"reason": "S3CRET"}"#,
            "decision is missing",
        ),
        (
            &bob,
            &*decision,
            r#"{"decision": "S3CRET"}"#,
            "decision takes approve or deny",
        ),
        (
            &bob,
            &*decision,
            r#"{"decision": "deny", "reasn": "S3CRET"}"#,
            "reasn is no field; known: hold, claimant, decision, reason,",
        ),
        (
            &bob,
            &*decision,
            r#"{"decision": "deny", "S3CRET": 1}"#,
            "there is a field too many; known: hold,",
        ),
        (
            &bob,
            &*decision,
            r#"{"decision": "approve", "grant": {"minutes": "S3CRET", "uses": 1}}"#,
            "grant.minutes has to be a whole number, not negative",
        ),
        (
            &bob,
            &*decision,
            "{\n  \"decision\": S3CRET}",
            "it is no JSON from there on (line 2, column 15)",
        ),
        (
            &bot,
            &*decision,
            r#"{"decision": "deny", "claimant": {"by": "person", "id": 5}, "surface": "cli"}"#,
            "claimant has to be a string",
        ),
        (
            &bot,
            "/api/v1/cards/due",
            r#"{"chat": "S3CRET", "limit": 1}"#,
            "chat takes slack",
        ),
        (
            &proxy,
            &*claim,
            r#"{"binding": "S3CRET"}"#,
            "binding has a value that does not fit",
        ),
        (
            &proxy,
            "/api/v1/holds",
            r#"{"session": {"id": "S3CRET"}}"#,
            "session.id has a value that does not fit",
        ),
    ];
    for (caller, path, body, want) in cases {
        let told = caller.refused(path, Some(body)).await;
        assert!(told.contains(want), "{body}: {told}");
        assert!(told.contains("(line "), "{body}: {told}");
        assert!(!told.contains("S3CRET"), "{body}: {told}");
    }
    let waits = s.approver.hold_view(&id).await.unwrap().state;
    assert_eq!(waits, HoldState::Pending);
}

#[tokio::test]
async fn a_parameter_that_there_is_not_is_refused() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    let bob = Caller::person(&s.approver, "bob");
    let bot = Caller::new(&s.approver, BOT_TOKEN);
    let proxy = Caller::new(&s.approver, PROXY_TOKEN);
    let resolution = format!("/api/v1/holds/{id}/resolution?wait=1");
    for (caller, path, want) in [
        (
            &bob,
            "/api/v1/holds?pending=1",
            "pending is no field; known: pending_only, limit",
        ),
        (
            &bob,
            "/api/v1/holds?pending_only=S3CRET",
            "pending_only has a value that does not fit",
        ),
        (&bob, "/api/v1/holds?limit=1&limit=2", "limit is there twice"),
        (
            &bob,
            "/api/v1/holds?S3CRET",
            "there is a field too many; known: pending_only, limit",
        ),
        (
            &bob,
            "/api/v1/grants?active=true",
            "active is no field; known: active_only",
        ),
        (&bob, "/api/v1/oncall/overrides", "since is missing"),
        (
            &bob,
            "/api/v1/oncall/overrides?since=0&until=1",
            "until is no field; known: since",
        ),
        (&bot, "/api/v1/cards/changed?wait=1", "known: wait_ms"),
        (&proxy, &*resolution, "known: wait_ms"),
    ] {
        let told = caller.refused(path, None).await;
        assert!(told.contains(want), "{path}: {told}");
        assert!(!told.contains("S3CRET"), "{path}: {told}");
    }
    let (status, holds) = bob.get("/api/v1/holds?pending_only=true&limit=5").await;
    assert_eq!((status, holds[0]["id"].as_str()), (StatusCode::OK, Some(id.as_str())));
}
