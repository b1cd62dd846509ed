//! Cuts the byte stream into messages.
//!
//! Carries invariant 10: tag and length are judged from the five header bytes alone, before the
//! caller makes room for the body.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::{backend, error_fields::ErrorFields, frontend, limits, sqlstate::SqlState};

/// Bytes before the body: tag and length word.
pub const HEADER_BYTES: usize = 5;

/// Who sent the bytes; each side has tags of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a client.
    Frontend,
    /// From a server.
    Backend,
}

/// One whole message as it was on the wire, so that it can be passed on without encoding it again.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    tag: u8,
    raw: Bytes,
}

impl Frame {
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// Tag, length word and body.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    #[must_use]
    pub fn into_raw(self) -> Bytes {
        self.raw
    }

    /// What comes behind the length word, shared.
    #[must_use]
    pub fn body(&self) -> Bytes {
        let mut body = self.raw.clone();
        body.advance(HEADER_BYTES.min(body.len()));
        body
    }

    /// Length on the wire, header included; never less than five.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame always has its header")]
    pub fn len(&self) -> usize {
        self.raw.len()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?}, {} bytes)", char::from(self.tag), self.len())
    }
}

/// The stream cannot be cut any further; the connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("message {:?} gives the length {length}, less than the length word itself", char::from(*tag))]
    LengthTooSmall { tag: u8, length: i32 },
    #[error("message {:?} is {bytes} bytes long; at most {max} are accepted", char::from(*tag))]
    TooLarge { tag: u8, bytes: usize, max: usize },
    #[error("{} message type {tag:#04x}", match direction { Direction::Frontend => "invalid frontend", Direction::Backend => "invalid backend" })]
    UnknownTag { tag: u8, direction: Direction },
}

impl FrameError {
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::TooLarge { .. } => SqlState::PROGRAM_LIMIT_EXCEEDED,
            Self::LengthTooSmall { .. } | Self::UnknownTag { .. } => SqlState::PROTOCOL_VIOLATION,
        }
    }

    /// What to tell the client before the connection is closed.
    #[must_use]
    pub fn to_fields(&self) -> ErrorFields {
        let fields = ErrorFields::fatal(self.sqlstate(), self.to_string());
        match self {
            Self::TooLarge { .. } => {
                fields.hint("Split the statement or its values, or use COPY in smaller pieces.")
            }
            Self::LengthTooSmall { .. } | Self::UnknownTag { .. } => fields
                .hint("The bytes are not the PostgreSQL protocol, or client and server lost step."),
        }
    }
}

/// Tag and whole length of the frame at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) tag: u8,
    /// Header included.
    pub(super) bytes: usize,
}

impl Header {
    /// Reads a header; `None` until five bytes are there. An unknown tag is refused from its first byte.
    pub(super) fn peek(buffer: &[u8], direction: Direction) -> Result<Option<Self>, FrameError> {
        let Some((&tag, rest)) = buffer.split_first() else {
            return Ok(None);
        };
        let known = match direction {
            Direction::Frontend => frontend::tag::is_known(tag),
            Direction::Backend => backend::tag::is_known(tag),
        };
        if !known {
            return Err(FrameError::UnknownTag { tag, direction });
        }
        let Some(word) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*word);
        match usize::try_from(length) {
            Ok(len) if len >= 4 => Ok(Some(Self {
                tag,
                bytes: len + 1,
            })),
            _ => Err(FrameError::LengthTooSmall { tag, length }),
        }
    }

    pub(super) fn check(self, max: usize) -> Result<Self, FrameError> {
        if self.bytes > max {
            return Err(FrameError::TooLarge {
                tag: self.tag,
                bytes: self.bytes,
                max,
            });
        }
        Ok(self)
    }
}

/// Takes the frame at the front, when it is complete. `bytes_max` bounds messages that carry
/// statements or data; the others have tighter bounds of their own.
///
/// # Errors
/// When the header alone shows that the stream is not acceptable. The buffer is left as it is.
pub fn split_frame(
    buffer: &mut BytesMut,
    direction: Direction,
    bytes_max: usize,
) -> Result<Option<Frame>, FrameError> {
    let Some(header) = Header::peek(buffer, direction)? else {
        return Ok(None);
    };
    let max = match direction {
        Direction::Frontend => frontend::tag::bytes_max(header.tag).min(bytes_max),
        Direction::Backend => bytes_max,
    };
    let Header { tag, bytes } = header.check(max)?;
    if buffer.len() < bytes {
        return Ok(None);
    }
    let raw = buffer.split_to(bytes).freeze();
    Ok(Some(Frame { tag, raw }))
}

/// How many bytes the buffer must hold before [`split_frame`] can succeed. Call it after `split_frame`
/// returned `None`, which has checked the length.
#[must_use]
pub fn frame_wanted(buffer: &[u8]) -> usize {
    let word = buffer.get(1..).and_then(|rest| rest.first_chunk::<4>());
    match word {
        Some(word) => usize::try_from(i32::from_be_bytes(*word))
            .unwrap_or_default()
            .saturating_add(1)
            .clamp(HEADER_BYTES, limits::BACKEND_BULK_BYTES_MAX),
        None => HEADER_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(bytes: &[u8], max: usize) -> Result<Option<Frame>, FrameError> {
        split_frame(&mut BytesMut::from(bytes), Direction::Frontend, max)
    }

    #[test]
    fn frames_come_out_whole_and_raw() {
        let mut buffer = BytesMut::from(&b"Q\0\0\0\x06x\0S\0\0\0\x04Q\0"[..]);
        let query = split_frame(&mut buffer, Direction::Frontend, 100)
            .unwrap()
            .unwrap();
        assert_eq!(query.tag(), b'Q');
        assert_eq!(&query.raw()[..], b"Q\0\0\0\x06x\0");
        assert_eq!(&query.body()[..], b"x\0");
        let sync = split_frame(&mut buffer, Direction::Frontend, 100)
            .unwrap()
            .unwrap();
        assert!(sync.body().is_empty());
        assert_eq!(
            split_frame(&mut buffer, Direction::Frontend, 100).unwrap(),
            None
        );
        assert_eq!(&buffer[..], b"Q\0");
    }

    #[test]
    fn bad_headers_are_refused_before_the_body_arrives() {
        let table: [(&[u8], FrameError); 5] = [
            (
                b"Q\0\0\0\x03",
                FrameError::LengthTooSmall {
                    tag: b'Q',
                    length: 3,
                },
            ),
            (
                b"Q\xff\xff\xff\xff",
                FrameError::LengthTooSmall {
                    tag: b'Q',
                    length: -1,
                },
            ),
            (
                b"Q\0\0\x03\xe8",
                FrameError::TooLarge {
                    tag: b'Q',
                    bytes: 1001,
                    max: 1000,
                },
            ),
            (
                b"S\0\0\x27\x10",
                FrameError::TooLarge {
                    tag: b'S',
                    bytes: 10_001,
                    max: 1000,
                },
            ),
            (
                b"Z",
                FrameError::UnknownTag {
                    tag: b'Z',
                    direction: Direction::Frontend,
                },
            ),
        ];
        for (bytes, error) in table {
            assert_eq!(split(bytes, 1000), Err(error), "{bytes:?}");
        }
        assert!(split(b"Q\0\0\x03\xe7", 1000).unwrap().is_none());
    }

    #[test]
    fn every_type_has_its_bounds() {
        let small = limits::SMALL_MESSAGE_BYTES_MAX;
        let table = [
            ("QPBFd", 70_000, 70_000),
            ("DECSHXcf", 70_000, small),
            ("p", 70_000, limits::AUTH_MESSAGE_BYTES_MAX),
            ("p", 100, 100),
        ];
        for (tags, max, bound) in table {
            for tag in tags.bytes() {
                let header = |length: usize| {
                    let word = i32::try_from(length).unwrap().to_be_bytes();
                    [&[tag], &word[..]].concat()
                };
                // The longest it may be is waited for; one more byte is refused.
                assert_eq!(split(&header(bound - 1), max), Ok(None));
                let refused = FrameError::TooLarge {
                    tag,
                    bytes: bound + 1,
                    max: bound,
                };
                assert_eq!(split(&header(bound), max), Err(refused));
                assert_eq!(refused.sqlstate(), SqlState::PROGRAM_LIMIT_EXCEEDED);
                for length in 0..4 {
                    let refused = split(&header(length), max).unwrap_err();
                    assert_eq!(refused.sqlstate(), SqlState::PROTOCOL_VIOLATION);
                }
            }
        }
    }

    #[test]
    fn wanted_is_the_header_then_the_frame() {
        assert_eq!(frame_wanted(b""), 5);
        assert_eq!(frame_wanted(b"Q\0\0\x03"), 5);
        assert_eq!(frame_wanted(b"Q\0\0\x03\xe7"), 1000);
    }
}
