//! Everything at once: database, `abeyance`, and a Slack where reviewers sit.

use std::{collections::HashSet, process::Command, sync::Arc, time::Duration};

use abeyance_slack_double::{Delivery, DoubleConfig, Interactivity, Message, Rates, SlackDouble};
use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use serde_json::json;
use tokio::task::AbortHandle;

use crate::{
    Abeyance, Approver, Config, Database, PATIENCE, Postgres, Process, RawClient,
    config::Slack,
    driver::libpq,
    postgres::{PASSWORD, User},
    transcript::Backstage,
};

/// The channel of the route `dba`.
pub const CHANNEL: &str = "C0DBA0001";
/// Owns the agent, so may not decide for it.
pub const ANN: &str = "U0ANN0001";
/// A reviewer.
pub const BOB: &str = "U0BOB0001";
/// Known, and no reviewer of anything.
pub const EVE: &str = "U0EVE0001";
pub const APPROVE: &str = "abeyance_approve";
pub const DENY: &str = "abeyance_deny";

/// An HTTP client that goes straight to loopback.
///
/// # Panics
/// Never: no setting of it can be wrong.
#[must_use]
pub fn http_client() -> reqwest::Client {
    // Somebody else of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Reading the machine's certificates takes longer than most of what is asked.
    let plain = reqwest::Client::builder().tls_built_in_root_certs(false);
    plain.no_proxy().build().unwrap_or_default()
}

/// How clicks come back from Slack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Socket,
    Http,
}

/// A whole installation for one test.
#[derive(Debug)]
pub struct World {
    // Dropped in this order: nobody loses a server it still talks to.
    pub abeyance: Abeyance,
    pub slack: Arc<SlackDouble>,
    pub database: Database,
    pub postgres: Arc<Postgres>,
}

impl World {
    /// Starts all, clicks by Socket Mode, rules as in [`crate::config::PASSING`].
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start() -> Result<Self> {
        Self::with(Mode::Socket, |_| {}).await
    }

    /// Starts all, after `change` was applied to the configuration.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn with(mode: Mode, change: impl FnOnce(&mut Config)) -> Result<Self> {
        Self::at(Postgres::start().await?, mode, change).await
    }

    /// The same with a server of one's own, for tests that change what all its databases share.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn at(
        postgres: Arc<Postgres>,
        mode: Mode,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self> {
        let database = postgres.database().await?;
        let mut config = Config::for_database(&database);
        let slack = slack_for(&mut config, mode).await?;
        change(&mut config);
        let abeyance = Abeyance::serve(&config).await?;
        connect_slack(&slack, mode, &abeyance).await?;
        Ok(Self {
            abeyance,
            slack,
            database,
            postgres,
        })
    }

    /// A session through the proxy.
    ///
    /// # Errors
    /// When the log-in fails.
    pub async fn client(&self) -> Result<RawClient> {
        let user = User::Scram.name();
        RawClient::log_in(self.abeyance.proxy()?, user, &self.database.name, PASSWORD).await
    }

    /// A person at the approver's API.
    ///
    /// # Errors
    /// When no approver runs.
    pub fn approver(&self, person: &str) -> Result<Approver> {
        Ok(Approver::new(&self.abeyance.approver_url()?, person))
    }

    /// psql through the proxy, running one command.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn psql(&self, sql: &str) -> Result<Process> {
        let mut psql = Command::new(self.postgres.program("psql"));
        psql.args(["-X", "-v", "VERBOSITY=verbose", "-c", sql]);
        libpq(
            &mut psql,
            self.abeyance.proxy_port()?,
            &self.database,
            User::Scram,
        );
        Process::start("psql", &mut psql)
    }

    /// The one card that can be decided, as soon as there is one.
    ///
    /// # Errors
    /// When none comes.
    pub async fn pending(&self) -> Result<Message> {
        pending(&self.slack).await
    }

    /// The card of one hold, once it can be decided.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn card_of(&self, hold: &str) -> Result<Message> {
        let ours = |card: &Message| hold_of(card).is_ok_and(|shown| shown == hold);
        let found = self.slack.wait_for_message(CHANNEL, PATIENCE, ours).await;
        found.with_context(|| format!("no card for {hold}: {:#?}", self.cards()))
    }

    /// Waits until a card says `text`.
    ///
    /// # Errors
    /// With the cards as they are when none does.
    pub async fn card_saying(&self, text: &str) -> Result<Message> {
        let said = |message: &Message| message.all_text().contains(text);
        let found = self.slack.wait_for_message(CHANNEL, PATIENCE, said).await;
        found.with_context(|| format!("no card says {text:?}: {:#?}", self.cards()))
    }

    /// Every card's words.
    #[must_use]
    pub fn cards(&self) -> Vec<String> {
        self.slack
            .messages(CHANNEL)
            .iter()
            .map(Message::all_text)
            .collect()
    }

    /// Clicks a button of a card.
    ///
    /// # Errors
    /// When there is no such button.
    pub async fn click(&self, user: &str, card: &Message, button: &str) -> Result<Delivery> {
        self.slack.click(user, CHANNEL, &card.ts, button).await
    }

    /// Denies with a reason, through the modal.
    ///
    /// # Errors
    /// When the modal does not open or is not accepted.
    pub async fn deny(&self, user: &str, card: &Message, reason: &str) -> Result<()> {
        deny(&self.slack, user, card, reason).await
    }

    /// Decides every hold from now on, the same way.
    #[must_use]
    pub fn decide_all(&self, decision: Always) -> Decider {
        Decider::start(Arc::clone(&self.slack), decision)
    }
}

/// Starts the double and points the configuration to it.
///
/// # Errors
/// When it does not start.
pub async fn slack_for(config: &mut Config, mode: Mode) -> Result<Arc<SlackDouble>> {
    let double = match mode {
        Mode::Socket => DoubleConfig::socket(),
        // The address is known when the approver listens.
        Mode::Http => DoubleConfig::http("http://127.0.0.1:9/"),
    };
    let slack = SlackDouble::start(DoubleConfig {
        rates: Rates::Off,
        ..double
    })
    .await?;
    let api_url = slack.base_url().trim_end_matches('/').to_owned();
    config.bot_token = slack.bot_token();
    config.slack = Some(match mode {
        Mode::Socket => Slack::Socket {
            api_url,
            app_token: slack.app_token(),
        },
        Mode::Http => Slack::Http {
            api_url,
            signing_secret: slack.signing_secret(),
        },
    });
    Ok(Arc::new(slack))
}

/// Tells the double where clicks go, or waits until somebody listens for them.
///
/// # Errors
/// When nobody does.
pub async fn connect_slack(slack: &SlackDouble, mode: Mode, approver: &Abeyance) -> Result<()> {
    match mode {
        Mode::Socket => slack.wait_for_socket(1, PATIENCE).await,
        Mode::Http => {
            let approver = approver.approver_url()?;
            slack.set_interactivity(Interactivity::Http {
                request_url: format!("{approver}/slack/interactions"),
                command_url: Some(format!("{approver}/slack/commands")),
            });
            Ok(())
        }
    }
}

fn undecided(message: &Message) -> bool {
    message.action_ids().iter().any(|action| action == APPROVE)
}

/// The first card that can be decided, as soon as there is one.
///
/// # Errors
/// When none comes.
pub async fn pending(slack: &SlackDouble) -> Result<Message> {
    let found = slack.wait_for_message(CHANNEL, PATIENCE, undecided).await;
    found.with_context(|| {
        format!(
            "no card waits for a decision: {:#?}",
            slack.messages(CHANNEL)
        )
    })
}

/// The hold a card stands for.
///
/// # Errors
/// When its button names none.
pub fn hold_of(card: &Message) -> Result<String> {
    let button = card.button(APPROVE).context("no approve button")?;
    Ok(button["value"]
        .as_str()
        .context("a button's value")?
        .to_owned())
}

async fn deny(slack: &SlackDouble, user: &str, card: &Message, reason: &str) -> Result<()> {
    let clicked = slack.click(user, CHANNEL, &card.ts, DENY).await?;
    ensure!(clicked.acked(), "{clicked:?}");
    let view = slack.wait_for_view(user, PATIENCE).await?;
    let values = json!({"reason": {"reason": reason}});
    let submitted = slack.submit_view(user, &view.id, values).await?;
    ensure!(submitted.acked(), "{submitted:?}");
    Ok(())
}

/// What a [`Decider`] does.
#[derive(Debug, Clone)]
pub enum Always {
    Approve,
    Deny(&'static str),
}

/// Bob, who decides every hold the same way until he is dropped.
#[derive(Debug)]
pub struct Decider(AbortHandle);

impl Decider {
    #[expect(clippy::disallowed_methods, reason = "ended by drop, inside one test")]
    fn start(slack: Arc<SlackDouble>, decision: Always) -> Self {
        let task = tokio::spawn(async move {
            let mut done = HashSet::new();
            loop {
                let fresh = |message: &Message| undecided(message) && !done.contains(&message.ts);
                let wait = slack.wait_for_message(CHANNEL, Duration::from_secs(3600), fresh);
                let Ok(card) = wait.await else { return };
                let decided = match decision {
                    Always::Approve => slack.click(BOB, CHANNEL, &card.ts, APPROVE).await.map(drop),
                    Always::Deny(reason) => deny(&slack, BOB, &card, reason).await,
                };
                // A card may have been decided or withdrawn in the meantime.
                drop(decided);
                done.insert(card.ts);
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Decider {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Backstage for World {
    async fn approve(&self, hold: &str) -> Result<()> {
        let card = self.card_of(hold).await?;
        let clicked = self.click(BOB, &card, APPROVE).await?;
        ensure!(clicked.acked(), "{clicked:?}");
        Ok(())
    }

    async fn deny(&self, hold: &str, reason: &str) -> Result<()> {
        let card = self.card_of(hold).await?;
        World::deny(self, BOB, &card, reason).await
    }
}
