//! Calls about holds.

use abeyance_api::{
    BindingDigest, Claimant, Claimed, DecideError, Decision, DecisionDesk as _, DecisionRequest,
    DeskError, GrantWish, HoldDesk as _, HoldFilter, HoldId, HoldReceipt, HoldRequest, HoldView,
    LookRequest, Outcome, ProxyLease, StatementRecord, Surface, WithdrawReason,
};
use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    PollQuery,
    auth::{Decider, Proxy},
    body::{Body, HoldPath, PROXY_ID, ProxyId, RequestId},
    oncall::as_oneself,
    params::Params,
    reply::{Decide, Desk},
};
use crate::{Approver, serve::Stopping};

pub(super) async fn open(
    _: Proxy,
    State(approver): State<Approver>,
    RequestId(key): RequestId,
    ProxyId(proxy): ProxyId,
    Body(request): Body<HoldRequest>,
) -> Result<Json<HoldReceipt>, Desk> {
    let opened = approver.hold_open_once(request, key, proxy).await?;
    Ok(Json(opened))
}

/// A proxy says that it lives, and hears for how long that is believed.
pub(super) async fn alive(
    _: Proxy,
    State(approver): State<Approver>,
    ProxyId(proxy): ProxyId,
) -> Result<Json<ProxyLease>, Desk> {
    let Some(proxy) = proxy else {
        let detail = format!("header {PROXY_ID} must be the proxy's own UUID");
        return Err(Desk(DeskError::Refused { detail }));
    };
    let lease = approver.beat(proxy).await.map_err(DeskError::from)?;
    let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(ProxyLease { lease_ms }))
}

/// 200 with the resolution, or 204 when there is none yet: ask again.
pub(super) async fn wait(
    _: Proxy,
    State(approver): State<Approver>,
    stopping: Option<Extension<Stopping>>,
    HoldPath(id): HoldPath,
    Params(poll): Params<PollQuery>,
) -> Result<Response, Desk> {
    // All arms are cancel-safe.
    tokio::select! {
        resolution = approver.hold_wait(&id) => Ok(Json(resolution?).into_response()),
        () = tokio::time::sleep(poll.wait()) => Ok(StatusCode::NO_CONTENT.into_response()),
        () = Stopping::told(stopping, &approver) => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimBody {
    binding: BindingDigest,
}

pub(super) async fn claim(
    _: Proxy,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
    RequestId(key): RequestId,
    ProxyId(proxy): ProxyId,
    Body(claim): Body<ClaimBody>,
) -> Result<Json<Claimed>, Desk> {
    Ok(Json(
        approver
            .hold_claim_once(&id, claim.binding, key, proxy)
            .await?,
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WithdrawBody {
    reason: WithdrawReason,
}

pub(super) async fn withdraw(
    _: Proxy,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
    ProxyId(proxy): ProxyId,
    Body(withdraw): Body<WithdrawBody>,
) -> Result<StatusCode, Desk> {
    let reason = withdraw.reason;
    approver.hold_withdraw_by(&id, reason, proxy).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// By the id of the request that opened it, for a proxy that never got the answer.
pub(super) async fn opening_withdraw(
    _: Proxy,
    State(approver): State<Approver>,
    RequestId(key): RequestId,
    Body(withdraw): Body<WithdrawBody>,
) -> Result<StatusCode, Desk> {
    approver.opening_withdraw(key, withdraw.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn report(
    _: Proxy,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
    ProxyId(proxy): ProxyId,
    Body(outcome): Body<Outcome>,
) -> Result<StatusCode, Desk> {
    approver.hold_report_by(&id, outcome, proxy).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn record(
    _: Proxy,
    State(approver): State<Approver>,
    Body(records): Body<Vec<StatementRecord>>,
) -> Result<StatusCode, Desk> {
    approver.statements_record(records).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn view(
    _: Decider,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
) -> Result<Json<HoldView>, Desk> {
    Ok(Json(approver.hold_view(&id).await?))
}

/// Holds of one answer when the caller names no number.
const LISTED: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    pending_only: bool,
    limit: Option<u32>,
}

pub(super) async fn list(
    _: Decider,
    State(approver): State<Approver>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Vec<HoldView>>, Desk> {
    let filter = HoldFilter {
        pending_only: query.pending_only,
        limit: query.limit.unwrap_or(LISTED),
    };
    Ok(Json(approver.hold_list(filter).await?))
}

/// A [`DecisionRequest`] as far as the path and the token do not say it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionBody {
    hold: Option<HoldId>,
    claimant: Option<Claimant>,
    decision: Decision,
    reason: Option<String>,
    surface: Option<Surface>,
    #[serde(default)]
    break_glass: bool,
    grant: Option<GrantWish>,
    key: Option<String>,
}

/// A bot has authenticated the person it speaks for; somebody with their own token speaks for
/// themselves. What the person may do is looked up here, now.
pub(super) async fn decide(
    decider: Decider,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
    Body(body): Body<DecisionBody>,
) -> Result<Json<HoldView>, Decide> {
    let invalid = |detail: &str| {
        let detail = detail.to_owned();
        Decide(DecideError::Invalid { detail })
    };
    if body.hold.is_some_and(|hold| hold != id) {
        return Err(invalid("the hold in the path is not the one in the body"));
    }
    let (claimant, surface) = match (decider, body.claimant, body.surface) {
        (Decider::Person(id), given, _) => {
            let oneself = Claimant::Person { id };
            if given.is_some_and(|given| given != oneself) {
                return Err(invalid("with your own token you decide as yourself only"));
            }
            (oneself, Surface::Cli)
        }
        (Decider::Bot, Some(claimant), Some(surface)) => (claimant, surface),
        (Decider::Bot, ..) => {
            return Err(invalid(
                "a bot says for whom it speaks, and through which surface",
            ));
        }
    };
    let request = DecisionRequest {
        hold: id,
        claimant,
        decision: body.decision,
        reason: body.reason,
        surface,
        break_glass: body.break_glass,
        grant: body.grant,
        key: body.key,
    };
    Ok(Json(approver.hold_decide(request).await?))
}

pub(super) async fn look(
    decider: Decider,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
    Body(mut request): Body<LookRequest>,
) -> Result<Json<HoldView>, Decide> {
    if request.hold != id {
        let detail = "the hold in the path is not the one in the body".to_owned();
        return Err(Decide(DecideError::Invalid { detail }));
    }
    as_oneself(decider, &request.claimant, &mut request.surface)?;
    Ok(Json(approver.hold_look(request).await?))
}
