//! When the file misbehaves.

use std::path::Path;

use sqlx::{Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::*;

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let s = on_file().await;
    open(&s.store, "DELETE").await.unwrap();
    run(&s.store, "PRAGMA max_page_count = 1").await;
    let large = "x".repeat(100_000);
    assert_eq!(open(&s.store, &large).await.unwrap_err(), StoreError::Full);
    assert_eq!(count(&s.store).await, 1, "nothing of it was kept");
    // The writer opened its connection anew, without the test's limit.
    open(&s.store, &large).await.unwrap();
    assert_eq!(s.store.audit_verify().await.unwrap().broken_at, None);
}

#[tokio::test]
async fn a_store_that_became_read_only_refuses() {
    let s = on_file().await;
    run(&s.store, "PRAGMA query_only = ON").await;
    assert_eq!(open(&s.store, "a").await.unwrap_err(), StoreError::ReadOnly);
    assert_eq!(count(&s.store).await, 0);
    run(&s.store, "PRAGMA query_only = ON").await;
    assert_eq!(s.store.probe().await.unwrap_err(), StoreError::ReadOnly);
}

#[tokio::test]
async fn a_locked_store_refuses_and_recovers() {
    let s = on_file().await;
    run(&s.store, "PRAGMA busy_timeout = 20").await;
    let file = s.folder.path().join("abeyance.db");
    let options = SqliteConnectOptions::new().filename(&file);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    assert_eq!(open(&s.store, "a").await.unwrap_err(), StoreError::Locked);
    other.execute("ROLLBACK").await.unwrap();
    open(&s.store, "a").await.unwrap();
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let s = on_file().await;
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
async fn a_copy_made_while_it_runs_keeps_the_record() {
    let s = on_file().await;
    for at in 0..5 {
        open(&s.store, &format!("statement {at}")).await.unwrap();
    }
    let before = s.store.audit_verify().await.unwrap();
    let copy = s.folder.path().join("copy.db");
    let options = SqliteConnectOptions::new().filename(s.folder.path().join("abeyance.db"));
    let mut backup = SqliteConnection::connect_with(&options).await.unwrap();
    let into = format!("VACUUM INTO '{}'", copy.display());
    let (copied, written) = tokio::join!(backup.execute(into.as_str()), open(&s.store, "b"));
    copied.unwrap();
    written.unwrap();
    let restored = open_at(&copy.into(), tempfile::tempdir().unwrap()).await;
    let report = restored.store.audit_verify().await.unwrap();
    assert_eq!(report.broken_at, None);
    assert!(report.intact >= before.intact);
    open(&restored.store, "goes on").await.unwrap();
    assert_eq!(restored.store.audit_verify().await.unwrap().broken_at, None);
}
