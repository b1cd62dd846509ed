//! Reads the fields of one message body, in order. Every failure names message and field.

use bytes::{Buf, Bytes};

use super::{error::DecodeError, text::WireStr};

/// A position in a message body. Slices share the body's buffer.
pub(super) struct Cursor {
    message: &'static str,
    rest: Bytes,
}

impl Cursor {
    pub(super) fn new(message: &'static str, body: Bytes) -> Self {
        Self {
            message,
            rest: body,
        }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn truncated(&self, field: &'static str) -> DecodeError {
        DecodeError::Truncated {
            message: self.message,
            field,
        }
    }

    pub(super) fn bad_length(&self, field: &'static str, value: impl Into<i64>) -> DecodeError {
        DecodeError::BadLength {
            message: self.message,
            field,
            value: value.into(),
        }
    }

    pub(super) fn bad_value(&self, field: &'static str, value: impl Into<i64>) -> DecodeError {
        DecodeError::BadValue {
            message: self.message,
            field,
            value: value.into(),
        }
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.rest.try_get_u8().map_err(|_| self.truncated(field))
    }

    pub(super) fn int16(&mut self, field: &'static str) -> Result<i16, DecodeError> {
        self.rest.try_get_i16().map_err(|_| self.truncated(field))
    }

    pub(super) fn int32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.rest.try_get_i32().map_err(|_| self.truncated(field))
    }

    pub(super) fn uint32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.rest.try_get_u32().map_err(|_| self.truncated(field))
    }

    /// A 16-bit count of items, unsigned as the server reads it. Each item takes at least
    /// `item_bytes`, so a count that cannot fit is refused before anything is allocated for it.
    pub(super) fn count16(
        &mut self,
        field: &'static str,
        item_bytes: usize,
    ) -> Result<usize, DecodeError> {
        let count = usize::from(self.rest.try_get_u16().map_err(|_| self.truncated(field))?);
        if count.saturating_mul(item_bytes) > self.rest.len() {
            return Err(self.truncated(field));
        }
        Ok(count)
    }

    /// `count` bytes, shared.
    pub(super) fn take(&mut self, count: usize, field: &'static str) -> Result<Bytes, DecodeError> {
        if count > self.rest.len() {
            return Err(self.truncated(field));
        }
        Ok(self.rest.split_to(count))
    }

    /// A value preceded by its 32-bit length; -1 is NULL.
    pub(super) fn value(&mut self, field: &'static str) -> Result<Option<Bytes>, DecodeError> {
        match self.int32(field)? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| self.bad_length(field, len))?;
                self.take(len, field).map(Some)
            }
        }
    }

    /// Text up to and without its zero byte.
    pub(super) fn text(&mut self, field: &'static str) -> Result<WireStr, DecodeError> {
        let end =
            self.rest
                .iter()
                .position(|byte| *byte == 0)
                .ok_or(DecodeError::Unterminated {
                    message: self.message,
                    field,
                })?;
        let text = self.rest.split_to(end);
        self.rest.advance(1);
        Ok(WireStr::from_terminated(text))
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    /// The body must be used up.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::TrailingBytes {
                message: self.message,
                bytes,
            }),
        }
    }
}
