//! The whole bot against a server that speaks Slack: cards, clicks over HTTP and over Socket Mode,
//! forms, rate limits, lost answers and cut connections.

use std::{sync::Arc, time::Duration};

use crate::rig::{APPROVE, DENY, HOLD, Rig, SOON, bot_with, http_mode};
use crate::support::{ANN, BOB, CHANNEL, Desk, EVE, pending};
use abeyance_api::{HoldState, Outcome, SystemClock};
use abeyance_slack_double::{DisconnectReason, DoubleConfig, FaultKind, Rates, SlackDouble};
use serde_json::{Value, json};

fn because(reason: &str) -> Value {
    json!({"reason": {"reason": reason}})
}

async fn a_click_approves_and_the_card_follows(rig: Rig) {
    let card = rig.card(HOLD).await;
    assert_eq!(
        card.action_ids(),
        [APPROVE, DENY, "abeyance_look", "abeyance_open_console"]
    );
    let delivery = rig.click(BOB, &card, APPROVE).await;
    assert!(delivery.acked() && !delivery.user_sees_triangle());
    rig.shows(HOLD, "Approved by Bob").await;
    rig.desk.change(HOLD, |view| {
        view.state = HoldState::Executed;
        view.outcome = Some(Outcome::Executed {
            rows: Some(12),
            tags: vec!["DELETE 12".to_owned()],
            elapsed: Duration::from_millis(34),
        });
    });
    let done = rig.shows(HOLD, "12 rows in 34 ms").await;
    assert_eq!(done.ts, card.ts, "the same message all along");
    assert_eq!(done.action_ids(), ["abeyance_open_console"]);
    assert_eq!(rig.double.messages(CHANNEL).len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn approving_over_http() {
    a_click_approves_and_the_card_follows(Rig::http().await).await;
}

#[tokio::test]
async fn approving_over_socket_mode() {
    a_click_approves_and_the_card_follows(Rig::socket().await).await;
}

async fn denying_asks_why(rig: Rig) {
    let card = rig.card(HOLD).await;
    let view = rig.form(BOB, &card, DENY).await;
    assert_eq!(
        rig.desk.decisions(),
        0,
        "nothing is decided before the form is sent"
    );

    rig.submit(BOB, &view, because("\u{200b}")).await;
    assert!(rig.wrong_at(BOB, "reason").contains("Say why"));

    let said = "use the *archive* job <!channel>";
    rig.submit(BOB, &view, because(said)).await;
    let card = rig.shows(HOLD, "Denied by Bob").await;
    assert!(rig.double.views(BOB).is_empty());
    let reason = rig.desk.view(HOLD).votes[0].reason.clone().unwrap();
    assert_eq!(reason, said, "stored as it was written");
    assert!(
        !serde_json::to_string(&card.blocks)
            .unwrap()
            .contains("<!channel>"),
        "shown so that it calls nobody"
    );
    assert!(card.all_text().contains("archive"));
    rig.stop().await;
}

#[tokio::test]
async fn denying_over_http() {
    denying_asks_why(Rig::http().await).await;
}

#[tokio::test]
async fn denying_over_socket_mode() {
    denying_asks_why(Rig::socket().await).await;
}

#[tokio::test]
async fn whoever_may_not_decide_is_told_why_and_nobody_else_is() {
    let rig = Rig::http().await;
    let card = rig.card(HOLD).await;
    for (user, why) in [(EVE, "roster"), (ANN, "somebody else has to approve")] {
        assert!(rig.click(user, &card, APPROVE).await.acked());
        rig.told(user, why).await;
    }
    for (user, why) in [
        (EVE, "not a reviewer"),
        (ANN, "somebody else has to approve"),
    ] {
        assert!(rig.click(user, &card, DENY).await.acked());
        rig.told(user, why).await;
        assert!(
            rig.double.views(user).is_empty(),
            "no form for a decision that cannot count"
        );
    }
    assert!(rig.double.ephemerals(CHANNEL, BOB).is_empty());
    assert_eq!(rig.desk.view(HOLD).state, HoldState::Pending);
    rig.stop().await;
}

#[tokio::test]
async fn a_late_click_is_told_who_was_first_and_its_card_is_mended() {
    let rig = Rig::socket().await;
    let card = rig.card(HOLD).await;
    // The click is on its way when the hold ends: the reconciler may not mend the card first.
    let limited = FaultKind::RateLimited {
        retry_after_secs: 60,
    };
    rig.fault("chat.update", limited, 1);
    assert!(rig.click(BOB, &card, APPROVE).await.acked());
    rig.double
        .wait_until(SOON, |double| {
            double
                .requests()
                .iter()
                .any(|call| call.method == "chat.update")
        })
        .await
        .unwrap();
    rig.desk
        .change(HOLD, |view| view.state = HoldState::Executed);
    assert!(rig.click(BOB, &card, APPROVE).await.acked());
    rig.told(BOB, "already approved and run by Bob").await;
    let mended = rig
        .double
        .wait_for_message(CHANNEL, SOON, |message| {
            message.action_ids() == ["abeyance_open_console"]
        })
        .await
        .unwrap();
    assert!(mended.all_text().contains("Approved by Bob"));
    rig.stop().await;
}

#[tokio::test]
async fn a_vote_that_is_not_the_last_is_answered() {
    let rig = Rig::http().await;
    *rig.desk.quorum.lock().unwrap() = 2;
    let card = rig.card(HOLD).await;
    assert!(rig.click(BOB, &card, APPROVE).await.acked());
    rig.told(BOB, "is counted").await;
    rig.stop().await;
}

#[tokio::test]
async fn slack_is_acknowledged_before_a_slow_decision_and_answered_after_it() {
    let rig = Rig::http().await;
    let card = rig.card(HOLD).await;
    *rig.desk.slow.lock().unwrap() = Duration::from_millis(4000);
    // Slack waits shorter than that.
    assert!(rig.click(EVE, &card, APPROVE).await.acked());
    rig.told(EVE, "roster").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_form_that_is_decided_slowly_closes_and_the_answer_follows() {
    let rig = Rig::socket().await;
    let card = rig.card(HOLD).await;
    let view = rig.form(BOB, &card, DENY).await;
    *rig.desk.slow.lock().unwrap() = Duration::from_millis(4000);
    rig.desk
        .change(HOLD, |view| view.state = HoldState::Expired);
    rig.submit(BOB, &view, because("no")).await;
    rig.told(BOB, "already expired").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_form_for_a_hold_that_ended_meanwhile_says_so() {
    let rig = Rig::http().await;
    let card = rig.card(HOLD).await;
    let view = rig.form(BOB, &card, DENY).await;
    rig.desk
        .change(HOLD, |view| view.state = HoldState::Expired);
    rig.submit(BOB, &view, because("no")).await;
    assert!(rig.wrong_at(BOB, "reason").contains("already expired"));
    rig.stop().await;
}

#[tokio::test]
async fn a_form_that_slack_does_not_open_is_explained() {
    let rig = Rig::http().await;
    let card = rig.card(HOLD).await;
    rig.refuses("views.open", "expired_trigger_id");
    assert!(rig.click(BOB, &card, DENY).await.acked());
    rig.told(BOB, "Press the button again").await;
    rig.form(BOB, &card, DENY).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_post_whose_answer_was_lost_is_found_again() {
    for kind in [FaultKind::DropResponse, FaultKind::InvalidJson] {
        let rig = Rig::socket().await;
        rig.fault("chat.postMessage", kind, 1);
        rig.card(HOLD).await;
        rig.desk
            .change(HOLD, |view| view.state = HoldState::Expired);
        rig.shows(HOLD, "Expired").await;
        assert_eq!(rig.double.messages(CHANNEL).len(), 1, "no second card");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_crash_between_post_and_record_posts_no_second_card() {
    let rig = Rig::socket().await;
    *rig.desk.lose_receipts.lock().unwrap() = 1;
    rig.card(HOLD).await;
    rig.desk
        .change(HOLD, |view| view.state = HoldState::Expired);
    rig.shows(HOLD, "Expired").await;
    assert_eq!(rig.double.messages(CHANNEL).len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn slack_being_away_or_refusing_only_delays_a_card() {
    let rig = Rig::http().await;
    const POST: &str = "chat.postMessage";
    rig.fault(POST, FaultKind::Status { status: 503 }, 1);
    rig.refuses(POST, "not_in_channel");
    rig.fault(POST, FaultKind::DropRequest, 1);
    let limited = FaultKind::RateLimited {
        retry_after_secs: 2,
    };
    rig.fault(POST, limited, 1);
    rig.card(HOLD).await;
    assert_eq!(rig.double.messages(CHANNEL).len(), 1);
    let failures = rig.desk.failures.lock().unwrap().clone();
    assert_eq!(failures.len(), 4, "{failures:?}");
    assert!(failures.iter().all(|failure| failure.retry_in.is_some()));
    rig.stop().await;
}

#[tokio::test]
async fn a_layout_that_slack_refuses_falls_back_to_the_minimal_card() {
    let rig = Rig::http().await;
    rig.refuses("chat.postMessage", "invalid_blocks");
    let card = rig.card(HOLD).await;
    assert_eq!(
        card.action_ids(),
        [APPROVE, DENY, "abeyance_look", "abeyance_open_console"]
    );
    assert!(card.all_text().contains("see the console"));
    rig.stop().await;
}

#[tokio::test]
async fn many_cards_arrive_in_spite_of_slacks_rate_limit() {
    let rig = Rig::http().await;
    rig.double.set_rates(Rates::Slack);
    let ids: Vec<String> = (2..10).map(|n| format!("HLD-AAA{n}")).collect();
    for id in &ids {
        rig.desk.put(pending(id));
    }
    for id in &ids {
        rig.shows(id, "Waiting").await;
    }
    assert_eq!(rig.double.messages(CHANNEL).len(), ids.len());
    rig.stop().await;
}

#[tokio::test]
async fn a_socket_that_slack_replaces_or_cuts_loses_no_click() {
    let rig = Rig::socket().await;
    let first = rig.double.sockets()[0].id;
    let another_than = |old: u64| {
        move |double: &SlackDouble| double.sockets().iter().any(|socket| socket.id != old)
    };
    rig.double
        .socket_disconnect(DisconnectReason::RefreshRequested);
    rig.double
        .wait_until(SOON, another_than(first))
        .await
        .unwrap();
    let card = rig.card(HOLD).await;
    assert!(rig.click(EVE, &card, APPROVE).await.acked());
    rig.told(EVE, "roster").await;

    let second = rig.double.sockets().last().unwrap().id;
    rig.double.socket_cut(None);
    rig.double
        .wait_until(SOON, another_than(second))
        .await
        .unwrap();
    assert!(rig.click(BOB, &card, APPROVE).await.acked());
    rig.shows(HOLD, "Approved by Bob").await;
    rig.stop().await;
}

#[tokio::test]
async fn an_organisation_wide_install_sends_no_team_and_its_clicks_count() {
    let mut config = DoubleConfig::socket();
    config.enterprise_install = true;
    let rig = Rig::socket_with(config).await;
    let card = rig.card(HOLD).await;
    let delivery = rig.click(BOB, &card, APPROVE).await;
    assert!(delivery.payload["team"].is_null());
    assert!(delivery.acked());
    rig.shows(HOLD, "Approved by Bob").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_found_early_and_says_what_to_do() {
    let rig = Rig::http().await;
    assert_eq!(rig.bot.check().await.unwrap().team_id, "T0CLINIC01");
    let mode = http_mode(&DoubleConfig::default());
    let bot = bot_with(
        &rig.double,
        "xoxb-wrong",
        &rig.desk,
        mode,
        Arc::new(SystemClock),
    );
    let error = bot.check().await.unwrap_err().to_string();
    assert!(
        error.contains("invalid_auth") && error.contains("copy it again"),
        "{error}"
    );
    assert!(!error.contains("xoxb"), "{error}");
    rig.stop().await;
}

#[tokio::test]
async fn a_slow_slack_delays_no_decision() {
    let rig = Rig::http().await;
    rig.bot.check().await.unwrap();
    let card = rig.card(HOLD).await;
    rig.fault("*", FaultKind::Stall, 50);
    // A card is stuck in Slack when the click comes.
    rig.desk.put(pending("HLD-2222"));
    let stuck = |double: &SlackDouble| double.stalled().first().copied();
    let stuck = rig.double.wait_for(SOON, "a stuck call", stuck).await;
    let stuck = stuck.unwrap();
    let answered = rig.double.requests().len();
    assert!(rig.click(BOB, &card, APPROVE).await.acked());
    let approved = |desk: &Desk| desk.view(HOLD).state == HoldState::Approved;
    rig.desk.when(approved).await;
    // That call waits for its answer still, and no other was answered.
    let stalled = rig.double.stalled();
    assert!(stalled.contains(&stuck), "{stuck}: {stalled:?}");
    assert_eq!(rig.double.requests().len(), answered);
    rig.double.clear_faults();
    rig.shows(HOLD, "Approved by Bob").await;
    rig.shows("HLD-2222", "Waiting").await;
    rig.stop().await;
}
