//! Calls about holds.

use abeyance_api::{
    BindingDigest, Claimed, DecisionDesk as _, DecisionRequest, DeskError, HoldDesk as _,
    HoldFilter, HoldReceipt, HoldRequest, HoldView, LookRequest, Outcome, ProxyLease,
    StatementRecord, WithdrawReason,
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
    params::Params,
    reply::{Decide, Desk},
    wish::Wish,
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

/// Who may is looked up here, now.
pub(super) async fn decide(
    decider: Decider,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
    wish: Wish,
) -> Result<Json<HoldView>, Decide> {
    let request = wish.about(decider, ("hold", &id), |wanted: &DecisionRequest| {
        &wanted.hold
    })?;
    Ok(Json(approver.hold_decide(request).await?))
}

pub(super) async fn look(
    decider: Decider,
    State(approver): State<Approver>,
    HoldPath(id): HoldPath,
    wish: Wish,
) -> Result<Json<HoldView>, Decide> {
    let request = wish.about(decider, ("hold", &id), |wanted: &LookRequest| &wanted.hold)?;
    Ok(Json(approver.hold_look(request).await?))
}
