//! Every refusal of the Web API once, beside the call that is taken.
use crate::support::{ANN, DBA, call, call_as, card, form, http, post_card};
use abeyance_slack_double::{DoubleConfig, Rates, SlackDouble, Token};
use serde_json::{Value, json};

const OUTSIDE: &str = "C0NOBOT01";
const PRIVATE: &str = "C0SECRET1";
const ARCHIVED: &str = "C0OLD0001";

async fn double() -> SlackDouble {
    let narrow = Token {
        value: "xoxb-narrow".to_owned(),
        scopes: vec!["users:read".to_owned()],
    };
    let config = DoubleConfig {
        rates: Rates::Off,
        tokens: vec![narrow],
        ..DoubleConfig::default()
    };
    SlackDouble::start(config).await.unwrap()
}

async fn error_of(double: &SlackDouble, method: &str, args: Value) -> String {
    let answer = call(double, method, args).await;
    assert_eq!(answer["ok"], false, "{method} was taken: {answer}");
    answer["error"].as_str().unwrap().to_owned()
}

async fn taken(double: &SlackDouble, method: &str, args: Value) -> Value {
    let answer = call(double, method, args).await;
    assert_eq!(answer["ok"], true, "{method} was refused: {answer}");
    answer
}

async fn raw(double: &SlackDouble, method: &str, content_type: Option<&str>, body: &str) -> Value {
    let mut request = http()
        .post(format!("{}{method}", double.base_url()))
        .bearer_auth(double.bot_token());
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request
        .body(body.to_owned())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn tokens_and_scopes() {
    let double = double().await;
    assert_eq!(
        taken(&double, "auth.test", json!({})).await["user_id"],
        "U0BOT00001"
    );
    let anonymous = http()
        .post(format!("{}auth.test", double.base_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(
        anonymous.json::<Value>().await.unwrap()["error"],
        "not_authed"
    );
    assert_eq!(
        call_as(&double, "xoxb-wrong", "auth.test", json!({})).await["error"],
        "invalid_auth"
    );
    // A token in a JSON body is no token; in a form it is.
    let url = format!("{}auth.test", double.base_url());
    let in_json = http()
        .post(&url)
        .json(&json!({"token": double.bot_token()}))
        .send()
        .await
        .unwrap();
    assert_eq!(
        in_json.json::<Value>().await.unwrap()["error"],
        "not_authed"
    );
    let in_query = http()
        .get(format!("{url}?token={}", double.bot_token()))
        .send()
        .await
        .unwrap();
    assert_eq!(in_query.json::<Value>().await.unwrap()["ok"], true);

    let narrow = call_as(
        &double,
        "xoxb-narrow",
        "chat.postMessage",
        json!({"channel": DBA, "text": "x"}),
    )
    .await;
    assert_eq!(narrow["error"], "missing_scope");
    assert_eq!(
        (narrow["needed"].as_str(), narrow["provided"].as_str()),
        (Some("chat:write"), Some("users:read"))
    );
    assert_eq!(
        error_of(&double, "chat.explode", json!({})).await,
        "unknown_method"
    );
}

#[tokio::test]
async fn answers_carry_slacks_headers() {
    let double = double().await;
    let response = http()
        .post(format!("{}auth.test", double.base_url()))
        .bearer_auth(double.bot_token())
        .send()
        .await
        .unwrap();
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert!(header("x-oauth-scopes").contains("chat:write"));
    assert_eq!(header("content-type"), "application/json; charset=utf-8");
    assert_eq!(header("x-slack-req-id").len(), 32);
}

#[tokio::test]
async fn bodies() {
    let double = double().await;
    let post = "chat.postMessage";
    let args = json!({"channel": DBA, "text": "x"}).to_string();
    assert_eq!(
        raw(&double, post, None, &args).await["error"],
        "missing_post_type"
    );
    assert_eq!(
        raw(&double, post, Some("text/xml"), &args).await["error"],
        "invalid_post_type"
    );
    assert_eq!(
        raw(
            &double,
            post,
            Some("application/json; charset=utf-16"),
            &args
        )
        .await["error"],
        "invalid_charset"
    );
    assert_eq!(
        raw(&double, post, Some("application/json; charset=utf-8"), "{").await["error"],
        "invalid_json"
    );
    let warned = raw(&double, post, Some("application/json"), &args).await;
    assert_eq!(
        (warned["ok"].as_bool(), warned["warning"].as_str()),
        (Some(true), Some("missing_charset"))
    );

    let blocks = card().to_string();
    let posted = form(
        &double,
        post,
        &[("channel", DBA), ("text", "x"), ("blocks", &blocks)],
    )
    .await;
    assert_eq!(posted["message"]["blocks"][1]["block_id"], "buttons");
    let broken = form(
        &double,
        post,
        &[("channel", DBA), ("text", "x"), ("blocks", "[{")],
    )
    .await;
    assert_eq!(broken["error"], "invalid_blocks_format");
    // Methods that read see nothing of a JSON body.
    assert_eq!(
        error_of(&double, "users.info", json!({"user": ANN})).await,
        "invalid_arguments"
    );
    assert_eq!(
        form(&double, "users.info", &[("user", ANN)]).await["user"]["name"],
        "ann"
    );
}

#[tokio::test]
async fn posting() {
    let double = double().await;
    let post = "chat.postMessage";
    let posted = taken(
        &double,
        post,
        json!({"channel": DBA, "text": "x", "blocks": card()}),
    )
    .await;
    assert_eq!(posted["message"]["bot_id"], "B0BOT00001");
    assert_eq!(posted["message"]["blocks"][0]["text"]["verbatim"], false);
    assert_eq!(
        taken(
            &double,
            post,
            json!({"channel": "#dba-approvals", "text": "x"})
        )
        .await["channel"],
        DBA
    );
    for (want, args) in [
        ("invalid_arguments", json!({"text": "x"})),
        (
            "channel_not_found",
            json!({"channel": "C0NOWHERE", "text": "x"}),
        ),
        (
            "channel_not_found",
            json!({"channel": PRIVATE, "text": "x"}),
        ),
        ("not_in_channel", json!({"channel": OUTSIDE, "text": "x"})),
        ("is_archived", json!({"channel": ARCHIVED, "text": "x"})),
        ("no_text", json!({"channel": DBA})),
        ("no_text", json!({"channel": DBA, "text": "", "blocks": []})),
        (
            "msg_too_long",
            json!({"channel": DBA, "text": "x".repeat(40_001)}),
        ),
        (
            "invalid_blocks_format",
            json!({"channel": DBA, "text": "x", "blocks": {"type": "divider"}}),
        ),
        (
            "invalid_blocks_format",
            json!({"channel": DBA, "text": "x", "blocks": "no json"}),
        ),
        (
            "invalid_blocks",
            json!({"channel": DBA, "text": "x", "blocks": [{"type": "bogus"}]}),
        ),
    ] {
        assert_eq!(error_of(&double, post, args.clone()).await, want, "{args}");
    }
    let long = json!({"type": "section", "text": {"type": "mrkdwn", "text": "x".repeat(2700)}});
    let args = json!({"channel": DBA, "text": "x", "blocks": vec![long; 5]});
    assert_eq!(error_of(&double, post, args).await, "msg_blocks_too_long");
    let refused = call(
        &double,
        post,
        json!({"channel": DBA, "text": "x", "blocks": [{"type": "section"}]}),
    )
    .await;
    let message = "must define either `text` or `fields` [json-pointer:/blocks/0]";
    assert_eq!(refused["errors"][0], message);
    assert_eq!(
        refused["response_metadata"]["messages"][0],
        format!("[ERROR] {message}")
    );
}

#[tokio::test]
async fn metadata() {
    let double = double().await;
    let post = async |metadata: Value| {
        call(
            &double,
            "chat.postMessage",
            json!({"channel": DBA, "text": "x", "metadata": metadata}),
        )
        .await
    };
    let good = json!({"event_type": "abeyance_hold", "event_payload": {"hold": "HLD-7K3Q", "n": 1, "sure": true, "who": {"id": "x"}}});
    assert_eq!(post(good.clone()).await["message"]["metadata"], good);
    for (want, metadata) in [
        ("invalid_metadata_format", json!("text")),
        ("invalid_metadata_format", json!({"event_type": "x"})),
        (
            "invalid_metadata_format",
            json!({"event_type": "not a word", "event_payload": {}}),
        ),
        (
            "invalid_metadata_format",
            json!({"event_type": "x".repeat(256), "event_payload": {}}),
        ),
        (
            "invalid_metadata_format",
            json!({"event_type": "x", "event_payload": {}, "more": 1}),
        ),
        (
            "invalid_metadata_schema",
            json!({"event_type": "x", "event_payload": {"a": {"b": {"c": 1}}}}),
        ),
        (
            "invalid_metadata_schema",
            json!({"event_type": "x", "event_payload": {"a": null}}),
        ),
        (
            "metadata_too_large",
            json!({"event_type": "x", "event_payload": {"a": "x".repeat(8_000)}}),
        ),
    ] {
        assert_eq!(post(metadata.clone()).await["error"], want, "{metadata}");
    }
}

#[tokio::test]
async fn editing() {
    let double = double().await;
    let update = "chat.update";
    let ts = post_card(&double).await;
    let edited = taken(
        &double,
        update,
        json!({"channel": DBA, "ts": ts, "text": "done", "blocks": []}),
    )
    .await;
    assert_eq!(
        (edited["text"].as_str(), edited["message"].get("blocks")),
        (Some("done"), None)
    );
    assert!(edited["message"]["edited"]["ts"].is_string());
    assert_eq!(double.message(DBA, &ts).unwrap().edits, 1);
    let typed = double.say(ANN, DBA, "hello").unwrap();
    for (want, args) in [
        ("invalid_arguments", json!({"channel": DBA, "text": "x"})),
        (
            "message_not_found",
            json!({"channel": DBA, "ts": "1.000001", "text": "x"}),
        ),
        (
            "channel_not_found",
            json!({"channel": "C0NOWHERE", "ts": ts, "text": "x"}),
        ),
        (
            "cant_update_message",
            json!({"channel": DBA, "ts": typed.ts, "text": "x"}),
        ),
        ("no_text", json!({"channel": DBA, "ts": ts})),
        (
            "msg_too_long",
            json!({"channel": DBA, "ts": ts, "text": "x".repeat(4_001)}),
        ),
        (
            "invalid_blocks",
            json!({"channel": DBA, "ts": ts, "text": "x", "blocks": [{"type": "bogus"}]}),
        ),
    ] {
        assert_eq!(
            error_of(&double, update, args.clone()).await,
            want,
            "{args}"
        );
    }
    // Metadata stays unless it is given; `{}` removes it.
    let metadata = json!({"event_type": "a", "event_payload": {"b": 1}});
    let edit = async |metadata: Option<Value>| {
        let mut args = json!({"channel": DBA, "ts": ts, "text": "x"});
        if let Some(metadata) = metadata {
            args["metadata"] = metadata;
        }
        taken(&double, update, args).await;
        double.message(DBA, &ts).unwrap().metadata
    };
    assert_eq!(edit(Some(metadata.clone())).await, Some(metadata.clone()));
    assert_eq!(edit(None).await, Some(metadata));
    assert_eq!(edit(Some(json!({}))).await, None);
}

#[tokio::test]
async fn whispering_and_deleting() {
    let double = double().await;
    let whisper = "chat.postEphemeral";
    taken(
        &double,
        whisper,
        json!({"channel": DBA, "user": ANN, "text": "psst"}),
    )
    .await;
    assert_eq!(double.ephemerals(DBA, ANN)[0].text, "psst");
    assert!(double.messages(DBA).is_empty());
    for (want, args) in [
        ("invalid_arguments", json!({"channel": DBA, "text": "x"})),
        (
            "user_not_in_channel",
            json!({"channel": "C0ONCALL1", "user": "U0EVE0001", "text": "x"}),
        ),
        (
            "not_in_channel",
            json!({"channel": OUTSIDE, "user": ANN, "text": "x"}),
        ),
        (
            "is_archived",
            json!({"channel": ARCHIVED, "user": ANN, "text": "x"}),
        ),
        ("no_text", json!({"channel": DBA, "user": ANN})),
        (
            "invalid_blocks",
            json!({"channel": DBA, "user": ANN, "blocks": [{"type": "bogus"}]}),
        ),
    ] {
        assert_eq!(
            error_of(&double, whisper, args.clone()).await,
            want,
            "{args}"
        );
    }
    let ts = post_card(&double).await;
    let typed = double.say(ANN, DBA, "hello").unwrap();
    assert_eq!(
        error_of(
            &double,
            "chat.delete",
            json!({"channel": DBA, "ts": typed.ts})
        )
        .await,
        "cant_delete_message"
    );
    taken(&double, "chat.delete", json!({"channel": DBA, "ts": ts})).await;
    assert_eq!(
        error_of(&double, "chat.delete", json!({"channel": DBA, "ts": ts})).await,
        "message_not_found"
    );
}

#[tokio::test]
async fn reading_back() {
    let double = double().await;
    let mut stamps = Vec::new();
    for n in 0..3 {
        let metadata = json!({"event_type": "n", "event_payload": {"n": n}});
        let posted = taken(
            &double,
            "chat.postMessage",
            json!({"channel": DBA, "text": format!("m{n}"), "metadata": metadata}),
        )
        .await;
        stamps.push(posted["ts"].as_str().unwrap().to_owned());
    }
    let history = async |fields: &[(&str, &str)]| {
        let fields: Vec<_> = [("channel", DBA)]
            .into_iter()
            .chain(fields.iter().copied())
            .collect();
        form(&double, "conversations.history", &fields).await
    };
    let texts = |answer: &Value| -> Vec<String> {
        answer["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = history(&[]).await;
    assert_eq!(texts(&all), ["m2", "m1", "m0"]);
    assert!(all["messages"][0].get("metadata").is_none());
    let with = history(&[("include_all_metadata", "true"), ("limit", "1")]).await;
    assert_eq!(with["messages"][0]["metadata"]["event_payload"]["n"], 2);
    let cursor = with["response_metadata"]["next_cursor"].as_str().unwrap();
    assert_eq!(texts(&history(&[("cursor", cursor)]).await), ["m1", "m0"]);
    assert_eq!(texts(&history(&[("oldest", &stamps[1])]).await), ["m2"]);
    assert_eq!(
        texts(&history(&[("oldest", &stamps[1]), ("inclusive", "1")]).await),
        ["m2", "m1"]
    );
    assert_eq!(texts(&history(&[("latest", &stamps[1])]).await), ["m0"]);
    assert_eq!(
        history(&[("oldest", "yesterday")]).await["error"],
        "invalid_ts_oldest"
    );
    assert_eq!(
        history(&[("latest", "yesterday")]).await["error"],
        "invalid_ts_latest"
    );
    assert_eq!(history(&[("cursor", "x")]).await["error"], "invalid_cursor");
    for (want, channel) in [
        ("not_in_channel", OUTSIDE),
        ("channel_not_found", "C0NOWHERE"),
    ] {
        assert_eq!(
            form(&double, "conversations.history", &[("channel", channel)]).await["error"],
            want
        );
    }
    let info = form(
        &double,
        "conversations.info",
        &[("channel", DBA), ("include_num_members", "true")],
    )
    .await;
    assert_eq!(
        (
            info["channel"]["is_member"].as_bool(),
            info["channel"]["num_members"].as_i64()
        ),
        (Some(true), Some(5))
    );
    let private = form(&double, "conversations.info", &[("channel", PRIVATE)]).await;
    assert_eq!(private["error"], "channel_not_found");
}

#[tokio::test]
async fn people_and_groups() {
    let double = double().await;
    let ann = form(
        &double,
        "users.lookupByEmail",
        &[("email", "ANN@clinic.example")],
    )
    .await;
    assert_eq!(ann["user"]["id"], ANN);
    assert_eq!(
        form(&double, "users.lookupByEmail", &[("email", "x@y.example")]).await["error"],
        "users_not_found"
    );
    assert_eq!(
        form(&double, "users.info", &[("user", "U0NOBODY1")]).await["error"],
        "user_not_found"
    );
    let groups = form(
        &double,
        "usergroups.list",
        &[("include_users", "true"), ("include_count", "true")],
    )
    .await;
    assert_eq!(groups["usergroups"][0]["users"], json!([ANN, "U0BOB0001"]));
    assert_eq!(groups["usergroups"][0]["user_count"], "2");
    let update = json!({"usergroup": "S0DBA00001", "users": "U0CY00001"});
    taken(&double, "usergroups.users.update", update).await;
    let users = form(
        &double,
        "usergroups.users.list",
        &[("usergroup", "S0DBA00001")],
    )
    .await;
    assert_eq!(users["users"], json!(["U0CY00001"]));
    for (want, args) in [
        (
            "no_such_subteam",
            json!({"usergroup": "S0NOTHING", "users": ANN}),
        ),
        (
            "invalid_users",
            json!({"usergroup": "S0DBA00001", "users": "U0NOBODY1"}),
        ),
        (
            "no_users_provided",
            json!({"usergroup": "S0DBA00001", "users": ""}),
        ),
    ] {
        assert_eq!(
            error_of(&double, "usergroups.users.update", args).await,
            want
        );
    }
}
