//! `SET abeyance.reason = '...'`: the one setting whose value the gateway reads.
//!
//! The value is written by the agent for its reviewers, so it may be shown; no other literal is looked at.

use abeyance_sql::{SessionEffect, StatementFacts};

use super::{reading::Reading, standing::Standing};
use crate::limits::REASON_CHARS_MAX;

const REASON: &str = "abeyance.reason";

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
        SessionEffect::Reset => standing.reason = None,
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
    let rest = after_keyword(statement, "SET")?;
    let rest = after_keyword(rest, "SESSION")
        .or_else(|| after_keyword(rest, "LOCAL"))
        .unwrap_or(rest);
    let rest = after_keyword(rest, REASON)?;
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
                return clean(&text);
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
