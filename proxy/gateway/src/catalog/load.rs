//! Reads a catalog, and whether it has changed, over a short connection of the gateway's own.
//!
//! Read-only, in one snapshot, bounded in time and bytes. The login is that of sessions. Nothing of the answer is
//! logged but its size.

use std::{sync::Arc, time::Duration};

use abeyance_sql::{
    Catalog, Sight,
    catalog::{CatalogError, LOAD_BEGIN_SQL, LOAD_END_SQL, LOAD_SQL},
};
use abeyance_wire::postgres::{
    BackendMessage, FrontendMessage, Query, WireStr, limits::BACKEND_CONTROL_BYTES_MAX,
    scram::ScramPassword,
};
use bytes::Bytes;
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout};

use crate::{
    Limits, Target,
    error::TargetError,
    exchange::target_message,
    io::Link,
    limits::{CATALOG_BYTES_MAX, CATALOG_PARSED_INLINE_BYTES_MAX},
    upstream::{Login, Settings, connect},
};

/// What connections for catalogs call themselves.
const APPLICATION_NAME: &str = "abeyance catalog";

/// Differs whenever something [`LOAD_SQL`] reads has changed. To be run with `search_path` set to nothing.
pub(crate) const DIGEST_SQL: &str = include_str!("digest.sql");

/// Which transactions are seen. As long as it is the same, so is every row.
const SEEN_SQL: &str = "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text";

/// What decides the search path of a login besides rows: files of the server.
const SETTING_SQL: &str = "SELECT pg_catalog.current_setting('search_path')";

/// A catalog cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the catalog of target {target:?} cannot be read: {cause}")]
pub struct CatalogUnavailable {
    target: String,
    #[source]
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("it refused with SQLSTATE {0}; the login needs to read pg_catalog")]
    Refused(String),
    #[error("it is longer than {CATALOG_BYTES_MAX} bytes")]
    TooLong,
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error(transparent)]
    Shape(#[from] CatalogError),
}

/// A target's catalog, and how a new session of its login sees it.
#[derive(Debug, Clone)]
pub struct LoadedCatalog {
    pub catalog: Arc<Catalog>,
    pub sight: Sight,
    /// What [`Catalog::from_json`] reads back.
    pub json: Bytes,
    pub elapsed: Duration,
}

/// Reads a target's catalog over a connection of its own, which it closes. Nothing is changed there.
///
/// # Errors
/// When the target cannot be reached, refuses, takes longer than `limits.catalog_timeout`, or its catalog is
/// longer than 64 MiB. The text says which, and holds no credential.
pub async fn load_catalog(
    target: Target,
    limits: &Limits,
) -> Result<LoadedCatalog, CatalogUnavailable> {
    let password = target.password.as_ref();
    let scram = password.map(|password| Arc::new(ScramPassword::new(password.expose_secret())));
    let login = Login {
        target: &target,
        scram: scram.as_ref(),
    };
    let loaded = async {
        let mut line = Line::open(login).await?;
        let loaded = line.load(limits.catalog_timeout).await?;
        line.close().await;
        Ok(loaded)
    };
    let loaded = within(limits.catalog_timeout, loaded).await;
    let loaded = loaded.map_err(|cause| CatalogUnavailable {
        target: target.name.clone(),
        cause,
    })?;
    let sight = Sight {
        search_path: loaded.catalog.search_path.clone().into(),
        catalog: Arc::clone(&loaded.catalog),
        vouched: Arc::clone(&target.vouched_functions),
    };
    // Not as it came: the texts of routines stay at the target.
    let json = serde_json::to_vec(&*loaded.catalog).map_err(|error| CatalogUnavailable {
        target: target.name.clone(),
        cause: Cause::Shape(error.into()),
    })?;
    Ok(LoadedCatalog {
        catalog: loaded.catalog,
        sight,
        json: json.into(),
        elapsed: loaded.elapsed,
    })
}

/// Bounds everything that is asked of a target here.
pub(super) async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    timeout(time, work)
        .await
        .unwrap_or(Err(Cause::Timeout(time)))
}

/// A catalog with what tells whether it still holds.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) catalog: Arc<Catalog>,
    pub(super) json: Bytes,
    pub(super) state: State,
    pub(super) elapsed: Duration,
}

/// One state of a target's catalog, without the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    seen: Bytes,
    setting: Bytes,
    pub(super) digest: Bytes,
}

/// A connection of the gateway's own.
#[derive(Debug)]
pub(super) struct Line {
    link: Link,
}

impl Line {
    pub(super) async fn open(login: Login<'_>) -> Result<Self, Cause> {
        let settings = Settings {
            forwarded: vec![("application_name".to_owned(), APPLICATION_NAME.to_owned())],
            ..Settings::default()
        };
        let connected = connect(login, &settings).await?;
        Ok(Self {
            link: connected.link,
        })
    }

    /// Reads the catalog and its state, both in one snapshot.
    pub(super) async fn load(&mut self, time: Duration) -> Result<Loaded, Cause> {
        let began = Instant::now();
        let setting = self.ask(SETTING_SQL).await?;
        self.ask(LOAD_BEGIN_SQL).await?;
        self.bound(time).await?;
        let seen = self.ask(SEEN_SQL).await?;
        let digest = self.ask(DIGEST_SQL).await?;
        let json = self.ask(&bounded(LOAD_SQL)).await?.ok_or(Cause::TooLong)?;
        self.ask(LOAD_END_SQL).await?;
        let catalog = Arc::new(parse(json.clone()).await?);
        let state = State {
            seen: seen.unwrap_or_default(),
            setting: setting.unwrap_or_default(),
            digest: digest.unwrap_or_default(),
        };
        Ok(Loaded {
            catalog,
            json,
            state,
            elapsed: began.elapsed(),
        })
    }

    /// The state now, if it is not `known`'s: `None` says that nothing has changed.
    pub(super) async fn changed(
        &mut self,
        known: &mut State,
        time: Duration,
    ) -> Result<bool, Cause> {
        let setting = self.ask(SETTING_SQL).await?.unwrap_or_default();
        self.ask(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''; SET LOCAL jit = off",
        )
        .await?;
        self.bound(time).await?;
        let seen = self.ask(SEEN_SQL).await?.unwrap_or_default();
        let mut same = setting == known.setting;
        if same && seen != known.seen {
            let digest = self.ask(DIGEST_SQL).await?.unwrap_or_default();
            same = digest == known.digest;
        }
        self.ask("ROLLBACK").await?;
        if same {
            known.seen = seen;
        }
        Ok(!same)
    }

    async fn bound(&mut self, time: Duration) -> Result<(), Cause> {
        let bound = format!("SET LOCAL statement_timeout = '{}ms'", time.as_millis());
        self.ask(&bound).await.map(drop)
    }

    /// Asks one question by a simple Query: the first column of its last row.
    async fn ask(&mut self, sql: &str) -> Result<Option<Bytes>, Cause> {
        let query = FrontendMessage::Query(Query {
            sql: WireStr::from_text_lossy(sql),
        });
        let encoded = self.link.outbox.encode(|out| query.encode(out));
        encoded.map_err(|error| TargetError::Malformed(error.to_string()))?;
        self.link.flush().await.map_err(TargetError::Io)?;
        let mut value = None;
        let mut refused = None;
        loop {
            let max = BACKEND_CONTROL_BYTES_MAX.max(CATALOG_BYTES_MAX + 1024);
            match target_message(&mut self.link, max).await? {
                BackendMessage::DataRow(columns) => value = columns.into_iter().next().flatten(),
                BackendMessage::ErrorResponse(fields) => {
                    let state = fields.sqlstate();
                    let state = state.map(|state| state.as_str().to_owned());
                    refused.get_or_insert(state.unwrap_or_default());
                }
                BackendMessage::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        match refused {
            Some(sqlstate) => Err(Cause::Refused(sqlstate)),
            None => Ok(value),
        }
    }

    /// Ends the connection in good form.
    pub(super) async fn close(mut self) {
        self.link
            .outbox
            .encode(abeyance_wire::postgres::frontend::encode_terminate);
        // A target that is gone needs no farewell.
        let _ = self.link.flush().await;
        self.link.close().await;
    }
}

/// The question with a bound on the length of its answer: NULL when it would be longer.
pub(crate) fn bounded(sql: &str) -> String {
    format!(
        "SELECT CASE WHEN pg_catalog.octet_length(answer.it::pg_catalog.text) OPERATOR(pg_catalog.<=) {CATALOG_BYTES_MAX} \
         THEN answer.it END FROM (\n{sql}\n) AS answer (it)"
    )
}

/// Reads what [`LOAD_SQL`] gave; a long one off the threads that serve sessions.
pub(crate) async fn parse(json: Bytes) -> Result<Catalog, CatalogError> {
    if json.len() <= CATALOG_PARSED_INLINE_BYTES_MAX {
        return Catalog::from_json(&json);
    }
    let parsing = tokio::task::spawn_blocking(move || Catalog::from_json(&json));
    match parsing.await {
        Ok(parsed) => parsed,
        // It panicked, or the runtime ends: what nothing can be read from is no catalog.
        Err(_) => Catalog::from_json(b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_every_system_catalog_that_is_loaded() {
        let mut rest = LOAD_SQL;
        let mut found = 0;
        while let Some(at) = rest.find("pg_catalog.pg_") {
            rest = &rest[at + "pg_catalog.".len()..];
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap();
            let name = &rest[..end];
            assert!(
                DIGEST_SQL.contains(&format!("pg_catalog.{name} "))
                    || DIGEST_SQL.contains(&format!("pg_catalog.{name})")),
                "{name}"
            );
            found += 1;
        }
        assert!(found > 10);
    }
}
