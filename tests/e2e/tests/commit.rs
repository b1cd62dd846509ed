//! Transactions that are reviewed at their COMMIT, and tickets: against a real PostgreSQL.

use abeyance_api::{HoldRequest, Resolution};
use abeyance_e2e::{Database, Postgres, RawClient, Reply, message};
use abeyance_policy::{Access, Decision, Matcher, Review, Rule, RuleSet};
use abeyance_sql::StatementClass;
use anyhow::{Context, Result, anyhow, ensure};

use crate::inside::{
    self, Inside,
    desk::{Answer, Event},
    extended, play, query, sqlstate, status, tags,
};

/// Reads and transactions pass; UPDATE and INSERT are reviewed at COMMIT, all else before it runs.
fn rules() -> Result<RuleSet> {
    let hold = Decision::Hold {
        route: "dba".to_owned(),
    };
    let passing = Matcher {
        classes: Some(vec![
            StatementClass::Read,
            StatementClass::Session,
            StatementClass::Transaction,
        ]),
        ..Matcher::default()
    };
    let kinds = Matcher {
        kinds: Some(vec!["UPDATE".to_owned(), "INSERT".to_owned()]),
        ..Matcher::default()
    };
    let rules = vec![
        Rule::new("reads", passing, Decision::Allow),
        Rule {
            review: Review::Commit,
            ..Rule::new("at-commit", kinds, hold.clone())
        },
    ];
    RuleSet::new(rules, hold).map_err(|errors| anyhow!("{errors:?}"))
}

struct Bench {
    database: Database,
    inside: Inside,
    client: RawClient,
}

impl Bench {
    async fn new(answer: Answer) -> Result<Self> {
        let server = Postgres::start().await?;
        let database = server.database().await?;
        let inside = Inside::start(&database, Access::ReadWrite, rules()?, None).await?;
        inside.desk.answer(answer);
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
        let texts = texts.iter();
        let mut bytes: Vec<u8> = texts.flat_map(|sql| extended(sql.as_bytes())).collect();
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

    /// Rooms as others see them.
    async fn floors(&self) -> Result<i64> {
        let sum = "SELECT coalesce(sum(floor), 0)::bigint FROM rooms";
        self.database.number(sum).await
    }

    fn opened(&self) -> Vec<HoldRequest> {
        let events = self.inside.desk.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Opened(request) => Some(*request),
                _ => None,
            })
            .collect()
    }
}

fn good(replies: &[Reply], tags_wanted: &str, status_wanted: char) -> Result<()> {
    ensure!(
        tags(replies) == tags_wanted && status(replies) == status_wanted,
        "{} {}: {replies:?}",
        tags(replies),
        status(replies)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_run_and_their_commit_waits() -> Result<()> {
    let mut bench = Bench::new(Answer::Approve).await?;
    let before = bench.floors().await?;
    good(&bench.ask("BEGIN").await?, "CZ", 'T')?;
    good(
        &bench.ask("UPDATE rooms SET floor = floor + 1").await?,
        "CZ",
        'T',
    )?;
    good(
        &bench.ask("UPDATE rooms SET floor = floor + 1").await?,
        "CZ",
        'T',
    )?;
    ensure!(bench.opened().is_empty(), "asked before the COMMIT");
    ensure!(bench.floors().await? == before, "others see it already");
    good(&bench.ask("COMMIT").await?, "CZ", 'I')?;
    let opened = bench.opened();
    ensure!(
        opened.len() == 1 && opened[0].manner.at_commit,
        "{opened:?}"
    );
    let rooms = bench.database.number("SELECT count(*) FROM rooms").await?;
    ensure!(
        opened[0].blast.rows.rows == Some(2 * u64::try_from(rooms)?),
        "{:?}",
        opened[0].blast
    );
    let shown = &opened[0].statements[0].text;
    let counted = format!("-- ran: {} rows, 2 times\nUPDATE", 2 * rooms);
    ensure!(shown.starts_with(&counted), "{shown}");
    ensure!(bench.floors().await? == before + 2 * rooms);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_commit_keeps_nothing_and_frees_the_session() -> Result<()> {
    for text in [
        "COMMIT",
        "END",
        "COMMIT AND CHAIN",
        "SELECT 1; COMMIT",
        "COMMIT; SELECT 1",
    ] {
        let mut bench = Bench::new(Answer::Deny).await?;
        let before = bench.floors().await?;
        bench.ask("BEGIN").await?;
        good(
            &bench.ask("UPDATE rooms SET floor = floor + 1").await?,
            "CZ",
            'T',
        )?;
        let replies = bench.ask(text).await?;
        good(&replies, "EZ", 'I').context(text)?;
        ensure!(
            sqlstate(&replies).as_deref() == Some("42501"),
            "{replies:?}"
        );
        let hint = replies[0].field(b'H').unwrap_or_default();
        ensure!(hint.contains("rolled back"), "{hint}");
        ensure!(bench.floors().await? == before, "{text} kept something");
        // What comes next is no part of it.
        good(&bench.ask("SELECT 1").await?, "TDCZ", 'I')?;
        bench.ask("BEGIN").await?;
        good(&bench.ask("COMMIT").await?, "CZ", 'I')?;
        ensure!(
            bench.opened().len() == 1,
            "asked about an empty transaction"
        );
    }
    Ok(())
}

/// What a transaction of these simple queries shows at its COMMIT: the first line of its first statement, and the rows.
async fn shown_for(bench: &mut Bench, statements: &[&str]) -> Result<(String, Option<u64>)> {
    bench.ask("BEGIN").await?;
    for sql in statements {
        let replies = bench.ask(sql).await?;
        ensure!(status(&replies) == 'T', "{sql}: {replies:?}");
    }
    shown_at_commit(bench).await
}

async fn shown_at_commit(bench: &mut Bench) -> Result<(String, Option<u64>)> {
    let asked = bench.opened().len();
    good(&bench.ask("COMMIT").await?, "EZ", 'I')?;
    let opened = bench.opened();
    ensure!(opened.len() == asked + 1, "{opened:?}");
    let request = opened.last().context("no hold")?;
    let text = &request.statements.first().context("nothing shown")?.text;
    let first = text.lines().next().unwrap_or_default().to_owned();
    Ok((first, request.blast.rows.rows))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_no_tag_tells_are_on_the_card() -> Result<()> {
    let mut bench = Bench::new(Answer::Deny).await?;
    let rooms = bench.database.number("SELECT count(*) FROM rooms").await?;
    let rooms = u64::try_from(rooms)?;
    // The tag says SELECT, and how many rows came back.
    for sql in [
        "WITH u AS (UPDATE rooms SET floor = floor + 1 RETURNING 1) SELECT count(*) FROM u",
        "EXPLAIN ANALYZE UPDATE rooms SET floor = floor + 1",
    ] {
        let (first, rows) = shown_for(&mut bench, &[sql]).await?;
        ensure!(rows == Some(rooms), "{sql}: {rows:?}");
        let told = format!("-- ran: 0 rows, {rooms} more by what it carries or sets off");
        ensure!(first == told, "{sql}: {first}");
    }
    // Each batch is counted by itself.
    let explained = "EXPLAIN ANALYZE UPDATE rooms SET floor = floor + 1";
    let (_, rows) = shown_for(&mut bench, &[explained, explained]).await?;
    ensure!(rows == Some(2 * rooms), "{rows:?}");
    // With BEGIN in the same batch, right behind another transaction.
    bench.ask(&format!("BEGIN; {explained}")).await?;
    let (_, rows) = shown_at_commit(&mut bench).await?;
    ensure!(rows == Some(rooms), "{rows:?}");
    // One row, and what its trigger writes.
    let sql = "UPDATE patients SET city = 'x' WHERE id = 1";
    let (first, rows) = shown_for(&mut bench, &[sql]).await?;
    ensure!(rows == Some(2), "{rows:?}");
    ensure!(
        first == "-- ran: 1 row, 1 more by what it carries or sets off",
        "{first}"
    );
    // What was rolled back is no part of the next transaction.
    let one = "UPDATE rooms SET floor = floor + 1 WHERE room = 'R1'";
    let all = "UPDATE rooms SET floor = floor + 1";
    let (first, _) = shown_for(&mut bench, &[all, "ROLLBACK AND CHAIN", one]).await?;
    ensure!(first == "-- ran: 1 row", "{first}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bound_and_not_executed_to_its_end_waits_itself() -> Result<()> {
    let mut bench = Bench::new(Answer::Deny).await?;
    let before = bench.floors().await?;
    let bind = message(b'B', b"p\0s\0\0\0\0\0\0\0");
    let execute = |rows_max: u8| message(b'E', &[b"p\0".as_slice(), &[0, 0, 0, rows_max]].concat());
    let sync = message(b'S', b"");
    let parse = b"s\0UPDATE rooms SET floor = floor + 1 RETURNING room\0\0\0";
    bench
        .send(&[message(b'P', parse), sync.clone()].concat())
        .await?;
    for group in [
        vec![bind.clone(), sync.clone()],
        vec![bind.clone(), execute(1), sync.clone()],
        vec![
            bind.clone(),
            message(b'B', b"q\0s\0\0\0\0\0\0\0"),
            execute(0),
            sync.clone(),
        ],
    ] {
        bench.ask("BEGIN").await?;
        let asked = bench.opened().len();
        let replies = bench.send(&group.concat()).await?;
        good(&replies, "EZ", 'E')?;
        let opened = bench.opened();
        ensure!(opened.len() == asked + 1, "nobody was asked");
        ensure!(opened.iter().all(|request| !request.manner.at_commit));
        bench.ask("ROLLBACK").await?;
    }
    ensure!(bench.floors().await? == before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_only_with_the_commit_is_estimated_beside_what_ran() -> Result<()> {
    let mut bench = Bench::new(Answer::Deny).await?;
    let visits = bench.database.number("SELECT count(*) FROM visits").await?;
    bench.ask("BEGIN").await?;
    bench
        .ask("UPDATE rooms SET floor = floor + 1 WHERE room = 'R1'")
        .await?;
    bench.ask("DELETE FROM visits; COMMIT").await?;
    let opened = bench.opened();
    let blast = &opened.last().context("nobody was asked")?.blast;
    ensure!(
        blast.rows.rows == Some(u64::try_from(visits)? + 1),
        "{blast:?}"
    );
    ensure!(
        blast
            .cascades
            .as_ref()
            .is_some_and(|cascades| !cascades.is_empty()),
        "{blast:?}"
    );
    ensure!(
        !blast
            .notes
            .iter()
            .any(|note| note.starts_with("the statements ran already"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_way_leads_to_a_commit() -> Result<()> {
    let mut bench = Bench::new(Answer::Deny).await?;
    let before = bench.floors().await?;
    // Two-phase commit would let somebody else keep it.
    bench.ask("BEGIN").await?;
    bench.ask("UPDATE rooms SET floor = floor + 1").await?;
    let replies = bench.ask("PREPARE TRANSACTION 'x'").await?;
    good(&replies, "EZ", 'E')?;
    bench.ask("ROLLBACK").await?;
    // The extended protocol, with BEGIN in the same group, as some drivers have it.
    let replies = bench
        .ask_extended(&["BEGIN", "UPDATE rooms SET floor = floor + 1"])
        .await?;
    ensure!(status(&replies) == 'T', "{replies:?}");
    ensure!(bench.opened().is_empty(), "{:?}", bench.opened());
    let replies = bench.ask_extended(&["COMMIT"]).await?;
    good(&replies, "EZ", 'I')?;
    // The server runs a COMMIT that a Parse prepared for EXECUTE as well, in either protocol.
    let parse = [message(b'P', b"ends\0COMMIT\0\0\0"), message(b'S', b"")];
    bench.send(&parse.concat()).await?;
    for extended in [false, true] {
        bench.ask("BEGIN").await?;
        bench.ask("UPDATE rooms SET floor = floor + 1").await?;
        let replies = match extended {
            false => bench.ask("EXECUTE ends").await?,
            true => bench.ask_extended(&["EXECUTE ends"]).await?,
        };
        ensure!(
            sqlstate(&replies).as_deref() == Some("42501"),
            "{replies:?}"
        );
        bench.ask("ROLLBACK").await?;
        ensure!(bench.floors().await? == before, "EXECUTE kept something");
    }
    // A failed transaction that a savepoint heals keeps what came before it.
    for text in ["ROLLBACK TO s; COMMIT", "ROLLBACK TO s; SELECT 1; END"] {
        bench.ask("BEGIN").await?;
        bench.ask("UPDATE rooms SET floor = floor + 1").await?;
        bench.ask("SAVEPOINT s").await?;
        good(&bench.ask("SELECT 1/0").await?, "EZ", 'E')?;
        let replies = bench.ask(text).await?;
        ensure!(bench.floors().await? == before, "{text} kept something");
        ensure!(
            sqlstate(&replies).as_deref() == Some("42501"),
            "{replies:?}"
        );
        bench.ask("ROLLBACK").await?;
    }
    bench.ask("BEGIN").await?;
    bench.ask("UPDATE rooms SET floor = floor + 1").await?;
    bench.ask("SAVEPOINT s").await?;
    bench.ask("SELECT 1/0").await?;
    let replies = bench.ask_extended(&["ROLLBACK TO s", "COMMIT"]).await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("42501"),
        "{replies:?}"
    );
    ensure!(bench.floors().await? == before, "a pipeline kept something");
    // What waits by itself inside such a transaction waits by itself.
    bench.ask("BEGIN").await?;
    bench.ask("UPDATE rooms SET floor = floor + 1").await?;
    let replies = bench.ask("DELETE FROM rooms").await?;
    good(&replies, "EZ", 'E')?;
    // The end of a failed transaction keeps nothing, so nobody is asked.
    let asked = bench.opened().len();
    good(&bench.ask("COMMIT").await?, "CZ", 'I')?;
    ensure!(bench.opened().len() == asked);
    // Outside a transaction the statement itself waits.
    let replies = bench.ask("UPDATE rooms SET floor = floor + 1").await?;
    good(&replies, "EZ", 'I')?;
    ensure!(bench.floors().await? == before);
    Ok(())
}

/// A savepoint heals what failed behind the approval: what ran is kept by another COMMIT, which is asked about.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_commit_that_fails_is_used_up() -> Result<()> {
    let mut bench = Bench::new(Answer::Approve).await?;
    let before = bench.floors().await?;
    bench.ask("BEGIN").await?;
    bench.ask("UPDATE rooms SET floor = floor + 1").await?;
    bench.ask("SAVEPOINT s").await?;
    // No plan tells it.
    let fails = "SELECT 1 / (count(*) - 12) FROM rooms; COMMIT";
    let replies = bench.ask(fails).await?;
    ensure!(bench.opened().len() == 1);
    ensure!(
        sqlstate(&replies).as_deref() == Some("22012"),
        "{replies:?}"
    );
    bench.inside.desk.answer(Answer::Deny);
    good(&bench.ask("ROLLBACK TO SAVEPOINT s").await?, "CZ", 'T')?;
    let replies = bench.ask("COMMIT").await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("42501"),
        "{replies:?}"
    );
    ensure!(bench.floors().await? == before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_keeps_nothing() -> Result<()> {
    let mut bench = Bench::new(Answer::Wait).await?;
    let before = bench.floors().await?;
    bench.ask("BEGIN").await?;
    bench.ask("UPDATE rooms SET floor = floor + 1").await?;
    bench.client.send(&query(b"COMMIT")).await?;
    bench.inside.desk.opened().await;
    let Bench {
        database,
        inside,
        client,
    } = bench;
    drop(client);
    inside.desk.withdrawn().await;
    let sum = "SELECT coalesce(sum(floor), 0)::bigint FROM rooms";
    ensure!(database.number(sum).await? == before);
    Ok(())
}

/// What only names or binds a ROLLBACK rolls nothing back: the transaction still waits at its COMMIT.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_does_not_run_ends_nothing() -> Result<()> {
    let parse = |sql: &str| message(b'P', format!("r\0{sql}\0\0\0").as_bytes());
    let bind = || message(b'B', b"p\0r\0\0\0\0\0\0\0");
    let describe = || message(b'D', b"Pp\0");
    let sync = || message(b'S', b"");
    let execute = || message(b'E', b"p\0\0\0\0\0");
    for batches in [
        vec![[parse("ROLLBACK"), bind(), sync()].concat()],
        vec![[parse("ROLLBACK AND CHAIN"), bind(), describe(), sync()].concat()],
        // What runs is another one, whose tag is the same word.
        vec![
            [parse("ROLLBACK TO SAVEPOINT s"), bind(), sync()].concat(),
            [
                message(b'P', b"q\0ROLLBACK\0\0\0"),
                message(b'B', b"q\0q\0\0\0\0\0\0\0"),
                execute(),
                sync(),
            ]
            .concat(),
        ],
    ] {
        let mut bench = Bench::new(Answer::Deny).await?;
        let before = bench.floors().await?;
        bench.ask("BEGIN").await?;
        bench.ask("UPDATE rooms SET floor = floor + 1").await?;
        bench.ask("SAVEPOINT s").await?;
        for batch in &batches {
            let replies = bench.send(batch).await?;
            ensure!(status(&replies) == 'T', "{replies:?}");
        }
        let replies = bench.ask("COMMIT").await?;
        ensure!(
            sqlstate(&replies).as_deref() == Some("42501"),
            "{replies:?}"
        );
        ensure!(bench.floors().await? == before, "kept without an approval");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_runs_on_another_connection_once_approved() -> Result<()> {
    let mut bench = Bench::new(Answer::Wait).await?;
    bench.ask("SET abeyance.on_hold = 'ticket'").await?;
    let replies = bench.ask("SET abeyance.on_hold = 'maybe'").await?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("22023"),
        "{replies:?}"
    );
    let statement = "DELETE FROM rooms WHERE room = 'R1'";
    let replies = bench.ask(statement).await?;
    good(&replies, "EZ", 'I')?;
    ensure!(
        sqlstate(&replies).as_deref() == Some("55000"),
        "{replies:?}"
    );
    let text = replies[0].field(b'M').unwrap_or_default();
    ensure!(text.contains("HLD-7K3Q"), "{text}");
    bench.ask("SELECT 1").await?;
    bench.ask(statement).await?;
    // Another session: the same binding. One that was told otherwise: another.
    bench.client = bench.inside.connect().await?;
    bench.ask("SET abeyance.on_hold = 'ticket'").await?;
    bench.ask(statement).await?;
    bench.ask("SET datestyle = 'German, DMY'").await?;
    bench.ask(statement).await?;
    let opened = bench.opened();
    ensure!(opened.iter().all(|request| request.manner.ticket));
    ensure!(opened[0].binding == opened[1].binding, "the same session");
    ensure!(opened[0].binding == opened[2].binding, "another session");
    ensure!(opened[0].binding != opened[3].binding, "another date style");
    // Approved: it runs at once, with its permit.
    let vote = inside::desk::vote(abeyance_api::Decision::Approve);
    *bench
        .inside
        .desk
        .decided
        .lock()
        .map_err(|_| anyhow!("poisoned"))? = Some(Resolution::Approved { vote });
    let replies = bench.ask(statement).await?;
    good(&replies, "CZ", 'I')?;
    ensure!(bench.inside.desk.claims() == 1);
    Ok(())
}
