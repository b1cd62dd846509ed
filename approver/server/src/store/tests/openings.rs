//! Openings that were given up, by the key they were made under.

use abeyance_api::{Decision, HoldState, Outcome, PersonRef, Resolution, Surface, WithdrawReason};
use abeyance_holds::{Ballot, Event};

use super::*;
use crate::limits;

const LOST: WithdrawReason = WithdrawReason::AnswerLost;

/// How many rows the record has, all of them intact.
async fn rows(s: &Opened) -> u64 {
    let report = s.store.audit_verify().await.unwrap();
    assert_eq!(report.broken_at, None);
    report.intact
}

async fn opened(s: &Opened, new: &NewRecord) -> HoldRecord {
    match s.store.hold_open(new.clone(), now()).await.unwrap() {
        super::super::Opened::New(record) => record,
        other => panic!("{other:?}"),
    }
}

/// A hold that bob has approved.
async fn approved(s: &Opened, text: &str) -> (NewRecord, HoldRecord) {
    let mut new = record(text);
    let bob = PersonRef {
        id: "bob".parse().unwrap(),
        display_name: "Bob".to_owned(),
        slack: None,
    };
    let part = abeyance_holds::quorum::Part {
        group: None,
        seats: NonZeroU32::MIN,
        people: vec![bob.id.clone()],
    };
    new.quorum = Quorum::new(vec![part]).unwrap();
    let hold = opened(s, &new).await;
    let vote = Event::Vote(Ballot {
        person: bob,
        quorum: new.quorum.clone(),
        decision: Decision::Approve,
        reason: None,
        surface: Surface::Console,
        wish: None,
    });
    s.store.hold_step(&hold.id, vote, now()).await.unwrap();
    (new, hold)
}

async fn is_refused(s: &Opened, new: &NewRecord, at: DateTime<Utc>) -> bool {
    let late = s.store.hold_open(new.clone(), at).await.unwrap();
    matches!(late, super::super::Opened::Closed)
}

pub(super) async fn an_opening_that_was_given_up_is_closed(s: Opened) {
    let new = record("a");
    let key = new.request_key;
    let hold = opened(&s, &new).await;
    let withdrawn = s.store.opening_withdraw(key, LOST, now()).await.unwrap();
    assert_eq!(withdrawn, Some(hold.id.clone()));
    let now_is = s.store.hold(&hold.id).await.unwrap().unwrap().hold;
    let reason = WithdrawReason::AnswerLost;
    assert_eq!(now_is.resolution, Some(Resolution::Withdrawn { reason }));
    assert!(is_refused(&s, &new, now()).await);
    assert_eq!(rows(&s).await, 2);
    s.store.opening_withdraw(key, LOST, now()).await.unwrap();
    assert_eq!(rows(&s).await, 2, "repeated, it changes nothing");

    // Somebody was quicker: an approval that nobody waits for lapses at once.
    let (new, hold) = approved(&s, "b").await;
    let key = new.request_key;
    s.store.opening_withdraw(key, LOST, now()).await.unwrap();
    let now_is = s.store.hold(&hold.id).await.unwrap().unwrap().hold;
    assert_eq!(now_is.state, HoldState::Lapsed);
}

pub(super) async fn a_key_that_opened_nothing_opens_nothing_later(s: Opened) {
    let (early, late) = (record("a"), record("a"));
    for key in [early.request_key, early.request_key] {
        let withdrawn = s.store.opening_withdraw(key, LOST, now()).await.unwrap();
        assert_eq!(withdrawn, None);
    }
    assert_eq!(rows(&s).await, 1);
    assert!(is_refused(&s, &early, now()).await);
    assert_eq!(count(&s.store).await, 0);
    let row = sql("SELECT name, body FROM hold_event WHERE seq = 1")
        .fetch_one(&mut s.store.reader().await.unwrap())
        .await
        .unwrap();
    assert_eq!(row.try_get::<String>("name").unwrap(), "opening_closed");
    let body: String = row.try_get("body").unwrap();
    assert!(body.contains(&early.request_key.to_string()), "{body}");

    // Keys are forgotten when no call can be on its way any more.
    let day_after = now() + limits::OPENINGS_CLOSED_KEPT + TimeDelta::seconds(1);
    assert!(is_refused(&s, &early, day_after).await);
    let key = late.request_key;
    s.store
        .opening_withdraw(key, LOST, day_after)
        .await
        .unwrap();
    assert!(!is_refused(&s, &early, day_after).await);
    assert!(is_refused(&s, &late, day_after).await);
}

pub(super) async fn a_ticket_waits_for_its_agent(s: Opened) {
    let mut new = record("a");
    new.request.manner.ticket = true;
    new.terms.ticket = true;
    let hold = opened(&s, &new).await;
    let kept = s.store.opening_withdraw(new.request_key, LOST, now()).await;
    assert_eq!(kept.unwrap(), Some(hold.id.clone()));
    // Its agent sends the same statement again, under another key.
    let again = NewRecord {
        request_key: Uuid::new_v4(),
        ..new
    };
    let found = s.store.hold_open(again.clone(), now()).await.unwrap();
    assert!(matches!(found, super::super::Opened::Again(found) if found.id == hold.id));
    assert_eq!(rows(&s).await, 1);
    // One that never arrived asks nobody when it comes late.
    let mut other = record("b");
    other.request.manner.ticket = true;
    other.terms.ticket = true;
    let key = other.request_key;
    s.store.opening_withdraw(key, LOST, now()).await.unwrap();
    assert!(is_refused(&s, &other, now()).await);
}

/// A proxy stood still until its lease was over, and reports when it goes on.
pub(super) async fn an_outcome_that_comes_late_is_written_down(s: Opened) {
    let (new, hold) = approved(&s, "a").await;
    let instance = Instance {
        id: Uuid::new_v4(),
        inside: false,
    };
    let until = now() + TimeDelta::seconds(30);
    let key = Uuid::new_v4();
    let runs = Some((instance, until));
    let claim = s
        .store
        .hold_claim(&hold.id, new.request.binding, key, runs, now());
    assert!(matches!(claim.await.unwrap(), Stepped::Done(_)));
    let ended = s.store.instance_end(instance.id, until).await.unwrap();
    assert_eq!(ended.holds, 1);
    let before = s.store.hold(&hold.id).await.unwrap().unwrap().hold;
    assert!(matches!(before.outcome, Some(Outcome::Unknown { .. })));

    let outcome = Outcome::Executed {
        rows: Some(4),
        tags: vec!["DELETE 4".to_owned()],
        elapsed: std::time::Duration::from_secs(40),
    };
    let late = Event::Report { outcome };
    for _ in 0..2 {
        let stepped = s.store.hold_step(&hold.id, late.clone(), until).await;
        assert!(matches!(stepped.unwrap(), Stepped::Done(_)));
    }
    // As people saw it end, with one more line in its record.
    let after = s.store.hold(&hold.id).await.unwrap().unwrap().hold;
    assert_eq!(after, before);
    let events = s.store.hold_events(&hold.id).await.unwrap();
    let names: Vec<_> = events.iter().map(|event| event.event.name()).collect();
    let last = ["claimed", "reported", "reported_late"];
    assert_eq!(names[names.len() - 3..], last, "{names:?}");
    assert_eq!(rows(&s).await, names.len() as u64);
}
