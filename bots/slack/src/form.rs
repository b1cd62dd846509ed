//! The form that asks why a statement is denied.

use abeyance_api::HoldId;
use serde_json::{Value, json};
use slack_morphism::prelude::*;

use crate::{
    blocks::plain_text,
    limits,
    payload::{FormMemory, Place},
    text,
};

pub(crate) const CALLBACK: &str = "abeyance_deny_reason";
pub(crate) const REASON_POINTER: &str = "/view/state/values/reason/reason/value";
const REASON: &str = "reason";

/// A form for one hold, which remembers where it was opened.
pub(crate) fn deny_form(hold: &HoldId, place: &Place) -> SlackModalView {
    let memory = FormMemory {
        hold: hold.clone(),
        channel: place.channel.clone(),
        message: place.message.clone(),
    };
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
    let memory = serde_json::to_string(&memory).unwrap_or_default();
    SlackModalView::new(plain_text(&format!("Deny {hold}"), 24), vec![block.into()])
        .with_submit(plain_text("Deny", 24))
        .with_close(plain_text("Back", 24))
        .with_callback_id(CALLBACK.into())
        .with_private_metadata(memory)
}

/// The answer that keeps the form open and says why.
pub(crate) fn refused(why: &str) -> Value {
    json!({ "response_action": "errors", "errors": { REASON: text::plain(why, 300) } })
}

/// A reason as it may be stored, or what is wrong with it.
pub(crate) fn reason(said: &str) -> Result<String, String> {
    let said = said.trim();
    let count = said.chars().count();
    if !text::says_something(said) {
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
    fn a_reason_is_needed_and_bounded() {
        assert_eq!(reason(" too broad \n"), Ok("too broad".to_owned()));
        assert!(reason(" \n\t").is_err() && reason("\u{200b}\u{2060}").is_err());
        assert!(reason(&"é".repeat(500)).is_ok());
        assert!(reason(&"é".repeat(501)).unwrap_err().contains("501"));
    }
}
