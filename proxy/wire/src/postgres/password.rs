//! The `p` messages: passwords and SASL answers. Contents are secrets and are wiped when dropped.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use zeroize::Zeroizing;

use super::{
    cursor::Cursor,
    error::{DecodeError, EncodeError},
    frontend::tag,
    put,
    text::WireStr,
};

/// A password in clear or hashed by MD5.
#[derive(Clone)]
pub struct PasswordMessage(Zeroizing<Vec<u8>>);

impl PasswordMessage {
    /// # Errors
    /// When the password holds a zero byte.
    pub fn new(password: &str) -> Result<Self, EncodeError> {
        if password.contains('\0') {
            return Err(EncodeError::ContainsNul);
        }
        Ok(Self(Zeroizing::new(password.as_bytes().to_vec())))
    }

    /// Reads the body of a `p` message.
    ///
    /// # Errors
    /// When it is not one zero-terminated text.
    pub fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new("Password", body);
        let password = cursor.text("password")?;
        cursor.finish()?;
        Ok(Self(Zeroizing::new(password.as_bytes().to_vec())))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends the message.
    ///
    /// # Errors
    /// When it is longer than a message can be.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        put::message(tag::AUTHENTICATION, out, |out| {
            put::text(out, &self.0);
            Ok(())
        })
    }
}

impl fmt::Debug for PasswordMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordMessage([redacted])")
    }
}

/// The first SASL answer: which mechanism, and its first message.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslInitialResponse {
    pub mechanism: WireStr,
    /// `None` when the client leaves the first word to the server.
    pub data: Option<Bytes>,
}

impl SaslInitialResponse {
    /// Reads the body of a `p` message.
    ///
    /// # Errors
    /// When it is not a mechanism and one value.
    pub fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new("SASLInitialResponse", body);
        let mechanism = cursor.text("mechanism")?;
        let data = cursor.value("data")?;
        cursor.finish()?;
        Ok(Self { mechanism, data })
    }

    /// Appends the message.
    ///
    /// # Errors
    /// When it is longer than a message can be.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        put::message(tag::AUTHENTICATION, out, |out| {
            put::text(out, self.mechanism.as_bytes());
            put::value(out, "data", self.data.as_deref())
        })
    }
}

impl fmt::Debug for SaslInitialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaslInitialResponse([redacted])")
    }
}

/// Appends a later SASL answer.
///
/// # Errors
/// When it is longer than a message can be.
pub fn encode_sasl_response(data: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    put::message(tag::AUTHENTICATION, out, |out| {
        out.put_slice(data);
        Ok(())
    })
}
