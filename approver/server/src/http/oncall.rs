//! Calls about schedules.

use abeyance_api::{
    DecideError, DeskError, OncallDesk as _, Override, OverrideRemoval, OverrideRequest, PersonId,
};
use axum::{
    Json,
    extract::{Path, State},
};
use chrono::DateTime;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    auth::Decider,
    params::Params,
    reply::{Decide, Desk},
    wish::Wish,
};
use crate::Approver;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SinceQuery {
    /// Microseconds since 1970-01-01T00:00:00Z.
    since: i64,
}

pub(super) async fn list(
    _: Decider,
    State(approver): State<Approver>,
    Params(query): Params<SinceQuery>,
) -> Result<Json<Vec<Override>>, Desk> {
    let since = DateTime::from_timestamp_micros(query.since).unwrap_or(DateTime::UNIX_EPOCH);
    Ok(Json(approver.overrides(since).await?))
}

pub(super) async fn add(
    decider: Decider,
    State(approver): State<Approver>,
    wish: Wish,
) -> Result<Json<Vec<Override>>, Decide> {
    let request: OverrideRequest = wish.of(decider)?;
    Ok(Json(approver.override_add(request).await?))
}

pub(super) async fn remove(
    decider: Decider,
    State(approver): State<Approver>,
    Path(id): Path<String>,
    wish: Wish,
) -> Result<Json<()>, Decide> {
    let id: Uuid = id.parse().map_err(|_| DecideError::Invalid {
        detail: "the override in the path is no UUID".to_owned(),
    })?;
    let removal = wish.about(decider, ("id", &id), |wanted: &OverrideRemoval| &wanted.id)?;
    Ok(Json(approver.override_remove(removal).await?))
}

/// Whose token a caller has.
pub(super) async fn me(decider: Decider) -> Result<Json<PersonId>, Desk> {
    match decider {
        Decider::Person(id) => Ok(Json(id)),
        Decider::Bot => Err(Desk(DeskError::Refused {
            detail: "this is a bot's token, not a person's".to_owned(),
        })),
    }
}
