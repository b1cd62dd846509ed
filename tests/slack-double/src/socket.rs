//! Socket Mode: tickets, `hello`, envelopes that go to exactly one connection, acknowledgements, `disconnect`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::inner::Inner;
use crate::model::{DisconnectReason, Kind, Outcome, SocketInfo};
use crate::world::TICKET_LIFE;

/// Slack allows an app ten connections.
const CONNECTIONS_MAX: usize = 10;
const OUTGOING_MAX: usize = 1000;
const PING_EVERY: Duration = Duration::from_secs(5);
/// A warned connection is closed after this long.
const WARNING_GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Sockets {
    list: Mutex<Vec<Arc<Connection>>>,
    last_id: AtomicU64,
    turn: AtomicU64,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    outgoing: mpsc::Sender<Out>,
    /// Envelopes that wait for their acknowledgement.
    waiting: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    acked: AtomicU64,
    nonsense: AtomicU64,
    /// Was told to go: gets no new envelopes.
    retiring: AtomicBool,
    gone: CancellationToken,
}

#[derive(Debug)]
enum Out {
    Text(String),
    /// A WebSocket close frame, then the end.
    Close,
}

/// Takes a poisoned lock as it is: a test that failed elsewhere must not fail here again.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sockets {
    pub(crate) fn info(&self) -> Vec<SocketInfo> {
        let info = |connection: &Arc<Connection>| SocketInfo {
            id: connection.id,
            acked: connection.acked.load(Ordering::Relaxed),
            open_envelopes: lock(&connection.waiting).len(),
            nonsense: connection.nonsense.load(Ordering::Relaxed),
        };
        lock(&self.list).iter().map(info).collect()
    }

    fn next(&self) -> Option<Arc<Connection>> {
        let list = lock(&self.list);
        let able: Vec<_> = list
            .iter()
            .filter(|connection| {
                !connection.retiring.load(Ordering::Relaxed) && !connection.gone.is_cancelled()
            })
            .collect();
        if able.is_empty() {
            return None;
        }
        let turn = usize::try_from(self.turn.fetch_add(1, Ordering::Relaxed)).unwrap_or_default();
        Some(Arc::clone(able[turn % able.len()]))
    }

    /// Sends to one connection; when it dies unacknowledged, to another, until the limit is over.
    pub(crate) async fn send(
        &self,
        kind: Kind,
        payload: &Value,
        limit: Duration,
    ) -> (Outcome, u32) {
        let deadline = Instant::now() + limit;
        let envelope_id = envelope_id();
        let mut attempts = 0;
        loop {
            let Some(connection) = self.next() else {
                if attempts == 0 {
                    let error = "no Socket Mode connection is open".to_owned();
                    return (Outcome::Unreachable { error }, 0);
                }
                if Instant::now() >= deadline {
                    return (Outcome::TimedOut, attempts);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            attempts += 1;
            let (ack, acked) = oneshot::channel();
            lock(&connection.waiting).insert(envelope_id.clone(), ack);
            let text = envelope(kind, &envelope_id, payload, attempts).to_string();
            if connection.outgoing.send(Out::Text(text)).await.is_err() {
                connection.gone.cancel();
                continue;
            }
            let outcome = tokio::select! {
                // All arms are cancel-safe. An acknowledgement that came with the end of a connection still counts.
                biased;
                Ok(body) = acked => Some(Outcome::Acked { status: 200, body: answer_text(&body) }),
                () = connection.gone.cancelled() => None,
                () = tokio::time::sleep_until(deadline) => Some(Outcome::TimedOut),
            };
            lock(&connection.waiting).remove(&envelope_id);
            if let Some(outcome) = outcome {
                return (outcome, attempts);
            }
        }
    }

    /// Tells one or all connections to go. `Warning` leaves them ten seconds.
    pub(crate) fn disconnect(&self, inner: &Inner, reason: DisconnectReason) {
        let text = json!({"type": "disconnect", "reason": reason.word(), "debug_info": {"host": "applink-double"}}).to_string();
        for connection in lock(&self.list).iter() {
            connection.retiring.store(true, Ordering::Relaxed);
            let connection = Arc::clone(connection);
            let text = text.clone();
            inner.tracker.spawn(async move {
                let _ = connection.outgoing.send(Out::Text(text)).await;
                if reason == DisconnectReason::Warning {
                    tokio::select! {
                        () = connection.gone.cancelled() => return,
                        () = tokio::time::sleep(WARNING_GRACE) => {}
                    }
                }
                let _ = connection.outgoing.send(Out::Close).await;
            });
        }
    }

    /// Ends one or all connections without a word.
    pub(crate) fn cut(&self, id: Option<u64>) {
        for connection in lock(&self.list).iter() {
            if id.is_none_or(|id| id == connection.id) {
                connection.gone.cancel();
            }
        }
    }
}

fn envelope_id() -> String {
    let hex = clock::random_hex(32);
    format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

fn envelope(kind: Kind, id: &str, payload: &Value, attempt: u32) -> Value {
    let (name, takes_answer) = match kind {
        Kind::BlockActions | Kind::ViewClosed => ("interactive", false),
        Kind::ViewSubmission => ("interactive", true),
        Kind::SlashCommand => ("slash_commands", true),
        Kind::Event => ("events_api", false),
    };
    let mut envelope = json!({
        "envelope_id": id,
        "payload": payload,
        "type": name,
        "accepts_response_payload": takes_answer,
    });
    if kind == Kind::Event {
        envelope["retry_attempt"] = json!(attempt - 1);
        envelope["retry_reason"] = json!(if attempt > 1 { "timeout" } else { "" });
    }
    envelope
}

/// The payload of an acknowledgement, as an HTTP answer would have carried it.
fn answer_text(ack: &Value) -> String {
    match ack.get("payload") {
        None | Some(Value::Null) => String::new(),
        Some(payload) => payload.to_string(),
    }
}

pub(crate) async fn link(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let ticket = query.get("ticket").cloned().unwrap_or_default();
    let fresh = inner.change(|world| {
        let made = world.tickets.remove(&ticket)?;
        Some(world.expiry_now().saturating_sub(made) <= TICKET_LIFE)
    });
    if fresh != Some(true) {
        return (
            StatusCode::UNAUTHORIZED,
            "the ticket is unknown, used or expired",
        )
            .into_response();
    }
    upgrade.on_upgrade(move |socket| run(inner, socket))
}

async fn run(inner: Arc<Inner>, mut socket: WebSocket) {
    let (outgoing, mut queue) = mpsc::channel(OUTGOING_MAX);
    let connection = Arc::new(Connection {
        id: inner.sockets.last_id.fetch_add(1, Ordering::Relaxed) + 1,
        outgoing,
        waiting: Mutex::default(),
        acked: AtomicU64::new(0),
        nonsense: AtomicU64::new(0),
        retiring: AtomicBool::new(false),
        gone: inner.shutdown.child_token(),
    });
    let count = {
        let mut list = lock(&inner.sockets.list);
        if list.len() < CONNECTIONS_MAX {
            list.push(Arc::clone(&connection));
        }
        list.len()
    };
    let first = if lock(&inner.sockets.list)
        .iter()
        .any(|other| other.id == connection.id)
    {
        hello(&inner, count)
    } else {
        connection.gone.cancel();
        json!({"type": "disconnect", "reason": "too_many_websockets"})
    };
    inner.touch();
    if socket.send(Frame::text(first.to_string())).await.is_ok() {
        serve(&connection, &inner, &mut socket, &mut queue).await;
    }
    connection.gone.cancel();
    lock(&inner.sockets.list).retain(|other| other.id != connection.id);
    inner.touch();
}

fn hello(inner: &Inner, connections: usize) -> Value {
    json!({
        "type": "hello",
        "num_connections": connections,
        "debug_info": {"host": "applink-double", "build_number": 1, "approximate_connection_time": 18_060},
        "connection_info": {"app_id": inner.world().workspace.app_id},
    })
}

async fn serve(
    connection: &Connection,
    inner: &Inner,
    socket: &mut WebSocket,
    queue: &mut mpsc::Receiver<Out>,
) {
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            // All arms are cancel-safe: nothing is taken before an arm is chosen.
            () = connection.gone.cancelled() => return,
            out = queue.recv() => match out {
                Some(Out::Text(text)) => if socket.send(Frame::text(text)).await.is_err() { return },
                Some(Out::Close) | None => {
                    let _ = socket.send(Frame::Close(None)).await;
                    return;
                }
            },
            _ = ping.tick() => {
                let data = bytes::Bytes::from_static(b"Ping from applink-double");
                if socket.send(Frame::Ping(data)).await.is_err() { return }
            }
            frame = socket.recv() => match frame {
                Some(Ok(Frame::Text(text))) => {
                    heard(connection, &text);
                    inner.touch();
                }
                Some(Ok(Frame::Binary(_))) => { connection.nonsense.fetch_add(1, Ordering::Relaxed); }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
            },
        }
    }
}

fn heard(connection: &Connection, text: &str) {
    let message: Option<Value> = serde_json::from_str(text).ok();
    let envelope = message
        .as_ref()
        .and_then(|message| message["envelope_id"].as_str());
    let waiting = envelope.and_then(|id| lock(&connection.waiting).remove(id));
    match (waiting, message) {
        (Some(waiting), Some(message)) => {
            connection.acked.fetch_add(1, Ordering::Relaxed);
            let _ = waiting.send(message);
        }
        _ => {
            connection.nonsense.fetch_add(1, Ordering::Relaxed);
        }
    }
}
