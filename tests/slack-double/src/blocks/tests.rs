#![expect(clippy::needless_pass_by_value, reason = "json! is built in place")]

use serde_json::{Value, json};

use super::*;

fn faults(blocks: &Value) -> String {
    match check_message(blocks) {
        Ok(()) => String::new(),
        Err(Refusal::Invalid(faults)) => faults.join("\n"),
        Err(other) => format!("{other:?}"),
    }
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

fn button(more: Value) -> Value {
    let mut button =
        json!({"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Go"}});
    for (name, value) in more.as_object().unwrap() {
        button[name] = value.clone();
    }
    json!([{"type": "actions", "elements": [button]}])
}

fn overflow(options: usize) -> Value {
    let options: Vec<Value> = (0..options)
        .map(|n| json!({"text": {"type": "plain_text", "text": "x"}, "value": n.to_string()}))
        .collect();
    json!([{"type": "section", "text": {"type": "mrkdwn", "text": "x"},
            "accessory": {"type": "overflow", "action_id": "o", "options": options}}])
}

fn confirm(more: Value) -> Value {
    let plain = |text: &str| json!({"type": "plain_text", "text": text});
    let mut confirm =
        json!({"title": plain("t"), "text": plain("x"), "confirm": plain("y"), "deny": plain("n")});
    for (name, value) in more.as_object().unwrap() {
        confirm[name] = value.clone();
    }
    button(json!({"confirm": confirm}))
}

fn plain(len: usize) -> Value {
    json!({"type": "plain_text", "text": "x".repeat(len)})
}

#[test]
fn what_is_at_the_limit_is_taken() {
    let good = [
        json!(vec![json!({"type": "divider"}); 50]),
        json!([section(&"é".repeat(3000))]),
        json!([{"type": "section", "fields": vec![json!({"type": "mrkdwn", "text": "x".repeat(1000)}); 10]}]),
        json!([{"type": "section", "fields": [{"type": "mrkdwn", "text": "x".repeat(2000)}]}]),
        json!([{"type": "header", "text": plain(150)}]),
        json!([{"type": "context", "elements": vec![json!({"type": "mrkdwn", "text": "x"}); 10]}]),
        button(
            json!({"text": plain(75), "value": "x".repeat(2000), "action_id": "x".repeat(255), "style": "danger"}),
        ),
        button(json!({"url": "https://example.org/h"})),
        confirm(
            json!({"title": plain(100), "text": plain(300), "confirm": plain(30), "deny": plain(30), "style": "primary"}),
        ),
        overflow(2),
        overflow(5),
        json!([{"type": "actions", "elements": (0..25).map(|n| button(json!({"action_id": n.to_string()}))[0]["elements"][0].clone()).collect::<Vec<_>>()}]),
        json!([{"type": "divider", "block_id": "x".repeat(255)}]),
        json!([{"type": "image", "image_url": "https://example.org/a.png", "alt_text": "a"}]),
        json!([{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}]}]),
        json!([]),
    ];
    for blocks in good {
        assert_eq!(faults(&blocks), "", "{blocks}");
    }
}

#[test]
fn what_is_over_the_limit_is_refused() {
    let one_more = |list: Value| json!(list);
    let bad = [
        (
            "no more than 50 items",
            json!(vec![json!({"type": "divider"}); 51]),
        ),
        ("less than 3001", json!([section(&"x".repeat(3001))])),
        ("more than 0", json!([section("")])),
        (
            "no more than 10",
            json!([{"type": "section", "fields": vec![json!({"type": "mrkdwn", "text": "x"}); 11]}]),
        ),
        (
            "less than 2001",
            json!([{"type": "section", "fields": [{"type": "mrkdwn", "text": "x".repeat(2001)}]}]),
        ),
        ("either `text` or `fields`", json!([{"type": "section"}])),
        (
            "less than 151",
            json!([{"type": "header", "text": plain(151)}]),
        ),
        (
            "unsupported type: mrkdwn",
            json!([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]),
        ),
        (
            "no more than 10",
            json!([{"type": "context", "elements": vec![json!({"type": "mrkdwn", "text": "x"}); 11]}]),
        ),
        (
            "unsupported type: button",
            json!([{"type": "context", "elements": [{"type": "button"}]}]),
        ),
        ("less than 76", button(json!({"text": plain(76)}))),
        (
            "unsupported type: mrkdwn",
            button(json!({"text": {"type": "mrkdwn", "text": "x"}})),
        ),
        ("less than 2001", button(json!({"value": "x".repeat(2001)}))),
        (
            "less than 256",
            button(json!({"action_id": "x".repeat(256)})),
        ),
        ("primary, danger", button(json!({"style": "warning"}))),
        ("primary, danger", button(json!({"style": "default"}))),
        (
            "additional property: colour",
            button(json!({"colour": "red"})),
        ),
        ("invalid url", button(json!({"url": "javascript:alert(1)"}))),
        ("invalid url", button(json!({"url": ""}))),
        ("less than 101", confirm(json!({"title": plain(101)}))),
        ("less than 301", confirm(json!({"text": plain(301)}))),
        ("less than 31", confirm(json!({"confirm": plain(31)}))),
        ("less than 31", confirm(json!({"deny": plain(31)}))),
        ("primary, danger", confirm(json!({"style": "loud"}))),
        (
            "missing required field: text",
            button(json!({"confirm": {"title": plain(1), "confirm": plain(1), "deny": plain(1)}})),
        ),
        ("no fewer than 2", overflow(1)),
        ("no more than 5", overflow(6)),
        (
            "no more than 25",
            json!([{"type": "actions", "elements": (0..26).map(|n| button(json!({"action_id": n.to_string()}))[0]["elements"][0].clone()).collect::<Vec<_>>()}]),
        ),
        (
            "no fewer than 1",
            json!([{"type": "actions", "elements": []}]),
        ),
        (
            "`action_id` a already exists",
            json!([{"type": "actions", "elements": [button(json!({}))[0]["elements"][0], button(json!({}))[0]["elements"][0]]}]),
        ),
        (
            "`block_id` a already exists",
            one_more(
                json!([{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}]),
            ),
        ),
        (
            "less than 256",
            json!([{"type": "divider", "block_id": "x".repeat(256)}]),
        ),
        ("unsupported type: bogus", json!([{"type": "bogus"}])),
        ("missing required field: type", json!([{"text": "x"}])),
        (
            "additional property: foo",
            json!([{"type": "divider", "foo": 1}]),
        ),
        (
            "additional property: emoji",
            json!([{"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": true}}]),
        ),
        (
            "must provide an object",
            json!([{"type": "section", "text": "x"}]),
        ),
        (
            "either `image_url` or `slack_file`",
            json!([{"type": "image", "alt_text": "x"}]),
        ),
        (
            "must provide a boolean",
            json!([{"type": "section", "text": {"type": "mrkdwn", "text": "x", "verbatim": "no"}}]),
        ),
        ("Format", json!({"type": "divider"})),
        ("Format", json!(["divider"])),
        (
            "TooLong",
            json!([
                section(&"x".repeat(3000)),
                section(&"x".repeat(3000)),
                section(&"x".repeat(3000)),
                section(&"x".repeat(3000)),
                section(&"x".repeat(1000))
            ]),
        ),
    ];
    for (want, blocks) in bad {
        let have = faults(&blocks);
        assert!(have.contains(want), "wanted `{want}`, have `{have}`");
    }
}

#[test]
fn all_faults_are_told_at_once_with_pointers() {
    let blocks = json!([section(""), {"type": "header", "text": plain(151)}]);
    assert_eq!(
        faults(&blocks),
        "must be more than 0 characters [json-pointer:/blocks/0/text/text]\n\
         must be less than 151 characters [json-pointer:/blocks/1/text/text]"
    );
}

fn modal(more: Value) -> Value {
    let mut view = json!({
        "type": "modal", "title": plain(24), "submit": plain(24), "close": plain(24),
        "private_metadata": "x".repeat(3000), "callback_id": "x".repeat(255),
        "blocks": [{"type": "input", "block_id": "reason", "label": plain(2000),
                    "element": {"type": "plain_text_input", "action_id": "reason", "max_length": 3000, "multiline": true}}],
    });
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            view.as_object_mut().unwrap().remove(name);
        } else {
            view[name] = value.clone();
        }
    }
    view
}

#[test]
fn modals() {
    let input = |more: Value| {
        let mut block = modal(json!({}))["blocks"][0].clone();
        for (name, value) in more.as_object().unwrap() {
            block[name] = value.clone();
        }
        json!({"blocks": [block]})
    };
    assert_eq!(check_view(&modal(json!({}))), Ok(()));
    let bad = [
        ("less than 25", json!({"title": plain(25)})),
        ("less than 25", json!({"submit": plain(25)})),
        ("less than 25", json!({"close": plain(25)})),
        ("field: title", json!({"title": null})),
        ("field: submit", json!({"submit": null})),
        (
            "less than 3001",
            json!({"private_metadata": "x".repeat(3001)}),
        ),
        ("less than 256", json!({"callback_id": "x".repeat(256)})),
        (
            "no more than 100",
            json!({"blocks": vec![json!({"type": "divider"}); 101]}),
        ),
        ("property: metadata", json!({"metadata": "x"})),
        ("type: dialog", json!({"type": "dialog"})),
        ("less than 2001", input(json!({"label": plain(2001)}))),
        (
            "unsupported type: mrkdwn",
            input(json!({"label": {"type": "mrkdwn", "text": "x"}})),
        ),
        (
            "at most 3000",
            input(json!({"element": {"type": "plain_text_input", "max_length": 3001}})),
        ),
        (
            "min_length",
            input(
                json!({"element": {"type": "plain_text_input", "min_length": 5, "max_length": 4}}),
            ),
        ),
        (
            "unsupported type: button",
            input(json!({"element": {"type": "button"}})),
        ),
    ];
    for (want, more) in bad {
        match check_view(&modal(more)) {
            Err(Refusal::Invalid(faults)) => {
                assert!(faults.join("\n").contains(want), "{want}: {faults:?}");
            }
            other => panic!("{want}: {other:?}"),
        }
    }
}

#[test]
fn accepted_blocks_are_filled_in() {
    let mut blocks = vec![section("x"), button(json!({}))[0].clone()];
    fill_in(&mut blocks);
    assert_eq!(blocks[0]["text"]["verbatim"], false);
    assert_eq!(blocks[0]["block_id"].as_str().unwrap().len(), 5);
    assert_eq!(blocks[1]["elements"][0]["text"]["emoji"], true);
    assert_eq!(blocks[1]["elements"][0]["action_id"], "a");
}
