//! A held batch from outside: what reaches the target, what the client reads, in every way a hold can end.

use std::time::Duration;

use crate::support::{
    self, Fixture,
    client::{bind, execute, parse, query, state},
    desk::Answer,
};
use abeyance_api::{Outcome, WithdrawReason};
use abeyance_gateway::Limits;
use abeyance_wire::postgres::{
    BackendMessage, FrontendMessage, TransactionStatus, WireStr, frontend::encode_sync,
};
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

const DELETE: &str = "DELETE FROM rooms WHERE floor = 3";

#[tokio::test]
async fn nothing_of_a_held_batch_goes_upstream_before_the_permit() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client.send(&[query(DELETE)]).await;
    let request = fixture.desk.opened().await;
    assert_eq!(
        request.statements[0].text,
        "DELETE FROM rooms WHERE floor = $1"
    );
    let notice = client.notice().await;
    assert!(
        notice.message().contains("HLD-7K3Q"),
        "{}",
        notice.message()
    );
    assert!(!target.saw("DELETE"));
    fixture.desk.answer(Answer::Approve);
    let (replies, status) = client.until_ready().await;
    assert!(
        matches!(&replies[..], [BackendMessage::CommandComplete(tag)] if tag.as_str() == "DELETE 3")
    );
    assert_eq!(status, TransactionStatus::Idle);
    assert_eq!(target.ran().iter().filter(|sql| *sql == DELETE).count(), 1);
    let Outcome::Executed { rows, tags, .. } = fixture.desk.reported().await else {
        panic!("not executed");
    };
    assert_eq!((rows, tags), (Some(3), vec!["DELETE 3".to_owned()]));
    fixture.stop().await;
}

#[tokio::test]
async fn each_end_has_its_sqlstate_and_the_connection_stays_usable() {
    for (answer, expected) in [
        (Answer::Deny, "42501"),
        (Answer::Expire, "57014"),
        (Answer::Vanish, "57P03"),
    ] {
        let fixture = Fixture::start().await;
        let (mut client, target) = fixture.connect().await;
        let target = target.spawn();
        fixture.desk.answer(answer);
        client.send(&[query(DELETE)]).await;
        client.notice().await;
        let error = client.error().await;
        assert_eq!(state(&error), expected);
        for code in [b'D', b'H'] {
            assert!(error.get(code).is_some(), "{expected}");
        }
        assert_eq!(client.ready().await, TransactionStatus::Idle);
        client.send(&[query("SELECT 1")]).await;
        client.until_ready().await;
        assert!(!target.saw("DELETE"));
        fixture.stop().await;
    }
}

/// The approver never answers: the proxy stops waiting on its own.
#[tokio::test]
async fn a_desk_that_is_silent_past_the_expiry_denies() {
    let limits = Limits {
        expiry_grace: Duration::from_millis(20),
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    *fixture.desk.expires_in.lock().unwrap() = chrono::TimeDelta::milliseconds(20);
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    assert_eq!(state(&client.error().await), "57P03");
    assert_eq!(client.ready().await, TransactionStatus::Idle);
    fixture.desk.withdrawn().await;
    assert!(!target.saw("DELETE"));
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn a_closed_desk_denies() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    *fixture.desk.closed.lock().unwrap() = true;
    client.send(&[query(DELETE)]).await;
    assert_eq!(state(&client.error().await), "57P03");
    assert_eq!(client.ready().await, TransactionStatus::Idle);
    assert!(!target.saw("DELETE"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_permit_for_something_else_runs_nothing() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    *fixture.desk.forge_claims.lock().unwrap() = true;
    fixture.desk.answer(Answer::Approve);
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    assert_eq!(state(&client.error().await), "57P03");
    client.ready().await;
    assert!(!target.saw("DELETE"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_refusal_inside_a_transaction_fails_it() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    fixture.desk.answer(Answer::Deny);
    client.send(&[query("BEGIN")]).await;
    assert_eq!(client.ready().await, TransactionStatus::InTransaction);
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    client.error().await;
    assert_eq!(client.ready().await, TransactionStatus::Failed);
    client.send(&[query("SELECT 1")]).await;
    assert_eq!(state(&client.error().await), "25P02");
    client.ready().await;
    client.send(&[query("ROLLBACK")]).await;
    assert_eq!(client.until_ready().await.1, TransactionStatus::Idle);
    assert!(!target.saw("DELETE"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_begin_in_the_refused_batch_leaves_a_failed_transaction() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    let group = [
        parse("", "BEGIN"),
        bind("", ""),
        execute(""),
        parse("", "TRUNCATE rooms"),
        bind("", ""),
        execute(""),
        FrontendMessage::Sync,
    ];
    client.send(&group).await;
    assert_eq!(state(&client.error().await), "42501");
    assert_eq!(client.ready().await, TransactionStatus::Failed);
    assert!(!target.saw("TRUNCATE"));
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn the_extended_protocol_skips_to_sync() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    fixture.desk.answer(Answer::Deny);
    client
        .send(&[parse("d", DELETE), FrontendMessage::Flush])
        .await;
    assert!(matches!(
        client.receive().await,
        BackendMessage::ParseComplete
    ));
    client
        .send(&[bind("", "d"), execute(""), FrontendMessage::Flush])
        .await;
    client.notice().await;
    assert_eq!(state(&client.error().await), "42501");
    // Dropped: they come before Sync.
    client
        .send(&[query("SELECT 1"), bind("", "d"), execute("")])
        .await;
    client.send(&[FrontendMessage::Sync]).await;
    assert_eq!(client.until_ready().await.0, []);
    client.send(&[query("SELECT 2")]).await;
    client.until_ready().await;
    let ran = target.ran();
    assert_eq!(ran.last().map(String::as_str), Some("SELECT 2"));
    assert!(!ran.iter().any(|sql| sql == DELETE || sql == "SELECT 1"));
    fixture.stop().await;
}

/// ROLLBACK went out with Flush: no ReadyForQuery has said that the transaction is no longer failed.
#[tokio::test]
async fn a_failed_transaction_that_ended_without_sync_lets_nothing_through() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    fixture.desk.answer(Answer::Deny);
    client
        .send(&[
            parse("r", "ROLLBACK"),
            parse("d", DELETE),
            FrontendMessage::Sync,
        ])
        .await;
    client.ready().await;
    for sql in ["BEGIN", "SELECT fail()"] {
        client.send(&[query(sql)]).await;
        client.ready().await;
    }
    client
        .send(&[bind("", "r"), execute(""), FrontendMessage::Flush])
        .await;
    client
        .send(&[bind("", "d"), execute(""), FrontendMessage::Sync])
        .await;
    client.ready().await;
    assert!(target.ran().iter().all(|sql| sql != DELETE));
    drop(client);
    fixture.stop().await;
}

/// asyncpg and others prepare with Flush: an estimate is made all the same.
#[tokio::test]
async fn a_statement_prepared_with_flush_is_estimated() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client
        .send(&[parse("d", DELETE), FrontendMessage::Flush])
        .await;
    client.receive().await;
    client
        .send(&[bind("", "d"), execute(""), FrontendMessage::Sync])
        .await;
    let request = fixture.desk.opened().await;
    // It was asked; the model's plan changes nothing.
    assert_eq!(
        request.blast.rows.note.as_deref(),
        Some("the target plans no change of rows")
    );
    fixture.desk.answer(Answer::Approve);
    client.notice().await;
    let (replies, status) = client.until_ready().await;
    assert_eq!((replies.len(), status), (2, TransactionStatus::Idle));
    assert_eq!(target.ran().iter().filter(|sql| *sql == DELETE).count(), 1);
    drop(client);
    fixture.stop().await;
}

/// What the target sees of a probe: nothing of it may stay.
#[tokio::test]
async fn a_probe_in_a_transaction_is_rolled_back() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client.send(&[query("BEGIN")]).await;
    client.ready().await;
    client.send(&[query(DELETE)]).await;
    fixture.desk.opened().await;
    let ran = target.ran();
    let opening = [
        "SHOW transaction_isolation",
        "SAVEPOINT _abeyance",
        "SET LOCAL transaction_read_only = on",
        "SET LOCAL statement_timeout = '1000ms'",
        "SET LOCAL lock_timeout = '500ms'",
        "SAVEPOINT _abeyance_probe",
        "SET LOCAL statement_timeout = '1000ms'",
        "SET LOCAL lock_timeout = '200ms'",
        "EXPLAIN (VERBOSE, FORMAT JSON) DELETE FROM rooms WHERE floor = 3",
        "ROLLBACK TO SAVEPOINT _abeyance_probe",
        "RELEASE SAVEPOINT _abeyance_probe",
    ];
    let at = ran.windows(opening.len()).position(|some| some == opening);
    assert!(at.is_some(), "{ran:#?}");
    let closing = [
        "ROLLBACK TO SAVEPOINT _abeyance",
        "RELEASE SAVEPOINT _abeyance",
    ];
    assert!(ran.ends_with(&closing.map(str::to_owned)), "{ran:#?}");
    let count = |text: &str| ran.iter().filter(|sql| *sql == text).count();
    assert_eq!(
        count("SAVEPOINT _abeyance_probe"),
        count("RELEASE SAVEPOINT _abeyance_probe")
    );
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn an_approved_bind_runs_with_its_own_statement_only() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client
        .send(&[parse("d", DELETE), FrontendMessage::Sync])
        .await;
    client.until_ready().await;
    fixture.desk.answer(Answer::Approve);
    client
        .send(&[bind("", "d"), execute(""), FrontendMessage::Sync])
        .await;
    let (replies, _) = client.until_ready().await;
    assert!(
        replies
            .iter()
            .any(|m| matches!(m, BackendMessage::CommandComplete(_)))
    );
    assert_eq!(target.ran().iter().filter(|sql| *sql == DELETE).count(), 1);
    assert_eq!(fixture.desk.claims(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn names_that_are_not_known_are_refused_here() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client
        .send(&[bind("", "nobody"), execute(""), FrontendMessage::Sync])
        .await;
    assert_eq!(state(&client.error().await), "26000");
    client.ready().await;
    client
        .send(&[execute("nowhere"), FrontendMessage::Sync])
        .await;
    assert_eq!(state(&client.error().await), "34000");
    client.ready().await;
    assert!(target.ran().is_empty());
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_its_hold_back() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    drop(client);
    assert_eq!(fixture.desk.withdrawn().await, WithdrawReason::ClientGone);
    let model = target.task.await.unwrap();
    assert!(
        model
            .ran
            .lock()
            .unwrap()
            .iter()
            .all(|sql| !sql.starts_with("DELETE"))
    );
    fixture.stop().await;
}

#[tokio::test]
async fn terminate_behind_a_held_batch_takes_it_back() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let _target = target.spawn();
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    client
        .send(&[query("SELECT 1"), FrontendMessage::Terminate])
        .await;
    assert_eq!(
        fixture.desk.withdrawn().await,
        WithdrawReason::ClientTerminated
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_cancel_request_takes_a_hold_back_and_leaves_the_session() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    client.cancel().await;
    assert_eq!(state(&client.error().await), "57014");
    assert_eq!(client.ready().await, TransactionStatus::Idle);
    assert_eq!(
        fixture.desk.withdrawn().await,
        WithdrawReason::ClientCancelled
    );
    client.send(&[query("SELECT 1")]).await;
    client.until_ready().await;
    assert!(!target.saw("DELETE"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_running_statement_is_cancelled_with_the_targets_own_key() {
    let fixture = Fixture::start().await;
    let (mut client, mut target) = fixture.connect().await;
    client.send(&[query("SELECT 1")]).await;
    assert!(matches!(
        target.receive().await,
        Some(FrontendMessage::Query(_))
    ));
    let (process_id, ()) = tokio::join!(fixture.target.cancelled(), client.cancel());
    assert_eq!(process_id, 4242);
    drop((client, target));
    fixture.stop().await;
}

#[tokio::test]
async fn a_target_that_leaves_takes_the_hold_with_it() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let served = target.spawn();
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    served.task.abort();
    assert_eq!(fixture.desk.withdrawn().await, WithdrawReason::TargetGone);
    assert_eq!(state(&client.error().await), "08006");
    assert!(client.next().await.is_none());
    fixture.stop().await;
}

#[tokio::test]
async fn too_much_behind_a_held_batch_ends_the_session() {
    let limits = Limits {
        buffered_while_held_bytes_max: 4096,
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let (mut client, target) = fixture.connect().await;
    let _target = target.spawn();
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    for _ in 0..1000 {
        let mut out = BytesMut::new();
        encode_sync(&mut out);
        if client.stream.write_all(&out.repeat(10)).await.is_err() {
            break;
        }
    }
    assert_eq!(
        fixture.desk.withdrawn().await,
        WithdrawReason::ClientOverflow
    );
    fixture.stop().await;
}

#[tokio::test]
async fn notices_come_again() {
    let limits = Limits {
        notice_interval: Duration::from_millis(20),
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let (mut client, target) = fixture.connect().await;
    let _target = target.spawn();
    client.send(&[query(DELETE)]).await;
    for _ in 0..3 {
        client.notice().await;
    }
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn shutdown_withdraws_what_is_held() {
    let limits = Limits {
        shutdown_grace: Duration::from_millis(20),
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let (mut client, target) = fixture.connect().await;
    let _target = target.spawn();
    client.send(&[query(DELETE)]).await;
    client.notice().await;
    fixture.shutdown.cancel();
    assert_eq!(
        fixture.desk.withdrawn().await,
        WithdrawReason::ProxyShutdown
    );
    assert_eq!(state(&client.error().await), "57P01");
    fixture.served.await.unwrap();
}

#[tokio::test]
async fn shutdown_ends_idle_sessions_at_once() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let _target = target.spawn();
    fixture.shutdown.cancel();
    assert_eq!(state(&client.error().await), "57P01");
    fixture.served.await.unwrap();
}

#[tokio::test]
async fn an_approved_batch_whose_client_left_still_reports() {
    let fixture = Fixture::start().await;
    let (mut client, mut target) = fixture.connect().await;
    fixture.desk.answer(Answer::Approve);
    client.send(&[query(DELETE)]).await;
    // The probe, answered as it comes, and then the statement itself.
    loop {
        let message = target.receive().await.expect("the gateway left");
        if matches!(&message, FrontendMessage::Query(query) if query.sql.as_bytes() == DELETE.as_bytes())
        {
            break;
        }
        let replies = target.model.reply(&message);
        target.send(&replies).await;
    }
    drop(client);
    let tag = abeyance_wire::postgres::backend::CommandTag::new(WireStr::from_static("DELETE 5"));
    target
        .send(&[
            BackendMessage::CommandComplete(tag),
            BackendMessage::ReadyForQuery(TransactionStatus::Idle),
        ])
        .await;
    assert!(matches!(
        fixture.desk.reported().await,
        Outcome::Executed { rows: Some(5), .. }
    ));
    drop(target);
    fixture.stop().await;
}

#[tokio::test]
async fn a_target_that_breaks_while_it_runs_is_an_unknown_outcome() {
    let fixture = Fixture::start().await;
    let (mut client, mut target) = fixture.connect().await;
    fixture.desk.answer(Answer::Approve);
    client.send(&[query(DELETE)]).await;
    loop {
        let message = target.receive().await.expect("the gateway left");
        if matches!(&message, FrontendMessage::Query(_)) {
            break;
        }
        let replies = target.model.reply(&message);
        target.send(&replies).await;
    }
    drop(target);
    assert!(matches!(
        fixture.desk.reported().await,
        Outcome::Unknown { .. }
    ));
    client.notice().await;
    assert_eq!(state(&client.error().await), "08006");
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_hold_up_shutdown() {
    let fixture = Fixture::start().await;
    let _silent = support::Client::raw(fixture.address).await;
    // A second connection that is served shows that the first was accepted before it.
    let (client, target) = fixture.connect().await;
    drop((client, target));
    fixture.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), fixture.served).await;
    ended.expect("still serving").unwrap();
}
