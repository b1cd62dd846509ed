//! The outbox: every stale card is handed to one worker at a time, until it is true.

use std::time::Duration;

use crate::support::{Scratch, approve, config, open, request, scratch, shared_store};
use abeyance_api::{
    CardDesk as _, CardFailure, CardReceipt, CardTask, ChatKind, DecisionDesk as _, HoldDesk as _,
    HoldState,
};
use abeyance_approver::Approver;
use chrono::TimeDelta;
use tokio_util::task::TaskTracker;

async fn due(s: &Scratch) -> Vec<CardTask> {
    s.approver.cards_due(ChatKind::Slack, 10).await.unwrap()
}

fn receipt(task: &CardTask) -> CardReceipt {
    CardReceipt {
        chat: task.chat,
        hold: task.hold.id.clone(),
        channel: task.channel.clone(),
        message: "1700000000.000100".to_owned(),
        version: task.hold.version,
    }
}

fn failure(task: &CardTask, retry_in: Option<Duration>) -> CardFailure {
    CardFailure {
        chat: task.chat,
        hold: task.hold.id.clone(),
        channel: task.channel.clone(),
        version: task.hold.version,
        error: "ratelimited".to_owned(),
        retry_in,
        in_doubt: false,
    }
}

#[tokio::test]
async fn a_card_is_leased_delivered_and_stale_again() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    let first = due(&s).await;
    assert_eq!((first.len(), first[0].channel.as_str()), (1, "C0DBA0001"));
    assert!(due(&s).await.is_empty(), "another worker has it");
    s.approver.card_begin(&first[0]).await.unwrap();
    // The hold moves on while its first card is on the way.
    approve(&s.approver, &id).await;
    s.approver.card_delivered(receipt(&first[0])).await.unwrap();
    let second = due(&s).await;
    assert_eq!(second[0].message.as_deref(), Some("1700000000.000100"));
    assert_eq!(second[0].hold.state, HoldState::Approved);
    assert!(!second[0].in_doubt);
    s.approver
        .card_delivered(receipt(&second[0]))
        .await
        .unwrap();
    assert!(due(&s).await.is_empty());
    s.clock.advance(TimeDelta::hours(1));
    assert!(due(&s).await.is_empty(), "a true card is never due");
}

#[tokio::test]
async fn a_worker_that_died_leaves_its_card_in_doubt() {
    let s = scratch().await;
    open(&s.approver).await;
    let task = due(&s).await.remove(0);
    assert!(!task.in_doubt);
    s.approver.card_begin(&task).await.unwrap();
    s.clock.advance(TimeDelta::seconds(61));
    assert!(due(&s).await[0].in_doubt, "it may have been posted");
    // A failure that certainly posted nothing clears the doubt.
    s.approver
        .card_failed(failure(&task, Some(Duration::ZERO)))
        .await
        .unwrap();
    assert!(!due(&s).await[0].in_doubt);
}

#[tokio::test]
async fn failures_back_off_and_may_give_up_until_a_restart() {
    let s = scratch().await;
    open(&s.approver).await;
    let task = due(&s).await.remove(0);
    s.approver
        .card_failed(failure(&task, Some(Duration::from_secs(30))))
        .await
        .unwrap();
    assert!(due(&s).await.is_empty());
    s.clock.advance(TimeDelta::seconds(31));
    let task = due(&s).await.remove(0);
    assert_eq!(task.failures, 1);
    s.approver.card_failed(failure(&task, None)).await.unwrap();
    s.clock.advance(TimeDelta::seconds(100));
    assert!(due(&s).await.is_empty(), "given up");
    s.approver.close().await;
    drop(s.approver);
    let approver = Approver::open(config(&s.folder), s.clock.clone())
        .await
        .unwrap();
    let again = approver.cards_due(ChatKind::Slack, 10).await.unwrap();
    assert_eq!(again[0].failures, 2);
    if !shared_store() {
        assert_eq!(again[0].hold.state, HoldState::Withdrawn);
    }
}

#[tokio::test]
async fn those_that_wait_come_first_and_a_quiet_route_has_no_card() {
    let s = scratch().await;
    let decided = open(&s.approver).await;
    approve(&s.approver, &decided).await;
    s.clock.advance(TimeDelta::seconds(1));
    let waiting = open(&s.approver).await;
    let mut quiet = request();
    quiet.route = "quiet".to_owned();
    quiet.agent.owner = None;
    s.approver.hold_open(quiet).await.unwrap();
    let order: Vec<_> = due(&s).await.into_iter().map(|task| task.hold.id).collect();
    assert_eq!(order, [waiting, decided]);
}

#[tokio::test]
async fn a_worker_is_woken_and_never_sleeps_through_a_change() {
    let s = scratch().await;
    let long = Duration::from_secs(3_600);
    // Changed before the wait began: returns at once.
    open(&s.approver).await;
    s.approver.cards_changed(long).await;
    let task = due(&s).await.remove(0);
    s.approver.card_delivered(receipt(&task)).await.unwrap();
    // Changed during the wait.
    let tasks = TaskTracker::new();
    let approver = s.approver.clone();
    let woken = tasks.spawn(async move { approver.cards_changed(long).await });
    tokio::task::yield_now().await;
    approve(&s.approver, &task.hold.id).await;
    woken.await.unwrap();
    assert_eq!(
        s.approver.hold_view(&task.hold.id).await.unwrap().version,
        2
    );
}
