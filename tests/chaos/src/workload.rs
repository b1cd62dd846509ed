//! Clients: each runs its statements one after the other, and says what it was told.

use std::time::Duration;

use abeyance_e2e::{RawClient, Reply, message};
use anyhow::{Context as _, Result, bail};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    plan::{Job, Shape},
    stack::Stack,
};

/// How long a client tries to get a session while parts are down.
const CONNECTING: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// What a client knows at the end of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It ran, and in a transaction it is committed.
    Done,
    /// An error said that it did not run or does not stand.
    Refused { sqlstate: String, text: String },
    /// The connection ended, or the client left, before the answer: it may have run.
    InDoubt,
    /// It never left the client.
    NeverAsked,
    /// No answer within `patience`: nobody may wait that long.
    Stuck,
}

/// How one statement ended for its client.
#[derive(Debug, Clone)]
pub struct Ended {
    pub marker: String,
    pub told: Told,
    /// From the question to the end.
    pub waited: Duration,
}

/// Runs a client's statements, through one of the proxies.
pub async fn client(stack: &Stack, which: usize, jobs: &[Job], patience: Duration) -> Vec<Ended> {
    let mut ends = Vec::new();
    let mut session = None;
    for job in jobs {
        let prepared = match session.take() {
            Some(mut client) => match prepare(&mut client, job, patience).await {
                Ok(()) => Some(client),
                Err(_) => connect(stack, which, job).await,
            },
            None => connect(stack, which, job).await,
        };
        let asked = Instant::now();
        let told = match prepared {
            Some(client) => {
                let (told, kept) = one(client, job, patience).await;
                session = kept;
                told
            }
            None => Told::NeverAsked,
        };
        ends.push(Ended {
            marker: job.marker.clone(),
            told,
            waited: asked.elapsed(),
        });
    }
    ends
}

async fn one(mut client: RawClient, job: &Job, patience: Duration) -> (Told, Option<RawClient>) {
    let asking = async {
        ask(&mut client, job).await?;
        anyhow::Ok(answer(&mut client, job).await)
    };
    let limit = job.leaves_after.unwrap_or(patience).min(patience);
    match timeout(limit, asking).await {
        // The rest of a session that had a fault is not worth keeping.
        Ok(Ok(Ok(told @ (Told::Done | Told::Refused { .. })))) => (told, Some(client)),
        Ok(_) => (Told::InDoubt, None),
        Err(_) if job.leaves_after.is_some() => {
            client.reset();
            (Told::InDoubt, None)
        }
        Err(_) => (Told::Stuck, None),
    }
}

/// A session that has said why it asks.
async fn connect(stack: &Stack, which: usize, job: &Job) -> Option<RawClient> {
    let deadline = Instant::now() + CONNECTING;
    while Instant::now() < deadline {
        let opened = timeout_at(deadline, async {
            let mut client = stack.client(which).await?;
            prepare(&mut client, job, CONNECTING).await?;
            anyhow::Ok(client)
        });
        if let Ok(Ok(client)) = opened.await {
            return Some(client);
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}

async fn prepare(client: &mut RawClient, job: &Job, patience: Duration) -> Result<()> {
    let reason = format!("SET abeyance.reason = '{}'", job.marker);
    timeout(patience, succeed(client, &reason)).await??;
    if job.shape == Shape::InTransaction {
        timeout(patience, succeed(client, "BEGIN")).await??;
    }
    Ok(())
}

async fn succeed(client: &mut RawClient, sql: &str) -> Result<()> {
    let replies = client.query(sql).await?;
    match replies.iter().find_map(Reply::sqlstate) {
        None => Ok(()),
        Some(sqlstate) => bail!("{sql}: {sqlstate}"),
    }
}

async fn ask(client: &mut RawClient, job: &Job) -> Result<()> {
    let table = if job.two_seats { "two" } else { "one" };
    let sql = format!("INSERT INTO {table} (marker) VALUES ('{}')", job.marker);
    if job.shape != Shape::Extended {
        return client.start_query(&sql).await;
    }
    let group = [
        message(b'P', format!("\0{sql}\0\0\0").as_bytes()),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ];
    client.send(&group.concat()).await
}

async fn answer(client: &mut RawClient, job: &Job) -> Result<Told> {
    let told = verdict(&client.until(b'Z').await?)?;
    if job.shape != Shape::InTransaction {
        return Ok(told);
    }
    if told != Told::Done {
        // The transaction failed with it; end it, so that the session can go on.
        succeed(client, "ROLLBACK").await?;
        return Ok(told);
    }
    let replies = client.query("COMMIT").await?;
    let committed = replies
        .iter()
        .any(|reply| reply.tag == b'C' && reply.body.starts_with(b"COMMIT"));
    match verdict(&replies)? {
        Told::Done if !committed => bail!("COMMIT answered something else: {replies:?}"),
        told => Ok(told),
    }
}

fn verdict(replies: &[Reply]) -> Result<Told> {
    if let Some(error) = replies.iter().find(|reply| reply.tag == b'E') {
        return Ok(Told::Refused {
            sqlstate: error.sqlstate().context("an error without SQLSTATE")?,
            text: error.field(b'M').unwrap_or_default(),
        });
    }
    if replies.iter().any(|reply| reply.tag == b'C') {
        return Ok(Told::Done);
    }
    bail!("neither an error nor a result: {replies:?}")
}
