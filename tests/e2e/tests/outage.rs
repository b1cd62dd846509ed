//! Processes die, disks fill: nothing unapproved runs, nothing runs twice, and every client is told.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use abeyance_e2e::{
    Abeyance, Approver, Config, Database, Postgres, RawClient, World, eventually,
    postgres::{PASSWORD, User},
    world::{APPROVE, BOB, CHANNEL, Mode, connect_slack, pending, slack_for},
};
use abeyance_slack_double::SlackDouble;
use anyhow::{Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const GONE: &str = "DELETE FROM rooms WHERE floor = 2";

/// Proxy and approver as two processes.
struct Split {
    proxy: Abeyance,
    approver: Abeyance,
    slack: Arc<SlackDouble>,
    database: Database,
}

impl Split {
    async fn start() -> Result<Self> {
        let database = Postgres::start().await?.database().await?;
        let mut config = Config::for_database(&database);
        let slack = slack_for(&mut config, Mode::Socket).await?;
        let approver = Abeyance::approver_only(&config).await?;
        connect_slack(&slack, Mode::Socket, &approver).await?;
        let proxy = Abeyance::proxy_only(&config, &approver.approver_url()?).await?;
        Ok(Self {
            proxy,
            approver,
            slack,
            database,
        })
    }

    async fn client(&self) -> Result<RawClient> {
        RawClient::log_in(
            self.proxy.proxy()?,
            User::Scram.name(),
            &self.database.name,
            PASSWORD,
        )
        .await
    }

    async fn approve(&self) -> Result<()> {
        let card = pending(&self.slack).await?;
        ensure!(
            self.slack
                .click(BOB, CHANNEL, &card.ts, APPROVE)
                .await?
                .acked()
        );
        Ok(())
    }
}

async fn held(client: &mut RawClient) -> Result<()> {
    client.start_query(GONE).await?;
    client.until(b'N').await?;
    Ok(())
}

#[tokio::test]
async fn on_two_machines_it_works_as_in_one_process() {
    let split = Split::start().await.unwrap();
    let mut client = split.client().await.unwrap();
    held(&mut client).await.unwrap();
    split.approve().await.unwrap();
    let replies = client.until(b'Z').await.unwrap();
    assert!(
        replies
            .iter()
            .any(|reply| reply.tag == b'C' && reply.body.starts_with(b"DELETE 4")),
        "{replies:?}"
    );
}

#[tokio::test]
async fn an_approver_that_stays_away_refuses() {
    let mut split = Split::start().await.unwrap();
    let mut client = split.client().await.unwrap();
    held(&mut client).await.unwrap();
    split.approver.kill().unwrap();
    let refused = async {
        loop {
            let reply = client.next_within(abeyance_e2e::abeyance::OUTAGE).await?;
            match reply {
                Some(reply) if reply.tag == b'E' => return anyhow::Ok(reply),
                Some(_) => {}
                None => anyhow::bail!("closed"),
            }
        }
    };
    let error = refused.await.unwrap();
    assert_eq!(error.sqlstate().as_deref(), Some("57P03"), "{error:?}");
    client.until(b'Z').await.unwrap();
    // Reads need nobody's decision; what would be held is refused at once.
    assert!(
        client
            .query("SELECT 1")
            .await
            .unwrap()
            .iter()
            .any(|reply| reply.tag == b'D')
    );
    let replies = client.query(GONE).await.unwrap();
    let error = replies.iter().find(|reply| reply.tag == b'E').unwrap();
    assert_eq!(error.sqlstate().as_deref(), Some("57P03"), "{replies:?}");
    split.database.never_saw("DELETE").await.unwrap();

    // Back again, everything works, on the same connection too.
    split.approver.restart().await.unwrap();
    split
        .slack
        .wait_for_socket(1, abeyance_e2e::PATIENCE)
        .await
        .unwrap();
    let mut other = split.client().await.unwrap();
    held(&mut other).await.unwrap();
    let mine = |message: &abeyance_slack_double::Message| message.button(APPROVE).is_some();
    let cards: Vec<_> = split
        .slack
        .messages(CHANNEL)
        .into_iter()
        .filter(mine)
        .collect();
    drop(cards);
    approve_newest(&split).await.unwrap();
    let replies = other.until(b'Z').await.unwrap();
    assert!(replies.iter().any(|reply| reply.tag == b'C'), "{replies:?}");
}

/// The first hold may still be shown as pending; the second is the one somebody waits for.
async fn approve_newest(split: &Split) -> Result<()> {
    let card = eventually("the second card", || async {
        let cards = split.slack.messages(CHANNEL);
        Ok((cards.len() > 1).then(|| cards.last().cloned()).flatten())
    })
    .await?;
    ensure!(
        split
            .slack
            .click(BOB, CHANNEL, &card.ts, APPROVE)
            .await?
            .acked()
    );
    Ok(())
}

/// A relay to the approver that loses every answer to the opening of a hold.
async fn loses_openings(to: String, tasks: &mut JoinSet<()>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let to = to.clone();
            connections.spawn(async move { one_connection(client, &to).await });
        }
    });
    Ok(address)
}

/// Passes on what it reads, and drops both ends instead of answering an opening.
async fn one_connection(client: TcpStream, to: &str) -> Result<()> {
    let server = TcpStream::connect(to).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let opening = AtomicBool::new(false);
    let there = async {
        let mut chunk = vec![0; 64 * 1024];
        while let read @ 1.. = from_client.read(&mut chunk).await? {
            if chunk.starts_with(b"POST /api/v1/holds ") {
                opening.store(true, Ordering::SeqCst);
            }
            to_server.write_all(&chunk[..read]).await?;
        }
        Ok(())
    };
    let back = async {
        let mut chunk = vec![0; 64 * 1024];
        while let read @ 1.. = from_server.read(&mut chunk).await? {
            if opening.load(Ordering::SeqCst) {
                break;
            }
            to_client.write_all(&chunk[..read]).await?;
        }
        anyhow::Ok(())
    };
    // Both arms are dropped together.
    tokio::select! { ended = there => ended, ended = back => ended }
}

/// The client is told at once, and nobody is left looking at a hold that nobody waits for.
#[tokio::test]
async fn an_opening_without_an_answer_is_taken_back() {
    let server = Postgres::start().await.unwrap();
    let database = server.database().await.unwrap();
    let config = Config::for_database(&database);
    let approver = Abeyance::approver_only(&config).await.unwrap();
    let url = approver.approver_url().unwrap();
    let mut tasks = JoinSet::new();
    let to = url.trim_start_matches("http://").to_owned();
    let relay = loses_openings(to, &mut tasks).await.unwrap();
    let proxy = Abeyance::proxy_only(&config, &relay).await.unwrap();
    let user = User::Scram.name();
    let mut client = RawClient::log_in(proxy.proxy().unwrap(), user, &database.name, PASSWORD)
        .await
        .unwrap();
    let replies = client.query(GONE).await.unwrap();
    let error = replies.iter().find(|reply| reply.tag == b'E').unwrap();
    assert_eq!(error.sqlstate().as_deref(), Some("57P03"), "{replies:?}");
    let bob = Approver::new(&url, "bob");
    eventually("the hold to be withdrawn", || async {
        Ok((bob.in_state("withdrawn").await?.len() == 1).then_some(()))
    })
    .await
    .unwrap();
    let holds = bob.holds().await.unwrap();
    assert_eq!(holds.len(), 1, "{holds:?}");
    assert_eq!(holds[0]["resolution"]["reason"], "answer_lost");
    database.never_saw("DELETE").await.unwrap();
}

#[tokio::test]
async fn a_hold_outlives_a_restart_of_the_approver() {
    let mut split = Split::start().await.unwrap();
    let mut client = split.client().await.unwrap();
    held(&mut client).await.unwrap();
    pending(&split.slack).await.unwrap();
    split.approver.kill().unwrap();
    split.approver.restart().await.unwrap();
    split
        .slack
        .wait_for_socket(1, abeyance_e2e::PATIENCE)
        .await
        .unwrap();
    split.approve().await.unwrap();
    let replies = client.until(b'Z').await.unwrap();
    assert!(
        replies
            .iter()
            .any(|reply| reply.tag == b'C' && reply.body.starts_with(b"DELETE 4")),
        "{replies:?}"
    );
    let statements = split.database.statements().await.unwrap();
    assert_eq!(
        statements
            .iter()
            .filter(|line| line.starts_with("DELETE"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_killed_proxy_runs_nothing() {
    let mut world = World::start().await.unwrap();
    let mut client = world.client().await.unwrap();
    held(&mut client).await.unwrap();
    let card = world.pending().await.unwrap();
    world.abeyance.kill().unwrap();
    assert!(
        !matches!(client.next().await, Ok(Some(_))),
        "the connection is gone"
    );
    world.database.never_saw("DELETE").await.unwrap();

    // After a restart nobody waits for the hold any more, and the card says so.
    world.abeyance.restart().await.unwrap();
    world
        .slack
        .wait_for_socket(1, abeyance_e2e::PATIENCE)
        .await
        .unwrap();
    world.card_saying("Withdrawn").await.unwrap();
    let _ = world.click(BOB, &card, APPROVE).await;
    world.database.never_saw("DELETE").await.unwrap();
    assert!(
        world
            .client()
            .await
            .unwrap()
            .query("SELECT 1")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_graceful_stop_tells_who_waits() {
    let mut world = World::start().await.unwrap();
    let mut idle = world.client().await.unwrap();
    let mut client = world.client().await.unwrap();
    held(&mut client).await.unwrap();
    world.pending().await.unwrap();
    let status = world.abeyance.stop().await.unwrap();
    assert!(status.success(), "{status}");
    let mut told = Vec::new();
    while let Ok(Some(reply)) = client.next().await {
        told.push(reply.sqlstate());
    }
    assert!(
        told.iter().flatten().any(|state| state == "57P01"),
        "{told:?}"
    );
    let farewell = idle
        .next()
        .await
        .unwrap()
        .and_then(|reply| reply.sqlstate());
    assert_eq!(farewell.as_deref(), Some("57P01"));
    world.database.never_saw("DELETE").await.unwrap();
    // The card said so before the process ended.
    world.card_saying("Withdrawn").await.unwrap();
}

#[tokio::test]
async fn a_target_that_dies_while_a_statement_waits_ends_the_session() {
    let postgres = Arc::new(Postgres::launch().await.unwrap());
    let database = postgres.database().await.unwrap();
    let mut config = Config::for_database(&database);
    let slack = slack_for(&mut config, Mode::Socket).await.unwrap();
    let abeyance = Abeyance::serve(&config).await.unwrap();
    connect_slack(&slack, Mode::Socket, &abeyance)
        .await
        .unwrap();
    let user = User::Scram.name();
    let mut client = RawClient::log_in(abeyance.proxy().unwrap(), user, &database.name, PASSWORD)
        .await
        .unwrap();
    held(&mut client).await.unwrap();
    pending(&slack).await.unwrap();
    postgres.crash().unwrap();
    let mut last = None;
    while let Some(reply) = client.next().await.unwrap() {
        last = reply.sqlstate().or(last);
    }
    assert!(last.is_some(), "the client is told why");
    let withdrawn =
        |message: &abeyance_slack_double::Message| message.all_text().contains("Withdrawn");
    slack
        .wait_for_message(CHANNEL, abeyance_e2e::PATIENCE, withdrawn)
        .await
        .unwrap();
}
