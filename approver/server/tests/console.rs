//! The console as a browser sees it: pages, log-in, decisions, and what it refuses.

use crate::support::{Scratch, approve, binding, console_token, open, request, scratch};
use abeyance_api::{
    DecisionDesk as _, Estimate, HoldDesk as _, HoldId, HoldState, Outcome, WithdrawReason,
    blast::{Cascade, CascadeAction},
};
use abeyance_approver::Approver;
use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use chrono::TimeDelta;
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

const HOST: &str = "127.0.0.1:8080";
const ORIGIN: &str = "http://127.0.0.1:8080";

struct Page {
    status: StatusCode,
    headers: header::HeaderMap,
    text: String,
}

async fn send(approver: &Approver, request: Request<Body>) -> Page {
    let response: Response<Body> = approver.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Page {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

struct Browser<'a> {
    approver: &'a Approver,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn log_in(approver: &'a Approver, who: &str) -> Browser<'a> {
        let page = try_log_in(approver, console_token(who).expose_secret()).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        let cookie = page.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Browser { approver, cookie }
    }

    async fn get(&self, path: &str) -> Page {
        let request = Request::get(path).header(header::COOKIE, &self.cookie);
        send(self.approver, request.body(Body::empty()).unwrap()).await
    }

    async fn csrf(&self) -> String {
        let page = self.get("/holds").await;
        let (_, rest) = page.text.split_once("name=\"csrf\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    async fn decide(&self, hold: &HoldId, decision: &str, reason: &str) -> Page {
        let form = format!(
            "csrf={}&decision={decision}&reason={reason}",
            self.csrf().await
        );
        self.post(&format!("/holds/{hold}/decision"), ORIGIN, form)
            .await
    }

    async fn post(&self, path: &str, origin: &str, form: String) -> Page {
        let request = Request::post(path)
            .header(header::COOKIE, &self.cookie)
            .header(header::HOST, HOST)
            .header(header::ORIGIN, origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        send(self.approver, request.body(Body::from(form)).unwrap()).await
    }
}

async fn try_log_in(approver: &Approver, token: &str) -> Page {
    let request = Request::post("/login")
        .header(header::HOST, HOST)
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let form = format!("token={token}&next=/holds");
    send(approver, request.body(Body::from(form)).unwrap()).await
}

async fn state(s: &Scratch, id: &HoldId) -> HoldState {
    s.approver.hold_view(id).await.unwrap().state
}

#[tokio::test]
async fn a_reviewer_sees_and_approves() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    let bob = Browser::log_in(&s.approver, "bob").await;
    let list = bob.get("/holds").await;
    assert!(list.text.contains("1 waiting") && list.text.contains(id.as_str()));
    let page = bob.get(&format!("/holds/{id}")).await;
    for shown in [
        "billing-bot",
        "about 1,200 rows",
        "production",
        "5 min 00 s",
        "monthly clean-up",
    ] {
        assert!(page.text.contains(shown), "{shown} is missing");
    }
    let answer = bob.decide(&id, "approve", "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(state(&s, &id).await, HoldState::Approved);
    s.approver.hold_claim(&id, binding("batch")).await.unwrap();
    let outcome = Outcome::Executed {
        rows: Some(1_198),
        tags: vec!["DELETE 1198".to_owned()],
        elapsed: std::time::Duration::from_millis(412),
    };
    s.approver.hold_report(&id, outcome).await.unwrap();
    let page = bob.get(&format!("/holds/{id}")).await;
    assert!(page.text.contains("Executed: 1,198 rows in 412 ms"));
    assert!(page.text.contains("Bob approved in the console"));
    assert!(bob.get("/history").await.text.contains(id.as_str()));
}

#[tokio::test]
async fn what_a_write_takes_along_is_listed() {
    let s = scratch().await;
    let cascade = |relation: &str| Cascade {
        relation: relation.to_owned(),
        action: CascadeAction::Delete,
        rows: Estimate::exact(7),
    };
    let mut asked = request();
    asked.blast.cascades = Some(vec![cascade("public.items"), cascade("public.notes")]);
    asked.blast.triggers = Some(vec!["audit on public.invoices".to_owned()]);
    let id = s.approver.hold_open(asked).await.unwrap().id;
    let bob = Browser::log_in(&s.approver, "bob").await;
    let page = bob.get(&format!("/holds/{id}")).await;
    for shown in [
        ">takes along</span>",
        "<li>public.items deleted: 7 rows (counted)</li><li>public.notes deleted: 7 rows (counted)</li>",
        ">fires audit on public.invoices</span>",
    ] {
        assert!(
            page.text.contains(shown),
            "{shown} is missing: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn a_denial_needs_a_reason() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    let bob = Browser::log_in(&s.approver, "bob").await;
    for nothing_to_see in ["+", "%E2%80%8B%E2%81%A0"] {
        let answer = bob.decide(&id, "deny", nothing_to_see).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text.contains("Say in a few words why"));
    }
    assert_eq!(state(&s, &id).await, HoldState::Pending);
    let answer = bob.decide(&id, "deny", "too+broad").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let page = bob.get(&format!("/holds/{id}")).await;
    assert!(page.text.contains("too broad") && page.text.contains("Denied"));
}

#[tokio::test]
async fn errors_are_said_in_words() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    let [ann, bob, cho] = ["ann", "bob", "cho"].map(|who| Browser::log_in(&s.approver, who));
    let (ann, bob, cho) = (ann.await, bob.await, cho.await);

    assert!(
        ann.get(&format!("/holds/{id}"))
            .await
            .text
            .contains("somebody else has to decide")
    );
    let own = ann.decide(&id, "approve", "").await;
    assert_eq!(own.status, StatusCode::FORBIDDEN);
    assert!(own.text.contains("You own this agent"));
    let stranger = cho.decide(&id, "approve", "").await;
    assert!(
        stranger
            .text
            .contains("You are not a reviewer of route dba")
    );

    approve(&s.approver, &id).await;
    let late = bob.decide(&id, "deny", "no").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("This hold is already approved by Bob"));

    let id = open(&s.approver).await;
    s.clock.advance(TimeDelta::minutes(6));
    assert!(
        bob.decide(&id, "approve", "")
            .await
            .text
            .contains("This hold is already expired")
    );
    assert_eq!(
        bob.get("/holds/HLD-2222").await.status,
        StatusCode::NOT_FOUND
    );
    // What was tried without the right is part of the history.
    assert!(s.approver.audit_verify().await.unwrap().broken_at.is_none());
}

#[tokio::test]
async fn without_a_log_in_nothing_is_shown() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    for path in ["/", "/holds", "/history", &format!("/holds/{id}")] {
        let page = send(&s.approver, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        let to = page.headers[header::LOCATION].to_str().unwrap();
        assert_eq!(to, format!("/login?next={path}"));
        assert!(!page.text.contains("billing-bot"));
    }
    let live = send(
        &s.approver,
        Request::get("/live").body(Body::empty()).unwrap(),
    )
    .await;
    assert_eq!(live.status, StatusCode::UNAUTHORIZED);
    // A link in a chat: the strict cookie is not sent, so the page sends the browser once more.
    let path = format!("/holds/{id}");
    let from_chat = Request::get(&path).header("sec-fetch-site", "cross-site");
    let page = send(&s.approver, from_chat.body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.text
            .contains(&format!("url={path}").replace('/', "&#x2f;"))
    );
}

#[tokio::test]
async fn forged_forms_are_refused() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    let bob = Browser::log_in(&s.approver, "bob").await;
    let path = format!("/holds/{id}/decision");
    let good = format!("csrf={}&decision=approve&reason=", bob.csrf().await);
    let elsewhere = bob.post(&path, "https://evil.example", good).await;
    assert_eq!(elsewhere.status, StatusCode::FORBIDDEN);
    let no_token = bob
        .post(&path, ORIGIN, "csrf=0&decision=approve&reason=".to_owned())
        .await;
    assert_eq!(no_token.status, StatusCode::FORBIDDEN);
    assert!(no_token.text.contains("Nothing was decided"));
    assert_eq!(state(&s, &id).await, HoldState::Pending);
}

#[tokio::test]
async fn log_in_is_limited_and_log_out_ends_it() {
    let s = scratch().await;
    let bob = Browser::log_in(&s.approver, "bob").await;
    for _ in 0..10 {
        let page = try_log_in(&s.approver, "abp_wrong").await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    }
    let good = console_token("bob");
    let page = try_log_in(&s.approver, good.expose_secret()).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    s.clock.advance(TimeDelta::seconds(61));
    let page = try_log_in(&s.approver, good.expose_secret()).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);

    let form = format!("csrf={}", bob.csrf().await);
    assert_eq!(
        bob.post("/logout", ORIGIN, form).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(bob.get("/holds").await.status, StatusCode::SEE_OTHER);
    let bob = Browser::log_in(&s.approver, "bob").await;
    s.clock.advance(TimeDelta::hours(3));
    assert_eq!(
        bob.get("/holds").await.status,
        StatusCode::SEE_OTHER,
        "idle too long"
    );
}

#[tokio::test]
async fn hostile_text_stays_text_and_headers_are_strict() {
    let s = scratch().await;
    let mut hostile = request();
    let script = "<script>alert(1)</script>";
    hostile.agent_reason = Some(script.to_owned());
    hostile.agent.actor = Some(format!("\"'>{script}"));
    hostile.statements[0].text = format!("DELETE FROM \"{script}\"");
    hostile.statements[0].kind = script.to_owned();
    hostile.statements[0].writes = vec![script.to_owned()];
    hostile.blast.rows.note = Some(script.to_owned());
    let id = s.approver.hold_open(hostile).await.unwrap().id;
    let bob = Browser::log_in(&s.approver, "bob").await;
    let page = bob.get(&format!("/holds/{id}")).await;
    assert!(!page.text.contains("<script>") && page.text.contains("&lt;script&gt;"));
    s.approver
        .hold_withdraw(&id, WithdrawReason::ClientGone)
        .await
        .unwrap();
    assert!(!bob.get("/history").await.text.contains("<script>"));
    let policy = page.headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(page.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}

#[tokio::test]
async fn health_and_assets_need_no_log_in() {
    let s = scratch().await;
    for path in [
        "/healthz",
        "/readyz",
        "/static/console.css",
        "/static/console.js",
        "/login",
    ] {
        let page = send(&s.approver, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
    }
    let nowhere = Request::get("/nowhere").body(Body::empty()).unwrap();
    let lost = send(&s.approver, nowhere).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    assert!(lost.text.contains("No such page"), "{}", lost.text);
}

#[tokio::test]
async fn an_open_page_hears_of_changes() {
    let s = scratch().await;
    let bob = Browser::log_in(&s.approver, "bob").await;
    let request = Request::get("/live").header(header::COOKIE, &bob.cookie);
    let response = s
        .approver
        .router()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let mut body = response.into_body();
    open(&s.approver).await;
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&frame[..], b"event: change\ndata: holds\n\n");
}

#[tokio::test]
async fn the_history_has_pages_and_ids_can_be_typed() {
    let s = scratch().await;
    let mut ids = Vec::new();
    for _ in 0..51 {
        ids.push(open(&s.approver).await);
        s.clock.advance(TimeDelta::milliseconds(1));
    }
    let bob = Browser::log_in(&s.approver, "bob").await;
    let page = bob.get("/history").await;
    let older = format!("/history?before={}", ids[1]);
    assert!(page.text.contains(&older) && !page.text.contains(ids[0].as_str()));
    let page = bob.get(&older).await;
    assert!(page.text.contains(ids[0].as_str()) && !page.text.contains("before="));
    let typed = ids[0].as_str().trim_start_matches("HLD-").to_lowercase();
    let found = bob.get(&format!("/find?id={typed}")).await;
    let to = found.headers[header::LOCATION].to_str().unwrap();
    assert_eq!(to, format!("/holds/{}", ids[0]));
    assert_eq!(
        bob.get("/find?id=%3Cx%3E").await.status,
        StatusCode::NOT_FOUND
    );
}

/// A batch whose shape may be granted.
fn capped(of: &str) -> abeyance_api::HoldRequest {
    let mut request = request();
    request.manner.plain = true;
    request.manner.shape = Some(binding("public.invoices"));
    request.blast.rows_cap = Some(1_500);
    request.binding = binding(of);
    request
}

#[tokio::test]
async fn a_shape_is_granted_and_the_grant_revoked() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let bob = Browser::log_in(&s.approver, "bob").await;
    let empty = bob.get("/grants").await;
    assert_eq!(empty.status, StatusCode::OK, "{}", empty.text);
    let id = desk.hold_open(capped("first")).await.unwrap().id;
    let page = bob.get(&format!("/holds/{id}")).await.text;
    assert!(page.contains("30 minutes") && !page.contains("Break the glass"));
    let form = format!(
        "csrf={}&decision=approve&reason=ok&grant=30&uses=3",
        bob.csrf().await
    );
    let path = format!("/holds/{id}/decision");
    let decided = bob.post(&path, ORIGIN, form).await;
    assert_eq!(decided.status, StatusCode::SEE_OTHER, "{}", decided.text);
    let covered = desk.hold_open(capped("again")).await.unwrap();
    assert!(covered.resolution.is_some());
    let grant = id.as_str().replace("HLD-", "GRT-");
    let page = bob.get(&format!("/holds/{}", covered.id)).await.text;
    assert!(
        page.contains(&format!("{grant} covers it, 2 uses left")),
        "{page}"
    );
    let page = bob.get(&format!("/holds/{id}")).await.text;
    assert!(page.contains("1 of 3 used"), "{page}");
    let page = bob.get("/grants").await.text;
    assert!(
        page.contains("1 active") && page.contains("at most 1,500 rows a use"),
        "{page}"
    );
    let form = format!("csrf={}&reason=enough", bob.csrf().await);
    let revoke = format!("/grants/{grant}/revoke");
    let revoked = bob.post(&revoke, ORIGIN, form).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.text);
    let page = bob.get("/grants").await.text;
    assert!(page.contains("revoked by Bob: “enough”"), "{page}");
    let forged = bob
        .post(&revoke, "https://evil.example", String::new())
        .await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn holds_that_are_alike_go_together() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    // Who saw that nobody knows how many rows one changes may decide others with it.
    let mut unknown = capped("a");
    unknown.blast.rows = Estimate::unknown("<b> timed out");
    unknown.blast.rows_cap = None;
    let first = desk.hold_open(unknown).await.unwrap().id;
    s.clock.advance(TimeDelta::minutes(4));
    let second = desk.hold_open(capped("b")).await.unwrap().id;
    s.clock.advance(TimeDelta::seconds(5));
    let bob = Browser::log_in(&s.approver, "bob").await;
    let page = bob.get(&format!("/holds/{first}")).await.text;
    assert!(page.contains("Decide all 2 that are alike"), "{page}");
    let shown = format!("name=\"alike\" value=\"{second}\"");
    assert!(page.contains(&shown), "{page}");
    // Of each its id, its age and its rows.
    let listed = page
        .split("aria-label=\"The holds that are alike\"")
        .nth(1)
        .unwrap();
    let listed: Vec<&str> = listed
        .split("</ol>")
        .next()
        .unwrap()
        .split("</li>")
        .collect();
    for (line, says) in [
        (0, [first.as_str(), "4 min 05 s old", "&lt;b&gt;"]),
        (
            1,
            [
                second.as_str(),
                "5 s old",
                "about 1,200 rows (planner&#x27;s estimate)",
            ],
        ),
    ] {
        let missing = says.iter().find(|said| !listed[line].contains(*said));
        assert_eq!(missing, None, "{}", listed[line]);
    }
    assert!(
        page.contains("Largest: <strong>unknown: 1 of 2 is, of the others"),
        "{page}"
    );
    assert!(
        page.contains("Together: <strong>unknown: 1 of 2 is, of the others"),
        "{page}"
    );
    assert!(!page.contains("more wait, which this does not decide"));
    // Nobody has looked at what comes while the page is open.
    let later = desk.hold_open(capped("c")).await.unwrap().id;
    let form = format!(
        "csrf={}&decision=deny&reason=no&alike={second}&grant=&uses=10",
        bob.csrf().await
    );
    let path = format!("/holds/{first}/decision");
    let decided = bob.post(&path, ORIGIN, form).await;
    assert_eq!(decided.status, StatusCode::SEE_OTHER, "{}", decided.text);
    for id in [first, second] {
        assert_eq!(state(&s, &id).await, HoldState::Denied);
    }
    assert_eq!(state(&s, &later).await, HoldState::Pending);
}

#[tokio::test]
async fn more_than_go_together_are_said_and_left_alone() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let mut holds = Vec::new();
    for n in 0..103 {
        holds.push(desk.hold_open(capped(&n.to_string())).await.unwrap().id);
    }
    let bob = Browser::log_in(&s.approver, "bob").await;
    let last = holds.last().unwrap();
    let page = bob.get(&format!("/holds/{last}")).await.text;
    assert!(page.contains("Decide these 100 that are alike"), "{page}");
    assert!(page.contains("And 3 more wait, which this does not decide."));
    let listed = page.split("name=\"alike\" value=\"").nth(1).unwrap();
    let listed = listed.split('"').next().unwrap();
    assert_eq!(listed.split(' ').count(), 99);
    let form = format!(
        "csrf={}&decision=deny&reason=no&alike={}&grant=&uses=10",
        bob.csrf().await,
        listed.replace(' ', "+")
    );
    let path = format!("/holds/{last}/decision");
    let decided = bob.post(&path, ORIGIN, form).await;
    assert_eq!(decided.status, StatusCode::SEE_OTHER, "{}", decided.text);
    for id in &holds {
        // What the page named is denied, and nothing else.
        let named = page.contains(id.as_str());
        let want = if named {
            HoldState::Denied
        } else {
            HoldState::Pending
        };
        assert_eq!(state(&s, id).await, want, "{id}");
    }
}
