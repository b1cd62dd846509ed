//! The console's page of schedules: its times, its form, and what somebody is told whose schedule it is not.

use std::sync::Arc;

use crate::support::{config, console_token, start};
use abeyance_api::{
    Claimant, ManualClock, OncallDesk as _, OverrideRequest, OverrideSpan, Surface,
};
use abeyance_approver::{
    Approver, OncallSchedule,
    oncall::{Handoff, Layer, Schedule},
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use chrono::TimeDelta;
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

const ORIGIN: &str = "http://127.0.0.1:8080";

/// Bob and Cho change by days, at nine in Berlin.
async fn on_call() -> Approver {
    let layer = Layer {
        name: "always".to_owned(),
        turns: vec![vec!["bob".parse().unwrap()], vec!["cho".parse().unwrap()]],
        handoff: Handoff::new("0 9 * * *", "Europe/Berlin".parse().unwrap()).unwrap(),
        anchor: "2026-01-05".parse().unwrap(),
        coverage: Vec::new(),
    };
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.schedules = vec![OncallSchedule {
        schedule: Schedule::new("dba", vec![layer]).unwrap(),
        stand_ins: Vec::new(),
        announce: None,
        slack_group: None,
    }];
    let clock = Arc::new(ManualClock::new(start()));
    let approver = Approver::open(config, clock).await.unwrap();
    // The folder goes with the process.
    let _kept = folder.keep();
    approver
}

/// Somebody's browser.
struct Browser<'a> {
    approver: &'a Approver,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn log_in(approver: &'a Approver, who: &str) -> Browser<'a> {
        let mut browser = Self {
            approver,
            cookie: String::new(),
        };
        let form = format!("token={}&next=/oncall", console_token(who).expose_secret());
        let (_, cookie, _) = browser.send("/login", Some(form)).await;
        browser.cookie = cookie.split(';').next().unwrap().to_owned();
        browser
    }

    async fn send(&self, path: &str, form: Option<String>) -> (StatusCode, String, String) {
        let request = match form {
            Some(_) => Request::post(path),
            None => Request::get(path),
        };
        let request = request
            .header(header::COOKIE, &self.cookie)
            .header(header::HOST, "127.0.0.1:8080")
            .header(header::ORIGIN, ORIGIN)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.map_or_else(Body::empty, Body::from));
        let answer = self.approver.router().oneshot(request.unwrap()).await;
        let (parts, body) = answer.unwrap().into_parts();
        let cookie = parts.headers.get(header::SET_COOKIE);
        let cookie = cookie.map(|cookie| cookie.to_str().unwrap().to_owned());
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (parts.status, cookie.unwrap_or_default(), text)
    }

    async fn page(&self) -> String {
        self.send("/oncall", None).await.2
    }

    /// Puts Cho on call.
    async fn stand_in(&self, schedule: &str, from: &str, until: &str) -> (StatusCode, String) {
        let page = self.page().await;
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap();
        let csrf = csrf.split('"').next().unwrap();
        let form = format!(
            "csrf={csrf}&schedule={schedule}&person=cho&from={from}&until={until}&reason=dentist"
        );
        let (status, _, text) = self.send("/oncall/overrides", Some(form)).await;
        (status, text)
    }
}

#[tokio::test]
async fn shifts_are_on_the_clock_of_their_schedule() {
    let approver = on_call().await;
    let bob = Browser::log_in(&approver, "bob").await;
    // The clocks go forward on 29 March; the page looks two weeks ahead of the second.
    let made = bob
        .stand_in("dba", "2026-03-28T12:00", "2026-03-29T12:00")
        .await;
    assert_eq!(made.0, StatusCode::SEE_OTHER, "{}", made.1);
    let overrides = approver.overrides(start()).await.unwrap();
    let span = (
        overrides[0].from.to_rfc3339(),
        overrides[0].until.to_rfc3339(),
    );
    assert_eq!(
        (span.0.as_str(), span.1.as_str()),
        ("2026-03-28T11:00:00+00:00", "2026-03-29T10:00:00+00:00")
    );
    let page = bob.page().await;
    for shown in [
        "<time datetime=\"2026-03-28T11:00:00Z\" title=\"28 Mar 2026 11:00 UTC\">Sat 28 Mar 12:00 CET</time>",
        "<time datetime=\"2026-03-29T10:00:00Z\" title=\"29 Mar 2026 10:00 UTC\">Sun 29 Mar 12:00 CEST</time>",
        "<span class=\"how\">Europe&#x2f;Berlin</span>",
        "on call from (Europe&#x2f;Berlin)",
        "Tue 3 Mar 09:00 CET",
    ] {
        assert!(page.contains(shown), "{shown} is missing: {page}");
    }
}

/// Two weeks are looked at; that they end is no hand-over.
#[tokio::test]
async fn a_shift_that_goes_on_has_no_end() {
    let approver = on_call().await;
    let bob = Browser::log_in(&approver, "bob").await;
    // From the day after tomorrow on, for longer than the page looks.
    let made = bob
        .stand_in("dba", "2026-03-04T12:00", "2026-04-04T12:00")
        .await;
    assert_eq!(made.0, StatusCode::SEE_OTHER, "{}", made.1);
    let page = bob.page().await;
    let shown = page.split("<span>from ").nth(1).unwrap();
    let shown = shown.split("</span>").next().unwrap();
    assert!(shown.contains("Wed 4 Mar 12:00 CET"), "{shown}");
    assert!(shown.ends_with(" on"), "{shown}");
}

#[tokio::test]
async fn a_form_that_cannot_be_is_answered_on_its_page() {
    let approver = on_call().await;
    let bob = Browser::log_in(&approver, "bob").await;
    for (schedule, from, told) in [
        (
            "dba",
            "tomorrow",
            "Give both moments on the schedule&#x27;s clock",
        ),
        ("dba", "275760-01-01T00:00", "Give both moments"),
        ("dba", "9026-03-28T12:00", "is too far from now"),
        (
            "dbb",
            "2026-03-28T12:00",
            "There is no schedule dbb; did you mean dba?",
        ),
    ] {
        let (status, page) = bob.stand_in(schedule, from, "2026-03-29T12:00").await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{from}: {page}");
        assert!(page.contains(told), "{from}: {page}");
    }
    assert!(approver.overrides(start()).await.unwrap().is_empty());
}

/// They read it in chat and in the console, and many of them cannot edit the configuration.
#[tokio::test]
async fn whose_schedule_it_is_not_is_told_whom_to_ask() {
    let approver = on_call().await;
    let ask = async |who: &str, stands_in: &str| {
        let request = OverrideRequest {
            schedule: "dba".to_owned(),
            spans: vec![OverrideSpan {
                from: start() + TimeDelta::hours(1),
                until: start() + TimeDelta::hours(2),
                people: vec![stands_in.parse().unwrap()],
            }],
            reason: "dentist".to_owned(),
            claimant: Claimant::Person {
                id: who.parse().unwrap(),
            },
            surface: Surface::Slack,
            key: None,
        };
        approver
            .override_add(request)
            .await
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        ask("ann", "bob").await,
        "only people of schedule dba change who is on call; ask one of them, or whoever keeps the configuration to add \
         you as a stand-in"
    );
    assert_eq!(
        ask("bob", "ann").await,
        "ann has no turns on schedule dba and is none of its stand-ins"
    );
}
