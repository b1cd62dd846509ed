//! The fields of ErrorResponse and NoticeResponse.
//!
//! A message from a target is kept field by field, unknown ones included, so that it can be passed on
//! as it came. A message of the proxy's own is built here, with bounded text.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    backend::tag,
    cursor::Cursor,
    error::DecodeError,
    limits::{ERROR_FIELD_BYTES_MAX, ERROR_FIELDS_MAX},
    put,
    sqlstate::SqlState,
    text::WireStr,
};

/// Field codes (protocol manual, "Error and Notice Message Fields").
mod code {
    pub(super) const SEVERITY: u8 = b'S';
    pub(super) const SEVERITY_NONLOCALISED: u8 = b'V';
    pub(super) const SQLSTATE: u8 = b'C';
    pub(super) const MESSAGE: u8 = b'M';
    pub(super) const DETAIL: u8 = b'D';
    pub(super) const HINT: u8 = b'H';
    pub(super) const POSITION: u8 = b'P';
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Fatal,
    Panic,
    Warning,
    Notice,
    Debug,
    Info,
    Log,
}

impl Severity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Panic => "PANIC",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Log => "LOG",
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        [
            Self::Error,
            Self::Fatal,
            Self::Panic,
            Self::Warning,
            Self::Notice,
            Self::Debug,
            Self::Info,
            Self::Log,
        ]
        .into_iter()
        .find(|severity| severity.as_str().as_bytes() == bytes)
    }
}

/// An error or a notice, as fields in the order they came or were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorFields {
    fields: Vec<(u8, WireStr)>,
}

impl ErrorFields {
    /// A message with the three fields every message must have, and `V`.
    #[must_use]
    pub fn new(severity: Severity, state: SqlState, message: impl AsRef<str>) -> Self {
        Self::default()
            .field(code::SEVERITY, severity.as_str())
            .field(code::SEVERITY_NONLOCALISED, severity.as_str())
            .field(code::SQLSTATE, state.as_str())
            .field(code::MESSAGE, message)
    }

    /// The statement failed; the session goes on.
    #[must_use]
    pub fn error(state: SqlState, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Error, state, message)
    }

    /// The session ends.
    #[must_use]
    pub fn fatal(state: SqlState, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Fatal, state, message)
    }

    /// Something the person at the other end should read.
    #[must_use]
    pub fn notice(message: impl AsRef<str>) -> Self {
        Self::new(Severity::Notice, SqlState::SUCCESSFUL, message)
    }

    /// Something the person at the other end should act on.
    #[must_use]
    pub fn warning(message: impl AsRef<str>) -> Self {
        Self::new(Severity::Warning, SqlState::WARNING, message)
    }

    /// What exactly happened.
    #[must_use]
    pub fn detail(self, text: impl AsRef<str>) -> Self {
        self.field(code::DETAIL, text)
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(self, text: impl AsRef<str>) -> Self {
        self.field(code::HINT, text)
    }

    /// Where in the statement, in characters from 1.
    #[must_use]
    pub fn position(self, position: usize) -> Self {
        self.field(code::POSITION, position.to_string())
    }

    /// Sets a field, replacing an earlier one with the same code. Text beyond
    /// [`ERROR_FIELD_BYTES_MAX`] is cut at a character boundary.
    #[must_use]
    pub fn field(mut self, code: u8, text: impl AsRef<str>) -> Self {
        debug_assert!(code != 0, "code 0 ends the list of fields");
        let value = WireStr::from_text_lossy(bounded(text.as_ref()));
        match self.fields.iter_mut().find(|(have, _)| *have == code) {
            Some((_, old)) => *old = value,
            None => self.fields.push((code, value)),
        }
        self
    }

    /// Drops a field.
    #[must_use]
    pub fn without(mut self, code: u8) -> Self {
        self.fields.retain(|(have, _)| *have != code);
        self
    }

    /// The first field with this code.
    #[must_use]
    pub fn get(&self, code: u8) -> Option<&WireStr> {
        self.fields
            .iter()
            .find_map(|(have, text)| (*have == code).then_some(text))
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &WireStr)> {
        self.fields.iter().map(|(code, text)| (*code, text))
    }

    /// The severity that is never translated; the translated one when the other is missing.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.get(code::SEVERITY_NONLOCALISED)
            .or_else(|| self.get(code::SEVERITY))
            .and_then(|text| Severity::from_bytes(text.as_bytes()))
    }

    #[must_use]
    pub fn sqlstate(&self) -> Option<SqlState> {
        SqlState::from_bytes(self.get(code::SQLSTATE)?.as_bytes())
    }

    /// The primary message; empty when there is none.
    #[must_use]
    pub fn message(&self) -> Cow<'_, str> {
        self.get(code::MESSAGE)
            .map(WireStr::to_string_lossy)
            .unwrap_or_default()
    }

    /// Appends an ErrorResponse.
    pub fn encode_error(&self, out: &mut BytesMut) {
        self.encode_as(tag::ERROR_RESPONSE, out);
    }

    /// Appends a NoticeResponse.
    pub fn encode_notice(&self, out: &mut BytesMut) {
        self.encode_as(tag::NOTICE_RESPONSE, out);
    }

    fn encode_as(&self, tag: u8, out: &mut BytesMut) {
        // Cannot fail: decoded fields came from one message and built ones are bounded.
        let _ = put::message(tag, out, |out| {
            for (code, text) in &self.fields {
                out.put_u8(*code);
                put::text(out, text.as_bytes());
            }
            out.put_u8(0);
            Ok(())
        });
    }

    pub(super) fn decode(message: &'static str, body: Bytes) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(message, body);
        let mut fields = Vec::new();
        loop {
            match cursor.byte("field code")? {
                0 => break,
                _ if fields.len() == ERROR_FIELDS_MAX => {
                    return Err(cursor.bad_length("list of fields", ERROR_FIELDS_MAX as i64 + 1));
                }
                code => fields.push((code, cursor.text("field")?)),
            }
        }
        cursor.finish()?;
        Ok(Self { fields })
    }
}

fn bounded(text: &str) -> &str {
    let end = text.floor_char_boundary(ERROR_FIELD_BYTES_MAX.min(text.len()));
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_error_has_what_drivers_look_for() {
        let fields = ErrorFields::error(SqlState::INSUFFICIENT_PRIVILEGE, "denied\0 by ann")
            .detail("d")
            .hint("h");
        assert_eq!(fields.severity(), Some(Severity::Error));
        assert_eq!(fields.sqlstate(), Some(SqlState::INSUFFICIENT_PRIVILEGE));
        assert_eq!(fields.message(), "denied by ann");
        let mut out = BytesMut::new();
        fields.encode_error(&mut out);
        assert_eq!(
            &out[..],
            b"E\0\0\0\x2fSERROR\0VERROR\0C42501\0Mdenied by ann\0Dd\0Hh\0\0".as_slice()
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let fields = ErrorFields::notice("é".repeat(ERROR_FIELD_BYTES_MAX));
        assert_eq!(fields.message().len(), ERROR_FIELD_BYTES_MAX);
        let odd = ErrorFields::notice(format!("x{}", "é".repeat(ERROR_FIELD_BYTES_MAX)));
        assert_eq!(odd.message().len(), ERROR_FIELD_BYTES_MAX - 1);
    }

    #[test]
    fn setting_a_field_twice_keeps_the_last() {
        let fields = ErrorFields::notice("a").hint("one").hint("two");
        assert_eq!(fields.get(b'H').unwrap().to_str(), Some("two"));
        assert_eq!(fields.iter().count(), 5);
    }
}
