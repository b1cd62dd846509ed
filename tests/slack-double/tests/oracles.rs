//! The stand-in, checked by what Slack itself publishes: its Python SDK, its framework, its types.
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::{self, http};
use abeyance_slack_double::{DoubleConfig, Rates, SlackDouble};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

fn oracle() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("oracle")
}

fn build(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../build")
        .join(name)
}

fn python() -> PathBuf {
    build("oracle/venv/bin/python")
}

/// The first of Chromium's names that is on the path.
fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| PathBuf::from("chromium"))
}

async fn set_up() {
    let done = Command::new(oracle().join("setup")).output().await.unwrap();
    assert!(
        done.status.success(),
        "setup failed: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

async fn double() -> SlackDouble {
    let config = DoubleConfig {
        rates: Rates::Off,
        ..DoubleConfig::socket()
    };
    SlackDouble::start(config).await.unwrap()
}

/// Runs a script against a double of its own; its output when it fails.
async fn passes(program: PathBuf, script: &str) {
    set_up().await;
    let double = double().await;
    let done = Command::new(program)
        .arg(oracle().join(script))
        .env("ORACLE_DIR", build("oracle"))
        .env("SCREENS", build("screens"))
        .env("CHROMIUM", chromium())
        .env("DOUBLE", double.info().to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(
        done.status.success(),
        "{script} failed\n{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slacks_python_sdk_is_content() {
    passes(python(), "sdk.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_made_with_bolt_works() {
    passes(python(), "bolt.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_in_chromium() {
    passes(PathBuf::from("node"), "page.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_manifest_is_one_that_slack_takes() {
    passes(PathBuf::from("node"), "manifest.mjs").await;
}

/// The verdicts of `check_blocks` on lines of JSON.
async fn verdicts(lines: &[Value]) -> Vec<Value> {
    let mut child = Command::new(oracle().join("check_blocks"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .await
        .unwrap();
    let done = child.wait_with_output().await.unwrap();
    let verdicts: Vec<Value> = String::from_utf8(done.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        verdicts.len(),
        lines.len(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    verdicts
}

fn plain(len: usize) -> Value {
    json!({"type": "plain_text", "text": "x".repeat(len)})
}

fn button(more: &Value) -> Value {
    let mut button = json!({"type": "button", "action_id": "a", "text": plain(5)});
    for (name, value) in more.as_object().unwrap() {
        button[name] = value.clone();
    }
    json!({"blocks": [{"type": "actions", "elements": [button]}]})
}

fn view(more: &Value) -> Value {
    let mut view = support::modal();
    for (name, value) in more.as_object().unwrap() {
        view[name] = value.clone();
    }
    json!({"view": view})
}

fn good() -> Vec<Value> {
    vec![
        support::card(),
        json!({"view": support::modal()}),
        button(&json!({"value": "x".repeat(2000), "text": plain(75), "style": "danger"})),
        json!([{"type": "header", "text": plain(150)}, {"type": "divider"}]),
        json!([{"type": "section", "fields": vec![json!({"type": "mrkdwn", "text": "x"}); 10]}]),
        json!([{"type": "context", "elements": vec![json!({"type": "mrkdwn", "text": "x"}); 10]}]),
        json!([{"type": "section", "text": {"type": "mrkdwn", "text": "x".repeat(3000)}}]),
    ]
}

/// Refused by at least one oracle.
fn bad() -> Vec<Value> {
    vec![
        button(&json!({"style": "warning"})),
        button(&json!({"colour": "red"})),
        button(&json!({"text": plain(76)})),
        button(&json!({"text": {"type": "mrkdwn", "text": "x"}})),
        button(&json!({"value": "x".repeat(2001)})),
        button(&json!({"action_id": "x".repeat(256)})),
        json!([{"type": "bogus"}]),
        json!([{"type": "header", "text": plain(151)}]),
        json!([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]),
        json!([{"type": "section", "text": {"type": "mrkdwn", "text": "x".repeat(3001)}}]),
        json!([{"type": "section", "fields": vec![json!({"type": "mrkdwn", "text": "x"}); 11]}]),
        json!([{"type": "context", "elements": vec![json!({"type": "mrkdwn", "text": "x"}); 11]}]),
        json!([{"type": "divider", "extra": 1}]),
        view(&json!({"title": plain(25)})),
        view(&json!({"submit": plain(25)})),
        view(&json!({"private_metadata": "x".repeat(3001)})),
        view(&json!({"colour": "red"})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slacks_sdk_or_types_refuse_is_refused_here() {
    set_up().await;
    let double = double().await;
    let (good, bad) = (good(), bad());
    let lines: Vec<Value> = good.iter().chain(&bad).cloned().collect();
    let oracles = verdicts(&lines).await;
    for (number, (line, oracle)) in lines.iter().zip(&oracles).enumerate() {
        let wish = if line.is_array() {
            json!({"blocks": line})
        } else {
            line.clone()
        };
        let url = format!("{}/_test/validate", double.origin());
        let ours: Value = http()
            .post(url)
            .json(&wish)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let expected = number < good.len();
        assert_eq!(oracle["ok"], expected, "the oracles: {oracle} about {line}");
        assert_eq!(ours["ok"], expected, "the double: {ours} about {line}");
    }
}
