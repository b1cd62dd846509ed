//! Messages a client sends after startup.
//!
//! Decoding is strict: trailing bytes, a missing terminator, a length past the end are errors,
//! so that the proxy and the server behind it can never read one message in two ways.

use bytes::{Bytes, BytesMut};

use super::{
    error::{DecodeError, EncodeError},
    frame::Frame,
    put,
    text::WireStr,
};

mod decode;
mod encode;

pub use super::password::{PasswordMessage, SaslInitialResponse, encode_sasl_response};

/// Tag bytes of frontend messages.
pub mod tag {
    use crate::postgres::limits::{AUTH_MESSAGE_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX};

    pub const QUERY: u8 = b'Q';
    pub const PARSE: u8 = b'P';
    pub const BIND: u8 = b'B';
    pub const DESCRIBE: u8 = b'D';
    pub const EXECUTE: u8 = b'E';
    pub const CLOSE: u8 = b'C';
    pub const SYNC: u8 = b'S';
    pub const FLUSH: u8 = b'H';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const TERMINATE: u8 = b'X';
    /// Password, SASL and GSS answers share one tag.
    pub const AUTHENTICATION: u8 = b'p';

    pub(in crate::postgres) fn is_known(tag: u8) -> bool {
        matches!(
            tag,
            QUERY
                | PARSE
                | BIND
                | DESCRIBE
                | EXECUTE
                | CLOSE
                | SYNC
                | FLUSH
                | COPY_DATA
                | COPY_DONE
                | COPY_FAIL
                | FUNCTION_CALL
                | TERMINATE
                | AUTHENTICATION
        )
    }

    /// The bound a message has by its kind; the server draws the same line.
    pub(in crate::postgres) fn bytes_max(tag: u8) -> usize {
        match tag {
            QUERY | PARSE | BIND | FUNCTION_CALL | COPY_DATA => usize::MAX,
            AUTHENTICATION => AUTH_MESSAGE_BYTES_MAX,
            _ => SMALL_MESSAGE_BYTES_MAX,
        }
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Text,
    Binary,
}

impl Format {
    pub(super) fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Text),
            1 => Some(Self::Binary),
            _ => None,
        }
    }

    pub(super) fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// What Describe and Close are about. The empty name is the unnamed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Statement(WireStr),
    Portal(WireStr),
}

/// A simple query: one or more statements as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub sql: WireStr,
}

/// Makes a prepared statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse {
    pub name: WireStr,
    pub sql: WireStr,
    /// Types the client fixes; 0 leaves one open. May be fewer than the statement has.
    pub param_oids: Vec<u32>,
}

/// Makes a portal from a prepared statement and values.
#[derive(Clone, PartialEq, Eq)]
pub struct Bind {
    pub portal: WireStr,
    pub statement: WireStr,
    /// None (all text), one (for all), or one each.
    pub param_formats: Vec<Format>,
    /// `None` is NULL.
    pub params: Vec<Option<Bytes>>,
    pub result_formats: Vec<Format>,
}

impl Bind {
    /// The format of the parameter at `index`, from 0.
    #[must_use]
    pub fn param_format(&self, index: usize) -> Format {
        match self.param_formats.as_slice() {
            [] => Format::Text,
            [all] => *all,
            each => each.get(index).copied().unwrap_or(Format::Text),
        }
    }
}

impl std::fmt::Debug for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bind")
            .field("portal", &self.portal)
            .field("statement", &self.statement)
            .field("params", &self.params.len())
            .finish_non_exhaustive()
    }
}

/// Runs a portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    pub portal: WireStr,
    /// Zero or less is no limit.
    pub rows_max: i32,
}

/// The fast-path call of a function by its OID.
#[derive(Clone, PartialEq, Eq)]
pub struct FunctionCall {
    pub function_oid: u32,
    pub arg_formats: Vec<Format>,
    pub args: Vec<Option<Bytes>>,
    pub result_format: Format,
}

impl std::fmt::Debug for FunctionCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionCall")
            .field("function_oid", &self.function_oid)
            .field("args", &self.args.len())
            .finish_non_exhaustive()
    }
}

/// A message from a client.
#[derive(Clone, PartialEq, Eq)]
pub enum FrontendMessage {
    Query(Query),
    Parse(Parse),
    Bind(Bind),
    Describe(Subject),
    Execute(Execute),
    Close(Subject),
    Sync,
    Flush,
    CopyData(Bytes),
    CopyDone,
    CopyFail {
        reason: WireStr,
    },
    FunctionCall(FunctionCall),
    Terminate,
    /// Body of a `p` message; what it means depends on the authentication under way.
    Authentication(Bytes),
}

impl FrontendMessage {
    /// Gives a frame its meaning.
    ///
    /// # Errors
    /// When the body is not exactly what the tag promises.
    pub fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        decode::body(frame.tag(), frame.body())
    }

    #[must_use]
    pub fn tag(&self) -> u8 {
        match self {
            Self::Query(_) => tag::QUERY,
            Self::Parse(_) => tag::PARSE,
            Self::Bind(_) => tag::BIND,
            Self::Describe(_) => tag::DESCRIBE,
            Self::Execute(_) => tag::EXECUTE,
            Self::Close(_) => tag::CLOSE,
            Self::Sync => tag::SYNC,
            Self::Flush => tag::FLUSH,
            Self::CopyData(_) => tag::COPY_DATA,
            Self::CopyDone => tag::COPY_DONE,
            Self::CopyFail { .. } => tag::COPY_FAIL,
            Self::FunctionCall(_) => tag::FUNCTION_CALL,
            Self::Terminate => tag::TERMINATE,
            Self::Authentication(_) => tag::AUTHENTICATION,
        }
    }

    /// The message's name in the protocol manual.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Query(_) => "Query",
            Self::Parse(_) => "Parse",
            Self::Bind(_) => "Bind",
            Self::Describe(_) => "Describe",
            Self::Execute(_) => "Execute",
            Self::Close(_) => "Close",
            Self::Sync => "Sync",
            Self::Flush => "Flush",
            Self::CopyData(_) => "CopyData",
            Self::CopyDone => "CopyDone",
            Self::CopyFail { .. } => "CopyFail",
            Self::FunctionCall(_) => "FunctionCall",
            Self::Terminate => "Terminate",
            Self::Authentication(_) => "Authentication",
        }
    }

    /// Appends the message.
    ///
    /// # Errors
    /// When a count or length does not fit its word; nothing is appended then.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        put::message(self.tag(), out, |out| encode::body(self, out))
    }
}

impl std::fmt::Debug for FrontendMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Appends Sync.
pub fn encode_sync(out: &mut BytesMut) {
    put::bare(tag::SYNC, out);
}

/// Appends Terminate.
pub fn encode_terminate(out: &mut BytesMut) {
    put::bare(tag::TERMINATE, out);
}

/// Appends a simple query.
///
/// # Errors
/// When the text holds a zero byte.
pub fn encode_query(sql: &str, out: &mut BytesMut) -> Result<(), EncodeError> {
    let sql = WireStr::new(sql.to_owned())?;
    FrontendMessage::Query(Query { sql }).encode(out)
}
