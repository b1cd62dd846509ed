//! When the database misbehaves, and when several approvers share it.

use std::time::Duration;

use abeyance_api::{CardReceipt, ChatKind};

use super::{postgres_server::server, *};

/// Another approver on the same database.
async fn beside(store: &PostgresStore) -> Opened {
    let location = StoreLocation::Postgres(store.clone());
    open_at(&location, tempfile::tempdir().unwrap()).await
}

async fn refusal(store: PostgresStore) -> OpenError {
    let tasks = TaskTracker::new();
    let location = StoreLocation::Postgres(store);
    let opened = Store::open(&location, Signals::default(), &tasks).await;
    opened.err().unwrap()
}

fn source(error: &OpenError) -> &StoreError {
    match error {
        OpenError::Store { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_connection_that_broke_in_between_is_made_anew() {
    let database = fresh_database();
    let s = beside(&database).await;
    open(&s.store, "a").await.unwrap();
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server().psql(&database.database, kill);
    open(&s.store, "b").await.unwrap();
    assert_eq!(count(&s.store).await, 2);
    assert_eq!(s.store.audit_verify().await.unwrap().intact, 2);
}

#[tokio::test]
async fn somebody_else_who_writes_is_waited_for_and_not_for_ever() {
    let database = fresh_database();
    let (s, other) = (beside(&database).await, beside(&database).await);
    run(&s.store, "SET lock_timeout = '50ms'").await;
    let (held, holding) = tokio::sync::oneshot::channel();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let busy = other.store.writer.write(move |_| {
        Box::pin(async move {
            held.send(()).unwrap();
            let _ended = gone.await;
            Ok(())
        })
    });
    let blocked = async {
        holding.await.unwrap();
        let refused = open(&s.store, "a").await.unwrap_err();
        assert_eq!(refused, StoreError::Locked);
        go.send(()).unwrap();
    };
    let (busy, ()) = tokio::join!(busy, blocked);
    busy.unwrap();
    open(&s.store, "a").await.unwrap();
}

#[tokio::test]
async fn a_database_that_became_read_only_refuses() {
    let s = on_database().await;
    run(&s.store, "SET default_transaction_read_only = on").await;
    assert_eq!(open(&s.store, "a").await.unwrap_err(), StoreError::Replica);
    assert_eq!(count(&s.store).await, 0);
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_said() {
    let database = fresh_database();
    beside(&database).await.store.close().await;
    let psql = |sql: &str| server().psql(&database.database, sql);

    let mut nowhere = database.clone();
    nowhere.port = 1;
    let error = refusal(nowhere).await;
    assert!(
        matches!(source(&error), StoreError::Unreachable(_)),
        "{error}"
    );
    assert!(error.to_string().contains("127.0.0.1:1/"), "which? {error}");

    let mut unknown = database.clone();
    unknown.database = "nobody_made_it".to_owned();
    let error = refusal(unknown).await;
    assert!(matches!(source(&error), StoreError::Rights(_)), "{error}");

    psql("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    let mut reader = fresh_database();
    reader.user = "reader".to_owned();
    let error = refusal(reader).await;
    assert!(matches!(source(&error), StoreError::Rights(_)), "{error}");

    let name = &database.database;
    psql(&format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ));
    let error = refusal(database.clone()).await;
    assert_eq!(source(&error), &StoreError::Replica, "{error}");
    server().psql("postgres", &format!("ALTER DATABASE {name} RESET ALL"));

    psql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'from the future', true, '\\x00', 0)",
    );
    let error = refusal(database.clone()).await;
    assert!(
        matches!(error, OpenError::NewerSchema { schema: 9999, .. }),
        "{error}"
    );
    psql(
        "DELETE FROM _sqlx_migrations WHERE version = 9999;
        UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1",
    );
    let error = refusal(database.clone()).await;
    assert!(
        matches!(error, OpenError::ForeignSchema { schema: 1, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_one_writes_wakes_those_who_wait_at_another() {
    let database = fresh_database();
    let (here, there) = (beside(&database).await, beside(&database).await);
    let crate::store::Opened::New(hold) = open(&here.store, "a").await.unwrap() else {
        panic!("a new hold");
    };
    let mut waiter = there.signals.wait_on(&hold.id);
    let mut cards = there.signals.cards().subscribe();
    // What the opening said may still arrive; what counts is the step.
    let step = abeyance_holds::Event::Withdraw {
        reason: abeyance_api::WithdrawReason::ClientGone,
    };
    here.store.hold_step(&hold.id, step, now()).await.unwrap();
    let woken = async {
        loop {
            waiter.changed().await;
            let seen = there.store.hold(&hold.id).await.unwrap().unwrap();
            if seen.hold.state == abeyance_api::HoldState::Withdrawn {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), woken)
        .await
        .unwrap();
    cards.changed().await.unwrap();
}

#[tokio::test]
async fn approvers_that_write_at_once_keep_one_record() {
    let database = fresh_database();
    let stores = [
        beside(&database).await,
        beside(&database).await,
        beside(&database).await,
    ];
    let mut work = tokio::task::JoinSet::new();
    for at in 0..60 {
        let store = stores[at % stores.len()].store.clone();
        work.spawn(async move { open(&store, &format!("statement {at}")).await.unwrap() });
    }
    while let Some(opened) = work.join_next().await {
        opened.unwrap();
    }
    let report = stores[0].store.audit_verify().await.unwrap();
    assert_eq!((report.intact, report.broken_at), (60, None));
}

#[tokio::test]
async fn a_card_is_leased_to_one_worker_of_all_approvers() {
    let database = fresh_database();
    let stores = [beside(&database).await, beside(&database).await];
    for at in 0..30 {
        open(&stores[0].store, &format!("statement {at}"))
            .await
            .unwrap();
    }
    let mut work = tokio::task::JoinSet::new();
    for at in 0..12 {
        let store = stores[at % 2].store.clone();
        work.spawn(async move { store.cards_lease(ChatKind::Slack, 7, now()).await.unwrap() });
    }
    let mut leased = Vec::new();
    while let Some(cards) = work.join_next().await {
        leased.extend(cards.unwrap());
    }
    let mut holds: Vec<_> = leased.iter().map(|card| card.record.id.clone()).collect();
    holds.sort();
    holds.dedup();
    assert_eq!((leased.len(), holds.len()), (30, 30));
    // A start of a third one takes no card away from whoever works on it.
    let third = beside(&database).await;
    third.store.cards_reset(false, now()).await.unwrap();
    assert!(
        third
            .store
            .cards_lease(ChatKind::Slack, 7, now())
            .await
            .unwrap()
            .is_empty()
    );
    for card in leased {
        let receipt = CardReceipt {
            hold: card.record.id,
            chat: ChatKind::Slack,
            channel: card.channel,
            message: "1.2".to_owned(),
            version: card.record.hold.version,
        };
        stores[1].store.card_delivered(receipt).await.unwrap();
    }
    let later = now() + TimeDelta::hours(1);
    assert!(
        stores[0]
            .store
            .cards_lease(ChatKind::Slack, 7, later)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_dump_that_is_restored_keeps_the_record() {
    let database = fresh_database();
    let s = beside(&database).await;
    for at in 0..5 {
        open(&s.store, &format!("statement {at}")).await.unwrap();
    }
    let before = s.store.audit_verify().await.unwrap();
    let dump = s.folder.path().join("store.dump");
    let mut pg_dump = server().program("pg_dump");
    pg_dump.args(["--format=custom", "--file"]).arg(&dump);
    assert!(pg_dump.arg(&database.database).status().unwrap().success());
    let restored = fresh_database();
    let mut pg_restore = server().program("pg_restore");
    pg_restore.args([
        "--exit-on-error",
        "--no-owner",
        "--dbname",
        &restored.database,
    ]);
    assert!(pg_restore.arg(&dump).status().unwrap().success());
    let again = beside(&restored).await;
    assert_eq!(again.store.audit_verify().await.unwrap(), before);
    open(&again.store, "goes on").await.unwrap();
    let after = again.store.audit_verify().await.unwrap();
    assert_eq!((after.intact, after.broken_at), (6, None));
    // The guard was restored too.
    let refused = again
        .store
        .writer
        .write(|scope| Box::pin(async move { scope.conn.run("DELETE FROM hold_event").await }));
    assert!(matches!(refused.await, Err(StoreError::Other(why)) if why.contains("append-only")));
}
