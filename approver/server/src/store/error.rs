//! What can go wrong with the store, and what to do about it.

use std::path::{Path, PathBuf};

use abeyance_api::{DecideError, DeskError};
use sqlx::migrate::MigrateError;

/// The store could not do what was asked. Nothing of the request was kept,
/// except after [`StoreError::Timeout`], when it is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the store is read-only; make the file and its folder writable for the approver")]
    ReadOnly,
    #[error("the disk that holds the store is full; free space, then try again")]
    Full,
    #[error("another process has locked the store; only one approver may use it")]
    Locked,
    #[error("the store is damaged; stop the approver and restore the file from a backup")]
    Corrupt,
    #[error("the store could not be read or written ({0}); check the disk")]
    Io(String),
    #[error("the store did not answer in time")]
    Timeout,
    #[error("the approver is stopping")]
    Closed,
    #[error("the store refused a statement ({0})")]
    Other(String),
}

/// SQLite's primary result codes, <https://sqlite.org/rescode.html>.
mod code {
    pub const BUSY: u32 = 5;
    pub const LOCKED: u32 = 6;
    pub const READONLY: u32 = 8;
    pub const IOERR: u32 = 10;
    pub const CORRUPT: u32 = 11;
    pub const FULL: u32 = 13;
    pub const CANTOPEN: u32 = 14;
    pub const NOTADB: u32 = 26;
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let extended = database.code().and_then(|code| code.parse::<u32>().ok());
                match extended.map(|extended| extended & 0xff) {
                    Some(code::BUSY | code::LOCKED) => Self::Locked,
                    Some(code::READONLY) => Self::ReadOnly,
                    Some(code::CORRUPT | code::NOTADB) => Self::Corrupt,
                    Some(code::FULL) => Self::Full,
                    Some(code::IOERR | code::CANTOPEN) => Self::Io(database.message().to_owned()),
                    _ => Self::Other(database.message().to_owned()),
                }
            }
            sqlx::Error::Io(io) => Self::Io(io.kind().to_string()),
            sqlx::Error::PoolTimedOut => Self::Timeout,
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Closed,
            other => Self::Other(other.to_string()),
        }
    }
}

impl StoreError {
    /// A stored value that this program never writes.
    pub(crate) fn unreadable(what: &str) -> Self {
        tracing::error!(what, "the store holds a value that cannot be read");
        Self::Corrupt
    }
}

impl From<StoreError> for DeskError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable {
            detail: error.to_string(),
        }
    }
}

impl From<StoreError> for DecideError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable {
            detail: error.to_string(),
        }
    }
}

/// The approver could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the approver's configuration has {} mistake(s): {}", .0.len(), list(.0))]
    Config(Vec<crate::ConfigError>),
    #[error("cannot open the store {}: {source}", file.display())]
    Store { file: PathBuf, source: StoreError },
    #[error(
        "the store {} is in use by another approver; stop it, or give this one another file",
        file.display()
    )]
    InUse { file: PathBuf },
    #[error(
        "the store {} was written by a newer abeyance (schema {schema}); \
         run that version or a later one, this one would misread it",
        file.display()
    )]
    NewerSchema { file: PathBuf, schema: i64 },
    #[error(
        "the store {} has another history than this abeyance knows (migration {schema} differs); \
         restore it from a backup, or start with a new file",
        file.display()
    )]
    ForeignSchema { file: PathBuf, schema: i64 },
    #[error("cannot read the web console's pages: {0}")]
    Templates(String),
}

fn list(mistakes: &[crate::ConfigError]) -> String {
    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl OpenError {
    pub(crate) fn store(file: &Path, source: impl Into<StoreError>) -> Self {
        Self::Store {
            file: file.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn migration(file: &Path, error: MigrateError) -> Self {
        let file = file.to_owned();
        match error {
            MigrateError::VersionMissing(schema) | MigrateError::VersionTooNew(schema, _) => {
                Self::NewerSchema { file, schema }
            }
            MigrateError::VersionMismatch(schema) | MigrateError::Dirty(schema) => {
                Self::ForeignSchema { file, schema }
            }
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
                Self::Store {
                    file,
                    source: source.into(),
                }
            }
            other => Self::Store {
                file,
                source: StoreError::Other(other.to_string()),
            },
        }
    }
}
