//! What a hostile member of the workspace can type, and what an agent can have others read: no answer calls anybody,
//! links anywhere or passes for a part of ours, and nothing is done that was not understood.

use crate::rig::{HOLD, Rig, SOON};
use crate::support::{BOB, CHANNEL, at, pending};
use abeyance_api::Override;
use abeyance_slack_double::{Ephemeral, SlackDouble};

/// Everything at once: mentions, links, emphasis, code, an end of a code block, text that runs backwards.
const NASTY: &str =
    "<!channel> <@U0ANN0001> <https://evil.example|safe> *bold* `x` ``` \u{202e}desrever";

/// The answer to a command, as Slack would get it.
async fn answer(rig: &Rig, typed: &str) -> Ephemeral {
    let before = rig.double.ephemerals(CHANNEL, BOB).len();
    let sent = rig.double.slash_command(BOB, CHANNEL, "/abeyance", typed);
    assert!(sent.await.unwrap().acked());
    let next = |double: &SlackDouble| double.ephemerals(CHANNEL, BOB).get(before).cloned();
    rig.double.wait_for(SOON, "an answer", next).await.unwrap()
}

/// What Slack formats: what is not in code. A backtick between spaces of no width is no code's.
fn outside_code(raw: &str) -> String {
    const NO_WIDTH: char = '\u{200b}';
    let chars: Vec<char> = raw.chars().collect();
    let mut out = String::new();
    let mut inside = false;
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        match c {
            '`' if before != Some(&NO_WIDTH) => inside = !inside,
            c if !inside => out.push(*c),
            _ => {}
        }
    }
    assert!(!inside, "code that does not end: {raw}");
    out
}

fn is_harmless(typed: &str, answer: &Ephemeral) {
    let blocks = serde_json::to_string(&answer.blocks).unwrap();
    for raw in [&answer.text, &blocks] {
        for bad in ["<!channel", "<!here", "<@U0ANN", "<https", "\u{202e}"] {
            assert!(!raw.contains(bad), "{bad:?} after {typed:?}: {raw}");
        }
        let formatted = outside_code(raw);
        assert!(!formatted.contains("*bold*"), "{typed:?}: {raw}");
    }
}

#[tokio::test]
async fn what_is_repeated_of_a_command_calls_nobody() {
    let rig = Rig::socket().await;
    for typed in [
        NASTY,
        "<!channel>",
        "show <!here>",
        "show *bold*`x`",
        "holds agent <!channel> target *bold*",
        "audit person <!channel>",
        "audit since <!channel>",
        "oncall <!channel>*bold*",
        "override <!channel>*bold*`x` bob from 2026-12-24 18:00 until 2026-12-25 06:00 because x",
        "override dba bob from <!channel> until *bold* because x",
        "override remove <!channel> because x",
        "override list <!channel>",
        "swap dba <!here> with `x` because y",
        "revoke <!channel> because x",
        "hold\u{202e}s",
    ] {
        is_harmless(typed, &answer(&rig, typed).await);
    }
    assert!(rig.desk.revocations.lock().unwrap().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn what_others_wrote_calls_nobody_when_it_is_looked_up() {
    let rig = Rig::http().await;
    let mut hold = pending(HOLD);
    NASTY.clone_into(&mut hold.request.agent.name);
    NASTY.clone_into(&mut hold.request.target.name);
    NASTY.clone_into(&mut hold.request.rule);
    NASTY.clone_into(&mut hold.request.statements[0].text);
    hold.request.agent_reason = Some(NASTY.to_owned());
    hold.request.session.application_name = Some(NASTY.to_owned());
    hold.request.reasons = vec![NASTY.to_owned()];
    hold.request.blast.notes = vec![NASTY.to_owned()];
    rig.desk.put(hold);
    rig.desk.overrides.lock().unwrap().push(Override {
        id: "0191f3a2-0000-4000-8000-000000000000".parse().unwrap(),
        schedule: NASTY.to_owned(),
        from: at(0),
        until: at(60),
        people: vec!["bob".parse().unwrap()],
        author: "bob".parse().unwrap(),
        reason: NASTY.to_owned(),
        made_at: at(0),
    });
    for typed in ["holds", "show HLD-7K3Q", "audit since 1h", "override list"] {
        is_harmless(typed, &answer(&rig, typed).await);
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_is_too_much_or_shows_nothing_does_nothing() {
    let rig = Rig::http().await;
    let span = "from 2026-12-24 18:00 until 2026-12-25 06:00";
    let long = "x".repeat(100_000);
    for (typed, why) in [
        (long.clone(), "at most"),
        ("<".repeat(20_000), "at most"),
        ("@bob,".repeat(5_000), "at most"),
        (format!("show {}", &long[..1_000]), "at most 128"),
        (
            format!(
                "override dba {} {span} because x",
                vec!["bob"; 17].join(",")
            ),
            "at most 16",
        ),
        (
            format!("override dba bob {span} because {}", &long[..501]),
            "at most 500",
        ),
        (
            format!("override dba bob {span} because \u{200b}\u{2060}"),
            "say why",
        ),
        (format!("override dba bob {span}"), "say why"),
        (format!("override dba bob {span} because"), "say why"),
        ("revoke GRT-7K3Q because \u{202e}".to_owned(), "say why"),
        (
            "override dba bob from 2026-02-30 18:00 until 2026-12-25 06:00 because x".to_owned(),
            "is no time",
        ),
        ("audit since 99999d".to_owned(), "looks back"),
        ("audit since -1h".to_owned(), "says not how long ago"),
    ] {
        let said = answer(&rig, &typed).await;
        let shown: String = typed.chars().take(80).collect();
        assert!(
            said.all_text().contains(why),
            "{shown}: {}",
            said.all_text()
        );
        assert!(
            said.all_text().len() < 1_000,
            "{shown}: {}",
            said.all_text()
        );
    }
    assert!(rig.desk.stand_ins.lock().unwrap().is_empty());
    assert!(rig.desk.revocations.lock().unwrap().is_empty());
    rig.stop().await;
}
