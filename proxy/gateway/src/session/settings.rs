//! `SET abeyance.reason = '...'` and `SET abeyance.on_hold = 'ticket'`: the settings whose values the gateway reads.
//!
//! A reason is written by the agent for its reviewers, so it may be shown; no other literal is looked at.

use abeyance_sql::{SessionEffect, StatementFacts};

use super::{reading::Reading, standing::Standing};
use crate::limits::REASON_CHARS_MAX;

const REASON: &str = "abeyance.reason";
const ON_HOLD: &str = "abeyance.on_hold";

/// What `abeyance.on_hold` may be: whether holds answer at once with a ticket.
pub(crate) fn on_hold(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "ticket" => Some(true),
        "wait" => Some(false),
        _ => None,
    }
}

/// What `SET abeyance.on_hold` asks for; the inner `None` for what it may not be.
pub(super) fn on_hold_of(facts: &StatementFacts, reading: &Reading) -> Option<Option<bool>> {
    let SessionEffect::Set { parameter, .. } = &facts.session else {
        return None;
    };
    if !parameter.eq_ignore_ascii_case(ON_HOLD) {
        return None;
    }
    let text = reading.text_of(facts);
    let text = std::str::from_utf8(&text).ok()?;
    let default = |text: &str| {
        text.trim_end_matches(';')
            .trim_end()
            .to_ascii_lowercase()
            .ends_with("default")
    };
    if after_keyword(text, "RESET").is_some() || default(text) {
        return Some(Some(false));
    }
    Some(value_in(text, ON_HOLD).as_deref().and_then(on_hold))
}

/// Follows a SET or RESET that succeeded.
pub(super) fn applied(
    completed: &str,
    facts: &StatementFacts,
    reading: &Reading,
    standing: &mut Standing,
) {
    match &facts.session {
        SessionEffect::Set { .. } if is_reason(facts) => {
            standing.reason = if completed == "SET" {
                given(facts, reading)
            } else {
                None
            };
        }
        SessionEffect::Set { .. } if on_hold_of(facts, reading).is_some() => {
            standing.ticket = on_hold_of(facts, reading).flatten().unwrap_or(false);
        }
        SessionEffect::Reset => {
            standing.reason = None;
            standing.ticket = false;
        }
        SessionEffect::None
        | SessionEffect::Set { .. }
        | SessionEffect::Role
        | SessionEffect::Notify => {}
    }
}

/// The reason a statement gives, when it is `SET abeyance.reason`.
pub(super) fn given(facts: &StatementFacts, reading: &Reading) -> Option<String> {
    if !is_reason(facts) {
        return None;
    }
    let text = reading.text_of(facts);
    std::str::from_utf8(&text).ok().and_then(reason_in)
}

/// Whether a statement is SET or RESET of `abeyance.reason`.
pub(super) fn is_reason(facts: &StatementFacts) -> bool {
    matches!(&facts.session, SessionEffect::Set { parameter, .. } if parameter.eq_ignore_ascii_case(REASON))
}

/// The reason a `SET abeyance.reason` statement gives, bounded and without control characters.
pub(super) fn reason_in(statement: &str) -> Option<String> {
    value_in(statement, REASON).as_deref().and_then(clean)
}

/// The string a SET gives a parameter.
fn value_in(statement: &str, parameter: &str) -> Option<String> {
    let rest = after_keyword(statement, "SET")?;
    let rest = after_keyword(rest, "SESSION")
        .or_else(|| after_keyword(rest, "LOCAL"))
        .unwrap_or(rest);
    let rest = after_keyword(rest, parameter)?;
    let rest = rest
        .strip_prefix('=')
        .or_else(|| after_keyword(rest, "TO"))?
        .trim_start();
    let inner = rest.strip_prefix('\'')?;
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '\'' {
            // Doubled inside, alone at the end.
            if chars.clone().next() != Some('\'') {
                return Some(text);
            }
            chars.next();
        }
        text.push(c);
    }
    None
}

/// Bounds a reason and takes control characters out; `None` when nothing is left.
pub(crate) fn clean(text: &str) -> Option<String> {
    let cleaned: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON_CHARS_MAX)
        .collect();
    let cleaned = cleaned.trim();
    (!cleaned.is_empty()).then(|| cleaned.to_owned())
}

fn after_keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let text = text.trim_start();
    let head = text.get(..keyword.len())?;
    let rest = text.get(keyword.len()..)?;
    let ends = rest
        .chars()
        .next()
        .is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
    (head.eq_ignore_ascii_case(keyword) && ends).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_value_and_nothing_else() {
        for (statement, expected) in [
            ("SET abeyance.reason = 'ticket 7'", Some("ticket 7")),
            (
                "set session Abeyance.Reason to 'it''s due'",
                Some("it's due"),
            ),
            ("SET LOCAL abeyance.reason='a\nb'", Some("a b")),
            ("SET abeyance.reason TO ''", None),
            ("SET abeyance.reason TO DEFAULT", None),
            ("SET abeyance.reason = 'open", None),
            ("SET search_path = 'abeyance.reason'", None),
            ("SET", None),
        ] {
            assert_eq!(reason_in(statement).as_deref(), expected, "{statement}");
        }
    }

    #[test]
    fn a_reason_is_bounded() {
        let long = format!("SET abeyance.reason = '{}'", "ä".repeat(2000));
        assert_eq!(reason_in(&long).unwrap().chars().count(), REASON_CHARS_MAX);
    }
}
