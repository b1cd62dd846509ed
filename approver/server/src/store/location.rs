//! Where the store is. The password never shows.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::limits;

/// Where the approver keeps what it has to remember.
#[derive(Debug, Clone)]
pub enum StoreLocation {
    /// One file, for one approver; made, readable by its owner alone, when absent.
    Sqlite(PathBuf),
    /// A database, for any number of approvers.
    Postgres(PostgresStore),
}

impl From<PathBuf> for StoreLocation {
    fn from(file: PathBuf) -> Self {
        Self::Sqlite(file)
    }
}

impl From<&Path> for StoreLocation {
    fn from(file: &Path) -> Self {
        Self::Sqlite(file.to_owned())
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => file.display().fmt(f),
            Self::Postgres(store) => store.fmt(f),
        }
    }
}

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    /// A name, an address, or the folder of a Unix socket.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<SecretString>,
    pub database: String,
    pub tls: StoreTls,
    /// Connections altogether: one writes, one listens, the others read.
    pub connections_max: u32,
}

/// How the connection to the store is protected.
#[derive(Debug, Clone, Default)]
pub enum StoreTls {
    /// For a socket or the same machine.
    Off,
    /// The certificate has to be for the host, by a CA of the system.
    #[default]
    Verify,
    /// The certificate has to be for the host, by this CA.
    VerifyBy { ca_pem: Vec<u8> },
}

impl fmt::Display for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            port,
            user,
            database,
            ..
        } = self;
        if self.host.starts_with('/') {
            write!(f, "postgres://{user}@/{database}?host={host}&port={port}")
        } else {
            write!(f, "postgres://{user}@{host}:{port}/{database}")
        }
    }
}

impl PostgresStore {
    /// Nothing is taken from the environment or from a password file: all is said here.
    pub(super) fn options(&self) -> PgConnectOptions {
        let settings = [
            ("lock_timeout", limits::BUSY_TIMEOUT.as_millis()),
            ("statement_timeout", limits::STATEMENT_TIMEOUT.as_millis()),
            (
                "idle_in_transaction_session_timeout",
                limits::STORE_TIMEOUT.as_millis(),
            ),
        ];
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            .application_name("abeyance")
            .options(settings)
            .options([("synchronous_commit", "on"), ("timezone", "UTC")])
            // What is made "if not exists" tells of it at every start.
            .options([("client_min_messages", "warning")]);
        options = if self.host.starts_with('/') {
            options.socket(&self.host)
        } else {
            options.host(&self.host)
        };
        if let Some(password) = &self.password {
            options = options.password(password.expose_secret());
        }
        match &self.tls {
            StoreTls::Off => options.ssl_mode(PgSslMode::Disable),
            StoreTls::Verify => options.ssl_mode(PgSslMode::VerifyFull),
            StoreTls::VerifyBy { ca_pem } => options
                .ssl_mode(PgSslMode::VerifyFull)
                .ssl_root_cert_from_pem(ca_pem.clone()),
        }
    }
}
