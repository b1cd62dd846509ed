//! Looking things up, and shifts in people's own words: who may, what they get, and what is never shown.

use std::sync::Arc;

use crate::support::{
    BOT_TOKEN, PROXY_TOKEN, config, console_token, decision, request,
    served::{desk, serving},
    start,
};
use abeyance_api::{
    BulkDecision, CardDesk, CardReceipt, CardTask, ChatKind, Claimant, Clock as _, DecideError,
    Decision, DecisionDesk, HoldId, HoldSearch, ManualClock, Moment, Named, OncallDesk,
    OverrideRemoval, RecordDesk, ShiftsQuery, StandIn, Surface, Swap, Which,
};
use abeyance_approver::{
    Approver, OncallSchedule,
    oncall::{Handoff, Layer, Schedule},
};
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

fn slack(name: &str) -> Claimant {
    Claimant::Slack {
        user: format!("U0{}0001", name.to_uppercase()),
    }
}

fn named(name: &str) -> Named {
    Named::Name {
        name: name.to_owned(),
    }
}

/// Ann and Bob take turns, a day each from nine o'clock in Kolkata, half past three UTC.
fn schedule() -> OncallSchedule {
    let layer = Layer {
        name: "days".to_owned(),
        turns: vec![vec!["ann".parse().unwrap()], vec!["bob".parse().unwrap()]],
        handoff: Handoff::new("0 9 * * *", "Asia/Kolkata".parse().unwrap()).unwrap(),
        anchor: "2026-03-01".parse().unwrap(),
        coverage: Vec::new(),
    };
    OncallSchedule {
        schedule: Schedule::new("dba", vec![layer]).unwrap(),
        stand_ins: Vec::new(),
        announce: None,
        slack_group: None,
    }
}

async fn approver_in(folder: &TempDir) -> (Approver, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(start()));
    let mut config = config(folder);
    config.schedules = vec![schedule()];
    let approver = Approver::open(config, clock.clone()).await.unwrap();
    (approver, clock)
}

async fn approver() -> (Approver, Arc<ManualClock>) {
    let folder = tempfile::tempdir().unwrap();
    let made = approver_in(&folder).await;
    // The folder goes with the process.
    let _kept = folder.keep();
    made
}

async fn open(approver: &Approver, agent: &str, target: &str) -> HoldId {
    let mut request = request();
    agent.clone_into(&mut request.agent.name);
    target.clone_into(&mut request.target.name);
    approver.hold_desk().hold_open(request).await.unwrap().id
}

fn search(which: Which) -> HoldSearch {
    HoldSearch {
        claimant: slack("cho"),
        which,
        agent: None,
        target: None,
        person: None,
        limit: 10,
    }
}

async fn ids(approver: &Approver, search: HoldSearch) -> (Vec<HoldId>, u64) {
    let found = approver.holds_search(search).await.unwrap();
    let ids = found.holds.into_iter().map(|hold| hold.id);
    (ids.collect(), found.total)
}

#[tokio::test]
async fn what_waits_is_found_by_agent_and_target() {
    let (approver, _clock) = approver().await;
    let one = open(&approver, "billing-bot", "clinic").await;
    let other = open(&approver, "report-bot", "clinic").await;
    let third = open(&approver, "report-bot", "archive").await;
    let (mut all, total) = ids(&approver, search(Which::Waiting)).await;
    all.sort();
    let mut want = vec![one.clone(), other.clone(), third.clone()];
    want.sort();
    assert_eq!((all, total), (want, 3));
    let mut by = search(Which::Waiting);
    by.agent = Some("report-bot".to_owned());
    by.limit = 1;
    let (shown, total) = ids(&approver, by.clone()).await;
    assert_eq!((shown.len(), total), (1, 2), "more than was asked for");
    by.target = Some("archive".to_owned());
    assert_eq!(ids(&approver, by).await, (vec![third], 1));
    let vote = decision(&one, "bob", Decision::Deny);
    approver.hold_decide(vote).await.unwrap();
    assert_eq!(ids(&approver, search(Which::Waiting)).await.1, 2);
}

#[tokio::test]
async fn what_was_decided_is_found_by_person_and_time() {
    let (approver, clock) = approver().await;
    let by_bob = open(&approver, "billing-bot", "clinic").await;
    let vote = decision(&by_bob, "bob", Decision::Approve);
    approver.hold_decide(vote).await.unwrap();
    clock.advance(TimeDelta::hours(2));
    let by_ann = open(&approver, "report-bot", "clinic").await;
    let mut vote = decision(&by_ann, "ann", Decision::Deny);
    vote.hold = by_ann.clone();
    // Ann owns the agent of every request here.
    let refused = approver.hold_decide(vote).await.unwrap_err();
    assert_eq!(refused, DecideError::OwnAgent);
    clock.advance(TimeDelta::minutes(6));
    approver.settle().await.unwrap();
    // It expires when somebody comes too late.
    let late = approver.hold_decide(decision(&by_ann, "bob", Decision::Deny));
    assert!(late.await.is_err());

    let since = |hours| Which::Decided {
        since: clock.now() - TimeDelta::hours(hours),
    };
    let both = ids(&approver, search(since(3))).await;
    assert_eq!(
        both,
        (vec![by_ann.clone(), by_bob.clone()], 2),
        "the latest first"
    );
    assert_eq!(ids(&approver, search(since(1))).await.0, [by_ann]);
    let mut of = search(since(3));
    of.person = Some(Named::Slack {
        user: "U0BOB0001".to_owned(),
    });
    assert_eq!(ids(&approver, of.clone()).await.0, [by_bob]);
    of.person = Some(named("bobb"));
    let error = approver.holds_search(of).await.unwrap_err().to_string();
    assert!(error.contains("did you mean bob?"), "{error}");
}

#[tokio::test]
async fn a_hold_is_shown_with_its_whole_record() {
    let (approver, _clock) = approver().await;
    let id = open(&approver, "billing-bot", "clinic").await;
    let vote = decision(&id, "bob", Decision::Approve);
    approver.hold_decide(vote).await.unwrap();
    let history = approver.hold_history(&id, &slack("cho")).await.unwrap();
    assert_eq!(history.hold.id, id);
    let lines: Vec<&str> = history
        .lines
        .iter()
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(
        lines,
        ["Held; route dba was asked", "Bob approved in the console"]
    );
    assert_eq!(history.lines[1].quote.as_deref(), Some("looked at it"));
}

#[tokio::test]
async fn strangers_learn_nothing_not_even_what_there_is() {
    let (approver, _clock) = approver().await;
    let id = open(&approver, "billing-bot", "clinic").await;
    let stranger = slack("zoe");
    let nobody = DecideError::UnknownPerson;
    let person = approver.person(&stranger).await;
    assert_eq!(person.unwrap_err(), nobody);
    for hold in [id, "HLD-9999".parse().unwrap()] {
        let shown = approver.hold_history(&hold, &stranger).await;
        assert_eq!(shown.unwrap_err(), nobody);
    }
    let mut asks = search(Which::Waiting);
    asks.claimant = stranger.clone();
    assert_eq!(approver.holds_search(asks).await.unwrap_err(), nobody);
    for schedule in ["dba", "nothing"] {
        let query = ShiftsQuery {
            claimant: stranger.clone(),
            schedule: Some(schedule.to_owned()),
        };
        assert_eq!(approver.shifts(query).await.unwrap_err(), nobody);
        let mut wish = stand_in("bob", "2026-03-03T18:00");
        wish.claimant = stranger.clone();
        schedule.clone_into(&mut wish.schedule);
        assert_eq!(approver.stand_in(wish).await.unwrap_err(), nobody);
    }
}

/// A bot speaks for whoever it authenticated, somebody with their own token for themselves, a proxy for nobody.
#[tokio::test]
async fn over_http_answers_are_the_same_and_everybody_is_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (approver, _clock) = approver_in(&folder).await;
    let id = open(&approver, "billing-bot", "clinic").await;
    let second = open(&approver, "billing-bot", "clinic").await;
    let served = serving(approver.clone(), folder, None).await;
    let bot = desk(served.address, BOT_TOKEN);
    let cho = slack("cho");

    let person = bot.person(&cho).await.unwrap();
    assert_eq!(person, approver.person(&cho).await.unwrap());
    let found = bot.holds_search(search(Which::Waiting)).await.unwrap();
    let here = approver.holds_search(search(Which::Waiting)).await.unwrap();
    assert_eq!((found.total, json(&found)), (2, json(&here)));
    let shown = bot.hold_history(&id, &cho).await.unwrap();
    assert_eq!(shown.lines.len(), 1);
    let here = approver.hold_history(&id, &cho).await.unwrap();
    assert_eq!(json(&shown), json(&here));
    let alike = bot.holds_alike(&id).await.unwrap();
    assert_eq!(alike.holds[1].id, second);
    assert_eq!(alike, approver.holds_alike(&id).await.unwrap());
    let query = |claimant| ShiftsQuery {
        claimant,
        schedule: Some("dba".to_owned()),
    };
    let shifts = bot.shifts(query(cho.clone())).await.unwrap();
    assert!(!shifts[0].shifts.is_empty());
    let here = approver.shifts(query(cho.clone())).await.unwrap();
    assert_eq!(json(&shifts), json(&here));

    let made = bot.stand_in(stand_in("bob", "2026-03-03T18:00")).await;
    assert_eq!(json(&made.unwrap()), json(&all_of(&approver).await));
    let swap = Swap {
        schedule: "dba".to_owned(),
        shift: wall("2026-03-04T15:00"),
        with: wall("2026-03-05T15:00"),
        reason: "dentist".to_owned(),
        claimant: slack("bob"),
        key: None,
        surface: Surface::Slack,
    };
    assert_eq!(bot.swap(swap.clone()).await.unwrap().len(), 2);
    assert_eq!(all_of(&approver).await.len(), 3);

    let token = console_token("bob");
    let bob = desk(served.address, token.expose_secret());
    let refused = [
        bob.person(&cho).await.map(drop),
        bob.holds_search(search(Which::Waiting)).await.map(drop),
        bob.hold_history(&id, &cho).await.map(drop),
        bob.shifts(query(cho.clone())).await.map(drop),
        bob.stand_in(stand_in("bob", "2026-03-03T18:00"))
            .await
            .map(drop),
        // Also as oneself by another name: what chat says of people is the bot's to say.
        bob.swap(swap.clone()).await.map(drop),
    ];
    for answer in refused {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("act as yourself only"), "{error}");
    }
    let own = Claimant::Person {
        id: "bob".parse().unwrap(),
    };
    assert_eq!(bob.person(&own).await.unwrap().display_name, "Bob");
    bob.shifts(query(own)).await.unwrap();

    let proxy = desk(served.address, PROXY_TOKEN);
    let refused = [
        proxy.person(&cho).await.map(drop),
        proxy.holds_search(search(Which::Waiting)).await.map(drop),
        proxy.hold_history(&id, &cho).await.map(drop),
        proxy.shifts(query(cho)).await.map(drop),
        proxy
            .stand_in(stand_in("bob", "2026-03-03T18:00"))
            .await
            .map(drop),
        proxy.swap(swap).await.map(drop),
    ];
    for answer in refused {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("token"), "{error}");
    }
    assert!(proxy.holds_alike(&id).await.is_err());
    assert_eq!(all_of(&approver).await.len(), 3, "nothing was added");
}

fn json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}

async fn all_of(approver: &Approver) -> Vec<abeyance_api::Override> {
    approver
        .overrides(chrono::DateTime::UNIX_EPOCH)
        .await
        .unwrap()
}

fn wall(text: &str) -> Moment {
    Moment::Wall {
        wall: format!("{text}:00").parse().unwrap(),
    }
}

fn stand_in(person: &str, until: &str) -> StandIn {
    StandIn {
        schedule: "dba".to_owned(),
        people: vec![named(person)],
        from: wall("2026-03-03T09:30"),
        until: wall(until),
        reason: "dentist".to_owned(),
        claimant: slack("ann"),
        surface: Surface::Slack,
        key: None,
    }
}

#[tokio::test]
async fn stand_ins_are_named_as_people_name_them_on_the_schedules_clock() {
    let (approver, _clock) = approver().await;
    let mut wish = stand_in("bob", "2026-03-03T18:00");
    wish.people.push(Named::Slack {
        user: "U0ANN0001".to_owned(),
    });
    let made = approver.stand_in(wish).await.unwrap();
    assert_eq!(
        made[0].from,
        "2026-03-03T04:00:00Z"
            .parse::<chrono::DateTime<chrono::Utc>>()
            .unwrap()
    );
    let people: Vec<&str> = made[0]
        .people
        .iter()
        .map(abeyance_api::PersonId::as_str)
        .collect();
    assert_eq!(people, ["bob", "ann"]);
    let refused = [
        (stand_in("bobb", "2026-03-03T18:00"), "did you mean bob?"),
        // Known, and nothing to do with the schedule.
        (stand_in("cho", "2026-03-03T18:00"), "has no turns"),
        (stand_in("bob", "2026-03-03T09:00"), "ends after it begins"),
        (stand_in("bob", "9999-03-03T18:00"), "look at the year"),
    ];
    for (wish, why) in refused {
        let error = approver.stand_in(wish).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let mut wish = stand_in("bob", "2026-03-03T18:00");
    "\u{200b}\u{2060}".clone_into(&mut wish.reason);
    let error = approver.stand_in(wish).await.unwrap_err().to_string();
    assert!(error.contains("say in a few words why"), "{error}");
    let mut wish = stand_in("bob", "2026-03-03T18:00");
    "dbaa".clone_into(&mut wish.schedule);
    let error = approver.stand_in(wish).await.unwrap_err().to_string();
    assert!(error.contains("did you mean dba?"), "{error}");
}

#[tokio::test]
async fn shifts_are_shown_and_change_people() {
    let (approver, _clock) = approver().await;
    let query = || ShiftsQuery {
        claimant: slack("cho"),
        schedule: None,
    };
    let who = async || {
        let mut schedules = approver.shifts(query()).await.unwrap();
        assert_eq!(schedules.len(), 1);
        let shifts = schedules.remove(0).shifts.into_iter();
        let names = shifts.map(|shift| shift.people[0].display_name.clone());
        names.take(3).collect::<Vec<_>>()
    };
    assert_eq!(who().await, ["Bob", "Ann", "Bob"]);
    let swap = |with: &str| Swap {
        schedule: "dba".to_owned(),
        shift: wall("2026-03-02T15:00"),
        with: wall(with),
        reason: "dentist".to_owned(),
        claimant: slack("bob"),
        surface: Surface::Slack,
        key: None,
    };
    let made = approver.swap(swap("2026-03-03T12:00")).await.unwrap();
    assert_eq!(made.len(), 2);
    assert_eq!(who().await[..2], ["Ann", "Bob"]);
    let error = approver.swap(swap("2026-03-02T16:00")).await.unwrap_err();
    assert!(error.to_string().contains("same shift"), "{error}");
    let error = approver.swap(swap("2026-03-05T12:00")).await.unwrap_err();
    assert!(error.to_string().contains("the same people"), "{error}");
    let mut others = swap("2026-03-03T12:00");
    others.claimant = slack("cho");
    let error = approver.swap(others).await.unwrap_err();
    assert!(
        error.to_string().contains("only people of schedule dba"),
        "{error}"
    );
}

/// By way of another approver, or after a restart that forgot the first.
#[tokio::test]
async fn a_request_that_comes_twice_is_carried_out_once() {
    let (approver, clock) = approver().await;
    let keyed = |who: &str, key: &str| StandIn {
        claimant: slack(who),
        key: Some(key.to_owned()),
        ..stand_in("bob", "2026-03-03T18:00")
    };
    let made = approver.stand_in(keyed("ann", "13.37.f0")).await.unwrap();
    let refused = async |wish: StandIn, why: &str| {
        let error = approver.stand_in(wish).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(keyed("ann", "13.37.f0"), "done before").await;
    let removal = OverrideRemoval {
        id: made[0].id,
        reason: "back already".to_owned(),
        claimant: slack("bob"),
        surface: Surface::Slack,
    };
    approver.override_remove(removal).await.unwrap();
    // What was taken back stays so.
    refused(keyed("ann", "13.37.f0"), "done before").await;
    let since = clock.now();
    assert_eq!(approver.overrides(since).await.unwrap(), []);
    for key in [String::new(), "x".repeat(257)] {
        refused(keyed("ann", &key), "too long").await;
    }
    // Somebody else's request is another one, and so is one without a key.
    approver.stand_in(keyed("bob", "13.37.f0")).await.unwrap();
    approver.stand_in(keyed("ann", "13.37.f1")).await.unwrap();
    for _ in 0..2 {
        let wish = stand_in("bob", "2026-03-03T18:00");
        approver.stand_in(wish).await.unwrap();
    }
    let swap = || Swap {
        schedule: "dba".to_owned(),
        shift: wall("2026-03-06T15:00"),
        with: wall("2026-03-07T12:00"),
        reason: "dentist".to_owned(),
        claimant: slack("bob"),
        surface: Surface::Slack,
        key: Some("13.37.f0".to_owned()),
    };
    let swapped = approver.swap(swap()).await;
    // The same key as his stand-in's: one request is one thing.
    assert!(swapped.unwrap_err().to_string().contains("done before"));
    let mut another = swap();
    another.key = Some("13.37.f2".to_owned());
    assert_eq!(approver.swap(another).await.unwrap().len(), 2);
    // As much of an id as chat shows tells them apart.
    let all = approver.overrides(since).await.unwrap();
    let mut shown: Vec<String> = all
        .iter()
        .map(|one| one.id.to_string()[..8].to_owned())
        .collect();
    shown.sort();
    shown.dedup();
    assert_eq!((shown.len(), all.len()), (6, 6));
    assert_eq!(approver.audit_verify().await.unwrap().broken_at, None);
}

async fn cards(approver: &Approver) -> Vec<CardTask> {
    approver.cards_due(ChatKind::Slack, 100).await.unwrap()
}

async fn delivered(approver: &Approver, task: &CardTask) {
    let receipt = CardReceipt {
        chat: task.chat,
        hold: task.hold.id.clone(),
        channel: task.channel.clone(),
        message: format!("{}.1", task.hold.id),
        version: task.hold.version,
    };
    approver.card_delivered(receipt).await.unwrap();
}

/// A card says that others are alike from the moment there are, and no longer; also when it was being drawn just then.
#[tokio::test]
async fn cards_know_their_company() {
    let (approver, _clock) = approver().await;
    let first = open(&approver, "billing-bot", "clinic").await;
    let drawn = cards(&approver).await.remove(0);
    assert_eq!(drawn.hold.offers.alike, 0);
    let second = open(&approver, "billing-bot", "clinic").await;
    let _another = open(&approver, "report-bot", "clinic").await;
    delivered(&approver, &drawn).await;
    let company = async || {
        let mut company = Vec::new();
        for task in cards(&approver).await {
            delivered(&approver, &task).await;
            company.push((task.hold.id.clone(), task.hold.offers.alike));
        }
        company
    };
    let drawn = company().await;
    for want in [(first.clone(), 1), (second.clone(), 1)] {
        assert!(drawn.contains(&want), "{want:?} is missing in {drawn:?}");
    }
    let alike = approver.holds_alike(&first).await.unwrap();
    let ids: Vec<_> = alike.holds.iter().map(|one| &one.id).collect();
    assert_eq!((ids, alike.more), (vec![&first, &second], 0));
    assert_eq!(company().await, [], "nothing is drawn again for nothing");

    let vote = decision(&second, "bob", Decision::Deny);
    approver.hold_decide(vote).await.unwrap();
    assert!(company().await.contains(&(first.clone(), 0)));
    // It can be decided as before.
    let bulk = BulkDecision {
        holds: vec![first],
        claimant: slack("bob"),
        decision: Decision::Approve,
        reason: None,
        surface: Surface::Slack,
        key: None,
    };
    let outcomes = approver.holds_decide(bulk).await.unwrap();
    assert!(outcomes[0].result.is_ok(), "{outcomes:?}");
    assert_eq!(approver.audit_verify().await.unwrap().broken_at, None);
}
