//! Calls about schedules.

use abeyance_api::{
    Claimant, DecideError, DeskError, OncallDesk as _, Override, OverrideRemoval, OverrideRequest,
    PersonId, Surface,
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
    body::Body,
    params::Params,
    reply::{Decide, Desk},
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
    Body(mut request): Body<OverrideRequest>,
) -> Result<Json<Vec<Override>>, Decide> {
    as_oneself(decider, &request.claimant, &mut request.surface)?;
    Ok(Json(approver.override_add(request).await?))
}

pub(super) async fn remove(
    decider: Decider,
    State(approver): State<Approver>,
    Path(id): Path<Uuid>,
    Body(mut removal): Body<OverrideRemoval>,
) -> Result<Json<()>, Decide> {
    if removal.id != id {
        let detail = "the override in the path is not the one in the body".to_owned();
        return Err(Decide(DecideError::Invalid { detail }));
    }
    as_oneself(decider, &removal.claimant, &mut removal.surface)?;
    Ok(Json(approver.override_remove(removal).await?))
}

/// A bot has authenticated whom it speaks for; somebody with their own token speaks for themselves.
pub(super) fn as_oneself(
    decider: Decider,
    claimant: &Claimant,
    surface: &mut Surface,
) -> Result<(), Decide> {
    if let Decider::Person(id) = decider {
        if *claimant != (Claimant::Person { id }) {
            let detail = "with your own token you act as yourself only".to_owned();
            return Err(Decide(DecideError::Invalid { detail }));
        }
        *surface = Surface::Cli;
    }
    Ok(())
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
