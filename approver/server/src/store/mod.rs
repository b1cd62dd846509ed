//! The approver's memory: one SQLite file, or one PostgreSQL database that several approvers share. The only
//! part of the product that knows SQL of a store.
//!
//! Every step of a hold and its audit event are one transaction, durable before the call returns
//! (invariants 4 and 5). Holds redacted text only (invariant 7).

mod cards;
mod copy;
mod db;
mod error;
mod events;
mod grants;
mod holds;
mod instances;
mod location;
mod lookups;
mod notices;
mod oncall;
mod openings;
mod postgres;
mod record;
mod row;
mod sqlite;
mod statements;
mod steps;
mod votes;
mod writer;

#[cfg(test)]
mod tests;

use std::pin::Pin;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use cards::CardKey;
pub use copy::{Copied, CopyError, store_copy};
use db::{Conn, Pool, sql};
pub use error::{OpenError, StoreError};
pub use events::{AuditReport, HoldEvent};
#[allow(
    unused_imports,
    reason = "for events that belong to no hold, of which there are none yet"
)]
pub(crate) use events::{Happened, audit_append};
pub(crate) use grants::{Coverable, RevokedGrant};
pub(crate) use holds::{NewRecord, Opened, Stepped};
pub(crate) use instances::{Instance, gone};
pub use location::{PostgresStore, StoreLocation, StoreTls};
pub(crate) use lookups::Wanted;
pub(crate) use oncall::{Added, DutyNow, DutyThen, NewOverrides, Removal};
pub(crate) use record::HoldRecord;
pub(crate) use sqlite::StoreLock;
pub use statements::statements_logged;
pub(crate) use steps::{Called, Told};
pub(crate) use votes::NewVote;
use writer::{Connector, Scope, Writer};

use crate::signals::Signals;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// As many bytes as a hold may take.
const PROBE_BYTES: usize = 16 * 1024;

/// The store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    writer: Writer,
    readers: Pool,
    closing: CancellationToken,
}

impl Store {
    /// Opens, checks and migrates the store, and starts its tasks on `tasks`. A file is locked for as long as
    /// the lock is kept.
    pub(crate) async fn open(
        location: &StoreLocation,
        signals: Signals,
        tasks: &TaskTracker,
    ) -> Result<(Self, Option<StoreLock>), OpenError> {
        let closing = CancellationToken::new();
        let (connector, conn, readers, lock) = match location {
            StoreLocation::Sqlite(file) => {
                let (options, conn, readers, lock) = sqlite::open(file).await?;
                (
                    Connector::Sqlite(Box::new(options)),
                    conn,
                    readers,
                    Some(lock),
                )
            }
            StoreLocation::Postgres(store) => {
                let (options, conn, readers) = postgres::open(store).await?;
                let listener = postgres::listen(readers.clone(), signals.clone(), closing.clone());
                tasks.spawn(listener);
                let connector = Connector::Postgres(Box::new(options));
                (connector, conn, Pool::Postgres(readers), None)
            }
        };
        let (writer, task) = Writer::new(connector, conn, signals, closing.clone());
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
                    sql("UPDATE probe SET beat = beat + 1, room = $1")
                        .bind(vec![0_u8; PROBE_BYTES])
                        .execute(&mut scope.conn)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// A connection to read with.
    async fn reader(&self) -> Result<Conn, StoreError> {
        self.readers.acquire().await
    }

    /// Ends reading, then the writer's task once its queue is empty.
    pub(crate) async fn close(&self) {
        // The writer goes last, so that it can fold the write-ahead log into the file.
        self.readers.close().await;
        self.closing.cancel();
    }
}

/// A look at a store that may be in use.
async fn look(location: &StoreLocation) -> Result<Conn, OpenError> {
    match location {
        StoreLocation::Sqlite(file) => sqlite::look(file).await,
        StoreLocation::Postgres(store) => postgres::look(store).await,
    }
}
