//! The store as a PostgreSQL database, for any number of approvers.
//!
//! All of them write through one advisory lock, a batch of jobs at a time, so that the record of every step
//! has one order whoever writes it. Notifications wake the others; whoever missed one is repaired by timers.

use sqlx::{
    Connection as _, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio_util::sync::CancellationToken;

use super::{OpenError, PostgresStore, StoreError, db::Conn};
use crate::{
    limits,
    signals::{Signals, Touched},
};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");

/// Begins a batch of jobs. The lock's number is this product's own; it is let go of by COMMIT and ROLLBACK.
pub(super) const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(4703144629184921921)";

/// Where approvers tell each other what they touched.
const CHANNEL: &str = "abeyance";
pub(super) const NOTIFY: &str = "SELECT pg_notify('abeyance', $1)";
/// Said instead of a hold's id.
const CARDS: &str = "cards";
/// PostgreSQL takes less than 8,000 bytes.
const PAYLOAD_BYTES_MAX: usize = 7_500;
/// Said when there is too much to say.
const EVERYTHING: &str = "*";

/// Connects, checks and migrates.
pub(super) async fn open(
    store: &PostgresStore,
) -> Result<(PgConnectOptions, Conn, PgPool), OpenError> {
    let failed = |error: sqlx::Error| OpenError::store(store, error);
    let options = store.options();
    let mut conn = connect(&options)
        .await
        .map_err(|error| OpenError::store(store, error))?;
    check(store, &mut conn).await?;
    MIGRATIONS
        .run_direct(&mut conn)
        .await
        .map_err(|error| OpenError::migration(store, error))?;
    let readers = PgPoolOptions::new()
        .max_connections(store.connections_max.saturating_sub(1).max(2))
        .acquire_timeout(limits::STORE_TIMEOUT)
        .connect_with(options.clone().application_name("abeyance reader"))
        .await
        .map_err(failed)?;
    Ok((options, conn.into(), readers))
}

/// A look at a store that may be in use.
pub(super) async fn look(store: &PostgresStore) -> Result<Conn, OpenError> {
    let conn = connect(&store.options()).await;
    conn.map(Conn::from)
        .map_err(|error| OpenError::store(store, error))
}

/// Bounded: a host that swallows packets would be waited for for minutes.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let conn = PgConnection::connect_with(options);
    tokio::time::timeout(limits::CONNECT_TIMEOUT, conn)
        .await
        .map_err(|_| StoreError::Unreachable("no answer in time".to_owned()))?
        .map_err(StoreError::from)
}

/// A server that cannot take writes is found out before anything depends on it.
async fn check(store: &PostgresStore, conn: &mut PgConnection) -> Result<(), OpenError> {
    let (replica, read_only): (bool, bool) = sqlx::query_as(
        "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool",
    )
    .fetch_one(conn)
    .await
    .map_err(|error| OpenError::store(store, error))?;
    if replica || read_only {
        return Err(OpenError::store(store, StoreError::Replica));
    }
    Ok(())
}

/// What a notification says of a batch.
pub(super) fn payload(touched: &[Touched]) -> Option<String> {
    if touched.is_empty() {
        return None;
    }
    let mut words: Vec<&str> = touched
        .iter()
        .map(|touched| match touched {
            Touched::Hold(id) => id.as_str(),
            Touched::Cards => CARDS,
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    let payload = words.join(" ");
    Some(payload)
        .filter(|payload| payload.len() <= PAYLOAD_BYTES_MAX)
        .or_else(|| Some(EVERYTHING.to_owned()))
}

fn heard(payload: &str) -> Option<Vec<Touched>> {
    payload
        .split(' ')
        .map(|word| match word {
            CARDS => Some(Touched::Cards),
            id => id.parse().ok().map(Touched::Hold),
        })
        .collect()
}

/// Wakes this approver's waiters by what the others did, until the store closes.
pub(super) async fn listen(readers: PgPool, signals: Signals, closing: CancellationToken) {
    while !closing.is_cancelled() {
        // Both arms are cancel-safe: what a dropped listener did not say is repaired below.
        tokio::select! {
            () = closing.cancelled() => {}
            error = hear(&readers, &signals) => {
                if closing.is_cancelled() || matches!(error, sqlx::Error::PoolClosed) {
                    return;
                }
                tracing::warn!(%error, "other approvers cannot be heard; decisions made there are seen later");
                tokio::select! {
                    () = closing.cancelled() => {}
                    () = tokio::time::sleep(limits::LISTEN_AGAIN_AFTER) => {}
                }
            }
        }
    }
}

async fn hear(readers: &PgPool, signals: &Signals) -> sqlx::Error {
    let mut listener = match PgListener::connect_with(readers).await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    if let Err(error) = listener.listen(CHANNEL).await {
        return error;
    }
    // Whatever was said before this moment was missed.
    signals.fire_all();
    loop {
        match listener.try_recv().await {
            Ok(Some(notification)) => match heard(notification.payload()) {
                Some(touched) => signals.fire(&touched),
                None => signals.fire_all(),
            },
            // The connection was lost and made again: there may have been more.
            Ok(None) => signals.fire_all(),
            Err(error) => return error,
        }
    }
}
