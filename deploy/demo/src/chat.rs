//! Where cards go: the stand-in for Slack, or the real one when its tokens are in the environment.

use std::time::Duration;

use abeyance_slack_double::{DoubleConfig, Message, Rates, SlackDouble};
use anyhow::{Context as _, bail};
use serde_json::json;

/// The stand-in's channel and people.
const DOUBLE: Workspace = Workspace {
    channel: "C0DBA0001",
    owner: "U0ANN0001",
    reviewer: "U0BOB0001",
};
/// Names a real workspace gives in the environment.
const BOT_TOKEN: &str = "SLACK_BOT_TOKEN";
const APP_TOKEN: &str = "SLACK_APP_TOKEN";
const CHANNEL: &str = "SLACK_CHANNEL";
const REVIEWER: &str = "SLACK_REVIEWER";
const OWNER: &str = "SLACK_OWNER";

struct Workspace {
    channel: &'static str,
    owner: &'static str,
    reviewer: &'static str,
}

/// The chat of this demo.
pub struct Chat {
    /// The channel id.
    pub channel: String,
    /// Ann's user id: she owns the agent.
    pub owner: Option<String>,
    /// Bob's user id.
    pub reviewer: String,
    double: Option<SlackDouble>,
}

impl Chat {
    /// The stand-in.
    pub async fn double() -> anyhow::Result<Self> {
        let config = DoubleConfig {
            rates: Rates::Off,
            ..DoubleConfig::socket()
        };
        Ok(Self {
            channel: DOUBLE.channel.to_owned(),
            owner: Some(DOUBLE.owner.to_owned()),
            reviewer: DOUBLE.reviewer.to_owned(),
            double: Some(SlackDouble::start(config).await?),
        })
    }

    /// The real Slack when its tokens are set, else the stand-in.
    pub async fn from_environment() -> anyhow::Result<Self> {
        if std::env::var_os(BOT_TOKEN).is_none() {
            return Self::double().await;
        }
        let need = |name: &str| {
            std::env::var(name).with_context(|| {
                format!("{BOT_TOKEN} is set, so {APP_TOKEN}, {CHANNEL} and {REVIEWER} are needed too: {name} is not set")
            })
        };
        need(APP_TOKEN)?;
        Ok(Self {
            channel: need(CHANNEL)?,
            owner: std::env::var(OWNER).ok(),
            reviewer: need(REVIEWER)?,
            double: None,
        })
    }

    /// What Abeyance needs to find the chat, besides tokens in its environment.
    pub fn api_url(&self) -> Option<String> {
        self.double.as_ref().map(SlackDouble::base_url)
    }

    /// The environment of Abeyance: the stand-in's tokens; the real ones it inherits.
    pub fn tokens(&self) -> Vec<(&'static str, String)> {
        let double = self.double.as_ref();
        double.map_or_else(Vec::new, |double| {
            vec![
                (BOT_TOKEN, double.bot_token()),
                (APP_TOKEN, double.app_token()),
            ]
        })
    }

    /// Where people see the stand-in, as each of them.
    pub fn pages(&self) -> Option<(String, String)> {
        let origin = self.double.as_ref()?.origin();
        let page = |user: &str| format!("{origin}/?user={user}&channel={}", self.channel);
        Some((page(&self.reviewer), page(DOUBLE.owner)))
    }

    fn stand_in(&self) -> anyhow::Result<&SlackDouble> {
        self.double
            .as_ref()
            .context("the story needs the stand-in for Slack")
    }

    /// Waits until Abeyance's bot is connected.
    pub async fn connected(&self, within: Duration) -> anyhow::Result<()> {
        self.stand_in()?.wait_for_socket(1, within).await
    }

    /// Waits until the card of a hold says all of `texts`.
    pub async fn card_with(
        &self,
        hold: &str,
        texts: &[&str],
        within: Duration,
    ) -> anyhow::Result<Message> {
        let double = self.stand_in()?;
        let says = |message: &Message| {
            let text = message.all_text();
            let lower = text.to_lowercase();
            text.contains(hold)
                && texts
                    .iter()
                    .all(|each| lower.contains(&each.to_lowercase()))
        };
        let found = double.wait_for_message(&self.channel, within, says).await;
        found.with_context(|| {
            let card = double
                .messages(&self.channel)
                .into_iter()
                .find(|message| message.all_text().contains(hold));
            let text = card.map_or("there is none".to_owned(), |card| card.all_text());
            format!("the card of {hold} never said {texts:?}; it says:\n{text}")
        })
    }

    /// How many cards there are.
    pub fn cards(&self) -> anyhow::Result<usize> {
        Ok(self.stand_in()?.messages(&self.channel).len())
    }

    /// Somebody clicks a button of a card.
    pub async fn click(&self, user: &str, card: &Message, action: &str) -> anyhow::Result<()> {
        let delivery = self
            .stand_in()?
            .click(user, &self.channel, &card.ts, action)
            .await?;
        if !delivery.acked() {
            bail!("Abeyance did not answer the click: {:?}", delivery.outcome);
        }
        Ok(())
    }

    /// Somebody denies with a reason: clicks, and fills in the form that opens.
    pub async fn deny(&self, user: &str, card: &Message, reason: &str) -> anyhow::Result<()> {
        self.click(user, card, "abeyance_deny").await?;
        let double = self.stand_in()?;
        let view = double.wait_for_view(user, Duration::from_secs(5)).await?;
        let delivery = double
            .submit_view(user, &view.id, json!({"reason": {"reason": reason}}))
            .await?;
        if !delivery.acked() {
            bail!("Abeyance did not answer the form: {:?}", delivery.outcome);
        }
        Ok(())
    }

    /// What only `user` was told, once something was.
    pub async fn told_only(&self, user: &str, within: Duration) -> anyhow::Result<String> {
        let double = self.stand_in()?;
        let told = double
            .wait_for_ephemeral(&self.channel, user, within, |_| true)
            .await?;
        Ok(told.text)
    }

    /// Stops the stand-in.
    pub async fn stop(self) {
        if let Some(double) = self.double {
            double.shutdown().await;
        }
    }
}
