//! Random lives of an escalation: whatever steps come to and whoever looks, somebody is asked in time or the hold
//! ends early, and nothing of it touches votes or the hold's own end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that fails stops its test"
)]

use abeyance_api::{BindingDigest, HoldState, PersonRef, Resolution, Surface};
use abeyance_holds::{
    AuditEvent, Event, Glance, Hold, NewHold, Terms,
    escalation::{Due, Found, LOOKS_TOTAL, Notify, Plan, Step, Who},
    quorum::Quorum,
    transition,
};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, prelude::*};

const PEOPLE: [&str; 4] = ["bob", "cho", "dan", "eve"];
/// Longer than all delays and looks together.
const WAIT: i64 = 7_200;

#[derive(Debug, Clone)]
enum Deed {
    /// Time passes, and the reconciler looks.
    Pass {
        seconds: u32,
    },
    Look {
        who: usize,
    },
}

#[derive(Debug, Clone)]
struct Life {
    after: Vec<u32>,
    fallback: bool,
    /// How many people each step, and then the fallback, comes to.
    found: Vec<usize>,
    seats: usize,
    deeds: Vec<Deed>,
}

fn life() -> impl Strategy<Value = Life> {
    let deed = prop_oneof![
        3 => (0_u32..400).prop_map(|seconds| Deed::Pass { seconds }),
        1 => (0..PEOPLE.len()).prop_map(|who| Deed::Look { who }),
    ];
    (
        vec(0_u32..600, 1..5),
        any::<bool>(),
        vec(0_usize..3, 6),
        1_usize..4,
        vec(deed, 1..40),
    )
        .prop_map(|(after, fallback, found, seats, deeds)| Life {
            after,
            fallback,
            found,
            seats,
            deeds,
        })
}

fn person(index: usize) -> PersonRef {
    PersonRef {
        id: PEOPLE[index % PEOPLE.len()].parse().unwrap(),
        display_name: PEOPLE[index % PEOPLE.len()].to_owned(),
        slack: None,
    }
}

fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn hold(life: &Life) -> Hold {
    let steps = life.after.iter().map(|after| Step {
        who: vec![Who::Schedule("days".to_owned())],
        after_seconds: *after,
        notify: Notify::Both,
    });
    let fallback = if life.fallback {
        vec![Who::Group("leads".to_owned())]
    } else {
        Vec::new()
    };
    let seats = u32::try_from(life.seats).unwrap().try_into().unwrap();
    let new = NewHold {
        binding: BindingDigest::over([b"shown".as_slice()]),
        route: "dba".to_owned(),
        owner: None,
        actor: None,
        quorum: Quorum::of(seats, Vec::new()),
        plan: Plan::new(steps.collect(), fallback, TimeDelta::seconds(WAIT)).unwrap(),
        terms: Terms::default(),
        expires_at: start() + TimeDelta::seconds(WAIT),
        policy_version: String::new(),
    };
    Hold::open(new, start()).0
}

/// What a step comes to: so many people who were not asked before, as long as there are any.
fn found(life: &Life, hold: &Hold, step: usize) -> Found {
    let asked = hold.escalation.people().count();
    let count = life.found[step].min(PEOPLE.len() - asked.min(PEOPLE.len()));
    let people: Vec<PersonRef> = (asked..asked + count).map(person).collect();
    Found {
        enough: asked + count >= life.seats,
        people,
        channels: Vec::new(),
    }
}

fn next(hold: &Hold, event: Event, now: DateTime<Utc>) -> (Hold, Vec<AuditEvent>) {
    let (next, events) = transition(hold, event, now).unwrap();
    let steps = u64::from(next != *hold);
    assert_eq!(next.version, hold.version + steps, "a change is a version");
    assert_eq!(
        events.len(),
        usize::try_from(steps).unwrap(),
        "and a record"
    );
    assert_eq!(next.expires_at, hold.expires_at, "the end never moves");
    assert!(next.votes.is_empty(), "nothing here is a vote");
    (next, events)
}

/// The reconciler: fires until nothing is due. Returns when each step fired.
fn settle(life: &Life, mut hold: Hold, now: DateTime<Utc>, fired: &mut Vec<DateTime<Utc>>) -> Hold {
    for _ in 0..20 {
        match hold.escalation.due(now) {
            _ if hold.state != HoldState::Pending => return hold,
            Due::At(at) => {
                assert!(at > now && hold.step_at() == Some(at));
                return hold;
            }
            Due::Done => {
                assert_eq!(hold.step_at(), None);
                return hold;
            }
            Due::Step(step) => {
                assert_eq!(step, fired.len(), "in order, each once");
                let found = found(life, &hold, step);
                let ask = || Event::Ask {
                    step,
                    found: found.clone(),
                };
                let (after, _) = next(&hold, ask(), now);
                assert_ne!(after.version, hold.version);
                // Another approver that was slower.
                if !matches!(after.escalation.due(now), Due::Step(again) if again == step) {
                    assert_eq!(next(&after, ask(), now).0, after, "fires once");
                }
                fired.push(now);
                hold = after;
            }
            Due::Nobody => {
                let why = "nobody".to_owned();
                hold = next(&hold, Event::Nobody { why }, now).0;
                assert!(matches!(hold.resolution, Some(Resolution::Nobody { .. })));
            }
        }
    }
    panic!("comes to no end: {hold:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn somebody_is_asked_in_time_or_it_ends(life in life()) {
        let mut hold = hold(&life);
        let mut now = start();
        let mut fired = Vec::new();
        hold = settle(&life, hold, now, &mut fired);
        for deed in &life.deeds {
            if hold.state != HoldState::Pending {
                break;
            }
            match deed {
                Deed::Pass { seconds } => {
                    now += TimeDelta::seconds(i64::from(*seconds));
                    if now >= hold.expires_at {
                        break;
                    }
                    hold = settle(&life, hold, now, &mut fired);
                }
                Deed::Look { who } => {
                    let asked: Vec<_> = hold.escalation.people().map(|p| p.id.clone()).collect();
                    let glance = Glance {
                        person: person(*who),
                        reviewers: asked.clone(),
                        surface: Surface::Console,
                    };
                    let looks = transition(&hold, Event::Look(glance.clone()), now);
                    let may = asked.contains(&glance.person.id);
                    prop_assert_eq!(looks.is_ok(), may, "only who may decide may put others off");
                    if may {
                        hold = next(&hold, Event::Look(glance), now).0;
                        prop_assert!(hold.step_at() >= Some(now) || hold.step_at().is_none());
                    }
                }
            }
        }
        // However people look: once all delays and all time for looks are over, every step has fired.
        let delays: i64 = life.after.iter().map(|after| i64::from(*after)).sum();
        let steps = i64::try_from(life.after.len()).unwrap();
        if hold.state == HoldState::Pending {
            // The reconciler looks at every step's own moment, so none fires late because of another.
            for _ in 0..=steps {
                if let Some(at) = hold.step_at() {
                    prop_assert!(at <= now.max(start()) + TimeDelta::seconds(delays) + LOOKS_TOTAL);
                    now = now.max(at);
                    hold = settle(&life, hold, now, &mut fired);
                }
            }
            prop_assert_eq!(hold.escalation.due(now) == Due::Done, hold.state == HoldState::Pending);
        }
        let everybody = hold.escalation.people().count();
        match hold.state {
            HoldState::Pending => prop_assert!(everybody >= life.seats, "enough were asked"),
            HoldState::Denied => {
                prop_assert!(everybody < life.seats, "denied although enough were asked");
                let all = life.after.len() + usize::from(life.fallback);
                prop_assert_eq!(fired.len(), all, "denied before everybody was tried");
            }
            other => prop_assert!(false, "{other}"),
        }
    }
}
