//! What stands behind the question mark. A parameter that a call does not have is refused: a filter with a slip in its
//! name would list everything.

use std::error::Error;

use axum::{
    extract::{FromRequestParts, Query, rejection::QueryRejection},
    http::{StatusCode, request::Parts},
};
use serde::de::{DeserializeOwned, value};

use super::{misfit, reply::Malformed};
use crate::Approver;

/// The parameters of a call. `T` denies unknown fields.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Approver> for Params<T> {
    type Rejection = Malformed;
    async fn from_request_parts(parts: &mut Parts, _: &Approver) -> Result<Self, Malformed> {
        let read = Query::try_from_uri(&parts.uri);
        read.map(|Query(params)| Self(params))
            .map_err(|rejection| refused(&rejection))
    }
}

fn refused(rejection: &QueryRejection) -> Malformed {
    let said = match reason(rejection) {
        Some(error) => {
            let told = misfit::told(error.path(), &error.inner().to_string());
            format!("the parameters do not fit this call: {told}")
        }
        None => "the parameters do not fit this call".to_owned(),
    };
    Malformed(StatusCode::BAD_REQUEST, said)
}

/// What was found to be wrong, below what is said of it.
fn reason(rejection: &QueryRejection) -> Option<&serde_path_to_error::Error<value::Error>> {
    let mut cause: Option<&(dyn Error + 'static)> = rejection.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
