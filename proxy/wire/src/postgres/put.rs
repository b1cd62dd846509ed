//! Writes one message: tag, length word, body. A body that the length word cannot describe is
//! taken back, so that a failed encode leaves the buffer as it was.

use bytes::{BufMut, BytesMut};

use super::error::EncodeError;

/// Longest message the length word is allowed to give.
const MESSAGE_BYTES_MAX: usize = i32::MAX as usize;

/// Appends a message with `tag`; `body` appends the body.
pub(super) fn message(
    tag: u8,
    out: &mut BytesMut,
    body: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_u8(tag);
    let result = length_prefixed(out, body);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Appends a length word and the body; the length counts itself.
pub(super) fn length_prefixed(
    out: &mut BytesMut,
    body: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_i32(0);
    let written = body(out).and_then(|()| {
        let len = out.len() - start;
        i32::try_from(len).map_err(|_| EncodeError::TooLong {
            field: "message",
            len,
            max: MESSAGE_BYTES_MAX,
        })
    });
    match written {
        Ok(len) => {
            if let Some(word) = out.get_mut(start..start + 4) {
                word.copy_from_slice(&len.to_be_bytes());
            }
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Appends a message that has no body.
pub(super) fn bare(tag: u8, out: &mut BytesMut) {
    out.put_u8(tag);
    out.put_i32(4);
}

/// Appends text and its zero byte.
pub(super) fn text(out: &mut BytesMut, text: &[u8]) {
    debug_assert!(!text.contains(&0), "WireStr and &str callers exclude NUL");
    out.put_slice(text);
    out.put_u8(0);
}

/// Appends a 16-bit count.
pub(super) fn count16(
    out: &mut BytesMut,
    field: &'static str,
    count: usize,
) -> Result<(), EncodeError> {
    let word = u16::try_from(count).map_err(|_| EncodeError::TooLong {
        field,
        len: count,
        max: usize::from(u16::MAX),
    })?;
    out.put_u16(word);
    Ok(())
}

/// Appends a value preceded by its length; `None` is NULL.
pub(super) fn value(
    out: &mut BytesMut,
    field: &'static str,
    value: Option<&[u8]>,
) -> Result<(), EncodeError> {
    let Some(bytes) = value else {
        out.put_i32(-1);
        return Ok(());
    };
    let len = i32::try_from(bytes.len()).map_err(|_| EncodeError::TooLong {
        field,
        len: bytes.len(),
        max: MESSAGE_BYTES_MAX,
    })?;
    out.put_i32(len);
    out.put_slice(bytes);
    Ok(())
}
