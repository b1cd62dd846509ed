//! Calls of a chat that runs elsewhere.

use abeyance_api::{CardDesk as _, CardFailure, CardReceipt, CardTask, ChatKind};
use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;

use super::{PollQuery, auth::Bot, body::Body, reply::Desk};
use crate::{Approver, serve::Stopping};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DueBody {
    chat: ChatKind,
    limit: u32,
}

/// Leases cards to the caller, so it is no mere look.
pub(super) async fn due(
    _: Bot,
    State(approver): State<Approver>,
    Body(due): Body<DueBody>,
) -> Result<Json<Vec<CardTask>>, Desk> {
    Ok(Json(approver.cards_due(due.chat, due.limit).await?))
}

pub(super) async fn begin(
    _: Bot,
    State(approver): State<Approver>,
    Body(task): Body<CardTask>,
) -> Result<StatusCode, Desk> {
    approver.card_begin(&task).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn delivered(
    _: Bot,
    State(approver): State<Approver>,
    Body(receipt): Body<CardReceipt>,
) -> Result<StatusCode, Desk> {
    approver.card_delivered(receipt).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn failed(
    _: Bot,
    State(approver): State<Approver>,
    Body(failure): Body<CardFailure>,
) -> Result<StatusCode, Desk> {
    approver.card_failed(failure).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn changed(
    _: Bot,
    State(approver): State<Approver>,
    stopping: Option<Extension<Stopping>>,
    Query(poll): Query<PollQuery>,
) -> StatusCode {
    // Both arms are cancel-safe.
    tokio::select! {
        () = approver.cards_changed(poll.wait()) => {}
        () = Stopping::told(stopping, &approver) => {}
    }
    StatusCode::NO_CONTENT
}
