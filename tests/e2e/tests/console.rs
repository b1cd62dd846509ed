//! The console in a real browser: a hold appears by itself, a click approves it; overrides, looks and grants.

use std::process::Command;

use abeyance_api::{Clock as _, SystemClock};
use abeyance_e2e::{
    Process, World, build_dir,
    config::{PASSING, console_token},
    driver::node_program,
    eventually,
    world::{CHANNEL, Mode},
};
use anyhow::{Result, ensure};
use chrono::TimeDelta;

async fn says(process: &mut Process, word: &str) -> Result<()> {
    eventually(&format!("the browser to say {word:?}"), || {
        let said = process.stdout().all().iter().any(|line| line == word);
        let ended = process.ended();
        let errors = process.stderr().all();
        async move {
            ensure!(said || ended?.is_none(), "it ended: {errors:#?}");
            Ok(said.then_some(()))
        }
    })
    .await
}

#[tokio::test]
async fn a_reviewer_approves_by_clicking() {
    a_reviewer_approves().await.unwrap();
}

async fn a_reviewer_approves() -> Result<()> {
    let world = World::with(Mode::Socket, |_| {}).await?;
    let shots = build_dir("screenshots")?;
    let mut command: Command = node_program("console.js")?;
    command
        .arg(world.abeyance.approver_url()?)
        .arg(console_token("bob"))
        .arg(&shots);
    let mut browser = Process::start("chromium", &mut command)?;
    says(&mut browser, "watching").await?;
    let mut psql = world.psql("DELETE FROM rooms WHERE floor = 2")?;
    says(&mut browser, "appeared").await?;
    ensure!(psql.ended()?.is_none(), "psql did not wait");
    says(&mut browser, "done").await?;
    ensure!(browser.wait().await?.success());
    psql.wait().await?;
    let said = psql.stdout().finished().join("\n");
    ensure!(said.contains("DELETE 4"), "{said}");
    ensure!(shots.join("console-done.png").exists());
    // What was decided in the console is shown in Slack.
    world.card_saying("ran: 4 rows").await?;
    Ok(())
}

#[tokio::test]
async fn somebody_on_call_overrides_looks_and_grants() {
    somebody_on_call().await.unwrap();
}

async fn somebody_on_call() -> Result<()> {
    let rules = PASSING.replace("route = \"dba\"", "route = \"oncall\"");
    let route = format!(
        r#"
[[schedule]]
name = "dba"
zone = "Europe/Berlin"
stand_ins = ["cy"]

[[schedule.layer]]
name = "always"
handoff = "0 9 * * *"
anchor = "2026-01-05"
turns = ["bob"]

[[route]]
name = "oncall"
timeout = "20m"
slack_channel = "{CHANNEL}"
fallback = ["cy"]

[[route.step]]
ask = ["schedule:dba"]

[[route.step]]
ask = ["cy"]
after = "5m"
"#
    );
    let policy = format!("{route}{rules}");
    let world = World::with(Mode::Socket, |config| config.policy = policy).await?;
    let in_days = |days| {
        let moment = SystemClock.now() + TimeDelta::days(days);
        moment.format("%Y-%m-%dT%H:%M").to_string()
    };
    let mut command: Command = node_program("oncall.js")?;
    command
        .arg(world.abeyance.approver_url()?)
        .arg(console_token("bob"))
        .arg(build_dir("screenshots")?)
        .args([in_days(1), in_days(2)]);
    let mut browser = Process::start("chromium", &mut command)?;
    says(&mut browser, "watching").await?;
    let mut psql = world.psql("DELETE FROM rooms WHERE floor = 2")?;
    says(&mut browser, "looking").await?;
    world.card_saying("looking: <@U0BOB0001>").await?;
    says(&mut browser, "done").await?;
    ensure!(browser.wait().await?.success());
    psql.wait().await?;
    let said = psql.stdout().finished().join("\n");
    ensure!(said.contains("DELETE 4"), "{said}");
    // The grant covers it: nobody is asked.
    let mut again = world.psql("DELETE FROM rooms WHERE floor = 2")?;
    again.wait().await?;
    let said = again.stdout().finished().join("\n");
    ensure!(said.contains("DELETE 0"), "{said}");
    Ok(())
}

#[tokio::test]
async fn holds_that_are_alike_are_seen_before_one_click_decides_them() {
    alike().await.unwrap();
}

async fn alike() -> Result<()> {
    const COUNT: i32 = 6;
    let world = World::with(Mode::Socket, |_| {}).await?;
    let mut clients = Vec::new();
    // What does more than the one that is looked at would not be alike.
    for _ in 0..COUNT {
        clients.push(world.psql("DELETE FROM rooms WHERE floor = 2")?);
    }
    let mut command: Command = node_program("alike.js")?;
    command
        .arg(world.abeyance.approver_url()?)
        .arg(console_token("bob"))
        .arg(build_dir("screenshots")?)
        .arg(COUNT.to_string());
    let mut browser = Process::start("chromium", &mut command)?;
    says(&mut browser, "seen").await?;
    for client in &clients {
        ensure!(client.stdout().all().is_empty(), "one was decided early");
    }
    says(&mut browser, "done").await?;
    ensure!(browser.wait().await?.success());
    for client in &mut clients {
        client.wait().await?;
        let said = client.stdout().finished().join("\n");
        ensure!(said.contains("DELETE "), "{said}");
    }
    Ok(())
}
