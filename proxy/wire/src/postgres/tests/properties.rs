//! Properties over random messages and random bytes.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::generate;
use crate::postgres::{
    BackendMessage, BackendScanner, Direction, Frame, FrontendMessage, PasswordMessage,
    SaslInitialResponse, split_frame, split_startup,
};

const BYTES_MAX: usize = 1 << 20;

/// Feeds `stream` in pieces of `size` and returns every frame.
fn frames(stream: &[u8], size: usize, direction: Direction) -> Vec<Frame> {
    let mut buffer = BytesMut::new();
    let mut out = Vec::new();
    for piece in stream.chunks(size) {
        buffer.extend_from_slice(piece);
        while let Some(frame) = split_frame(&mut buffer, direction, BYTES_MAX).unwrap() {
            out.push(frame);
        }
    }
    assert!(buffer.is_empty(), "a stream of whole messages is used up");
    out
}

/// Runs every decoder over everything that can be cut from `bytes`.
fn decode_all(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(frame)) = split_frame(&mut buffer, Direction::Frontend, BYTES_MAX) {
        let _ = FrontendMessage::decode(&frame);
        let _ = PasswordMessage::decode(frame.body());
        let _ = SaslInitialResponse::decode(frame.body());
    }
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(frame)) = split_frame(&mut buffer, Direction::Backend, BYTES_MAX) {
        let _ = BackendMessage::decode(&frame);
    }
    let mut scanner = BackendScanner::new();
    let mut walk = scanner.walk(bytes);
    walk.by_ref().for_each(drop);
    assert!(walk.forwardable() <= bytes.len());
    let _ = split_startup(&mut BytesMut::from(bytes));
}

/// Puts `body` behind a header that is true, so that the decoders and not the splitter have to cope.
fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &len.to_be_bytes()[..], body].concat()
}

proptest! {
    #[test]
    fn frontend_messages_survive_any_split(
        messages in vec(generate::frontend(), 1..6),
        size in 1_usize..40,
    ) {
        let mut stream = BytesMut::new();
        for message in &messages {
            message.encode(&mut stream).unwrap();
        }
        let frames = frames(&stream, size, Direction::Frontend);
        let raw: Vec<u8> = frames.iter().flat_map(|frame| frame.raw().to_vec()).collect();
        prop_assert_eq!(&raw, &stream);
        let decoded: Vec<_> = frames.iter().map(|frame| FrontendMessage::decode(frame).unwrap()).collect();
        prop_assert!(decoded == messages, "{decoded:?} is not {messages:?}");
    }

    #[test]
    fn backend_messages_survive_any_split(
        messages in vec(generate::backend(), 1..6),
        size in 1_usize..40,
    ) {
        let mut stream = BytesMut::new();
        for message in &messages {
            message.encode(&mut stream).unwrap();
        }
        let frames = frames(&stream, size, Direction::Backend);
        let decoded: Vec<_> = frames.iter().map(|frame| BackendMessage::decode(frame).unwrap()).collect();
        prop_assert!(decoded == messages, "{decoded:?} is not {messages:?}");
        for frame in &frames {
            let body = frame.body();
            prop_assert!(BackendMessage::decode_parts(frame.tag(), &body).is_ok());
        }
    }

    #[test]
    fn the_scanner_sees_all_but_bulk_at_any_split(
        messages in vec(generate::backend(), 1..10),
        size in 1_usize..40,
    ) {
        let mut stream = BytesMut::new();
        let mut control = Vec::new();
        for message in &messages {
            let start = stream.len();
            message.encode(&mut stream).unwrap();
            if !b"DdV".contains(&message.tag()) {
                control.push(stream[start..].to_vec());
            }
        }
        let mut scanner = BackendScanner::new();
        let (mut seen, mut passed, mut buffer) = (Vec::new(), Vec::new(), BytesMut::new());
        for piece in stream.chunks(size) {
            buffer.extend_from_slice(piece);
            let mut walk = scanner.walk(&buffer);
            for frame in &mut walk {
                seen.push(frame.unwrap().raw.to_vec());
            }
            let done = walk.forwardable();
            passed.extend_from_slice(&buffer.split_to(done));
        }
        prop_assert_eq!(seen, control);
        prop_assert_eq!(&passed, &stream);
        prop_assert!(!scanner.in_bulk());
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        decode_all(&bytes);
    }

    #[test]
    fn random_bodies_never_panic(tag: u8, body in vec(prop_oneof![Just(0_u8), any::<u8>()], 0..60)) {
        decode_all(&framed(tag, &body));
    }

    #[test]
    fn mutated_messages_never_panic_and_never_decode_to_two_things(
        message in generate::frontend(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let mut stream = BytesMut::new();
        message.encode(&mut stream).unwrap();
        let mut body = stream[5..].to_vec();
        if !body.is_empty() {
            for (index, byte) in changes {
                let at = index.index(body.len());
                body[at] = byte;
            }
        }
        for end in [body.len(), cut.index(body.len() + 1)] {
            let bytes = framed(message.tag(), &body[..end]);
            decode_all(&bytes);
            let frame = frames(&bytes, bytes.len(), Direction::Frontend).remove(0);
            if let Ok(decoded) = FrontendMessage::decode(&frame) {
                // Strictness: whatever is accepted has exactly one spelling.
                let mut again = BytesMut::new();
                decoded.encode(&mut again).unwrap();
                prop_assert_eq!(&again[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn mutated_backend_messages_have_one_spelling_too(
        message in generate::backend(),
        at in any::<Index>(),
        byte: u8,
    ) {
        let mut stream = BytesMut::new();
        message.encode(&mut stream).unwrap();
        let mut body = stream[5..].to_vec();
        if !body.is_empty() {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let bytes = framed(message.tag(), &body);
        let frame = frames(&bytes, bytes.len(), Direction::Backend).remove(0);
        if let Ok(decoded) = BackendMessage::decode(&frame) {
            let mut again = BytesMut::new();
            decoded.encode(&mut again).unwrap();
            prop_assert_eq!(&again[..], &bytes[..]);
        }
    }

    #[test]
    fn no_part_of_a_message_passes_for_a_whole_one(message in generate::frontend(), cut in any::<Index>()) {
        let opaque = matches!(message, FrontendMessage::CopyData(_) | FrontendMessage::Authentication(_));
        let mut stream = BytesMut::new();
        message.encode(&mut stream).unwrap();
        let body = &stream[5..];
        prop_assume!(!opaque && !body.is_empty());
        let bytes = framed(message.tag(), &body[..cut.index(body.len())]);
        let frame = frames(&bytes, bytes.len(), Direction::Frontend).remove(0);
        prop_assert!(FrontendMessage::decode(&frame).is_err());
    }

    #[test]
    fn sasl_responses_survive_the_round_trip(data in proptest::option::of(vec(any::<u8>(), 0..40))) {
        let response = SaslInitialResponse {
            mechanism: crate::postgres::WireStr::from_static("SCRAM-SHA-256"),
            data: data.map(Bytes::from),
        };
        let mut stream = BytesMut::new();
        response.encode(&mut stream).unwrap();
        let frame = frames(&stream, 7, Direction::Frontend).remove(0);
        prop_assert_eq!(SaslInitialResponse::decode(frame.body()).unwrap(), response);
    }
}
