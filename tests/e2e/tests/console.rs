//! The console in a real browser: a hold appears by itself, a click approves it.

use std::process::Command;

use abeyance_e2e::{
    Process, World, build_dir, config::console_token, driver::node_program, eventually, world::Mode,
};
use anyhow::{Result, ensure};

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
