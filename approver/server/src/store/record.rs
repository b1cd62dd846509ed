//! A hold as a row and as a value.

use std::{collections::HashMap, num::NonZeroU32};

use abeyance_api::{HoldId, HoldRequest, Vote};
use abeyance_holds::{
    Hold,
    grant::Grant,
    quorum::{Part, Quorum},
};

use super::{
    StoreError,
    db::{Conn, Row, Sql, sql},
    row::{
        binding_at, count_at, hold_id_at, instant_at, maybe_instant_at, maybe_json_at, parse,
        state_at,
    },
};

/// A hold with what the machine does not need to know.
#[derive(Debug, Clone)]
pub(crate) struct HoldRecord {
    pub(crate) id: HoldId,
    pub(crate) hold: Hold,
    pub(crate) request: HoldRequest,
    pub(crate) asked: String,
    /// The grant its approval gave.
    pub(crate) grant: Option<Grant>,
    /// Whoever claimed under this key may ask again.
    pub(super) claim_key: Option<String>,
}

pub(super) async fn load(conn: &mut Conn, id: &HoldId) -> Result<Option<HoldRecord>, StoreError> {
    let row = sql("SELECT * FROM hold WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let votes = votes(conn, id).await?;
    record(&row, votes).map(Some)
}

async fn votes(conn: &mut Conn, id: &HoldId) -> Result<Vec<Vote>, StoreError> {
    let rows = sql("SELECT body FROM vote WHERE hold = $1 ORDER BY seat")
        .bind(id.as_str())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| parse(row.try_get("body")?)).collect()
}

/// Rows of `hold` in their order, with two statements for however many.
pub(super) async fn records(conn: &mut Conn, rows: &[Row]) -> Result<Vec<HoldRecord>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Result<Vec<String>, StoreError> = rows.iter().map(|row| row.try_get("id")).collect();
    let found = Sql::either(
        "SELECT hold, body FROM vote WHERE hold IN (SELECT value FROM json_each($1)) ORDER BY seat",
        "SELECT hold, body FROM vote WHERE hold = ANY (ARRAY(SELECT json_array_elements_text($1::json))) ORDER BY seat",
    )
    .bind(serde_json::Value::from(ids?).to_string())
    .fetch_all(conn)
    .await?;
    let mut votes: HashMap<String, Vec<Vote>> = HashMap::new();
    for vote in found {
        let of = votes.entry(vote.try_get("hold")?).or_default();
        of.push(parse(vote.try_get("body")?)?);
    }
    rows.iter()
        .map(|row| {
            let cast = votes.remove(&row.try_get::<String>("id")?);
            record(row, cast.unwrap_or_default())
        })
        .collect()
}

pub(super) fn record(row: &Row, votes: Vec<Vote>) -> Result<HoldRecord, StoreError> {
    let request: HoldRequest = parse(row.try_get("request")?)?;
    let seats = u32::try_from(count_at(row, "quorum")?).ok();
    let seats = seats.and_then(NonZeroU32::new);
    let seats = seats.ok_or_else(|| StoreError::unreadable("a quorum"))?;
    // Holds from before quorums had parts have none written down.
    let parts: Vec<Part> = parse(row.try_get("quorum_parts")?)?;
    let quorum = if parts.is_empty() {
        Quorum::of(seats, Vec::new())
    } else {
        Quorum::new(parts).map_err(|_| StoreError::unreadable("a quorum"))?
    };
    let hold = Hold {
        state: state_at(row, "state")?,
        version: count_at(row, "version")?,
        binding: binding_at(row, "binding")?,
        route: row.try_get("route")?,
        owner: request.agent.owner.clone(),
        actor: request.agent.actor.clone(),
        escalation: super::steps::of(row)?,
        quorum,
        terms: parse(row.try_get("terms")?)?,
        votes,
        created_at: instant_at(row, "created_at")?,
        updated_at: instant_at(row, "updated_at")?,
        expires_at: instant_at(row, "expires_at")?,
        claimable_until: maybe_instant_at(row, "claimable_until")?,
        resolution: maybe_json_at(row, "resolution")?,
        resolved_at: maybe_instant_at(row, "resolved_at")?,
        outcome: maybe_json_at(row, "outcome")?,
    };
    Ok(HoldRecord {
        id: hold_id_at(row, "id")?,
        hold,
        request,
        asked: row.try_get("asked")?,
        grant: maybe_json_at(row, "grant_given")?,
        claim_key: row.try_get("claim_key")?,
    })
}
