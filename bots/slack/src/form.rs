//! The forms behind buttons: why a statement is denied, for how long a shape is approved, what the emergency is. Each
//! remembers where it was opened.

mod alike;

use abeyance_api::{GrantWish, HoldId, says_something};
use serde_json::{Value, json};
use slack_morphism::prelude::*;

use crate::{
    blocks::plain_text,
    limits,
    payload::{Asks, FormMemory, Place},
    text,
};

pub(crate) use alike::alike_form;

pub(crate) const CALLBACK: &str = "abeyance_deny_reason";
pub(crate) const REASON_POINTER: &str = "/view/state/values/reason/reason/value";
const REASON: &str = "reason";

pub(crate) const MINUTES_POINTER: &str = "/view/state/values/minutes/minutes/value";
const MINUTES: &str = "minutes";
pub(crate) const USES_POINTER: &str = "/view/state/values/uses/uses/value";
const USES: &str = "uses";

pub(crate) const CHOICE: &str = "choice";
pub(crate) const CHOICE_POINTER: &str = "/view/state/values/choice/choice/selected_option/value";
pub(crate) const APPROVE_ALL: &str = "approve";
pub(crate) const DENY_ALL: &str = "deny";

/// How long and how often.
pub(crate) fn grant_form(hold: &HoldId, place: &Place) -> SlackModalView {
    let number = |id: &str, label: &str, hint: &str, initial: &str| -> SlackBlock {
        let input = SlackBlockPlainTextInputElement::new()
            .with_action_id(id.into())
            .with_max_length(3)
            .with_initial_value(initial.to_owned());
        SlackInputBlock::new(
            plain_text(label, 100),
            SlackInputBlockElement::PlainTextInput(input),
        )
        .with_block_id(id.into())
        .with_hint(plain_text(hint, 150))
        .with_optional(false)
        .into()
    };
    let blocks = vec![
        number(
            MINUTES,
            "For how many minutes?",
            "15, 30 or 60. Statements of this shape then run without asking, within their row cap.",
            "30",
        ),
        number(
            USES,
            "For how many uses?",
            "1 to 100, besides this one.",
            "10",
        ),
    ];
    SlackModalView::new(plain_text(&format!("Grant {hold}"), 24), blocks)
        .with_submit(plain_text("Approve", 24))
        .with_close(plain_text("Back", 24))
        .with_callback_id(CALLBACK.into())
        .with_private_metadata(memory(hold, Asks::Grant, place))
}

/// What the emergency is.
pub(crate) fn glass_form(hold: &HoldId, place: &Place) -> SlackModalView {
    let input = SlackBlockPlainTextInputElement::new()
        .with_action_id(REASON.into())
        .with_multiline(true)
        .with_min_length(1)
        .with_max_length(limits::REASON_CHARS_MAX as u64)
        .with_focus_on_load(true);
    let block = SlackInputBlock::new(
        plain_text("What is the emergency?", 100),
        SlackInputBlockElement::PlainTextInput(input),
    )
    .with_block_id(REASON.into())
    .with_hint(plain_text(
        "You approve this alone. It is marked everywhere, and others are told.",
        150,
    ))
    .with_optional(false);
    SlackModalView::new(
        plain_text(&format!("Emergency {hold}"), 24),
        vec![block.into()],
    )
    .with_submit(plain_text("Approve alone", 24))
    .with_close(plain_text("Back", 24))
    .with_callback_id(CALLBACK.into())
    .with_private_metadata(memory(hold, Asks::BreakGlass, place))
}

fn memory(hold: &HoldId, asks: Asks, place: &Place) -> String {
    serde_json::to_string(&memory_of(hold, asks, place)).unwrap_or_default()
}

fn memory_of(hold: &HoldId, asks: Asks, place: &Place) -> FormMemory {
    FormMemory {
        hold: hold.clone(),
        asks,
        channel: place.channel.clone(),
        message: place.message.clone(),
        alike: Vec::new(),
    }
}

/// A wish for a grant, or what is wrong with it.
pub(crate) fn wish(minutes: &str, uses: &str) -> Result<GrantWish, (&'static str, String)> {
    let minutes = minutes.trim().parse().ok();
    let minutes = minutes.filter(|minutes| [15, 30, 60].contains(minutes));
    let minutes = minutes.ok_or((MINUTES, "15, 30 or 60.".to_owned()))?;
    let uses = uses.trim().parse().ok();
    let uses = uses.filter(|uses| (1..=100).contains(uses));
    let uses = uses.ok_or((USES, "1 to 100.".to_owned()))?;
    Ok(GrantWish { minutes, uses })
}

/// The form that asks why.
pub(crate) fn deny_form(hold: &HoldId, place: &Place) -> SlackModalView {
    let input = SlackBlockPlainTextInputElement::new()
        .with_action_id(REASON.into())
        .with_multiline(true)
        .with_min_length(1)
        .with_max_length(limits::REASON_CHARS_MAX as u64)
        .with_focus_on_load(true)
        .with_placeholder(plain_text("What should the agent do instead?", 150));
    let block = SlackInputBlock::new(
        plain_text("Why?", 100),
        SlackInputBlockElement::PlainTextInput(input),
    )
    .with_block_id(REASON.into())
    .with_hint(plain_text(
        "The agent gets this with its error, and it stays on the card.",
        150,
    ))
    .with_optional(false);
    SlackModalView::new(plain_text(&format!("Deny {hold}"), 24), vec![block.into()])
        .with_submit(plain_text("Deny", 24))
        .with_close(plain_text("Back", 24))
        .with_callback_id(CALLBACK.into())
        .with_private_metadata(memory(hold, Asks::Deny, place))
}

/// The answer that keeps the form open and says why.
pub(crate) fn refused(asks: Asks, why: &str) -> Value {
    let field = match asks {
        Asks::Deny | Asks::BreakGlass | Asks::Alike => REASON,
        Asks::Grant => USES,
    };
    refused_at(field, why)
}

/// The same, at one of the fields.
pub(crate) fn refused_at(field: &str, why: &str) -> Value {
    json!({ "response_action": "errors", "errors": { field: text::plain(why, 300) } })
}

/// A reason as it may be stored, or what is wrong with it.
pub(crate) fn reason(said: &str) -> Result<String, String> {
    let said = said.trim();
    let count = said.chars().count();
    if !says_something(said) {
        Err("Say why, so that the agent knows what to do instead.".to_owned())
    } else if count > limits::REASON_CHARS_MAX {
        Err(format!(
            "At most {} characters; these are {count}.",
            limits::REASON_CHARS_MAX
        ))
    } else {
        Ok(said.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_slack_expects() {
        let place = Place {
            channel: Some("C1".to_owned()),
            message: Some("1.2".to_owned()),
            response_url: None,
        };
        let view = SlackView::Modal(deny_form(&"HLD-7K3Q".parse().unwrap(), &place));
        insta::assert_json_snapshot!(view);
    }

    #[test]
    fn the_longest_hold_id_fits_the_title() {
        let view = deny_form(&"HLD-7K3Q7K3Q7K".parse().unwrap(), &Place::default());
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["title"]["text"], "Deny HLD-7K3Q7K3Q7K");
    }

    #[test]
    fn the_forms_of_grants_and_emergencies_fit_slack() {
        let hold = "HLD-7K3Q7K3Q7K".parse().unwrap();
        let forms = [
            (Asks::Grant, grant_form(&hold, &Place::default())),
            (Asks::BreakGlass, glass_form(&hold, &Place::default())),
        ];
        for (asks, view) in forms {
            let json = serde_json::to_value(&view).unwrap();
            let title = json["title"]["text"].as_str().unwrap();
            assert!(title.ends_with(hold.as_str()), "{title}");
            let memory: FormMemory =
                serde_json::from_str(json["private_metadata"].as_str().unwrap()).unwrap();
            assert_eq!((memory.asks, memory.hold), (asks, hold.clone()));
        }
    }

    #[test]
    fn a_grant_is_what_the_form_offers() {
        let wish = |minutes: &str, uses: &str| super::wish(minutes, uses);
        assert_eq!(
            wish(" 30 ", "10"),
            Ok(GrantWish {
                minutes: 30,
                uses: 10
            })
        );
        for (minutes, uses, field) in [
            ("31", "10", "minutes"),
            ("", "10", "minutes"),
            ("60", "0", "uses"),
            ("60", "101", "uses"),
            ("60", "-1", "uses"),
        ] {
            assert_eq!(wish(minutes, uses).unwrap_err().0, field);
        }
    }

    #[test]
    fn a_reason_is_needed_and_bounded() {
        assert_eq!(reason(" too broad \n"), Ok("too broad".to_owned()));
        assert!(reason(" \n\t").is_err() && reason("\u{200b}\u{2060}").is_err());
        assert!(reason(&"é".repeat(500)).is_ok());
        assert!(reason(&"é".repeat(501)).unwrap_err().contains("501"));
    }
}
