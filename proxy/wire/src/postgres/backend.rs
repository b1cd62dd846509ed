//! Messages a server sends.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    error::{DecodeError, EncodeError},
    error_fields::ErrorFields,
    frame::Frame,
    frontend::Format,
    put,
    secret::CancelKey,
    startup::ProtocolVersion,
    text::WireStr,
};

mod decode;
mod encode;

/// Tag bytes of backend messages.
pub mod tag {
    pub const AUTHENTICATION: u8 = b'R';
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const READY_FOR_QUERY: u8 = b'Z';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const NOTICE_RESPONSE: u8 = b'N';
    pub const ROW_DESCRIPTION: u8 = b'T';
    pub const DATA_ROW: u8 = b'D';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const NO_DATA: u8 = b'n';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const COPY_IN_RESPONSE: u8 = b'G';
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';

    pub(in crate::postgres) fn is_known(tag: u8) -> bool {
        matches!(
            tag,
            AUTHENTICATION
                | BACKEND_KEY_DATA
                | PARAMETER_STATUS
                | READY_FOR_QUERY
                | ERROR_RESPONSE
                | NOTICE_RESPONSE
                | ROW_DESCRIPTION
                | DATA_ROW
                | COMMAND_COMPLETE
                | EMPTY_QUERY_RESPONSE
                | PARSE_COMPLETE
                | BIND_COMPLETE
                | CLOSE_COMPLETE
                | NO_DATA
                | PORTAL_SUSPENDED
                | COPY_IN_RESPONSE
                | COPY_OUT_RESPONSE
                | COPY_BOTH_RESPONSE
                | COPY_DATA
                | COPY_DONE
                | PARAMETER_DESCRIPTION
                | NOTIFICATION_RESPONSE
                | FUNCTION_CALL_RESPONSE
                | NEGOTIATE_PROTOCOL_VERSION
        )
    }

    /// Frames that may be huge and steer nothing: they pass in pieces.
    pub(in crate::postgres) fn is_bulk(tag: u8) -> bool {
        matches!(tag, DATA_ROW | COPY_DATA | FUNCTION_CALL_RESPONSE)
    }
}

/// Where a session's transaction stands, as ReadyForQuery says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// Outside a transaction block.
    Idle,
    /// Inside one.
    InTransaction,
    /// Inside one that failed: only its end is accepted.
    Failed,
}

impl TransactionStatus {
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'I' => Some(Self::Idle),
            b'T' => Some(Self::InTransaction),
            b'E' => Some(Self::Failed),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// What the server wants to know, or that it knows enough.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    Ok,
    CleartextPassword,
    Md5Password {
        salt: [u8; 4],
    },
    Sasl {
        mechanisms: Vec<WireStr>,
    },
    SaslContinue(Bytes),
    SaslFinal(Bytes),
    /// Kerberos, GSSAPI, SSPI, SCM: named so that the error can say which.
    Unsupported {
        code: u32,
        data: Bytes,
    },
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ok => f.write_str("Ok"),
            Self::CleartextPassword => f.write_str("CleartextPassword"),
            Self::Md5Password { .. } => f.write_str("Md5Password"),
            Self::Sasl { .. } => f.write_str("Sasl"),
            Self::SaslContinue(_) => f.write_str("SaslContinue"),
            Self::SaslFinal(_) => f.write_str("SaslFinal"),
            Self::Unsupported { code, .. } => write!(f, "Unsupported({code})"),
        }
    }
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDescription {
    pub name: WireStr,
    /// 0 when the column is not one of a table.
    pub table_oid: u32,
    /// 0 when the column is not one of a table.
    pub column: i16,
    pub type_oid: u32,
    /// Negative for types of variable width.
    pub type_size: i16,
    pub type_modifier: i32,
    pub format: Format,
}

/// How COPY data is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyShape {
    pub overall: Format,
    pub columns: Vec<Format>,
}

/// What a finished command says of itself: `DELETE 12`.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandTag(WireStr);

impl CommandTag {
    #[must_use]
    pub fn new(tag: WireStr) -> Self {
        Self(tag)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The tag, when it is UTF-8, as PostgreSQL's always are.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Rows selected, changed, fetched or copied; `None` when the tag counts nothing.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let mut words = self.as_str().split(' ');
        let verb = words.next()?;
        match verb {
            "INSERT" => words.nth(1)?.parse().ok(),
            "SELECT" | "UPDATE" | "DELETE" | "MERGE" | "MOVE" | "FETCH" | "COPY" => {
                words.next()?.parse().ok()
            }
            _ => None,
        }
    }
}

impl std::fmt::Debug for CommandTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CommandTag({:?})", self.as_str())
    }
}

/// A message from a server.
#[derive(Clone, PartialEq, Eq)]
pub enum BackendMessage {
    Authentication(Authentication),
    BackendKeyData {
        process_id: u32,
        key: CancelKey,
    },
    ParameterStatus {
        name: WireStr,
        value: WireStr,
    },
    ReadyForQuery(TransactionStatus),
    ErrorResponse(ErrorFields),
    NoticeResponse(ErrorFields),
    RowDescription(Vec<FieldDescription>),
    /// `None` is NULL.
    DataRow(Vec<Option<Bytes>>),
    CommandComplete(CommandTag),
    EmptyQueryResponse,
    ParseComplete,
    BindComplete,
    CloseComplete,
    NoData,
    PortalSuspended,
    CopyInResponse(CopyShape),
    CopyOutResponse(CopyShape),
    CopyBothResponse(CopyShape),
    CopyData(Bytes),
    CopyDone,
    ParameterDescription(Vec<u32>),
    NotificationResponse {
        process_id: u32,
        channel: WireStr,
        payload: WireStr,
    },
    FunctionCallResponse(Option<Bytes>),
    NegotiateProtocolVersion {
        /// The newest version the server speaks within the major version asked for.
        newest: ProtocolVersion,
        /// Names of `_pq_.` options the server does not know.
        unknown_options: Vec<WireStr>,
    },
}

impl BackendMessage {
    /// Gives a frame its meaning.
    ///
    /// # Errors
    /// When the body is not exactly what the tag promises.
    pub fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        decode::body(frame.tag(), frame.body())
    }

    /// As [`decode`](Self::decode), from a frame that is only borrowed; copies the body.
    ///
    /// # Errors
    /// When the body is not exactly what the tag promises.
    pub fn decode_parts(tag: u8, body: &[u8]) -> Result<Self, DecodeError> {
        decode::body(tag, Bytes::copy_from_slice(body))
    }

    #[must_use]
    pub fn tag(&self) -> u8 {
        self.tag_and_name().0
    }

    /// The message's name in the protocol manual.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.tag_and_name().1
    }

    fn tag_and_name(&self) -> (u8, &'static str) {
        match self {
            Self::Authentication(_) => (tag::AUTHENTICATION, "Authentication"),
            Self::BackendKeyData { .. } => (tag::BACKEND_KEY_DATA, "BackendKeyData"),
            Self::ParameterStatus { .. } => (tag::PARAMETER_STATUS, "ParameterStatus"),
            Self::ReadyForQuery(_) => (tag::READY_FOR_QUERY, "ReadyForQuery"),
            Self::ErrorResponse(_) => (tag::ERROR_RESPONSE, "ErrorResponse"),
            Self::NoticeResponse(_) => (tag::NOTICE_RESPONSE, "NoticeResponse"),
            Self::RowDescription(_) => (tag::ROW_DESCRIPTION, "RowDescription"),
            Self::DataRow(_) => (tag::DATA_ROW, "DataRow"),
            Self::CommandComplete(_) => (tag::COMMAND_COMPLETE, "CommandComplete"),
            Self::EmptyQueryResponse => (tag::EMPTY_QUERY_RESPONSE, "EmptyQueryResponse"),
            Self::ParseComplete => (tag::PARSE_COMPLETE, "ParseComplete"),
            Self::BindComplete => (tag::BIND_COMPLETE, "BindComplete"),
            Self::CloseComplete => (tag::CLOSE_COMPLETE, "CloseComplete"),
            Self::NoData => (tag::NO_DATA, "NoData"),
            Self::PortalSuspended => (tag::PORTAL_SUSPENDED, "PortalSuspended"),
            Self::CopyInResponse(_) => (tag::COPY_IN_RESPONSE, "CopyInResponse"),
            Self::CopyOutResponse(_) => (tag::COPY_OUT_RESPONSE, "CopyOutResponse"),
            Self::CopyBothResponse(_) => (tag::COPY_BOTH_RESPONSE, "CopyBothResponse"),
            Self::CopyData(_) => (tag::COPY_DATA, "CopyData"),
            Self::CopyDone => (tag::COPY_DONE, "CopyDone"),
            Self::ParameterDescription(_) => (tag::PARAMETER_DESCRIPTION, "ParameterDescription"),
            Self::NotificationResponse { .. } => {
                (tag::NOTIFICATION_RESPONSE, "NotificationResponse")
            }
            Self::FunctionCallResponse(_) => (tag::FUNCTION_CALL_RESPONSE, "FunctionCallResponse"),
            Self::NegotiateProtocolVersion { .. } => {
                (tag::NEGOTIATE_PROTOCOL_VERSION, "NegotiateProtocolVersion")
            }
        }
    }

    /// Appends the message.
    ///
    /// # Errors
    /// When a count or length does not fit its word; nothing is appended then.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::ErrorResponse(fields) => fields.encode_error(out),
            Self::NoticeResponse(fields) => fields.encode_notice(out),
            _ => put::message(self.tag(), out, |out| encode::body(self, out))?,
        }
        Ok(())
    }
}

impl std::fmt::Debug for BackendMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Authentication(authentication) => authentication.fmt(f),
            Self::ReadyForQuery(status) => write!(f, "ReadyForQuery({status:?})"),
            Self::CommandComplete(tag) => tag.fmt(f),
            _ => f.write_str(self.name()),
        }
    }
}

/// Appends ReadyForQuery.
pub fn encode_ready(status: TransactionStatus, out: &mut BytesMut) {
    out.put_u8(tag::READY_FOR_QUERY);
    out.put_i32(5);
    out.put_u8(status.as_byte());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_tags_give_their_row_counts() {
        let table = [
            ("DELETE 12", Some(12)),
            ("INSERT 0 3", Some(3)),
            ("SELECT 0", Some(0)),
            ("MERGE 7", Some(7)),
            ("COPY 5", Some(5)),
            ("FETCH 2", Some(2)),
            ("CREATE TABLE", None),
            ("BEGIN", None),
            ("INSERT", None),
            ("INSERT 0", None),
            ("UPDATE many", None),
            ("COPY 99999999999999999999999", None),
            ("", None),
        ];
        for (text, rows) in table {
            let tag = CommandTag::new(WireStr::from_static(text));
            assert_eq!(tag.rows(), rows, "{text}");
        }
    }

    #[test]
    fn debug_output_holds_no_data() {
        let row = BackendMessage::DataRow(vec![Some(Bytes::from_static(b"secret"))]);
        assert_eq!(format!("{row:?}"), "DataRow");
        let fields = ErrorFields::notice("secret");
        assert!(!format!("{fields:?}").contains("secret"));
    }
}
