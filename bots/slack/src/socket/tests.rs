//! One connection against a server that says whatever the test wants. The Web API is the stand-in's.

use abeyance_api::SystemClock;
use abeyance_chat::command::Commands as Chat;
use abeyance_slack_double::{DoubleConfig, SlackDouble};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{accept_async, connect_async_with_config, tungstenite::Message as Frame};

use super::*;
use crate::{
    SlackConfig, SlackMode,
    api::tls_config,
    clicks::Clicks,
    commands::Commands,
    identity::Identity,
    port::SlackPort,
    reception::Reception,
    support::{BOB, CHANNEL, Desk, EVE, desks, pending},
};

const HOLD: &str = "HLD-7K3Q";
const PATIENCE: Duration = Duration::from_secs(10);

/// Slack's end of the socket, and what is behind ours.
struct Rig {
    slack: WebSocketStream<TcpStream>,
    desk: Arc<Desk>,
    replace: CancellationToken,
    shutdown: CancellationToken,
    ended: JoinSet<Ended>,
    _double: SlackDouble,
}

impl Rig {
    async fn start() -> Self {
        let double = SlackDouble::start(DoubleConfig::socket()).await.unwrap();
        let desk = Arc::new(Desk::default());
        desk.put(pending(HOLD));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        let (ours, slack) = tokio::join!(
            connect_async_with_config(address, Some(bounds()), true),
            async {
                accept_async(listener.accept().await.unwrap().0)
                    .await
                    .unwrap()
            }
        );
        let (replace, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let connection = Connection {
            inbox: inbox(&double, &desk),
            seen: Arc::default(),
            complaints: Arc::default(),
            replace: replace.clone(),
            shutdown: shutdown.clone(),
        };
        let mut ended = JoinSet::new();
        ended.spawn(connection.run(ours.unwrap().0));
        Self {
            slack,
            desk,
            replace,
            shutdown,
            ended,
            _double: double,
        }
    }

    async fn says(&mut self, value: &Value) {
        self.slack
            .send(Frame::text(value.to_string()))
            .await
            .unwrap();
    }

    /// The next acknowledgement.
    async fn acked(&mut self) -> Value {
        let next = async {
            loop {
                match self.slack.next().await.unwrap().unwrap() {
                    Frame::Text(text) => return serde_json::from_str(&text).unwrap(),
                    Frame::Close(_) => panic!("closed instead of acknowledged"),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, next).await.expect("an acknowledgement")
    }

    async fn end(&mut self) -> Ended {
        let ended = timeout(PATIENCE * 20, self.ended.join_next()).await;
        ended.expect("an end").unwrap().unwrap()
    }

    async fn decided(&self, times: usize) {
        let until = async {
            while self.desk.decisions() < times {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, until).await.expect("a decision");
    }
}

fn inbox(double: &SlackDouble, desk: &Arc<Desk>) -> Inbox {
    let config = SlackConfig {
        bot_token: DoubleConfig::default().bot_token.into(),
        mode: SlackMode::Socket {
            app_token: "xapp-1".into(),
        },
        api_url: Some(double.base_url()),
    };
    let api = Arc::new(SlackApi::new(
        &config.bot_token,
        config.check().unwrap(),
        &tls_config().unwrap(),
    ));
    let identity = Arc::new(Identity::new(Arc::clone(&api)));
    let port = SlackPort {
        api,
        identity,
        complaints: Arc::default(),
        places: Arc::default(),
        console: None,
    };
    let reception = Arc::new(Reception::new(port));
    let chat = Chat::new(desks(desk), Arc::new(SystemClock));
    Inbox {
        clicks: Arc::new(Clicks::new(
            Arc::clone(&reception),
            Arc::clone(desk) as _,
            Arc::new(SystemClock),
        )),
        commands: Arc::new(Commands::new(reception, chat)),
    }
}

fn envelope(id: &str, payload: &Value) -> Value {
    json!({"type": "interactive", "envelope_id": id, "accepts_response_payload": true, "payload": payload})
}

fn click(user: &str, action: &str) -> Value {
    json!({
        "type": "block_actions",
        "team": {"id": "T0CLINIC01"},
        "user": {"id": user, "team_id": "T0CLINIC01"},
        "channel": {"id": CHANNEL},
        "actions": [{"action_id": action, "value": HOLD}],
    })
}

fn submission(reason: &str) -> Value {
    json!({
        "type": "view_submission",
        "team": {"id": "T0CLINIC01"},
        "user": {"id": BOB, "team_id": "T0CLINIC01"},
        "view": {
            "callback_id": "abeyance_deny_reason",
            "private_metadata": json!({"hold": HOLD, "channel": CHANNEL, "message": null}).to_string(),
            "state": {"values": {"reason": {"reason": {"type": "plain_text_input", "value": reason}}}},
        },
    })
}

#[tokio::test]
async fn an_envelope_delivered_again_is_acknowledged_again_and_decided_once() {
    let mut rig = Rig::start().await;
    rig.says(&json!({"type": "hello"})).await;
    for _ in 0..3 {
        rig.says(&envelope("e1", &click(EVE, "abeyance_approve")))
            .await;
        assert_eq!(rig.acked().await, json!({"envelope_id": "e1"}));
    }
    rig.says(&envelope("e2", &click(BOB, "abeyance_approve")))
        .await;
    assert_eq!(rig.acked().await, json!({"envelope_id": "e2"}));
    rig.decided(2).await;
    let asked: Vec<_> = rig
        .desk
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|it| it.claimant.clone())
        .collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
}

#[tokio::test]
async fn a_forms_answer_travels_with_the_acknowledgement() {
    let mut rig = Rig::start().await;
    rig.says(&envelope("e1", &submission(" "))).await;
    let ack = rig.acked().await;
    assert_eq!(ack["payload"]["response_action"], "errors");
    rig.says(&envelope("e2", &submission("use the archive job")))
        .await;
    assert_eq!(rig.acked().await, json!({"envelope_id": "e2"}));
    assert_eq!(rig.desk.decisions(), 1);
}

#[tokio::test]
async fn what_is_not_understood_is_not_acknowledged_and_breaks_nothing() {
    let mut rig = Rig::start().await;
    for text in [
        "",
        "nonsense",
        "[]",
        "{}",
        r#"{"type":5}"#,
        r#"{"type":"interactive"}"#,
        r#"{"type":"from_the_future"}"#,
    ] {
        rig.slack.send(Frame::text(text)).await.unwrap();
    }
    rig.slack
        .send(Frame::Binary(vec![0, 159, 146, 150].into()))
        .await
        .unwrap();
    let mut foreign = click(BOB, "abeyance_approve");
    foreign["team"]["id"] = json!("T0OTHER001");
    // Until we know our own workspace the click is acknowledged, and refused in the task.
    rig.says(&envelope("first", &click(EVE, "abeyance_approve")))
        .await;
    assert_eq!(rig.acked().await["envelope_id"], "first");
    rig.decided(1).await;
    rig.says(&envelope("foreign", &foreign)).await;
    rig.says(&envelope("malformed", &json!({"type": "block_actions"})))
        .await;
    rig.says(&json!({"type": "events_api", "envelope_id": "unused", "payload": {}}))
        .await;
    rig.says(&envelope("newer", &json!({"type": "from_the_future"})))
        .await;
    let mut acked = [rig.acked().await, rig.acked().await]
        .map(|ack| ack["envelope_id"].as_str().unwrap().to_owned());
    acked.sort();
    assert_eq!(acked, ["newer", "unused"]);
    assert_eq!(rig.desk.decisions(), 1);
}

#[tokio::test]
async fn a_replaced_connection_goes_on_until_it_is_cut() {
    let mut rig = Rig::start().await;
    rig.says(&json!({"type": "disconnect", "reason": "refresh_requested"}))
        .await;
    timeout(PATIENCE, rig.replace.cancelled())
        .await
        .expect("a successor is asked for");
    rig.says(&envelope("e1", &click(BOB, "abeyance_approve")))
        .await;
    assert_eq!(rig.acked().await["envelope_id"], "e1");
    rig.decided(1).await;
    drop(rig.slack.close(None).await);
    assert_eq!(rig.ended.join_next().await.unwrap().unwrap(), Ended::Asked);
}

#[tokio::test]
async fn shutdown_lets_a_decision_that_has_begun_be_acknowledged() {
    let mut rig = Rig::start().await;
    *rig.desk.slow.lock().unwrap() = Duration::from_millis(600);
    rig.says(&envelope("e1", &submission("no"))).await;
    rig.decided(1).await;
    rig.shutdown.cancel();
    assert_eq!(rig.acked().await, json!({"envelope_id": "e1"}));
    assert_eq!(rig.end().await, Ended::Shutdown);
}

#[tokio::test]
async fn a_message_without_measure_ends_the_connection() {
    let mut rig = Rig::start().await;
    let endless = "x".repeat(limits::SOCKET_MESSAGE_BYTES_MAX + 1);
    // The other end may hang up while we still write.
    let _ = rig.slack.send(Frame::text(endless)).await;
    assert_eq!(rig.end().await, Ended::Broken("a message was too long"));
    assert!(rig.replace.is_cancelled());
}

#[tokio::test]
async fn socket_mode_turned_off_is_told_apart() {
    let mut rig = Rig::start().await;
    rig.says(&json!({"type": "disconnect", "reason": "link_disabled"}))
        .await;
    assert_eq!(rig.end().await, Ended::Disabled);
}

#[tokio::test]
async fn a_peer_that_never_says_anything_is_left() {
    let mut rig = Rig::start().await;
    tokio::time::pause();
    assert_eq!(rig.end().await, Ended::Broken("no sign of life"));
}
