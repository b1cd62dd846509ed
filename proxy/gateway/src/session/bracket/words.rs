//! Splits a statement into words, as far as telling transaction control from everything else needs it.
//!
//! Independent of the grammar that judges: the read-only floor must hold when that one is fooled. Knows white
//! space, comments, plain words, quoted names and single characters; strings and the rest come as
//! [`Word::Other`], which no transaction command needs.

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// A keyword or a plain name, in lower case as the server folds it.
    Plain(String),
    /// A name in double quotes, unquoted.
    Quoted(String),
    /// One character that stands for itself: `;`, `,`, `=`.
    Sign(char),
    /// A number or the inside of a plain string.
    Value(String),
    /// Anything else: from here on nothing is looked at.
    Other,
}

/// More words than any transaction command has.
const WORDS_MAX: usize = 64;

/// The first words of a text. Leading semicolons are left out: the server skips empty statements.
pub(super) fn words(text: &[u8]) -> Vec<Word> {
    // Invalid bytes can only stand in names and strings: as replacement characters they match nothing.
    let text = String::from_utf8_lossy(text);
    let mut rest = &*text;
    let mut found = Vec::new();
    while found.len() < WORDS_MAX {
        let Some(trimmed) = skip_blank(rest) else {
            found.push(Word::Other);
            break;
        };
        let Some(first) = trimmed.chars().next() else {
            break;
        };
        let (word, after) = word(first, trimmed);
        rest = after;
        if found.is_empty() && word == Word::Sign(';') {
            continue;
        }
        let ends = word == Word::Other;
        found.push(word);
        if ends {
            break;
        }
    }
    found
}

/// Skips white space and comments; `None` when a comment does not end.
fn skip_blank(mut rest: &str) -> Option<&str> {
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if rest.starts_with("/*") {
            rest = skip_comment(rest)?;
        } else {
            return Some(rest);
        }
    }
}

/// Skips a comment; comments nest.
fn skip_comment(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return text.get(at..);
        }
    }
    None
}

fn word(first: char, text: &str) -> (Word, &str) {
    let split = |end: usize| text.split_at_checked(end).unwrap_or((text, ""));
    match first {
        'a'..='z' | 'A'..='Z' | '_' | '\u{80}'.. => {
            let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '\u{80}'..);
            let end = text.find(|c| !inside(c)).unwrap_or(text.len());
            let (word, after) = split(end);
            // E'..', U&".." and their kin are no words.
            if after.starts_with('\'') || after.starts_with("&\"") || after.starts_with("&'") {
                return (Word::Other, after);
            }
            (Word::Plain(word.to_ascii_lowercase()), after)
        }
        '0'..='9' => {
            let end = text.find(|c: char| !c.is_ascii_digit());
            let (word, after) = split(end.unwrap_or(text.len()));
            (Word::Value(word.to_owned()), after)
        }
        '"' => quoted(text, '"').map_or((Word::Other, ""), |(name, after)| {
            (Word::Quoted(name), after)
        }),
        '\'' => match quoted(text, '\'') {
            Some((inside, after)) if !inside.contains('\\') => (Word::Value(inside), after),
            _ => (Word::Other, ""),
        },
        ';' | ',' | '=' => (Word::Sign(first), split(1).1),
        _ => (Word::Other, text),
    }
}

/// The inside of a quoted piece, doubled quotes made single, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut rest = text.strip_prefix(quote)?;
    loop {
        let end = rest.find(quote)?;
        let (before, after) = rest.split_at_checked(end)?;
        inside.push_str(before);
        rest = after.strip_prefix(quote)?;
        match rest.strip_prefix(quote) {
            Some(more) => {
                inside.push(quote);
                rest = more;
            }
            None => return Some((inside, rest)),
        }
    }
}
