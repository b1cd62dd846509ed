//! Socket Mode: tickets, envelopes to exactly one connection, acknowledgements, redelivery, disconnects.
use std::time::Duration;

use crate::support::{self, ANN, DBA, SOON, call_as, post_card};
use abeyance_slack_double::{DisconnectReason, DoubleConfig, Outcome, SlackDouble, Via};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn double() -> SlackDouble {
    SlackDouble::start(DoubleConfig::socket()).await.unwrap()
}

async fn ticket(double: &SlackDouble) -> String {
    let opened = call_as(
        double,
        &double.app_token(),
        "apps.connections.open",
        json!({}),
    )
    .await;
    opened["url"].as_str().unwrap().to_owned()
}

async fn connect(double: &SlackDouble) -> Socket {
    let (mut socket, _) = connect_async(ticket(double).await).await.unwrap();
    let hello = next(&mut socket).await.unwrap();
    assert_eq!(hello["type"], "hello");
    socket
}

/// The next JSON message; `None` when the connection is over.
async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match tokio::time::timeout(SOON, socket.next()).await.unwrap()? {
            Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

async fn ack(socket: &mut Socket, envelope: &Value, payload: Option<Value>) {
    let mut answer = json!({"envelope_id": envelope["envelope_id"]});
    if let Some(payload) = payload {
        answer["payload"] = payload;
    }
    socket
        .send(Message::text(answer.to_string()))
        .await
        .unwrap();
}

#[tokio::test]
async fn hello_then_an_envelope_then_the_acknowledgement() {
    let double = double().await;
    let mut socket = connect(&double).await;
    let ts = post_card(&double).await;
    let (delivery, envelope) = tokio::join!(double.click(ANN, DBA, &ts, "approve"), async {
        let envelope = next(&mut socket).await.unwrap();
        ack(&mut socket, &envelope, None).await;
        envelope
    });
    let delivery = delivery.unwrap();
    assert_eq!((delivery.via, delivery.attempts), (Via::Socket, 1));
    assert!(delivery.acked());
    assert_eq!(envelope["type"], "interactive");
    assert_eq!(envelope["accepts_response_payload"], false);
    assert_eq!(envelope["payload"]["actions"][0]["action_id"], "approve");
    assert_eq!(double.sockets()[0].acked, 1);
}

#[tokio::test]
async fn a_ticket_is_good_once_and_not_for_long() {
    let double = double().await;
    let url = ticket(&double).await;
    let (_socket, _) = connect_async(&url).await.unwrap();
    assert!(
        matches!(connect_async(&url).await, Err(Error::Http(answer)) if answer.status() == 401)
    );
    let url = ticket(&double).await;
    double.advance_expiry(Duration::from_secs(60));
    assert!(connect_async(&url).await.is_err());
    let forged = format!(
        "ws://{}/link/?ticket=guess",
        double.origin().trim_start_matches("http://")
    );
    assert!(connect_async(forged).await.is_err());
}

#[tokio::test]
async fn the_bot_token_opens_no_connection() {
    let double = double().await;
    let refused = call_as(
        &double,
        &double.bot_token(),
        "apps.connections.open",
        json!({}),
    )
    .await;
    assert_eq!(refused["error"], "not_allowed_token_type");
    let refused = call_as(
        &double,
        &double.app_token(),
        "chat.postMessage",
        json!({"channel": DBA, "text": "x"}),
    )
    .await;
    assert_eq!(refused["error"], "not_allowed_token_type");
}

#[tokio::test]
async fn without_a_connection_the_click_fails_at_once() {
    let double = double().await;
    let ts = post_card(&double).await;
    let delivery = double.click(ANN, DBA, &ts, "approve").await.unwrap();
    assert!(matches!(delivery.outcome, Outcome::Unreachable { .. }));
    assert!(delivery.took < Duration::from_secs(3));
    assert_eq!(double.message(DBA, &ts).unwrap().triangles, ["approve"]);
}

#[tokio::test]
async fn an_envelope_goes_to_exactly_one_connection() {
    let double = double().await;
    let (mut one, mut two) = (connect(&double).await, connect(&double).await);
    let ts = post_card(&double).await;
    for _ in 0..4 {
        let (delivery, ()) = tokio::join!(double.click(ANN, DBA, &ts, "approve"), async {
            tokio::select! {
                envelope = next(&mut one) => ack(&mut one, &envelope.unwrap(), None).await,
                envelope = next(&mut two) => ack(&mut two, &envelope.unwrap(), None).await,
            }
        });
        assert!(delivery.unwrap().acked());
    }
    let acked: Vec<u64> = double.sockets().iter().map(|socket| socket.acked).collect();
    assert_eq!(acked, [2, 2]);
}

#[tokio::test]
async fn an_unacknowledged_envelope_goes_to_another_connection_when_its_own_dies() {
    let double = double().await;
    let mut one = connect(&double).await;
    let ts = post_card(&double).await;
    let (delivery, ()) = tokio::join!(double.click(ANN, DBA, &ts, "approve"), async {
        let first = next(&mut one).await.unwrap();
        drop(one);
        let mut two = connect(&double).await;
        let again = next(&mut two).await.unwrap();
        assert_eq!(first["envelope_id"], again["envelope_id"]);
        ack(&mut two, &again, None).await;
        // The acknowledgement is read before the connection ends.
        double
            .wait_until(SOON, |double| double.deliveries().len() == 1)
            .await
            .unwrap();
    });
    let delivery = delivery.unwrap();
    assert!(delivery.acked());
    assert_eq!(delivery.attempts, 2);
}

#[tokio::test]
async fn silence_for_three_seconds_is_a_triangle() {
    let double = double().await;
    let mut socket = connect(&double).await;
    let ts = post_card(&double).await;
    let delivery = double.click(ANN, DBA, &ts, "approve").await.unwrap();
    assert_eq!(delivery.outcome, Outcome::TimedOut);
    // A late acknowledgement is nonsense to Slack, and does no harm.
    let envelope = next(&mut socket).await.unwrap();
    ack(&mut socket, &envelope, None).await;
    socket.send(Message::text("hello?")).await.unwrap();
    double
        .wait_until(SOON, |double| double.sockets()[0].nonsense == 2)
        .await
        .unwrap();
}

#[tokio::test]
async fn refresh_says_so_and_closes() {
    let double = double().await;
    let mut socket = connect(&double).await;
    double.socket_disconnect(DisconnectReason::RefreshRequested);
    let told = next(&mut socket).await.unwrap();
    assert_eq!(
        (told["type"].as_str(), told["reason"].as_str()),
        (Some("disconnect"), Some("refresh_requested"))
    );
    assert!(next(&mut socket).await.is_none());
    double
        .wait_until(SOON, |double| double.sockets().is_empty())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_warned_connection_stays_but_gets_nothing_new() {
    let double = double().await;
    let mut old = connect(&double).await;
    double.socket_disconnect(DisconnectReason::Warning);
    assert_eq!(next(&mut old).await.unwrap()["reason"], "warning");
    let mut new = connect(&double).await;
    let ts = post_card(&double).await;
    let (delivery, ()) = tokio::join!(double.click(ANN, DBA, &ts, "approve"), async {
        let envelope = next(&mut new).await.unwrap();
        ack(&mut new, &envelope, None).await;
    });
    assert!(delivery.unwrap().acked());
    assert_eq!(double.sockets().len(), 2);
}

#[tokio::test]
async fn a_cut_connection_ends_without_a_word() {
    let double = double().await;
    let mut socket = connect(&double).await;
    double.socket_cut(None);
    assert!(next(&mut socket).await.is_none());
}

#[tokio::test]
async fn the_eleventh_connection_is_one_too_many() {
    let double = double().await;
    double.set_rates(abeyance_slack_double::Rates::Off);
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(connect(&double).await);
    }
    let (mut extra, _) = connect_async(ticket(&double).await).await.unwrap();
    assert_eq!(
        next(&mut extra).await.unwrap()["reason"],
        "too_many_websockets"
    );
    assert!(next(&mut extra).await.is_none());
}

#[tokio::test]
async fn commands_events_and_submissions_travel_too() {
    let double = double().await;
    let mut socket = connect(&double).await;
    let (delivery, ()) = tokio::join!(double.slash_command(ANN, DBA, "/abeyance", "list"), async {
        let envelope = next(&mut socket).await.unwrap();
        assert_eq!(envelope["type"], "slash_commands");
        assert_eq!(envelope["accepts_response_payload"], true);
        assert_eq!(envelope["payload"]["text"], "list");
        ack(
            &mut socket,
            &envelope,
            Some(json!({"text": "nothing waits"})),
        )
        .await;
    });
    assert!(delivery.unwrap().acked());
    assert_eq!(double.ephemerals(DBA, ANN)[0].text, "nothing waits");

    let (delivery, ()) = tokio::join!(double.event(json!({"type": "app_mention"})), async {
        let envelope = next(&mut socket).await.unwrap();
        assert_eq!(
            (
                envelope["type"].as_str(),
                envelope["retry_attempt"].as_i64()
            ),
            (Some("events_api"), Some(0))
        );
        ack(&mut socket, &envelope, None).await;
    });
    assert!(delivery.acked());

    let ts = post_card(&double).await;
    let (_, trigger) = tokio::join!(double.click(ANN, DBA, &ts, "deny"), async {
        let envelope = next(&mut socket).await.unwrap();
        ack(&mut socket, &envelope, None).await;
        envelope["payload"]["trigger_id"].clone()
    });
    let opened = support::call(
        &double,
        "views.open",
        json!({"trigger_id": trigger, "view": support::modal()}),
    )
    .await;
    let view_id = opened["view"]["id"].as_str().unwrap();
    let values = json!({"reason": {"reason": "too broad"}});
    let (delivery, ()) = tokio::join!(double.submit_view(ANN, view_id, values), async {
        let envelope = next(&mut socket).await.unwrap();
        let errors = json!({"response_action": "errors", "errors": {"reason": "Say more"}});
        ack(&mut socket, &envelope, Some(errors)).await;
    });
    assert!(delivery.unwrap().acked());
    assert_eq!(double.views(ANN)[0].errors["reason"], "Say more");
}
