//! Votes, each counted once: a request that comes again, to whichever approver, finds the hold as it is.

use abeyance_api::{BindingDigest, HoldId};
use abeyance_holds::Event;
use chrono::{DateTime, Utc};

use super::{
    Stepped, Store, StoreError, cards,
    db::{Conn, sql},
    holds::step,
    writer::Scope,
};
/// A vote, or glass that is broken.
#[derive(Debug)]
pub(crate) struct NewVote {
    pub(crate) hold: HoldId,
    pub(crate) event: Event,
    /// Who votes and by which request, in one; from surfaces whose requests can be sent again by others.
    pub(crate) request: Option<BindingDigest>,
    /// A channel that gets a card of its own when this counts.
    pub(crate) channel: Option<String>,
}

impl Store {
    /// Counts it; nothing when the same request was counted before.
    pub(crate) async fn hold_vote(
        &self,
        vote: NewVote,
        now: DateTime<Utc>,
    ) -> Result<Option<Stepped>, StoreError> {
        self.writer
            .write(move |scope| Box::pin(async move { count(scope, vote, now).await }))
            .await
    }
}

async fn count(
    scope: &mut Scope,
    vote: NewVote,
    now: DateTime<Utc>,
) -> Result<Option<Stepped>, StoreError> {
    let request = vote.request.map(|request| request.to_string());
    if let Some(request) = &request
        && !is_new(&mut scope.conn, request, &vote.hold).await?
    {
        return Ok(None);
    }
    let stepped = step(scope, &vote.hold, vote.event, None, now).await?;
    match (&stepped, &vote.channel, &request) {
        (Stepped::Done(record), Some(channel), _) => {
            cards::insert(&mut scope.conn, record, channel, now).await?;
        }
        (Stepped::Done(_), None, _) | (_, _, None) => {}
        // What did not count may be tried again.
        (_, _, Some(request)) => forget(&mut scope.conn, request).await?,
    }
    Ok(Some(stepped))
}

/// Whether no vote was counted by this request so far; from now on one was.
async fn is_new(conn: &mut Conn, request: &str, hold: &HoldId) -> Result<bool, StoreError> {
    let made = sql(
        "INSERT INTO vote_counted (request, hold) SELECT $1, id FROM hold WHERE id = $2
         ON CONFLICT (request) DO NOTHING",
    )
    .bind(request)
    .bind(hold.as_str())
    .execute(conn)
    .await?;
    Ok(made > 0)
}

async fn forget(conn: &mut Conn, request: &str) -> Result<(), StoreError> {
    sql("DELETE FROM vote_counted WHERE request = $1")
        .bind(request)
        .execute(conn)
        .await?;
    Ok(())
}
