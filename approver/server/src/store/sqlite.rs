//! The store as one file, for one machine: private to its owner, locked against a second approver, checked
//! before it is used.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{
    Connection as _, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    OpenError, StoreError,
    db::{Conn, Pool},
};
use crate::limits;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Above this size the start-up check of the whole file is left out.
const QUICK_CHECK_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Kept for as long as the store is open: a second approver on the same file is refused.
#[derive(Debug)]
pub(crate) struct StoreLock(#[expect(dead_code, reason = "held, never read")] File);

/// Makes, locks, checks and migrates the file.
pub(super) async fn open(
    file: &Path,
) -> Result<(SqliteConnectOptions, Conn, Pool, StoreLock), OpenError> {
    let failed = |error: StoreError| OpenError::store(file.display(), error);
    create_private(file).map_err(|error| failed(io_error(&error)))?;
    let lock = lock(file)?;
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(limits::BUSY_TIMEOUT)
        .pragma("trusted_schema", "OFF");
    let mut conn = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| failed(error.into()))?;
    check(file, &mut conn).await?;
    MIGRATIONS
        .run_direct(&mut conn)
        .await
        .map_err(|error| OpenError::migration(file.display(), error))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(limits::READERS_MAX)
        .acquire_timeout(limits::STORE_TIMEOUT)
        .connect_with(options.clone().read_only(true))
        .await
        .map_err(|error| failed(error.into()))?;
    Ok((options, conn.into(), Pool::Sqlite(readers), lock))
}

/// A look at the file of a store that may be in use.
pub(super) async fn look(file: &Path) -> Result<Conn, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .busy_timeout(limits::BUSY_TIMEOUT);
    let conn = SqliteConnection::connect_with(&options).await;
    conn.map(Conn::from)
        .map_err(|error| OpenError::store(file.display(), error))
}

/// Read and write for the owner alone; SQLite gives its side files the same mode.
fn create_private(file: &Path) -> io::Result<()> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Tells a read-only file from a broken one before SQLite falls back to reading.
            OpenOptions::new().append(true).open(file).map(drop)
        }
        Err(error) => Err(error),
    }
}

fn lock(file: &Path) -> Result<StoreLock, OpenError> {
    let failed = |error: &io::Error| OpenError::store(file.display(), io_error(error));
    let lock_file = side_file(file, "-lock");
    let handle = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_file)
        .map_err(|error| failed(&error))?;
    match handle.try_lock() {
        Ok(()) => Ok(StoreLock(handle)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            file: file.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

fn side_file(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn io_error(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        kind => StoreError::Io(kind.to_string()),
    }
}

async fn check(file: &Path, conn: &mut SqliteConnection) -> Result<(), OpenError> {
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    if bytes == 0 || bytes > QUICK_CHECK_BYTES_MAX {
        return Ok(());
    }
    let answer: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(conn)
        .await
        .map_err(|error| OpenError::store(file.display(), error))?;
    if answer == "ok" {
        Ok(())
    } else {
        Err(OpenError::store(file.display(), StoreError::Corrupt))
    }
}
