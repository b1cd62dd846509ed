//! A caller of the Web API, and a small app that answers interactions as it is told.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abeyance_slack_double::{DoubleConfig, SlackDouble};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub const DBA: &str = "C0DBA0001";
pub const ANN: &str = "U0ANN0001";
pub const BOB: &str = "U0BOB0001";
pub const SOON: Duration = Duration::from_secs(60);

pub fn http() -> reqwest::Client {
    // The second test of a process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Calls a method with the bot token and a JSON body.
pub async fn call(double: &SlackDouble, method: &str, args: Value) -> Value {
    call_as(double, &double.bot_token(), method, args).await
}

pub async fn call_as(double: &SlackDouble, token: &str, method: &str, args: Value) -> Value {
    let url = format!("{}{method}", double.base_url());
    let response = http()
        .post(url)
        .bearer_auth(token)
        .header("content-type", "application/json; charset=utf-8")
        .body(args.to_string())
        .send()
        .await
        .unwrap();
    response.json().await.unwrap()
}

/// Calls a method with the bot token and a form.
pub async fn form(double: &SlackDouble, method: &str, fields: &[(&str, &str)]) -> Value {
    let body: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let response = http()
        .post(format!("{}{method}", double.base_url()))
        .bearer_auth(double.bot_token())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    response.json().await.unwrap()
}

/// Two buttons, the second with a dialog.
pub fn card() -> Value {
    let plain = |text: &str| json!({"type": "plain_text", "text": text});
    json!([
        {"type": "section", "text": {"type": "mrkdwn", "text": "*HLD-7K3Q* waits"}},
        {"type": "actions", "block_id": "buttons", "elements": [
            {"type": "button", "action_id": "approve", "style": "primary", "value": "HLD-7K3Q", "text": plain("Approve")},
            {"type": "button", "action_id": "deny", "style": "danger", "value": "HLD-7K3Q", "text": plain("Deny"),
             "confirm": {"title": plain("Sure?"), "text": plain("Really?"), "confirm": plain("Yes"), "deny": plain("No")}},
        ]},
    ])
}

pub fn modal() -> Value {
    let plain = |text: &str| json!({"type": "plain_text", "text": text});
    json!({
        "type": "modal", "callback_id": "deny_reason", "private_metadata": "HLD-7K3Q",
        "title": plain("Deny"), "submit": plain("Deny"), "close": plain("Back"),
        "blocks": [{"type": "input", "block_id": "reason", "label": plain("Reason"),
                    "element": {"type": "plain_text_input", "action_id": "reason", "max_length": 20}}],
    })
}

/// Posts the card; its ts.
pub async fn post_card(double: &SlackDouble) -> String {
    let posted = call(
        double,
        "chat.postMessage",
        json!({"channel": DBA, "text": "HLD-7K3Q waits", "blocks": card()}),
    )
    .await;
    assert_eq!(posted["ok"], true, "{posted}");
    posted["ts"].as_str().unwrap().to_owned()
}

/// A request the app received.
#[derive(Debug, Clone)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Received {
    pub fn payload(&self) -> Value {
        let fields: Vec<(String, String)> =
            form_urlencoded::parse(&self.body).into_owned().collect();
        let payload = &fields.iter().find(|(name, _)| name == "payload").unwrap().1;
        serde_json::from_str(payload).unwrap()
    }

    pub fn header(&self, name: &str) -> String {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    }
}

/// What the app answers next.
#[derive(Debug, Clone)]
pub struct Planned {
    pub status: u16,
    pub body: String,
    pub delay: Duration,
}

#[derive(Debug, Default)]
struct AppState {
    received: Mutex<Vec<Received>>,
    plan: Mutex<VecDeque<Planned>>,
}

/// An app that acknowledges everything, unless planned otherwise.
#[derive(Debug)]
pub struct App {
    pub url: String,
    state: Arc<AppState>,
    _guard: DropGuard,
}

impl App {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/slack/interactions",
            listener.local_addr().unwrap()
        );
        let state = Arc::new(AppState::default());
        let router = Router::new()
            .route("/slack/interactions", post(receive))
            .with_state(Arc::clone(&state));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        TaskTracker::new().spawn(async move {
            tokio::select! {
                () = stopped => {}
                _ = axum::serve(listener, router) => {}
            }
        });
        Self {
            url,
            state,
            _guard: stop.drop_guard(),
        }
    }

    pub fn plan(&self, status: u16, body: &str, delay: Duration) {
        let planned = Planned {
            status,
            body: body.to_owned(),
            delay,
        };
        self.state.plan.lock().unwrap().push_back(planned);
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }
}

async fn receive(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    body: bytes::Bytes,
) -> (StatusCode, String) {
    state.received.lock().unwrap().push(Received {
        headers,
        body: body.to_vec(),
    });
    let planned = state.plan.lock().unwrap().pop_front();
    match planned {
        None => (StatusCode::OK, String::new()),
        Some(planned) => {
            tokio::time::sleep(planned.delay).await;
            (StatusCode::from_u16(planned.status).unwrap(), planned.body)
        }
    }
}

/// A double that posts to a running app.
pub async fn with_app() -> (SlackDouble, App) {
    let app = App::start().await;
    let double = SlackDouble::start(DoubleConfig::http(&app.url))
        .await
        .unwrap();
    (double, app)
}
