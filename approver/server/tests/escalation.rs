//! Who is asked when nobody answers, with a clock that only moves when told.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use crate::support::{config, decision, open, request, start};
use abeyance_api::{
    CardReceipt, ChatKind, Claimant, Clock as _, DecideError, Decision, DeskError, HoldId,
    HoldState, HoldView, LookRequest, ManualClock, NoticeBody, NoticeTo, OverrideRemoval,
    OverrideRequest, OverrideSpan, PersonId, Resolution, Surface,
};
use abeyance_approver::{
    Approver, ApproverConfig, Group, OncallSchedule, Route, RouteTerms,
    escalation::{Notify, Plan, Step, Who},
    oncall::{Handoff, Layer, Schedule, Zone},
    quorum::Quorum,
};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

const CHANNEL: &str = "C0DBA0001";

fn id(name: &str) -> PersonId {
    name.parse().unwrap()
}

fn schedule(name: &str, anchor: &str, handoff: &str, turns: &[&str]) -> OncallSchedule {
    let zone: Zone = "UTC".parse().unwrap();
    let layer = Layer {
        name: "only".to_owned(),
        turns: turns.iter().map(|turn| vec![id(turn)]).collect(),
        handoff: Handoff::new(handoff, zone).unwrap(),
        anchor: anchor.parse().unwrap(),
        coverage: Vec::new(),
    };
    OncallSchedule {
        schedule: Schedule::new(name, vec![layer]).unwrap(),
        stand_ins: vec![id("cho")],
        announce: None,
        slack_group: None,
    }
}

fn step(who: Who, after_seconds: u32) -> Step {
    Step {
        who: vec![who],
        after_seconds,
        notify: Notify::Both,
    }
}

fn on(name: &str) -> Who {
    Who::Schedule(name.to_owned())
}

fn route(seats: u32, steps: Vec<Step>, fallback: Vec<Who>) -> Route {
    Route {
        name: "dba".to_owned(),
        reviewers: Vec::new(),
        quorum: Quorum::of(NonZeroU32::new(seats).unwrap(), Vec::new()),
        plan: Plan::new(steps, fallback, TimeDelta::minutes(10)).unwrap(),
        timeout: Duration::from_secs(600),
        slack_channel: Some(CHANNEL.to_owned()),
        terms: RouteTerms::default(),
    }
}

struct Scene {
    approver: Approver,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

/// Ann owns the agent. Bob is always on call for `days`, and nobody for `nights`.
async fn scene(route: Route, change: impl FnOnce(&mut ApproverConfig)) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.routes = vec![route];
    config.groups = vec![Group {
        name: "leads".to_owned(),
        people: vec![id("ann"), id("cho")],
    }];
    config.schedules = vec![
        schedule("days", "2020-01-01", "0 0 1 1 *", &["bob"]),
        schedule("nights", "2090-01-01", "0 9 * * *", &["bob"]),
    ];
    change(&mut config);
    let clock = Arc::new(ManualClock::new(start()));
    let approver = Approver::open(config, clock.clone()).await.unwrap();
    approver.settle().await.unwrap();
    Scene {
        approver,
        clock,
        _folder: folder,
    }
}

impl Scene {
    async fn later(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
        self.approver.settle().await.unwrap();
    }

    async fn view(&self, hold: &HoldId) -> HoldView {
        self.approver.decision_desk().hold_view(hold).await.unwrap()
    }

    async fn asked(&self, hold: &HoldId) -> Vec<String> {
        let asking = self.view(hold).await.asking;
        let people = asking.asked.into_iter().flat_map(|step| step.people);
        people.map(|person| person.id.to_string()).collect()
    }

    async fn approves(&self, hold: &HoldId, who: &str) -> Result<HoldState, DecideError> {
        let request = decision(hold, who, Decision::Approve);
        let view = self.approver.decision_desk().hold_decide(request).await?;
        Ok(view.state)
    }

    async fn looks(&self, hold: &HoldId, who: &str) -> Result<HoldView, DecideError> {
        let request = LookRequest {
            hold: hold.clone(),
            claimant: Claimant::Person { id: id(who) },
            surface: Surface::Console,
        };
        self.approver.decision_desk().hold_look(request).await
    }

    fn at(&self, seconds: i64) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::seconds(seconds)
    }

    async fn stands_in(
        &self,
        author: &str,
        who: &str,
        span: (i64, i64),
    ) -> Result<uuid::Uuid, DecideError> {
        let request = OverrideRequest {
            schedule: "days".to_owned(),
            spans: vec![OverrideSpan {
                from: self.at(span.0),
                until: self.at(span.1),
                people: vec![id(who)],
            }],
            reason: "dentist".to_owned(),
            claimant: Claimant::Person { id: id(author) },
            surface: Surface::Console,
            key: None,
        };
        let made = self.approver.oncall_desk().override_add(request).await?;
        Ok(made[0].id)
    }

    async fn notices(&self) -> Vec<abeyance_api::NoticeTask> {
        let desk = self.approver.card_desk();
        desk.notices_due(ChatKind::Slack, 100).await.unwrap()
    }
}

fn two_steps() -> Route {
    let steps = vec![step(on("days"), 0), step(Who::Person(id("cho")), 60)];
    route(1, steps, vec![Who::Group("leads".to_owned())])
}

#[tokio::test]
async fn each_step_asks_and_lets_decide() {
    let s = scene(two_steps(), |_| {}).await;
    let hold = open(&s.approver).await;
    assert_eq!(
        s.asked(&hold).await,
        ["bob"],
        "asked before the caller has its answer"
    );
    let view = s.view(&hold).await;
    assert_eq!(
        view.asked,
        "route dba (schedule days; then cho after 1 min)"
    );
    let next = view.asking.next.unwrap();
    assert_eq!((next.who.as_str(), next.at), ("cho", s.at(60)));
    let early = s.approves(&hold, "cho").await.unwrap_err();
    assert!(
        matches!(early, DecideError::NotAReviewer { .. }),
        "{early:?}"
    );
    s.later(59).await;
    assert_eq!(s.asked(&hold).await, ["bob"]);
    s.later(1).await;
    assert_eq!(s.asked(&hold).await, ["bob", "cho"]);
    assert_eq!(s.view(&hold).await.asking.next, None);
    assert_eq!(s.approves(&hold, "cho").await, Ok(HoldState::Approved));
    assert_eq!(s.approver.audit_verify().await.unwrap().broken_at, None);
}

#[tokio::test]
async fn whoever_was_asked_may_decide_after_their_shift() {
    let steps = vec![step(on("hourly"), 0), step(on("hourly"), 300)];
    let route = route(1, steps, vec![Who::Group("leads".to_owned())]);
    let s = scene(route, |config| {
        let hourly = schedule("hourly", "2020-01-01", "5 * * * *", &["bob", "cho"]);
        config.schedules.push(hourly);
    })
    .await;
    let hold = open(&s.approver).await;
    let first = s.asked(&hold).await;
    // Steps come when they are due, and ask whoever has the shift by then.
    s.later(299).await;
    assert_eq!(s.asked(&hold).await, first);
    s.clock.advance(TimeDelta::seconds(1));
    s.approver.settle().await.unwrap();
    let both = s.asked(&hold).await;
    assert_eq!(both.len(), 2, "{both:?}");
    assert_ne!(both[0], both[1], "the shift changed at five past");
    assert_eq!(s.approves(&hold, &first[0]).await, Ok(HoldState::Approved));
}

#[tokio::test]
async fn empty_steps_come_to_the_fallback_and_then_to_a_denial() {
    let steps = || vec![step(on("nights"), 0), step(on("nights"), 60)];
    let leads = vec![Who::Group("leads".to_owned())];
    let s = scene(route(1, steps(), leads), |_| {}).await;
    let hold = open(&s.approver).await;
    // Ann is a lead and owns the agent.
    assert_eq!(s.asked(&hold).await, ["cho"]);
    assert_eq!(s.approves(&hold, "cho").await, Ok(HoldState::Approved));

    let s = scene(route(1, steps(), vec![Who::Person(id("ann"))]), |_| {}).await;
    let desk = s.approver.hold_desk();
    let receipt = desk.hold_open(request()).await.unwrap();
    let resolution = desk.hold_wait(&receipt.id).await.unwrap();
    let Resolution::Nobody { why } = resolution else {
        panic!("{resolution:?}");
    };
    assert!(why.starts_with("nobody is on call for route dba"), "{why}");
    assert_eq!(s.view(&receipt.id).await.state, HoldState::Denied);
    assert_eq!(s.approver.audit_verify().await.unwrap().broken_at, None);
}

#[tokio::test]
async fn a_quorum_that_can_never_be_is_refused_at_once() {
    let steps = vec![step(on("days"), 0), step(on("days"), 60)];
    let fallback = vec![Who::Person(id("ann"))];
    let s = scene(route(2, steps, fallback), |_| {}).await;
    let error = s
        .approver
        .hold_desk()
        .hold_open(request())
        .await
        .unwrap_err();
    let DeskError::Refused { detail } = error else {
        panic!("{error:?}");
    };
    assert!(detail.contains("2 people"), "{detail}");

    // Enough with the fallback: asked when the steps came to too few.
    let fallback = vec![Who::Group("leads".to_owned())];
    let s = scene(route(2, vec![step(on("days"), 0)], fallback), |_| {}).await;
    let hold = open(&s.approver).await;
    assert_eq!(s.asked(&hold).await, ["bob", "cho"]);
    assert_eq!(s.approves(&hold, "bob").await, Ok(HoldState::Pending));
    assert_eq!(s.approves(&hold, "cho").await, Ok(HoldState::Approved));
}

#[tokio::test]
async fn looking_pauses_and_never_extends() {
    let s = scene(two_steps(), |_| {}).await;
    let hold = open(&s.approver).await;
    let expires_at = s.view(&hold).await.expires_at;
    let stranger = s.looks(&hold, "cho").await.unwrap_err();
    assert!(matches!(stranger, DecideError::NotAReviewer { .. }));
    assert_eq!(
        s.looks(&hold, "ann").await.unwrap_err(),
        DecideError::OwnAgent
    );
    let view = s.looks(&hold, "bob").await.unwrap();
    assert_eq!(view.asking.looks[0].person.id, id("bob"));
    assert_eq!(view.expires_at, expires_at);
    assert!(view.votes.is_empty(), "no vote");
    let version = view.version;
    assert_eq!(
        s.looks(&hold, "bob").await.unwrap().version,
        version,
        "once a person"
    );
    s.later(60 + 179).await;
    assert_eq!(s.asked(&hold).await, ["bob"]);
    s.later(1).await;
    assert_eq!(s.asked(&hold).await, ["bob", "cho"]);
}

#[tokio::test]
async fn a_step_fires_once_whoever_is_at_it() {
    let s = scene(two_steps(), |_| {}).await;
    let hold = open(&s.approver).await;
    s.clock.advance(TimeDelta::seconds(60));
    let (one, two, three) = tokio::join!(
        s.approver.settle(),
        s.approver.settle(),
        s.approver.settle()
    );
    for settled in [one, two, three] {
        settled.unwrap();
    }
    assert_eq!(s.asked(&hold).await, ["bob", "cho"]);
    let cards = s
        .approver
        .card_desk()
        .cards_due(ChatKind::Slack, 100)
        .await
        .unwrap();
    let mut places: Vec<&str> = cards.iter().map(|card| card.channel.as_str()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [CHANNEL, "U0BOB0001", "U0CHO0001"],
        "a card each, and one for all"
    );
}

#[tokio::test]
async fn people_are_called_under_the_card_until_it_is_decided() {
    let s = scene(two_steps(), |_| {}).await;
    let hold = open(&s.approver).await;
    assert!(
        s.notices().await.is_empty(),
        "there is no card to say it under"
    );
    let receipt = CardReceipt {
        chat: ChatKind::Slack,
        hold: hold.clone(),
        channel: CHANNEL.to_owned(),
        message: "1.2".to_owned(),
        version: s.view(&hold).await.version,
    };
    let desk = s.approver.card_desk();
    desk.card_delivered(receipt).await.unwrap();
    let due = s.notices().await;
    let [task] = due.as_slice() else {
        panic!("{due:?}")
    };
    let to = NoticeTo::Thread {
        channel: CHANNEL.to_owned(),
        message: "1.2".to_owned(),
    };
    assert_eq!(task.to, to);
    assert!(matches!(&task.body, NoticeBody::Asked { people, .. } if people[0].id == id("bob")));
    assert!(s.notices().await.is_empty(), "leased");
    desk.notice_begin(task.id).await.unwrap();
    s.clock.advance(TimeDelta::seconds(61));
    let again = s.notices().await;
    assert!(again[0].in_doubt, "begun, and never confirmed");
    desk.notice_delivered(task.id).await.unwrap();

    s.later(1).await;
    assert_eq!(s.approves(&hold, "bob").await, Ok(HoldState::Approved));
    assert!(
        s.notices().await.is_empty(),
        "nobody is called to what is decided"
    );
}

#[tokio::test]
async fn overrides_decide_who_is_asked() {
    let s = scene(two_steps(), |_| {}).await;
    s.stands_in("bob", "cho", (-60, 3_600)).await.unwrap();
    let hold = open(&s.approver).await;
    assert_eq!(s.asked(&hold).await, ["cho"]);
    // The one made last counts; it ends where it says.
    let last = s.stands_in("cho", "bob", (0, 60)).await.unwrap();
    assert_eq!(s.asked(&open(&s.approver).await).await, ["bob"]);
    s.later(60).await;
    assert_eq!(
        s.asked(&open(&s.approver).await).await,
        ["cho"],
        "half-open"
    );
    let removal = OverrideRemoval {
        id: last,
        reason: "over".to_owned(),
        claimant: Claimant::Person { id: id("bob") },
        surface: Surface::Console,
    };
    let desk = s.approver.oncall_desk();
    desk.override_remove(removal.clone()).await.unwrap();
    assert!(desk.override_remove(removal).await.is_err(), "gone already");
    assert_eq!(desk.overrides(s.clock.now()).await.unwrap().len(), 1);
    assert_eq!(s.approver.audit_verify().await.unwrap().broken_at, None);
}

#[tokio::test]
async fn overrides_never_go_beyond_the_schedule() {
    let s = scene(two_steps(), |_| {}).await;
    for (author, who, span) in [
        // Ann has no turns and stands in for nobody.
        ("ann", "bob", (0, 60)),
        ("bob", "ann", (0, 60)),
        ("bob", "cho", (60, 60)),
        ("bob", "cho", (-120, -60)),
        ("bob", "cho", (0, 100 * 24 * 3_600)),
    ] {
        let refused = s.stands_in(author, who, span).await;
        assert!(
            matches!(refused, Err(DecideError::Invalid { .. })),
            "{author} {who} {span:?}"
        );
    }
    assert!(
        s.approver
            .oncall_desk()
            .overrides(s.clock.now())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_handover_is_told_once() {
    let s = scene(two_steps(), |config| {
        config.schedules[0].announce = Some("C0ONCALL1".to_owned());
        config.schedules[0].slack_group = Some("S0DBA00001".to_owned());
    })
    .await;
    let group = |users: &[&str]| NoticeBody::Members {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
    };
    let first = s.notices().await;
    assert_eq!(first.len(), 1, "the first look is no hand-over: {first:?}");
    assert_eq!(first[0].body, group(&["U0BOB0001"]));
    s.later(10).await;
    s.stands_in("bob", "cho", (0, 3_600)).await.unwrap();
    s.later(1).await;
    s.later(1).await;
    let told = s.notices().await;
    assert_eq!(told.len(), 2, "{told:?}");
    let announced = told
        .iter()
        .find(|task| matches!(task.to, NoticeTo::Channel { .. }));
    assert!(matches!(
        &announced.unwrap().body,
        NoticeBody::HandedOver { people, before, because, .. }
            if people[0].id == id("cho") && before[0].id == id("bob") && because == "set by bob: dentist"
    ));
    assert!(
        told.iter().any(|task| task.body == group(&["U0CHO0001"])),
        "only the latest: {told:?}"
    );
}
