//! What comes to the approver's door and is not Slack.

use abeyance_e2e::{
    PATIENCE, World, eventually,
    world::{APPROVE, BOB, CHANNEL, Mode, http_client},
};
use abeyance_slack_double::{Forgery, Message, Target};
use anyhow::{Result, ensure};

const GONE: &str = "DELETE FROM rooms WHERE floor = 2";

/// Large bodies are refused by what they claim and by what they are, before anything is kept.
#[tokio::test]
async fn twenty_unsigned_megabytes_are_refused_and_not_kept() {
    let world = World::with(Mode::Http, |_| {}).await.unwrap();
    let before = world.abeyance.resident_bytes().unwrap();
    let answer = world
        .slack
        .forge(Forgery::Oversized { bytes: 20 << 20 })
        .await
        .unwrap();
    assert!(
        (400..500).contains(&answer.status) || answer.error.is_some(),
        "{answer:?}"
    );

    let url = format!(
        "{}/slack/interactions",
        world.abeyance.approver_url().unwrap()
    );
    let client = http_client();
    for attempt in 0..8 {
        let sent = client
            .post(&url)
            .body(vec![b'x'; 20 << 20])
            .timeout(PATIENCE)
            .send()
            .await;
        // A server that answers and closes early may reset what was still being sent.
        if let Ok(response) = sent {
            assert!(
                response.status().is_client_error(),
                "attempt {attempt}: {}",
                response.status()
            );
        }
    }
    let grown = world
        .abeyance
        .resident_bytes()
        .unwrap()
        .saturating_sub(before);
    assert!(grown < 40 << 20, "grew by {grown} bytes");
    let health = client
        .get(format!(
            "{}/healthz",
            world.abeyance.approver_url().unwrap()
        ))
        .send()
        .await
        .unwrap();
    assert!(health.status().is_success());
}

fn target(card: &Message) -> Target {
    Target::Click {
        user: BOB.into(),
        channel: CHANNEL.into(),
        ts: card.ts.clone(),
        action_id: APPROVE.into(),
    }
}

/// Every forgery is refused, and the statement stays held.
#[tokio::test]
async fn forged_clicks_do_not_count() {
    forged_clicks().await.unwrap();
}

async fn forged_clicks() -> Result<()> {
    let world = World::with(Mode::Http, |_| {}).await?;
    let mut psql = world.psql(GONE)?;
    let card = world.pending().await?;
    for forgery in [
        Forgery::NoSignature(target(&card)),
        Forgery::NoTimestamp(target(&card)),
        Forgery::BadSignature(target(&card)),
        Forgery::WrongSecret(target(&card)),
        Forgery::TamperedBody(target(&card)),
        Forgery::OldTimestamp {
            target: target(&card),
            age_secs: 301,
        },
        Forgery::Raw {
            headers: vec![],
            body: "payload=%7B%7D".to_owned(),
        },
    ] {
        let what = format!("{forgery:?}");
        let answer = world.slack.forge(forgery).await?;
        ensure!((400..500).contains(&answer.status), "{what}: {answer:?}");
    }
    ensure!(psql.ended()?.is_none(), "a forged click counted");
    ensure!(world.pending().await?.ts == card.ts);
    world.database.never_saw("DELETE").await
}

/// A recorded click, sent again byte for byte, decides nothing: not this hold and not the next.
#[tokio::test]
async fn a_replayed_click_decides_nothing() {
    replayed_click().await.unwrap();
}

async fn replayed_click() -> Result<()> {
    let world = World::with(Mode::Http, |_| {}).await?;
    let mut psql = world.psql(GONE)?;
    let card = world.pending().await?;
    let click = world.click(BOB, &card, APPROVE).await?;
    ensure!(psql.wait().await?.success());
    world.card_saying("ran: 4 rows").await?;
    let mut second = world.psql(GONE)?;
    let next = world.pending().await?;
    world
        .slack
        .forge(Forgery::Replay { delivery: click.id })
        .await?;
    ensure!(second.ended()?.is_none(), "a replayed click counted");
    ensure!(world.pending().await?.ts == next.ts);
    let statements = world.database.statements().await?;
    ensure!(
        statements
            .iter()
            .filter(|line| line.starts_with("DELETE"))
            .count()
            == 1
    );
    world.click(BOB, &next, APPROVE).await?;
    eventually("the second psql to end", || {
        let ended = second.ended();
        async move { ended }
    })
    .await?;
    Ok(())
}
