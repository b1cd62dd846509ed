//! Portals and cursors that are opened in one batch and run in a later one: the approval, the row cap and the rules
//! that let them be opened hold for what runs then, on a real PostgreSQL.

use abeyance_api::{Estimate, EstimateSource};
use abeyance_e2e::{Postgres, RawClient, Reply, message};
use abeyance_policy::Access;
use anyhow::{Context, Result, ensure};

use crate::inside::{
    Inside, capped,
    desk::{Answer, Event},
    play, query, sqlstate, status, tags,
};

struct Bench {
    database: abeyance_e2e::Database,
    inside: Inside,
    client: RawClient,
}

impl Bench {
    async fn new(reading: bool) -> Result<Self> {
        let server = Postgres::start().await?;
        let database = server.database().await?;
        let inside = Inside::start(&database, Access::ReadWrite, capped(reading)?, None).await?;
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

    /// Opens portal `p`, and runs nothing of it.
    async fn bind(&mut self, sql: &str) -> Result<()> {
        let parse = [&b"\0"[..], sql.as_bytes(), b"\0\0\0"].concat();
        let batch = [
            message(b'P', &parse),
            message(b'B', b"p\0\0\0\0\0\0\0\0"),
            message(b'S', b""),
        ];
        let replies = self.send(&batch.concat()).await?;
        ensure!(tags(&replies) == "12Z", "{replies:?}");
        Ok(())
    }

    async fn execute(&mut self, rows: i32) -> Result<Vec<Reply>> {
        let execute = [&b"p\0"[..], &rows.to_be_bytes()].concat();
        let batch = [message(b'E', &execute), message(b'S', b"")];
        self.send(&batch.concat()).await
    }

    /// Without the notices of waiting.
    async fn send(&mut self, bytes: &[u8]) -> Result<Vec<Reply>> {
        let mut replies = play(&mut self.client, bytes)
            .await?
            .context("the session ended")?;
        replies.retain(|reply| !matches!(reply.tag, b'N' | b'S'));
        Ok(replies)
    }

    fn asked(&self) -> usize {
        let events = self.inside.desk.events();
        let opened = |event: &&Event| matches!(event, Event::Opened(_));
        events.iter().filter(opened).count()
    }

    async fn rooms(&self) -> Result<i64> {
        self.database.number("SELECT count(*) FROM rooms").await
    }
}

fn refused(replies: &[Reply], state: &str) -> Result<()> {
    ensure!(sqlstate(replies).as_deref() == Some(state), "{replies:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_cap_holds_for_what_was_bound_before() -> Result<()> {
    let mut bench = Bench::new(true).await?;
    let floors = "SELECT sum(floor)::bigint FROM rooms";
    let before = bench.database.number(floors).await?;
    bench.ask("BEGIN").await?;
    bench.bind("UPDATE rooms SET floor = floor + 1").await?;
    refused(&bench.execute(0).await?, "54000")?;
    bench.ask("COMMIT").await?;
    ensure!(bench.database.number(floors).await? == before);
    bench.ask("BEGIN").await?;
    bench
        .bind("UPDATE rooms SET floor = floor + 1 WHERE room = 'R1'")
        .await?;
    ensure!(tags(&bench.execute(0).await?) == "CZ");
    bench.ask("COMMIT").await?;
    ensure!(bench.database.number(floors).await? == before + 1);
    // An approved one.
    bench.ask("BEGIN").await?;
    bench.bind("DELETE FROM rooms").await?;
    refused(&bench.execute(0).await?, "54000")?;
    bench.ask("COMMIT").await?;
    ensure!(bench.rooms().await? == 12);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_to_bind_runs_nothing_later() -> Result<()> {
    let mut bench = Bench::new(true).await?;
    bench.ask("SET application_name = 'R1'").await?;
    bench.ask("BEGIN").await?;
    bench
        .bind("DELETE FROM rooms WHERE room = current_setting('application_name')")
        .await?;
    bench.ask("SET LOCAL application_name = 'R2'").await?;
    bench.inside.desk.answer(Answer::Deny);
    let asked = bench.asked();
    let replies = bench.execute(0).await?;
    refused(&replies, "42501")?;
    ensure!(status(&replies) == 'E' && bench.asked() == asked + 1);
    bench.ask("COMMIT").await?;
    ensure!(bench.rooms().await? == 12);
    Ok(())
}

/// What a cursor was approved for is fetched without asking again, until the session is told something else.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_cursor_is_for_what_the_session_was_told() -> Result<()> {
    let named = "SELECT name FROM patients WHERE name <> current_setting('application_name')";
    for by_sql in [true, false] {
        let mut bench = Bench::new(false).await?;
        bench.ask("BEGIN").await?;
        if by_sql {
            bench.ask(&format!("DECLARE c CURSOR FOR {named}")).await?;
        } else {
            bench.bind(named).await?;
        }
        let fetch = query(b"FETCH 2 FROM c");
        let execute = [message(b'E', b"p\0\0\0\0\x02"), message(b'S', b"")].concat();
        let more = if by_sql { &fetch } else { &execute };
        let asked = bench.asked();
        ensure!(asked == 1);
        for _ in 0..2 {
            let replies = bench.send(more).await?;
            ensure!(tags(&replies).contains("DD"), "{replies:?}");
        }
        ensure!(bench.asked() == asked, "asked again");
        bench.inside.desk.answer(Answer::Deny);
        if by_sql {
            // In one batch.
            bench.ask("SAVEPOINT s").await?;
            let both = "SET LOCAL application_name = 'somebody'; FETCH 2 FROM c";
            refused(&bench.ask(both).await?, "42501")?;
            bench.ask("ROLLBACK TO SAVEPOINT s").await?;
        }
        bench.ask("SET LOCAL application_name = 'somebody'").await?;
        let replies = bench.send(more).await?;
        refused(&replies, "42501")?;
        ensure!(!tags(&replies).contains('D'), "{replies:?}");
    }
    Ok(())
}

/// A write runs whole when it is first executed: what is fetched then is what it returned.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_write_returned_is_fetched_without_asking() -> Result<()> {
    let mut bench = Bench::new(true).await?;
    bench.ask("BEGIN").await?;
    let parse = b"\0DELETE FROM rooms WHERE room IN ('R1', 'R2') RETURNING room\0\0\0";
    let batch = [
        message(b'P', parse),
        message(b'B', b"p\0\0\0\0\0\0\0\0"),
        message(b'E', b"p\0\0\0\0\x01"),
        message(b'S', b""),
    ];
    let replies = bench.send(&batch.concat()).await?;
    ensure!(tags(&replies) == "12DsZ", "{replies:?}");
    bench.inside.desk.answer(Answer::Deny);
    ensure!(tags(&bench.execute(0).await?) == "DCZ");
    bench.ask("COMMIT").await?;
    ensure!(bench.asked() == 1 && bench.rooms().await? == 10);
    Ok(())
}

/// What was bound in an earlier batch is asked about with its values when it is executed.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_what_was_bound_before_are_counted() -> Result<()> {
    let mut bench = Bench::new(true).await?;
    bench.ask("BEGIN").await?;
    let parse = message(b'P', b"\0DELETE FROM rooms WHERE room IN ($1, $2)\0\0\0");
    let bind = b"p\0\0\0\0\0\x02\0\0\0\x02R1\0\0\0\x02R2\0\0";
    let batch = [parse, message(b'B', bind), message(b'S', b"")];
    ensure!(tags(&bench.send(&batch.concat()).await?) == "12Z");
    ensure!(tags(&bench.execute(0).await?) == "CZ");
    let opened = |event: &Event| match event {
        Event::Opened(hold) => Some(hold.blast.rows.clone()),
        _ => None,
    };
    let events = bench.inside.desk.events();
    let rows: Vec<_> = events.iter().filter_map(opened).collect();
    let counted = |rows: &Estimate| (rows.source, rows.rows) == (EstimateSource::Exact, Some(2));
    ensure!(rows.len() == 2 && rows.iter().all(counted), "{rows:?}");
    Ok(())
}
