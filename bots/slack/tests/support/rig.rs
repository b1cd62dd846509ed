//! A running bot between a double and a desk in memory.

use std::{sync::Arc, time::Duration};

use abeyance_api::{Clock, SystemClock};
use abeyance_slack::{SlackBot, SlackConfig, SlackMode};
use abeyance_slack_double::{
    Answer, Delivery, DoubleConfig, Ephemeral, Fault, FaultKind, Forgery, Message, SlackDouble,
    View,
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::support::{CHANNEL, Desk, desks, pending};

pub const SOON: Duration = Duration::from_secs(60);
pub const HOLD: &str = "HLD-7K3Q";
pub const APPROVE: &str = "abeyance_approve";
pub const DENY: &str = "abeyance_deny";

/// A bot that calls a double, asks a desk in memory and serves HTTP, if anything.
pub fn bot(
    double: &SlackDouble,
    desk: &Arc<Desk>,
    mode: SlackMode,
    clock: Arc<dyn Clock>,
) -> SlackBot {
    bot_with(double, &double.bot_token(), desk, mode, clock)
}

/// The same, with another token than the double's.
pub fn bot_with(
    double: &SlackDouble,
    bot_token: &str,
    desk: &Arc<Desk>,
    mode: SlackMode,
    clock: Arc<dyn Clock>,
) -> SlackBot {
    let config = SlackConfig {
        bot_token: bot_token.to_owned().into(),
        mode,
        api_url: Some(double.base_url()),
    };
    SlackBot::new(
        config,
        Arc::clone(desk) as _,
        Arc::clone(desk) as _,
        desks(desk),
        clock,
        Some("https://abeyance.example".to_owned()),
    )
    .unwrap()
}

pub fn http_mode(double: &DoubleConfig) -> SlackMode {
    SlackMode::Http {
        signing_secret: double.signing_secret.clone().into(),
    }
}

pub fn socket_mode(double: &DoubleConfig) -> SlackMode {
    SlackMode::Socket {
        app_token: double.app_token.clone().into(),
    }
}

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
        let config = DoubleConfig::http_with_commands(&clicks, &commands);
        let mode = http_mode(&config);
        let mut rig = Self::start(config, mode).await;
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
        let rig = Self::socket_with(DoubleConfig::socket()).await;
        assert!(rig.bot.router().is_none());
        rig
    }

    pub async fn socket_with(config: DoubleConfig) -> Self {
        let mode = socket_mode(&config);
        let rig = Self::start(config, mode).await;
        rig.double.wait_for_socket(1, SOON).await.unwrap();
        rig
    }

    async fn start(config: DoubleConfig, mode: SlackMode) -> Self {
        let double = SlackDouble::start(config).await.unwrap();
        let desk = Arc::new(Desk::default());
        let bot = bot(&double, &desk, mode, Arc::new(SystemClock));
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

    /// Presses a button and waits for the form behind it.
    pub async fn form(&self, user: &str, card: &Message, action: &str) -> View {
        assert!(self.click(user, card, action).await.acked());
        self.double.wait_for_view(user, SOON).await.unwrap()
    }

    /// Sends a form.
    pub async fn submit(&self, user: &str, view: &View, values: Value) -> Delivery {
        let sent = self.double.submit_view(user, &view.id, values).await;
        let sent = sent.unwrap();
        assert!(sent.acked(), "{sent:?}");
        sent
    }

    /// What the one open form of somebody says is wrong at a field.
    pub fn wrong_at(&self, user: &str, field: &str) -> String {
        let open = self.double.views(user);
        let said = open
            .first()
            .and_then(|view| view.errors.get(field)?.as_str());
        said.map(ToOwned::to_owned)
            .unwrap_or_else(|| panic!("nothing is wrong at {field}: {open:?}"))
    }

    /// The next `times` calls of a method end so.
    pub fn fault(&self, method: &str, kind: FaultKind, times: u32) {
        self.double.fault(Fault {
            method: method.to_owned(),
            kind,
            times,
        });
    }

    pub fn refuses(&self, method: &str, code: &str) {
        let code = code.to_owned();
        self.fault(method, FaultKind::Error { code }, 1);
    }

    pub async fn forge(&self, forgery: Forgery) -> Answer {
        self.double.forge(forgery).await.unwrap()
    }

    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.double.shutdown().await;
    }
}
