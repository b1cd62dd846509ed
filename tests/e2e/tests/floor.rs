//! The read-only floor, with every judgement switched off: all PostgreSQL rows of the corpus, each in
//! evil company, through sessions of a read-only agent; afterwards nothing in the database has changed.

use std::sync::Arc;

use abeyance_e2e::{Database, Postgres, RawClient, message, postgres::User, root};
use abeyance_gateway::Unjudged;
use abeyance_policy::{Access, Decision, RuleSet};
use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use serde::Deserialize;

use crate::inside::{Inside, extended, fingerprint, play, query};

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    dialect: String,
    sql: String,
    sql_b64: Option<String>,
}

/// Statements of our own that try what the corpus does not.
const EVIL: &[&str] = &[
    "INSERT INTO rooms VALUES ('X1', 1, 1)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x') FROM generate_series(1, 3)",
    "SELECT nextval('invoice_no')",
    "SELECT setval('invoice_no', 99)",
    "SELECT evil_function('DELETE FROM rooms')",
    "SELECT evil_function('SELECT lo_create(0)')",
    "SELECT evil_function('CREATE TABLE public.evil (x int)')",
    "SELECT evil_function('SET LOCAL transaction_read_only = off; DELETE FROM public.rooms')",
    "CALL evil_procedure('DELETE FROM rooms')",
    "CALL evil_procedure('SELECT lo_create(0)')",
    "DO $$ BEGIN COMMIT; SET TRANSACTION READ WRITE; DELETE FROM rooms; END $$",
    "DO $$ BEGIN ROLLBACK; PERFORM set_config('transaction_read_only', 'off', true); DELETE FROM rooms; END $$",
    "DO $$ BEGIN PERFORM set_config('default_transaction_read_only', 'off', false); COMMIT; DELETE FROM rooms; END $$",
    "DO $$ BEGIN SET LOCAL transaction_read_only = off; DELETE FROM rooms; EXCEPTION WHEN OTHERS THEN PERFORM lo_create(0); END $$",
    "DECLARE evil CURSOR WITH HOLD FOR SELECT lo_create(0)",
    "DECLARE evil CURSOR WITH HOLD FOR SELECT evil_function('SELECT lo_create(0)')",
    "WITH gone AS (DELETE FROM rooms RETURNING *) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM rooms",
    "CREATE TEMP TABLE evil (x int)",
    "CREATE TABLE evil AS SELECT 1",
    "SELECT 1 INTO evil",
    "COMMIT PREPARED 'pending'",
    "ROLLBACK PREPARED 'pending'",
    "PREPARE TRANSACTION 'evil'",
    "COPY rooms FROM STDIN",
    "COPY (DELETE FROM rooms RETURNING *) TO STDOUT",
    "SELECT * FROM rooms FOR UPDATE",
    "LOCK TABLE rooms IN ACCESS EXCLUSIVE MODE",
    "VACUUM rooms",
    "CREATE INDEX CONCURRENTLY evil ON rooms (beds)",
    "REINDEX TABLE rooms",
    "CREATE DATABASE evil",
    "ALTER ROLE app_trust SET default_transaction_read_only = off",
    "ALTER DATABASE CURRENT SET default_transaction_read_only = off",
    "DISCARD ALL",
    "RESET ALL",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET ROLE clinic_owner",
];

/// Each statement in evil company: messages that are sent one after the other, each answered first.
fn company(sql: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let q = |parts: &[&[u8]]| query(&parts.concat());
    let e = |parts: &[&[u8]]| -> Vec<u8> {
        let texts = parts.iter().flat_map(|part| extended(part));
        texts.chain(message(b'S', b"")).collect()
    };
    let flushed = |parts: &[&[u8]]| -> Vec<u8> {
        let flush = message(b'H', b"");
        let texts = parts
            .iter()
            .flat_map(|part| [extended(part), flush.clone()].concat());
        texts.chain(message(b'S', b"")).collect()
    };
    let off = b"SET default_transaction_read_only = off";
    let config = b"SELECT set_config('default_transaction_read_only', 'off', false)";
    let local = b"SELECT set_config('transaction_read_only', 'off', true)";
    let write = b"SET TRANSACTION READ WRITE";
    let begin = b"BEGIN READ WRITE";
    vec![
        vec![q(&[sql])],
        vec![q(&[off]), q(&[sql])],
        vec![q(&[config]), q(&[sql])],
        vec![q(&[b"COMMIT; BEGIN READ WRITE; ", sql, b"; COMMIT"])],
        vec![q(&[off, b"; ", sql])],
        vec![q(&[sql, b"; COMMIT; ", begin, b"; ", sql, b"; COMMIT"])],
        vec![q(&[b"BEGIN"]), q(&[sql]), q(&[b"COMMIT"])],
        vec![q(&[begin]), q(&[sql]), q(&[b"COMMIT"])],
        vec![q(&[b"BEGIN"]), q(&[write]), q(&[sql]), q(&[b"COMMIT"])],
        vec![q(&[b"BEGIN"]), q(&[local]), q(&[sql]), q(&[b"COMMIT"])],
        vec![
            q(&[b"BEGIN"]),
            q(&[b"COMMIT AND CHAIN"]),
            q(&[write]),
            q(&[sql]),
            q(&[b"COMMIT"]),
        ],
        vec![
            q(&[b"BEGIN"]),
            q(&[b"ROLLBACK AND CHAIN"]),
            q(&[local]),
            q(&[sql]),
            q(&[b"COMMIT"]),
        ],
        vec![
            q(&[b"BEGIN"]),
            q(&[b"SAVEPOINT a"]),
            q(&[write]),
            q(&[b"ROLLBACK TO a"]),
            q(&[write]),
            q(&[sql]),
            q(&[b"COMMIT"]),
        ],
        vec![q(&[
            b"BEGIN; SAVEPOINT a; ",
            local,
            b"; ",
            sql,
            b"; RELEASE a; COMMIT",
        ])],
        vec![
            q(&[b"PREPARE evil AS ", sql]),
            q(&[b"EXECUTE evil"]),
            q(&[b"DEALLOCATE ALL"]),
        ],
        vec![q(&[
            b"DO $evil$ BEGIN COMMIT; SET TRANSACTION READ WRITE; EXECUTE $sql$",
            sql,
            b"$sql$; END $evil$",
        ])],
        vec![q(&[
            b"DO $evil$ BEGIN SET LOCAL transaction_read_only = off; EXECUTE $sql$",
            sql,
            b"$sql$; END $evil$",
        ])],
        vec![q(&[b"CALL evil_procedure($sql$", sql, b"$sql$)"])],
        vec![q(&[b"SELECT evil_function($sql$", sql, b"$sql$)"])],
        vec![
            q(&[b"BEGIN"]),
            q(&[b"DECLARE evil CURSOR WITH HOLD FOR ", sql]),
            q(&[b"COMMIT"]),
        ],
        vec![q(&[b"EXPLAIN ANALYZE ", sql])],
        vec![q(&[b"COPY (", sql, b") TO STDOUT"])],
        vec![e(&[sql])],
        vec![e(&[off]), e(&[sql])],
        vec![e(&[write, sql])],
        vec![e(&[local, sql])],
        vec![e(&[b"COMMIT", begin, sql, b"COMMIT"])],
        vec![flushed(&[b"COMMIT", begin, sql, b"COMMIT"])],
        vec![flushed(&[config, sql])],
        vec![
            e(&[b"BEGIN"]),
            e(&[b"COMMIT AND CHAIN", write, sql]),
            e(&[b"COMMIT"]),
        ],
        vec![e(&[b"/* x */ ;; cOmMiT -- y", local, sql, b";COMMIT;"])],
    ]
}

fn rows() -> Result<Vec<(String, Vec<u8>)>> {
    let text = std::fs::read_to_string(root().join("tests/corpus/open.jsonl"))?;
    let mut rows = Vec::new();
    for line in text.lines() {
        let row: Row = serde_json::from_str(line)?;
        if row.dialect != "postgresql" {
            continue;
        }
        let sql = match &row.sql_b64 {
            Some(encoded) => base64::engine::general_purpose::STANDARD.decode(encoded)?,
            None => row.sql.into_bytes(),
        };
        rows.push((row.id, sql));
    }
    ensure!(rows.len() > 200, "the corpus is short");
    let own = EVIL.iter().enumerate();
    rows.extend(own.map(|(i, sql)| (format!("evil-{i}"), sql.as_bytes().to_vec())));
    // A zero byte ends the text on the wire.
    rows.retain(|(_, sql)| !sql.contains(&0));
    Ok(rows)
}

/// A database whose user may do all that anybody but a superuser may, with a prepared transaction and code that
/// runs whatever it is given.
async fn clinic() -> Result<Database> {
    let server = Arc::new(Postgres::launch().await?);
    let database = server.database().await?;
    let user = User::Trust.name();
    let admin = database.admin().await?;
    admin
        .batch_execute(&format!(
            "GRANT clinic_owner, clinic_admin, pg_read_all_data, pg_write_all_data TO {user};
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {user};
             GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user};
             GRANT ALL ON SCHEMA public TO {user};
             ALTER ROLE {user} CREATEDB CREATEROLE;
             DO $$ BEGIN EXECUTE format('GRANT ALL ON DATABASE %I TO {user}', current_database()); END $$;
             CREATE FUNCTION evil_function(q text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS
               'BEGIN EXECUTE q; RETURN 1; END';
             CREATE PROCEDURE evil_procedure(q text) LANGUAGE plpgsql AS
               'BEGIN COMMIT; SET TRANSACTION READ WRITE; EXECUTE q; COMMIT; END';
             SELECT lo_from_bytea(4711, 'kept');
             GRANT ALL ON LARGE OBJECT 4711 TO {user};"
        ))
        .await?;
    admin
        .batch_execute(&format!("SET SESSION AUTHORIZATION {user}; BEGIN; INSERT INTO \"only\" VALUES (4711); PREPARE TRANSACTION 'pending'"))
        .await?;
    Ok(database)
}

fn nothing_allowed() -> Result<RuleSet> {
    let hold = Decision::Hold {
        route: "dba".to_owned(),
    };
    RuleSet::new(Vec::new(), hold).map_err(|errors| anyhow!("{errors:?}"))
}

/// Plays one row in every company; a session that ends is followed by a new one.
async fn attack(inside: &Inside, sql: &[u8]) -> Result<()> {
    let mut client: Option<RawClient> = None;
    for steps in company(sql) {
        for step in steps {
            let mut at = match client.take() {
                Some(client) => client,
                None => {
                    let mut fresh = inside.connect().await?;
                    // Nothing here takes long, but for what sleeps on purpose.
                    play(&mut fresh, &query(b"SET statement_timeout = '400ms'")).await?;
                    fresh
                }
            };
            client = play(&mut at, &step).await?.map(|_| at);
        }
        if let Some(at) = &mut client
            && play(at, &query(b"ROLLBACK")).await?.is_none()
        {
            client = None;
        }
    }
    Ok(())
}

async fn nothing_changes(how: Unjudged, half: Half) -> Result<()> {
    let database = clinic().await?;
    let inside = Inside::start(&database, Access::ReadOnly, nothing_allowed()?, Some(how)).await?;
    let admin = database.admin().await?;
    let before = fingerprint(&admin).await?;
    let skipped = usize::from(matches!(half, Half::Odd));
    for (id, sql) in rows()?.into_iter().skip(skipped).step_by(2) {
        attack(&inside, &sql).await.with_context(|| id.clone())?;
        let after = fingerprint(&admin).await?;
        for (was, is) in before.iter().zip(&after) {
            ensure!(
                was == is,
                "{id} changed {}: {} became {}",
                was.0,
                was.1,
                is.1
            );
        }
        ensure!(
            before.len() == after.len(),
            "{id} changed the number of tables"
        );
    }
    Ok(())
}

/// Every second row, so that no test takes too long.
#[derive(Debug, Clone, Copy)]
enum Half {
    Even,
    Odd,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_when_every_verdict_is_allow() -> Result<()> {
    nothing_changes(Unjudged::Allowed, Half::Even).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_when_every_verdict_is_allow_either() -> Result<()> {
    nothing_changes(Unjudged::Allowed, Half::Odd).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_when_nothing_is_analysed() -> Result<()> {
    nothing_changes(Unjudged::Blind, Half::Even).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_when_nothing_is_analysed_either() -> Result<()> {
    nothing_changes(Unjudged::Blind, Half::Odd).await
}

/// The same attack on a session without the floor does change things: the test above can fail.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_floor_everything_changes() -> Result<()> {
    let database = clinic().await?;
    let unjudged = Some(Unjudged::Blind);
    let inside = Inside::start(&database, Access::ReadWrite, nothing_allowed()?, unjudged).await?;
    let admin = database.admin().await?;
    for sql in [
        "INSERT INTO rooms VALUES ('X1', 1, 1)",
        "SELECT lo_create(0)",
        "COMMIT PREPARED 'pending'",
    ] {
        let before = fingerprint(&admin).await?;
        attack(&inside, sql.as_bytes()).await?;
        ensure!(
            before != fingerprint(&admin).await?,
            "{sql} changed nothing"
        );
    }
    Ok(())
}
