//! Approved and rule-bound writes that change more than they may, and what a read-only agent's session is like
//! to its client: against a real PostgreSQL.

use std::sync::Arc;

use abeyance_api::Outcome;
use abeyance_e2e::{
    Database, Driver, PROTOCOL_3_0, Postgres, RawClient, Reply, message, postgres::User,
};
use abeyance_gateway::Unjudged;
use abeyance_policy::{Access, Decision, Matcher, Rule, RuleSet};
use abeyance_sql::StatementClass;
use anyhow::{Context, Result, anyhow, ensure};

use crate::inside::{
    self, Inside, capped, desk::Answer, extended, play, query, sqlstate, status, tags,
};

/// How the hint to a read-only agent's refused write begins.
const FLOOR_HINT: &str = "This agent's access is read-only, also";

struct Bench {
    database: Database,
    inside: Inside,
    client: RawClient,
}

impl Bench {
    async fn new(access: Access) -> Result<Self> {
        let server = Postgres::start().await?;
        let database = server.database().await?;
        let admin = database.admin().await?;
        admin
            .batch_execute(
                "CREATE TABLE parent (id int PRIMARY KEY);
                 CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
                 GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; ANALYZE",
            )
            .await?;
        let inside = Inside::start(&database, access, capped(true)?, None).await?;
        inside.desk.answer(Answer::Approve);
        let client = inside.connect().await?;
        Ok(Self {
            database,
            inside,
            client,
        })
    }

    async fn ask(&mut self, sql: &str) -> Result<Vec<Reply>> {
        self.send(&query(sql.as_bytes())).await
    }

    async fn ask_extended(&mut self, texts: &[&str]) -> Result<Vec<Reply>> {
        let mut bytes: Vec<u8> = texts
            .iter()
            .flat_map(|sql| extended(sql.as_bytes()))
            .collect();
        bytes.extend(message(b'S', b""));
        self.send(&bytes).await
    }

    /// Without the notices of waiting.
    async fn send(&mut self, bytes: &[u8]) -> Result<Vec<Reply>> {
        let mut replies = play(&mut self.client, bytes)
            .await?
            .context("the session ended")?;
        replies.retain(|reply| reply.tag != b'N');
        Ok(replies)
    }

    async fn rooms(&self) -> Result<i64> {
        self.database.number("SELECT count(*) FROM rooms").await
    }
}

fn outcome(bench: &Bench) -> Option<Outcome> {
    let events = bench.inside.desk.events();
    events.into_iter().rev().find_map(|event| match event {
        inside::desk::Event::Reported(outcome) => Some(outcome),
        _ => None,
    })
}

async fn undone(bench: &Bench) -> Result<()> {
    let told = abeyance_e2e::eventually("the outcome", || {
        let outcome = outcome(bench);
        async move { Ok(outcome) }
    })
    .await?;
    let Outcome::RolledBack { reason, .. } = &told else {
        anyhow::bail!("{told:?}");
    };
    ensure!(
        reason.contains("12 rows") && reason.contains("cap of 2"),
        "{reason}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_write_beyond_its_cap_is_undone() -> Result<()> {
    let mut bench = Bench::new(Access::ReadWrite).await?;
    let replies = bench.ask("DELETE FROM rooms").await?;
    ensure!(
        tags(&replies) == "EZ" && status(&replies) == 'I',
        "{replies:?}"
    );
    ensure!(
        sqlstate(&replies).as_deref() == Some("54000"),
        "{replies:?}"
    );
    undone(&bench).await?;
    ensure!(bench.rooms().await? == 12);

    let replies = bench.ask_extended(&["DELETE FROM rooms"]).await?;
    ensure!(
        tags(&replies) == "12nEZ" && status(&replies) == 'I',
        "{replies:?}"
    );
    ensure!(bench.rooms().await? == 12);

    // With RETURNING the rows were shown already, as they are before any late error.
    let replies = bench.ask("DELETE FROM rooms RETURNING room").await?;
    ensure!(
        tags(&replies) == format!("T{}EZ", "D".repeat(12)),
        "{replies:?}"
    );
    ensure!(bench.rooms().await? == 12);

    // The tag of a read that writes tells nothing; the target is asked.
    let hidden = "WITH gone AS (DELETE FROM rooms RETURNING *) SELECT count(*) FROM gone";
    let replies = bench.ask(hidden).await?;
    ensure!(tags(&replies) == "TDEZ", "{replies:?}");
    let replies = bench
        .ask("EXPLAIN (ANALYZE, COSTS OFF) DELETE FROM rooms")
        .await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("54000"),
        "{replies:?}"
    );
    ensure!(bench.rooms().await? == 12);

    let replies = bench
        .ask("DELETE FROM rooms WHERE room = 'R1'; SELECT 1")
        .await?;
    ensure!(
        tags(&replies) == "CTDCZ" && status(&replies) == 'I',
        "{replies:?}"
    );
    ensure!(bench.rooms().await? == 11);
    let replies = bench
        .ask_extended(&["DELETE FROM rooms WHERE room = 'R2'"])
        .await?;
    ensure!(
        tags(&replies) == "12nCZ" && status(&replies) == 'I',
        "{replies:?}"
    );
    ensure!(bench.rooms().await? == 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_a_transaction_it_fails_the_transaction() -> Result<()> {
    let mut bench = Bench::new(Access::ReadWrite).await?;
    bench.ask("BEGIN").await?;
    let replies = bench.ask("DELETE FROM rooms").await?;
    ensure!(
        tags(&replies) == "EZ" && status(&replies) == 'E',
        "{replies:?}"
    );
    undone(&bench).await?;
    let replies = bench.ask("SELECT 1").await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("25P02"),
        "{replies:?}"
    );
    let replies = bench.ask("COMMIT").await?;
    ensure!(status(&replies) == 'I', "{replies:?}");
    ensure!(bench.rooms().await? == 12);

    // The batch's own COMMIT is not sent before the count is known.
    for replies in [bench.ask("BEGIN; DELETE FROM rooms; COMMIT").await?, {
        bench.ask("ROLLBACK").await?;
        bench
            .ask_extended(&["BEGIN", "DELETE FROM rooms", "COMMIT"])
            .await?
    }] {
        ensure!(
            sqlstate(&replies).as_deref() == Some("54000"),
            "{replies:?}"
        );
        ensure!(status(&replies) == 'E', "{replies:?}");
    }
    bench.ask("ROLLBACK").await?;
    ensure!(bench.rooms().await? == 12);
    let replies = bench
        .ask("BEGIN; DELETE FROM rooms WHERE room = 'R1'; COMMIT")
        .await?;
    ensure!(
        tags(&replies) == "CCCZ" && status(&replies) == 'I',
        "{replies:?}"
    );
    ensure!(bench.rooms().await? == 11);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_is_the_answer() -> Result<()> {
    let mut bench = Bench::new(Access::ReadWrite).await?;
    bench
        .database
        .admin()
        .await?
        .batch_execute("INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)")
        .await?;
    let replies = bench.ask("DELETE FROM parent").await?;
    ensure!(
        tags(&replies) == "EZ" && status(&replies) == 'I',
        "{replies:?}"
    );
    ensure!(
        sqlstate(&replies).as_deref() == Some("23503"),
        "{replies:?}"
    );
    let replies = bench.ask("UPDATE child SET id = 2").await?;
    ensure!(tags(&replies) == "EZ", "{replies:?}");
    let replies = bench.ask("SELECT 1").await?;
    ensure!(tags(&replies) == "TDCZ", "{replies:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_limits_what_it_lets_pass() -> Result<()> {
    let mut bench = Bench::new(Access::ReadWrite).await?;
    let replies = bench.ask("UPDATE rooms SET beds = 9").await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("54000"),
        "{replies:?}"
    );
    ensure!(
        bench
            .database
            .number("SELECT count(*) FROM rooms WHERE beds = 9")
            .await?
            == 0
    );
    let replies = bench
        .ask("UPDATE rooms SET beds = 9 WHERE floor = 1")
        .await?;
    ensure!(tags(&replies) == "CZ", "{replies:?}");
    // Each statement has the whole cap.
    let two = [
        "UPDATE rooms SET beds = 9 WHERE room = 'R1'",
        "UPDATE rooms SET beds = 9 WHERE floor = 1",
    ];
    let replies = bench.ask_extended(&two).await?;
    ensure!(
        status(&replies) == 'I' && sqlstate(&replies).is_none(),
        "{replies:?}"
    );
    ensure!(bench.inside.desk.events().is_empty(), "nobody is asked");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_write_lifts_the_floor_for_itself_alone() -> Result<()> {
    let mut bench = Bench::new(Access::ReadOnly).await?;
    // Let pass by a rule, and refused by the target.
    let replies = bench
        .ask("UPDATE rooms SET beds = 9 WHERE room = 'R1'")
        .await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("25006") && tags(&replies) == "EZ",
        "{replies:?}"
    );
    let told = |replies: &[Reply], code| {
        let error = replies.iter().find(|reply| reply.tag == b'E');
        error.and_then(|error| error.field(code))
    };
    let (message, hint) = (told(&replies, b'M'), told(&replies, b'H'));
    ensure!(
        message.is_some_and(|text| text == "cannot execute UPDATE in a read-only transaction")
            && hint.is_some_and(|text| text.starts_with(FLOOR_HINT)),
        "{replies:?}"
    );
    // Other errors stay as they are.
    let replies = bench.ask("SELECT 1/(beds - beds) FROM rooms").await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("22012") && told(&replies, b'H').is_none(),
        "{replies:?}"
    );
    let replies = bench.ask("DELETE FROM rooms WHERE room = 'R1'").await?;
    ensure!(
        tags(&replies) == "CZ" && status(&replies) == 'I',
        "{replies:?}"
    );
    ensure!(bench.rooms().await? == 11);
    let replies = bench
        .ask("UPDATE rooms SET beds = 9 WHERE room = 'R2'")
        .await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("25006"),
        "{replies:?}"
    );
    let replies = bench.ask("DELETE FROM rooms").await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("54000"),
        "{replies:?}"
    );
    let replies = bench
        .ask_extended(&["DELETE FROM rooms WHERE room = 'R2'"])
        .await?;
    ensure!(tags(&replies) == "12nCZ", "{replies:?}");
    // What cannot run in a transaction.
    let replies = bench.ask("VACUUM rooms").await?;
    ensure!(
        tags(&replies) == "CZ" && status(&replies) == 'I',
        "{replies:?}"
    );
    let replies = bench.ask("SHOW default_transaction_read_only").await?;
    ensure!(
        replies.iter().any(|reply| reply.body.ends_with(b"on")),
        "{replies:?}"
    );
    let asked = bench.inside.desk.events().len();
    bench.ask("BEGIN").await?;
    let replies = bench.ask("DELETE FROM rooms WHERE room = 'R3'").await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("25006") && status(&replies) == 'E',
        "{replies:?}"
    );
    bench.ask("ROLLBACK").await?;
    let replies = bench
        .ask("BEGIN; DELETE FROM rooms WHERE room = 'R3'; COMMIT")
        .await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("25006"),
        "{replies:?}"
    );
    ensure!(
        bench.inside.desk.events().len() == asked,
        "nobody is asked in vain"
    );
    ensure!(bench.rooms().await? == 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_are_flushed_keep_their_transaction() -> Result<()> {
    let flush = message(b'H', b"");
    let flushed = |sql: &str| [extended(sql.as_bytes()), flush.clone()].concat();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let mut bench = Bench::new(access).await?;
        // Read, then an approved write, then a read, each answered before the next; Sync at the end.
        bench.client.send(&flushed("SELECT 1")).await?;
        bench.client.until(b'C').await?;
        bench
            .client
            .send(&flushed("DELETE FROM rooms WHERE room = 'R1'"))
            .await?;
        let replies = bench.client.until(b'C').await?;
        ensure!(
            replies
                .iter()
                .any(|reply| reply.body.starts_with(b"DELETE 1")),
            "{replies:?}"
        );
        bench.client.send(&flushed("SELECT 2")).await?;
        bench.client.until(b'C').await?;
        let replies = bench.send(&message(b'S', b"")).await?;
        ensure!(
            tags(&replies) == "Z" && status(&replies) == 'I',
            "{access:?} {replies:?}"
        );
        ensure!(bench.rooms().await? == 11, "{access:?}");
        // A write over its cap behind a read, then what is skipped up to Sync.
        bench.client.send(&flushed("SELECT 1")).await?;
        bench.client.until(b'C').await?;
        bench.client.send(&flushed("DELETE FROM rooms")).await?;
        let replies = bench.client.until(b'E').await?;
        ensure!(
            sqlstate(&replies).as_deref() == Some("54000"),
            "{replies:?}"
        );
        let rest = [extended(b"SELECT 3"), message(b'S', b"")].concat();
        let replies = bench.send(&rest).await?;
        ensure!(
            tags(&replies) == "Z" && status(&replies) == 'I',
            "{access:?} {replies:?}"
        );
        // Refused behind a read.
        bench.client.send(&flushed("SELECT 1")).await?;
        bench.client.until(b'C').await?;
        bench.inside.desk.answer(Answer::Deny);
        let refused = [extended(b"TRUNCATE rooms"), message(b'S', b"")].concat();
        let replies = bench.send(&refused).await?;
        ensure!(
            tags(&replies) == "EZ" && status(&replies) == 'I',
            "{access:?} {replies:?}"
        );
        let replies = bench.ask("SELECT 1").await?;
        ensure!(
            tags(&replies) == "TDCZ" && status(&replies) == 'I',
            "{access:?} {replies:?}"
        );
        ensure!(bench.rooms().await? == 11, "{access:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_runs_in_brackets_too() -> Result<()> {
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let mut bench = Bench::new(access).await?;
        let parse = [&b"\0"[..], b"COPY parent FROM STDIN", b"\0\0\0"].concat();
        let group = [
            message(b'P', &parse),
            message(b'B', b"\0\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'S', b""),
        ];
        let sync = message(b'S', b"");
        let ends: [(Vec<u8>, Vec<u8>); 2] = [
            (query(b"COPY parent FROM STDIN"), Vec::new()),
            (group.concat(), sync),
        ];
        for (number, (start, end)) in ends.into_iter().enumerate() {
            bench.client.send(&start).await?;
            bench.client.until(b'G').await?;
            let row = format!("{number}\n");
            bench.client.send(&message(b'd', row.as_bytes())).await?;
            bench
                .client
                .send(&[message(b'c', b""), end].concat())
                .await?;
            let replies = bench.client.until(b'Z').await?;
            ensure!(tags(&replies) == "CZ", "{access:?} {replies:?}");
        }
        ensure!(bench.database.number("SELECT count(*) FROM parent").await? == 2);
        // Data the target refuses.
        bench.client.send(&query(b"COPY parent FROM STDIN")).await?;
        bench.client.until(b'G').await?;
        let bad = [message(b'd', b"x\n"), message(b'c', b"")].concat();
        bench.client.send(&bad).await?;
        let replies = bench.client.until(b'Z').await?;
        ensure!(
            tags(&replies) == "EZ" && status(&replies) == 'I',
            "{access:?} {replies:?}"
        );
        let replies = bench.ask("SELECT 1").await?;
        ensure!(tags(&replies) == "TDCZ", "{access:?} {replies:?}");
    }
    Ok(())
}

/// No tag tells how many rows were changed while some that it returns are still to come.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_fetched_from_in_part_is_counted() -> Result<()> {
    let some = |sql: &str, more: &[u8]| {
        let parse = [&b"\0"[..], sql.as_bytes(), b"\0\0\0"].concat();
        let group = [
            message(b'P', &parse),
            message(b'B', b"p\0\0\0\0\0\0\0\0"),
            message(b'E', b"p\0\0\0\0\x01"),
            more.to_vec(),
            message(b'S', b""),
        ];
        group.concat()
    };
    let floors = "SELECT sum(floor)::bigint FROM rooms";
    for inside in [false, true] {
        for sql in [
            "UPDATE rooms SET floor = floor + 1 RETURNING room",
            "DELETE FROM rooms RETURNING room",
            "WITH gone AS (DELETE FROM rooms RETURNING room) SELECT * FROM gone",
        ] {
            let mut bench = Bench::new(Access::ReadWrite).await?;
            let before = bench.database.number(floors).await?;
            if inside {
                bench.ask("BEGIN").await?;
            }
            let replies = bench.send(&some(sql, b"")).await?;
            ensure!(
                sqlstate(&replies).as_deref() == Some("54000"),
                "{inside} {sql} {replies:?}"
            );
            if inside {
                bench.ask("COMMIT").await?;
            }
            ensure!(bench.database.number(floors).await? == before, "{sql}");
        }
    }
    // What is fetched later was changed already, and is not counted twice.
    let mut bench = Bench::new(Access::ReadWrite).await?;
    let sql = "UPDATE rooms SET floor = floor WHERE room IN ('R1', 'R2', 'R3') RETURNING room";
    let rest = message(b'E', b"p\0\0\0\0\0");
    let replies = bench.send(&some(sql, &rest)).await?;
    ensure!(tags(&replies) == "12DsDDCZ", "{replies:?}");
    Ok(())
}

/// Every write of a driver's normal work runs in a bracket, under a cap that is never reached.
async fn works_in_brackets(driver: Driver) -> Result<()> {
    let server = Postgres::start().await?;
    let database = server.database().await?;
    let direct = driver
        .run("work", server.port(), &database, User::Scram)
        .await?;
    let database = server.database().await?;
    let everything = Matcher {
        classes: Some(StatementClass::ALL.to_vec()),
        ..Matcher::default()
    };
    let rule = Rule {
        rows_max: Some(10_000),
        ..Rule::new("capped", everything, Decision::Allow)
    };
    let hold = Decision::Hold {
        route: "dba".to_owned(),
    };
    let rules = RuleSet::new(vec![rule], hold).map_err(|errors| anyhow!("{errors:?}"))?;
    let inside = Inside::in_place(&database, rules, Unjudged::Allowed).await?;
    let through = driver
        .run("work", inside.port()?, &database, User::Scram)
        .await?;
    ensure!(
        direct.stdout == through.stdout,
        "{:#?}\n{:#?}",
        direct.stdout,
        through.stdout
    );
    ensure!(
        direct.stderr == through.stderr,
        "{:#?}\n{:#?}",
        direct.stderr,
        through.stderr
    );
    // The same rules do bracket: one row more than the cap is too many.
    let address = format!("127.0.0.1:{}", inside.port()?);
    let (user, name) = (User::Scram.name(), &database.name);
    let password = abeyance_e2e::postgres::PASSWORD;
    let mut client = RawClient::log_in(&address, user, name, password).await?;
    let many = "CREATE TABLE many AS SELECT generate_series(0, 10000)";
    let replies = client.query(many).await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("54000"),
        "{replies:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_works_in_brackets() -> Result<()> {
    works_in_brackets(Driver::Psql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_works_in_brackets() -> Result<()> {
    works_in_brackets(Driver::Psycopg).await
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncpg_works_in_brackets() -> Result<()> {
    works_in_brackets(Driver::Asyncpg).await
}

#[tokio::test(flavor = "multi_thread")]
async fn node_postgres_works_in_brackets() -> Result<()> {
    works_in_brackets(Driver::Node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn jdbc_works_in_brackets() -> Result<()> {
    works_in_brackets(Driver::Jdbc).await
}

fn sync(parts: &[&[u8]]) -> Vec<u8> {
    [parts.concat(), message(b'S', b"")].concat()
}

/// Messages of which each is answered before the next is sent.
fn everyday() -> Vec<Vec<u8>> {
    let simple = [
        "SELECT 1",
        "SELECT 1; SELECT 2, 'x'; SHOW server_version",
        "",
        " ; -- nothing",
        "SELECT * FROM nowhere",
        "SELECT room FROM rooms ORDER BY room; SELECT 1/0; SELECT 3",
        "INSERT INTO rooms VALUES ('X', 1, 1)",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "RELEASE a",
        "BEGIN",
        "SELECT 1",
        "SAVEPOINT a",
        "SELECT 1/0",
        "SELECT 1",
        "ROLLBACK TO a",
        "SELECT 2",
        "RELEASE SAVEPOINT a",
        "BEGIN",
        "COMMIT",
        "BEGIN; SELECT 1; COMMIT; SELECT 2",
        "SELECT 1; BEGIN; SELECT 2",
        "SELECT 1/0",
        "COMMIT",
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, DEFERRABLE",
        "SHOW transaction_isolation",
        "COMMIT AND CHAIN",
        "SHOW transaction_isolation",
        "SHOW transaction_deferrable",
        "ROLLBACK",
        "BEGIN",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SHOW transaction_isolation",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "ROLLBACK",
        "COPY rooms TO STDOUT",
        "SET application_name = 'everyday'",
        "SHOW application_name",
        "SELECT set_config('my.setting', '1', false)",
        "SHOW my.setting",
        "BEGIN; SET LOCAL my.setting = '2'; SHOW my.setting; ROLLBACK; SHOW my.setting",
        "PREPARE p AS SELECT $1::int + 1",
        "EXECUTE p (3)",
        "DEALLOCATE p",
        "EXPLAIN (COSTS OFF) SELECT 1",
        "DO $$ BEGIN RAISE NOTICE 'hi'; END $$",
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM rooms ORDER BY room",
        "FETCH 2 FROM c; MOVE 1 IN c; FETCH c",
        "CLOSE c",
        "COMMIT",
        "LISTEN everyday",
        "UNLISTEN *",
        "TABLE rooms",
        "SET statement_timeout = '5s'; SHOW statement_timeout",
        "RESET statement_timeout",
        "DISCARD ALL",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SELECT 1; COMMIT; SELECT 2",
        "SELECT pg_sleep(0), 'end'",
    ];
    let mut messages: Vec<Vec<u8>> = simple.iter().map(|sql| query(sql.as_bytes())).collect();
    let named = message(b'P', b"n\0SELECT $1::int AS a\0\0\0");
    let bind = message(b'B', b"\0n\0\0\0\0\x01\0\0\0\x017\0\0");
    let execute = message(b'E', b"\0\0\0\0\0");
    let describe = message(b'D', b"Sn\0");
    let flush = message(b'H', b"");
    messages.extend([
        sync(&[]),
        sync(&[&extended(b"SELECT 1")]),
        sync(&[
            &extended(b"SELECT 1"),
            &extended(b"SELECT 1/0"),
            &extended(b"SELECT 3"),
        ]),
        sync(&[&extended(b"")]),
        sync(&[&named, &describe]),
        sync(&[&bind, &execute]),
        sync(&[&flush, &bind, &flush, &execute, &flush]),
        sync(&[&bind, &execute, &message(b'C', b"Sn\0")]),
        sync(&[&extended(b"BEGIN"), &extended(b"SELECT 1")]),
        sync(&[&extended(b"SELECT 2")]),
        // Three rows at a time.
        sync(&[
            &message(b'P', b"\0SELECT generate_series(1, 7)\0\0\0"),
            &message(b'B', b"p\0\0\0\0\0\0\0\0"),
            &message(b'E', b"p\0\0\0\0\x03"),
        ]),
        sync(&[&message(b'E', b"p\0\0\0\0\x03")]),
        sync(&[&message(b'E', b"p\0\0\0\0\x03")]),
        sync(&[&extended(b"COMMIT"), &extended(b"SELECT 1")]),
        sync(&[&extended(b"COPY rooms TO STDOUT")]),
        sync(&[&extended(b"SELECT * FROM nowhere"), &flush]),
        sync(&[&extended(b"ROLLBACK")]),
    ]);
    messages
}

/// Error and notice fields without where in the server's source, and where in the text, and without the hint that only
/// the proxy gives.
fn comparable(replies: &[Reply]) -> Vec<String> {
    let fields = |reply: &Reply| {
        let fields = reply
            .fields()
            .into_iter()
            .filter(|(name, text)| b"SCMDH".contains(name) && !text.starts_with(FLOOR_HINT));
        format!("{} {:?}", char::from(reply.tag), fields.collect::<Vec<_>>())
    };
    let shown = |reply: &Reply| match reply.tag {
        b'E' | b'N' => fields(reply),
        _ => format!("{reply:?}"),
    };
    replies.iter().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_session_is_like_one_without_a_proxy() -> Result<()> {
    let server = Postgres::start().await?;
    let database = Arc::new(server.database().await?);
    let inside = Inside::start(
        &database,
        Access::ReadOnly,
        capped(true)?,
        Some(Unjudged::Allowed),
    )
    .await?;
    let mut through = inside.connect().await?;
    let mut direct = RawClient::connect(&format!("127.0.0.1:{}", server.port())).await?;
    let parameters = [
        ("user", User::Trust.name()),
        ("database", database.name.as_str()),
        ("client_encoding", "UTF8"),
        ("default_transaction_read_only", "on"),
    ];
    direct.startup(PROTOCOL_3_0, &parameters, "").await?;
    for message in everyday() {
        let said = String::from_utf8_lossy(&message).into_owned();
        let expected = play(&mut direct, &message).await?.context("ended")?;
        let found = play(&mut through, &message)
            .await
            .with_context(|| said.clone())?;
        let found = found.with_context(|| format!("ended at {said:?}"))?;
        ensure!(
            comparable(&expected) == comparable(&found),
            "{said:?}\n{expected:#?}\n{found:#?}"
        );
    }
    Ok(())
}
