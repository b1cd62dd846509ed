//! The whole story: held on the wire, a card in Slack, a click, the same connection goes on.

use abeyance_e2e::{
    Config, Process, World,
    config::CAREFUL,
    eventually,
    world::{ANN, APPROVE, BOB, CHANNEL, EVE, Mode, hold_of},
};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

const GONE: &str = "DELETE FROM rooms WHERE floor = 2";

async fn ran_times(world: &World, text: &str) -> Result<usize> {
    let statements = world.database.statements().await?;
    Ok(statements
        .iter()
        .filter(|line| line.starts_with(text))
        .count())
}

async fn output(process: &mut Process) -> Result<String> {
    process.wait().await?;
    Ok([process.stdout().finished(), process.stderr().finished()]
        .concat()
        .join("\n"))
}

async fn held_then_approved(mode: Mode) -> Result<()> {
    let world = World::with(mode, |_| {}).await?;
    let mut psql = world.psql(GONE)?;
    let card = world.pending().await?;
    let hold = hold_of(&card)?;
    let words = card.all_text();
    for part in [
        hold.as_str(),
        "DELETE",
        "rooms",
        "app_scram",
        "no-empty-wards",
        "Rows",
    ] {
        ensure!(words.contains(part), "{part:?} is missing in {words}");
    }
    ensure!(
        !words.contains("floor = 2"),
        "a literal is on the card: {words}"
    );
    ensure!(psql.ended()?.is_none(), "psql did not wait");
    ensure!(
        ran_times(&world, "DELETE").await? == 0,
        "it ran before anybody decided"
    );

    let click = world.click(BOB, &card, APPROVE).await?;
    ensure!(click.acked() && !click.user_sees_triangle(), "{click:?}");
    let said = output(&mut psql).await?;
    ensure!(said.contains("DELETE 4") && said.contains(&hold), "{said}");
    world.card_saying("ran: 4 rows").await?;
    ensure!(
        ran_times(&world, GONE).await? == 1,
        "{:?}",
        world.database.statements().await
    );
    ensure!(
        world.slack.messages(CHANNEL).len() == 1,
        "one hold, one card: {:#?}",
        world.cards()
    );
    Ok(())
}

#[tokio::test]
async fn approved_over_socket_mode() {
    held_then_approved(Mode::Socket).await.unwrap();
}

#[tokio::test]
async fn approved_over_http() {
    held_then_approved(Mode::Http).await.unwrap();
}

async fn held_then_denied(mode: Mode) -> Result<()> {
    let world = World::with(mode, |_| {}).await?;
    let mut psql = world.psql(GONE)?;
    let card = world.pending().await?;
    let hold = hold_of(&card)?;
    world
        .deny(BOB, &card, "patients are still in there")
        .await?;
    let said = output(&mut psql).await?;
    for part in [
        "ERROR:  42501",
        hold.as_str(),
        "patients are still in there",
        "DETAIL:",
        "HINT:",
        "bob",
    ] {
        ensure!(
            said.to_lowercase().contains(&part.to_lowercase()),
            "{part:?} is missing in {said}"
        );
    }
    world.card_saying("Denied by").await?;
    world.database.never_saw("DELETE").await
}

#[tokio::test]
async fn denied_over_socket_mode() {
    held_then_denied(Mode::Socket).await.unwrap();
}

#[tokio::test]
async fn denied_over_http() {
    held_then_denied(Mode::Http).await.unwrap();
}

#[tokio::test]
async fn expires_when_nobody_decides() {
    let world = World::with(Mode::Socket, |config| "1s".clone_into(&mut config.timeout))
        .await
        .unwrap();
    let mut client = world.client().await.unwrap();
    let replies = client.query(GONE).await.unwrap();
    let error = replies.iter().find(|reply| reply.tag == b'E').unwrap();
    assert_eq!(error.sqlstate().as_deref(), Some("57014"), "{replies:?}");
    assert!(error.field(b'H').is_some(), "says what to do: {replies:?}");
    assert_eq!(replies.last().unwrap().body.as_ref(), b"I");
    world.card_saying("Expired").await.unwrap();
    world.database.never_saw("DELETE").await.unwrap();
    assert_eq!(client.query("SELECT 1").await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_killed_client_withdraws_its_hold() {
    let world = World::start().await.unwrap();
    let mut psql = world.psql(GONE).unwrap();
    let card = world.pending().await.unwrap();
    psql.kill().unwrap();
    let card = world
        .card_saying("Withdrawn")
        .await
        .map(|after| (card, after))
        .unwrap()
        .1;
    assert!(
        card.button(APPROVE).is_none(),
        "nothing is left to click: {card:?}"
    );
    world.database.never_saw("DELETE").await.unwrap();
}

#[tokio::test]
async fn terminate_withdraws_the_hold() {
    let world = World::start().await.unwrap();
    let mut client = world.client().await.unwrap();
    client.start_query(GONE).await.unwrap();
    client.until(b'N').await.unwrap();
    client.send(&[b'X', 0, 0, 0, 4]).await.unwrap();
    world.card_saying("Withdrawn").await.unwrap();
    assert!(client.next().await.unwrap().is_none(), "the proxy closes");
    world.database.never_saw("DELETE").await.unwrap();
}

#[tokio::test]
async fn ctrl_c_in_psql_withdraws_the_hold() {
    let world = World::start().await.unwrap();
    let mut psql = world.psql(GONE).unwrap();
    world.pending().await.unwrap();
    psql.signal(Signal::INT).unwrap();
    let said = output(&mut psql).await.unwrap();
    assert!(said.contains("57014"), "{said}");
    world.card_saying("Withdrawn").await.unwrap();
    world.database.never_saw("DELETE").await.unwrap();
}

#[tokio::test]
async fn who_may_not_decide_is_told_so() {
    who_may_not_decide(Mode::Socket).await.unwrap();
}

#[tokio::test]
async fn who_may_not_decide_is_told_so_over_http() {
    who_may_not_decide(Mode::Http).await.unwrap();
}

async fn who_may_not_decide(mode: Mode) -> Result<()> {
    let world = World::with(mode, |_| {}).await?;
    let mut psql = world.psql(GONE)?;
    let card = world.pending().await?;
    for (user, why) in [(EVE, "not a reviewer"), (ANN, "own")] {
        let click = world.click(user, &card, APPROVE).await?;
        ensure!(click.acked(), "every click is answered: {click:?}");
        let told = |told: &abeyance_slack_double::Ephemeral| told.text.contains(why);
        let heard = world
            .slack
            .wait_for_ephemeral(CHANNEL, user, abeyance_e2e::PATIENCE, told)
            .await;
        heard.with_context(|| format!("{user}: {:?}", world.slack.ephemerals(CHANNEL, user)))?;
    }
    ensure!(psql.ended()?.is_none(), "their clicks do not count");
    world.database.never_saw("DELETE").await?;
    world.click(BOB, &world.pending().await?, APPROVE).await?;
    ensure!(output(&mut psql).await?.contains("DELETE 4"));
    Ok(())
}

/// Literals, bind values and comments stay in the proxy: not on cards, not in logs.
#[tokio::test]
async fn no_literal_leaves() {
    let careful = |config: &mut Config| {
        CAREFUL.clone_into(&mut config.policy);
        "trace".clone_into(&mut config.log);
    };
    let world = World::with(Mode::Socket, careful).await.unwrap();
    let secret = "Xylophone-4711";
    let mut held = Vec::new();
    let statements = [
        format!("DELETE FROM rooms WHERE room = '{secret}'"),
        format!("DELETE FROM rooms /* {secret} */ WHERE room = E'{secret}\\n' -- {secret}"),
        format!("DELETE FROM rooms WHERE room = $tag${secret}$tag$"),
        format!("DELETE FROM rooms WHERE room = '{secret}'; DO '{secret}'"),
        format!("DELETE FROM rooms USING visits AS \"{secret}\" WHERE room = '{secret}'"),
    ];
    for statement in &statements {
        let mut client = world.client().await.unwrap();
        client.start_query(statement).await.unwrap();
        client.until(b'N').await.unwrap();
        held.push(client);
    }
    let all_shown = || async { Ok((world.cards().len() == statements.len()).then_some(())) };
    eventually("a card for each hold", all_shown).await.unwrap();
    drop(held);
    let all_withdrawn = || async {
        let cards = world.cards();
        Ok(cards
            .iter()
            .all(|card| card.contains("Withdrawn"))
            .then_some(()))
    };
    eventually("every card to show that its client is gone", all_withdrawn)
        .await
        .unwrap();
    for request in world.slack.requests() {
        let text = format!("{request:?}");
        // An alias is a name the agent chose; it is no literal, and a reviewer has to see it.
        let text = text
            .replace(&format!("\\\"{secret}\\\""), "")
            .replace(&format!("\\\\\\\"{secret}\\\\\\\""), "");
        assert!(!text.contains(secret), "{text}");
    }
    for line in world.abeyance.log() {
        assert!(!line.contains(secret), "{line}");
    }
}

/// One process holds them all, and each goes on with its own result. Decided through the API: a chat
/// takes its time with a hundred cards.
#[tokio::test]
async fn a_hundred_sessions_wait_and_resume() {
    let world = World::start().await.unwrap();
    let bob = world.approver("bob").unwrap();
    let mut clients = Vec::new();
    for number in 0..100 {
        let mut client = world.client().await.unwrap();
        let floor = 1000 + number;
        let insert = format!("INSERT INTO rooms VALUES ('many{number}', {floor})");
        client.query(&insert).await.unwrap();
        let delete = format!("DELETE FROM rooms WHERE floor = {floor} RETURNING room");
        client.start_query(&delete).await.unwrap();
        clients.push(client);
    }
    for client in &mut clients {
        client.until(b'N').await.unwrap();
    }
    world.database.never_saw("DELETE").await.unwrap();
    let waiting = bob.in_state("pending").await.unwrap();
    assert_eq!(waiting.len(), 100);
    for hold in waiting {
        bob.decide(&hold, "approve", None).await.unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let replies = client.until(b'Z').await.unwrap();
        let row = replies.iter().find(|reply| reply.tag == b'D');
        let room = format!("many{number}");
        assert!(
            row.is_some_and(|row| row.body.ends_with(room.as_bytes())),
            "{replies:?}"
        );
    }
    let all_told = || async { Ok((bob.in_state("executed").await?.len() == 100).then_some(())) };
    eventually("a hundred outcomes", all_told).await.unwrap();
    assert_eq!(ran_times(&world, "DELETE").await.unwrap(), 100);
}

/// The API knows who may decide as well as chat does.
#[tokio::test]
async fn the_api_authorises_people() {
    let world = World::start().await.unwrap();
    let mut psql = world.psql(GONE).unwrap();
    let hold = hold_of(&world.pending().await.unwrap()).unwrap();
    for person in ["ann", "eve"] {
        let refused = world
            .approver(person)
            .unwrap()
            .decide(&hold, "approve", None)
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.starts_with("403") || refused.starts_with("409"),
            "{person}: {refused}"
        );
    }
    let nobody = world
        .approver("mallory")
        .unwrap()
        .decide(&hold, "approve", None)
        .await;
    assert!(nobody.unwrap_err().to_string().starts_with("401"));
    assert!(psql.ended().unwrap().is_none());
    let cy = world.approver("cy").unwrap();
    cy.decide(&hold, "deny", Some("not now")).await.unwrap();
    assert!(output(&mut psql).await.unwrap().contains("not now"));
    let late = world
        .approver("bob")
        .unwrap()
        .decide(&hold, "approve", None)
        .await;
    assert!(late.unwrap_err().to_string().contains("denied"));
    world.database.never_saw("DELETE").await.unwrap();
}
