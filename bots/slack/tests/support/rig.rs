//! A running bot between a double and a desk in memory.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses its part, and a test stops where it fails"
)]

use std::{sync::Arc, time::Duration};

use abeyance_api::SystemClock;
use abeyance_slack::{SlackBot, SlackConfig, SlackMode};
use abeyance_slack_double::{Delivery, DoubleConfig, Ephemeral, Message, SlackDouble};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::support::{CHANNEL, Desk, desks, pending};

pub const SOON: Duration = Duration::from_secs(15);

/// A double, a desk and a running bot.
pub struct Rig {
    pub double: SlackDouble,
    pub desk: Arc<Desk>,
    pub bot: SlackBot,
    pub shutdown: CancellationToken,
    pub tasks: JoinSet<()>,
}

impl Rig {
    pub async fn http() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let clicks = format!("{origin}/slack/interactions");
        let commands = format!("{origin}/slack/commands");
        let mode = SlackMode::Http {
            signing_secret: DoubleConfig::default().signing_secret.into(),
        };
        let mut rig = Self::start(DoubleConfig::http_with_commands(&clicks, &commands), mode).await;
        let router = rig.bot.router().expect("a router in HTTP mode");
        let shutdown = rig.shutdown.clone();
        rig.tasks.spawn(async move {
            let serve =
                axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
            serve.await.unwrap();
        });
        rig
    }

    pub async fn socket() -> Self {
        let mode = SlackMode::Socket {
            app_token: DoubleConfig::default().app_token.into(),
        };
        let rig = Self::start(DoubleConfig::socket(), mode).await;
        assert!(rig.bot.router().is_none());
        rig.double.wait_for_socket(1, SOON).await.unwrap();
        rig
    }

    pub async fn start(config: DoubleConfig, mode: SlackMode) -> Self {
        let bot_token = config.bot_token.clone();
        let double = SlackDouble::start(config).await.unwrap();
        let desk = Arc::new(Desk::default());
        let config = SlackConfig {
            bot_token: bot_token.into(),
            mode,
            api_url: Some(double.base_url()),
        };
        let console = Some("https://abeyance.example".to_owned());
        let bot = SlackBot::new(
            config,
            Arc::clone(&desk) as _,
            Arc::clone(&desk) as _,
            desks(&desk),
            Arc::new(SystemClock),
            console,
        )
        .unwrap();
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (running, stop) = (bot.clone(), shutdown.clone());
        tasks.spawn(async move { running.run(stop).await });
        Self {
            double,
            desk,
            bot,
            shutdown,
            tasks,
        }
    }

    /// Puts a hold and waits for its card.
    pub async fn card(&self, id: &str) -> Message {
        self.desk.put(pending(id));
        self.shows(id, "Waiting for a decision").await
    }

    pub async fn shows(&self, id: &str, text: &str) -> Message {
        let wanted = |message: &Message| {
            let all = message.all_text();
            all.contains(id) && all.contains(text)
        };
        self.double
            .wait_for_message(CHANNEL, SOON, wanted)
            .await
            .unwrap()
    }

    pub async fn told(&self, user: &str, text: &str) {
        let wanted = |said: &Ephemeral| said.text.contains(text);
        self.double
            .wait_for_ephemeral(CHANNEL, user, SOON, wanted)
            .await
            .unwrap();
    }

    pub async fn click(&self, user: &str, card: &Message, action: &str) -> Delivery {
        self.double
            .click(user, CHANNEL, &card.ts, action)
            .await
            .unwrap()
    }

    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.double.shutdown().await;
    }
}
