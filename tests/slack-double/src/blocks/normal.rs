//! What Slack adds to accepted blocks before it stores and shows them.

use serde_json::{Map, Value};

use crate::clock::random_of;

const ID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

/// Gives every block a `block_id`, every interactive element an `action_id`, plain text its `emoji` and mrkdwn its
/// `verbatim`.
pub(crate) fn fill_in(blocks: &mut [Value]) {
    for block in blocks {
        if let Some(map) = block.as_object_mut() {
            add_id(map, "block_id");
            let interactive = map["type"] == "actions";
            if let Some(elements) = map.get_mut("elements").and_then(Value::as_array_mut)
                && interactive
            {
                elements.iter_mut().for_each(element_id);
            }
            for name in ["accessory", "element"] {
                if let Some(element) = map.get_mut(name) {
                    element_id(element);
                }
            }
        }
        texts(block);
    }
}

fn element_id(element: &mut Value) {
    if let Some(map) = element.as_object_mut()
        && map.get("type").is_some_and(|kind| kind != "image")
    {
        add_id(map, "action_id");
    }
}

fn add_id(map: &mut Map<String, Value>, name: &str) {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), Value::String(random_of(ID_LETTERS, 5)));
    }
}

/// Fills in the text objects of anything: a block, a modal's title.
pub(crate) fn texts(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(texts),
        Value::Object(map) => {
            let extra = match map.get("type").and_then(Value::as_str) {
                Some("plain_text") => Some(("emoji", true)),
                Some("mrkdwn") => Some(("verbatim", false)),
                _ => None,
            };
            if let Some((name, default)) = extra {
                map.entry(name).or_insert(Value::Bool(default));
            } else {
                map.values_mut().for_each(texts);
            }
        }
        _ => {}
    }
}

/// Every text in `value`, a line each.
pub(crate) fn block_text(value: &Value) -> String {
    let mut lines = Vec::new();
    collect(value, &mut lines);
    lines.join("\n")
}

fn collect<'a>(value: &'a Value, lines: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, lines)),
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if name == "text" || name == "alt_text" => lines.push(text),
                    other => collect(other, lines),
                }
            }
        }
        _ => {}
    }
}
