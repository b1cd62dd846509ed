//! Cards against Slack's limits, counted here once more and independently of how they were kept.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use abeyance_api::{Blast, HoldState, HoldView, Outcome, PersonRef, Resolution, Vote};
use abeyance_api::{Decision, Surface};
use serde_json::Value;

use super::*;
use crate::support::{BOB, at, pending, person, statement};
use crate::{form, payload::Place};

fn console() -> Url {
    Url::parse("https://abeyance.example/base/").unwrap()
}

fn made(view: &HoldView) -> Value {
    serde_json::to_value(blocks(&Card::of(view), Some(&console()))).unwrap()
}

/// The fixture at a fixed time, so that snapshots stay.
fn still(id: &str) -> HoldView {
    HoldView {
        created_at: at(0),
        expires_at: at(300),
        ..pending(id)
    }
}

fn approved(state: HoldState, outcome: Option<Outcome>) -> HoldView {
    let vote = Vote {
        person: person("bob", "Bob", BOB),
        decision: Decision::Approve,
        reason: None,
        surface: Surface::Slack,
        at: at(20),
        break_glass: false,
        wish: None,
        by_grant: None,
    };
    HoldView {
        state,
        version: 2,
        votes: vec![vote.clone()],
        resolution: Some(Resolution::Approved { vote }),
        resolved_at: Some(at(20)),
        outcome,
        ..still("HLD-7K3Q")
    }
}

#[test]
fn a_pending_card() {
    insta::assert_json_snapshot!(made(&still("HLD-7K3Q")));
}

#[test]
fn an_executed_card() {
    let outcome = Outcome::Executed {
        rows: Some(12),
        tags: vec!["DELETE 12".to_owned()],
        elapsed: Duration::from_millis(34),
    };
    insta::assert_json_snapshot!(made(&approved(HoldState::Executed, Some(outcome))));
}

/// Slack's documented limits of every part we use.
fn check(blocks: &Value) {
    let blocks = blocks.as_array().unwrap();
    assert!((1..=50).contains(&blocks.len()));
    let mut total = 0;
    for block in blocks {
        total += check_block(block);
    }
    assert!(total <= 13_000, "{total} characters of text");
    let json = Value::from(blocks.clone()).to_string();
    for forbidden in [
        "<!channel",
        "<!here",
        "<!everyone",
        "<!subteam",
        "<#",
        "<http",
    ] {
        assert!(!json.contains(forbidden), "{forbidden} in {json}");
    }
}

fn check_block(block: &Value) -> usize {
    match block["type"].as_str().unwrap() {
        "header" => check_text(&block["text"], 150, true),
        "section" => {
            let fields = block["fields"].as_array();
            assert!(block.get("text").is_some() || fields.is_some());
            assert!(fields.is_none_or(|fields| (1..=10).contains(&fields.len())));
            let fields: usize = fields
                .into_iter()
                .flatten()
                .map(|field| check_text(field, 2000, false))
                .sum();
            fields
                + block
                    .get("text")
                    .map_or(0, |text| check_text(text, 3000, false))
        }
        "context" => {
            let elements = block["elements"].as_array().unwrap();
            assert!((1..=10).contains(&elements.len()));
            elements
                .iter()
                .map(|text| check_text(text, 2000, false))
                .sum()
        }
        "actions" => {
            let elements = block["elements"].as_array().unwrap();
            assert!((1..=25).contains(&elements.len()));
            assert!(units(block["block_id"].as_str().unwrap()) <= 255);
            elements.iter().map(check_button).sum()
        }
        other => panic!("an unexpected block: {other}"),
    }
}

fn check_button(button: &Value) -> usize {
    assert_eq!(button["type"], "button");
    assert!(units(button["action_id"].as_str().unwrap()) <= 255);
    assert!(units(button["value"].as_str().unwrap()) <= 2000);
    assert!(button["url"].as_str().is_none_or(|url| units(url) <= 3000));
    if let Some(confirm) = button.get("confirm") {
        check_text(&confirm["title"], 100, true);
        check_text(&confirm["text"], 300, false);
        check_text(&confirm["confirm"], 30, true);
        check_text(&confirm["deny"], 30, true);
    }
    check_text(&button["text"], 75, true)
}

fn check_text(text: &Value, max: usize, plain: bool) -> usize {
    let said = text["text"].as_str().unwrap();
    assert!(
        !said.is_empty() && units(said) <= max,
        "{} of {max}: {said}",
        units(said)
    );
    match text["type"].as_str().unwrap() {
        "plain_text" => assert!(!said.contains('<') && !said.contains('>')),
        "mrkdwn" => assert!(!plain && text["verbatim"] == true),
        other => panic!("an unexpected text: {other}"),
    }
    units(said)
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Everything an agent, a reviewer or a configuration can write, replaced by `evil`.
fn hostile(evil: &str) -> HoldView {
    let mut view = still("HLD-7K3Q7K3Q7K");
    let some = || Some(evil.to_owned());
    let request = &mut view.request;
    request.session.application_name = some();
    request.session.client_addr = evil.to_owned();
    request.agent.name = evil.to_owned();
    request.agent.actor = some();
    request.target.name = evil.to_owned();
    request.target.database = format!("{evil}.");
    request.target.environment = some();
    request.rule = evil.to_owned();
    request.reasons = vec![evil.to_owned(); 20];
    request.agent_reason = some();
    request.blast = Blast::unknown(evil);
    request.statements = vec![statement(evil, evil); 30];
    for statement in &mut request.statements {
        statement.writes = (0..30).map(|n| format!("{n}{evil}")).collect();
    }
    view.asked = evil.to_owned();
    view.reviewers = (0..40)
        .map(|n| PersonRef {
            id: format!("p{n}").parse().unwrap(),
            display_name: evil.to_owned(),
            slack: some(),
        })
        .collect();
    view
}

fn outcomes(evil: &str) -> Vec<HoldView> {
    let with = |state, outcome| {
        let mut view = HoldView {
            request: hostile(evil).request,
            ..approved(state, outcome)
        };
        view.votes[0].reason = Some(evil.to_owned());
        view.votes[0].person.display_name = evil.to_owned();
        let vote = view.votes[0].clone();
        view.resolution = Some(match view.state {
            HoldState::Denied => Resolution::Denied { vote },
            _ => Resolution::Approved { vote },
        });
        view
    };
    let elapsed = Duration::from_secs(1);
    let reason = evil.to_owned();
    vec![
        hostile(evil),
        with(HoldState::Denied, None),
        with(
            HoldState::Executed,
            Some(Outcome::Executed {
                rows: Some(1),
                tags: vec![evil.to_owned(); 30],
                elapsed,
            }),
        ),
        with(
            HoldState::Executed,
            Some(Outcome::Executed {
                rows: None,
                tags: vec![evil.to_owned(); 30],
                elapsed,
            }),
        ),
        with(
            HoldState::Failed,
            Some(Outcome::Failed {
                sqlstate: evil.to_owned(),
                elapsed,
            }),
        ),
        with(
            HoldState::RolledBack,
            Some(Outcome::RolledBack {
                reason: reason.clone(),
                elapsed,
            }),
        ),
        with(HoldState::Failed, Some(Outcome::Unknown { reason })),
    ]
}

#[test]
fn no_text_however_long_or_hostile_breaks_a_limit_or_calls_anybody() {
    let long = [
        String::new(),
        " ".to_owned(),
        "x".repeat(6_000),
        "<!channel> <@U0EVE0001> <https://evil.example|Approve> ".repeat(300),
        "&".repeat(3000),
        "`".repeat(3000),
        "```\n*Approved by Bob*\n> ok\n".repeat(300),
        "*_~:tada:".repeat(800),
        "😀".repeat(3000),
        "日本語".repeat(3000),
        "\u{202e}\u{200b}\u{0}\n\r\t".repeat(1000),
        "a\u{301}".repeat(3000),
    ];
    for evil in &long {
        for view in outcomes(evil) {
            check(&made(&view));
            let card = Card::of(&view);
            check(&serde_json::to_value(minimal_blocks(&card, None)).unwrap());
            let text = fallback(&card);
            assert!(
                !text.is_empty() && units(&text) <= 3000 && !text.contains('<'),
                "{text}"
            );
        }
    }
}

#[test]
fn every_hostile_card_is_still_the_full_card() {
    for evil in [
        "x".repeat(6_000),
        "&".repeat(3000),
        "😀".repeat(3000),
        "*_~".repeat(3000),
    ] {
        let full = made(&hostile(&evil)).to_string();
        assert!(
            !full.contains("see the console."),
            "fell back for {}",
            &evil[..4]
        );
    }
}

#[test]
fn an_agent_cannot_forge_the_layout() {
    let mut view = still("HLD-7K3Q");
    view.request.agent_reason =
        Some("fine\n*Status*\n✅ Approved by Bob\n```sql\nSELECT 1```".to_owned());
    view.request.session.application_name = Some("psql`\n*Rows*\n1 row `".to_owned());
    let blocks = made(&view);
    let fields = blocks[2]["fields"].as_array().unwrap();
    assert_eq!(fields.len(), 7);
    let agent = fields[0]["text"].as_str().unwrap();
    assert_eq!(agent.lines().count(), 2, "{agent}");
    assert_eq!(agent.matches('`').count(), 4, "{agent}");
    let said = blocks
        .as_array()
        .unwrap()
        .iter()
        .find(|block| block["text"]["text"] == "*The agent says*")
        .unwrap();
    assert_eq!(said["fields"][0]["type"], "plain_text");
    assert!(!said["fields"][0]["text"].as_str().unwrap().contains('\n'));
}

#[test]
fn the_console_link_keeps_its_base_and_escapes() {
    let url = hold_url(&console(), "HLD-7K3Q").unwrap();
    assert_eq!(url.as_str(), "https://abeyance.example/base/holds/HLD-7K3Q");
    assert!(made(&still("HLD-7K3Q")).to_string().contains(url.as_str()));
    let without = serde_json::to_string(&blocks(&Card::of(&still("HLD-7K3Q")), None)).unwrap();
    assert!(!without.contains(OPEN_CONSOLE));
}

#[test]
fn an_unknown_estimate_asks_for_a_second_tap() {
    let mut view = still("HLD-7K3Q");
    view.request.blast = Blast::unknown("the probe timed out");
    let confirm = made(&view).to_string();
    assert!(confirm.contains("Are you sure?") && confirm.contains("Nobody knows how many rows"));
    assert!(
        !made(&still("HLD-7K3Q"))
            .to_string()
            .contains("Are you sure?")
    );
}

/// Slack's own Python SDK and the types Slack publishes have the last word.
#[test]
fn slacks_own_sdk_and_types_take_every_card_and_the_form() {
    let mut lines: Vec<String> = ["short", "", &"<&>`*_~😀".repeat(600), &"x".repeat(6000)]
        .into_iter()
        .flat_map(outcomes)
        .chain([still("HLD-7K3Q"), approved(HoldState::Claimed, None)])
        .map(|view| made(&view).to_string())
        .collect();
    let mut unknown = still("HLD-7K3Q");
    unknown.request.blast = Blast::unknown("the probe timed out");
    lines.push(made(&unknown).to_string());
    lines.push(serde_json::to_string(&minimal_blocks(&Card::of(&unknown), None)).unwrap());
    let form = form::deny_form(&"HLD-7K3Q7K3Q7K".parse().unwrap(), &Place::default());
    lines.push(serde_json::json!({ "view": SlackView::Modal(form) }).to_string());

    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/slack-double/oracle/check_blocks"
    );
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.join("\n").as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let verdicts = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{verdicts}");
    assert_eq!(
        verdicts.matches("\"ok\": true").count(),
        lines.len(),
        "{verdicts}"
    );
}
