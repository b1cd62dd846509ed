//! Holds that several routes are asked about at once.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use crate::support::{config, decision, request, start};
use abeyance_api::{
    ChatKind, DecideError, Decision, DeskError, HoldDesk as _, HoldId, HoldState, ManualClock,
    PersonId,
};
use abeyance_approver::{
    Approver, OncallSchedule, Route, RouteTerms,
    escalation::{Notify, Plan, Step, Who},
    oncall::{Handoff, Layer, Schedule, Zone},
    quorum::Quorum,
};
use chrono::TimeDelta;

const PRIVACY: &str = "C0PRIVACY";

fn ids(names: &[&str]) -> Vec<PersonId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// `dba` is Ann, who owns the agent, and Bob; `privacy` is whoever its one step asks.
async fn asked_with(privacy: &[&str], steps: &[&str]) -> (Approver, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    let step = |name: &&str| Step {
        who: vec![Who::Person(name.parse().unwrap())],
        after_seconds: 0,
        notify: Notify::Both,
    };
    let plan = if steps.is_empty() {
        Plan::default()
    } else {
        let steps = steps.iter().map(step).collect();
        Plan::new(steps, Vec::new(), TimeDelta::minutes(2)).unwrap()
    };
    config.routes.push(Route {
        name: "privacy".to_owned(),
        reviewers: ids(privacy),
        quorum: Quorum::of(NonZeroU32::MIN, ids(privacy)),
        plan,
        timeout: Duration::from_secs(120),
        slack_channel: Some(PRIVACY.to_owned()),
        terms: RouteTerms::default(),
    });
    let clock = Arc::new(ManualClock::new(start()));
    (Approver::open(config, clock).await.unwrap(), folder)
}

async fn open(approver: &Approver) -> Result<HoldId, DeskError> {
    let mut request = request();
    request.route = "dba+privacy".to_owned();
    Ok(approver.hold_open(request).await?.id)
}

async fn approves(approver: &Approver, hold: &HoldId, who: &str) -> Result<HoldState, DecideError> {
    let request = decision(hold, who, Decision::Approve);
    let view = approver.decision_desk().hold_decide(request).await?;
    Ok(view.state)
}

#[tokio::test]
async fn each_route_has_its_own_seat() {
    for (privacy, steps) in [(&["cho"][..], &[][..]), (&[], &["cho"])] {
        for order in [["bob", "cho"], ["cho", "bob"]] {
            let (approver, _folder) = asked_with(privacy, steps).await;
            let hold = open(&approver).await.unwrap();
            approver.settle().await.unwrap();
            let view = approver.decision_desk().hold_view(&hold).await.unwrap();
            assert!(
                view.asked.contains("1 of route dba and 1 of route privacy"),
                "{}",
                view.asked
            );
            assert_eq!(
                view.expires_at,
                start() + TimeDelta::minutes(2),
                "the shorter wait"
            );
            assert!(matches!(
                approves(&approver, &hold, "ann").await,
                Err(DecideError::OwnAgent)
            ));
            assert_eq!(
                approves(&approver, &hold, order[0]).await,
                Ok(HoldState::Pending)
            );
            assert_eq!(
                approves(&approver, &hold, order[1]).await,
                Ok(HoldState::Approved)
            );
        }
    }
}

#[tokio::test]
async fn whoever_one_route_asked_takes_no_seat_of_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    let zone: Zone = "UTC".parse().unwrap();
    let layer = Layer {
        name: "only".to_owned(),
        turns: vec![ids(&["bob"])],
        handoff: Handoff::new("0 0 1 1 *", zone).unwrap(),
        anchor: "2020-01-01".parse().unwrap(),
        coverage: Vec::new(),
    };
    config.schedules = vec![OncallSchedule {
        schedule: Schedule::new("duty", vec![layer]).unwrap(),
        stand_ins: ids(&["cho"]),
        announce: None,
        slack_group: None,
    }];
    let route = |name: &str, reviewers: &[&str], who: Who| Route {
        name: name.to_owned(),
        reviewers: ids(reviewers),
        quorum: Quorum::of(NonZeroU32::MIN, ids(reviewers)),
        plan: Plan::new(
            vec![Step {
                who: vec![who],
                after_seconds: 0,
                notify: Notify::Both,
            }],
            Vec::new(),
            TimeDelta::minutes(2),
        )
        .unwrap(),
        timeout: Duration::from_secs(120),
        slack_channel: None,
        terms: RouteTerms::default(),
    };
    // Cho could stand in on the schedule of `dba`, but it is `privacy` that asks her.
    config.routes = vec![
        route("dba", &[], Who::Schedule("duty".to_owned())),
        route("privacy", &["dan"], Who::Person("cho".parse().unwrap())),
    ];
    let mut dan = config.people[1].clone();
    dan.id = "dan".parse().unwrap();
    dan.slack = None;
    dan.console_token_hash = None;
    config.people.push(dan);
    let clock = Arc::new(ManualClock::new(start()));
    let approver = Approver::open(config, clock).await.unwrap();
    let hold = open(&approver).await.unwrap();
    approver.settle().await.unwrap();
    for who in ["dan", "cho"] {
        let voted = approves(&approver, &hold, who).await;
        assert_eq!(voted, Ok(HoldState::Pending), "{who}");
    }
    let decided = approves(&approver, &hold, "bob").await;
    assert_eq!(decided, Ok(HoldState::Approved));
}

#[tokio::test]
async fn cards_go_to_both_channels() {
    let (approver, _folder) = asked_with(&["cho"], &[]).await;
    open(&approver).await.unwrap();
    let due = approver
        .card_desk()
        .cards_due(ChatKind::Slack, 10)
        .await
        .unwrap();
    let mut channels: Vec<String> = due.into_iter().map(|task| task.channel).collect();
    channels.sort_unstable();
    assert_eq!(channels, ["C0DBA0001", PRIVACY]);
}

#[tokio::test]
async fn one_person_is_not_two() {
    let (approver, _folder) = asked_with(&["bob"], &[]).await;
    let refused = open(&approver).await.unwrap_err();
    assert!(
        matches!(&refused, DeskError::Refused { detail } if detail.contains("has not so many")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_route_that_is_not_there_asks_nobody() {
    let (approver, _folder) = asked_with(&["cho"], &[]).await;
    let many = ["dba"; 9].join("+");
    for name in ["dba+nobody", "dba+", "+", many.as_str()] {
        let mut request = request();
        request.route = name.to_owned();
        let refused = approver.hold_open(request).await.unwrap_err();
        assert!(
            matches!(refused, DeskError::Refused { .. }),
            "{name}: {refused:?}"
        );
    }
}
