//! Malformed bytes at every stage: a clear end, nothing run, and everybody else undisturbed.

use abeyance_e2e::{
    Abeyance, Config, Database, PROTOCOL_3_0, Postgres, RawClient, Reply, message,
    postgres::{PASSWORD, User},
};
use anyhow::{Context, Result, bail, ensure};

struct Door {
    abeyance: Abeyance,
    database: Database,
}

impl Door {
    async fn open(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let database = Postgres::start().await?.database().await?;
        let mut config = Config::for_database(&database);
        change(&mut config);
        let abeyance = Abeyance::serve(&config).await?;
        Ok(Self { abeyance, database })
    }

    async fn stranger(&self) -> Result<RawClient> {
        RawClient::connect(self.abeyance.proxy()?).await
    }

    async fn client(&self) -> Result<RawClient> {
        RawClient::log_in(
            self.abeyance.proxy()?,
            User::Scram.name(),
            &self.database.name,
            PASSWORD,
        )
        .await
    }

    /// Nothing reached the target, and a well-behaved client is served.
    async fn stands(&self) -> Result<()> {
        self.database.never_saw("evil").await?;
        let replies = self.client().await?.query("SELECT 'fine'").await?;
        ensure!(replies.iter().any(|reply| reply.tag == b'D'), "{replies:?}");
        Ok(())
    }
}

/// Reads until the proxy closes; the last error on the way.
async fn farewell(client: &mut RawClient) -> Result<Reply> {
    let mut error = None;
    loop {
        match client.next().await? {
            Some(reply) if reply.tag == b'E' => error = Some(reply),
            Some(reply) if reply.tag == b'D' => bail!("a row came back: {reply:?}"),
            Some(_) => {}
            None => return error.context("closed without a word"),
        }
    }
}

async fn ends_with(client: &mut RawClient, sqlstate: &str) -> Result<()> {
    let error = farewell(client).await?;
    let severity = error.field(b'V').unwrap_or_default();
    ensure!(
        severity == "FATAL" && error.sqlstate().as_deref() == Some(sqlstate),
        "expected FATAL {sqlstate}: {error:?}"
    );
    Ok(())
}

fn startup(version: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(8 + body.len()).unwrap_or(i32::MAX);
    [
        length.to_be_bytes().as_slice(),
        &version.to_be_bytes(),
        body,
    ]
    .concat()
}

#[tokio::test]
async fn malformed_startup_packets() {
    let door = Door::open(|_| {}).await.unwrap();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("length 0", vec![0, 0, 0, 0], "08P01"),
        ("length 7", vec![0, 0, 0, 7, 0, 3, 0, 0], "08P01"),
        ("length 10001", vec![0, 0, 0x27, 0x11, 0, 3, 0, 0], "08P01"),
        (
            "length negative",
            vec![0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0],
            "08P01",
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "08P01",
        ),
        ("protocol 2.0", startup(2 << 16, b"user\0x\0\0"), "0A000"),
        ("protocol 4.0", startup(4 << 16, b"user\0x\0\0"), "0A000"),
        ("no terminator", startup(PROTOCOL_3_0, b"user\0x"), "08P01"),
        (
            "a name without a value",
            startup(PROTOCOL_3_0, b"user\0\0"),
            "08P01",
        ),
        (
            "bytes behind the terminator",
            startup(PROTOCOL_3_0, b"user\0x\0\0evil"),
            "08P01",
        ),
        (
            "no user",
            startup(PROTOCOL_3_0, b"database\0x\0\0"),
            "28000",
        ),
        ("nothing at all", startup(PROTOCOL_3_0, b""), "08P01"),
    ];
    for (what, bytes, sqlstate) in cases {
        let mut client = door.stranger().await.unwrap();
        client.send(&bytes).await.unwrap();
        ends_with(&mut client, sqlstate)
            .await
            .with_context(|| what)
            .unwrap();
    }
    door.stands().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let door = Door::open(|config| {
        config.limits.insert("startup_timeout", "\"1s\"".to_owned());
    })
    .await
    .unwrap();
    let mut silent = door.stranger().await.unwrap();
    let mut slow = door.stranger().await.unwrap();
    slow.send(&[0, 0, 0]).await.unwrap();
    let mut half = door.stranger().await.unwrap();
    half.startup_only(User::Scram.name(), &door.database.name)
        .await
        .unwrap();
    for client in [&mut silent, &mut slow, &mut half] {
        while client.next().await.unwrap().is_some() {}
    }
    // Closing at once is nobody's fault.
    drop(door.stranger().await.unwrap());
    door.stands().await.unwrap();
}

#[tokio::test]
async fn messages_before_the_login_do_not_run() {
    let door = Door::open(|_| {}).await.unwrap();
    let query = message(b'Q', b"SELECT 'evil'\0");
    // Straight after the startup packet, instead of a proof.
    let mut client = door.stranger().await.unwrap();
    client
        .startup_only(User::Scram.name(), &door.database.name)
        .await
        .unwrap();
    client.send(&query).await.unwrap();
    let error = farewell(&mut client).await.unwrap();
    assert!(
        matches!(
            error.sqlstate().as_deref(),
            Some("08P01" | "28P01" | "28000")
        ),
        "{error:?}"
    );
    // In one piece with the startup packet.
    let mut client = door.stranger().await.unwrap();
    let body = format!(
        "user\0{}\0database\0{}\0\0",
        User::Scram.name(),
        door.database.name
    );
    client
        .send(&[startup(PROTOCOL_3_0, body.as_bytes()), query.clone()].concat())
        .await
        .unwrap();
    farewell(&mut client).await.unwrap();
    // A SASL message of every malformed kind.
    for body in [
        &b""[..],
        b"SCRAM-SHA-256",
        b"SCRAM-SHA-256\0\xff\xff\xff\xff",
        b"SCRAM-SHA-256\0\0\0\xff\xffn,,n=,r=x",
        b"NOPE\0\0\0\0\0",
    ] {
        let mut client = door.stranger().await.unwrap();
        client
            .startup_only(User::Scram.name(), &door.database.name)
            .await
            .unwrap();
        client.send(&message(b'p', body)).await.unwrap();
        let error = farewell(&mut client)
            .await
            .with_context(|| format!("{body:?}"))
            .unwrap();
        assert!(
            matches!(
                error.sqlstate().as_deref(),
                Some("08P01" | "28P01" | "28000")
            ),
            "{body:?}: {error:?}"
        );
    }
    door.stands().await.unwrap();
}

/// Well-formed bodies of every message a frontend sends.
fn bodies() -> Vec<(u8, &'static [u8])> {
    vec![
        (b'B', b"\0\0\0\0\0\0\0\0"),
        (b'C', b"Sevil\0"),
        (b'D', b"Sevil\0"),
        (b'E', b"evil\0\0\0\0\0"),
        (b'F', b"\0\0\0\x01\0\0\0\0\0\0"),
        (b'H', b""),
        (b'P', b"\0SELECT 'evil'\0\0\0"),
        (b'Q', b"SELECT 'evil'\0"),
        (b'S', b""),
        (b'X', b""),
        (b'c', b""),
        (b'd', b"evil"),
        (b'f', b"evil\0"),
    ]
}

/// A message, and Sync behind it where the group is read as one.
fn group(tag: u8, body: &[u8]) -> Vec<u8> {
    let sync = if b"BCDEPH".contains(&tag) {
        message(b'S', b"")
    } else {
        Vec::new()
    };
    [message(tag, body), sync].concat()
}

#[tokio::test]
async fn messages_with_an_impossible_length() {
    let door = Door::open(|_| {}).await.unwrap();
    for (tag, _) in bodies() {
        for length in [0_u32, 3, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff] {
            let mut client = door.client().await.unwrap();
            let header = [&[tag][..], &length.to_be_bytes()].concat();
            client
                .send(&[header, b"SELECT 'evil'\0".to_vec()].concat())
                .await
                .unwrap();
            let what = || format!("{} with length {length:#x}", char::from(tag));
            // Two gigabytes are well-formed, and more than anybody may send.
            let too_much = length == 0x7fff_ffff;
            let sqlstate = if too_much { "54000" } else { "08P01" };
            ends_with(&mut client, sqlstate)
                .await
                .with_context(what)
                .unwrap();
        }
    }
    door.stands().await.unwrap();
}

#[tokio::test]
async fn messages_that_stop_in_the_middle() {
    let door = Door::open(|_| {}).await.unwrap();
    for (tag, body) in bodies() {
        let whole = message(tag, body);
        let mut client = door.client().await.unwrap();
        client.send(&whole[..whole.len() - 1]).await.unwrap();
        client.finish().await.unwrap();
        // Nobody is left to tell: the end is enough.
        while client.next().await.unwrap().is_some() {}
    }
    door.stands().await.unwrap();
}

#[tokio::test]
async fn messages_with_bytes_too_many() {
    let door = Door::open(|_| {}).await.unwrap();
    for (tag, body) in bodies() {
        // Terminate needs no body; outside COPY its messages are not looked at, as in the server.
        if b"Xcdf".contains(&tag) {
            continue;
        }
        let mut client = door.client().await.unwrap();
        client
            .send(&group(tag, &[body, b"evil"].concat()))
            .await
            .unwrap();
        ends_with(&mut client, "08P01")
            .await
            .with_context(|| char::from(tag).to_string())
            .unwrap();
    }
    door.stands().await.unwrap();
}

#[tokio::test]
async fn messages_with_bytes_too_few() {
    let door = Door::open(|_| {}).await.unwrap();
    for (tag, body) in bodies() {
        if body.is_empty() || b"cdf".contains(&tag) {
            continue;
        }
        let mut client = door.client().await.unwrap();
        client
            .send(&group(tag, &body[..body.len() - 1]))
            .await
            .unwrap();
        ends_with(&mut client, "08P01")
            .await
            .with_context(|| char::from(tag).to_string())
            .unwrap();
    }
    door.stands().await.unwrap();
}

#[tokio::test]
async fn malformed_messages_inside_copy() {
    let door = Door::open(|_| {}).await.unwrap();
    for (what, bytes) in [
        ("CopyFail without its end", message(b'f', b"evil")),
        ("a message nobody knows", message(b'z', b"evil")),
    ] {
        let mut client = door.client().await.unwrap();
        client.start_query("COPY rooms FROM STDIN").await.unwrap();
        client.until(b'G').await.unwrap();
        client.send(&message(b'd', b"EVIL\t9\t9\n")).await.unwrap();
        client.send(&bytes).await.unwrap();
        let replies = client.until(b'E').await.with_context(|| what).unwrap();
        let error = replies.last().unwrap();
        assert_eq!(
            error.sqlstate().as_deref(),
            Some("08P01"),
            "{what}: {error:?}"
        );
    }
    assert_eq!(
        door.database
            .number("SELECT count(*) FROM rooms WHERE floor = 9")
            .await
            .unwrap(),
        0
    );
    door.stands().await.unwrap();
}

#[tokio::test]
async fn messages_with_lying_counts_and_kinds() {
    let door = Door::open(|_| {}).await.unwrap();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a tag nobody knows", message(b'z', b"evil")),
        ("a tag of zero", message(0, b"evil")),
        ("a password after the login", message(b'p', b"evil\0")),
        ("a server's message", message(b'Z', b"I")),
        (
            "Bind with 65535 formats",
            group(b'B', b"\0\0\xff\xff\0\0\0\0"),
        ),
        (
            "Bind with 32767 values",
            group(b'B', b"\0\0\0\0\x7f\xff\0\0"),
        ),
        (
            "Bind with a value of length -2",
            group(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        ),
        (
            "Bind with a value longer than the message",
            group(b'B', b"\0\0\0\0\0\x01\0\0\xff\xff\0\0"),
        ),
        (
            "Parse with 65535 types",
            group(b'P', b"\0SELECT 'evil'\0\xff\xff"),
        ),
        ("Describe of neither S nor P", group(b'D', b"Xevil\0")),
        ("Close of neither S nor P", group(b'C', b"Xevil\0")),
        (
            "FunctionCall with lying counts",
            message(b'F', b"\0\0\0\x01\xff\xff\0\0\0\0"),
        ),
        (
            "Query with a NUL inside",
            message(b'Q', b"SELECT 1\0; SELECT 'evil'\0"),
        ),
    ];
    for (what, bytes) in cases {
        let mut client = door.client().await.unwrap();
        client.send(&bytes).await.unwrap();
        ends_with(&mut client, "08P01")
            .await
            .with_context(|| what)
            .unwrap();
    }
    door.stands().await.unwrap();
}

#[tokio::test]
async fn oversized_messages_are_refused_before_they_arrive() {
    let door = Door::open(|_| {}).await.unwrap();
    let before = door.abeyance.resident_bytes().unwrap();
    for tag in [b'Q', b'P', b'B', b'd'] {
        let mut client = door.client().await.unwrap();
        let header = [&[tag][..], &(1_u32 << 30).to_be_bytes()].concat();
        client.send(&header).await.unwrap();
        let error = farewell(&mut client)
            .await
            .with_context(|| char::from(tag).to_string())
            .unwrap();
        assert!(
            matches!(error.sqlstate().as_deref(), Some("08P01" | "54000")),
            "{error:?}"
        );
    }
    let grown = door
        .abeyance
        .resident_bytes()
        .unwrap()
        .saturating_sub(before);
    assert!(
        grown < 64 << 20,
        "{grown} bytes for messages that were never read"
    );
    door.stands().await.unwrap();
}

#[tokio::test]
async fn what_comes_behind_a_held_statement_is_bounded() {
    let door = Door::open(|_| {}).await.unwrap();
    let mut client = door.client().await.unwrap();
    client
        .start_query("DELETE FROM rooms WHERE room = 'evil'")
        .await
        .unwrap();
    client.until(b'N').await.unwrap();
    let flood = message(
        b'Q',
        &[&b"SELECT '"[..], &vec![b'x'; 100_000], b"'\0"].concat(),
    );
    let mut refused = None;
    for _ in 0..1000 {
        if client.send(&flood).await.is_err() {
            break;
        }
        if let Ok(Some(reply)) = client
            .next_within(std::time::Duration::from_millis(1))
            .await
        {
            refused = Some(reply);
            break;
        }
    }
    if let Some(reply) = refused {
        assert!(
            matches!(reply.sqlstate().as_deref(), Some("54000")),
            "{reply:?}"
        );
    }
    assert!(door.abeyance.resident_bytes().unwrap() < 512 << 20);
    drop(client);
    door.stands().await.unwrap();
}
