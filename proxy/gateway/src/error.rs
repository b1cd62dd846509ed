//! Why a session ended, who may read what of it, and whose doing it was.
//!
//! A refusal of one batch is a value, not an error: see `session::refuse`. Everything here ends
//! the connection. Texts for clients hold no literal, no credential and no words of the target's
//! (invariant 7); the log gets the kind, the culprit and the cause.

use std::io;

use abeyance_wire::postgres::{
    DecodeError, EncodeError, EntropyError, ErrorFields, FrameError, SqlState, StartupError,
    scram::ScramError,
};

use crate::snapshot::Full;

/// A session cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("the client's connection broke: {0}")]
    ClientIo(io::Error),
    #[error("the client closed its connection")]
    ClientGone,
    #[error(transparent)]
    Startup(#[from] StartupError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("start-up took longer than allowed")]
    StartupTimeout,
    #[error("TLS with the client failed: {0}")]
    TlsHandshake(io::Error),
    #[error("the client did not ask for TLS, which is required")]
    TlsRequired,
    #[error("all {max} sessions are in use")]
    TooManySessions { max: usize },
    #[error("all {} sessions of {} {} are in use", .0.max, .0.what, .0.name)]
    Full(Full),
    #[error("the agent may not use the target any more")]
    AccessEnded,
    #[error("authentication of {user:?} failed: {cause}")]
    Authentication { user: String, cause: ScramError },
    #[error("{user:?} may not use {database:?}, or there is no such target")]
    NoSuchTarget { user: String, database: String },
    /// The text is made for the client.
    #[error("{}", .0.message())]
    Refused(ErrorFields),
    #[error("the target cannot be used: {0}")]
    Target(#[from] TargetError),
    /// The client has read the target's own words.
    #[error("the target ended the connection")]
    TargetEnded,
    #[error("the batch is longer than {max} {unit}")]
    BatchTooLarge { max: usize, unit: &'static str },
    #[error("more than {max} bytes came behind a held batch")]
    Overflow { max: usize },
    #[error("the proxy is shutting down")]
    Shutdown,
    #[error("no randomness: {0}")]
    Entropy(#[from] EntropyError),
    #[error("a message cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// What went wrong on the side of the target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no answer in time")]
    Timeout,
    #[error("it does not offer TLS, which its configuration demands")]
    NoTls,
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    #[error("its name is not usable for TLS")]
    ServerName,
    #[error("it asks for {0}, which is not offered in clear")]
    NeedsTls(&'static str),
    #[error("it asks for a password and none is configured")]
    NeedsPassword,
    #[error("it asks for an authentication method that is not supported (code {0})")]
    Method(u32),
    #[error("SCRAM failed: {0}")]
    Scram(ScramError),
    /// Message and SQLSTATE are the target's own: for the log only.
    #[error("it refused the connection: {sqlstate}: {message}")]
    Rejected { sqlstate: String, message: String },
    #[error("its connection broke: {0}")]
    Io(io::Error),
    #[error("it closed the connection")]
    Gone,
    #[error("it broke the protocol: {0}")]
    Protocol(&'static str),
    #[error("it sent a malformed message: {0}")]
    Malformed(String),
}

/// Whose doing an error is; a label for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Culprit {
    Client,
    Target,
    Proxy,
    Nobody,
}

impl SessionError {
    /// What the client is told before its connection closes; `None` when nobody listens.
    pub(crate) fn client_fields(&self) -> Option<ErrorFields> {
        let fatal = |state, message: &str| ErrorFields::fatal(state, message);
        Some(match self {
            Self::ClientIo(_) | Self::ClientGone | Self::TlsHandshake(_) | Self::TargetEnded => {
                return None;
            }
            Self::Startup(error) => error.to_fields(),
            Self::Frame(error) => error.to_fields(),
            Self::Decode(error) => error.to_fields(),
            Self::StartupTimeout => fatal(
                SqlState::PROTOCOL_VIOLATION,
                "canceling authentication due to timeout",
            ),
            Self::TlsRequired => fatal(
                SqlState::INVALID_AUTHORIZATION,
                "this proxy accepts connections over TLS only",
            )
            .hint("Set sslmode=require, or better sslmode=verify-full, in the client."),
            Self::TooManySessions { max } => fatal(
                SqlState::TOO_MANY_CONNECTIONS,
                &format!("sorry, too many clients already: the proxy serves {max} at once"),
            )
            .hint("Close idle connections, or raise the proxy's limit."),
            Self::Full(full) => fatal(
                SqlState::TOO_MANY_CONNECTIONS,
                &format!(
                    "{} \"{}\" has all of its {} sessions in use",
                    full.what, full.name, full.max
                ),
            )
            .hint("Close idle connections, or raise `sessions_max` in the proxy's configuration."),
            Self::AccessEnded => fatal(
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection: this agent may not use this target any more",
            )
            .hint("The proxy's configuration was changed. Ask the owner of the proxy's policy."),
            Self::Authentication { user, cause } => cause.to_fields(user),
            Self::NoSuchTarget { database, .. } => fatal(
                SqlState::INVALID_CATALOG_NAME,
                &format!("target \"{database}\" does not exist or this agent may not use it"),
            )
            .hint("Give the name of a target from the proxy's configuration as the database name."),
            Self::Refused(fields) => fields.clone(),
            Self::Target(error) => error.client_fields(),
            Self::BatchTooLarge { max, unit } => fatal(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                &format!("the batch is longer than {max} {unit}; nothing of it ran"),
            )
            .hint("Send Sync more often, split the statement, or use COPY."),
            Self::Overflow { max } => fatal(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                &format!(
                    "more than {max} bytes were sent behind a held statement; nothing of it ran"
                ),
            )
            .hint("Wait for the answer to a held statement before sending more."),
            Self::Shutdown => fatal(
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection: the proxy is shutting down",
            )
            .hint("Connect again."),
            Self::Entropy(_) | Self::Encode(_) | Self::Internal(_) => internal_error(),
        })
    }

    /// A short fixed name for logs and metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::ClientIo(_) => "client_io",
            Self::ClientGone => "client_gone",
            Self::Startup(_) => "startup",
            Self::Frame(_) | Self::Decode(_) => "protocol",
            Self::StartupTimeout => "startup_timeout",
            Self::TlsHandshake(_) => "tls_handshake",
            Self::TlsRequired => "tls_required",
            Self::TooManySessions { .. } | Self::Full(_) => "too_many_sessions",
            Self::AccessEnded => "access_ended",
            Self::Authentication { .. } => "authentication",
            Self::NoSuchTarget { .. } => "no_such_target",
            Self::Refused(_) => "refused",
            Self::Target(_) | Self::TargetEnded => "target",
            Self::BatchTooLarge { .. } | Self::Overflow { .. } => "limit",
            Self::Shutdown => "shutdown",
            Self::Entropy(_) | Self::Encode(_) | Self::Internal(_) => "internal",
        }
    }

    pub(crate) fn culprit(&self) -> Culprit {
        match self {
            Self::ClientIo(_)
            | Self::ClientGone
            | Self::Startup(_)
            | Self::Frame(_)
            | Self::Decode(_)
            | Self::StartupTimeout
            | Self::TlsHandshake(_)
            | Self::TlsRequired
            | Self::Authentication { .. }
            | Self::NoSuchTarget { .. }
            | Self::Refused(_)
            | Self::BatchTooLarge { .. }
            | Self::Overflow { .. } => Culprit::Client,
            Self::Target(_) | Self::TargetEnded => Culprit::Target,
            Self::TooManySessions { .. }
            | Self::Full(_)
            | Self::Entropy(_)
            | Self::Encode(_)
            | Self::Internal(_) => Culprit::Proxy,
            Self::Shutdown | Self::AccessEnded => Culprit::Nobody,
        }
    }
}

impl TargetError {
    /// Neutral: a client never learns addresses, credentials or what the target said of them.
    fn client_fields(&self) -> ErrorFields {
        let hint = "The reason is in the proxy's log.";
        match self {
            Self::Connect(_) | Self::Timeout | Self::ServerName => ErrorFields::fatal(
                SqlState::CANNOT_CONNECT,
                "the proxy cannot reach the target",
            ),
            Self::NoTls | Self::Tls(_) => ErrorFields::fatal(
                SqlState::CANNOT_CONNECT,
                "the proxy cannot set up TLS with the target",
            ),
            Self::NeedsTls(_)
            | Self::NeedsPassword
            | Self::Method(_)
            | Self::Scram(_)
            | Self::Rejected { .. } => ErrorFields::fatal(
                SqlState::INVALID_AUTHORIZATION,
                "the target refused the proxy's connection",
            ),
            Self::Io(_) | Self::Gone => {
                return ErrorFields::fatal(
                    SqlState::CONNECTION_FAILURE,
                    "the target closed its connection",
                )
                .hint("Connect again. If a statement was running, check whether it took effect.");
            }
            Self::Protocol(_) | Self::Malformed(_) => ErrorFields::fatal(
                SqlState::CONNECTION_FAILURE,
                "the target broke the protocol",
            ),
        }
        .hint(hint)
    }
}

/// What a client is told of a fault of ours.
pub(crate) fn internal_error() -> ErrorFields {
    ErrorFields::fatal(
        SqlState::INTERNAL_ERROR,
        "the proxy failed while serving this connection",
    )
    .hint("The reason is in the proxy's log. If a statement was running, check whether it took effect.")
}
