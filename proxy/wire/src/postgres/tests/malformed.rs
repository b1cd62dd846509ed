//! Each kind of damage to each message, with the exact words the client gets.

use std::fmt::Write as _;

use bytes::BytesMut;

use crate::postgres::{
    BackendMessage, Direction, EncodeError, Format, Frame, FrontendMessage, PasswordMessage,
    SaslInitialResponse, backend::CopyShape, split_frame,
};

fn frame(direction: Direction, tag: u8, body: &[u8]) -> Frame {
    let len = u32::try_from(body.len() + 4).unwrap();
    let bytes = [&[tag], &len.to_be_bytes()[..], body].concat();
    split_frame(&mut BytesMut::from(&bytes[..]), direction, 1 << 20)
        .unwrap()
        .unwrap()
}

#[test]
fn frontend_messages() {
    let table: &[(u8, &[u8])] = &[
        (b'Q', b""),
        (b'Q', b"SELECT 1"),
        (b'Q', b"SELECT 1\0; DROP\0"),
        (b'P', b"name"),
        (b'P', b"name\0sql"),
        (b'P', b"name\0sql\0"),
        (b'P', b"name\0sql\0\0\x01\0\0\0"),
        (b'P', b"name\0sql\0\0\0x"),
        (b'P', b"name\0sql\0\xff\xff"),
        (b'B', b"portal\0stmt"),
        (b'B', b"\0\0\0\x01\0\x02\0\0\0\0"),
        (b'B', b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        (b'B', b"\0\0\0\0\0\x01\0\0\0\x09abc\0\0"),
        (b'B', b"\0\0\0\0\0\x01\0\0\0\x03abc"),
        (b'B', b"\0\0\0\0\0\x01\0\0\0\x03abc\0\0x"),
        (b'D', b""),
        (b'D', b"Xname\0"),
        (b'D', b"Sname"),
        (b'C', b"Pname\0x"),
        (b'E', b"portal\0\0\0"),
        (b'E', b"portal\0\0\0\0\0x"),
        (b'S', b"x"),
        (b'H', b"x"),
        (b'X', b"x"),
        (b'c', b"x"),
        (b'f', b"reason"),
        (b'F', b"\0\0\0"),
        (b'F', b"\0\0\0\x01\0\0\0\x01\0\0\0\x01a"),
        (b'F', b"\0\0\0\x01\0\0\0\0\0\x07"),
    ];
    let mut lines = String::new();
    for (tag, body) in table {
        let error = FrontendMessage::decode(&frame(Direction::Frontend, *tag, body)).unwrap_err();
        assert_eq!(error.to_fields().sqlstate().unwrap().as_str(), "08P01");
        writeln!(lines, "{}", error).unwrap();
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn backend_messages() {
    let table: &[(u8, &[u8])] = &[
        (b'R', b"\0\0"),
        (b'R', b"\0\0\0\0x"),
        (b'R', b"\0\0\0\x05ab"),
        (b'R', b"\0\0\0\x0aSCRAM-SHA-256\0"),
        (b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0x"),
        (b'K', b"\0\0\0\x01abc"),
        (b'S', b"name\0value"),
        (b'Z', b""),
        (b'Z', b"X"),
        (b'Z', b"IT"),
        (b'E', b"SERROR\0"),
        (b'E', b"SERROR"),
        (b'E', b"\0x"),
        (b'N', &[b"Xx\0".repeat(65), vec![0]].concat()),
        (b'T', b"\0\x01name\0"),
        (b'T', b"\xff\xff"),
        (b'D', b"\0\x02\0\0\0\0"),
        (b'D', b"\0\x01\0\0\0\x05abc"),
        (b'D', b"\0\x01\x80\0\0\0"),
        (b'C', b"DELETE 1"),
        (b'1', b"x"),
        (b'G', b"\x02\0\0"),
        (b'G', b"\0\0\x01\0\x09"),
        (b't', b"\0\x01\0\0"),
        (b'A', b"\0\0\0\x01a\0b"),
        (b'V', b"\0\0\0\x05abc"),
        (b'v', b"\0\x03\0\0\xff\xff\xff\xff"),
        (b'v', b"\0\x03\0\0\x7f\xff\xff\xff"),
    ];
    let mut lines = String::new();
    for (tag, body) in table {
        let error = BackendMessage::decode(&frame(Direction::Backend, *tag, body)).unwrap_err();
        writeln!(lines, "{}", error).unwrap();
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn password_messages() {
    for body in [&b""[..], b"secret", b"secret\0x"] {
        let body = frame(Direction::Frontend, b'p', body).body();
        assert!(PasswordMessage::decode(body).is_err());
    }
    for body in [
        &b""[..],
        b"SCRAM-SHA-256\0",
        b"X\0\0\0\0\x05abc",
        b"X\0\xff\xff\xff\xffx",
    ] {
        let body = frame(Direction::Frontend, b'p', body).body();
        assert!(SaslInitialResponse::decode(body).is_err());
    }
}

#[test]
fn what_does_not_fit_its_count_is_not_written() {
    let mut out = BytesMut::from(&b"before"[..]);
    let message = BackendMessage::CopyInResponse(CopyShape {
        overall: Format::Text,
        columns: vec![Format::Text; 65_536],
    });
    let error = message.encode(&mut out).unwrap_err();
    assert!(matches!(error, EncodeError::TooLong { len: 65_536, .. }));
    assert_eq!(&out[..], b"before");
}
