//! The tables: for each block and element its fields and their limits (docs.slack.dev, "Block Kit").

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// A text object of either kind, at most so many characters.
    Text(usize),
    /// A `plain_text` object.
    Plain(usize),
    /// A bare string, from..=to characters.
    Str(usize, usize),
    Bool,
    Int(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An `http(s)` address.
    Url(usize),
    Confirm,
    /// One element out of a place's list.
    Element(Place),
    /// from..=to elements out of a place's list.
    Elements(Place, usize, usize),
    /// Text objects of a section: at most 10, of 2,000 characters.
    SectionFields,
    /// from..=to options.
    Options(OptionKind, usize, usize),
    /// One option.
    Option(OptionKind),
    OptionGroups,
    /// A list of ids.
    Ids,
    Date,
    Time,
    DispatchConfig,
    ConversationFilter,
    SlackFile,
    RichText,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionKind {
    /// Selects: plain text only.
    Select,
    /// Overflow menus: plain text, and a `url` is allowed.
    Overflow,
    /// Checkboxes and radio buttons: mrkdwn is allowed.
    Choice,
}

/// Where an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Actions,
    Accessory,
    Input,
    Context,
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) rule: Rule,
}

const fn must(name: &'static str, rule: Rule) -> Field {
    Field {
        name,
        required: true,
        rule,
    }
}

const fn may(name: &'static str, rule: Rule) -> Field {
    Field {
        name,
        required: false,
        rule,
    }
}

const PLACEHOLDER: Field = may("placeholder", Rule::Plain(150));
const FOCUS: Field = may("focus_on_load", Rule::Bool);
const CONFIRM: Field = may("confirm", Rule::Confirm);
const RESPONSE_URL: Field = may("response_url_enabled", Rule::Bool);
const DISPATCH: Field = may("dispatch_action_config", Rule::DispatchConfig);
const SELECTED_MAX: Field = may("max_selected_items", Rule::Int(1, 100));

pub(super) const STYLES: &[&str] = &["primary", "danger"];

impl Place {
    /// The element types this place takes.
    pub(super) fn takes(self, kind: &str) -> bool {
        let interactive = matches!(
            kind,
            "checkboxes"
                | "datepicker"
                | "datetimepicker"
                | "radio_buttons"
                | "timepicker"
                | "static_select"
                | "users_select"
                | "conversations_select"
                | "channels_select"
                | "multi_static_select"
                | "multi_users_select"
                | "multi_conversations_select"
                | "multi_channels_select"
        );
        match self {
            Self::Actions => interactive || matches!(kind, "button" | "overflow"),
            Self::Accessory => interactive || matches!(kind, "button" | "overflow" | "image"),
            Self::Input => {
                interactive
                    || matches!(
                        kind,
                        "plain_text_input" | "email_text_input" | "url_text_input" | "number_input"
                    )
            }
            Self::Context => matches!(kind, "image" | "plain_text" | "mrkdwn"),
        }
    }
}

/// The fields of a block, `type` and `block_id` aside.
pub(super) fn block(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "section" => {
            const {
                &[
                    may("text", Rule::Text(3000)),
                    may("fields", Rule::SectionFields),
                    may("accessory", Rule::Element(Place::Accessory)),
                    may("expand", Rule::Bool),
                ]
            }
        }
        "header" => const { &[must("text", Rule::Plain(150))] },
        "divider" => &[],
        "context" => const { &[must("elements", Rule::Elements(Place::Context, 1, 10))] },
        "actions" => const { &[must("elements", Rule::Elements(Place::Actions, 1, 25))] },
        "image" => {
            const {
                &[
                    may("image_url", Rule::Url(3000)),
                    may("slack_file", Rule::SlackFile),
                    must("alt_text", Rule::Str(0, 2000)),
                    may("title", Rule::Plain(2000)),
                ]
            }
        }
        "input" => {
            const {
                &[
                    must("label", Rule::Plain(2000)),
                    must("element", Rule::Element(Place::Input)),
                    may("hint", Rule::Plain(2000)),
                    may("optional", Rule::Bool),
                    may("dispatch_action", Rule::Bool),
                ]
            }
        }
        "markdown" => const { &[must("text", Rule::Str(1, 12_000))] },
        "rich_text" => const { &[must("elements", Rule::RichText)] },
        _ => return None,
    })
}

/// The fields of an element, `type` and `action_id` aside.
pub(super) fn element(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "button" => {
            const {
                &[
                    must("text", Rule::Plain(75)),
                    may("url", Rule::Url(3000)),
                    may("value", Rule::Str(0, 2000)),
                    may("style", Rule::Word(STYLES)),
                    CONFIRM,
                    may("accessibility_label", Rule::Str(1, 75)),
                ]
            }
        }
        "overflow" => {
            const {
                &[
                    must("options", Rule::Options(OptionKind::Overflow, 2, 5)),
                    CONFIRM,
                ]
            }
        }
        "image" => {
            const {
                &[
                    may("image_url", Rule::Url(3000)),
                    may("slack_file", Rule::SlackFile),
                    must("alt_text", Rule::Str(0, 2000)),
                ]
            }
        }
        "checkboxes" => {
            const {
                &[
                    must("options", Rule::Options(OptionKind::Choice, 1, 10)),
                    may("initial_options", Rule::Options(OptionKind::Choice, 1, 10)),
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "radio_buttons" => {
            const {
                &[
                    must("options", Rule::Options(OptionKind::Choice, 1, 10)),
                    may("initial_option", Rule::Option(OptionKind::Choice)),
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "datepicker" => const { &[may("initial_date", Rule::Date), PLACEHOLDER, CONFIRM, FOCUS] },
        "timepicker" => {
            const {
                &[
                    may("initial_time", Rule::Time),
                    may("timezone", Rule::Str(1, 100)),
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "datetimepicker" => {
            const {
                &[
                    may("initial_date_time", Rule::Int(1_000_000_000, 9_999_999_999)),
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        _ => return select(kind).or_else(|| input(kind)),
    })
}

fn select(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "static_select" => {
            const {
                &[
                    may("options", Rule::Options(OptionKind::Select, 1, 100)),
                    may("option_groups", Rule::OptionGroups),
                    may("initial_option", Rule::Option(OptionKind::Select)),
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "multi_static_select" => {
            const {
                &[
                    may("options", Rule::Options(OptionKind::Select, 1, 100)),
                    may("option_groups", Rule::OptionGroups),
                    may("initial_options", Rule::Options(OptionKind::Select, 1, 100)),
                    SELECTED_MAX,
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "users_select" => {
            const {
                &[
                    may("initial_user", Rule::Str(1, 255)),
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "multi_users_select" => {
            const {
                &[
                    may("initial_users", Rule::Ids),
                    SELECTED_MAX,
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "channels_select" => {
            const {
                &[
                    may("initial_channel", Rule::Str(1, 255)),
                    RESPONSE_URL,
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "multi_channels_select" => {
            const {
                &[
                    may("initial_channels", Rule::Ids),
                    SELECTED_MAX,
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "conversations_select" => {
            const {
                &[
                    may("initial_conversation", Rule::Str(1, 255)),
                    may("default_to_current_conversation", Rule::Bool),
                    may("filter", Rule::ConversationFilter),
                    RESPONSE_URL,
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "multi_conversations_select" => {
            const {
                &[
                    may("initial_conversations", Rule::Ids),
                    may("default_to_current_conversation", Rule::Bool),
                    may("filter", Rule::ConversationFilter),
                    SELECTED_MAX,
                    PLACEHOLDER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        _ => return None,
    })
}

fn input(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "plain_text_input" => {
            const {
                &[
                    may("initial_value", Rule::Str(0, 3000)),
                    may("multiline", Rule::Bool),
                    may("min_length", Rule::Int(0, 3000)),
                    may("max_length", Rule::Int(1, 3000)),
                    DISPATCH,
                    PLACEHOLDER,
                    FOCUS,
                ]
            }
        }
        "email_text_input" | "url_text_input" => {
            const {
                &[
                    may("initial_value", Rule::Str(0, 3000)),
                    DISPATCH,
                    PLACEHOLDER,
                    FOCUS,
                ]
            }
        }
        "number_input" => {
            const {
                &[
                    must("is_decimal_allowed", Rule::Bool),
                    may("initial_value", Rule::Str(1, 100)),
                    may("min_value", Rule::Str(1, 100)),
                    may("max_value", Rule::Str(1, 100)),
                    DISPATCH,
                    PLACEHOLDER,
                    FOCUS,
                ]
            }
        }
        _ => return None,
    })
}

/// The fields of a modal, `type` and `blocks` aside.
pub(super) const MODAL: &[Field] = &[
    must("title", Rule::Plain(24)),
    may("submit", Rule::Plain(24)),
    may("close", Rule::Plain(24)),
    may("private_metadata", Rule::Str(0, 3000)),
    may("callback_id", Rule::Str(0, 255)),
    may("external_id", Rule::Str(0, 255)),
    may("clear_on_close", Rule::Bool),
    may("notify_on_close", Rule::Bool),
    may("submit_disabled", Rule::Bool),
];

/// The fields of a confirmation dialog. Slack documents all but `style` as required.
pub(super) const CONFIRMATION: &[Field] = &[
    must("title", Rule::Plain(100)),
    must("text", Rule::Text(300)),
    must("confirm", Rule::Plain(30)),
    must("deny", Rule::Plain(30)),
    may("style", Rule::Word(STYLES)),
];
