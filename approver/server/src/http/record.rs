//! Calls about the record, and about shifts in people's own words.

use abeyance_api::{
    Alike, Claimant, DecisionDesk as _, HoldHistory, HoldSearch, HoldsFound, OncallDesk as _,
    Override, PersonRef, RecordDesk as _, ScheduleView, ShiftsQuery, StandIn, Surface, Swap,
};
use axum::{Json, extract::State};

use super::{
    auth::Decider,
    body::{Body, HoldPath},
    oncall::as_oneself,
    reply::{Decide, Desk},
};
use crate::Approver;

pub(super) async fn person(
    decider: Decider,
    State(approver): State<Approver>,
    Body(claimant): Body<Claimant>,
) -> Result<Json<PersonRef>, Decide> {
    looks(decider, &claimant)?;
    Ok(Json(approver.person(&claimant).await?))
}

pub(super) async fn search(
    decider: Decider,
    State(approver): State<Approver>,
    Body(search): Body<HoldSearch>,
) -> Result<Json<HoldsFound>, Decide> {
    looks(decider, &search.claimant)?;
    Ok(Json(approver.holds_search(search).await?))
}

pub(super) async fn history(
    decider: Decider,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
    Body(claimant): Body<Claimant>,
) -> Result<Json<HoldHistory>, Decide> {
    looks(decider, &claimant)?;
    Ok(Json(approver.hold_history(&id, &claimant).await?))
}

pub(super) async fn alike(
    _: Decider,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
) -> Result<Json<Alike>, Desk> {
    Ok(Json(approver.holds_alike(&id).await?))
}

pub(super) async fn shifts(
    decider: Decider,
    State(approver): State<Approver>,
    Body(query): Body<ShiftsQuery>,
) -> Result<Json<Vec<ScheduleView>>, Decide> {
    looks(decider, &query.claimant)?;
    Ok(Json(approver.shifts(query).await?))
}

pub(super) async fn stand_in(
    decider: Decider,
    State(approver): State<Approver>,
    Body(mut request): Body<StandIn>,
) -> Result<Json<Vec<Override>>, Decide> {
    as_oneself(decider, &request.claimant, &mut request.surface)?;
    Ok(Json(approver.stand_in(request).await?))
}

pub(super) async fn swap(
    decider: Decider,
    State(approver): State<Approver>,
    Body(mut request): Body<Swap>,
) -> Result<Json<Vec<Override>>, Decide> {
    as_oneself(decider, &request.claimant, &mut request.surface)?;
    Ok(Json(approver.swap(request).await?))
}

/// Nothing is written down of a look, so it has no surface.
fn looks(decider: Decider, claimant: &Claimant) -> Result<(), Decide> {
    as_oneself(decider, claimant, &mut Surface::Cli)
}
