//! Rate limits, faults on demand, the controls over HTTP, and the page's files.
use std::time::{Duration, Instant};

use crate::support::{self, ANN, DBA, call, http, post_card, with_app};
use abeyance_slack_double::{DoubleConfig, Fault, FaultKind, Rates, SlackDouble};
use serde_json::{Value, json};

async fn double() -> SlackDouble {
    SlackDouble::start(DoubleConfig::default()).await.unwrap()
}

fn fault(kind: FaultKind) -> Fault {
    Fault {
        method: "chat.postMessage".to_owned(),
        kind,
        times: 1,
    }
}

async fn post(double: &SlackDouble) -> reqwest::Result<reqwest::Response> {
    http()
        .post(format!("{}chat.postMessage", double.base_url()))
        .bearer_auth(double.bot_token())
        .json(&json!({"channel": DBA, "text": "x"}))
        .send()
        .await
}

#[tokio::test]
async fn one_message_a_second_and_channel() {
    let double = double().await;
    let mut limited = None;
    // A slow machine earns more calls while it posts.
    for _ in 0..200 {
        let response = post(&double).await.unwrap();
        if response.status() == 429 {
            limited = Some(response);
            break;
        }
    }
    let limited = limited.unwrap();
    let wait: u64 = limited.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=2).contains(&wait));
    assert_eq!(
        limited.json::<Value>().await.unwrap()["error"],
        "ratelimited"
    );
    let elsewhere = call(
        &double,
        "chat.postMessage",
        json!({"channel": "C0LOBBY01", "text": "x"}),
    )
    .await;
    assert_eq!(elsewhere["ok"], true);
    double.set_rates(Rates::Off);
    assert_eq!(post(&double).await.unwrap().status(), 200);
}

#[tokio::test]
async fn faults_happen_once_and_as_ordered() {
    let double = double().await;
    double.fault(fault(FaultKind::Status { status: 503 }));
    assert_eq!(post(&double).await.unwrap().status(), 503);
    double.fault(fault(FaultKind::RateLimited {
        retry_after_secs: 30,
    }));
    let limited = post(&double).await.unwrap();
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"30".parse().unwrap())
    );
    double.fault(fault(FaultKind::Error {
        code: "fatal_error".to_owned(),
    }));
    assert_eq!(
        post(&double).await.unwrap().json::<Value>().await.unwrap()["error"],
        "fatal_error"
    );
    double.fault(fault(FaultKind::DropRequest));
    assert!(post(&double).await.is_err());
    assert!(
        double.messages(DBA).is_empty(),
        "none of these does the work"
    );

    double.fault(fault(FaultKind::DropResponse));
    assert!(post(&double).await.is_err());
    assert_eq!(
        double.messages(DBA).len(),
        1,
        "the post is there although nobody was told"
    );
    assert!(double.requests().last().unwrap().answer.is_none());
    double.fault(fault(FaultKind::InvalidJson));
    assert!(post(&double).await.unwrap().json::<Value>().await.is_err());
    double.fault(fault(FaultKind::Latency { ms: 300 }));
    let start = Instant::now();
    assert_eq!(post(&double).await.unwrap().status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(double.messages(DBA).len(), 3);
}

#[tokio::test]
async fn connections_are_refused_for_a_while_on_the_same_port() {
    let double = double().await;
    let client = http();
    let info = format!("{}/_test/info", double.origin());
    assert!(client.get(&info).send().await.is_ok());
    let closed = double.clone();
    let ((), refused) = tokio::join!(closed.refuse_connections(Duration::from_secs(2)), async {
        loop {
            if let Err(error) = client.get(&info).send().await {
                return error;
            }
        }
    });
    assert!(refused.is_connect() || refused.is_request());
    assert!(client.get(&info).send().await.is_ok());
}

#[tokio::test]
async fn the_controls_work_over_http() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let url = |path: &str| format!("{}/_test/{path}", double.origin());
    let get = async |path: &str| {
        http()
            .get(url(path))
            .send()
            .await
            .unwrap()
            .json::<Value>()
            .await
            .unwrap()
    };
    let send =
        async |path: &str, body: Value| http().post(url(path)).json(&body).send().await.unwrap();

    assert_eq!(get("info").await["api_url"], double.base_url());
    let message = get(&format!("wait_message?channel={DBA}&contains=HLD-7K3Q")).await;
    assert_eq!(message["ts"], ts.as_str());
    let click = json!({"user": ANN, "channel": DBA, "ts": ts, "action_id": "approve"});
    let clicked: Value = send("click", click).await.json().await.unwrap();
    assert_eq!(
        (clicked["outcome"]["type"].as_str(), clicked["via"].as_str()),
        (Some("acked"), Some("http"))
    );
    let wrong = send(
        "click",
        json!({"user": ANN, "channel": DBA, "ts": ts, "action_id": "explode"}),
    )
    .await;
    assert_eq!(wrong.status(), 400);
    assert!(
        wrong.json::<Value>().await.unwrap()["error"]
            .as_str()
            .unwrap()
            .contains("explode")
    );
    let forged = json!({"kind": "old_timestamp", "user": ANN, "channel": DBA, "ts": ts, "action_id": "approve", "age_secs": 400});
    assert_eq!(
        send("forge", forged).await.json::<Value>().await.unwrap()["status"],
        200
    );
    assert_eq!(app.received().len(), 2);
    let fault = json!({"method": "*", "kind": {"type": "status", "status": 500}});
    assert_eq!(send("fault", fault).await.status(), 200);
    assert_eq!(post(&double).await.unwrap().status(), 500);
    let late = http()
        .get(url(&format!(
            "wait_message?channel={DBA}&contains=never&timeout_ms=50"
        )))
        .send()
        .await
        .unwrap();
    assert_eq!(late.status(), 408);
    let validated: Value = send("validate", json!({"blocks": [{"type": "bogus"}]}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(validated["ok"], false);
    assert_eq!(send("reset", json!({})).await.status(), 200);
    assert!(double.messages(DBA).is_empty());
}

#[tokio::test]
async fn the_page_and_its_scripts_are_served() {
    let double = double().await;
    for (path, content_type) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let response = http()
            .get(format!("{}{path}", double.origin()))
            .send()
            .await
            .unwrap();
        assert!(
            response.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with(content_type)
        );
    }
    for script in ["page.js", "blocks.js", "mrkdwn.js"] {
        let text = http()
            .get(format!("{}/{script}", double.origin()))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        for line in text.lines().filter(|line| line.starts_with("import ")) {
            let path = line.split('\'').nth(1).unwrap();
            assert_eq!(
                http()
                    .get(format!("{}{path}", double.origin()))
                    .send()
                    .await
                    .unwrap()
                    .status(),
                200,
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_server() {
    let double = double().await;
    let info = format!("{}/_test/info", double.origin());
    assert!(http().get(&info).send().await.is_ok());
    drop(double);
    let deadline = Instant::now() + support::SOON;
    while http().get(&info).send().await.is_ok() {
        assert!(Instant::now() < deadline);
    }
}
