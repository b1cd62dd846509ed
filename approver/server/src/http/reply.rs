//! Errors as JSON with a fitting status. The body is the error itself: callers read that, and
//! people reading logs read the status.

use abeyance_api::{DecideError, DeskError};
use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// A [`DeskError`] as a response.
pub(super) struct Desk(pub(super) DeskError);

/// A [`DecideError`] as a response, or a request that does not come to that.
pub(super) enum Decide {
    Refused(DecideError),
    Malformed(Malformed),
}

impl From<DeskError> for Desk {
    fn from(error: DeskError) -> Self {
        Self(error)
    }
}

impl From<DecideError> for Decide {
    fn from(error: DecideError) -> Self {
        Self::Refused(error)
    }
}

impl From<Malformed> for Decide {
    fn from(request: Malformed) -> Self {
        Self::Malformed(request)
    }
}

impl IntoResponse for Desk {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            DeskError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            DeskError::Refused { .. } | DeskError::InTransaction { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            DeskError::NotFound => StatusCode::NOT_FOUND,
            DeskError::Conflict { .. } | DeskError::BindingMismatch => StatusCode::CONFLICT,
        };
        (status, Json(self.0)).into_response()
    }
}

impl IntoResponse for Decide {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Refused(error) => error,
            Self::Malformed(request) => return request.into_response(),
        };
        let status = match &error {
            DecideError::NotFound => StatusCode::NOT_FOUND,
            DecideError::UnknownPerson
            | DecideError::NotAReviewer { .. }
            | DecideError::NoBreakGlass { .. }
            | DecideError::OwnAgent => StatusCode::FORBIDDEN,
            DecideError::AlreadyResolved { .. } => StatusCode::CONFLICT,
            DecideError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            DecideError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(error)).into_response()
    }
}

/// The caller may not call this.
pub(super) enum Unauthorised {
    NoToken,
    WrongScope,
}

impl IntoResponse for Unauthorised {
    fn into_response(self) -> Response {
        match self {
            Self::NoToken => {
                let body = refused("no valid API token; check the token in the configuration");
                let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
                (StatusCode::UNAUTHORIZED, challenge, body).into_response()
            }
            Self::WrongScope => {
                let body = refused("this API token is not good for this call");
                (StatusCode::FORBIDDEN, body).into_response()
            }
        }
    }
}

/// The request itself is malformed.
pub(super) struct Malformed(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Malformed {
    fn into_response(self) -> Response {
        (self.0, refused(&self.1)).into_response()
    }
}

pub(super) async fn no_such_call() -> Response {
    (StatusCode::NOT_FOUND, refused("there is no such API call")).into_response()
}

fn refused(detail: &str) -> Json<DeskError> {
    Json(DeskError::Refused {
        detail: detail.to_owned(),
    })
}
