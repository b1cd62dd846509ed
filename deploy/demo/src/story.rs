//! The demo unattended: each way a statement can end, played with a real psql, with the truth
//! looked up in the database after each.

use std::time::{Duration, Instant};

use abeyance_slack_double::Message;
use anyhow::{Context as _, ensure};

use crate::{chat::Chat, postgres::Postgres, product::Abeyance, psql::Psql, say};

/// Longer than any single step takes on a slow machine.
const STEP: Duration = Duration::from_secs(30);
/// The hold id in psql's notice and on the card.
const HOLD_PREFIX: &str = "HLD-";

/// Everything a scene needs.
struct Stage<'a> {
    database: &'a Postgres,
    product: &'a Abeyance,
    chat: &'a Chat,
}

/// Plays every scene; the first one that does not end as it must ends the story.
pub async fn play(database: &Postgres, product: &Abeyance, chat: &Chat) -> anyhow::Result<()> {
    let stage = Stage {
        database,
        product,
        chat,
    };
    chat.connected(STEP).await?;
    say::line(&format!(
        "PostgreSQL {} behind Abeyance; the agent is {}, owned by Ann; Ann and Bob review.",
        database.version, product.agent
    ));
    stage.read_passes().await.context("a read passes")?;
    stage.approved().await.context("held, then approved")?;
    stage.denied().await.context("held, then denied")?;
    stage.owner_clicks().await.context("the owner clicks")?;
    stage.timed_out().await.context("held, then timed out")?;
    stage
        .hang_up()
        .await
        .context("held, then the client is gone")?;
    say::line("\nEvery statement ended as it must.");
    Ok(())
}

impl Stage<'_> {
    async fn read_passes(&self) -> anyhow::Result<()> {
        scene("A read passes at once");
        let cards = self.chat.cards()?;
        let started = Instant::now();
        let ended = self
            .psql("SELECT count(*) FROM patients")?
            .end(STEP)
            .await?;
        ensure!(ended.succeeded, "psql failed");
        ensure!(ended.text.contains("200"), "psql did not show 200 patients");
        ensure!(!ended.text.contains(HOLD_PREFIX), "a read was held");
        ensure!(self.chat.cards()? == cards, "a read made a card");
        note(&format!(
            "no card; psql took {} ms in all",
            started.elapsed().as_millis()
        ));
        Ok(())
    }

    async fn approved(&self) -> anyhow::Result<()> {
        scene("Held, approved in Slack, finished on the same connection");
        let condition = "starts < '2026-01-05'";
        let before = self.count("appointments").await?;
        let doomed: u64 = self
            .number(&format!(
                "SELECT count(*) FROM appointments WHERE {condition}"
            ))
            .await?;
        let (mut psql, card, hold) = self
            .hold(&format!("DELETE FROM appointments WHERE {condition}"))
            .await?;
        ensure!(
            !card.all_text().contains("2026-01-05"),
            "the card shows a literal"
        );
        ensure!(psql.runs()?, "psql did not wait");
        ensure!(
            self.count("appointments").await? == before,
            "rows were deleted before the approval"
        );
        note(&format!("while it waits the table still has {before} rows"));
        note("Bob clicks Approve");
        self.chat
            .click(&self.chat.reviewer, &card, "abeyance_approve")
            .await?;
        let ended = psql.end(STEP).await?;
        ensure!(ended.succeeded, "psql failed after the approval");
        ensure!(
            ended.text.contains(&format!("DELETE {doomed}")),
            "psql did not show DELETE {doomed}"
        );
        let after = self.count("appointments").await?;
        ensure!(after == before - doomed, "the table has {after} rows");
        note(&format!("the table has {after} rows"));
        let rows = doomed.to_string();
        self.card_ends(&hold, &["ran", &rows]).await
    }

    async fn denied(&self) -> anyhow::Result<()> {
        scene("Held, denied in Slack with a reason");
        let sum = "SELECT count(*) FROM billing WHERE status = 'paid'";
        let before = self.number(sum).await?;
        let (psql, card, hold) = self.hold("UPDATE billing SET status = 'paid'").await?;
        let reason = "every bill at once? name the ones you mean";
        note(&format!("Bob clicks Deny and writes: {reason}"));
        self.chat.deny(&self.chat.reviewer, &card, reason).await?;
        let ended = psql.end(STEP).await?;
        ensure!(!ended.succeeded, "psql succeeded after a denial");
        for wanted in ["42501", reason, &hold] {
            ensure!(ended.text.contains(wanted), "psql did not show {wanted}");
        }
        ensure!(self.number(sum).await? == before, "bills were changed");
        note("no bill was changed");
        self.card_ends(&hold, &["denied"]).await
    }

    async fn owner_clicks(&self) -> anyhow::Result<()> {
        scene("The agent's owner clicks Approve");
        let owner = self.chat.owner.as_deref().context("Ann is in Slack")?;
        let before = self.count("visits").await?;
        let (mut psql, card, hold) = self
            .hold("DELETE FROM visits WHERE reason = 'checkup'")
            .await?;
        note("Ann, who owns the agent, clicks Approve");
        self.chat.click(owner, &card, "abeyance_approve").await?;
        let told = self.chat.told_only(owner, STEP).await?;
        say::quoted("    only Ann sees: ", &told);
        ensure!(psql.runs()?, "the owner's click ended the wait");
        ensure!(
            self.count("visits").await? == before,
            "the owner's click ran the statement"
        );
        note("still held; nothing ran. Bob denies");
        self.chat
            .deny(&self.chat.reviewer, &card, "not without Ann's manager")
            .await?;
        let ended = psql.end(STEP).await?;
        ensure!(!ended.succeeded, "psql succeeded after a denial");
        self.card_ends(&hold, &["denied"]).await
    }

    async fn timed_out(&self) -> anyhow::Result<()> {
        scene("Held, and nobody answers in time");
        let before = self.count("rooms").await?;
        let (psql, _, hold) = self.hold("TRUNCATE rooms").await?;
        let ended = psql.end(STEP).await?;
        ensure!(!ended.succeeded, "psql succeeded without an approval");
        for wanted in ["57014", &hold] {
            ensure!(ended.text.contains(wanted), "psql did not show {wanted}");
        }
        ensure!(self.count("rooms").await? == before, "rooms were emptied");
        note(&format!("all {before} rooms are still there"));
        self.card_ends(&hold, &["expired"]).await
    }

    async fn hang_up(&self) -> anyhow::Result<()> {
        scene("Held, and the client is gone");
        let before = self.count("patients").await?;
        let (psql, _, hold) = self.hold("DELETE FROM patients").await?;
        note("psql is killed");
        psql.kill().await?;
        self.card_ends(&hold, &["withdrawn"]).await?;
        ensure!(
            self.count("patients").await? == before,
            "patients were deleted for a client that was gone"
        );
        note(&format!("all {before} patients are still there"));
        Ok(())
    }

    fn psql(&self, sql: &str) -> anyhow::Result<Psql> {
        Psql::start(self.product, sql)
    }

    /// Sends a statement that must be held; returns when psql and the card both say so.
    async fn hold(&self, sql: &str) -> anyhow::Result<(Psql, Message, String)> {
        let mut psql = self.psql(sql)?;
        let notice = psql.line_with(HOLD_PREFIX, STEP).await?;
        let hold = hold_id(&notice).context("the notice names the hold")?;
        let card = self.chat.card_with(&hold, &[], STEP).await?;
        say::line("    the card in Slack:");
        say::quoted("      | ", &card.all_text());
        Ok((psql, card, hold))
    }

    /// Waits until the card of a hold shows how it ended.
    async fn card_ends(&self, hold: &str, texts: &[&str]) -> anyhow::Result<()> {
        let card = self.chat.card_with(hold, texts, STEP).await?;
        ensure!(
            card.action_ids().iter().all(|id| id != "abeyance_approve"),
            "the card still has its buttons"
        );
        say::line("    the card now:");
        say::quoted("      | ", &card.all_text());
        Ok(())
    }

    async fn count(&self, table: &str) -> anyhow::Result<u64> {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    /// Asks the database itself, past Abeyance.
    async fn number(&self, sql: &str) -> anyhow::Result<u64> {
        Ok(self.database.ask(sql).await?.parse()?)
    }
}

fn hold_id(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(HOLD_PREFIX)?;
    let id: String = rest
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    Some(format!("{HOLD_PREFIX}{id}"))
}

fn scene(title: &str) {
    say::line(&format!("\n== {title}"));
}

fn note(text: &str) {
    say::line(&format!("    ({text})"));
}
