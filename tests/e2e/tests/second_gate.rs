//! The second gate on a real server: what a catalog that is out of date let analysis believe, the target itself
//! contradicts; and a mistake gets the server's own answer, not a reviewer's time.

use abeyance_e2e::{
    Abeyance, Config, Database, Postgres, RawClient, Reply, message,
    postgres::{PASSWORD, User},
};
use anyhow::{Context, Result, ensure};

/// Reads and writes pass, all else is asked.
const WORKING: &str = r#"
[policy]
default = "hold"
route = "dba"

[[rule]]
name = "work-passes"
class = ["read", "write", "session", "transaction"]
verdict = "allow"
"#;

/// The proxy before a database of its own, whose catalog it reads once.
async fn proxy(database: &Database) -> Result<Abeyance> {
    let mut config = Config::for_database(database).policy(WORKING);
    config.replace_in_targets(
        "environment = \"test\"",
        "environment = \"test\"\ncatalog_poll = \"600s\"",
    );
    Abeyance::serve(&config).await
}

async fn client(address: &str, database: &Database) -> Result<RawClient> {
    RawClient::log_in(address, User::Scram.name(), &database.name, PASSWORD).await
}

fn error(replies: &[Reply]) -> Result<&Reply> {
    let found = replies.iter().find(|reply| reply.tag == b'E');
    found.with_context(|| format!("no error in {replies:?}"))
}

fn rows(replies: &[Reply]) -> usize {
    replies.iter().filter(|reply| reply.tag == b'D').count()
}

/// Sends a statement that is to be held, takes the hold back, and gives the words it was held with.
async fn held(client: &mut RawClient, sql: &str) -> Result<String> {
    client.start_query(sql).await?;
    let notice = client.until(b'N').await?;
    let words = notice.last().and_then(|notice| notice.field(b'D'));
    client.cancel().await?;
    let replies = client.until(b'Z').await?;
    ensure!(
        error(&replies)?.sqlstate().as_deref() == Some("57014"),
        "{replies:?}"
    );
    words.context("a notice without a detail")
}

#[tokio::test]
async fn a_view_that_became_another_is_held() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let admin = database.admin().await?;
    admin
        .batch_execute("CREATE VIEW calm AS SELECT room FROM rooms; GRANT SELECT ON calm TO PUBLIC")
        .await?;
    let abeyance = proxy(&database).await?;
    let mut client = client(abeyance.proxy()?, &database).await?;
    let replies = client.query("SELECT room FROM calm LIMIT 2").await?;
    ensure!(rows(&replies) == 2, "{replies:?}");

    admin
        .batch_execute("CREATE OR REPLACE VIEW calm AS SELECT name AS room FROM patients")
        .await?;
    let words = held(&mut client, "SELECT room FROM calm WHERE room <> ''").await?;
    ensure!(words.contains("second-gate"), "{words}");
    ensure!(words.contains("would read public.patients"), "{words}");
    database.never_saw("WHERE room <> ''").await
}

#[tokio::test]
async fn a_rule_that_also_deletes_is_held() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let admin = database.admin().await?;
    let abeyance = proxy(&database).await?;
    let mut client = client(abeyance.proxy()?, &database).await?;
    let replies = client
        .query("UPDATE appointments SET doctor = 'dr9' WHERE id = 1")
        .await?;
    ensure!(replies.iter().all(|reply| reply.tag != b'E'), "{replies:?}");

    admin
        .batch_execute("CREATE RULE sweep AS ON UPDATE TO visits DO ALSO DELETE FROM rooms")
        .await?;
    let before = database.number("SELECT count(*) FROM rooms").await?;
    let words = held(&mut client, "UPDATE visits SET doctor = 'dr9' WHERE id = 1").await?;
    ensure!(words.contains("second-gate"), "{words}");
    ensure!(words.contains("would delete from public.rooms"), "{words}");
    // In a transaction of the client's too, which goes on to fail as after any error.
    client.query("BEGIN").await?;
    let words = held(&mut client, "UPDATE visits SET doctor = 'dr8' WHERE id = 2").await?;
    ensure!(words.contains("second-gate"), "{words}");
    let replies = client.query("SELECT 1").await?;
    ensure!(
        error(&replies)?.sqlstate().as_deref() == Some("25P02"),
        "{replies:?}"
    );
    client.query("ROLLBACK").await?;
    ensure!(database.number("SELECT count(*) FROM rooms").await? == before);
    database.never_saw("UPDATE visits").await
}

#[tokio::test]
async fn a_shape_is_asked_about_once() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let abeyance = proxy(&database).await?;
    let mut client = client(abeyance.proxy()?, &database).await?;
    for id in 1..6 {
        let replies = client
            .query(&format!("SELECT city FROM patients WHERE id = {id}"))
            .await?;
        ensure!(rows(&replies) == 1, "{replies:?}");
        let replies = client
            .query(&format!(
                "BEGIN; UPDATE rooms SET beds = {id} WHERE room = 'R1'; COMMIT"
            ))
            .await?;
        ensure!(replies.iter().all(|reply| reply.tag != b'E'), "{replies:?}");
    }
    let mut prepare = message(b'P', b"s\0SELECT doctor FROM visits WHERE id = $1\0\0\0");
    for id in ["1", "2", "3"] {
        prepare.extend(message(b'B', &bind(id)));
        prepare.extend(message(b'E', b"\0\0\0\0\0"));
        prepare.extend(message(b'S', b""));
        client.send(&prepare).await?;
        let replies = client.until(b'Z').await?;
        ensure!(rows(&replies) == 1, "{replies:?}");
        prepare.clear();
    }
    let mut explained = database.explained().await?;
    explained.sort();
    ensure!(
        explained
            == [
                "EXECUTE _abeyance_asked(NULL)",
                "SELECT city FROM patients WHERE id = 1",
                "UPDATE rooms SET beds = 1 WHERE room = 'R1'",
            ],
        "{explained:?}"
    );
    Ok(())
}

/// Bind of `s` to the unnamed portal with one value.
fn bind(value: &str) -> Vec<u8> {
    let mut body = b"\0s\0\0\0\0\x01".to_vec();
    body.extend(u32::try_from(value.len()).unwrap_or_default().to_be_bytes());
    body.extend(value.as_bytes());
    body.extend([0, 0]);
    body
}

/// Mistakes, each answered by whatever the server says.
const MISTAKES: &[&str] = &[
    "SELECT * FROM no_such_table",
    "  SELECT no_such_column FROM rooms",
    "SELECT r.no_such_column FROM rooms r WHERE r.room = 'ü'",
    "/* é */ SELECT room FROM no_such_schema.rooms",
    "SELECT no_such_function(1)",
    "SELECT room FROM rooms WHERE floor = 'x'",
    "SELECT room, count(*) FROM rooms",
    "INSERT INTO rooms(room, nothing) VALUES ('a', 1)",
    "INSERT INTO rooms VALUES ('a', 1, 2, 3)",
    "UPDATE rooms SET nothing = 1",
    "UPDATE no_such_table SET a = 1",
    "SELECT 1/0",
];

#[tokio::test]
async fn a_mistake_gets_the_servers_own_answer() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let abeyance = proxy(&database).await?;
    let mut direct = client(&format!("127.0.0.1:{}", postgres.port()), &database).await?;
    let mut through = client(abeyance.proxy()?, &database).await?;
    for begin in ["", "BEGIN"] {
        for sql in MISTAKES {
            if !begin.is_empty() {
                direct.query(begin).await?;
                through.query(begin).await?;
            }
            let expected = direct.query(sql).await?;
            let replies = through.query(sql).await?;
            ensure!(replies == expected, "{sql}: {replies:?} for {expected:?}");
            if !begin.is_empty() {
                direct.query("ROLLBACK").await?;
                through.query("ROLLBACK").await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_mistake_in_an_extended_group_too() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let abeyance = proxy(&database).await?;
    let mut direct = client(&format!("127.0.0.1:{}", postgres.port()), &database).await?;
    let mut through = client(abeyance.proxy()?, &database).await?;
    for sql in MISTAKES {
        let mut group = message(b'P', format!("\0{sql}\0\0\0").as_bytes());
        group.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
        group.extend(message(b'E', b"\0\0\0\0\0"));
        group.extend(message(b'S', b""));
        direct.send(&group).await?;
        through.send(&group).await?;
        let expected = direct.until(b'Z').await?;
        let replies = through.until(b'Z').await?;
        ensure!(
            error(&replies)? == error(&expected)?,
            "{sql}: {replies:?} for {expected:?}"
        );
        ensure!(replies.last() == expected.last(), "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn what_the_grammar_refuses_is_answered_at_once() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let abeyance = proxy(&database).await?;
    let mut direct = client(&format!("127.0.0.1:{}", postgres.port()), &database).await?;
    let mut through = client(abeyance.proxy()?, &database).await?;
    for sql in [
        "SELEC 1",
        "SELECT 1; SELEC 2",
        "SELECT 'ü', FROM rooms",
        "DELETE rooms",
        "SELECT (1",
        "SELECT 'open",
    ] {
        let expected = direct.query(sql).await?;
        let replies = through.query(sql).await?;
        let (ours, theirs) = (error(&replies)?, error(&expected)?);
        for field in *b"SVCMP" {
            ensure!(
                ours.field(field) == theirs.field(field),
                "{sql}: {ours:?} for {theirs:?}"
            );
        }
        ensure!(replies.last() == expected.last(), "{sql}");
    }
    database.never_saw("SELEC 2").await
}

#[tokio::test]
async fn a_question_waits_as_the_statement_would_and_can_be_cancelled() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let abeyance = proxy(&database).await?;
    let mut client = client(abeyance.proxy()?, &database).await?;
    // The catalog is read with the first statement, and would wait too.
    client.query("SELECT 1").await?;
    let admin = database.admin().await?;
    admin
        .batch_execute("BEGIN; LOCK TABLE rooms IN ACCESS EXCLUSIVE MODE")
        .await?;
    client.start_query("SELECT count(*) FROM rooms").await?;
    while database
        .number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        .await?
        == 0
    {
        tokio::task::yield_now().await;
    }
    client.cancel().await?;
    let replies = client.until(b'Z').await?;
    let error = error(&replies)?;
    ensure!(error.sqlstate().as_deref() == Some("57014"), "{error:?}");
    ensure!(
        error.field(b'M').as_deref() == Some("canceling statement due to user request"),
        "{error:?}"
    );
    client.start_query("SELECT count(*) FROM rooms").await?;
    admin.batch_execute("COMMIT").await?;
    ensure!(rows(&client.until(b'Z').await?) == 1);
    Ok(())
}
