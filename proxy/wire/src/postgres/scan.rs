//! Lets results pass in large pieces while the session still sees what steers it.
//!
//! Rows, COPY data and function results are *bulk*: they are counted off, never kept, so a row of
//! half a gigabyte needs no more memory than the read buffer. Every other frame is *control* and is
//! yielded whole. Refuses to know what control frames mean.

use std::ops::Range;

use super::{
    backend::tag::{self, ERROR_RESPONSE},
    frame::{Direction, FrameError, HEADER_BYTES, Header},
    limits::{BACKEND_BULK_BYTES_MAX, BACKEND_CONTROL_BYTES_MAX},
};

/// Follows a backend stream across reads.
///
/// Each round: [`walk`](Self::walk) over the read buffer, look at what it yields, then take
/// [`Walk::forwardable`] bytes off the front of the buffer. Those bytes may be written to the
/// client in one go.
#[derive(Debug, Clone)]
pub struct BackendScanner {
    /// Bytes of a bulk frame that were not in the buffer yet.
    bulk_left: usize,
    control_bytes_max: usize,
    /// ErrorResponses of the last walk.
    errors: Vec<Range<usize>>,
}

impl Default for BackendScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl BackendScanner {
    #[must_use]
    pub fn new() -> Self {
        Self::with_control_max(BACKEND_CONTROL_BYTES_MAX)
    }

    /// With another ceiling for frames that have to be kept whole.
    #[must_use]
    pub fn with_control_max(control_bytes_max: usize) -> Self {
        Self {
            bulk_left: 0,
            control_bytes_max,
            errors: Vec::new(),
        }
    }

    /// Where the last walk yielded an ErrorResponse.
    #[must_use]
    pub fn errors(&self) -> &[Range<usize>] {
        &self.errors
    }

    /// Whether the bytes forwarded so far end inside a bulk frame. Nothing may be put between then.
    #[must_use]
    pub fn in_bulk(&self) -> bool {
        self.bulk_left > 0
    }

    /// Starts at the front of `buffer`, where the last walk's [`Walk::forwardable`] ended.
    pub fn walk<'a>(&'a mut self, buffer: &'a [u8]) -> Walk<'a> {
        self.errors.clear();
        Walk {
            scanner: self,
            buffer,
            at: 0,
            failed: false,
        }
    }
}

/// A whole control frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    pub tag: u8,
    /// Where the frame starts in the walked buffer.
    pub start: usize,
    /// Tag, length word and body.
    pub raw: &'a [u8],
}

impl<'a> Seen<'a> {
    /// Where the frame ends in the walked buffer.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.raw.len()
    }

    /// What comes behind the length word.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.raw.get(HEADER_BYTES..).unwrap_or_default()
    }
}

impl std::fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tag = char::from(self.tag);
        write!(
            f,
            "Seen({tag:?}, {} bytes at {})",
            self.raw.len(),
            self.start
        )
    }
}

/// One pass over a read buffer. Yields control frames; may be dropped early.
#[derive(Debug)]
pub struct Walk<'a> {
    scanner: &'a mut BackendScanner,
    buffer: &'a [u8],
    at: usize,
    failed: bool,
}

impl<'a> Walk<'a> {
    /// How many bytes from the front are done with: bulk, and frames already yielded. Exactly these
    /// must leave the buffer before the next walk.
    #[must_use]
    pub fn forwardable(&self) -> usize {
        self.at
    }

    /// Counts off bulk; yields the next control frame.
    fn step(&mut self) -> Result<Option<Seen<'a>>, FrameError> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if self.scanner.bulk_left > 0 {
                let passed = self.scanner.bulk_left.min(rest.len());
                self.scanner.bulk_left -= passed;
                self.at += passed;
                if self.scanner.bulk_left > 0 {
                    return Ok(None);
                }
                continue;
            }
            let Some(header) = Header::peek(rest, Direction::Backend)? else {
                return Ok(None);
            };
            if tag::is_bulk(header.tag) {
                self.scanner.bulk_left = header.check(BACKEND_BULK_BYTES_MAX)?.bytes;
                continue;
            }
            let Header { tag, bytes } = header.check(self.scanner.control_bytes_max)?;
            let Some(raw) = rest.get(..bytes) else {
                return Ok(None);
            };
            let start = self.at;
            self.at += bytes;
            if tag == ERROR_RESPONSE {
                self.scanner.errors.push(start..self.at);
            }
            return Ok(Some(Seen { tag, start, raw }));
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Seen<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DataRow(3 bytes), CommandComplete, ReadyForQuery.
    const RESULT: &[u8] = b"D\0\0\0\x07abcC\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";

    /// Feeds `stream` in pieces of `size`; returns the tags seen and all bytes forwarded.
    fn feed(stream: &[u8], size: usize) -> (Vec<u8>, Vec<u8>) {
        let mut scanner = BackendScanner::new();
        let (mut tags, mut forwarded, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        for piece in stream.chunks(size) {
            buffer.extend_from_slice(piece);
            let mut walk = scanner.walk(&buffer);
            for seen in &mut walk {
                let seen = seen.unwrap();
                assert_eq!(&buffer[seen.start..seen.end()], seen.raw);
                tags.push(seen.tag);
            }
            let done = walk.forwardable();
            forwarded.extend(buffer.drain(..done));
        }
        (tags, forwarded)
    }

    #[test]
    fn control_frames_are_seen_at_any_split() {
        for size in 1..=RESULT.len() {
            let (tags, forwarded) = feed(RESULT, size);
            assert_eq!(tags, b"CZ", "pieces of {size}");
            assert_eq!(forwarded, RESULT, "pieces of {size}");
        }
    }

    #[test]
    fn a_huge_row_passes_without_being_kept() {
        let mut scanner = BackendScanner::new();
        let mut walk = scanner.walk(b"D\x1d\xcd\x65\x04");
        assert!(walk.next().is_none());
        assert_eq!(walk.forwardable(), 5);
        let mut left = 500_000_000_usize;
        let piece = vec![0; 1 << 20];
        while left > 0 {
            assert!(scanner.in_bulk());
            let now = &piece[..left.min(piece.len())];
            let mut walk = scanner.walk(now);
            assert!(walk.next().is_none());
            assert_eq!(walk.forwardable(), now.len());
            left -= now.len();
        }
        assert!(!scanner.in_bulk());
        assert_eq!(scanner.walk(b"Z\0\0\0\x05I").count(), 1);
    }

    #[test]
    fn a_walk_can_stop_at_ready_for_query() {
        let stream = [RESULT, RESULT].concat();
        let mut scanner = BackendScanner::new();
        let mut walk = scanner.walk(&stream);
        for seen in walk.by_ref() {
            if seen.unwrap().tag == b'Z' {
                break;
            }
        }
        assert_eq!(walk.forwardable(), RESULT.len());
    }

    #[test]
    fn control_frames_have_a_ceiling_and_errors_end_the_walk() {
        let mut scanner = BackendScanner::with_control_max(10);
        let mut walk = scanner.walk(b"C\0\0\0\x0a");
        assert_eq!(
            walk.next(),
            Some(Err(FrameError::TooLarge {
                tag: b'C',
                bytes: 11,
                max: 10
            }))
        );
        assert_eq!(walk.next(), None);
        assert_eq!(walk.forwardable(), 0);
    }
}
