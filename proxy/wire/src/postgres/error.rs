//! What can be wrong with the inside of one message.

use super::{error_fields::ErrorFields, sqlstate::SqlState};

/// A message was framed well but its body is not what its tag promises. The text names the message
/// and the field, never the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{message} message ends inside its {field}")]
    Truncated {
        message: &'static str,
        field: &'static str,
    },
    #[error("{message} message has no terminating zero byte after its {field}")]
    Unterminated {
        message: &'static str,
        field: &'static str,
    },
    #[error("{message} message has {bytes} bytes behind its end")]
    TrailingBytes { message: &'static str, bytes: usize },
    #[error("{message} message gives its {field} the impossible length or count {value}")]
    BadLength {
        message: &'static str,
        field: &'static str,
        value: i64,
    },
    #[error("{message} message has the unknown {field} {value}")]
    BadValue {
        message: &'static str,
        field: &'static str,
        value: i64,
    },
    #[error("Bind message has {formats} parameter formats but {params} parameters")]
    FormatCount { formats: usize, params: usize },
    #[error("a message with tag {:?} cannot come from this side", char::from(*tag))]
    UnknownTag { tag: u8 },
}

impl DecodeError {
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        SqlState::PROTOCOL_VIOLATION
    }

    /// What to tell the client before the connection is closed.
    #[must_use]
    pub fn to_fields(&self) -> ErrorFields {
        ErrorFields::fatal(self.sqlstate(), self.to_string())
            .hint("The client library sent a malformed protocol message; check for a proxy or driver that rewrites traffic.")
    }
}

/// A message cannot be put into bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{field} is {len} long; the protocol has room for {max}")]
    TooLong {
        field: &'static str,
        len: usize,
        max: usize,
    },
    #[error("text contains a zero byte")]
    ContainsNul,
    #[error("a cancel key is {} to {} bytes long, not {len}", super::limits::CANCEL_KEY_BYTES.start(), super::limits::CANCEL_KEY_BYTES.end())]
    CancelKeyLength { len: usize },
}

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct EntropyError;

/// Fills `bytes` from the operating system.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), EntropyError> {
    getrandom::fill(bytes).map_err(|_| EntropyError)
}
