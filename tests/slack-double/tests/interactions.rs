//! Clicks, modals, commands and response urls over HTTP: what arrives, and what the user sees of the answer.

use std::time::Duration;

use crate::support::{self, ANN, App, BOB, DBA, call, http, modal, post_card, with_app};
use abeyance_slack_double::{DoubleConfig, Forgery, Kind, Outcome, SlackDouble, Target, Via};
use serde_json::{Value, json};

#[tokio::test]
async fn a_click_is_posted_signed_and_complete() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let delivery = double.click(ANN, DBA, &ts, "approve").await.unwrap();
    assert!(delivery.acked() && delivery.confirm.is_none());
    assert_eq!(
        (delivery.kind, delivery.via),
        (Kind::BlockActions, Via::Http)
    );

    let received = app.received().remove(0);
    assert_eq!(
        received.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    let timestamp: i64 = received
        .header("x-slack-request-timestamp")
        .parse()
        .unwrap();
    assert_eq!(
        received.header("x-slack-signature"),
        double.sign(timestamp, &received.body)
    );

    let payload = received.payload();
    assert_eq!(payload["type"], "block_actions");
    assert_eq!(
        payload["user"],
        json!({"id": ANN, "username": "ann", "name": "ann", "team_id": "T0CLINIC01"})
    );
    assert_eq!(payload["api_app_id"], "A0ABEYANC1");
    assert_eq!(
        payload["team"],
        json!({"id": "T0CLINIC01", "domain": "clinic"})
    );
    assert_eq!(payload["enterprise"], Value::Null);
    assert_eq!(payload["is_enterprise_install"], false);
    assert_eq!(
        payload["container"],
        json!({"type": "message", "message_ts": ts, "channel_id": DBA, "is_ephemeral": false})
    );
    assert_eq!(
        payload["channel"],
        json!({"id": DBA, "name": "dba-approvals"})
    );
    assert_eq!(payload["message"]["ts"], ts.as_str());
    assert_eq!(payload["message"]["blocks"][1]["block_id"], "buttons");
    assert_eq!(payload["message"]["bot_id"], "B0BOT00001");
    assert_eq!(payload["state"], json!({"values": {}}));
    assert!(payload["token"].is_string() && payload["trigger_id"].is_string());
    assert!(
        payload["response_url"]
            .as_str()
            .unwrap()
            .starts_with(&double.origin())
    );
    let mut action = payload["actions"][0].clone();
    assert!(action["action_ts"].as_str().unwrap().contains('.'));
    action["action_ts"] = Value::Null;
    assert_eq!(
        action,
        json!({"action_id": "approve", "block_id": "buttons", "type": "button", "value": "HLD-7K3Q", "style": "primary",
               "text": {"type": "plain_text", "text": "Approve", "emoji": true}, "action_ts": null})
    );
}

#[tokio::test]
async fn an_organisation_install_sends_no_team() {
    let app = App::start().await;
    let config = DoubleConfig {
        enterprise_install: true,
        ..DoubleConfig::http(&app.url)
    };
    let double = SlackDouble::start(config).await.unwrap();
    let ts = post_card(&double).await;
    double.click(ANN, DBA, &ts, "approve").await.unwrap();
    let payload = app.received()[0].payload();
    assert_eq!(payload["team"], Value::Null);
    assert_eq!(payload["is_enterprise_install"], true);
    assert_eq!(payload["enterprise"]["id"], "E0CLINIC01");
}

#[tokio::test]
async fn who_cannot_see_the_button_cannot_click_it() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let refused = [
        double.click("U0NOBODY1", DBA, &ts, "approve").await,
        double.click("U0CY00001", "C0ONCALL1", &ts, "approve").await,
        double.click(ANN, DBA, "1.000001", "approve").await,
        double.click(ANN, DBA, &ts, "explode").await,
    ];
    assert!(refused.iter().all(Result::is_err));
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_dialog_on_the_button_is_noted() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let delivery = double.click(ANN, DBA, &ts, "deny").await.unwrap();
    assert_eq!(delivery.confirm.unwrap()["title"]["text"], "Sure?");
    assert_eq!(
        app.received()[0].payload()["actions"][0]["confirm"]["deny"]["text"],
        "No"
    );
}

#[tokio::test]
async fn three_seconds_of_silence_are_a_triangle() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    app.plan(200, "", Duration::from_secs(30));
    let delivery = double.click(ANN, DBA, &ts, "approve").await.unwrap();
    assert_eq!(delivery.outcome, Outcome::TimedOut);
    assert!(delivery.took >= Duration::from_secs(3));
    assert_eq!(double.message(DBA, &ts).unwrap().triangles, ["approve"]);
    // The next click works, and the triangle is gone.
    assert!(
        double
            .click(ANN, DBA, &ts, "approve")
            .await
            .unwrap()
            .acked()
    );
    assert!(double.message(DBA, &ts).unwrap().triangles.is_empty());
}

#[tokio::test]
async fn another_status_and_a_dead_app_are_triangles_too() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    app.plan(500, "oh", Duration::ZERO);
    let delivery = double.click(ANN, DBA, &ts, "approve").await.unwrap();
    assert_eq!(
        delivery.outcome,
        Outcome::Refused {
            status: 500,
            body: "oh".to_owned()
        }
    );
    drop(app);
    let mut delivery = double.click(ANN, DBA, &ts, "approve").await.unwrap();
    while delivery.acked() {
        delivery = double.click(ANN, DBA, &ts, "approve").await.unwrap();
    }
    assert!(
        matches!(delivery.outcome, Outcome::Unreachable { .. }),
        "{:?}",
        delivery.outcome
    );
    assert!(delivery.user_sees_triangle());
}

async fn open_modal(double: &SlackDouble, app: &App, ts: &str, view: Value) -> Value {
    double.click(BOB, DBA, ts, "deny").await.unwrap();
    let trigger = app.received().last().unwrap().payload()["trigger_id"].clone();
    call(
        double,
        "views.open",
        json!({"trigger_id": trigger, "view": view}),
    )
    .await
}

#[tokio::test]
async fn a_trigger_opens_one_modal_within_three_seconds() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let opened = open_modal(&double, &app, &ts, modal()).await;
    assert_eq!(opened["ok"], true, "{opened}");
    assert_eq!(opened["view"]["callback_id"], "deny_reason");
    assert_eq!(opened["view"]["blocks"][0]["optional"], false);
    assert_eq!(double.views(BOB).len(), 1);

    let used = app.received()[0].payload()["trigger_id"].clone();
    let again = call(
        &double,
        "views.open",
        json!({"trigger_id": used, "view": modal()}),
    )
    .await;
    assert_eq!(again["error"], "exchanged_trigger_id");

    double.click(BOB, DBA, &ts, "deny").await.unwrap();
    let late = app.received()[1].payload()["trigger_id"].clone();
    double.advance_expiry(Duration::from_secs(4));
    let late = call(
        &double,
        "views.open",
        json!({"trigger_id": late, "view": modal()}),
    )
    .await;
    assert_eq!(late["error"], "expired_trigger_id");

    let wrong = call(
        &double,
        "views.open",
        json!({"trigger_id": "1.2.x", "view": modal()}),
    )
    .await;
    assert_eq!(wrong["error"], "invalid_trigger_id");
}

#[tokio::test]
async fn a_refused_view_says_where() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let mut view = modal();
    view["title"]["text"] = json!("x".repeat(25));
    let refused = open_modal(&double, &app, &ts, view).await;
    assert_eq!(refused["error"], "invalid_arguments");
    assert_eq!(
        refused["response_metadata"]["messages"][0],
        "[ERROR] must be less than 25 characters [json-pointer:/view/title/text]"
    );
    // The trigger was not used up by that.
    let trigger = app.received()[0].payload()["trigger_id"].clone();
    let opened = call(
        &double,
        "views.open",
        json!({"trigger_id": trigger, "view": modal()}),
    )
    .await;
    assert_eq!(opened["ok"], true);
}

#[tokio::test]
async fn a_submission_carries_the_values_and_closes() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let opened = open_modal(&double, &app, &ts, modal()).await;
    let view_id = opened["view"]["id"].as_str().unwrap();
    let values = json!({"reason": {"reason": "too broad"}});
    let delivery = double.submit_view(BOB, view_id, values).await.unwrap();
    assert!(delivery.acked());
    let payload = app.received()[1].payload();
    assert_eq!(payload["type"], "view_submission");
    assert_eq!(payload["user"]["id"], BOB);
    assert_eq!(payload["view"]["private_metadata"], "HLD-7K3Q");
    assert_eq!(
        payload["view"]["state"]["values"],
        json!({"reason": {"reason": {"type": "plain_text_input", "value": "too broad"}}})
    );
    assert!(double.views(BOB).is_empty());
}

#[tokio::test]
async fn a_form_slack_would_not_send_is_not_sent() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let opened = open_modal(&double, &app, &ts, modal()).await;
    let view_id = opened["view"]["id"].as_str().unwrap();
    for values in [
        json!({}),
        json!({"reason": {"reason": "  "}}),
        json!({"reason": {"reason": "x".repeat(21)}}),
        json!({"reason": {"reason": "x", "more": "y"}}),
    ] {
        assert!(
            double
                .submit_view(BOB, view_id, values.clone())
                .await
                .is_err(),
            "{values}"
        );
    }
    assert!(
        double
            .submit_view(ANN, view_id, json!({"reason": {"reason": "x"}}))
            .await
            .is_err()
    );
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn the_answer_to_a_submission_takes_effect() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let opened = open_modal(&double, &app, &ts, modal()).await;
    let view_id = opened["view"]["id"].as_str().unwrap().to_owned();
    let values = json!({"reason": {"reason": "x"}});

    app.plan(
        200,
        &json!({"response_action": "errors", "errors": {"reason": "Say more"}}).to_string(),
        Duration::ZERO,
    );
    double
        .submit_view(BOB, &view_id, values.clone())
        .await
        .unwrap();
    assert_eq!(double.views(BOB)[0].errors["reason"], "Say more");

    for bad in [
        "nonsense",
        r#"{"response_action":"explode"}"#,
        r#"{"response_action":"errors","errors":{"nothing":"x"}}"#,
    ] {
        app.plan(200, bad, Duration::ZERO);
        double
            .submit_view(BOB, &view_id, values.clone())
            .await
            .unwrap();
        assert!(double.views(BOB)[0].trouble.is_some(), "{bad}");
    }

    let mut second = modal();
    second["callback_id"] = json!("second");
    app.plan(
        200,
        &json!({"response_action": "update", "view": second}).to_string(),
        Duration::ZERO,
    );
    double
        .submit_view(BOB, &view_id, values.clone())
        .await
        .unwrap();
    assert_eq!(double.views(BOB)[0].view["callback_id"], "second");

    app.plan(200, r#"{"response_action":"clear"}"#, Duration::ZERO);
    double.submit_view(BOB, &view_id, values).await.unwrap();
    assert!(double.views(BOB).is_empty());
}

#[tokio::test]
async fn closing_tells_the_app_only_when_asked() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let opened = open_modal(&double, &app, &ts, modal()).await;
    let quiet = double
        .close_view(BOB, opened["view"]["id"].as_str().unwrap())
        .await
        .unwrap();
    assert!(quiet.is_none());
    let mut view = modal();
    view["notify_on_close"] = json!(true);
    let opened = open_modal(&double, &app, &ts, view).await;
    let told = double
        .close_view(BOB, opened["view"]["id"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(told.unwrap().payload["type"], "view_closed");
}

async fn respond(url: &str, body: Value) -> (u16, String) {
    let response = http().post(url).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_response_url_works_five_times_in_thirty_minutes() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    double.click(ANN, DBA, &ts, "approve").await.unwrap();
    let url = app.received()[0].payload()["response_url"]
        .as_str()
        .unwrap()
        .to_owned();

    assert_eq!(respond(&url, json!({"text": "only you"})).await.0, 200);
    assert_eq!(double.ephemerals(DBA, ANN)[0].text, "only you");
    assert!(double.ephemerals(DBA, BOB).is_empty());
    assert_eq!(
        respond(&url, json!({"text": "all", "response_type": "in_channel"}))
            .await
            .0,
        200
    );
    assert_eq!(double.messages(DBA)[1].text, "all");
    assert_eq!(
        respond(&url, json!({"text": "new", "replace_original": true}))
            .await
            .0,
        200
    );
    assert_eq!(double.message(DBA, &ts).unwrap().text, "new");
    let (status, body) = respond(&url, json!({"blocks": [{"type": "bogus"}]})).await;
    assert_eq!((status, body.contains("invalid_blocks")), (400, true));
    assert_eq!(respond(&url, json!({})).await.0, 400);
    assert_eq!(respond(&url, json!({"text": "4"})).await.0, 200);
    assert_eq!(respond(&url, json!({"delete_original": true})).await.0, 200);
    assert!(double.message(DBA, &ts).is_none());
    let (status, body) = respond(&url, json!({"text": "6"})).await;
    assert_eq!((status, body.contains("used_url")), (404, true));

    let ts = post_card(&double).await;
    double.click(ANN, DBA, &ts, "approve").await.unwrap();
    let url = app.received()[1].payload()["response_url"]
        .as_str()
        .unwrap()
        .to_owned();
    double.advance_expiry(Duration::from_secs(31 * 60));
    assert!(
        respond(&url, json!({"text": "late"}))
            .await
            .1
            .contains("expired_url")
    );
}

#[tokio::test]
async fn a_slash_command_is_a_form_and_its_answer_a_whisper() {
    let (double, app) = with_app().await;
    app.plan(200, "all quiet", Duration::ZERO);
    let delivery = double
        .slash_command(ANN, DBA, "/abeyance", "list")
        .await
        .unwrap();
    assert!(delivery.acked());
    let body = app.received()[0].body.clone();
    let field = |name: &str| {
        form_urlencoded::parse(&body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .unwrap()
    };
    assert_eq!(
        (field("command").as_str(), field("text").as_str()),
        ("/abeyance", "list")
    );
    assert_eq!(field("user_id"), ANN);
    assert_eq!(double.ephemerals(DBA, ANN)[0].text, "all quiet");
    app.plan(200, "", Duration::from_secs(30));
    double
        .slash_command(ANN, DBA, "/abeyance", "")
        .await
        .unwrap();
    assert!(
        double.ephemerals(DBA, ANN)[1]
            .text
            .contains("operation_timeout")
    );
}

#[tokio::test]
async fn an_ephemeral_button_is_clicked_without_a_message() {
    let (double, app) = with_app().await;
    let told = call(
        &double,
        "chat.postEphemeral",
        json!({"channel": DBA, "user": ANN, "text": "x", "blocks": support::card()}),
    )
    .await;
    let ts = told["message_ts"].as_str().unwrap();
    assert!(double.click(BOB, DBA, ts, "approve").await.is_err());
    double.click(ANN, DBA, ts, "approve").await.unwrap();
    let payload = app.received()[0].payload();
    assert_eq!(payload["container"]["is_ephemeral"], true);
    assert!(payload.get("message").is_none());
    assert_eq!(
        respond(
            payload["response_url"].as_str().unwrap(),
            json!({"delete_original": true})
        )
        .await
        .0,
        200
    );
    assert!(double.ephemerals(DBA, ANN).is_empty());
}

#[tokio::test]
async fn forgeries_arrive_as_described() {
    let (double, app) = with_app().await;
    let ts = post_card(&double).await;
    let first = double.click(ANN, DBA, &ts, "approve").await.unwrap();
    double
        .forge(Forgery::Replay { delivery: first.id })
        .await
        .unwrap();
    let received = app.received();
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(
        received[0].header("x-slack-signature"),
        received[1].header("x-slack-signature")
    );

    let target = Target::Click {
        user: ANN.to_owned(),
        channel: DBA.to_owned(),
        ts,
        action_id: "approve".to_owned(),
    };
    let valid = |received: &support::Received| {
        let timestamp: i64 = received
            .header("x-slack-request-timestamp")
            .parse()
            .unwrap_or_default();
        received.header("x-slack-signature") == double.sign(timestamp, &received.body)
    };
    for forgery in [
        Forgery::BadSignature(target.clone()),
        Forgery::NoSignature(target.clone()),
        Forgery::NoTimestamp(target.clone()),
        Forgery::WrongSecret(target.clone()),
        Forgery::TamperedBody(target.clone()),
        Forgery::Oversized { bytes: 20_000 },
    ] {
        double.forge(forgery.clone()).await.unwrap();
        assert!(!valid(app.received().last().unwrap()), "{forgery:?}");
    }
    let clicked = target.clone();
    double
        .forge(Forgery::OldTimestamp {
            target,
            age_secs: 600,
        })
        .await
        .unwrap();
    let last = app.received().pop().unwrap();
    assert!(valid(&last));
    let then: i64 = last.header("x-slack-request-timestamp").parse().unwrap();
    let first: i64 = received[0]
        .header("x-slack-request-timestamp")
        .parse()
        .unwrap();
    assert!(first - then > 500);
    double.forge(Forgery::OtherTeam(clicked)).await.unwrap();
    let last = app.received().pop().unwrap();
    let team = String::from_utf8_lossy(&last.body).contains("T0OTHER001");
    assert!(valid(&last) && team);
}

#[tokio::test]
async fn commands_are_forged_like_clicks_and_go_where_commands_go() {
    let (clicks, commands) = (App::start().await, App::start().await);
    let config = DoubleConfig::http_with_commands(&clicks.url, &commands.url);
    let double = SlackDouble::start(config).await.unwrap();
    let target = Target::Command {
        user: ANN.to_owned(),
        channel: DBA.to_owned(),
        command: "/gate".to_owned(),
        text: "open it".to_owned(),
    };
    let first = double.slash_command(ANN, DBA, "/gate", "open it").await;
    let delivery = first.unwrap().id;
    let typed = [
        Forgery::Replay { delivery },
        Forgery::OldTimestamp {
            target: target.clone(),
            age_secs: 600,
        },
        Forgery::OtherTeam(target.clone()),
        Forgery::TamperedBody(target),
    ];
    for (before, forgery) in typed.into_iter().enumerate() {
        double.forge(forgery.clone()).await.unwrap();
        let received = commands.received();
        assert_eq!(received.len(), before + 2, "{forgery:?}");
        let last = String::from_utf8_lossy(&received[before + 1].body);
        for field in ["command=%2Fgate&", "text=open+it&"] {
            assert!(last.contains(field), "{forgery:?}: {last}");
        }
    }
    assert!(clicks.received().is_empty());
    let garbage = Box::new(Forgery::SignedGarbage {
        body: "x".to_owned(),
    });
    for forgery in [
        Forgery::AtClicks {
            forgery: Box::new(Forgery::Replay { delivery }),
        },
        *garbage.clone(),
        Forgery::AtCommands { forgery: garbage },
    ] {
        double.forge(forgery).await.unwrap();
    }
    let bodies = |app: &App| app.received().pop().unwrap().body;
    assert_eq!((clicks.received().len(), commands.received().len()), (2, 6));
    assert_eq!(
        (bodies(&clicks), bodies(&commands)),
        (b"x".to_vec(), b"x".to_vec())
    );
}
