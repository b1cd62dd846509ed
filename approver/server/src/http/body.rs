//! What calls carry. Errors name the place, never the content: a body may hold what must not be
//! repeated (invariant 7).

use abeyance_api::{DeskError, HoldId};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderName, StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::reply::{Desk, Malformed};
use crate::{Approver, store::Instance};

/// Makes a repeated call find what the first one did.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("abeyance-request-id");

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Approver> for Body<T> {
    type Rejection = Malformed;
    async fn from_request(request: Request, app: &Approver) -> Result<Self, Malformed> {
        let bytes = Bytes::from_request(request, app)
            .await
            .map_err(|rejection| Malformed(rejection.status(), rejection.body_text()))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let place = format!(
                "the body does not fit this call (line {}, column {}): docs/approver.md says what it \
                 takes; are proxy and approver of the same version?",
                error.line(),
                error.column()
            );
            Malformed(StatusCode::BAD_REQUEST, place)
        })
    }
}

/// The hold in the path.
pub(super) struct HoldPath(pub(super) HoldId);

impl FromRequestParts<Approver> for HoldPath {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, app: &Approver) -> Result<Self, Response> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(axum::response::IntoResponse::into_response)?;
        text.parse()
            .map(Self)
            .map_err(|_| Desk(DeskError::NotFound).into_response())
    }
}

/// The caller's own id of this request.
pub(super) struct RequestId(pub(super) Uuid);

impl FromRequestParts<Approver> for RequestId {
    type Rejection = Malformed;
    async fn from_request_parts(parts: &mut Parts, _: &Approver) -> Result<Self, Malformed> {
        parts
            .headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                let text = format!("header {REQUEST_ID} must be a UUID made for this request");
                Malformed(StatusCode::BAD_REQUEST, text)
            })
    }
}

/// Which proxy asks.
pub(super) const PROXY_ID: HeaderName = HeaderName::from_static("abeyance-proxy");

/// The proxy that asks; older ones do not say.
pub(super) struct ProxyId(pub(super) Option<Instance>);

impl FromRequestParts<Approver> for ProxyId {
    type Rejection = Malformed;
    async fn from_request_parts(parts: &mut Parts, _: &Approver) -> Result<Self, Malformed> {
        let Some(value) = parts.headers.get(PROXY_ID) else {
            return Ok(Self(None));
        };
        let id = value.to_str().ok().and_then(|text| text.parse().ok());
        let id = id.ok_or_else(|| {
            let text = format!("header {PROXY_ID} must be a UUID");
            Malformed(StatusCode::BAD_REQUEST, text)
        })?;
        Ok(Self(Some(Instance { id, inside: false })))
    }
}
