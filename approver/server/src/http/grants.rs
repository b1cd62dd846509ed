//! Calls about grants, and about several holds at once.

use abeyance_api::{
    BulkDecision, BulkOutcome, DecideError, DecisionDesk as _, GrantDesk as _, GrantId,
    GrantRevocation, GrantView,
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;

use super::{
    auth::Decider,
    params::Params,
    reply::{Decide, Desk},
    wish::Wish,
};
use crate::Approver;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    active_only: bool,
}

pub(super) async fn list(
    _: Decider,
    State(approver): State<Approver>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Vec<GrantView>>, Desk> {
    Ok(Json(approver.grants(query.active_only).await?))
}

pub(super) async fn revoke(
    decider: Decider,
    State(approver): State<Approver>,
    Path(id): Path<String>,
    wish: Wish,
) -> Result<Json<GrantView>, Decide> {
    let id: GrantId = id.parse().map_err(|_| DecideError::NotFound)?;
    let revocation = wish.about(decider, ("id", &id), |wanted: &GrantRevocation| &wanted.id)?;
    Ok(Json(approver.grant_revoke(revocation).await?))
}

pub(super) async fn decide(
    decider: Decider,
    State(approver): State<Approver>,
    wish: Wish,
) -> Result<Json<Vec<BulkOutcome>>, Decide> {
    let request: BulkDecision = wish.of(decider)?;
    Ok(Json(approver.holds_decide(request).await?))
}
