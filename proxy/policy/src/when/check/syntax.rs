//! What the parser says, in our words and with its place in bytes.

use super::duration;
use crate::when::WhenError;

/// The mistakes of a source that cannot be parsed.
pub(super) fn mistakes(source: &str, errors: cel::ParseErrors) -> Vec<WhenError> {
    let mut found: Vec<WhenError> = errors
        .errors
        .into_iter()
        .map(|error| {
            let at = byte_at(source, error.pos);
            WhenError {
                span: at.and_then(|at| {
                    let letter = source.get(at..)?.chars().next()?;
                    Some(at..at + letter.len_utf8())
                }),
                message: message_of(&error.msg),
                hint: hint_for(source, at),
            }
        })
        .collect();
    found.dedup_by(|later, earlier| later.span == earlier.span);
    // One slip upsets the parser several times.
    found.truncate(1);
    found
}

fn message_of(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting ").next().unwrap_or(message);
    let message = message
        .replace("'<EOF>'", "the end")
        .replace("<EOF>", "the end");
    format!("it cannot be read: {}", message.trim())
}

fn hint_for(source: &str, at: Option<usize>) -> String {
    let around = at.map_or(source, |at| {
        source.get(at.saturating_sub(4)..).unwrap_or(source)
    });
    let lower = source.to_ascii_lowercase();
    let (outside, open) = outside_texts(source);
    let mut words = outside.split(|c: char| !c.is_ascii_alphanumeric());
    if outside.contains(['“', '”', '„', '‘', '’']) {
        "texts stand in straight quotes, as in \"DELETE\"".to_owned()
    } else if open {
        "a text ends with the quote it begins with; inside it a quote is written `\\\"`".to_owned()
    } else if let Some(hint) = words.find_map(duration::hint) {
        hint
    } else if lower.contains(" and ")
        || lower.contains(" or ")
        || lower.starts_with("not ")
        || lower.contains(" not ")
    {
        "CEL writes `&&`, `||` and `!`".to_owned()
    } else if around.contains('=') && !around.contains("==") && !around.contains("!=") {
        "CEL compares by `==`".to_owned()
    } else {
        "conditions are CEL, such as `statement.kind == \"DELETE\" && blast.rows > 100`".to_owned()
    }
}

/// What stands outside of texts, and whether the last text is left open.
fn outside_texts(source: &str) -> (String, bool) {
    let mut outside = String::new();
    let mut quote = None;
    let mut letters = source.chars();
    while let Some(letter) = letters.next() {
        match quote {
            Some(_) if letter == '\\' => {
                letters.next();
            }
            Some(open) => {
                if letter == open {
                    quote = None;
                }
            }
            None if letter == '"' || letter == '\'' => {
                outside.push(' ');
                quote = Some(letter);
            }
            None => outside.push(letter),
        }
    }
    (outside, quote.is_some())
}

/// Line from 1 and column from 0 or 1, as the parser counts them, to a byte.
fn byte_at(source: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let column = usize::try_from(column).ok()?.saturating_sub(1);
    let rest = source.get(start..)?;
    let letter = rest
        .char_indices()
        .nth(column)
        .or(rest.char_indices().last());
    letter.map(|(at, _)| start + at)
}
