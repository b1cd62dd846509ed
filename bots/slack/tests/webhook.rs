//! The webhook under requests that no Slack would send, byte by byte where it matters.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::rig::{HOLD, bot, http_mode};
use crate::support::{BOB, CHANNEL, Desk, at, pending};
use abeyance_api::{Clock, ManualClock};
use abeyance_slack_double::{DoubleConfig, SlackDouble};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

struct Rig {
    address: SocketAddr,
    desk: Arc<Desk>,
    clock: Arc<ManualClock>,
    secret: String,
    _double: SlackDouble,
    _server: JoinSet<()>,
}

impl Rig {
    async fn start() -> Self {
        let config = DoubleConfig::default();
        let secret = config.signing_secret.clone();
        let double = SlackDouble::start(config.clone()).await.unwrap();
        let desk = Arc::new(Desk::default());
        desk.put(pending(HOLD));
        let clock = Arc::new(ManualClock::new(at(0)));
        let bot = bot(&double, &desk, http_mode(&config), Arc::clone(&clock) as _);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = bot.router().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            desk,
            clock,
            secret,
            _double: double,
            _server: server,
        }
    }

    fn signature(&self, body: &[u8]) -> String {
        let stamp = self.clock.now().timestamp();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(format!("v0:{stamp}:").as_bytes());
        mac.update(body);
        let digest = hex::encode(mac.finalize().into_bytes());
        format!("X-Slack-Request-Timestamp: {stamp}\r\nX-Slack-Signature: v0={digest}\r\n")
    }

    /// Sends a request as given and returns status and body.
    async fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        answer(stream).await
    }

    async fn post(&self, body: &[u8], headers: &str) -> (u16, String) {
        let length = body.len();
        let mut request = format!("POST /slack/interactions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n").into_bytes();
        request.extend_from_slice(body);
        self.raw(&request).await
    }

    async fn signed(&self, body: &[u8]) -> (u16, String) {
        self.post(body, &self.signature(body)).await
    }
}

async fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_string(&mut text)).await;
    read.expect("an answer in time").unwrap();
    let status = text.split(' ').nth(1).expect("a status").parse().unwrap();
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status, body.unwrap_or_default())
}

fn click(team: &str, action: &str, value: &str) -> Vec<u8> {
    let payload = json!({
        "type": "block_actions",
        "team": {"id": team},
        "user": {"id": BOB, "team_id": team},
        "channel": {"id": CHANNEL},
        "actions": [{"action_id": action, "value": value}],
    });
    form(&payload)
}

fn form(payload: &Value) -> Vec<u8> {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
        .into_bytes()
}

#[tokio::test]
async fn only_a_signed_post_with_a_payload_is_taken() {
    let rig = Rig::start().await;
    let good = click("T0CLINIC01", "abeyance_approve", HOLD);
    let get = b"GET /slack/interactions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(rig.raw(get).await.0, 405);
    assert_eq!(rig.post(&good, "").await.0, 401);
    assert_eq!(rig.signed(&[0xff, 0xfe, 0x00]).await.0, 400);
    assert_eq!(rig.signed(b"payload=%ff%fe").await.0, 400);
    assert_eq!(rig.signed(b"").await.0, 400);
    assert_eq!(rig.signed(b"ssl_check=1&token=x").await.0, 200);
    assert_eq!(rig.desk.decisions(), 0);
    let (status, body) = rig.signed(&good).await;
    assert_eq!(
        (status, body.as_str()),
        (200, ""),
        "Slack shows a body to everybody"
    );
    let (status, body) = rig.signed(&good).await;
    assert_eq!(
        (status, body.trim()),
        (409, "this request was handled before")
    );
    for _ in 0..500 {
        if rig.desk.decisions() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.desk.decisions(), 1);
}

#[tokio::test]
async fn what_is_not_ours_is_acknowledged_or_refused_but_never_decided() {
    let rig = Rig::start().await;
    let cases = [
        (click("T0CLINIC01", "something_newer", HOLD), 200),
        (click("T0CLINIC01", "abeyance_open_console", HOLD), 200),
        (form(&json!({"type": "from_the_future"})), 200),
        (form(&json!({"type": "view_closed"})), 200),
        (click("T0CLINIC01", "abeyance_approve", "not a hold"), 400),
        (form(&json!({"type": "block_actions"})), 400),
        (form(&json!("text")), 400),
        (form(&json!({})), 400),
        (b"payload=%7Bhalf".to_vec(), 400),
    ];
    for (body, want) in cases {
        let (status, said) = rig.signed(&body).await;
        assert_eq!(status, want, "{}", String::from_utf8_lossy(&body));
        assert!(!said.contains(HOLD) && !said.contains("half"), "{said}");
    }
    assert_eq!(rig.desk.decisions(), 0);
}

#[tokio::test]
async fn a_click_of_another_workspace_is_refused() {
    let rig = Rig::start().await;
    // The first click makes the bot ask Slack who it is, and is refused in its own task.
    assert_eq!(
        rig.signed(&click("T0OTHER001", "abeyance_approve", HOLD))
            .await
            .0,
        200
    );
    let mut status = 0;
    for n in 0..500 {
        let body = [
            click("T0OTHER001", "abeyance_approve", HOLD),
            format!("&n={n}").into_bytes(),
        ]
        .concat();
        status = rig.signed(&body).await.0;
        if status == 403 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status, 403);
    assert_eq!(rig.desk.decisions(), 0);
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_read() {
    let rig = Rig::start().await;
    // Declared: answered although not one byte of the body was sent.
    let declared = "POST /slack/interactions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20971520\r\n\r\n";
    assert_eq!(rig.raw(declared.as_bytes()).await.0, 413);
    // Not declared: cut where the limit is, although the rest never comes.
    let chunk = "x".repeat(64 * 1024);
    let mut endless = format!(
        "POST /slack/interactions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{}\r\n",
        rig.signature(b"x")
    );
    for _ in 0..5 {
        endless += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    assert_eq!(rig.raw(endless.as_bytes()).await.0, 413);
    // Unsigned noise is refused by its headers, without waiting for its body.
    let unsigned = "POST /slack/interactions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n";
    assert_eq!(rig.raw(unsigned.as_bytes()).await.0, 401);
}

#[tokio::test]
async fn a_body_that_never_comes_holds_nothing() {
    let rig = Rig::start().await;
    let head = format!(
        "POST /slack/interactions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n{}\r\npayload=",
        rig.signature(b"x")
    );
    let mut stalled = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    // With every place taken a good request is told to come again, and soon may.
    let good = click("T0CLINIC01", "abeyance_approve", HOLD);
    let mut answers = Vec::new();
    for _ in 0..1000 {
        let status = rig.signed(&good).await.0;
        answers.push(status);
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(answers.last(), Some(&200));
    assert!(
        answers.iter().all(|status| matches!(status, 200 | 503)),
        "{answers:?}"
    );
    let late = answer(stalled.remove(0)).await.0;
    assert!(late == 408, "{late}");
}

#[tokio::test]
async fn an_old_request_stays_refused_when_it_left_the_memory() {
    let rig = Rig::start().await;
    let body = click("T0CLINIC01", "something_newer", HOLD);
    let headers = rig.signature(&body);
    assert_eq!(rig.post(&body, &headers).await.0, 200);
    for minutes in [1, 3] {
        rig.clock.advance(chrono::TimeDelta::minutes(minutes));
        assert_eq!(rig.post(&body, &headers).await.0, 409);
    }
    rig.clock.advance(chrono::TimeDelta::minutes(2));
    assert_eq!(rig.post(&body, &headers).await.0, 401);
}
