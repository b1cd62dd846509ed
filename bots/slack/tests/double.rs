//! The whole bot against a server that speaks Slack: cards, clicks over HTTP and over Socket Mode,
//! forms, forged requests, rate limits, lost answers and cut connections.

mod support;

use std::{sync::Arc, time::Duration};

use abeyance_api::{HoldState, Outcome, SystemClock};
use abeyance_slack::{SlackBot, SlackConfig, SlackMode};
use abeyance_slack_double::{
    Delivery, DisconnectReason, DoubleConfig, Fault, FaultKind, Forgery, Interactivity, Message,
    Rates, SlackDouble,
};
use serde_json::json;
use support::{ANN, BOB, CHANNEL, Desk, EVE, pending};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(15);
const APPROVE: &str = "abeyance_approve";
const DENY: &str = "abeyance_deny";
const HOLD: &str = "HLD-7K3Q";

/// A double, a desk and a running bot.
struct Rig {
    double: SlackDouble,
    desk: Arc<Desk>,
    bot: SlackBot,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Rig {
    async fn http() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/slack/interactions",
            listener.local_addr().unwrap()
        );
        let mode = SlackMode::Http {
            signing_secret: DoubleConfig::default().signing_secret.into(),
        };
        let mut rig = Self::start(DoubleConfig::http(&url), mode).await;
        let router = rig.bot.router().expect("a router in HTTP mode");
        let shutdown = rig.shutdown.clone();
        rig.tasks.spawn(async move {
            let serve =
                axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
            serve.await.unwrap();
        });
        rig
    }

    async fn socket() -> Self {
        let mode = SlackMode::Socket {
            app_token: DoubleConfig::default().app_token.into(),
        };
        let rig = Self::start(DoubleConfig::socket(), mode).await;
        assert!(rig.bot.router().is_none());
        rig.double.wait_for_socket(1, SOON).await.unwrap();
        rig
    }

    async fn start(config: DoubleConfig, mode: SlackMode) -> Self {
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
    async fn card(&self, id: &str) -> Message {
        self.desk.put(pending(id));
        self.shows(id, "Waiting for a decision").await
    }

    async fn shows(&self, id: &str, text: &str) -> Message {
        let wanted = |message: &Message| {
            let all = message.all_text();
            all.contains(id) && all.contains(text)
        };
        self.double
            .wait_for_message(CHANNEL, SOON, wanted)
            .await
            .unwrap()
    }

    async fn told(&self, user: &str, text: &str) {
        let wanted = |said: &abeyance_slack_double::Ephemeral| said.text.contains(text);
        self.double
            .wait_for_ephemeral(CHANNEL, user, SOON, wanted)
            .await
            .unwrap();
    }

    async fn click(&self, user: &str, card: &Message, action: &str) -> Delivery {
        self.double
            .click(user, CHANNEL, &card.ts, action)
            .await
            .unwrap()
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.double.shutdown().await;
    }
}

async fn a_click_approves_and_the_card_follows(rig: Rig) {
    let card = rig.card(HOLD).await;
    assert_eq!(card.action_ids(), [APPROVE, DENY, "abeyance_open_console"]);
    let delivery = rig.click(BOB, &card, APPROVE).await;
    assert!(delivery.acked() && !delivery.user_sees_triangle());
    rig.shows(HOLD, "Approved by Bob").await;
    rig.desk.change(HOLD, |view| {
        view.state = HoldState::Executed;
        view.outcome = Some(Outcome::Executed {
            rows: Some(12),
            tags: vec!["DELETE 12".to_owned()],
            elapsed: Duration::from_millis(34),
        });
    });
    let done = rig.shows(HOLD, "12 rows in 34 ms").await;
    assert_eq!(done.ts, card.ts, "the same message all along");
    assert_eq!(done.action_ids(), ["abeyance_open_console"]);
    assert_eq!(rig.double.messages(CHANNEL).len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn approving_over_http() {
    a_click_approves_and_the_card_follows(Rig::http().await).await;
}

#[tokio::test]
async fn approving_over_socket_mode() {
    a_click_approves_and_the_card_follows(Rig::socket().await).await;
}
