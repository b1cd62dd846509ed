//! Finding holds: by what people know of them, and by what they have in common.

use abeyance_api::{Alike, AlikeHold, HoldId, HoldRequest, HoldState, PersonId};
use abeyance_holds::alike::may_join;
use chrono::{DateTime, Utc};

use super::{
    HoldRecord, Store, StoreError,
    db::{Conn, Row, Sql, sql},
    record::records,
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
        Ok((records(&mut conn, &rows).await?, total))
    }

    /// A hold and the others that wait and may be decided by whoever saw it, as many as one decision has room for.
    /// Nothing for one that is decided.
    pub(crate) async fn holds_alike(&self, of: &HoldRecord) -> Result<Alike, StoreError> {
        if of.hold.state != HoldState::Pending {
            return Ok(Alike::default());
        }
        let one = |id: HoldId, created_at, request: HoldRequest| AlikeHold {
            id,
            created_at,
            rows: request.blast.rows,
        };
        let mut alike = Alike {
            holds: vec![one(of.id.clone(), of.hold.created_at, of.request.clone())],
            more: 0,
        };
        let mut conn = self.reader().await?;
        for row in others(&mut conn, of, limits::ALIKE_LOOKED_AT).await? {
            let request: HoldRequest = parse(row.try_get("request")?)?;
            if !may_join(&of.request, &request) {
                continue;
            }
            if alike.holds.len() < limits::BULK_MAX {
                let (id, at) = (hold_id_at(&row, "id")?, instant_at(&row, "created_at")?);
                alike.holds.push(one(id, at, request));
            } else {
                alike.more += 1;
            }
        }
        Ok(alike)
    }
}

/// Those of the same shape that wait, oldest first, whatever else they do.
async fn others(conn: &mut Conn, of: &HoldRecord, most: u32) -> Result<Vec<Row>, StoreError> {
    sql(
        "SELECT id, created_at, request FROM hold WHERE alike_key = $1 AND state = 'pending' AND id <> $2
         ORDER BY created_at, id LIMIT $3",
    )
    .bind(super::grants::key(&of.request))
    .bind(of.id.as_str())
    .bind(most)
    .fetch_all(conn)
    .await
}

/// A hold came, or ended. When there is exactly one other like it, that one's card has to say that it is not alone,
/// or not say it any more: it gets a version of its own, so that no card being drawn meanwhile counts as up to date.
pub(super) async fn company_changed(
    scope: &mut Scope,
    record: &HoldRecord,
) -> Result<(), StoreError> {
    // In no order: of thousands two are found at once.
    let others =
        sql("SELECT id FROM hold WHERE alike_key = $1 AND state = 'pending' AND id <> $2 LIMIT 2")
            .bind(super::grants::key(&record.request))
            .bind(record.id.as_str())
            .fetch_all(&mut scope.conn)
            .await?;
    let [other] = others.as_slice() else {
        return Ok(());
    };
    let other = hold_id_at(other, "id")?;
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
