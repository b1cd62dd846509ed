//! Calls of a chat that runs elsewhere.

use abeyance_api::{
    CardDesk as _, CardFailure, CardReceipt, CardTask, ChatKind, NoticeFailure, NoticeTask,
};
use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Deserialize;
use uuid::Uuid;

use super::{PollQuery, auth::Bot, body::Body, params::Params, reply::Desk};
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoticeBody {
    id: Uuid,
}

/// Leases notices to the caller.
pub(super) async fn notices_due(
    _: Bot,
    State(approver): State<Approver>,
    Body(due): Body<DueBody>,
) -> Result<Json<Vec<NoticeTask>>, Desk> {
    Ok(Json(approver.notices_due(due.chat, due.limit).await?))
}

pub(super) async fn notice_begin(
    _: Bot,
    State(approver): State<Approver>,
    Body(notice): Body<NoticeBody>,
) -> Result<StatusCode, Desk> {
    approver.notice_begin(notice.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn notice_delivered(
    _: Bot,
    State(approver): State<Approver>,
    Body(notice): Body<NoticeBody>,
) -> Result<StatusCode, Desk> {
    approver.notice_delivered(notice.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn notice_failed(
    _: Bot,
    State(approver): State<Approver>,
    Body(failure): Body<NoticeFailure>,
) -> Result<StatusCode, Desk> {
    approver.notice_failed(failure).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn changed(
    _: Bot,
    State(approver): State<Approver>,
    stopping: Option<Extension<Stopping>>,
    Params(poll): Params<PollQuery>,
) -> StatusCode {
    // Both arms are cancel-safe.
    tokio::select! {
        () = approver.cards_changed(poll.wait()) => {}
        () = Stopping::told(stopping, &approver) => {}
    }
    StatusCode::NO_CONTENT
}
