//! The form that decides several holds at once: it shows each of them, and decides no other.

use abeyance_api::{Alike, AlikeHold, HoldId};
use abeyance_chat::words;
use chrono::{DateTime, Utc};
use slack_morphism::prelude::*;

use super::{APPROVE_ALL, CALLBACK, CHOICE, DENY_ALL, REASON, memory_of};
use crate::{
    blocks::{plain_text, section},
    limits,
    payload::{Asks, FormMemory, Place},
    text,
};

/// What a line needs besides its rows: the bullet, the id in code, the age, and what parts them.
const BESIDE_ROWS: usize = 45;

/// Which holds are decided together, which way and why.
pub(crate) fn alike_form(
    hold: &HoldId,
    alike: &Alike,
    now: DateTime<Utc>,
    place: &Place,
) -> SlackModalView {
    let room = alike.holds.len().min(limits::ALIKE_MAX);
    let (shown, left) = alike.holds.split_at(room);
    let more = alike.more + u64::try_from(left.len()).unwrap_or(u64::MAX);
    let mut blocks = vec![section(summary(shown))];
    blocks.extend(list(shown, now));
    if more > 0 {
        let more = words::grouped(more);
        let said = format!("and {more} more, which this form does *not* decide.");
        blocks.push(section(said));
    }
    blocks.push(choose(shown.len()));
    blocks.push(reason());
    let memory = FormMemory {
        alike: shown.iter().map(|one| one.id.clone()).collect(),
        ..memory_of(hold, Asks::Alike, place)
    };
    SlackModalView::new(plain_text(&format!("{room} alike"), 24), blocks)
        .with_submit(plain_text("Decide", 24))
        .with_close(plain_text("Back", 24))
        .with_callback_id(CALLBACK.into())
        .with_private_metadata(serde_json::to_string(&memory).unwrap_or_default())
}

fn summary(shown: &[AlikeHold]) -> String {
    let rows = || shown.iter().map(|one| &one.rows);
    format!(
        "{} holds wait that are alike: the same statement but for its literals, the same agent and target. Each \
         is authorised and recorded by itself.\n*Largest:* {}\n*Together:* {}",
        shown.len(),
        text::prose(&words::largest(rows()), limits::FACT_MAX),
        text::prose(&words::rows_together(rows()), limits::FACT_MAX),
    )
}

/// A line each, in as few sections as take them. The more there are, the less of a note about the rows is shown.
fn list(shown: &[AlikeHold], now: DateTime<Utc>) -> Vec<SlackBlock> {
    let line_max = limits::ALIKE_TEXT_MAX / shown.len().max(1);
    let rows_max = line_max.saturating_sub(BESIDE_ROWS).min(limits::WHY_MAX);
    let mut sections = Vec::new();
    let mut said = String::new();
    for one in shown {
        let line = format!(
            "• {} · {} old · {}",
            text::code(one.id.as_str(), limits::NAME_MAX),
            words::span(now - one.created_at),
            text::prose(&words::estimate(&one.rows), rows_max),
        );
        if text::length(&said) + text::length(&line) + 1 > limits::SECTION_TEXT_MAX {
            sections.push(section(std::mem::take(&mut said)));
        }
        if !said.is_empty() {
            said.push('\n');
        }
        said.push_str(&line);
    }
    if !said.is_empty() {
        sections.push(section(said));
    }
    sections
}

fn choose(count: usize) -> SlackBlock {
    let choice = |value: &str, label: &str| {
        let label = SlackBlockPlainText::new(format!("{label} these {count}"));
        SlackBlockChoiceItem::new(label.into(), value.to_owned())
    };
    let options = vec![choice(APPROVE_ALL, "Approve"), choice(DENY_ALL, "Deny")];
    let radio = SlackBlockRadioButtonsElement::new(options).with_action_id(CHOICE.into());
    SlackInputBlock::new(
        plain_text("Which way?", 100),
        SlackInputBlockElement::RadioButtons(radio),
    )
    .with_block_id(CHOICE.into())
    .with_optional(false)
    .into()
}

fn reason() -> SlackBlock {
    let input = SlackBlockPlainTextInputElement::new()
        .with_action_id(REASON.into())
        .with_multiline(true)
        .with_max_length(limits::REASON_CHARS_MAX as u64);
    SlackInputBlock::new(
        plain_text("Why?", 100),
        SlackInputBlockElement::PlainTextInput(input),
    )
    .with_block_id(REASON.into())
    .with_hint(plain_text(
        "A denial needs a reason; the agent gets it with its error.",
        150,
    ))
    .with_optional(true)
    .into()
}

#[cfg(test)]
mod tests {
    use abeyance_api::Estimate;
    use chrono::TimeDelta;
    use serde_json::Value;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    fn id(n: usize) -> HoldId {
        let letters = b"23456789AB";
        let suffix = [7, 7, 7, 7, 7, 7, 7, n / 100, n / 10 % 10, n % 10];
        let suffix: Vec<u8> = suffix.iter().map(|at| letters[*at]).collect();
        let suffix = String::from_utf8(suffix).unwrap();
        format!("HLD-{suffix}").parse().unwrap()
    }

    fn holds(count: usize, rows: &Estimate) -> Vec<AlikeHold> {
        let one = |n| AlikeHold {
            id: id(n),
            created_at: now() - TimeDelta::seconds(60 + 12 * n as i64),
            rows: rows.clone(),
        };
        (0..count).map(one).collect()
    }

    fn form(holds: Vec<AlikeHold>, more: u64) -> Value {
        let alike = Alike { holds, more };
        let form = alike_form(&id(0), &alike, now(), &Place::default());
        serde_json::to_value(form).unwrap()
    }

    fn texts(form: &Value) -> Vec<&str> {
        let blocks = form["blocks"].as_array().unwrap().iter();
        blocks
            .filter_map(|block| block.pointer("/text/text")?.as_str())
            .collect()
    }

    fn memory(form: &Value) -> FormMemory {
        let memory = form["private_metadata"].as_str().unwrap();
        assert!(memory.len() <= 3000, "{}", memory.len());
        serde_json::from_str(memory).unwrap()
    }

    #[test]
    fn the_form_says_of_each_what_it_is_and_what_they_are_together() {
        let mut holds = holds(3, &Estimate::exact(12));
        holds[1].rows = Estimate::estimated(4_123);
        holds[2].rows = Estimate::more_than(10_000);
        insta::assert_json_snapshot!(form(holds, 0)["blocks"]);
    }

    #[test]
    fn the_form_of_many_shows_and_remembers_each_and_fits_slack() {
        // As long as it gets, escaped: an ampersand is five characters.
        let long = Estimate::unknown("& <the probe> *timed* out ".repeat(20));
        let form = form(holds(150, &long), 7);
        let texts = texts(&form);
        assert!(texts[0].starts_with("100 holds"), "{texts:?}");
        assert!(
            texts
                .iter()
                .all(|text| text::length(text) <= limits::SECTION_TEXT_MAX)
        );
        let all: usize = texts.iter().map(|text| text::length(text)).sum();
        assert!(all <= limits::BLOCK_TEXT_TOTAL_MAX, "{all}");
        assert!(form["blocks"].as_array().unwrap().len() <= limits::BLOCKS_MAX);
        let shown = texts.join("\n");
        assert!(shown.contains("and 57 more, which this form does *not* decide"));
        // Exactly those that are shown are decided.
        let memory = memory(&form);
        assert_eq!(memory.alike.len(), 100);
        for n in 0..150 {
            let (listed, decided) = (
                shown.contains(id(n).as_str()),
                memory.alike.contains(&id(n)),
            );
            assert_eq!((listed, decided), (n < 100, n < 100), "{n}");
        }
    }

    #[test]
    fn a_note_about_the_rows_can_neither_format_nor_notify() {
        let form = form(holds(2, &Estimate::unknown("<!channel> *all* `x`")), 0);
        let shown = texts(&form).join("\n");
        assert!(!shown.contains("<!") && !shown.contains("*all*"), "{shown}");
    }
}
