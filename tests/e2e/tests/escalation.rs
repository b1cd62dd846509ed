//! Who is asked when nobody answers: steps, on-call schedules, the fallback, looks, overrides, and what the client
//! sees of it.

use abeyance_api::{Clock as _, SystemClock};
use abeyance_e2e::{
    PATIENCE, Process, World, abeyance_binary,
    config::{PASSING, console_token},
    world::{APPROVE, BOB, CHANNEL, Mode, hold_of},
};
use abeyance_slack_double::Message;
use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;

const GONE: &str = "DELETE FROM rooms WHERE floor = 2";
const CY: &str = "U0CY00001";
const LOOK: &str = "abeyance_look";
/// Where the app and a person talk.
const WITH_BOB: &str = "D0BOB0001";
const WITH_CY: &str = "D0CY00001";

/// Bob is always on call for `dba`, and nobody ever for `nights`.
const SCHEDULES: &str = r#"
[[group]]
name = "leads"
people = ["cy"]

[[schedule]]
name = "dba"
zone = "Europe/Berlin"
stand_ins = ["cy"]
announce = "C0ONCALL1"
slack_group = "S0DBA00001"

[[schedule.layer]]
name = "always"
handoff = "0 9 * * *"
anchor = "2026-01-05"
turns = ["bob"]

[[schedule]]
name = "nights"
zone = "Asia/Kolkata"

[[schedule.layer]]
name = "later"
handoff = "0 9 * * *"
anchor = "2099-01-05"
turns = ["bob"]
"#;

/// The passing rules, with holds going to a route of these steps.
async fn world(route: &str) -> Result<World> {
    let rules = PASSING.replace("route = \"dba\"", "route = \"oncall\"");
    let route = format!("[[route]]\nname = \"oncall\"\nslack_channel = \"{CHANNEL}\"\n{route}");
    let policy = format!("{SCHEDULES}\n{route}\n{rules}");
    World::with(Mode::Socket, |config| config.policy = policy).await
}

async fn output(process: &mut Process) -> Result<String> {
    process.wait().await?;
    Ok([process.stdout().finished(), process.stderr().finished()]
        .concat()
        .join("\n"))
}

async fn message(world: &World, channel: &str, text: &str) -> Result<Message> {
    let said = |message: &Message| message.all_text().contains(text);
    let found = world.slack.wait_for_message(channel, PATIENCE, said).await;
    found.with_context(|| {
        format!(
            "nothing in {channel} says {text:?}: {:#?}",
            world.slack.messages(channel)
        )
    })
}

#[tokio::test]
async fn the_next_step_is_asked_when_nobody_answers() {
    let world = world(
        r#"timeout = "2m"
fallback = ["group:leads"]
[[route.step]]
ask = ["schedule:dba"]
[[route.step]]
ask = ["cy"]
after = "2s"
"#,
    )
    .await
    .unwrap();
    let mut psql = world.psql(GONE).unwrap();
    let card = world.card_saying("schedule dba").await.unwrap();
    let hold = hold_of(&card).unwrap();
    assert!(card.all_text().contains("<@U0BOB0001>"), "{card:?}");
    let own = message(&world, WITH_BOB, &hold).await.unwrap();
    assert!(
        own.button(APPROVE).is_some(),
        "bob has a card of his own: {own:?}"
    );
    let called = message(&world, CHANNEL, "waits for your decision")
        .await
        .unwrap();
    assert_eq!(
        called.thread_ts.as_deref(),
        Some(card.ts.as_str()),
        "under the card"
    );

    let theirs = message(&world, WITH_CY, &hold).await.unwrap();
    let clicked = world
        .slack
        .click(CY, WITH_CY, &theirs.ts, APPROVE)
        .await
        .unwrap();
    assert!(clicked.acked(), "{clicked:?}");
    let said = output(&mut psql).await.unwrap();
    assert!(said.contains("DELETE 4"), "{said}");
    for channel in [CHANNEL, WITH_BOB, WITH_CY] {
        message(&world, channel, "ran: 4 rows").await.unwrap();
    }
}

#[tokio::test]
async fn an_empty_schedule_goes_to_the_fallback() {
    let world = world(
        r#"timeout = "2m"
fallback = ["group:leads"]
[[route.step]]
ask = ["schedule:nights"]
[[route.step]]
ask = ["schedule:nights"]
after = "1m"
"#,
    )
    .await
    .unwrap();
    let mut psql = world.psql(GONE).unwrap();
    // At once, although the second step would come after a minute.
    let theirs = message(&world, WITH_CY, "DELETE").await.unwrap();
    world
        .slack
        .click(CY, WITH_CY, &theirs.ts, APPROVE)
        .await
        .unwrap();
    let said = output(&mut psql).await.unwrap();
    assert!(said.contains("DELETE 4"), "{said}");
}

#[tokio::test]
async fn nobody_on_call_is_denied_at_once() {
    let world = world(
        r#"timeout = "10m"
fallback = ["ann"]
[[route.step]]
ask = ["schedule:nights"]
"#,
    )
    .await
    .unwrap();
    let mut psql = world.psql(GONE).unwrap();
    let said = output(&mut psql).await.unwrap();
    for part in ["42501", "nobody is on call", "schedule nights", "HINT:"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    world.card_saying("nobody is on call").await.unwrap();
    world.database.never_saw("DELETE").await.unwrap();
}

#[tokio::test]
async fn looking_puts_the_next_step_off() {
    let world = world(
        r#"timeout = "20m"
fallback = ["group:leads"]
[[route.step]]
ask = ["schedule:dba"]
[[route.step]]
ask = ["cy"]
after = "5m"
"#,
    )
    .await
    .unwrap();
    let mut psql = world.psql(GONE).unwrap();
    let card = world.card_saying("next: cy").await.unwrap();
    let before = next_at(&card).unwrap();
    let refused = world.click(CY, &card, APPROVE).await.unwrap();
    assert!(refused.acked());
    let told = world
        .slack
        .wait_for_ephemeral(CHANNEL, CY, PATIENCE, |_| true)
        .await
        .unwrap();
    assert!(
        told.all_text().contains("not a reviewer"),
        "not asked yet: {told:?}"
    );

    world.click(BOB, &card, LOOK).await.unwrap();
    let looking = world.card_saying("looking: <@U0BOB0001>").await.unwrap();
    let after = next_at(&looking).unwrap();
    // Three minutes, counted from the click.
    assert!((150..=180).contains(&(after - before)), "{before} {after}");
    world.click(BOB, &card, APPROVE).await.unwrap();
    let said = output(&mut psql).await.unwrap();
    assert!(said.contains("DELETE 4"), "{said}");
    assert!(
        world.slack.messages(WITH_CY).is_empty(),
        "cy was never asked"
    );
}

/// When the next step comes, in seconds, as the card shows it.
fn next_at(card: &Message) -> Result<i64> {
    let text = card.all_text();
    let (_, next) = text
        .split_once("next: cy, <!date^")
        .context("no next step")?;
    Ok(next.split('^').next().unwrap_or_default().parse()?)
}

#[tokio::test]
async fn an_override_decides_who_is_asked_and_slack_follows() {
    let world = world(
        r#"timeout = "2m"
fallback = ["group:leads"]
[[route.step]]
ask = ["schedule:dba"]
"#,
    )
    .await
    .unwrap();
    group_is(&world, &[BOB]).await.unwrap();
    let said = cli(
        &world,
        "bob",
        &[
            "override",
            "add",
            "--schedule",
            "dba",
            "--from",
            "2026-01-01T00:00:00Z",
            "--until",
        ],
        &["--people", "cy", "--reason", "dentist"],
    )
    .await
    .unwrap();
    assert!(said.contains("by bob: dentist"), "{said}");
    group_is(&world, &[CY]).await.unwrap();
    let told = message(&world, "C0ONCALL1", "On call for").await.unwrap();
    assert!(told.all_text().contains("set by bob: dentist"), "{told:?}");

    let mut psql = world.psql(GONE).unwrap();
    let theirs = message(&world, WITH_CY, "DELETE").await.unwrap();
    world
        .slack
        .click(CY, WITH_CY, &theirs.ts, APPROVE)
        .await
        .unwrap();
    let said = output(&mut psql).await.unwrap();
    assert!(said.contains("DELETE 4"), "{said}");
    let refused = cli(
        &world,
        "eve",
        &[
            "override",
            "add",
            "--schedule",
            "dba",
            "--from",
            "2026-01-01T00:00:00Z",
            "--until",
        ],
        &["--people", "eve", "--reason", "let me in"],
    )
    .await
    .unwrap();
    assert!(refused.contains("only people of schedule dba"), "{refused}");
}

async fn group_is(world: &World, users: &[&str]) -> Result<()> {
    let want: Vec<&str> = users.to_vec();
    let follows = |double: &abeyance_slack_double::SlackDouble| {
        let info = double.info();
        let now = info["workspace"]["usergroups"][0]["users"]
            .as_array()?
            .clone();
        (now == want).then_some(())
    };
    world.slack.wait_for(PATIENCE, "the group", follows).await
}

/// `abeyance oncall ...` as a person, until tomorrow.
async fn cli(world: &World, person: &str, before: &[&str], after: &[&str]) -> Result<String> {
    let tomorrow = SystemClock.now() + TimeDelta::days(1);
    let from = (SystemClock.now() - TimeDelta::hours(1)).to_rfc3339();
    let before: Vec<&str> = before
        .iter()
        .map(|arg| {
            if arg.starts_with("2026-01-01") {
                from.as_str()
            } else {
                arg
            }
        })
        .collect();
    let mut command = std::process::Command::new(abeyance_binary()?);
    command
        .arg("oncall")
        .args(before)
        .arg(tomorrow.to_rfc3339())
        .args(after)
        .env("ABEYANCE_APPROVER", world.abeyance.approver_url()?)
        .env("ABEYANCE_PERSON_TOKEN", console_token(person));
    let mut process = Process::start("oncall", &mut command)?;
    let said = output(&mut process).await?;
    ensure!(!said.is_empty(), "it says nothing");
    Ok(said)
}
