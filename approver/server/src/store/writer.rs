//! The one connection that writes. Jobs queue up, share a transaction, and are answered when it is
//! on disk: whoever holds an answer holds something durable (invariant 5). A job that fails takes
//! back its own work only; a transaction that fails fails all its jobs.
//!
//! A caller that goes away does not stop its job: a step is recorded whole or not at all.

use std::any::Any;

use sqlx::{
    Connection as _, SqliteConnection, postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    BoxFuture, StoreError,
    db::{Conn, sql},
    events::Tail,
    postgres,
};
use crate::{
    limits,
    signals::{Signals, Touched},
};

/// What a job works with.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) conn: Conn,
    /// Who is to be woken once this is on disk.
    touched: Vec<Touched>,
    /// The record's last row, once it was looked at in this transaction: nobody else writes meanwhile.
    pub(super) tail: Option<Tail>,
}

impl Scope {
    fn new(conn: Conn) -> Self {
        Self {
            conn,
            touched: Vec::new(),
            tail: None,
        }
    }

    pub(crate) fn touch(&mut self, touched: Touched) {
        self.touched.push(touched);
    }
}

type Answer = Result<Box<dyn Any + Send>, StoreError>;
type Job = Box<dyn for<'c> FnOnce(&'c mut Scope) -> BoxFuture<'c, Answer> + Send>;

struct Envelope {
    job: Job,
    reply: oneshot::Sender<Answer>,
}

/// Opens the connection anew.
pub(super) enum Connector {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl Connector {
    async fn connect(&self) -> Result<Conn, StoreError> {
        Ok(match self {
            Self::Sqlite(options) => SqliteConnection::connect_with(options).await?.into(),
            Self::Postgres(options) => postgres::connect(options).await?.into(),
        })
    }
}

/// Where jobs are handed in.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Envelope>,
}

/// The task behind it.
pub(crate) struct WriterTask {
    queue: mpsc::Receiver<Envelope>,
    connector: Connector,
    /// `None` after a failure; opened again for the next batch.
    scope: Option<Scope>,
    signals: Signals,
    closing: CancellationToken,
}

impl Writer {
    pub(crate) fn new(
        connector: Connector,
        conn: Conn,
        signals: Signals,
        closing: CancellationToken,
    ) -> (Self, WriterTask) {
        let (queue, jobs) = mpsc::channel(limits::WRITE_QUEUE_MAX);
        let task = WriterTask {
            queue: jobs,
            connector,
            scope: Some(Scope::new(conn)),
            signals,
            closing,
        };
        (Self { queue }, task)
    }

    /// Runs `job` in a transaction and returns when it is durable.
    pub(crate) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Scope) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let envelope = Envelope {
            job: Box::new(move |scope| {
                Box::pin(async move {
                    let value = job(scope).await?;
                    Ok(Box::new(value) as Box<dyn Any + Send>)
                })
            }),
            reply,
        };
        let exchange = async {
            self.queue
                .send(envelope)
                .await
                .map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?
        };
        let value = tokio::time::timeout(limits::STORE_TIMEOUT, exchange)
            .await
            .map_err(|_| StoreError::Timeout)??;
        value
            .downcast::<T>()
            .map(|value| *value)
            .map_err(|_| StoreError::Closed)
    }
}

impl WriterTask {
    /// Serves jobs until the store closes, and then what is queued already.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.next().await {
            let mut batch = vec![first];
            while batch.len() < limits::WRITE_BATCH_MAX
                && let Ok(next) = self.queue.try_recv()
            {
                batch.push(next);
            }
            self.write_batch(batch).await;
        }
        if let Some(mut scope) = self.scope.take() {
            // Nothing is lost when this fails: the write-ahead log is read at the next start.
            if let Conn::Sqlite(_) = &scope.conn {
                let _left_for_then = scope.conn.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
            }
            let _unclean = scope.conn.close().await;
        }
    }

    async fn next(&mut self) -> Option<Envelope> {
        let closing = self.closing.clone();
        // Both arms are cancel-safe: a job is either taken or still queued.
        tokio::select! {
            biased;
            envelope = self.queue.recv() => envelope,
            () = closing.cancelled() => {
                self.queue.close();
                self.queue.recv().await
            }
        }
    }

    async fn write_batch(&mut self, batch: Vec<Envelope>) {
        let mut scope = match self.begin().await {
            Ok(scope) => scope,
            Err(error) => return refuse_all(batch.into_iter().map(|e| e.reply), &error),
        };
        let mut done = Vec::with_capacity(batch.len());
        let alone = batch.len() == 1;
        let mut jobs = batch.into_iter();
        let mut broken = None;
        for envelope in jobs.by_ref() {
            match run_job(&mut scope, envelope.job, alone).await {
                Ok(Ok(value)) => done.push((envelope.reply, value)),
                Ok(Err(error)) => answer(envelope.reply, Err(error)),
                Err(error) => {
                    answer(envelope.reply, Err(error.clone()));
                    broken = Some(error);
                    break;
                }
            }
        }
        let committed = match broken {
            None => commit(&mut scope).await,
            Some(error) => Err(error),
        };
        match committed {
            Ok(()) => {
                let touched = std::mem::take(&mut scope.touched);
                scope.tail = None;
                self.scope = Some(scope);
                for (reply, value) in done {
                    answer(reply, Ok(value));
                }
                self.signals.fire(&touched);
            }
            Err(error) => {
                tracing::error!(%error, "the store lost a transaction; its requests were refused");
                let _already_rolled_back = scope.conn.run("ROLLBACK").await;
                let _unclean = scope.conn.close().await;
                let waiting = done.into_iter().map(|(reply, _)| reply);
                refuse_all(waiting.chain(jobs.map(|e| e.reply)), &error);
            }
        }
    }

    async fn begin(&mut self) -> Result<Scope, StoreError> {
        if let Some(mut scope) = self.scope.take() {
            match begin(&mut scope.conn).await {
                Ok(()) => return Ok(scope),
                // The connection broke while nobody used it: nothing was begun, a new one may do.
                Err(StoreError::Unreachable(_)) => {}
                // Made anew for the next batch, which may find the reason gone.
                Err(error) => return Err(error),
            }
        }
        let mut conn = self.connector.connect().await?;
        begin(&mut conn).await?;
        Ok(Scope::new(conn))
    }
}

/// From here on nobody else writes, until this transaction ends.
async fn begin(conn: &mut Conn) -> Result<(), StoreError> {
    match conn {
        Conn::Sqlite(_) => conn.run("BEGIN IMMEDIATE").await,
        Conn::Postgres(_) => conn.run(postgres::BEGIN).await,
    }
}

/// Other approvers hear of the batch when it is durable, not before.
async fn commit(scope: &mut Scope) -> Result<(), StoreError> {
    if let (Conn::Postgres(_), Some(payload)) = (&scope.conn, postgres::payload(&scope.touched)) {
        sql(postgres::NOTIFY)
            .bind(payload)
            .execute(&mut scope.conn)
            .await?;
    }
    scope.conn.run("COMMIT").await
}

/// The outer error means that the whole transaction is gone. One that has nothing else in it needs no savepoint.
async fn run_job(scope: &mut Scope, job: Job, alone: bool) -> Result<Answer, StoreError> {
    if alone {
        return job(scope).await.map(Ok);
    }
    scope.conn.run("SAVEPOINT job").await?;
    let touched_before = scope.touched.len();
    let answer = job(scope).await;
    if let Err(error) = &answer {
        scope.touched.truncate(touched_before);
        scope.tail = None;
        // SQLite ends the whole transaction by itself after some errors; then there is no savepoint.
        scope
            .conn
            .run("ROLLBACK TO job")
            .await
            .map_err(|_| error.clone())?;
    }
    scope.conn.run("RELEASE job").await?;
    Ok(answer)
}

fn answer(reply: oneshot::Sender<Answer>, answer: Answer) {
    // The caller may have gone; what was recorded stays recorded.
    let _gone = reply.send(answer);
}

fn refuse_all(replies: impl Iterator<Item = oneshot::Sender<Answer>>, error: &StoreError) {
    for reply in replies {
        answer(reply, Err(error.clone()));
    }
}
