//! Walks blocks along the tables and collects every fault, worded as Slack words it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::schema::{self, CONFIRMATION, Field, MODAL, OptionKind, Place, Rule};
use super::{Refusal, VIEW_BLOCKS_MAX, rich_text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    Message,
    Modal,
}

#[derive(Debug, Default)]
pub(super) struct Checker {
    errors: Vec<String>,
    block_ids: BTreeSet<String>,
    /// Of the block at hand: Slack wants them unique within a block.
    action_ids: BTreeSet<String>,
    focused: usize,
    markdown_chars: usize,
}

impl Checker {
    pub(super) fn fail(&mut self, path: &str, what: &str) {
        self.errors.push(format!("{what} [json-pointer:{path}]"));
    }

    pub(super) fn finish(self) -> Result<(), Refusal> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Invalid(self.errors))
        }
    }

    pub(super) fn view(&mut self, view: &Value) {
        let path = "/view";
        let Some(map) = self.object(view, path) else {
            return;
        };
        match map.get("type").and_then(Value::as_str) {
            Some("modal") => {}
            Some(other) => self.fail("/view/type", &format!("unsupported type: {other}")),
            None => self.fail(path, "missing required field: type"),
        }
        self.fields(map, path, MODAL, &["type", "blocks"]);
        let Some(blocks) = map.get("blocks").and_then(Value::as_array) else {
            return self.fail(path, "missing required field: blocks");
        };
        if blocks.len() > VIEW_BLOCKS_MAX {
            self.fail(
                "/view/blocks",
                &format!("no more than {VIEW_BLOCKS_MAX} items allowed"),
            );
        }
        self.blocks(blocks, "/view/blocks", Surface::Modal);
        let has_input = blocks.iter().any(|block| block["type"] == "input");
        if has_input && !map.contains_key("submit") {
            self.fail(path, "missing required field: submit");
        }
    }

    pub(super) fn blocks(&mut self, blocks: &[Value], path: &str, surface: Surface) {
        for (index, block) in blocks.iter().enumerate() {
            self.block(block, &format!("{path}/{index}"), surface);
        }
        if self.focused > 1 {
            self.fail(path, "only one element may have focus_on_load");
        }
    }

    fn block(&mut self, block: &Value, path: &str, surface: Surface) {
        self.action_ids.clear();
        let Some(map) = self.object(block, path) else {
            return;
        };
        let Some(kind) = map.get("type").and_then(Value::as_str) else {
            return self.fail(path, "missing required field: type");
        };
        let Some(fields) = schema::block(kind) else {
            return self.fail(
                &format!("{path}/type"),
                &format!("unsupported type: {kind}"),
            );
        };
        if kind == "markdown" && surface == Surface::Modal {
            self.fail(&format!("{path}/type"), "unsupported type: markdown");
        }
        self.block_id(map, path);
        self.fields(map, path, fields, &["type", "block_id"]);
        self.across(kind, map, path);
    }

    fn block_id(&mut self, map: &Map<String, Value>, path: &str) {
        let Some(value) = map.get("block_id") else {
            return;
        };
        let path = format!("{path}/block_id");
        self.rule(value, &path, Rule::Str(1, 255));
        if let Some(id) = value.as_str()
            && !self.block_ids.insert(id.to_owned())
        {
            self.fail(&path, &format!("`block_id` {id} already exists"));
        }
    }

    /// What no single field can say.
    fn across(&mut self, kind: &str, map: &Map<String, Value>, path: &str) {
        match kind {
            "section" if !map.contains_key("text") && !map.contains_key("fields") => {
                self.fail(path, "must define either `text` or `fields`");
            }
            "image" => self.image_source(map, path),
            "markdown" => {
                self.markdown_chars += map["text"].as_str().map_or(0, |text| text.chars().count());
                if self.markdown_chars > 12_000 {
                    self.fail(
                        path,
                        "markdown blocks must be less than 12001 characters together",
                    );
                }
            }
            _ => {}
        }
    }

    fn image_source(&mut self, map: &Map<String, Value>, path: &str) {
        if map.contains_key("image_url") == map.contains_key("slack_file") {
            self.fail(path, "must define either `image_url` or `slack_file`");
        }
    }

    fn object<'a>(&mut self, value: &'a Value, path: &str) -> Option<&'a Map<String, Value>> {
        if !value.is_object() {
            self.fail(path, "must provide an object");
        }
        value.as_object()
    }

    fn fields(&mut self, map: &Map<String, Value>, path: &str, fields: &[Field], also: &[&str]) {
        for name in map.keys() {
            if !also.contains(&name.as_str()) && !fields.iter().any(|field| field.name == name) {
                self.fail(path, &format!("invalid additional property: {name}"));
            }
        }
        for field in fields {
            match map.get(field.name) {
                Some(value) => self.rule(value, &format!("{path}/{}", field.name), field.rule),
                None if field.required => {
                    self.fail(path, &format!("missing required field: {}", field.name));
                }
                None => {}
            }
        }
    }

    fn rule(&mut self, value: &Value, path: &str, rule: Rule) {
        match rule {
            Rule::Text(max) => self.text(value, path, max, true),
            Rule::Plain(max) => self.text(value, path, max, false),
            Rule::Str(min, max) => self.string(value, path, min, max),
            Rule::Bool => {
                if !value.is_boolean() {
                    self.fail(path, "must provide a boolean");
                }
            }
            Rule::Int(min, max) => match value.as_i64() {
                None => self.fail(path, "must provide an integer"),
                Some(number) if number < min => self.fail(path, &format!("must be at least {min}")),
                Some(number) if number > max => self.fail(path, &format!("must be at most {max}")),
                Some(_) => {}
            },
            Rule::Word(words) => {
                if !value.as_str().is_some_and(|word| words.contains(&word)) {
                    self.fail(path, &format!("must be one of: {}", words.join(", ")));
                }
            }
            Rule::Url(max) => self.url(value, path, max),
            Rule::Confirm => {
                if let Some(map) = self.object(value, path) {
                    self.fields(map, path, CONFIRMATION, &[]);
                }
            }
            Rule::Element(place) => self.element(value, path, place),
            Rule::Elements(place, min, max) => {
                self.each(value, path, min, max, |checker, item, path| {
                    checker.element(item, path, place);
                });
            }
            Rule::SectionFields => self.each(value, path, 1, 10, |checker, item, path| {
                checker.text(item, path, 2000, true);
            }),
            Rule::Options(kind, min, max) => self.options(value, path, kind, min, max),
            Rule::Option(kind) => self.option(value, path, kind),
            Rule::OptionGroups => self.each(value, path, 1, 100, Self::option_group),
            Rule::Ids => self.each(value, path, 1, 100, |checker, item, path| {
                checker.string(item, path, 1, 255);
            }),
            Rule::Date => self.shape(value, path, "dddd-dd-dd", "must be a date like 2026-01-31"),
            Rule::Time => self.shape(value, path, "dd:dd", "must be a time like 23:59"),
            Rule::DispatchConfig => self.dispatch_config(value, path),
            Rule::ConversationFilter => self.conversation_filter(value, path),
            Rule::SlackFile => self.slack_file(value, path),
            Rule::RichText => rich_text::check(self, value, path),
        }
    }

    pub(super) fn each(
        &mut self,
        value: &Value,
        path: &str,
        min: usize,
        max: usize,
        check: impl Fn(&mut Self, &Value, &str),
    ) {
        let Some(items) = value.as_array() else {
            return self.fail(path, "must provide an array");
        };
        if items.len() < min {
            self.fail(path, &format!("no fewer than {min} items allowed"));
        }
        if items.len() > max {
            self.fail(path, &format!("no more than {max} items allowed"));
        }
        for (index, item) in items.iter().enumerate() {
            check(self, item, &format!("{path}/{index}"));
        }
    }

    pub(super) fn string(&mut self, value: &Value, path: &str, min: usize, max: usize) {
        let Some(text) = value.as_str() else {
            return self.fail(path, "must provide a string");
        };
        let length = text.chars().count();
        if length < min {
            self.fail(path, &format!("must be more than {} characters", min - 1));
        }
        if length > max {
            self.fail(path, &format!("must be less than {} characters", max + 1));
        }
    }

    fn text(&mut self, value: &Value, path: &str, max: usize, mrkdwn: bool) {
        let Some(map) = self.object(value, path) else {
            return;
        };
        let extra = match map.get("type").and_then(Value::as_str) {
            Some("plain_text") => "emoji",
            Some("mrkdwn") if mrkdwn => "verbatim",
            Some(other) => {
                return self.fail(
                    &format!("{path}/type"),
                    &format!("unsupported type: {other}"),
                );
            }
            None => return self.fail(path, "missing required field: type"),
        };
        for (name, value) in map {
            if name == extra {
                self.rule(value, &format!("{path}/{name}"), Rule::Bool);
            } else if name != "type" && name != "text" {
                self.fail(path, &format!("invalid additional property: {name}"));
            }
        }
        match map.get("text") {
            Some(text) => self.string(text, &format!("{path}/text"), 1, max),
            None => self.fail(path, "missing required field: text"),
        }
    }

    pub(super) fn url(&mut self, value: &Value, path: &str, max: usize) {
        self.string(value, path, 1, max);
        let Some(url) = value.as_str() else { return };
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            || url.starts_with("mailto:");
        if !good || url.contains(char::is_whitespace) {
            self.fail(path, "invalid url");
        }
    }

    fn shape(&mut self, value: &Value, path: &str, shape: &str, what: &str) {
        let fits = value.as_str().is_some_and(|text| {
            text.len() == shape.len()
                && text.chars().zip(shape.chars()).all(|(have, want)| {
                    if want == 'd' {
                        have.is_ascii_digit()
                    } else {
                        have == want
                    }
                })
        });
        if !fits {
            self.fail(path, what);
        }
    }
}

/// Elements and their parts.
impl Checker {
    fn element(&mut self, value: &Value, path: &str, place: Place) {
        let Some(map) = self.object(value, path) else {
            return;
        };
        let Some(kind) = map.get("type").and_then(Value::as_str) else {
            return self.fail(path, "missing required field: type");
        };
        if !place.takes(kind) {
            return self.fail(
                &format!("{path}/type"),
                &format!("unsupported type: {kind}"),
            );
        }
        if place == Place::Context && kind != "image" {
            return self.text(value, path, 3000, true);
        }
        let Some(fields) = schema::element(kind) else {
            return self.fail(
                &format!("{path}/type"),
                &format!("unsupported type: {kind}"),
            );
        };
        if kind == "image" {
            self.fields(map, path, fields, &["type"]);
            return self.image_source(map, path);
        }
        self.action_id(map, path);
        self.fields(map, path, fields, &["type", "action_id"]);
        if map.get("focus_on_load") == Some(&Value::Bool(true)) {
            self.focused += 1;
        }
        self.element_across(kind, map, path);
    }

    fn action_id(&mut self, map: &Map<String, Value>, path: &str) {
        let Some(value) = map.get("action_id") else {
            return;
        };
        let path = format!("{path}/action_id");
        self.rule(value, &path, Rule::Str(1, 255));
        if let Some(id) = value.as_str()
            && !self.action_ids.insert(id.to_owned())
        {
            self.fail(
                &path,
                &format!("`action_id` {id} already exists in this block"),
            );
        }
    }

    fn element_across(&mut self, kind: &str, map: &Map<String, Value>, path: &str) {
        match kind {
            "static_select" | "multi_static_select"
                if map.contains_key("options") == map.contains_key("option_groups") =>
            {
                self.fail(path, "must define either `options` or `option_groups`");
            }
            "plain_text_input" => {
                let number = |name| map.get(name).and_then(Value::as_i64);
                if let (Some(min), Some(max)) = (number("min_length"), number("max_length"))
                    && min > max
                {
                    self.fail(path, "min_length must not be more than max_length");
                }
            }
            "checkboxes" | "radio_buttons" => {
                let options = map.get("options").and_then(Value::as_array);
                let first = map.get("initial_options").and_then(Value::as_array);
                let chosen = first
                    .map_or(&[][..], Vec::as_slice)
                    .iter()
                    .chain(map.get("initial_option"));
                for option in chosen {
                    if !options.is_some_and(|options| options.contains(option)) {
                        self.fail(path, "an initial option must match an option exactly");
                    }
                }
            }
            _ => {}
        }
    }

    fn options(&mut self, value: &Value, path: &str, kind: OptionKind, min: usize, max: usize) {
        self.each(value, path, min, max, |checker, item, path| {
            checker.option(item, path, kind);
        });
        let mut seen = BTreeSet::new();
        for item in value.as_array().into_iter().flatten() {
            if let Some(value) = item["value"].as_str()
                && !seen.insert(value)
            {
                self.fail(path, &format!("duplicate option value: {value}"));
            }
        }
    }

    fn option(&mut self, value: &Value, path: &str, kind: OptionKind) {
        const SELECT: &[Field] = &[
            Field {
                name: "text",
                required: true,
                rule: Rule::Plain(75),
            },
            Field {
                name: "value",
                required: true,
                rule: Rule::Str(1, 150),
            },
            Field {
                name: "description",
                required: false,
                rule: Rule::Plain(75),
            },
        ];
        const CHOICE: &[Field] = &[
            Field {
                name: "text",
                required: true,
                rule: Rule::Text(75),
            },
            Field {
                name: "value",
                required: true,
                rule: Rule::Str(1, 150),
            },
            Field {
                name: "description",
                required: false,
                rule: Rule::Text(75),
            },
        ];
        let Some(map) = self.object(value, path) else {
            return;
        };
        match kind {
            OptionKind::Select => self.fields(map, path, SELECT, &[]),
            OptionKind::Choice => self.fields(map, path, CHOICE, &[]),
            OptionKind::Overflow => {
                self.fields(map, path, SELECT, &["url"]);
                if let Some(url) = map.get("url") {
                    self.url(url, &format!("{path}/url"), 3000);
                }
            }
        }
    }

    fn option_group(&mut self, value: &Value, path: &str) {
        const GROUP: &[Field] = &[
            Field {
                name: "label",
                required: true,
                rule: Rule::Plain(75),
            },
            Field {
                name: "options",
                required: true,
                rule: Rule::Options(OptionKind::Select, 1, 100),
            },
        ];
        if let Some(map) = self.object(value, path) {
            self.fields(map, path, GROUP, &[]);
        }
    }

    fn dispatch_config(&mut self, value: &Value, path: &str) {
        const WHEN: &[&str] = &["on_enter_pressed", "on_character_entered"];
        let Some(map) = self.object(value, path) else {
            return;
        };
        for (name, value) in map {
            let path = format!("{path}/{name}");
            if name == "trigger_actions_on" {
                self.each(value, &path, 1, 2, |checker, item, path| {
                    checker.rule(item, path, Rule::Word(WHEN));
                });
            } else {
                self.fail(&path, &format!("invalid additional property: {name}"));
            }
        }
    }

    fn conversation_filter(&mut self, value: &Value, path: &str) {
        const KINDS: &[&str] = &["im", "mpim", "private", "public"];
        let Some(map) = self.object(value, path) else {
            return;
        };
        if map.is_empty() {
            self.fail(path, "must define at least one filter");
        }
        for (name, value) in map {
            let path = format!("{path}/{name}");
            match name.as_str() {
                "include" => {
                    self.each(value, &path, 1, 4, |checker, item, path| {
                        checker.rule(item, path, Rule::Word(KINDS));
                    });
                }
                "exclude_bot_users" | "exclude_external_shared_channels" => {
                    self.rule(value, &path, Rule::Bool);
                }
                _ => self.fail(&path, &format!("invalid additional property: {name}")),
            }
        }
    }

    fn slack_file(&mut self, value: &Value, path: &str) {
        let Some(map) = self.object(value, path) else {
            return;
        };
        match (map.get("id"), map.get("url"), map.len()) {
            (Some(id), None, 1) => self.string(id, &format!("{path}/id"), 1, 255),
            (None, Some(url), 1) => self.url(url, &format!("{path}/url"), 3000),
            _ => self.fail(path, "must define either `id` or `url`"),
        }
    }
}
