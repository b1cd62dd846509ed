//! Calls about grants, and about several holds at once.

use abeyance_api::{
    BulkDecision, BulkOutcome, Claimant, DecideError, DecisionDesk as _, GrantDesk as _, GrantId,
    GrantRevocation, GrantView, Surface,
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;

use super::{
    auth::Decider,
    body::Body,
    params::Params,
    reply::{Decide, Desk},
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
    Body(mut revocation): Body<GrantRevocation>,
) -> Result<Json<GrantView>, Decide> {
    let id: GrantId = id.parse().map_err(|_| Decide(DecideError::NotFound))?;
    if revocation.id != id {
        let detail = "the grant in the path is not the one in the body".to_owned();
        return Err(Decide(DecideError::Invalid { detail }));
    }
    as_oneself(decider, &revocation.claimant, &mut revocation.surface)?;
    Ok(Json(approver.grant_revoke(revocation).await?))
}

pub(super) async fn decide(
    decider: Decider,
    State(approver): State<Approver>,
    Body(mut request): Body<BulkDecision>,
) -> Result<Json<Vec<BulkOutcome>>, Decide> {
    as_oneself(decider, &request.claimant, &mut request.surface)?;
    Ok(Json(approver.holds_decide(request).await?))
}

/// A bot has authenticated the person it speaks for; somebody with their own token speaks for themselves.
pub(super) fn as_oneself(
    decider: Decider,
    claimant: &Claimant,
    surface: &mut Surface,
) -> Result<(), Decide> {
    if let Decider::Person(id) = decider {
        if *claimant != (Claimant::Person { id }) {
            let detail = "with your own token you decide as yourself only".to_owned();
            return Err(Decide(DecideError::Invalid { detail }));
        }
        *surface = Surface::Cli;
    }
    Ok(())
}
