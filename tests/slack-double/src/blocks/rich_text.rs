//! The shape of `rich_text` blocks: sections, lists, quotes and preformatted text, and what may stand in them.

use serde_json::Value;

use super::checker::Checker;

const ELEMENTS_MAX: usize = 1000;

pub(super) fn check(checker: &mut Checker, value: &Value, path: &str) {
    checker.each(value, path, 1, ELEMENTS_MAX, |checker, item, path| {
        let inner = format!("{path}/elements");
        let elements = &item["elements"];
        match item["type"].as_str() {
            Some("rich_text_section" | "rich_text_quote" | "rich_text_preformatted") => {
                checker.each(elements, &inner, 0, ELEMENTS_MAX, leaf);
            }
            Some("rich_text_list") => {
                if !matches!(item["style"].as_str(), Some("bullet" | "ordered")) {
                    checker.fail(path, "must be one of: bullet, ordered");
                }
                checker.each(elements, &inner, 1, ELEMENTS_MAX, |checker, item, path| {
                    if item["type"] == "rich_text_section" {
                        checker.each(
                            &item["elements"],
                            &format!("{path}/elements"),
                            0,
                            ELEMENTS_MAX,
                            leaf,
                        );
                    } else {
                        checker.fail(path, "must be a rich_text_section");
                    }
                });
            }
            Some(other) => checker.fail(
                &format!("{path}/type"),
                &format!("unsupported type: {other}"),
            ),
            None => checker.fail(path, "missing required field: type"),
        }
    });
}

fn leaf(checker: &mut Checker, item: &Value, path: &str) {
    let needed = match item["type"].as_str() {
        Some("text") => "text",
        Some("link") => "url",
        Some("user") => "user_id",
        Some("usergroup") => "usergroup_id",
        Some("channel") => "channel_id",
        Some("emoji") => "name",
        Some("broadcast") => "range",
        Some("color") => "value",
        Some("date") => "format",
        Some(other) => {
            return checker.fail(
                &format!("{path}/type"),
                &format!("unsupported type: {other}"),
            );
        }
        None => return checker.fail(path, "missing required field: type"),
    };
    match item.get(needed) {
        Some(value) if needed == "url" => checker.url(value, &format!("{path}/url"), 3000),
        Some(value) => checker.string(value, &format!("{path}/{needed}"), 1, 12_000),
        None => checker.fail(path, &format!("missing required field: {needed}")),
    }
}
