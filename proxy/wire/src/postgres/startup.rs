//! How a connection begins: the packets without a tag byte.
//!
//! Carries invariant 10 (a startup packet is at most 10,000 bytes, as the server has it) and the
//! fix for bytes sent ahead of encryption: whatever is buffered behind an encryption request was not
//! protected by it, and is refused.

use std::fmt;

use bytes::{Buf, BufMut, BytesMut};

use super::{
    backend::BackendMessage,
    cursor::Cursor,
    error::EncodeError,
    error_fields::ErrorFields,
    limits::{CANCEL_KEY_BYTES, STARTUP_PACKET_BYTES_MAX},
    put,
    secret::CancelKey,
    sqlstate::SqlState,
    text::WireStr,
};

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// Parameters with this prefix are protocol options, not settings.
const PROTOCOL_OPTION_PREFIX: &str = "_pq_.";

/// First byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion {
    pub major: u16,
    pub minor: u16,
}

impl ProtocolVersion {
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// Longer cancel keys; PostgreSQL 18 and later.
    pub const V3_2: Self = Self { major: 3, minor: 2 };

    pub(super) fn from_word(word: u32) -> Self {
        let [a, b, c, d] = word.to_be_bytes();
        Self {
            major: u16::from_be_bytes([a, b]),
            minor: u16::from_be_bytes([c, d]),
        }
    }

    pub(super) fn to_word(self) -> u32 {
        (u32::from(self.major) << 16) | u32::from(self.minor)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The first packet of a connection, or the one after an encryption request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartupPacket {
    /// Answer `S` and begin TLS, or `N`.
    SslRequest,
    /// Answer `N`.
    GssEncRequest,
    /// Answer nothing; close.
    Cancel(CancelRequest),
    Startup(StartupMessage),
}

/// Asks to cancel another session's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    pub process_id: u32,
    pub key: CancelKey,
}

impl CancelRequest {
    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        // Cannot fail: a key has at most 256 bytes.
        let _ = put::length_prefixed(out, |out| {
            out.put_u32(CANCEL_REQUEST);
            out.put_u32(self.process_id);
            out.put_slice(self.key.as_bytes());
            Ok(())
        });
    }
}

/// Appends an SSLRequest.
pub fn encode_ssl_request(out: &mut BytesMut) {
    out.put_u32(8);
    out.put_u32(SSL_REQUEST);
}

/// Whether a client began with TLS at once (`sslnegotiation=direct`), without asking first.
#[must_use]
pub fn is_direct_tls(buffer: &[u8]) -> bool {
    buffer.first() == Some(&TLS_HANDSHAKE)
}

/// The connection cannot begin. Shown to the client in clear, so it quotes nothing but option names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    #[error("invalid length of startup packet")]
    Length { bytes: i32 },
    #[error("received unencrypted data after an encryption request")]
    BytesBehindEncryptionRequest,
    #[error("unsupported frontend protocol {version}: this proxy supports 3.0 to 3.2")]
    Version { version: ProtocolVersion },
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Terminator,
    #[error("invalid startup packet layout: a parameter has no value")]
    MissingValue,
    #[error("startup parameter {name:?} is given twice")]
    Duplicate { name: String },
    #[error("a startup parameter is not UTF-8")]
    NotUtf8,
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    #[error("invalid length of cancel request key")]
    CancelKey { bytes: usize },
}

impl StartupError {
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Version { .. } => SqlState::FEATURE_NOT_SUPPORTED,
            Self::NoUser => SqlState::INVALID_AUTHORIZATION,
            Self::Length { .. }
            | Self::BytesBehindEncryptionRequest
            | Self::Terminator
            | Self::MissingValue
            | Self::Duplicate { .. }
            | Self::NotUtf8
            | Self::CancelKey { .. } => SqlState::PROTOCOL_VIOLATION,
        }
    }

    /// What to tell the client before the connection is closed.
    #[must_use]
    pub fn to_fields(&self) -> ErrorFields {
        let fields = ErrorFields::fatal(self.sqlstate(), self.to_string());
        match self {
            Self::Version { .. } => fields.hint("Use a client that speaks protocol 3.0 or later."),
            Self::BytesBehindEncryptionRequest => fields.detail(
                "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
            ),
            Self::NoUser => fields.hint("Give the agent's name as the user name."),
            _ => fields,
        }
    }
}

/// Takes the startup packet at the front, when it is complete.
///
/// # Errors
/// When the packet is not acceptable; a length out of range is refused from its first four bytes.
pub fn split_startup(buffer: &mut BytesMut) -> Result<Option<StartupPacket>, StartupError> {
    let Some(word) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*word);
    let bytes = usize::try_from(length)
        .ok()
        .filter(|bytes| (8..=STARTUP_PACKET_BYTES_MAX).contains(bytes))
        .ok_or(StartupError::Length { bytes: length })?;
    if buffer.len() < bytes {
        return Ok(None);
    }
    let mut packet = buffer.split_to(bytes).freeze();
    packet.advance(4);
    let code = packet.get_u32();
    match code {
        SSL_REQUEST | GSSENC_REQUEST if !packet.is_empty() => {
            Err(StartupError::Length { bytes: length })
        }
        SSL_REQUEST | GSSENC_REQUEST if !buffer.is_empty() => {
            Err(StartupError::BytesBehindEncryptionRequest)
        }
        SSL_REQUEST => Ok(Some(StartupPacket::SslRequest)),
        GSSENC_REQUEST => Ok(Some(StartupPacket::GssEncRequest)),
        CANCEL_REQUEST => decode_cancel(packet).map(|cancel| Some(StartupPacket::Cancel(cancel))),
        word => StartupMessage::decode(ProtocolVersion::from_word(word), packet)
            .map(|startup| Some(StartupPacket::Startup(startup))),
    }
}

fn decode_cancel(mut packet: bytes::Bytes) -> Result<CancelRequest, StartupError> {
    let bytes = packet.len().saturating_sub(4);
    if !CANCEL_KEY_BYTES.contains(&bytes) {
        return Err(StartupError::CancelKey { bytes });
    }
    let process_id = packet.get_u32();
    let key = CancelKey::new(&packet).map_err(|_| StartupError::CancelKey { bytes })?;
    Ok(CancelRequest { process_id, key })
}

/// Who wants to connect to what, with which settings.
#[derive(Clone, PartialEq, Eq)]
pub struct StartupMessage {
    version: ProtocolVersion,
    user: String,
    database: Option<String>,
    /// Settings of the session, in the order given.
    parameters: Vec<(String, String)>,
    /// `_pq_.` options, in the order given.
    protocol_options: Vec<(String, String)>,
}

impl fmt::Debug for StartupMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartupMessage")
            .field("version", &self.version)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("parameters", &self.parameters.len())
            .finish_non_exhaustive()
    }
}

impl StartupMessage {
    /// A message to open a connection with.
    #[must_use]
    pub fn new(version: ProtocolVersion, user: &str, database: &str) -> Self {
        Self {
            version,
            user: user.to_owned(),
            database: Some(database.to_owned()),
            parameters: Vec::new(),
            protocol_options: Vec::new(),
        }
    }

    /// Adds a setting.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Never empty.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database asked for; the user's name when none or an empty one was given, as the server does it.
    #[must_use]
    pub fn database(&self) -> &str {
        self.database.as_deref().unwrap_or(&self.user)
    }

    /// A setting by its exact name, such as `application_name`, `options` or `replication`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters()
            .find_map(|(have, value)| (have == name).then_some(value))
    }

    /// All settings, without `user`, `database` and protocol options.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.parameters)
    }

    /// All `_pq_.` options, prefix included.
    pub fn protocol_options(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.protocol_options)
    }

    /// Settles on a version: 3.2 when asked for 3.2 or later, else 3.0. No protocol option is known,
    /// so each is named in the reply.
    #[must_use]
    pub fn negotiate(&self) -> Negotiated {
        let version = if self.version >= ProtocolVersion::V3_2 {
            ProtocolVersion::V3_2
        } else {
            ProtocolVersion::V3_0
        };
        let unknown_options: Vec<WireStr> = self
            .protocol_options()
            .map(|(name, _)| WireStr::from_text_lossy(name))
            .collect();
        let reply = (self.version != version || !unknown_options.is_empty()).then_some(
            BackendMessage::NegotiateProtocolVersion {
                newest: version,
                unknown_options,
            },
        );
        Negotiated { version, reply }
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// When a name or value holds a zero byte, or the packet is longer than a server takes.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let start = out.len();
        put::length_prefixed(out, |out| {
            out.put_u32(self.version.to_word());
            let database = self.database.as_deref().map(|name| ("database", name));
            let all = std::iter::once(("user", self.user.as_str()))
                .chain(database)
                .chain(self.parameters())
                .chain(self.protocol_options());
            for (name, value) in all {
                if name.contains('\0') || value.contains('\0') {
                    return Err(EncodeError::ContainsNul);
                }
                put::text(out, name.as_bytes());
                put::text(out, value.as_bytes());
            }
            out.put_u8(0);
            let len = out.len() - start;
            if len > STARTUP_PACKET_BYTES_MAX {
                return Err(EncodeError::TooLong {
                    field: "startup packet",
                    len,
                    max: STARTUP_PACKET_BYTES_MAX,
                });
            }
            Ok(())
        })
    }

    fn decode(version: ProtocolVersion, packet: bytes::Bytes) -> Result<Self, StartupError> {
        if version.major != 3 {
            return Err(StartupError::Version { version });
        }
        if packet.last() != Some(&0) {
            return Err(StartupError::Terminator);
        }
        let mut message = Self {
            version,
            user: String::new(),
            database: None,
            parameters: Vec::new(),
            protocol_options: Vec::new(),
        };
        let mut seen = std::collections::HashSet::new();
        let mut cursor = Cursor::new("Startup", packet);
        loop {
            let name = next_text(&mut cursor).ok_or(StartupError::Terminator)??;
            if name.is_empty() {
                break;
            }
            let value = next_text(&mut cursor).ok_or(StartupError::MissingValue)??;
            if !seen.insert(name.clone()) {
                return Err(StartupError::Duplicate { name });
            }
            message.set(name, value);
        }
        if cursor.remaining() > 0 {
            return Err(StartupError::Terminator);
        }
        if message.user.is_empty() {
            return Err(StartupError::NoUser);
        }
        Ok(message)
    }

    fn set(&mut self, name: String, value: String) {
        match name.as_str() {
            "user" => self.user = value,
            "database" => self.database = Some(value).filter(|name| !name.is_empty()),
            _ if name.starts_with(PROTOCOL_OPTION_PREFIX) => {
                self.protocol_options.push((name, value));
            }
            _ => self.parameters.push((name, value)),
        }
    }
}

/// The version a session will speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    pub version: ProtocolVersion,
    /// To be sent first, when the client asked for more than there is.
    pub reply: Option<BackendMessage>,
}

fn pairs(list: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    list.iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The next zero-terminated text; `None` when there is no terminator left.
fn next_text(cursor: &mut Cursor) -> Option<Result<String, StartupError>> {
    let text = cursor.text("parameter").ok()?;
    Some(
        text.to_str()
            .map(str::to_owned)
            .ok_or(StartupError::NotUtf8),
    )
}

#[cfg(test)]
mod tests;
