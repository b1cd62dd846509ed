//! How an exchange can fail, and what the other side may know of it.

use crate::postgres::{EncodeError, ErrorFields, SqlState, WireStr};

/// An exchange that did not end in proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// Wrong password, or nobody of that name: the two are one error on purpose.
    #[error("password authentication failed")]
    NotAuthenticated,
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    #[error("client selected an invalid SASL authentication mechanism")]
    Mechanism,
    #[error(
        "malformed SCRAM message: client selected {mechanism}, but its message says otherwise about channel binding"
    )]
    BindingFlag { mechanism: &'static str },
    #[error(
        "SCRAM channel binding negotiation error: the client believes the proxy offers no channel binding, but it does"
    )]
    Downgrade,
    #[error("SCRAM channel binding check failed")]
    BindingMismatch,
    #[error("client uses an authorization identity or an extension that is not supported")]
    Extension,
    #[error("the target offers no SCRAM mechanism that this proxy speaks")]
    NoMechanism,
    #[error("the target asks for {asked} SCRAM iterations; {min} to {max} are accepted")]
    Iterations { asked: u64, min: u32, max: u32 },
    #[error("the target refused the password")]
    Refused,
    #[error("the target could not prove that it knows the password")]
    ServerNotProved,
}

impl ScramError {
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::NotAuthenticated | Self::Refused => SqlState::INVALID_PASSWORD,
            Self::Downgrade | Self::BindingMismatch => SqlState::INVALID_AUTHORIZATION,
            Self::Malformed(_) | Self::Mechanism | Self::BindingFlag { .. } => {
                SqlState::PROTOCOL_VIOLATION
            }
            Self::Extension => SqlState::FEATURE_NOT_SUPPORTED,
            Self::NoMechanism | Self::Iterations { .. } | Self::ServerNotProved => {
                SqlState::CANNOT_CONNECT
            }
        }
    }

    /// What to tell a client that gave `user` as its name.
    #[must_use]
    pub fn to_fields(&self, user: &str) -> ErrorFields {
        match self {
            Self::NotAuthenticated => password_failed(user),
            other => ErrorFields::fatal(other.sqlstate(), other.to_string()),
        }
    }
}

impl From<EncodeError> for ScramError {
    fn from(_: EncodeError) -> Self {
        Self::Malformed("too long")
    }
}

/// The one error for a failed password, whatever the reason.
fn password_failed(user: &str) -> ErrorFields {
    let user = WireStr::from_text_lossy(user);
    ErrorFields::fatal(
        SqlState::INVALID_PASSWORD,
        format!(
            "password authentication failed for user \"{}\"",
            user.to_string_lossy()
        ),
    )
}
