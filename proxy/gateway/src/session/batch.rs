//! Collects what a client sends as one unit: a Query, or the extended-protocol group up to Sync or
//! Flush. Nothing of it is forwarded before it is whole (invariant 3).
//!
//! Sans-I/O: takes bytes off a buffer. Refuses to know what the messages mean.

use abeyance_wire::postgres::{
    Direction, ErrorFields, Frame, FrontendMessage, SqlState, frontend::tag, split_frame,
};
use bytes::BytesMut;

use crate::{Limits, error::SessionError};

/// What a client sent as one unit, byte for byte. Never empty; the last frame ends it.
#[derive(Debug)]
pub(crate) struct Batch {
    frames: Vec<Frame>,
}

impl Batch {
    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    pub(crate) fn into_frames(self) -> Vec<Frame> {
        self.frames
    }

    /// The tag of the message that ended the batch.
    pub(crate) fn ending(&self) -> u8 {
        self.frames.last().map_or(tag::SYNC, Frame::tag)
    }
}

/// What came of looking at the buffer.
#[derive(Debug)]
pub(crate) enum Collected {
    Batch(Batch),
    Terminate,
}

/// Collects one batch after the other.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    frames: Vec<Frame>,
    bytes: usize,
    skipping: bool,
}

impl Collector {
    /// Nothing of a batch has been taken yet.
    pub(crate) fn is_idle(&self) -> bool {
        self.frames.is_empty() && !self.skipping
    }

    /// After an error in the extended protocol: everything up to the next Sync is dropped, as the
    /// server does.
    pub(crate) fn skip_to_sync(&mut self) {
        self.skipping = true;
    }

    /// Takes the next batch off `input`; `None` when it is not complete yet.
    pub(crate) fn next(
        &mut self,
        input: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<Collected>, SessionError> {
        if self.copy_begins(input) {
            let flush = flush()?;
            return Ok(Some(self.finish(flush)));
        }
        while let Some(frame) = split_frame(input, Direction::Frontend, limits.message_bytes_max)? {
            match frame.tag() {
                tag::TERMINATE => return Ok(Some(Collected::Terminate)),
                // Left over from a COPY that ended early: the server ignores them too.
                tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => {}
                tag::AUTHENTICATION => return Err(unexpected(frame.tag())),
                tag::SYNC if self.skipping => {
                    self.skipping = false;
                    return Ok(Some(self.finish(frame)));
                }
                _ if self.skipping => {}
                tag::QUERY | tag::SYNC | tag::FLUSH | tag::FUNCTION_CALL => {
                    self.count(&frame, limits)?;
                    return Ok(Some(self.finish(frame)));
                }
                tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE => {
                    self.count(&frame, limits)?;
                    self.frames.push(frame);
                    if self.copy_begins(input) {
                        let flush = flush()?;
                        return Ok(Some(self.finish(flush)));
                    }
                }
                other => return Err(unexpected(other)),
            }
        }
        Ok(None)
    }

    /// COPY data comes right behind an Execute: the server would run that Execute before it sees the data,
    /// so the group ends here, as if the client had sent Flush.
    fn copy_begins(&self, input: &[u8]) -> bool {
        let data = matches!(
            input.first(),
            Some(&(tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL))
        );
        data && self.frames.iter().any(|frame| frame.tag() == tag::EXECUTE)
    }

    fn count(&mut self, frame: &Frame, limits: &Limits) -> Result<(), SessionError> {
        self.bytes = self.bytes.saturating_add(frame.len());
        if self.bytes > limits.batch_bytes_max {
            return Err(SessionError::BatchTooLarge {
                max: limits.batch_bytes_max,
                unit: "bytes",
            });
        }
        if self.frames.len() >= limits.batch_messages_max {
            return Err(SessionError::BatchTooLarge {
                max: limits.batch_messages_max,
                unit: "messages",
            });
        }
        Ok(())
    }

    fn finish(&mut self, last: Frame) -> Collected {
        self.bytes = 0;
        let mut frames = std::mem::take(&mut self.frames);
        frames.push(last);
        Collected::Batch(Batch { frames })
    }
}

/// A Flush of our own.
fn flush() -> Result<Frame, SessionError> {
    let mut bytes = BytesMut::new();
    FrontendMessage::Flush.encode(&mut bytes)?;
    split_frame(&mut bytes, Direction::Frontend, usize::MAX)?
        .ok_or(SessionError::Internal("a Flush that is none"))
}

/// A message type that has no place in a session.
fn unexpected(tag: u8) -> SessionError {
    SessionError::Refused(
        ErrorFields::fatal(
            SqlState::PROTOCOL_VIOLATION,
            format!("invalid frontend message type {tag}"),
        )
        .hint("The client library and the proxy lost step; connect again."),
    )
}

/// Whether Terminate stands anywhere in what was read ahead.
pub(crate) fn terminates(mut ahead: &[u8]) -> bool {
    while let [found, rest @ ..] = ahead {
        if *found == tag::TERMINATE {
            return true;
        }
        let Some(length) = rest.first_chunk::<4>() else {
            return false;
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some(next) = rest.get(length.max(4)..) else {
            return false;
        };
        ahead = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use abeyance_wire::postgres::frontend::{encode_query, encode_sync, encode_terminate};

    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![tag];
        frame.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        frame.extend_from_slice(body);
        frame
    }

    #[test]
    fn a_batch_comes_whole_or_not_at_all() {
        let mut wire = frame(b'P', b"\0select 1\0\0\0");
        wire.extend(frame(b'B', b"\0\0\0\0\0\0\0\0"));
        wire.extend(frame(b'S', b""));
        for cut in 0..wire.len() {
            let mut collector = Collector::default();
            let mut input = BytesMut::from(&wire[..cut]);
            let first = collector.next(&mut input, &Limits::default()).unwrap();
            assert!(first.is_none(), "{cut}");
            input.extend_from_slice(&wire[cut..]);
            let Some(Collected::Batch(batch)) =
                collector.next(&mut input, &Limits::default()).unwrap()
            else {
                panic!("no batch at {cut}");
            };
            let bytes: Vec<u8> = batch
                .frames()
                .iter()
                .flat_map(|f| f.raw().to_vec())
                .collect();
            assert_eq!(bytes, wire);
        }
    }

    #[test]
    fn skipping_drops_all_but_sync() {
        let mut collector = Collector::default();
        collector.skip_to_sync();
        let mut input = BytesMut::new();
        encode_query("drop table patients", &mut input).unwrap();
        input.extend_from_slice(&frame(b'P', b"\0delete from patients\0\0\0"));
        encode_sync(&mut input);
        let Some(Collected::Batch(batch)) = collector.next(&mut input, &Limits::default()).unwrap()
        else {
            panic!("no batch");
        };
        assert_eq!(batch.frames().len(), 1);
        assert_eq!(batch.ending(), b'S');
    }

    #[test]
    fn copy_data_behind_execute_ends_the_group() {
        let mut collector = Collector::default();
        let mut input = BytesMut::from(&frame(b'E', b"\0\0\0\0\0")[..]);
        let data = frame(b'd', b"1\n");
        input.extend_from_slice(&data);
        let Some(Collected::Batch(batch)) = collector.next(&mut input, &Limits::default()).unwrap()
        else {
            panic!("no batch");
        };
        assert_eq!(batch.ending(), b'H');
        assert_eq!(input, data);
    }

    #[test]
    fn a_batch_is_bounded() {
        let limits = Limits {
            batch_bytes_max: 64,
            ..Limits::default()
        };
        let mut collector = Collector::default();
        let mut input = BytesMut::new();
        for _ in 0..4 {
            input.extend_from_slice(&frame(b'P', b"\0select 1234567890\0\0\0"));
        }
        assert!(collector.next(&mut input, &limits).is_err());
    }

    #[test]
    fn terminate_is_found_behind_other_messages() {
        let mut input = BytesMut::new();
        encode_query("select 'X'", &mut input).unwrap();
        assert!(!terminates(&input));
        encode_terminate(&mut input);
        assert!(terminates(&input));
        assert!(!terminates(&[b'Q', 0, 0]));
    }
}
