//! Slash commands and decisions of several holds, over HTTP and over Socket Mode, against a server that speaks Slack.

use crate::rig::{HOLD, Rig, SOON};
use crate::support::{ANN, BOB, CHANNEL, EVE, pending};
use abeyance_api::{Estimate, HoldState, Moment, Named};
use abeyance_slack_double::Outcome;
use chrono::TimeDelta;
use serde_json::json;

const OTHER: &str = "HLD-9QXM";
const ALIKE: &str = "abeyance_alike";

/// What somebody reads after a command: the newest whisper that says `text`.
async fn answered(rig: &Rig, user: &str, typed: &str, text: &str) -> String {
    let before = rig.double.ephemerals(CHANNEL, user).len();
    let sent = rig
        .double
        .slash_command(user, CHANNEL, "/abeyance", typed)
        .await
        .unwrap();
    // Acknowledged with nothing, so that nobody else sees what was typed.
    let Outcome::Acked { body, .. } = &sent.outcome else {
        panic!("{typed}: {sent:?}")
    };
    assert_eq!(body, "", "{typed}");
    let read = |double: &abeyance_slack_double::SlackDouble| {
        let said = double.ephemerals(CHANNEL, user);
        let said = said
            .get(before..)?
            .iter()
            .map(abeyance_slack_double::Ephemeral::all_text);
        said.into_iter().find(|said| said.contains(text))
    };
    let found = rig.double.wait_for(SOON, "an answer", read).await;
    found.unwrap_or_else(|error| {
        panic!(
            "{typed}: {error}: {:?}",
            rig.double.ephemerals(CHANNEL, user)
        )
    })
}

async fn commands_are_answered(rig: Rig) {
    rig.desk.put(pending(HOLD));
    let cases = [
        ("", "/abeyance override SCHEDULE"),
        ("Holds", "rule writes-are-asked"),
        ("holds agent other-bot", "Nothing of that waits"),
        ("show hld-7k3q", "Held; route dba was asked"),
        ("show HLD-9999", "There is no hold with that id."),
        ("audit since 1h", "1 hold in the last 1 h"),
        ("hodls", "Did you mean “holds”?"),
        ("show", "`/abeyance show HLD-7K3Q`"),
        // The desk's trouble is told, too.
        ("oncall", "the store is away"),
        (
            "revoke GRT-7K3Q because over",
            "There is no grant GRT-7K3Q.",
        ),
    ];
    for (typed, want) in cases {
        answered(&rig, BOB, typed, want).await;
    }
    let shown = answered(&rig, BOB, "show HLD-7K3Q", "DELETE FROM visits").await;
    assert!(shown.contains("literals, bind values and comments are taken out"));
    let said = rig.double.messages(CHANNEL);
    assert!(
        said.iter().all(|message| message.text.contains(HOLD)),
        "{said:?}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn commands_over_http() {
    commands_are_answered(Rig::http().await).await;
}

#[tokio::test]
async fn commands_over_socket_mode() {
    commands_are_answered(Rig::socket().await).await;
}

#[tokio::test]
async fn strangers_read_the_same_refusal_whatever_they_type() {
    let rig = Rig::http().await;
    rig.desk.put(pending(HOLD));
    for typed in [
        "help",
        "holds",
        "show HLD-7K3Q",
        "show HLD-9999",
        "nonsense",
        "oncall",
    ] {
        let said = answered(&rig, EVE, typed, "roster").await;
        assert!(
            !said.contains(HOLD) && !said.contains("/abeyance"),
            "{said}"
        );
    }
    assert_eq!(rig.double.ephemerals(CHANNEL, BOB).len(), 0);
    rig.stop().await;
}

#[tokio::test]
async fn mentions_and_times_arrive_as_they_were_meant() {
    let rig = Rig::socket().await;
    let typed = "override dba @ann, bob from 2026-12-24 18:00 until 2026-12-25T06:00:00Z because <3 & @bob is away";
    answered(&rig, BOB, typed, "There are no overrides").await;
    let asked = rig.desk.stand_ins.lock().unwrap().remove(0);
    let ann = Named::Slack {
        user: ANN.to_owned(),
    };
    let bob = Named::Name {
        name: "bob".to_owned(),
    };
    assert_eq!(asked.people, [ann, bob]);
    let wall = "2026-12-24T18:00:00".parse().unwrap();
    let at = "2026-12-25T06:00:00Z".parse().unwrap();
    assert_eq!(
        (asked.from, asked.until),
        (Moment::Wall { wall }, Moment::At { at })
    );
    assert_eq!(asked.reason, "<3 & @bob is away");
    rig.stop().await;
}

async fn several_go_together(rig: Rig) {
    let mut first = pending(HOLD);
    first.offers.alike = 1;
    first.created_at -= TimeDelta::seconds(3_720);
    rig.desk.put(first);
    let card = rig.shows(HOLD, "Waiting").await;
    let mut other = pending(OTHER);
    other.request.blast.rows = Estimate::exact(9_000);
    rig.desk.put(other);
    rig.shows(OTHER, "Waiting").await;
    *rig.desk.more_alike.lock().unwrap() = 5;
    assert!(card.button(ALIKE).is_some(), "{:?}", card.action_ids());
    let view = rig.form(BOB, &card, ALIKE).await;
    let shown = view.view.to_string();
    for said in [
        "`HLD-7K3Q` · 1 h 2 min old · about 1,200 rows (planner's estimate)",
        "`HLD-9QXM` · ",
        " old · 9,000 rows (counted)",
        "2 holds wait",
        "*Largest:* 9,000 rows (counted)",
        "*Together:* about 10,000 rows (planner's estimate)",
        "and 5 more, which this form does *not* decide",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }

    let unsaid = json!({"choice": {"choice": "deny"}});
    rig.submit(BOB, &view, unsaid).await;
    assert!(rig.wrong_at(BOB, "reason").contains("Say why"));
    assert_eq!(rig.desk.decisions(), 0);

    // One that came meanwhile was not shown, so it is not decided.
    rig.card("HLD-2222").await;
    let chosen = json!({"choice": {"choice": "approve"}});
    rig.submit(BOB, &view, chosen).await;
    for id in [HOLD, OTHER] {
        rig.shows(id, "Approved by Bob").await;
    }
    assert_eq!(rig.desk.view("HLD-2222").state, HoldState::Pending);
    assert_eq!(rig.double.views(BOB).len(), 0, "the form closed");
    rig.stop().await;
}

#[tokio::test]
async fn several_go_together_over_http() {
    several_go_together(Rig::http().await).await;
}

#[tokio::test]
async fn several_go_together_over_socket_mode() {
    several_go_together(Rig::socket().await).await;
}

#[tokio::test]
async fn a_card_whose_company_left_says_so() {
    let rig = Rig::http().await;
    let mut alone = pending(HOLD);
    alone.offers.alike = 1;
    rig.desk.put(alone);
    let card = rig.shows(HOLD, "Waiting").await;
    rig.click(BOB, &card, ALIKE).await;
    rig.told(BOB, "decide it alone").await;
    // Owners get no form: they would fill it in for nothing.
    rig.click(ANN, &card, ALIKE).await;
    rig.told(ANN, "did not count").await;
    assert!(rig.double.views(BOB).is_empty() && rig.double.views(ANN).is_empty());
    rig.stop().await;
}
