//! Finding holds: by what people know of them, and by what they have in common.

use abeyance_api::{Alike, AlikeHold, HoldId, HoldRequest, HoldState, PersonId};
use chrono::{DateTime, Utc};

use super::{
    HoldRecord, Store, StoreError,
    db::{Conn, Row, Sql, sql},
    record::{record, votes},
    row::{count_at, hold_id_at, instant_at, micros, parse},
    writer::Scope,
};
use crate::{limits, signals::Touched};

/// What is known of the holds that are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Those that ended since then; those that wait when left out.
    pub(crate) ended_since: Option<DateTime<Utc>>,
    pub(crate) agent: Option<String>,
    pub(crate) target: Option<String>,
    /// Has voted on it.
    pub(crate) person: Option<PersonId>,
    pub(crate) limit: u32,
}

impl Wanted {
    fn bound(&self, sql: Sql) -> Sql {
        let known = |text: Option<&str>| text.unwrap_or_default().to_owned();
        sql.bind(known(self.agent.as_deref()))
            .bind(known(self.target.as_deref()))
            .bind(known(self.person.as_ref().map(PersonId::as_str)))
            .bind(self.ended_since.map_or(0, micros))
    }
}

/// The same conditions, found, counted, and both for holds that wait and for those that ended.
macro_rules! looked_up {
    ($what:literal, $state:literal, $rest:literal) => {
        sql(concat!(
            "SELECT ",
            $what,
            " FROM hold WHERE ",
            $state,
            " AND ($1 = '' OR agent = $1) AND ($2 = '' OR target = $2)
              AND ($3 = '' OR EXISTS (SELECT 1 FROM vote WHERE vote.hold = hold.id AND vote.person = $3)) ",
            $rest
        ))
    };
}

/// Those that wait and are like a hold, without it.
macro_rules! others {
    ($what:literal, $rest:literal) => {
        sql(concat!(
            "SELECT ",
            $what,
            " FROM hold WHERE alike_key = $1 AND state = 'pending' AND id <> $2 ",
            $rest
        ))
    };
}

impl Store {
    /// Holds, and how many there are altogether. Those that wait come in the order in which they end, those that
    /// ended from the latest on.
    pub(crate) async fn holds_find(
        &self,
        wanted: &Wanted,
    ) -> Result<(Vec<HoldRecord>, u64), StoreError> {
        let (found, counted) = match wanted.ended_since {
            None => (
                looked_up!(
                    "*",
                    "state = 'pending' AND $4 = 0",
                    "ORDER BY expires_at, id LIMIT $5"
                ),
                looked_up!("count(*) AS total", "state = 'pending' AND $4 = 0", ""),
            ),
            Some(_) => (
                looked_up!(
                    "*",
                    "resolved_at >= $4",
                    "ORDER BY resolved_at DESC, id LIMIT $5"
                ),
                looked_up!("count(*) AS total", "resolved_at >= $4", ""),
            ),
        };
        let mut conn = self.reader().await?;
        let row = wanted.bound(counted).fetch_one(&mut conn).await?;
        let total = count_at(&row, "total")?;
        let found = wanted.bound(found).bind(wanted.limit);
        let rows = found.fetch_all(&mut conn).await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            let votes = votes(&mut conn, &hold_id_at(&row, "id")?).await?;
            records.push(record(&row, votes)?);
        }
        Ok((records, total))
    }

    /// A hold and the others of its shape, agent, target and route that wait, as many as may be decided together.
    pub(crate) async fn holds_alike(&self, of: &HoldRecord) -> Result<Alike, StoreError> {
        let mut conn = self.reader().await?;
        let rows = others!(
            "id, created_at, request",
            "ORDER BY created_at, id LIMIT $3"
        )
        .bind(super::grants::key(&of.request))
        .bind(of.id.as_str())
        .bind(others_max())
        .fetch_all(&mut conn)
        .await?;
        let mut holds = vec![AlikeHold {
            id: of.id.clone(),
            created_at: of.hold.created_at,
            rows: of.request.blast.rows.clone(),
        }];
        for row in &rows {
            holds.push(alike_of(row)?);
        }
        let all = company(&mut conn, of, u32::MAX).await?;
        let listed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let more = all.saturating_sub(listed);
        Ok(Alike { holds, more })
    }

    /// How many others there are, as far as they may be decided together with it.
    pub(crate) async fn company(&self, of: &HoldRecord) -> Result<u64, StoreError> {
        company(&mut self.reader().await?, of, others_max()).await
    }
}

fn alike_of(row: &Row) -> Result<AlikeHold, StoreError> {
    let request: HoldRequest = parse(row.try_get("request")?)?;
    Ok(AlikeHold {
        id: hold_id_at(row, "id")?,
        created_at: instant_at(row, "created_at")?,
        rows: request.blast.rows,
    })
}

/// How many are decided together with one.
fn others_max() -> u32 {
    u32::try_from(limits::BULK_MAX.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Counts to `most`.
async fn company(conn: &mut Conn, of: &HoldRecord, most: u32) -> Result<u64, StoreError> {
    let row = others!("count(*) AS others FROM (SELECT id", "LIMIT $3) AS found")
        .bind(super::grants::key(&of.request))
        .bind(of.id.as_str())
        .bind(most)
        .fetch_one(conn)
        .await?;
    count_at(&row, "others")
}

async fn others(conn: &mut Conn, of: &HoldRecord, most: u32) -> Result<Vec<HoldId>, StoreError> {
    let rows = others!("id", "ORDER BY created_at, id LIMIT $3")
        .bind(super::grants::key(&of.request))
        .bind(of.id.as_str())
        .bind(most)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| hold_id_at(row, "id")).collect()
}

/// A hold came, or ended. When there is exactly one other like it, that one's card has to say that it is not alone,
/// or not say it any more: it gets a version of its own, so that no card being drawn meanwhile counts as up to date.
pub(super) async fn company_changed(
    scope: &mut Scope,
    record: &HoldRecord,
) -> Result<(), StoreError> {
    let others = others(&mut scope.conn, record, 2).await?;
    let [other] = others.as_slice() else {
        return Ok(());
    };
    sql("UPDATE hold SET version = version + 1 WHERE id = $1")
        .bind(other.as_str())
        .execute(&mut scope.conn)
        .await?;
    sql("UPDATE card SET wanted_version = wanted_version + 1 WHERE hold = $1")
        .bind(other.as_str())
        .execute(&mut scope.conn)
        .await?;
    scope.touch(Touched::Cards);
    Ok(())
}

/// Whether a step ended the wait.
pub(super) fn ended(before: HoldState, after: HoldState) -> bool {
    before == HoldState::Pending && after != HoldState::Pending
}
