//! What can go wrong with the store, and what to do about it.

use std::{fmt::Display, path::PathBuf};

use abeyance_api::{DecideError, DeskError};
use sqlx::{migrate::MigrateError, postgres::PgDatabaseError};

/// The store could not do what was asked. Nothing of the request was kept, except after
/// [`StoreError::Timeout`] and [`StoreError::Unreachable`], when it is not known.
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
    /// Its certificate is not the one to expect.
    #[error(
        "the store's database cannot be trusted ({0}); check that its certificate is of the CA and for the address that the configuration names"
    )]
    Untrusted(String),
    #[error(
        "the store's database cannot be reached ({0}); check that it runs and that the address is right"
    )]
    Unreachable(String),
    #[error("the store's database takes no writes: it is a replica or read-only; name the primary")]
    Replica,
    #[error("the store's database refused the approver ({0}); check user, password and its rights")]
    Rights(String),
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

/// PostgreSQL's SQLSTATEs, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn by_sqlstate(sqlstate: &str, message: &str) -> StoreError {
    let message = message.to_owned();
    match sqlstate {
        // Read-only transaction.
        "25006" => StoreError::Replica,
        "53100" => StoreError::Full,
        // Lock not available, deadlock.
        "55P03" | "40P01" => StoreError::Locked,
        "57014" => StoreError::Timeout,
        "XX001" | "XX002" => StoreError::Corrupt,
        // No such database, no such schema, insufficient privilege.
        "3D000" | "3F000" | "42501" => StoreError::Rights(message),
        _ => match sqlstate.get(..2) {
            Some("28") => StoreError::Rights(message),
            // Connection exceptions, too many connections, shutdown, crash.
            Some("08" | "53" | "57") => StoreError::Unreachable(message),
            Some("58") => StoreError::Io(message),
            _ => StoreError::Other(message),
        },
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                if database.try_downcast_ref::<PgDatabaseError>().is_some() {
                    return by_sqlstate(&code, database.message());
                }
                let extended = code.parse::<u32>().ok();
                match extended.map(|extended| extended & 0xff) {
                    Some(code::BUSY | code::LOCKED) => Self::Locked,
                    Some(code::READONLY) => Self::ReadOnly,
                    Some(code::CORRUPT | code::NOTADB) => Self::Corrupt,
                    Some(code::FULL) => Self::Full,
                    Some(code::IOERR | code::CANTOPEN) => Self::Io(database.message().to_owned()),
                    _ => Self::Other(database.message().to_owned()),
                }
            }
            // SQLite speaks of its files by result codes: this is a connection.
            sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
                Self::Untrusted(io.to_string())
            }
            sqlx::Error::Io(io) => Self::Unreachable(io.kind().to_string()),
            sqlx::Error::Tls(tls) => Self::Unreachable(format!(
                "TLS: {tls}: give it a certificate, or set tls = \"disable\" in the configuration of the store for a database on this machine"
            )),
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
    #[error("cannot open the store {store}: {source}")]
    Store { store: String, source: StoreError },
    #[error(
        "the store {} is in use by another approver; stop it, or give this one another file",
        file.display()
    )]
    InUse { file: PathBuf },
    #[error(
        "the store {store} was written by a newer abeyance (schema {schema}); \
         run that version or a later one, this one would misread it"
    )]
    NewerSchema { store: String, schema: i64 },
    #[error(
        "the store {store} has another history than this abeyance knows (migration {schema} differs); \
         restore it from a backup, or start with a new one"
    )]
    ForeignSchema { store: String, schema: i64 },
    #[error("cannot read the web console's pages: {0}")]
    Templates(String),
}

fn list(mistakes: &[crate::ConfigError]) -> String {
    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl OpenError {
    pub(crate) fn store(store: impl Display, source: impl Into<StoreError>) -> Self {
        Self::Store {
            store: store.to_string(),
            source: source.into(),
        }
    }

    pub(crate) fn migration(store: impl Display, error: MigrateError) -> Self {
        let store = store.to_string();
        match error {
            MigrateError::VersionMissing(schema) | MigrateError::VersionTooNew(schema, _) => {
                Self::NewerSchema { store, schema }
            }
            MigrateError::VersionMismatch(schema) | MigrateError::Dirty(schema) => {
                Self::ForeignSchema { store, schema }
            }
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
                Self::Store {
                    store,
                    source: source.into(),
                }
            }
            other => Self::Store {
                store,
                source: StoreError::Other(other.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They reach people in chat and in the console, where a backtick is no markup or somebody else's.
    #[test]
    fn what_people_read_has_no_markup() {
        let why = || "why".to_owned();
        let tls = sqlx::Error::Tls("no support".into());
        for error in [
            StoreError::ReadOnly,
            StoreError::Full,
            StoreError::Locked,
            StoreError::Corrupt,
            StoreError::Io(why()),
            StoreError::Timeout,
            StoreError::Untrusted(why()),
            StoreError::Unreachable(why()),
            StoreError::Replica,
            StoreError::Rights(why()),
            StoreError::Closed,
            StoreError::Other(why()),
            StoreError::from(tls),
        ] {
            let said = DecideError::from(error).to_string();
            assert!(!said.contains('`'), "{said}");
        }
    }
}
