//! Calls about the record, and about shifts in people's own words.

use abeyance_api::{
    Alike, Claimant, DecideError, DecisionDesk as _, HoldHistory, HoldSearch, HoldsFound,
    OncallDesk as _, Override, PersonRef, RecordDesk as _, ScheduleView, ShiftsQuery, StandIn,
    Swap,
};
use axum::{Json, extract::State};

use super::{
    auth::Decider,
    body::{Body, HoldPath},
    reply::{Decide, Desk},
    wish::Wish,
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
    wish: Wish,
) -> Result<Json<HoldsFound>, Decide> {
    let search: HoldSearch = wish.of(decider)?;
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
    wish: Wish,
) -> Result<Json<Vec<ScheduleView>>, Decide> {
    let query: ShiftsQuery = wish.of(decider)?;
    Ok(Json(approver.shifts(query).await?))
}

pub(super) async fn stand_in(
    decider: Decider,
    State(approver): State<Approver>,
    wish: Wish,
) -> Result<Json<Vec<Override>>, Decide> {
    let request: StandIn = wish.of(decider)?;
    Ok(Json(approver.stand_in(request).await?))
}

pub(super) async fn swap(
    decider: Decider,
    State(approver): State<Approver>,
    wish: Wish,
) -> Result<Json<Vec<Override>>, Decide> {
    let request: Swap = wish.of(decider)?;
    Ok(Json(approver.swap(request).await?))
}

/// The body is the claimant, and somebody with their own token is that.
fn looks(decider: Decider, claimant: &Claimant) -> Result<(), Decide> {
    match (decider, claimant) {
        (Decider::Person(own), Claimant::Person { id }) if *id == own => Ok(()),
        (Decider::Bot, _) => Ok(()),
        (Decider::Person(_), _) => {
            let detail = "with your own token you act as yourself only".to_owned();
            Err(Decide::from(DecideError::Invalid { detail }))
        }
    }
}
