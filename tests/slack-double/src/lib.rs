//! A stand-in for Slack: a real HTTP and WebSocket server with one workspace and one app, strict enough that
//! what Slack would refuse fails here.
//!
//! It refuses to know anything of Abeyance: it is told users, channels and tokens, and speaks Slack's protocol.
//! Tests drive it as a library or over `/_test/...`; people see it as a page at `/`.
//! It is checked by Slack's own clients (`oracle/`), so it carries this promise: whatever passes here was spoken as
//! Slack speaks, and a literal in a card would be as visible here as there.

mod act;
mod blocks;
mod clock;
mod config;
mod control;
mod deliver;
mod forge;
mod inner;
mod limits;
mod model;
mod page;
mod payload;
mod response_url;
mod server;
mod sign;
mod socket;
mod web_api;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::{any, get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use config::{
    BOT_SCOPES, Channel, DoubleConfig, Interactivity, Rates, Token, User, UserGroup, Workspace,
};
pub use forge::{Forgery, Target};
pub use model::{
    Answer, ApiRequest, Delivery, DisconnectReason, Ephemeral, Fault, FaultKind, Kind, Message,
    Outcome, RecordedRequest, SocketInfo, Via, View,
};

use inner::Inner;
use world::World;

/// Deliveries that are under way when the double stops get this long.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A running stand-in. Cheap to clone; the server ends with the last clone, or with [`SlackDouble::shutdown`].
#[derive(Debug, Clone)]
pub struct SlackDouble {
    inner: Arc<Inner>,
    _guard: Option<Arc<DropGuard>>,
}

impl SlackDouble {
    /// Listens on 127.0.0.1. `Err`: the port is taken.
    pub async fn start(config: DoubleConfig) -> anyhow::Result<Self> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
        let listener = TcpListener::bind(wanted)
            .await
            .with_context(|| format!("cannot listen on {wanted}"))?;
        let addr = listener.local_addr()?;
        let gate = Arc::new(server::Gate::new());
        let inner = Arc::new(Inner::new(config, addr, Arc::clone(&gate)));
        let _guard = Some(Arc::new(inner.shutdown.clone().drop_guard()));
        let app = Self::app(&inner);
        let (tracker, shutdown) = (inner.tracker.clone(), inner.shutdown.clone());
        inner
            .tracker
            .spawn(server::run(listener, addr, app, gate, tracker, shutdown));
        Ok(Self { inner, _guard })
    }

    fn app(inner: &Arc<Inner>) -> Router {
        // The page's handle must not keep the server alive.
        let controls = control::router(Self {
            inner: Arc::clone(inner),
            _guard: None,
        });
        Router::new()
            .route("/api/{method}", any(web_api::call))
            .route("/link/", get(socket::link))
            .route(
                "/{kind}/{team}/{number}/{secret}",
                post(response_url::respond),
            )
            .with_state(Arc::clone(inner))
            .merge(controls)
    }

    /// Stops listening, cuts every connection, waits for what is under way.
    pub async fn shutdown(&self) {
        self.inner.shutdown.cancel();
        self.inner.tracker.close();
        let _ = tokio::time::timeout(STOP_LIMIT, self.inner.tracker.wait()).await;
    }

    /// `http://127.0.0.1:PORT/api/`
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/api/", self.inner.origin)
    }

    /// `http://127.0.0.1:PORT`: the page at `/`, the controls under `/_test/`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.inner.origin.clone()
    }

    #[must_use]
    pub fn bot_token(&self) -> String {
        self.inner.bot_token.clone()
    }

    #[must_use]
    pub fn app_token(&self) -> String {
        self.inner.app_token.clone()
    }

    #[must_use]
    pub fn signing_secret(&self) -> String {
        self.inner.signing_secret.clone()
    }

    /// Everything a client needs to know, as `/_test/info` gives it.
    #[must_use]
    pub fn info(&self) -> Value {
        let world = self.inner.world();
        json!({
            "origin": self.inner.origin,
            "api_url": self.base_url(),
            "bot_token": self.inner.bot_token,
            "app_token": self.inner.app_token,
            "signing_secret": self.inner.signing_secret,
            "interactivity": world.interactivity,
            "workspace": world.workspace,
        })
    }
}

/// Looking.
impl SlackDouble {
    /// The messages of a channel, oldest first.
    #[must_use]
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        self.inner
            .world()
            .messages
            .get(channel)
            .cloned()
            .unwrap_or_default()
    }

    #[must_use]
    pub fn message(&self, channel: &str, ts: &str) -> Option<Message> {
        self.inner.world().message(channel, ts).cloned()
    }

    /// What only `user` sees in `channel`, oldest first.
    #[must_use]
    pub fn ephemerals(&self, channel: &str, user: &str) -> Vec<Ephemeral> {
        let world = self.inner.world();
        let seen = world
            .ephemerals
            .iter()
            .filter(|message| message.channel == channel && message.user == user);
        seen.cloned().collect()
    }

    /// The modals `user` has open, topmost last.
    #[must_use]
    pub fn views(&self, user: &str) -> Vec<View> {
        self.inner
            .world()
            .views
            .iter()
            .filter(|view| view.user == user)
            .cloned()
            .collect()
    }

    /// Every Web API call so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ApiRequest> {
        self.inner.world().requests.iter().cloned().collect()
    }

    /// Everything that was sent to the app.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inner.world().deliveries.iter().cloned().collect()
    }

    #[must_use]
    pub fn sockets(&self) -> Vec<SocketInfo> {
        self.inner.sockets.info()
    }

    /// Counts up with every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Waits until `look` finds something. It is asked again after every change.
    pub async fn wait_for<T>(
        &self,
        timeout: Duration,
        what: &str,
        look: impl Fn(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut changes = self.changes();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = look(self) {
                    return Ok(found);
                }
                changes.changed().await.context("the double has stopped")?;
            }
        };
        match tokio::time::timeout(timeout, wait).await {
            Ok(found) => found,
            Err(_) => anyhow::bail!("{what} did not come in {timeout:?}; {}", self.summary()),
        }
    }

    pub async fn wait_until(
        &self,
        timeout: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        self.wait_for(timeout, "the condition", |double| {
            condition(double).then_some(())
        })
        .await
    }

    /// The first message of the channel that `want` takes.
    pub async fn wait_for_message(
        &self,
        channel: &str,
        timeout: Duration,
        want: impl Fn(&Message) -> bool,
    ) -> anyhow::Result<Message> {
        self.wait_for(timeout, "the message", |double| {
            double.messages(channel).into_iter().find(&want)
        })
        .await
    }

    pub async fn wait_for_ephemeral(
        &self,
        channel: &str,
        user: &str,
        timeout: Duration,
        want: impl Fn(&Ephemeral) -> bool,
    ) -> anyhow::Result<Ephemeral> {
        self.wait_for(timeout, "the ephemeral message", |double| {
            double.ephemerals(channel, user).into_iter().find(&want)
        })
        .await
    }

    /// The topmost modal of `user`.
    pub async fn wait_for_view(&self, user: &str, timeout: Duration) -> anyhow::Result<View> {
        self.wait_for(timeout, "the modal", |double| double.views(user).pop())
            .await
    }

    /// At least so many Socket Mode connections.
    pub async fn wait_for_socket(
        &self,
        connections: usize,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        self.wait_for(timeout, "the connection", |double| {
            (double.sockets().len() >= connections).then_some(())
        })
        .await
    }

    /// For messages of failed waits: what is there, without its text.
    fn summary(&self) -> String {
        let world = self.inner.world();
        let calls: Vec<String> = world
            .requests
            .iter()
            .rev()
            .take(5)
            .map(|call| {
                let error = call
                    .answer
                    .as_ref()
                    .and_then(|answer| answer["error"].as_str());
                format!(
                    "{} -> {} {}",
                    call.method,
                    call.status,
                    error.unwrap_or_default()
                )
            })
            .collect();
        let messages: usize = world.messages.values().map(Vec::len).sum();
        format!(
            "{messages} messages, {} modals; last calls, newest first: {calls:?}",
            world.views.len()
        )
    }
}

/// Acting as a user. Each returns when the app acknowledged, or when Slack would have given up.
impl SlackDouble {
    /// `Err`: the user does not see such a button. A time-out is an outcome, not an error.
    pub async fn click(
        &self,
        user: &str,
        channel: &str,
        ts: &str,
        action_id: &str,
    ) -> anyhow::Result<Delivery> {
        act::click(&self.inner, user, channel, ts, action_id, None).await
    }

    /// Picks an option of an overflow menu or select, by its value.
    pub async fn choose(
        &self,
        user: &str,
        channel: &str,
        ts: &str,
        action_id: &str,
        option: &str,
    ) -> anyhow::Result<Delivery> {
        act::click(&self.inner, user, channel, ts, action_id, Some(option)).await
    }

    /// `values`: `block_id` -> `action_id` -> text. `Err`: Slack's form would not send this.
    pub async fn submit_view(
        &self,
        user: &str,
        view_id: &str,
        values: Value,
    ) -> anyhow::Result<Delivery> {
        act::submit_view(&self.inner, user, view_id, &values).await
    }

    /// A delivery only when the view asked for one (`notify_on_close`).
    pub async fn close_view(&self, user: &str, view_id: &str) -> anyhow::Result<Option<Delivery>> {
        act::close_view(&self.inner, user, view_id).await
    }

    pub async fn slash_command(
        &self,
        user: &str,
        channel: &str,
        command: &str,
        text: &str,
    ) -> anyhow::Result<Delivery> {
        act::slash_command(&self.inner, user, channel, command, text).await
    }

    /// Somebody types a message.
    pub fn say(&self, user: &str, channel: &str, text: &str) -> anyhow::Result<Message> {
        self.inner
            .change(|world| act::say(world, user, channel, text))
    }

    /// Sends an Events API payload around `event`.
    pub async fn event(&self, event: Value) -> Delivery {
        let mut payload = json!({"type": "event_callback", "event": event, "event_id": format!("Ev{}", clock::random_id(9)),
            "event_time": clock::unix_seconds()});
        payload["team_id"] = json!(self.inner.world().workspace.team_id);
        payload["api_app_id"] = json!(self.inner.world().workspace.app_id);
        let delivery = deliver::deliver(&self.inner, Kind::Event, payload, None).await;
        self.inner
            .change(|world| world.record_delivery(delivery.clone()));
        delivery
    }

    /// Sends what Slack would not. Needs interactivity over HTTP.
    pub async fn forge(&self, forgery: Forgery) -> anyhow::Result<Answer> {
        forge::forge(&self.inner, forgery).await
    }

    /// The payload of a click, without sending it.
    pub fn block_actions_payload(
        &self,
        user: &str,
        channel: &str,
        ts: &str,
        action_id: &str,
    ) -> anyhow::Result<Value> {
        let inner = &self.inner;
        let click = inner.change(|world| {
            payload::block_actions(inner, world, user, channel, ts, action_id, None)
        })?;
        Ok(click.payload)
    }

    /// `X-Slack-Signature` for a body at a Unix time.
    #[must_use]
    pub fn sign(&self, timestamp: i64, body: &[u8]) -> String {
        sign::v0(&self.inner.signing_secret, timestamp, body)
    }
}

/// Trouble, and settings.
impl SlackDouble {
    pub fn fault(&self, fault: Fault) {
        self.inner.change(|world| world.faults.push(fault));
    }

    pub fn clear_faults(&self) {
        self.inner.change(World::clear_faults);
    }

    /// Calls held up by [`FaultKind::Stall`], each by a number of its own, as long as their callers wait.
    #[must_use]
    pub fn stalled(&self) -> Vec<u64> {
        self.inner.world().stalled.clone()
    }

    /// The port is closed and every connection cut, for so long. Returns when it listens again.
    pub async fn refuse_connections(&self, duration: Duration) {
        self.inner.gate.set(false).await;
        self.inner.sockets.cut(None);
        tokio::time::sleep(duration).await;
        self.inner.gate.set(true).await;
    }

    pub(crate) fn refuse_connections_later(&self, after: Duration, duration: Duration) {
        let double = Self {
            inner: Arc::clone(&self.inner),
            _guard: None,
        };
        self.inner.tracker.spawn(async move {
            tokio::time::sleep(after).await;
            double.refuse_connections(duration).await;
        });
    }

    pub fn set_interactivity(&self, interactivity: Interactivity) {
        self.inner
            .change(|world| world.interactivity = interactivity);
    }

    pub fn set_rates(&self, rates: Rates) {
        self.inner.change(|world| world.rates = rates);
    }

    /// Makes triggers, response urls and tickets older. Signatures stay on the real time.
    pub fn advance_expiry(&self, by: Duration) {
        self.inner.change(|world| world.aged += by);
    }

    pub fn socket_disconnect(&self, reason: DisconnectReason) {
        self.inner.sockets.disconnect(&self.inner, reason);
    }

    /// One connection, or all, gone without a word.
    pub fn socket_cut(&self, id: Option<u64>) {
        self.inner.sockets.cut(id);
    }

    /// Forgets messages, modals, faults and records; keeps people, tokens and settings.
    pub fn reset(&self) {
        self.inner.change(world::World::reset);
    }

    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let token: CancellationToken = self.inner.shutdown.clone();
        token.cancelled_owned()
    }
}
