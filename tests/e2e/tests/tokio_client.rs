//! tokio-postgres at its normal work: pipelined queries, portals, COPY, cancelling; direct and through the proxy.

use abeyance_e2e::{
    Postgres, World,
    postgres::{PASSWORD, User, detach},
    world::Always,
};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _, future};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, error::SqlState};

async fn connect(port: u16, database: &str) -> Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user(User::Scram.name())
        .password(PASSWORD)
        .dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    detach(async move {
        let _ = connection.await;
    });
    Ok(client)
}

/// Everything it does, told in lines.
async fn work(port: u16, database: &str) -> Result<Vec<String>> {
    let mut client = connect(port, database).await?;
    let mut told = Vec::new();
    pipelined(&client, &mut told).await?;
    transactions(&mut client, &mut told).await?;
    copies(&client, &mut told).await?;
    cancelled(port, database, &client, &mut told).await?;
    Ok(told)
}

async fn pipelined(client: &Client, told: &mut Vec<String>) -> Result<()> {
    // Polled together they are sent before the first answer is read.
    let all = future::join_all((0..20_i32).map(|number| async move {
        let rows = client.query("SELECT $1::int4 * 2", &[&number]).await?;
        rows.first()
            .context("a row")?
            .try_get::<_, i32>(0)
            .map_err(anyhow::Error::from)
    }));
    for doubled in all.await {
        told.push(format!("pipelined {}", doubled?));
    }
    let statement = client
        .prepare("SELECT room, beds FROM rooms WHERE floor = $1 ORDER BY room")
        .await?;
    told.push(format!(
        "prepared {:?} {}",
        statement.params(),
        statement.columns().len()
    ));
    for floor in 0..3_i32 {
        let rows = client.query(&statement, &[&floor]).await?;
        let rooms: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        told.push(format!("floor {floor} {rooms:?}"));
    }
    let error = client
        .query("SELECT 1/$1::int4", &[&0_i32])
        .await
        .err()
        .context("no error")?;
    told.push(format!("error {:?}", error.code()));
    let missing = client
        .prepare("SELECT * FROM absent")
        .await
        .err()
        .context("no error")?;
    told.push(format!("missing {:?}", missing.code()));
    for message in client
        .simple_query("SELECT 1 AS x; INSERT INTO rooms VALUES ('t1', 90); SELECT 2")
        .await?
    {
        match message {
            SimpleQueryMessage::Row(row) => told.push(format!("row {:?}", row.get(0))),
            SimpleQueryMessage::CommandComplete(count) => told.push(format!("complete {count}")),
            other => told.push(format!("{other:?}")),
        }
    }
    Ok(())
}

async fn transactions(client: &mut Client, told: &mut Vec<String>) -> Result<()> {
    let mut transaction = client.transaction().await?;
    transaction
        .execute("INSERT INTO rooms VALUES ('kept', 91)", &[])
        .await?;
    let inner = transaction.transaction().await?;
    inner
        .execute("INSERT INTO rooms VALUES ('gone', 91)", &[])
        .await?;
    inner.rollback().await?;
    let portal = transaction
        .bind("SELECT id FROM patients ORDER BY id", &[])
        .await?;
    let mut total = 0;
    loop {
        let rows = transaction.query_portal(&portal, 333).await?;
        if rows.is_empty() {
            break;
        }
        total += rows.iter().map(|row| row.get::<_, i64>(0)).sum::<i64>();
    }
    told.push(format!("portal {total}"));
    transaction.commit().await?;
    // Dropped unfinished: rolled back.
    let transaction = client.transaction().await?;
    transaction
        .execute("INSERT INTO rooms VALUES ('dropped', 91)", &[])
        .await?;
    drop(transaction);
    let kept = client
        .query_one("SELECT count(*) FROM rooms WHERE floor = 91", &[])
        .await?;
    told.push(format!("kept {}", kept.get::<_, i64>(0)));
    Ok(())
}

async fn copies(client: &Client, told: &mut Vec<String>) -> Result<()> {
    let sink = client.copy_in::<_, Bytes>("COPY rooms FROM STDIN").await?;
    let mut sink = Box::pin(sink);
    for number in 0..3000 {
        sink.send(Bytes::from(format!("c{number}\t92\t{number}\n")))
            .await?;
    }
    told.push(format!("copied {}", sink.as_mut().finish().await?));
    let sink = client.copy_in::<_, Bytes>("COPY rooms FROM STDIN").await?;
    let mut sink = Box::pin(sink);
    sink.send(Bytes::from_static(b"x\tnot a number\t1\n"))
        .await?;
    let refused = sink.as_mut().finish().await.err().context("no error")?;
    told.push(format!("refused {:?}", refused.code()));
    let out = client
        .copy_out("COPY (SELECT room FROM rooms WHERE floor = 92 ORDER BY beds LIMIT 3) TO STDOUT")
        .await?;
    let lines: Vec<Bytes> = out.try_collect().await?;
    told.push(format!("{lines:?}"));
    let rows = client
        .query_raw(
            "SELECT i FROM generate_series(1, 5000) i",
            Vec::<i32>::new(),
        )
        .await?;
    told.push(format!("streamed {}", rows.count().await));
    Ok(())
}

async fn cancelled(
    port: u16,
    database: &str,
    client: &Client,
    told: &mut Vec<String>,
) -> Result<()> {
    let other = connect(port, database).await?;
    let token = client.cancel_token();
    let cancel = async {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'";
        while other.query_one(running, &[]).await?.get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        token.cancel_query(NoTls).await
    };
    let (slept, asked) = future::join(client.batch_execute("SELECT pg_sleep(600)"), cancel).await;
    asked?;
    told.push(format!(
        "cancelled {:?}",
        slept.err().and_then(|error| error.code().cloned())
    ));
    let usable = client.query_one("SELECT 'yes'", &[]).await?;
    told.push(format!("usable {}", usable.get::<_, &str>(0)));
    Ok(())
}

#[tokio::test]
async fn works_unchanged() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let direct = work(postgres.port(), &database.name).await.unwrap();
    let world = World::start().await.unwrap();
    let proxied = work(world.abeyance.proxy_port().unwrap(), &world.database.name)
        .await
        .unwrap();
    assert_eq!(direct, proxied);
}

#[tokio::test]
async fn resumes_when_approved() {
    resumes().await.unwrap();
}

async fn resumes() -> Result<()> {
    let world = World::start().await?;
    let _bob = world.decide_all(Always::Approve);
    let client = connect(world.abeyance.proxy_port()?, &world.database.name).await?;
    let gone = client
        .query(
            "DELETE FROM rooms WHERE floor = $1 RETURNING room",
            &[&0_i32],
        )
        .await?;
    ensure!(gone.len() == 4);
    // The held one is in the middle of a pipeline: answers keep their order.
    let (before, gone, after) = future::join3(
        client.query_one("SELECT count(*) FROM rooms", &[]),
        client.execute("DELETE FROM rooms WHERE floor = 1", &[]),
        client.query_one("SELECT count(*) FROM rooms", &[]),
    )
    .await;
    ensure!(before?.get::<_, i64>(0) == 8 && gone? == 4 && after?.get::<_, i64>(0) == 4);
    Ok(())
}

#[tokio::test]
async fn goes_on_when_denied() {
    let world = World::start().await.unwrap();
    let _bob = world.decide_all(Always::Deny("not on a Friday"));
    let port = world.abeyance.proxy_port().unwrap();
    let mut client = connect(port, &world.database.name).await.unwrap();
    for statement in ["DELETE FROM rooms", "TRUNCATE rooms"] {
        let error = client.execute(statement, &[]).await.unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{error:?}"
        );
        assert!(error.as_db_error().unwrap().hint().is_some());
    }
    let transaction = client.transaction().await.unwrap();
    let denied = transaction
        .execute("DELETE FROM rooms", &[])
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    let aborted = transaction.execute("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(aborted.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    transaction.rollback().await.unwrap();
    let rooms = client
        .query_one("SELECT count(*) FROM rooms", &[])
        .await
        .unwrap();
    assert_eq!(rooms.get::<_, i64>(0), 12);
    world.database.never_saw("DELETE").await.unwrap();
    world.database.never_saw("TRUNCATE").await.unwrap();
}
