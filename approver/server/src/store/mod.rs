//! The approver's memory: one SQLite file. The only part of the product that knows SQL of a store.
//!
//! Every step of a hold and its audit event are one transaction, durable before the call returns
//! (invariants 4 and 5). Holds redacted text only (invariant 7).

mod cards;
mod error;
mod events;
mod holds;
mod record;
mod row;
mod statements;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    pin::Pin,
};

use sqlx::{
    Connection as _, SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use cards::{CardKey, StaleCard};
pub use error::{OpenError, StoreError};
pub use events::{AuditReport, HoldEvent};
pub(crate) use holds::{NewRecord, Opened, Stepped};
pub(crate) use record::HoldRecord;
pub use statements::statements_logged;
use writer::{Scope, Writer};

use crate::{limits, signals::Signals};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Above this size the start-up check of the whole file is left out.
const QUICK_CHECK_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    writer: Writer,
    readers: SqlitePool,
    closing: CancellationToken,
}

/// Kept for as long as the store is open: a second approver on the same file is refused.
#[derive(Debug)]
pub(crate) struct StoreLock(#[expect(dead_code, reason = "held, never read")] File);

impl Store {
    /// Opens, checks and migrates the file, and starts the writer on `tasks`.
    pub(crate) async fn open(
        file: &Path,
        signals: Signals,
        tasks: &TaskTracker,
    ) -> Result<(Self, StoreLock), OpenError> {
        create_private(file).map_err(|error| OpenError::store(file, io_error(&error)))?;
        let lock = lock(file)?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(limits::BUSY_TIMEOUT)
            .pragma("trusted_schema", "OFF");
        let store = |error: sqlx::Error| OpenError::store(file, error);
        let mut conn = SqliteConnection::connect_with(&options)
            .await
            .map_err(store)?;
        check(file, &mut conn).await?;
        MIGRATIONS
            .run_direct(&mut conn)
            .await
            .map_err(|error| OpenError::migration(file, error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(limits::READERS_MAX)
            .acquire_timeout(limits::STORE_TIMEOUT)
            .connect_with(options.clone().read_only(true))
            .await
            .map_err(store)?;
        let closing = CancellationToken::new();
        let (writer, task) = Writer::new(options, conn, signals, closing.clone());
        tasks.spawn(task.run());
        let store = Self {
            writer,
            readers,
            closing,
        };
        Ok((store, lock))
    }

    /// Whether a write the size of a hold would work now.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        self.writer
            .write(|scope: &mut Scope| {
                Box::pin(async move {
                    sqlx::query("UPDATE probe SET beat = beat + 1, room = zeroblob(length(room))")
                        .execute(&mut scope.conn)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Ends reading, then the writer's task once its queue is empty.
    pub(crate) async fn close(&self) {
        // The writer goes last, so that it can fold the write-ahead log into the file.
        self.readers.close().await;
        self.closing.cancel();
    }
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
    let lock_file = side_file(file, "-lock");
    let handle = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_file)
        .map_err(|error| OpenError::store(file, io_error(&error)))?;
    match handle.try_lock() {
        Ok(()) => Ok(StoreLock(handle)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            file: file.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::store(file, io_error(&error))),
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
        .map_err(|error| OpenError::store(file, error))?;
    if answer == "ok" {
        Ok(())
    } else {
        Err(OpenError::store(file, StoreError::Corrupt))
    }
}
