//! Zero-terminated text of the wire, in whatever encoding the session uses.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

use super::error::EncodeError;

/// Text without a zero byte. Shares the message's buffer; need not be UTF-8, because a client may
/// choose another encoding.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireStr(Bytes);

impl WireStr {
    /// Takes bytes as they are.
    ///
    /// # Errors
    /// When there is a zero byte inside.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, EncodeError> {
        let bytes = bytes.into();
        if bytes.contains(&0) {
            return Err(EncodeError::ContainsNul);
        }
        Ok(Self(bytes))
    }

    /// Takes text and leaves zero bytes out, for text of the proxy's own making.
    #[must_use]
    pub fn from_text_lossy(text: &str) -> Self {
        let bytes = if text.contains('\0') {
            Bytes::from(text.replace('\0', ""))
        } else {
            Bytes::copy_from_slice(text.as_bytes())
        };
        Self(bytes)
    }

    /// Takes a constant.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The caller has just found the terminator, so there is no zero byte inside.
    pub(super) fn from_terminated(bytes: Bytes) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The text, when it is UTF-8.
    #[must_use]
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text with replacement characters where it is not UTF-8.
    #[must_use]
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for WireStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireStr({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_bytes_never_get_in() {
        assert_eq!(WireStr::new("a\0b"), Err(EncodeError::ContainsNul));
        assert_eq!(WireStr::from_text_lossy("a\0b").as_bytes(), b"ab");
    }

    #[test]
    fn debug_tells_the_length_only() {
        let text = format!("{:?}", WireStr::from_static("SELECT 'secret'"));
        assert_eq!(text, "WireStr(15 bytes)");
    }
}
