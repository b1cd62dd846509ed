//! The writer when the file misbehaves under it.

use std::{num::NonZeroU32, path::Path};

use abeyance_api::{
    AgentIdentity, BindingDigest, Blast, HoldRequest, RedactedStatement, SessionId, SessionInfo,
    TargetInfo, TransactionContext,
};
use abeyance_holds::quorum::Quorum;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

struct Opened {
    store: Store,
    tasks: TaskTracker,
    folder: TempDir,
    _lock: Option<StoreLock>,
}

async fn scratch() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskTracker::new();
    let file = folder.path().join("abeyance.db");
    let (store, lock) = Store::open(&file.into(), Signals::default(), &tasks)
        .await
        .unwrap();
    Opened {
        store,
        tasks,
        folder,
        _lock: lock,
    }
}

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
        },
        expires_at: now() + TimeDelta::minutes(5),
        slack_channels: vec!["C0DBA0001".to_owned()],
        first: None,
        instance: None,
    }
}

/// Runs a statement on the writer's own connection, outside its transaction where SQLite insists.
async fn pragma(store: &Store, statement: &'static str) {
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

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let s = scratch().await;
    open(&s.store, "DELETE").await.unwrap();
    pragma(&s.store, "PRAGMA max_page_count = 1").await;
    let large = "x".repeat(100_000);
    assert_eq!(open(&s.store, &large).await.unwrap_err(), StoreError::Full);
    assert_eq!(count(&s.store).await, 1, "nothing of it was kept");
    // The writer opened its connection anew, without the test's limit.
    open(&s.store, &large).await.unwrap();
    assert_eq!(s.store.audit_verify().await.unwrap().broken_at, None);
}

#[tokio::test]
async fn a_store_that_became_read_only_refuses() {
    let s = scratch().await;
    pragma(&s.store, "PRAGMA query_only = ON").await;
    assert_eq!(open(&s.store, "a").await.unwrap_err(), StoreError::ReadOnly);
    assert_eq!(count(&s.store).await, 0);
    pragma(&s.store, "PRAGMA query_only = ON").await;
    assert_eq!(s.store.probe().await.unwrap_err(), StoreError::ReadOnly);
}

#[tokio::test]
async fn a_locked_store_refuses_and_recovers() {
    let s = scratch().await;
    pragma(&s.store, "PRAGMA busy_timeout = 20").await;
    let file = s.folder.path().join("abeyance.db");
    let options = SqliteConnectOptions::new().filename(&file);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    assert_eq!(open(&s.store, "a").await.unwrap_err(), StoreError::Locked);
    other.execute("ROLLBACK").await.unwrap();
    open(&s.store, "a").await.unwrap();
}

#[tokio::test]
async fn one_failed_job_takes_no_other_with_it() {
    let s = scratch().await;
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

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let s = scratch().await;
    let image = tempfile::tempdir().unwrap();
    for at in 0..20 {
        open(&s.store, &format!("statement {at}")).await.unwrap();
        // As the disk would look had the process been killed at this instant.
        for suffix in ["", "-wal"] {
            let name = format!("abeyance.db{suffix}");
            std::fs::copy(s.folder.path().join(&name), image.path().join(&name)).unwrap();
        }
        let file = image.path().join("abeyance.db");
        assert_eq!(holds_in(&file).await, at + 1);
        let _none = std::fs::remove_file(image.path().join("abeyance.db-shm"));
    }
}

async fn holds_in(file: &Path) -> usize {
    let tasks = TaskTracker::new();
    let (store, _lock) = Store::open(&file.into(), Signals::default(), &tasks)
        .await
        .unwrap();
    let holds = count(&store).await;
    store.close().await;
    tasks.close();
    tasks.wait().await;
    holds
}

#[tokio::test]
async fn the_record_cannot_be_changed_and_tampering_shows() {
    let s = scratch().await;
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
    pragma(&s.store, "DROP TRIGGER hold_event_is_never_changed").await;
    pragma(
        &s.store,
        "UPDATE hold_event SET body = replace(body, 'dba', 'dbb') WHERE seq = 2",
    )
    .await;
    let report = s.store.audit_verify().await.unwrap();
    assert_eq!((report.intact, report.broken_at), (1, Some(2)));
}

#[tokio::test]
async fn a_crowded_name_space_gives_longer_ids() {
    let s = scratch().await;
    // Dice that always show the same: after the first hold every id of that length is taken.
    let same: fn(&mut [u8]) -> Result<(), getrandom::Error> = |bytes| {
        bytes.fill(0);
        Ok(())
    };
    open(&s.store, "a").await.unwrap();
    pragma(
        &s.store,
        "PRAGMA defer_foreign_keys = ON; UPDATE vote SET hold = 'HLD-2222';
        UPDATE card SET hold = 'HLD-2222'; DROP TRIGGER hold_event_is_never_changed;
        UPDATE hold_event SET hold = 'HLD-2222'; UPDATE hold SET id = 'HLD-2222'",
    )
    .await;
    let given = s
        .store
        .writer
        .write(move |scope| Box::pin(async move { holds::free_id(&mut scope.conn, same).await }));
    assert_eq!(given.await.unwrap().as_str(), "HLD-22222");
}

#[tokio::test]
async fn closing_ends_the_writer_after_its_queue() {
    let s = scratch().await;
    let (opened, ()) = tokio::join!(open(&s.store, "a"), async {
        tokio::task::yield_now().await;
        s.store.close().await;
    });
    opened.unwrap();
    s.tasks.close();
    s.tasks.wait().await;
    assert_eq!(open(&s.store, "b").await.unwrap_err(), StoreError::Closed);
}
