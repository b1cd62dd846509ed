//! Start-up, malformed messages and limits: a clear FATAL where the protocol allows, and nothing runs.

use std::time::Duration;

use crate::support::{
    Client, Fixture, PASSWORD,
    client::{bind, execute, parse, query, state},
};
use abeyance_gateway::Limits;
use abeyance_wire::postgres::{
    BackendMessage, FrontendMessage, ProtocolVersion, StartupMessage, TransactionStatus,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

fn startup() -> StartupMessage {
    StartupMessage::new(ProtocolVersion::V3_0, "bot", "clinic")
}

#[tokio::test]
async fn encryption_is_declined_when_it_is_not_configured() {
    let fixture = Fixture::start().await;
    let mut client = Client::raw(fixture.address).await;
    for request in [SSL_REQUEST, GSS_REQUEST] {
        client.stream.write_all(&request).await.unwrap();
        assert_eq!(client.stream.read_u8().await.unwrap(), b'N');
    }
    client.startup(&startup()).await;
    let (_target, ()) = tokio::join!(fixture.target.accept(), async {
        client.authenticate(PASSWORD).await.unwrap();
        client.ready().await;
    });
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn bytes_behind_an_encryption_request_are_refused() {
    let fixture = Fixture::start().await;
    let mut client = Client::raw(fixture.address).await;
    let mut bytes = SSL_REQUEST.to_vec();
    bytes.extend_from_slice(b"Q\0\0\0\x0dselect 1\0");
    client.stream.write_all(&bytes).await.unwrap();
    assert_eq!(state(&client.error().await), "08P01");
    assert!(client.next().await.is_none());
    fixture.stop().await;
}

#[tokio::test]
async fn bad_startup_packets_are_named() {
    for (bytes, expected) in [
        (&b"\0\0\0\x04"[..], "08P01"),
        (b"\x7f\xff\xff\xff", "08P01"),
        (b"GET / HTTP/1.1\r\n\r\n", "08P01"),
        (b"\0\0\0\x08\0\x02\0\0", "0A000"),
        (b"\0\0\0\x09\0\x03\0\0\0", "28000"),
        (b"\0\0\0\x0e\0\x03\0\0user\0x", "08P01"),
    ] {
        let fixture = Fixture::start().await;
        let mut client = Client::raw(fixture.address).await;
        client.stream.write_all(bytes).await.unwrap();
        assert_eq!(state(&client.error().await), expected, "{bytes:?}");
        assert!(client.next().await.is_none());
        fixture.stop().await;
    }
}

#[tokio::test]
async fn version_3_2_and_unknown_options_are_negotiated() {
    let fixture = Fixture::start().await;
    let mut client = Client::raw(fixture.address).await;
    let newer = ProtocolVersion { major: 3, minor: 9 };
    let message = StartupMessage::new(newer, "bot", "clinic");
    client.startup(&message).await;
    assert!(matches!(
        client.receive().await,
        BackendMessage::NegotiateProtocolVersion {
            newest: ProtocolVersion::V3_2,
            ..
        }
    ));
    let (_target, ()) = tokio::join!(fixture.target.accept(), async {
        client.authenticate(PASSWORD).await.unwrap();
        client.ready().await;
    });
    assert_eq!(client.key.as_ref().unwrap().1.as_bytes().len(), 32);
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn wrong_names_and_passwords_look_the_same() {
    let fixture = Fixture::start().await;
    let mut texts = Vec::new();
    for user in ["bot", "nobody"] {
        let mut client = Client::raw(fixture.address).await;
        client
            .startup(&StartupMessage::new(ProtocolVersion::V3_0, user, "clinic"))
            .await;
        let error = client.authenticate("wrong").await.unwrap_err();
        assert_eq!(state(&error), "28P01");
        texts.push(error.message().replace(user, "?"));
    }
    assert_eq!(texts[0], texts[1]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_target_that_is_not_there_is_not_told_apart_from_one_that_is_forbidden() {
    let fixture = Fixture::start().await;
    let mut client = Client::raw(fixture.address).await;
    client
        .startup(&StartupMessage::new(
            ProtocolVersion::V3_0,
            "bot",
            "payroll",
        ))
        .await;
    client.authenticate(PASSWORD).await.unwrap();
    assert_eq!(state(&client.error().await), "3D000");
    fixture.stop().await;
}

#[tokio::test]
async fn settings_beyond_the_list_are_refused() {
    let fixture = Fixture::start().await;
    for (name, value) in [
        ("session_authorization", "root"),
        ("replication", "true"),
        ("client_encoding", "SJIS"),
    ] {
        let mut client = Client::raw(fixture.address).await;
        client.startup(&startup().with_parameter(name, value)).await;
        let error = client.error().await;
        assert!(
            ["0A000", "22023"].contains(&state(&error).as_str()),
            "{name}"
        );
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_dropped() {
    let limits = Limits {
        startup_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let mut client = Client::raw(fixture.address).await;
    client.next().await;
    assert!(client.next().await.is_none());
    fixture.stop().await;
}

#[tokio::test]
async fn one_session_too_many_is_told_so() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let (first, target) = fixture.connect().await;
    let _target = target.spawn();
    let mut second = Client::raw(fixture.address).await;
    second.startup(&startup()).await;
    assert_eq!(state(&second.error().await), "53300");
    drop(first);
    fixture.stop().await;
}

#[tokio::test]
async fn malformed_messages_end_the_session_and_run_nothing() {
    let cases: &[(&[u8], &str)] = &[
        (b"Q\0\0\0\x03", "08P01"),
        (b"Q\x7f\xff\xff\xff", "54000"),
        (b"Q\0\0\0\x09abc", "none"),
        (b"Q\0\0\0\x07abc", "08P01"),
        (b"P\0\0\0\x09\0SEL\0S\0\0\0\x04", "08P01"),
        (b"B\0\0\0\x08\0\0\xff\xffS\0\0\0\x04", "08P01"),
        (b"E\0\0\0\x06\0\0S\0\0\0\x04", "08P01"),
        (b"D\0\0\0\x06Z\0S\0\0\0\x04", "08P01"),
        (b"C\0\0\0\x06Z\0S\0\0\0\x04", "08P01"),
        (b"S\0\0\0\x05x", "08P01"),
        (b"z\0\0\0\x04", "08P01"),
        (b"p\0\0\0\x05x", "08P01"),
    ];
    for (bytes, expected) in cases {
        let fixture = Fixture::start().await;
        let (mut client, target) = fixture.connect().await;
        let target = target.spawn();
        client.stream.write_all(bytes).await.unwrap();
        if *expected == "none" {
            // Truncated: there is nobody to tell after the hang-up.
            client.stream.shutdown().await.unwrap();
        } else {
            assert_eq!(state(&client.error().await), *expected, "{bytes:?}");
        }
        assert!(client.next().await.is_none());
        let model = target.task.await.unwrap();
        assert!(model.ran.lock().unwrap().is_empty(), "{bytes:?}");
        fixture.stop().await;
    }
}

#[tokio::test]
async fn a_batch_over_its_bound_ends_the_session() {
    let limits = Limits {
        batch_bytes_max: 1000,
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client
        .send(&[query(&format!("SELECT '{}'", "x".repeat(2000)))])
        .await;
    assert_eq!(state(&client.error().await), "54000");
    let model = target.task.await.unwrap();
    assert!(model.ran.lock().unwrap().is_empty());
    fixture.stop().await;
}

#[tokio::test]
async fn names_are_bounded() {
    let limits = Limits {
        prepared_max: 4,
        ..Limits::default()
    };
    let fixture = Fixture::with(limits).await;
    let (mut client, target) = fixture.connect().await;
    let _target = target.spawn();
    for index in 0..4 {
        client
            .send(&[
                parse(&format!("s{index}"), "SELECT 1"),
                FrontendMessage::Sync,
            ])
            .await;
        assert_eq!(client.until_ready().await.0.len(), 1);
    }
    client
        .send(&[parse("one more", "SELECT 1"), FrontendMessage::Sync])
        .await;
    assert_eq!(state(&client.error().await), "54000");
    assert_eq!(client.ready().await, TransactionStatus::Idle);
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn function_calls_are_refused_with_a_hint() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client
        .stream
        .write_all(b"F\0\0\0\x0e\0\0\x04\xd2\0\0\0\0\0\0")
        .await
        .unwrap();
    let error = client.error().await;
    assert_eq!(state(&error), "0A000");
    assert!(error.get(b'H').is_some());
    assert_eq!(client.ready().await, TransactionStatus::Idle);
    assert!(target.ran().is_empty());
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn copy_data_outside_of_copy_is_dropped() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client
        .send(&[
            FrontendMessage::CopyData(bytes::Bytes::from_static(b"1\n")),
            FrontendMessage::CopyDone,
            query("SELECT 1"),
        ])
        .await;
    client.until_ready().await;
    assert_eq!(target.ran(), ["SELECT 1"]);
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn nothing_but_copy_data_reaches_the_target_during_copy() {
    let fixture = Fixture::start().await;
    let (mut client, mut target) = fixture.connect().await;
    client.send(&[query("COPY rooms FROM STDIN")]).await;
    assert!(matches!(
        target.receive().await,
        Some(FrontendMessage::Query(_))
    ));
    let shape = abeyance_wire::postgres::backend::CopyShape {
        overall: abeyance_wire::postgres::Format::Text,
        columns: Vec::new(),
    };
    target.send(&[BackendMessage::CopyInResponse(shape)]).await;
    client
        .send(&[
            FrontendMessage::CopyData(bytes::Bytes::from_static(b"1\n")),
            query("DELETE FROM rooms"),
        ])
        .await;
    assert!(matches!(
        target.receive().await,
        Some(FrontendMessage::CopyData(_))
    ));
    assert!(matches!(
        target.receive().await,
        Some(FrontendMessage::Terminate)
    ));
    let copy_in = client.receive().await;
    assert!(matches!(copy_in, BackendMessage::CopyInResponse(_)));
    assert_eq!(state(&client.error().await), "08P01");
    drop((client, target));
    fixture.stop().await;
}

#[tokio::test]
async fn a_query_behind_a_refused_group_is_skipped_up_to_sync() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    client
        .send(&[bind("", "nobody"), query("SELECT 1"), FrontendMessage::Sync])
        .await;
    let (replies, _) = client.until_ready().await;
    assert_eq!(replies.len(), 1);
    client.send(&[query("SELECT 2")]).await;
    client.until_ready().await;
    assert_eq!(target.ran(), ["SELECT 2"]);
    drop(client);
    fixture.stop().await;
}

/// The server holds CommandComplete back until Flush or Sync: the client's Sync waits behind it.
#[tokio::test]
async fn copy_by_the_extended_protocol_ends() {
    let fixture = Fixture::start().await;
    let (mut client, mut target) = fixture.connect().await;
    client
        .send(&[
            parse("", "COPY rooms FROM STDIN"),
            bind("", ""),
            execute(""),
            FrontendMessage::Sync,
        ])
        .await;
    for _ in 0..4 {
        target.receive().await.unwrap();
    }
    let shape = abeyance_wire::postgres::backend::CopyShape {
        overall: abeyance_wire::postgres::Format::Text,
        columns: Vec::new(),
    };
    target
        .send(&[
            BackendMessage::ParseComplete,
            BackendMessage::BindComplete,
            BackendMessage::CopyInResponse(shape),
        ])
        .await;
    client
        .send(&[
            FrontendMessage::CopyData(bytes::Bytes::from_static(b"1\n")),
            FrontendMessage::CopyDone,
            FrontendMessage::Sync,
        ])
        .await;
    assert!(matches!(
        target.receive().await,
        Some(FrontendMessage::CopyData(_))
    ));
    assert!(matches!(
        target.receive().await,
        Some(FrontendMessage::CopyDone)
    ));
    assert!(matches!(
        target.receive().await,
        Some(FrontendMessage::Flush)
    ));
    let tag = abeyance_wire::postgres::WireStr::from_static("COPY 1");
    let tag = abeyance_wire::postgres::backend::CommandTag::new(tag);
    target.send(&[BackendMessage::CommandComplete(tag)]).await;
    assert!(matches!(
        target.receive().await,
        Some(FrontendMessage::Sync)
    ));
    let ready = BackendMessage::ReadyForQuery(TransactionStatus::Idle);
    target.send(&[ready]).await;
    assert_eq!(client.until_ready().await.0.len(), 4);
    drop((client, target));
    fixture.stop().await;
}

#[tokio::test]
async fn a_long_pipeline_comes_through_in_order() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    let mut group = Vec::new();
    for index in 0..300 {
        group.push(parse("", &format!("SELECT {index}")));
        group.extend([bind("", ""), execute("")]);
        if index % 7 == 0 {
            group.push(FrontendMessage::Sync);
        }
    }
    group.push(FrontendMessage::Sync);
    client.send(&group).await;
    let mut ready = 0;
    while ready < 44 {
        client.until_ready().await;
        ready += 1;
    }
    let expected: Vec<_> = (0..300).map(|index| format!("SELECT {index}")).collect();
    assert_eq!(target.ran(), expected);
    drop(client);
    fixture.stop().await;
}
