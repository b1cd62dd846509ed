//! What stops the approver from starting, and that it says which file and what to do.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::support::{self, approve, binding, config, open};
use abeyance_api::{
    DecisionDesk as _, HoldDesk as _, HoldFilter, HoldState, ManualClock, Outcome, SystemClock,
};
use abeyance_approver::{
    Approver, ApproverConfig, ConfigError, OpenError, PostgresStore, StoreError, StoreLocation,
    StoreTls,
};
use chrono::DateTime;
use sqlx::{
    Column, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection,
    TypeInfo as _, ValueRef as _,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use tempfile::TempDir;

async fn start(config: ApproverConfig) -> Result<Approver, OpenError> {
    Approver::open(config, Arc::new(SystemClock)).await
}

async fn refusal(config: ApproverConfig) -> OpenError {
    let store = config.store.to_string();
    let error = start(config).await.unwrap_err();
    assert!(error.to_string().contains(&store), "which store? {error}");
    error
}

async fn stop(approver: Approver) {
    approver.close().await;
    drop(approver);
}

/// A store with one hold in it, closed.
async fn used() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let file = folder.path().join("abeyance.db");
    let approver = start(config).await.unwrap();
    open(&approver).await;
    stop(approver).await;
    (folder, file)
}

async fn run(file: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(file);
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    conn.execute(statement).await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    let (folder, file) = used().await;
    let approver = start(config(&folder)).await.unwrap();
    open(&approver).await;
    for suffix in ["", "-wal", "-shm", "-lock"] {
        let side = format!("{}{suffix}", file.display());
        let mode = fs::metadata(&side).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{side}");
    }
}

#[tokio::test]
async fn a_second_approver_on_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(config(&folder)).await.unwrap();
    assert!(matches!(
        refusal(config(&folder)).await,
        OpenError::InUse { .. }
    ));
    stop(first).await;
    stop(start(config(&folder)).await.unwrap()).await;
}

#[tokio::test]
async fn a_read_only_file() {
    let (folder, file) = used().await;
    let mut config = config(&folder);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new().append(true).open(&file).is_ok() {
        // The superuser writes where it likes, but not here.
        config.store = PathBuf::from("/sys/abeyance.db").into();
    }
    let error = refusal(config).await;
    assert!(
        matches!(
            error,
            OpenError::Store {
                source: StoreError::ReadOnly,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("writable"));
}

#[tokio::test]
async fn a_folder_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.store = folder.path().join("nowhere").join("abeyance.db").into();
    assert!(matches!(
        refusal(config).await,
        OpenError::Store {
            source: StoreError::Io(_),
            ..
        }
    ));
}

#[tokio::test]
async fn a_file_that_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    fs::write(
        folder.path().join("abeyance.db"),
        "not a database, but long enough to be read as one".repeat(100),
    )
    .unwrap();
    let error = refusal(config).await;
    assert!(
        matches!(
            error,
            OpenError::Store {
                source: StoreError::Corrupt,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("backup"));
}

#[tokio::test]
async fn a_damaged_store() {
    let (folder, file) = used().await;
    let mut bytes = fs::read(&file).unwrap();
    let middle = 4096 * 3;
    bytes[middle..middle + 4096].fill(0xff);
    fs::write(&file, bytes).unwrap();
    let error = refusal(config(&folder)).await;
    assert!(
        matches!(
            error,
            OpenError::Store {
                source: StoreError::Corrupt,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_of_a_newer_version() {
    let (folder, file) = used().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
        VALUES (9999, 'from the future', '2030-01-01', 1, x'00', 0)";
    run(&file, newer).await;
    let error = refusal(config(&folder)).await;
    assert!(
        matches!(error, OpenError::NewerSchema { schema: 9999, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_with_another_history() {
    let (folder, file) = used().await;
    run(&file, "UPDATE _sqlx_migrations SET checksum = x'00'").await;
    let error = refusal(config(&folder)).await;
    assert!(
        matches!(error, OpenError::ForeignSchema { schema: 1, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn every_mistake_of_the_configuration_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.people[1].slack = config.people[0].slack.clone();
    config.people[2].id = "Ann".parse().unwrap();
    config.routes[0].timeout = std::time::Duration::ZERO;
    config.routes[1].reviewers.push("zoe".parse().unwrap());
    config.tokens[0].secret = "short".into();
    let OpenError::Config(mistakes) = start(config).await.unwrap_err() else {
        panic!("a configuration error");
    };
    // Who became Ann is missed by a route.
    assert_eq!(mistakes.len(), 6, "{mistakes:?}");
    assert!(
        mistakes
            .iter()
            .any(|mistake| matches!(mistake, ConfigError::Shared { .. }))
    );
}

/// A store as the version with migrations up to 0010 left it, in memory.
async fn older() -> SqliteConnection {
    older_in(SqliteConnectOptions::new().in_memory(true)).await
}

async fn older_in(options: SqliteConnectOptions) -> SqliteConnection {
    let mut conn = SqliteConnection::connect_with(&options.foreign_keys(false))
        .await
        .unwrap();
    let old = include_str!("fixtures/store-0010.sql");
    conn.execute(old).await.unwrap();
    conn
}

/// What a column of a row is as a literal that PostgreSQL reads as whatever the column is there.
fn literal(row: &SqliteRow, index: usize) -> String {
    let value = row.try_get_raw(index).unwrap();
    let text = match (value.is_null(), value.type_info().name()) {
        (true, _) => return "NULL".to_owned(),
        (_, "INTEGER") => row.get::<i64, _>(index).to_string(),
        (_, "BLOB") => format!("\\x{}", hex::encode(row.get::<Vec<u8>, _>(index))),
        _ => row.get::<String, _>(index),
    };
    format!("'{}'", text.replace('\'', "''"))
}

/// The same rows in a database with the tables of that version.
async fn older_database() -> PostgresStore {
    let server = support::postgres::server();
    let database = server.database();
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(server.port)
        .username("postgres")
        .database(&database);
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    let mut migrations = sqlx::migrate!("../../migrations/postgres");
    migrations
        .migrations
        .to_mut()
        .retain(|migration| migration.version <= 10);
    migrations.run_direct(&mut conn).await.unwrap();

    let mut old = older().await;
    // What a table refers to comes first. The probe came with the tables.
    for table in ["hold", "vote", "hold_event", "card", "statement"] {
        let select = format!("SELECT * FROM {table}");
        for row in sqlx::query(&select).fetch_all(&mut old).await.unwrap() {
            let columns: Vec<&str> = row.columns().iter().map(Column::name).collect();
            let values: Vec<String> = (0..columns.len())
                .map(|index| literal(&row, index))
                .collect();
            let (columns, values) = (columns.join(", "), values.join(", "));
            let insert = format!("INSERT INTO {table} ({columns}) VALUES ({values})");
            sqlx::raw_sql(&insert).execute(&mut conn).await.unwrap();
        }
    }
    conn.close().await.unwrap();
    PostgresStore {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        user: "postgres".to_owned(),
        password: None,
        database,
        tls: StoreTls::Off,
        connections_max: 6,
    }
}

#[tokio::test]
async fn a_file_of_an_older_version_is_taken_over_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("abeyance.db");
    let options = SqliteConnectOptions::new().filename(&file);
    let old = older_in(options.create_if_missing(true)).await;
    old.close().await.unwrap();
    taken_over(&folder, file.into()).await;
}

#[tokio::test]
async fn a_database_of_an_older_version_is_taken_over_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = older_database().await;
    let name = database.database.clone();
    let version = "SELECT max(version) FROM _sqlx_migrations";
    let server = support::postgres::server();
    assert_eq!(server.psql(&name, version), "10");
    taken_over(&folder, StoreLocation::Postgres(database)).await;
    assert_ne!(server.psql(&name, version), "10");
    // An outbox that was full goes on, and the new hold has its place in it.
    let cards = "SELECT count(*), count(message), count(*) FILTER (WHERE posting_begun) FROM card";
    assert_eq!(server.psql(&name, cards), "8|0|0");
}

/// Opens an older store: what it holds is there, and can be decided, claimed and reported.
async fn taken_over(folder: &TempDir, store: StoreLocation) {
    let newest: i64 = sqlx::query_scalar("SELECT max(updated_at) FROM hold")
        .fetch_one(&mut older().await)
        .await
        .unwrap();
    let mut config = config(folder);
    config.store = store;
    config.single_process = false;
    let clock = ManualClock::new(DateTime::from_timestamp_micros(newest + 1).unwrap());
    let approver = Approver::open(config, Arc::new(clock)).await.unwrap();
    let filter = HoldFilter {
        pending_only: false,
        limit: 100,
    };
    let holds = approver.hold_list(filter).await.unwrap();
    let in_state = |state| holds.iter().filter(move |hold| hold.state == state);
    assert_eq!(holds.len(), 7);
    assert_eq!(in_state(HoldState::Claimed).count(), 4);
    let audit = approver.audit_verify().await.unwrap();
    assert_eq!((audit.intact, audit.broken_at), (21, None));

    let waits = in_state(HoldState::Pending).next().unwrap().id.clone();
    approve(&approver, &waits).await;
    let approved = in_state(HoldState::Approved).next().unwrap().id.clone();
    for id in [&waits, &approved] {
        let claimed = approver.hold_claim(id, binding("batch")).await.unwrap();
        assert_eq!(claimed.binding, binding("batch"));
    }
    let outcome = Outcome::Unknown {
        reason: "the proxy stopped".to_owned(),
    };
    approver.hold_report(&waits, outcome).await.unwrap();
    let _new = open(&approver).await;
    let audit = approver.audit_verify().await.unwrap();
    assert_eq!(audit.broken_at, None);
    assert!(audit.intact > 21);
    stop(approver).await;
}
