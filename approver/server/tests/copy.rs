//! A SQLite store copied into a PostgreSQL store: all of it, or nothing and a reason.

use std::{path::Path, sync::Arc};

use crate::support::{self, approve, binding, config, open, request};
use abeyance_api::{HoldDesk as _, HoldId, SystemClock};
use abeyance_approver::{
    Approver, CopyError, OpenError, PostgresStore, StoreLocation, StoreTls, store_copy,
};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

fn empty() -> PostgresStore {
    let server = support::postgres::server();
    PostgresStore {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        user: "postgres".to_owned(),
        password: None,
        database: server.database(),
        tls: StoreTls::Off,
        connections_max: 6,
    }
}

fn psql(store: &PostgresStore, sql: &str) -> String {
    support::postgres::server().psql(&store.database, sql)
}

/// Waits until the server has let go of those who have closed.
fn left(store: &PostgresStore) {
    let there = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'abeyance%'";
    while psql(store, there) != "0" {}
}

async fn sqlite(file: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(file);
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

/// Rows of the tables that the approver of these tests does not fill by itself. What is false and NULL in one
/// row is true and there in another.
const MORE: &str = r#"
    INSERT INTO instance (id, inside, lease_until) VALUES ('00000000-0000-4000-8000-000000000001', 1, 7),
        ('00000000-0000-4000-8000-000000000002', 0, 8);
    INSERT INTO opening_closed (request_key, closed_at) VALUES ('00000000-0000-4000-8000-000000000003', 9);
    INSERT INTO notice (id, chat, kind, place, hold, body, made_at, begun, next_try_at)
        VALUES ('n-1', 'slack', 'channel', 'C0', NULL, '{}', 1, 1, 2),
               ('n-2', 'slack', 'thread', 'C0', (SELECT min(id) FROM hold), 'ü ''quoted''', 1, 0, 2);
    INSERT INTO oncall_override VALUES ('o-1', 1, 'dba', 5, 6, '[]', 'ann', 'dentist', 4, NULL);
    INSERT INTO vote_counted SELECT 'r', min(id) FROM hold;
    INSERT INTO oncall_duty VALUES ('dba', '["ann"]', NULL, 3);
    INSERT INTO statement VALUES ('a', 't', 'f', 'r', 'allow', 'p', 'SELECT ?', '{}', '[]', 9223372036854775807, 1, 2);
    INSERT INTO card (hold, chat, channel, wanted_version, posting_begun)
        VALUES ((SELECT min(id) FROM hold), 'slack', 'C1', 1, 1);"#;

/// A closed store with rows in every table, and an approved hold whose permit was not taken.
async fn used() -> (TempDir, HoldId) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.single_process = false;
    let approver = Approver::open(config, Arc::new(SystemClock)).await.unwrap();
    // A ticket is no proxy's: whoever comes with it next may use it.
    let mut ticket = request();
    ticket.manner.ticket = true;
    let approved = approver.hold_open(ticket).await.unwrap().id;
    approve(&approver, &approved).await;
    let _waits = open(&approver).await;
    approver.close().await;
    drop(approver);
    sqlite(&folder.path().join("abeyance.db"), MORE).await;
    (folder, approved)
}

#[tokio::test]
async fn every_table_comes_along_whole() {
    let (folder, approved) = used().await;
    let to = empty();
    let file = folder.path().join("abeyance.db");
    let copied = store_copy(&file, &to).await.unwrap();
    assert_eq!(copied.audit.broken_at, None);
    assert!(copied.audit.intact >= 3, "{copied:?}");

    // Tables as the server lists them: that of a new migration is asked for here too.
    let tables = psql(
        &to,
        "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables
         WHERE schemaname = 'public' AND tablename NOT IN ('_sqlx_migrations', 'probe')",
    );
    let names: Vec<&str> = copied.rows.keys().map(String::as_str).collect();
    assert_eq!(names.join(" "), tables);
    for (table, rows) in &copied.rows {
        assert!(
            *rows > 0,
            "{table} has no row in this test: add one to MORE"
        );
        let count = psql(&to, &format!("SELECT count(*) FROM {table}"));
        assert_eq!(count, rows.to_string(), "{table}");
    }
    for (sql, said) in [
        (
            "SELECT inside, lease_until FROM instance WHERE id LIKE '00000000-%' ORDER BY id",
            "t|7\nf|8",
        ),
        (
            "SELECT body, hold IS NULL, begun FROM notice WHERE id IN ('n-1', 'n-2') ORDER BY id",
            "{}|t|t\nü 'quoted'|f|f",
        ),
        ("SELECT seq, removed_at IS NULL FROM oncall_override", "1|t"),
        ("SELECT count FROM statement", "9223372036854775807"),
        ("SELECT count(*) FROM card WHERE posting_begun", "1"),
        ("SELECT count(*) FROM vote", "1"),
    ] {
        assert_eq!(psql(&to, sql), said, "{sql}");
    }

    let mut config = config(&folder);
    config.store = StoreLocation::Postgres(to);
    config.single_process = false;
    let approver = Approver::open(config, Arc::new(SystemClock)).await.unwrap();
    let claimed = approver
        .hold_claim(&approved, binding("batch"))
        .await
        .unwrap();
    assert_eq!(claimed.binding, binding("batch"));
    let audit = approver.audit_verify().await.unwrap();
    assert_eq!(audit.broken_at, None);
    assert!(audit.intact > copied.audit.intact, "the record goes on");
    approver.close().await;
}

#[tokio::test]
async fn a_store_that_somebody_has_open_is_not_copied() {
    let (folder, _) = used().await;
    let file = folder.path().join("abeyance.db");
    let to = empty();
    let running = Approver::open(config(&folder), Arc::new(SystemClock))
        .await
        .unwrap();
    let refused = store_copy(&file, &to).await;
    let in_use = matches!(refused, Err(CopyError::Open(OpenError::InUse { .. })));
    assert!(in_use, "{refused:?}");
    running.close().await;
    drop(running);

    let mut there = config(&folder);
    there.store = StoreLocation::Postgres(to.clone());
    let running = Approver::open(there, Arc::new(SystemClock)).await.unwrap();
    let refused = store_copy(&file, &to).await;
    assert!(matches!(refused, Err(CopyError::Running(_))), "{refused:?}");
    running.close().await;
    assert_eq!(psql(&to, "SELECT count(*) FROM hold"), "0");
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_and_nothing_kept() {
    let (folder, _) = used().await;
    let file = folder.path().join("abeyance.db");
    let to = empty();
    let nowhere = folder.path().join("nowhere.db");
    let absent = store_copy(&nowhere, &to).await;
    assert!(matches!(absent, Err(CopyError::Absent(_))), "{absent:?}");
    assert!(!nowhere.exists());

    let other = empty();
    store_copy(&file, &other).await.unwrap();
    left(&other);
    psql(&other, "CREATE TABLE kept AS SELECT * FROM hold");
    let refused = store_copy(&file, &other).await;
    assert!(matches!(refused, Err(CopyError::Schema(_))), "{refused:?}");
    left(&other);
    psql(&other, "DROP TABLE kept");
    let refused = store_copy(&file, &other).await;
    assert!(
        matches!(refused, Err(CopyError::NotEmpty { .. })),
        "{refused:?}"
    );

    // A row in the table that comes last of all.
    let running = {
        let mut there = config(&folder);
        there.store = StoreLocation::Postgres(to.clone());
        Approver::open(there, Arc::new(SystemClock)).await.unwrap()
    };
    running.close().await;
    drop(running);
    left(&to);
    psql(
        &to,
        "INSERT INTO statement VALUES ('a','t','f','r','allow','p','x','{}','[]',1,1,2)",
    );
    let refused = store_copy(&file, &to).await;
    assert!(
        matches!(&refused, Err(CopyError::NotEmpty { table, .. }) if table == "statement"),
        "{refused:?}"
    );
    assert_eq!(
        psql(&to, "SELECT count(*) FROM instance"),
        "0",
        "one transaction"
    );
    psql(&to, "DELETE FROM statement");
    left(&to);

    let touched = "DROP TRIGGER hold_event_is_never_changed;
        UPDATE hold_event SET name = 'other' WHERE seq = 2";
    sqlite(&file, touched).await;
    let refused = store_copy(&file, &to).await;
    assert!(
        matches!(refused, Err(CopyError::Broken { row: 2, .. })),
        "{refused:?}"
    );

    let newer = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
        VALUES (9999, 'from the future', '2030-01-01', 1, x'00', 0)";
    sqlite(&file, newer).await;
    let refused = store_copy(&file, &to).await;
    let newer = matches!(refused, Err(CopyError::Open(OpenError::NewerSchema { .. })));
    assert!(newer, "{refused:?}");
    assert_eq!(psql(&to, "SELECT count(*) FROM hold"), "0");
}
