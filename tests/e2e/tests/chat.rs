//! What people type and fill in in Slack: looking things up, standing in, grants, broken glass, several at once.

use abeyance_api::{Clock as _, SystemClock};
use abeyance_e2e::{
    PATIENCE, Process, World,
    config::PASSING,
    world::{APPROVE, BOB, CHANNEL, EVE, Mode, hold_of},
};
use abeyance_slack_double::{Message, SlackDouble};
use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use serde_json::json;

const GONE: &str = "DELETE FROM rooms WHERE floor = 2";
const CY: &str = "U0CY00001";

/// Bob is on call for `dba` now and Cy from tomorrow on, turn by turn; a route of that schedule, and two of people.
const SCHEDULE: &str = r#"
[[schedule]]
name = "dba"
zone = "Europe/Berlin"

[[schedule.layer]]
name = "days"
handoff = "0 0 * * *"
anchor = "2026-01-05"
turns = ["bob", "cy"]
"#;

async fn world(mode: Mode, more: &str) -> Result<World> {
    let policy = format!("{more}\n{PASSING}");
    World::with(mode, |config| config.policy = policy).await
}

async fn output(process: &mut Process) -> Result<String> {
    process.wait().await?;
    Ok([process.stdout().finished(), process.stderr().finished()]
        .concat()
        .join("\n"))
}

/// Types a command, and reads the answer that says `text`.
async fn typed(world: &World, user: &str, command: &str, text: &str) -> Result<String> {
    let slack = &world.slack;
    let before = slack.ephemerals(CHANNEL, user).len();
    let sent = slack.slash_command(user, CHANNEL, "/abeyance", command);
    let sent = sent.await?;
    ensure!(sent.acked(), "{command}: {sent:?}");
    let read = |slack: &SlackDouble| {
        let said = slack.ephemerals(CHANNEL, user);
        let mut said = said
            .get(before..)?
            .iter()
            .map(abeyance_slack_double::Ephemeral::all_text);
        said.find(|said| said.contains(text))
    };
    let found = slack.wait_for(PATIENCE, "an answer", read).await;
    found.with_context(|| {
        let said: Vec<String> = slack.ephemerals(CHANNEL, user)[before..]
            .iter()
            .map(abeyance_slack_double::Ephemeral::all_text)
            .collect();
        format!("{command}: nobody said {text:?}: {said:#?}")
    })
}

async fn fill_in(
    world: &World,
    card: &Message,
    button: &str,
    values: serde_json::Value,
) -> Result<()> {
    let clicked = world.click(BOB, card, button).await?;
    ensure!(clicked.acked(), "{clicked:?}");
    let view = world.slack.wait_for_view(BOB, PATIENCE).await?;
    let sent = world.slack.submit_view(BOB, &view.id, values).await?;
    ensure!(sent.acked(), "{sent:?}");
    ensure!(
        world.slack.views(BOB).is_empty(),
        "the form stayed: {:?}",
        world.slack.views(BOB)
    );
    Ok(())
}

async fn looked_up(mode: Mode) -> Result<()> {
    let world = world(mode, SCHEDULE).await?;
    let mut psql = world.psql(GONE)?;
    let card = world.pending().await?;
    let hold = hold_of(&card)?;
    let waiting = typed(&world, EVE, "holds", &hold).await?;
    ensure!(
        waiting.contains("no-empty-wards") && waiting.contains("left"),
        "{waiting}"
    );
    world.click(BOB, &card, APPROVE).await?;
    ensure!(output(&mut psql).await?.contains("DELETE 4"));
    world.card_saying("ran: 4 rows").await?;
    let shown = typed(&world, EVE, &format!("show {hold}"), "The record").await?;
    for part in [
        "DELETE FROM rooms",
        "Held; route dba was asked",
        "approved in Slack",
        "took its permit",
        "Executed: 4 rows",
    ] {
        ensure!(shown.contains(part), "{part:?} is missing in {shown}");
    }
    ensure!(!shown.contains("floor = 2"), "a literal: {shown}");
    let audit = typed(&world, EVE, "audit person @bob since 1h", &hold).await?;
    ensure!(audit.contains("ran: 4 rows"), "{audit}");
    typed(
        &world,
        EVE,
        "audit person cy",
        "Nothing of that was decided",
    )
    .await?;
    typed(&world, EVE, "oncall", "Europe/Berlin").await?;
    Ok(())
}

#[tokio::test]
async fn a_hold_and_its_record_over_socket_mode() {
    looked_up(Mode::Socket).await.unwrap();
}

#[tokio::test]
async fn a_hold_and_its_record_over_http() {
    looked_up(Mode::Http).await.unwrap();
}

/// Somebody without a `[[person]]`: everybody of the double's is known here, so the configuration forgets Eve.
#[tokio::test]
async fn a_stranger_learns_nothing() {
    stranger().await.unwrap();
}

async fn stranger() -> Result<()> {
    let world = World::with(Mode::Socket, |config| config.strangers = vec!["eve"]).await?;
    let mut psql = world.psql(GONE)?;
    let hold = hold_of(&world.pending().await?)?;
    for command in [
        "help",
        "holds",
        "oncall",
        "grants",
        &format!("show {hold}"),
        "nonsense",
    ] {
        let said = typed(&world, EVE, command, "roster").await?;
        ensure!(
            !said.contains(&hold) && !said.contains("/abeyance"),
            "{said}"
        );
    }
    ensure!(psql.ended()?.is_none());
    Ok(())
}

#[tokio::test]
async fn whoever_is_put_on_call_by_chat_may_decide() {
    put_on_call().await.unwrap();
}

async fn put_on_call() -> Result<()> {
    let route = format!(
        "{SCHEDULE}\n[[route]]\nname = \"oncall\"\nslack_channel = \"{CHANNEL}\"\ntimeout = \"2m\"\nfallback = [\"ann\"]\n\
         [[route.step]]\nask = [\"schedule:dba\"]\n"
    );
    let policy = format!(
        "{route}\n{}",
        PASSING.replace("route = \"dba\"", "route = \"oncall\"")
    );
    let world = World::with(Mode::Socket, |config| config.policy = policy).await?;
    let time = |hours| (SystemClock.now() + TimeDelta::hours(hours)).to_rfc3339();
    let span = |who: &str| {
        format!(
            "override dba {who} from {} until {} because dentist",
            time(-1),
            time(2)
        )
    };
    typed(&world, EVE, &span("eve"), "Only people of schedule dba").await?;
    let made = typed(&world, CY, &span("@cy"), "on call is overridden").await?;
    ensure!(made.contains("by cy"), "{made}");
    let now = typed(&world, BOB, "oncall dba", "set by cy: dentist").await?;
    ensure!(now.contains("now: cy"), "{now}");

    let mut psql = world.psql(GONE)?;
    let card = world.card_saying("<@U0CY00001>").await?;
    world.click(CY, &card, APPROVE).await?;
    let said = output(&mut psql).await?;
    ensure!(said.contains("DELETE 4"), "{said}");

    let listed = typed(&world, BOB, "override list", "dentist").await?;
    let id = listed.split('`').nth(1).context("an id")?.to_owned();
    let removed = format!("override remove {id} because back again");
    typed(&world, EVE, &removed, "Only people of schedule dba").await?;
    typed(&world, BOB, &removed, "is taken back").await?;
    typed(&world, BOB, "override list dba", "There are no overrides").await?;
    let swap = format!("swap dba {} with {} because dentist", time(1), time(25));
    typed(&world, BOB, &swap, "the shifts change people").await?;
    typed(&world, BOB, "override list dba", "dentist").await?;
    Ok(())
}

#[tokio::test]
async fn a_grant_is_given_by_the_form_and_revoked_by_chat() {
    grant_and_revoke().await.unwrap();
}

async fn grant_and_revoke() -> Result<()> {
    let world = world(Mode::Socket, "").await?;
    let mut psql = world.psql(GONE)?;
    let card = world.pending().await?;
    let values = json!({"minutes": {"minutes": "30"}, "uses": {"uses": "5"}});
    fill_in(&world, &card, "abeyance_grant", values).await?;
    ensure!(output(&mut psql).await?.contains("DELETE 4"));
    let mut again = world.psql("DELETE FROM rooms WHERE floor = 2")?;
    ensure!(
        output(&mut again).await?.contains("DELETE 0"),
        "not covered"
    );
    let listed = typed(&world, CY, "grants", "1 of 5 used").await?;
    let id = listed.split('`').nth(1).context("a grant's id")?.to_owned();
    typed(
        &world,
        EVE,
        &format!("revoke {id} because no"),
        "not a reviewer",
    )
    .await?;
    typed(
        &world,
        CY,
        &format!("revoke {id} because enough"),
        "is revoked",
    )
    .await?;
    let mut third = world.psql(GONE)?;
    world.pending().await?;
    ensure!(third.ended()?.is_none(), "it ran without being asked");
    Ok(())
}

#[tokio::test]
async fn the_glass_is_broken_by_its_form() {
    broken_glass().await.unwrap();
}

async fn broken_glass() -> Result<()> {
    // Two would have to agree.
    let route = format!(
        "[[group]]\nname = \"leads\"\npeople = [\"bob\"]\n\n[[route]]\nname = \"two\"\nslack_channel = \"{CHANNEL}\"\n\
         timeout = \"2m\"\nreviewers = [\"bob\", \"cy\"]\nquorum = 2\nbreak_glass = \"leads\"\n"
    );
    let policy = format!(
        "{route}\n{}",
        PASSING.replace("route = \"dba\"", "route = \"two\"")
    );
    let world = World::with(Mode::Http, |config| config.policy = policy).await?;
    let mut psql = world.psql(GONE)?;
    let card = world.pending().await?;
    // Whoever may not gets no form.
    world.click(CY, &card, "abeyance_break_glass").await?;
    let told = world
        .slack
        .wait_for_ephemeral(CHANNEL, CY, PATIENCE, |_| true)
        .await?;
    ensure!(
        told.all_text().contains("may not break the glass"),
        "{told:?}"
    );
    let values = json!({"reason": {"reason": "the ward floods"}});
    fill_in(&world, &card, "abeyance_break_glass", values).await?;
    ensure!(output(&mut psql).await?.contains("DELETE 4"));
    world.card_saying("broke the glass").await?;
    Ok(())
}

#[tokio::test]
async fn holds_that_are_alike_go_together_and_each_card_follows() {
    together().await.unwrap();
}

async fn together() -> Result<()> {
    let world = world(Mode::Socket, "").await?;
    let mut first = world.psql(GONE)?;
    let card = world.pending().await?;
    ensure!(card.button("abeyance_alike").is_none(), "it is alone");
    let mut second = world.psql("DELETE FROM rooms WHERE floor = 7")?;
    // The first card hears that it is not alone any more.
    let company =
        |message: &Message| message.ts == card.ts && message.button("abeyance_alike").is_some();
    let card = world
        .slack
        .wait_for_message(CHANNEL, PATIENCE, company)
        .await?;
    fill_in(
        &world,
        &card,
        "abeyance_alike",
        json!({"choice": {"choice": "approve"}}),
    )
    .await?;
    ensure!(output(&mut first).await?.contains("DELETE 4"));
    ensure!(output(&mut second).await?.contains("DELETE"));
    let done = |slack: &SlackDouble| {
        let cards = slack.messages(CHANNEL);
        let ran = cards
            .iter()
            .filter(|card| card.all_text().contains("ran: "))
            .count();
        (ran == 2).then_some(())
    };
    world.slack.wait_for(PATIENCE, "both cards", done).await
}
