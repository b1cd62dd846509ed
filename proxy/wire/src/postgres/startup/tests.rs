use super::*;

fn packet(code: u32, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u32(u32::try_from(body.len() + 8).unwrap());
    out.put_u32(code);
    out.put_slice(body);
    out
}

fn startup(body: &[u8]) -> Result<StartupMessage, StartupError> {
    match split_startup(&mut packet(0x0003_0000, body)) {
        Ok(Some(StartupPacket::Startup(message))) => Ok(message),
        Ok(other) => panic!("not a startup message: {other:?}"),
        Err(error) => Err(error),
    }
}

#[test]
fn a_usual_startup_is_taken_apart() {
    let message = startup(
        b"user\0bot\0database\0clinic\0application_name\0psql\0options\0-c a=b\0_pq_.x\0on\0\0",
    )
    .unwrap();
    assert_eq!(message.version(), ProtocolVersion::V3_0);
    assert_eq!((message.user(), message.database()), ("bot", "clinic"));
    assert_eq!(message.parameter("options"), Some("-c a=b"));
    assert_eq!(message.parameters().count(), 2);
    assert_eq!(
        message.protocol_options().collect::<Vec<_>>(),
        [("_pq_.x", "on")]
    );
}

#[test]
fn the_database_defaults_to_the_user() {
    assert_eq!(startup(b"user\0bot\0\0").unwrap().database(), "bot");
    assert_eq!(
        startup(b"user\0bot\0database\0\0\0").unwrap().database(),
        "bot"
    );
}

#[test]
fn malformed_startups_are_refused_with_their_reason() {
    let table: [(&[u8], StartupError); 11] = [
        (b"", StartupError::Terminator),
        (b"user\0bot", StartupError::Terminator),
        (b"user\0bot\0", StartupError::Terminator),
        (b"user\0bot\0\0extra\0", StartupError::Terminator),
        (b"user\0bot\0database\0", StartupError::MissingValue),
        (b"user\0", StartupError::MissingValue),
        (b"\0", StartupError::NoUser),
        (b"user\0\0\0", StartupError::NoUser),
        (b"database\0x\0\0", StartupError::NoUser),
        (
            b"user\0a\0user\0b\0\0",
            StartupError::Duplicate {
                name: "user".into(),
            },
        ),
        (b"user\0\xff\0\0", StartupError::NotUtf8),
    ];
    for (body, error) in table {
        let got = startup(body).unwrap_err();
        assert_eq!(got, error, "{:?}", String::from_utf8_lossy(body));
        assert_eq!(
            got.to_fields().severity(),
            Some(crate::postgres::Severity::Fatal)
        );
    }
}

#[test]
fn lengths_are_judged_from_four_bytes() {
    for word in [0_i32, 4, 7, 10_001, -1, i32::MAX, i32::MIN] {
        let mut buffer = BytesMut::from(&word.to_be_bytes()[..]);
        assert_eq!(
            split_startup(&mut buffer),
            Err(StartupError::Length { bytes: word })
        );
    }
    let mut tls = BytesMut::from(&b"\x16\x03\x01\x02\x00"[..]);
    assert!(is_direct_tls(&tls));
    assert!(split_startup(&mut tls).is_err());
    assert_eq!(split_startup(&mut BytesMut::from(&b"\0\0\0"[..])), Ok(None));
    assert_eq!(
        split_startup(&mut BytesMut::from(&b"\0\0\0\x08\x04\xd2"[..])),
        Ok(None)
    );
}

#[test]
fn encryption_requests_stand_alone() {
    for (code, wanted) in [
        (SSL_REQUEST, StartupPacket::SslRequest),
        (GSSENC_REQUEST, StartupPacket::GssEncRequest),
    ] {
        assert_eq!(split_startup(&mut packet(code, b"")), Ok(Some(wanted)));
        let mut stuffed = packet(code, b"");
        stuffed.put_slice(b"user");
        assert_eq!(
            split_startup(&mut stuffed),
            Err(StartupError::BytesBehindEncryptionRequest)
        );
        assert!(split_startup(&mut packet(code, b"x")).is_err());
    }
}

#[test]
fn cancel_requests_take_keys_of_both_versions() {
    for len in [4, 32, 256] {
        let request = CancelRequest {
            process_id: 7,
            key: CancelKey::new(&vec![9; len]).unwrap(),
        };
        let mut bytes = BytesMut::new();
        request.encode(&mut bytes);
        assert_eq!(
            split_startup(&mut bytes),
            Ok(Some(StartupPacket::Cancel(request)))
        );
    }
    for len in [0, 3, 7, 261] {
        let got = split_startup(&mut packet(CANCEL_REQUEST, &vec![0; len]));
        let key = len.saturating_sub(4);
        assert_eq!(got, Err(StartupError::CancelKey { bytes: key }), "{len}");
    }
}

#[test]
fn other_major_versions_are_refused() {
    for word in [0x0002_0000, 0x0004_0000, 80_877_101] {
        let got = split_startup(&mut packet(word, b"user\0bot\0\0")).unwrap_err();
        assert!(matches!(got, StartupError::Version { .. }), "{word:#x}");
        assert_eq!(got.sqlstate(), SqlState::FEATURE_NOT_SUPPORTED);
    }
}

#[test]
fn versions_are_negotiated_down_and_options_named() {
    let table: [(u32, &[u8], ProtocolVersion, Option<usize>); 6] = [
        (0x0003_0000, b"user\0a\0\0", ProtocolVersion::V3_0, None),
        (0x0003_0001, b"user\0a\0\0", ProtocolVersion::V3_0, Some(0)),
        (0x0003_0002, b"user\0a\0\0", ProtocolVersion::V3_2, None),
        (0x0003_270f, b"user\0a\0\0", ProtocolVersion::V3_2, Some(0)),
        (
            0x0003_0000,
            b"user\0a\0_pq_.x\0on\0\0",
            ProtocolVersion::V3_0,
            Some(1),
        ),
        (
            0x0003_270f,
            b"user\0a\0_pq_.x\0on\0_pq_.y\0on\0\0",
            ProtocolVersion::V3_2,
            Some(2),
        ),
    ];
    for (word, body, version, options) in table {
        let Ok(Some(StartupPacket::Startup(message))) = split_startup(&mut packet(word, body))
        else {
            panic!("{word:#x} was not taken");
        };
        let settled = message.negotiate();
        assert_eq!(settled.version, version);
        let named = settled.reply.map(|reply| match reply {
            BackendMessage::NegotiateProtocolVersion {
                newest,
                unknown_options,
            } => {
                assert_eq!(newest, version);
                unknown_options.len()
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(named, options, "{word:#x}");
    }
}

#[test]
fn what_is_encoded_is_read_back() {
    let message = StartupMessage::new(ProtocolVersion::V3_2, "app", "clinic")
        .with_parameter("application_name", "abeyance")
        .with_parameter("search_path", "");
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes).unwrap();
    assert_eq!(
        split_startup(&mut bytes),
        Ok(Some(StartupPacket::Startup(message)))
    );
}

#[test]
fn what_cannot_be_encoded_leaves_nothing_behind() {
    let mut bytes = BytesMut::from(&b"before"[..]);
    let nul = StartupMessage::new(ProtocolVersion::V3_0, "a\0b", "x");
    assert_eq!(nul.encode(&mut bytes), Err(EncodeError::ContainsNul));
    let long = StartupMessage::new(ProtocolVersion::V3_0, "a", "x")
        .with_parameter("options", &"x".repeat(STARTUP_PACKET_BYTES_MAX));
    assert!(long.encode(&mut bytes).is_err());
    assert_eq!(&bytes[..], b"before");
}
