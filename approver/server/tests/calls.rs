//! Calls as somebody types them: what they may leave unsaid, and what is told of what does not fit.

use crate::support::{self, BOT_TOKEN, PROXY_TOKEN, console_token, open, scratch};
use abeyance_api::{DecisionDesk as _, HoldDesk as _, HoldId, HoldState};
use abeyance_approver::Approver;
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
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
            r#"{"decision": 5, "reason": "S3CRET"}"#,
            "decision has a value that does not fit",
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
        (
            &bob,
            "/api/v1/holds?limit=1&limit=2",
            "limit is there twice",
        ),
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
    assert_eq!(
        (status, holds[0]["id"].as_str()),
        (StatusCode::OK, Some(id.as_str()))
    );
}

/// As somebody types it: the path says what it is about, the token who they are.
#[tokio::test]
async fn with_ones_own_token_one_is_oneself() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = support::config(&folder);
    config.schedules = vec![schedule()];
    let clock = std::sync::Arc::new(abeyance_api::ManualClock::new(support::start()));
    let approver = Approver::open(config, clock).await.unwrap();
    let bob = Caller::person(&approver, "bob");
    let bot = Caller::new(&approver, BOT_TOKEN);

    let first = open(&approver).await;
    let look = format!("/api/v1/holds/{first}/look");
    let (status, hold) = bob.post(&look, "").await;
    assert_eq!(status, StatusCode::OK, "{hold}");
    assert_eq!(hold["asking"]["looks"][0]["person"]["id"], "bob");

    let second = open(&approver).await;
    let both = json!({"holds": [&first, &second], "decision": "approve", "reason": "checked"});
    let all = "/api/v1/holds/decision";
    let (status, outcomes) = bob.post(all, &both.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{outcomes}");
    let vote = &outcomes[1]["result"]["Ok"]["votes"][0];
    assert_eq!(
        (&vote["person"]["id"], &vote["surface"]),
        (&json!("bob"), &json!("cli"))
    );

    let mut capped = support::request();
    capped.manner.plain = true;
    capped.manner.shape = Some(support::binding("public.invoices"));
    capped.blast.rows_cap = Some(1_500);
    let third = approver.hold_open(capped).await.unwrap().id;
    let decision = format!("/api/v1/holds/{third}/decision");
    let for_a_while = r#"{"decision": "approve", "grant": {"minutes": 15, "uses": 3}}"#;
    let (_, hold) = bob.post(&decision, for_a_while).await;
    let grant = hold["grant"]["id"].as_str().unwrap();
    let revoke = format!("/api/v1/grants/{grant}/revoke");
    let (status, revoked) = bob.post(&revoke, r#"{"reason": "enough"}"#).await;
    assert_eq!(status, StatusCode::OK, "{revoked}");
    assert_eq!(revoked["revoked"]["by"]["id"], "bob");

    let span =
        json!({"from": "2026-03-03T00:00:00Z", "until": "2026-03-04T00:00:00Z", "people": ["cho"]});
    let add = json!({"schedule": "dba", "spans": [span], "reason": "dentist"});
    let overrides = "/api/v1/oncall/overrides";
    let (status, made) = bob.post(overrides, &add.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!(made[0]["author"], "bob");
    let remove = format!("{overrides}/{}/remove", made[0]["id"].as_str().unwrap());
    let (status, gone) = bob.post(&remove, r#"{"reason": "back"}"#).await;
    assert_eq!(status, StatusCode::OK, "{gone}");
    let (status, schedules) = bob.post("/api/v1/oncall/shifts", "{}").await;
    assert_eq!(
        (status, &schedules[0]["name"]),
        (StatusCode::OK, &json!("dba"))
    );

    // A bot says for whom it speaks, and nobody speaks for somebody else.
    let fourth = open(&approver).await;
    let decision = format!("/api/v1/holds/{fourth}/decision");
    let told = bot
        .refused(&decision, Some(r#"{"decision": "deny"}"#))
        .await;
    assert!(told.contains("claimant is missing"), "{told}");
    let look = format!("/api/v1/holds/{fourth}/look");
    for (path, body) in [
        (&look, json!({"claimant": {"by": "person", "id": "ann"}})),
        (&look, json!({"hold": first})),
        (&revoke, json!({"id": "GRT-2222", "reason": "no"})),
        (
            &remove,
            json!({"id": "00000000-0000-7000-8000-000000000000", "reason": "no"}),
        ),
    ] {
        let (status, refused) = bob.post(path, &body.to_string()).await;
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{body}: {refused}"
        );
    }
    let hold = approver.hold_view(&fourth).await.unwrap();
    assert_eq!((hold.state, hold.version), (HoldState::Pending, 1));
}

fn schedule() -> abeyance_approver::OncallSchedule {
    use abeyance_approver::oncall::{Handoff, Layer, Schedule};
    let layer = Layer {
        name: "always".to_owned(),
        turns: vec![vec!["bob".parse().unwrap()]],
        handoff: Handoff::new("0 9 * * *", "Europe/Berlin".parse().unwrap()).unwrap(),
        anchor: "2026-01-05".parse().unwrap(),
        coverage: Vec::new(),
    };
    abeyance_approver::OncallSchedule {
        schedule: Schedule::new("dba", vec![layer]).unwrap(),
        stand_ins: vec!["cho".parse().unwrap()],
        announce: None,
        slack_group: None,
    }
}

/// One that is not there is a slip: it is named, and no other is decided.
#[tokio::test]
async fn unknown_holds_among_several_are_named() {
    let s = scratch().await;
    let (first, second) = (open(&s.approver).await, open(&s.approver).await);
    let bob = Caller::person(&s.approver, "bob");
    let claimant = json!({"by": "person", "id": "bob"});
    let bulk = json!({
        "holds": [first, "HLD-2222", second, "HLD-3333"], "claimant": claimant, "surface": "cli",
        "decision": "approve", "reason": null,
    });
    let (status, refused) = bob.post("/api/v1/holds/decision", &bulk.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert_eq!(
        refused["detail"],
        "there is no hold HLD-2222, HLD-3333; nothing was decided"
    );
    for id in [&first, &second] {
        let hold: HoldId = id.clone();
        let view = s.approver.hold_view(&hold).await.unwrap();
        assert!(view.votes.is_empty(), "{view:?}");
    }
}

#[tokio::test]
async fn a_hold_that_is_decided_is_like_none() {
    let s = scratch().await;
    let (first, second) = (open(&s.approver).await, open(&s.approver).await);
    let bob = Caller::person(&s.approver, "bob");
    let alike = async |id: &HoldId| bob.get(&format!("/api/v1/holds/{id}/alike")).await.1;
    assert_eq!(alike(&first).await["holds"].as_array().unwrap().len(), 2);
    support::approve(&s.approver, &first).await;
    assert_eq!(alike(&first).await, json!({"holds": [], "more": 0}));
    // One that waits is listed by itself.
    let alone = alike(&second).await;
    assert_eq!(alone["holds"][0]["id"], second.as_str());
    assert_eq!(alone["holds"].as_array().unwrap().len(), 1);
}
