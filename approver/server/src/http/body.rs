//! What calls carry. Errors name the place, never the content: a body may hold what must not be
//! repeated (invariant 7).

use abeyance_api::{DeskError, HoldId};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderName, StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use uuid::Uuid;

use super::{
    misfit,
    reply::{Desk, Malformed},
};
use crate::{Approver, store::Instance};

/// Makes a repeated call find what the first one did.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("abeyance-request-id");

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Approver> for Body<T> {
    type Rejection = Malformed;
    async fn from_request(request: Request, app: &Approver) -> Result<Self, Malformed> {
        let bytes = bytes(request, app).await?;
        read(&bytes, |body| serde_path_to_error::deserialize(body)).map(Self)
    }
}

/// What the call carries.
pub(super) async fn bytes(request: Request, app: &Approver) -> Result<Bytes, Malformed> {
    let bytes = Bytes::from_request(request, app).await;
    bytes.map_err(|rejection| Malformed(rejection.status(), rejection.body_text()))
}

type Json<'b> = serde_json::Deserializer<serde_json::de::SliceRead<'b>>;

/// Reads a body whole, as `take` does.
pub(super) fn read<'b, T>(
    body: &'b [u8],
    take: impl FnOnce(&mut Json<'b>) -> Result<T, serde_path_to_error::Error<serde_json::Error>>,
) -> Result<T, Malformed> {
    let mut json = Json::from_slice(body);
    let taken = take(&mut json).map_err(|error| {
        // A number where a name is expected is called a mistake of the JSON.
        let fits_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
        let told = match fits_json || error.inner().is_data() {
            true => misfit::told(error.path(), &message(error.inner())),
            false => NO_JSON.to_owned(),
        };
        refused(&told, error.inner())
    })?;
    json.end().map_err(|error| refused(NO_JSON, &error))?;
    Ok(taken)
}

const NO_JSON: &str = "it is no JSON from there on";

fn refused(told: &str, error: &serde_json::Error) -> Malformed {
    let (line, column) = (error.line(), error.column());
    let said = format!(
        "the body does not fit this call: {told} (line {line}, column {column}). docs/approver.md says what it takes; \
         are proxy and approver of the same version?"
    );
    Malformed(StatusCode::BAD_REQUEST, said)
}

/// Without the place, which is told by itself.
fn message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message
        .strip_suffix(&place)
        .map_or_else(|| message.clone(), str::to_owned)
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
