//! A card as Block Kit. Pure; keeps every one of Slack's limits whatever the card says.

use abeyance_chat::{Button, Card, Fact, Line, Piece, Tone};
use serde_json::Value;
use slack_morphism::prelude::*;
use url::Url;

use crate::{limits, text};

pub(crate) const APPROVE: &str = "abeyance_approve";
pub(crate) const DENY: &str = "abeyance_deny";
pub(crate) const GRANT: &str = "abeyance_grant";
pub(crate) const BREAK_GLASS: &str = "abeyance_break_glass";
pub(crate) const ALIKE: &str = "abeyance_alike";
pub(crate) const LOOK: &str = "abeyance_look";
pub(crate) const OPEN_CONSOLE: &str = "abeyance_open_console";
const ACTIONS: &str = "abeyance_actions";

/// The whole card; the minimal one should it ever come out longer than Slack takes.
pub(crate) fn blocks(card: &Card, console: Option<&Url>) -> Vec<SlackBlock> {
    let full = full_blocks(card, console);
    if text_total(&full) <= limits::BLOCK_TEXT_TOTAL_MAX {
        full
    } else {
        minimal_blocks(card, console)
    }
}

fn full_blocks(card: &Card, console: Option<&Url>) -> Vec<SlackBlock> {
    let mut blocks = vec![header(card), status(card), facts(card)];
    blocks.extend(listed(
        "What it would do",
        &card.effects,
        limits::EFFECTS_MAX,
    ));
    blocks.extend(listed(
        "Why it was held",
        &card.reasons,
        limits::SECTION_TEXT_MAX,
    ));
    blocks.extend(words("The agent says", card.agent_reason.as_deref()));
    blocks.extend(words("The reviewer says", card.decision_reason.as_deref()));
    blocks.push(section(text::code_block(
        &card.sql,
        limits::SECTION_TEXT_MAX,
    )));
    if !card.asked.is_empty() {
        blocks.push(section(line(&card.asked, limits::ASKED_MAX)));
    }
    blocks.extend(actions(card, console));
    blocks.push(footer(&card.footer));
    blocks
}

/// All the text Slack may count together.
fn text_total(blocks: &[SlackBlock]) -> usize {
    fn sum(value: &Value) -> usize {
        match value {
            Value::String(text) => text::length(text),
            Value::Array(items) => items.iter().map(sum).sum(),
            Value::Object(object) => {
                let texts = object
                    .iter()
                    .filter(|(key, value)| *key == "text" || !value.is_string());
                texts.map(|(_, value)| sum(value)).sum()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }
    serde_json::to_value(blocks).map_or(usize::MAX, |json| sum(&json))
}

/// What is left when Slack refuses the whole card: still enough to decide by, with the console at hand.
pub(crate) fn minimal_blocks(card: &Card, console: Option<&Url>) -> Vec<SlackBlock> {
    let mut blocks = vec![
        header(card),
        status(card),
        section(text::prose(&card.summary, limits::FALLBACK_MAX)),
        section("The statement could not be shown here; see the console.".to_owned()),
    ];
    blocks.extend(actions(card, console));
    blocks
}

/// The notification, and what a client shows that cannot render blocks.
pub(crate) fn fallback(card: &Card) -> String {
    text::prose(&card.summary, limits::FALLBACK_MAX)
}

fn header(card: &Card) -> SlackBlock {
    SlackHeaderBlock::new(plain_text(&card.title, limits::HEADER_TEXT_MAX)).into()
}

fn status(card: &Card) -> SlackBlock {
    let sign = match card.tone {
        Tone::Waiting => "⏳",
        Tone::Running => "▶️",
        Tone::Done => "✅",
        Tone::Refused => "⛔",
        Tone::Trouble => "⚠️",
        Tone::Quiet => "⚪",
    };
    section(format!("{sign} {}", line(&card.status, limits::STATUS_MAX)))
}

fn facts(card: &Card) -> SlackBlock {
    let fields = card
        .facts
        .iter()
        .take(limits::FIELDS_MAX)
        .map(field)
        .collect();
    SlackSectionBlock::new().with_fields(fields).into()
}

fn field(fact: &Fact) -> SlackBlockText {
    mrkdwn(format!(
        "*{}*\n{}",
        fact.label,
        line(&fact.value, limits::FACT_MAX)
    ))
}

/// Lines under a heading; those that do not fit are left to the console.
fn listed(heading: &str, lines: &[String], max: usize) -> Option<SlackBlock> {
    if lines.is_empty() {
        return None;
    }
    let mut said = format!("*{heading}*");
    for line in lines {
        let item = format!("\n• {}", text::prose(line, limits::WHY_MAX));
        if text::length(&said) + text::length(&item) > max {
            break;
        }
        said += &item;
    }
    Some(section(said))
}

/// Free text from a person or an agent: its own field of plain text, where Slack formats nothing.
fn words(label: &str, said: Option<&str>) -> Option<SlackBlock> {
    let said = text::plain(said?, limits::WORDS_MAX);
    if said.is_empty() {
        return None;
    }
    let field = SlackBlockPlainText::new(said).with_emoji(false).into();
    Some(
        SlackSectionBlock::new()
            .with_text(mrkdwn(format!("*{label}*")))
            .with_fields(vec![field])
            .into(),
    )
}

fn actions(card: &Card, console: Option<&Url>) -> Option<SlackBlock> {
    let hold = card.hold.as_str();
    let mut elements: Vec<SlackActionBlockElement> = card
        .buttons
        .iter()
        .map(|wanted| match wanted {
            Button::Approve { confirm } => button(APPROVE, "Approve", hold)
                .with_style(SlackBlockButtonStyle::Primary)
                .opt_confirm(confirm.as_deref().map(confirmation))
                .into(),
            // A form opens first, so this needs no second tap.
            Button::Deny => button(DENY, "Deny…", hold)
                .with_style(SlackBlockButtonStyle::Danger)
                .into(),
            Button::Look => button(LOOK, "I'm looking", hold).into(),
            Button::Grant => button(GRANT, "Approve for a while…", hold).into(),
            Button::Alike => button(ALIKE, "Decide all alike…", hold).into(),
            Button::BreakGlass => button(BREAK_GLASS, "Break glass…", hold)
                .with_style(SlackBlockButtonStyle::Danger)
                .into(),
        })
        .collect();
    elements.extend(
        console
            .and_then(|console| hold_url(console, hold))
            .map(|url| {
                button(OPEN_CONSOLE, "Open console", hold)
                    .with_url(url)
                    .into()
            }),
    );
    if elements.is_empty() {
        return None;
    }
    Some(
        SlackActionsBlock::new(elements)
            .with_block_id(ACTIONS.into())
            .into(),
    )
}

fn button(action: &str, label: &str, hold: &str) -> SlackBlockButtonElement {
    SlackBlockButtonElement::new(plain_text(label, limits::BUTTON_TEXT_MAX))
        .with_action_id(action.into())
        .with_value(hold.to_owned())
}

fn confirmation(question: &str) -> SlackBlockConfirmItem {
    SlackBlockConfirmItem::new(
        plain_text("Are you sure?", 100),
        SlackBlockPlainText::new(text::plain(question, limits::CONFIRM_TEXT_MAX))
            .with_emoji(false)
            .into(),
        plain_text("Approve", 30),
        plain_text("Go back", 30),
    )
}

/// Where a person looks at one hold.
pub(crate) fn hold_url(console: &Url, hold: &str) -> Option<Url> {
    let mut url = console.clone();
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(["holds", hold]);
    Some(url)
}

pub(crate) fn footer(pieces: &Line) -> SlackBlock {
    let text = SlackBlockMarkDownText::new(line(pieces, limits::FACT_MAX)).with_verbatim(true);
    SlackContextBlock::new(vec![SlackContextBlockElement::MarkDown(text)]).into()
}

pub(crate) fn section(text: String) -> SlackBlock {
    SlackSectionBlock::new().with_text(mrkdwn(text)).into()
}

/// `verbatim` keeps Slack from finding links, channels and names in what is already markup.
fn mrkdwn(text: String) -> SlackBlockText {
    SlackBlockMarkDownText::new(text).with_verbatim(true).into()
}

pub(crate) fn plain_text(said: &str, max: usize) -> SlackBlockPlainTextOnly {
    SlackBlockPlainText::new(text::plain(said, max))
        .with_emoji(false)
        .into()
}

/// Pieces in a row. A piece that does not fit is cut, and the rest left out.
pub(crate) fn line(pieces: &Line, max: usize) -> String {
    let mut out = String::new();
    for piece in pieces {
        let room = max.saturating_sub(text::length(&out));
        let made = render(piece, room);
        if text::length(&made) > room {
            break;
        }
        out += &made;
    }
    out
}

fn render(piece: &Piece, room: usize) -> String {
    match piece {
        Piece::Text(said) => spaced(said, room),
        Piece::Code(name) => text::code(name, room.min(limits::NAME_MAX)),
        Piece::Time(at) => format!(
            "<!date^{}^{{date_short_pretty}} {{time_secs}}|{}>",
            at.timestamp(),
            at.format("%Y-%m-%d %H:%M:%S UTC")
        ),
        Piece::Person(person) => match &person.slack {
            Some(id) if text::is_user_id(id) => format!("<@{id}>"),
            _ => text::prose(&person.display_name, room.min(limits::NAME_MAX)),
        },
    }
}

/// Prose, keeping the spaces at its ends that part it from its neighbours.
fn spaced(said: &str, room: usize) -> String {
    let before = if said.starts_with(' ') { " " } else { "" };
    let after = if said.len() > 1 && said.ends_with(' ') {
        " "
    } else {
        ""
    };
    format!(
        "{before}{}{after}",
        text::prose(said, room.saturating_sub(2))
    )
}

#[cfg(test)]
mod tests;
