//! The store on both engines, and each engine when it misbehaves.

mod database;
mod file;
mod openings;
#[path = "../../tests/support/postgres.rs"]
mod postgres_server;

use std::num::NonZeroU32;

use abeyance_api::{
    AgentIdentity, BindingDigest, Blast, HoldRequest, RedactedStatement, SessionId, SessionInfo,
    TargetInfo, TransactionContext,
};
use abeyance_holds::quorum::Quorum;
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

struct Opened {
    store: Store,
    tasks: TaskTracker,
    signals: Signals,
    folder: TempDir,
    _lock: Option<StoreLock>,
}

async fn open_at(location: &StoreLocation, folder: TempDir) -> Opened {
    let tasks = TaskTracker::new();
    let signals = Signals::default();
    let (store, lock) = Store::open(location, signals.clone(), &tasks)
        .await
        .unwrap();
    Opened {
        store,
        tasks,
        signals,
        folder,
        _lock: lock,
    }
}

/// A file of its own.
async fn on_file() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("abeyance.db");
    open_at(&file.into(), folder).await
}

/// A database of its own.
async fn on_database() -> Opened {
    let location = StoreLocation::Postgres(fresh_database());
    open_at(&location, tempfile::tempdir().unwrap()).await
}

fn fresh_database() -> PostgresStore {
    let server = postgres_server::server();
    PostgresStore {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        user: "postgres".to_owned(),
        password: None,
        database: server.database(),
        tls: StoreTls::Off,
        connections_max: 4,
    }
}

/// The same test on either engine.
macro_rules! both {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::on_file().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::on_database().await).await;
            })*
        }
    };
}

both! {
    one_failed_job_takes_no_other_with_it
    the_record_cannot_be_changed_and_tampering_shows
    a_crowded_name_space_gives_longer_ids
    closing_ends_the_writer_after_its_queue
    the_record_takes_what_belongs_to_no_hold
    a_lease_is_never_shortened
    an_opening_that_was_given_up_is_closed
    a_key_that_opened_nothing_opens_nothing_later
    a_ticket_waits_for_its_agent
    an_outcome_that_comes_late_is_written_down
}

use openings::{
    a_key_that_opened_nothing_opens_nothing_later, a_ticket_waits_for_its_agent,
    an_opening_that_was_given_up_is_closed, an_outcome_that_comes_late_is_written_down,
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_442_000, 0).unwrap()
}

fn record(text: &str) -> NewRecord {
    let request = HoldRequest {
        session: SessionInfo {
            id: SessionId(Uuid::now_v7()),
            client_addr: "10.1.2.3:50412".to_owned(),
            application_name: None,
            started_at: now(),
        },
        agent: AgentIdentity {
            name: "billing-bot".to_owned(),
            owner: None,
            actor: None,
        },
        target: TargetInfo {
            name: "clinic".to_owned(),
            database: "clinic".to_owned(),
            environment: None,
        },
        statements: vec![RedactedStatement {
            text: text.to_owned(),
            kind: "DELETE".to_owned(),
            fingerprint: "a1".to_owned(),
            writes: Vec::new(),
            reads: Vec::new(),
        }],
        rule: "writes".to_owned(),
        policy_version: "0123456789ab".to_owned(),
        reasons: Vec::new(),
        route: "dba".to_owned(),
        blast: Blast::unknown("not asked"),
        transaction: TransactionContext::Idle,
        agent_reason: None,
        binding: BindingDigest::over([text.as_bytes()]),
        manner: abeyance_api::Manner::default(),
    };
    NewRecord {
        request_key: Uuid::new_v4(),
        request,
        asked: "route dba".to_owned(),
        quorum: Quorum::of(NonZeroU32::MIN, Vec::new()),
        plan: abeyance_holds::escalation::Plan::default(),
        terms: abeyance_holds::Terms::default(),
        coverable: super::Coverable {
            quorum: Quorum::of(NonZeroU32::MIN, Vec::new()),
            grantable: false,
            known: Vec::new(),
        },
        expires_at: now() + TimeDelta::minutes(5),
        slack_channels: vec!["C0DBA0001".to_owned()],
        first: None,
        instance: None,
    }
}

/// Runs statements on the writer's own connection.
async fn run(store: &Store, statement: &'static str) {
    store
        .writer
        .write(move |scope| {
            Box::pin(async move {
                scope.conn.run(statement).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
}

async fn open(store: &Store, text: &str) -> Result<super::Opened, StoreError> {
    store.hold_open(record(text), now()).await
}

async fn count(store: &Store) -> usize {
    store.holds(false, None, 500).await.unwrap().len()
}

/// Takes the guard of the record away.
fn off_guard(store: &Store) -> &'static str {
    match store.readers {
        Pool::Sqlite(_) => "DROP TRIGGER hold_event_is_never_changed",
        Pool::Postgres(_) => "DROP TRIGGER hold_event_is_never_changed ON hold_event",
    }
}

async fn one_failed_job_takes_no_other_with_it(s: Opened) {
    // The first job keeps the writer busy, so that the next three share a transaction.
    let writer = &s.store.writer;
    let busy = writer.write(|_| {
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(())
        })
    });
    let bad = writer.write(|scope| {
        Box::pin(async move {
            scope.conn.run("DELETE FROM probe").await?;
            scope.conn.run("INSERT INTO nowhere VALUES (1)").await?;
            Ok(())
        })
    });
    let (busy, before, bad, after) =
        tokio::join!(busy, open(&s.store, "a"), bad, open(&s.store, "b"));
    busy.unwrap();
    assert!(matches!(bad, Err(StoreError::Other(_))));
    before.unwrap();
    after.unwrap();
    assert_eq!(count(&s.store).await, 2);
    s.store.probe().await.unwrap();
    assert_eq!(s.store.audit_verify().await.unwrap().intact, 2);
}

async fn the_record_cannot_be_changed_and_tampering_shows(s: Opened) {
    for text in ["a", "b", "c"] {
        open(&s.store, text).await.unwrap();
    }
    let head = s.store.audit_verify().await.unwrap().head;
    assert_eq!(head.len(), 64);
    for statement in ["UPDATE hold_event SET at = 0", "DELETE FROM hold_event"] {
        let refused = s.store.writer.write(move |scope| {
            Box::pin(async move {
                scope.conn.run(statement).await?;
                Ok(())
            })
        });
        assert!(
            matches!(refused.await, Err(StoreError::Other(why)) if why.contains("append-only"))
        );
    }
    run(&s.store, off_guard(&s.store)).await;
    run(
        &s.store,
        "UPDATE hold_event SET body = replace(body, 'dba', 'dbb') WHERE seq = 2",
    )
    .await;
    let report = s.store.audit_verify().await.unwrap();
    assert_eq!((report.intact, report.broken_at), (1, Some(2)));
}

async fn a_crowded_name_space_gives_longer_ids(s: Opened) {
    // Dice that always show the same: after the first hold every id of that length is taken.
    let same: fn(&mut [u8]) -> Result<(), getrandom::Error> = |bytes| {
        bytes.fill(0);
        Ok(())
    };
    open(&s.store, "a").await.unwrap();
    run(&s.store, off_guard(&s.store)).await;
    run(
        &s.store,
        "INSERT INTO hold (id, request_key, version, state, route, quorum, binding, request, asked, created_at,
                           updated_at, expires_at)
         SELECT 'HLD-2222', 'other', version, state, route, quorum, binding, request, asked, created_at,
                updated_at, expires_at FROM hold",
    )
    .await;
    let given = s
        .store
        .writer
        .write(move |scope| Box::pin(async move { holds::free_id(&mut scope.conn, same).await }));
    assert_eq!(given.await.unwrap().as_str(), "HLD-22222");
}

async fn closing_ends_the_writer_after_its_queue(s: Opened) {
    let (opened, ()) = tokio::join!(open(&s.store, "a"), async {
        tokio::task::yield_now().await;
        s.store.close().await;
    });
    opened.unwrap();
    s.tasks.close();
    s.tasks.wait().await;
    assert_eq!(open(&s.store, "b").await.unwrap_err(), StoreError::Closed);
}

async fn the_record_takes_what_belongs_to_no_hold(s: Opened) {
    open(&s.store, "a").await.unwrap();
    let happened = Happened {
        hold: None,
        version: 0,
        name: "override_made",
        policy_version: Some("0123456789ab"),
    };
    let body = serde_json::json!({ "event": "override_made", "schedule": "dba" });
    let written = s.store.writer.write(move |scope| {
        Box::pin(async move { audit_append(scope, &happened, &body, now()).await })
    });
    written.await.unwrap();
    open(&s.store, "b").await.unwrap();
    let report = s.store.audit_verify().await.unwrap();
    assert_eq!((report.intact, report.broken_at), (3, None));
    let newest = s.store.holds(false, None, 1).await.unwrap().remove(0).id;
    let events = s.store.hold_events(&newest).await.unwrap();
    assert_eq!(events[0].policy_version.as_deref(), Some("0123456789ab"));
    let row = sql("SELECT hold, body FROM hold_event WHERE seq = 2")
        .fetch_one(&mut s.store.reader().await.unwrap())
        .await
        .unwrap();
    assert_eq!(row.try_get::<Option<String>>("hold").unwrap(), None);
    let body: String = row.try_get("body").unwrap();
    assert!(
        body.contains("\"policy_version\":\"0123456789ab\""),
        "{body}"
    );
}

async fn a_lease_is_never_shortened(s: Opened) {
    let instance = Instance {
        id: Uuid::new_v4(),
        inside: false,
    };
    let until = now() + TimeDelta::seconds(30);
    s.store.instance_beat(instance, until).await.unwrap();
    s.store.instance_beat(instance, now()).await.unwrap();
    assert!(s.store.instances_lapsed(now()).await.unwrap().is_empty());
    let lapsed = s.store.instances_lapsed(until).await.unwrap();
    assert_eq!(lapsed, [instance.id]);
    let mut waits = record("a");
    waits.instance = Some((instance, until));
    s.store.hold_open(waits, now()).await.unwrap();
    open(&s.store, "of another").await.unwrap();
    // It showed up again before it was ended.
    let ended = s.store.instance_end(instance.id, now()).await.unwrap();
    assert_eq!(ended.holds, 0);
    let ended = s.store.instance_end(instance.id, until).await.unwrap();
    assert_eq!((ended.holds, ended.more), (1, false));
    assert_eq!(s.store.holds(true, None, 10).await.unwrap().len(), 1);
    assert!(s.store.instances_lapsed(until).await.unwrap().is_empty());
}
