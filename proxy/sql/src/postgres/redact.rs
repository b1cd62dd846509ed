//! Text for people outside: what a statement does, without a character of what it is about.
//!
//! Works on tokens, not on the tree: only keywords, names, operators and punctuation pass, so
//! a literal cannot be forgotten, whatever statement it stands in. Carries the SQL half of
//! invariant 7. The fingerprint is taken over the same tokens, so what reviewers see is what
//! it stands for.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::{
    bounds::REDACTED_BYTES_MAX,
    lexer::{Lexer, Token, TokenKind},
    pretty,
};
use crate::shown;

/// Grants and caches rest on it, and whoever writes the statements can look for two that collide:
/// 64 bits take 2^32 tries, these 2^64.
const FINGERPRINT_BYTES: usize = 16;

/// A statement's redacted text and fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redaction {
    pub text: String,
    pub fingerprint: String,
}

/// A piece of redacted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A word that is a keyword, wherever it stands.
    Keyword(Cow<'a, str>),
    Name(Cow<'a, str>),
    /// A literal or parameter, with the number it is shown under.
    Value(u32),
    /// Our own remark on how much was folded.
    Count(usize, &'static str),
    Operator(&'a str),
    Punct(u8),
}

/// Redacts the statement that `tokens` of `sql` make up.
pub(super) fn redact(sql: &str, tokens: &[Token]) -> Redaction {
    let pieces = fold(&pieces(sql, tokens));
    Redaction {
        fingerprint: fingerprint(&pieces),
        text: bounded(pretty::print(&pieces)),
    }
}

/// For a text the grammar refused: its first word if that is a keyword, and its size class.
pub(super) fn skeleton(sql: &str, length: usize) -> Redaction {
    let first = Lexer::new(sql.as_bytes(), true).next().ok().flatten();
    let keyword = first
        .map(|token| token.text(sql).to_ascii_uppercase())
        .filter(|word| LEADING.split_whitespace().any(|leading| leading == word));
    let size = length.next_power_of_two();
    let mut hash = Sha256::new();
    hash.update(b"opaque ");
    hash.update(keyword.as_deref().unwrap_or_default());
    hash.update(size.to_be_bytes());
    Redaction {
        text: match keyword {
            Some(keyword) => format!("{keyword} [text not shown: it could not be read]"),
            None => "[text not shown: it could not be read]".to_owned(),
        },
        fingerprint: short(hash),
    }
}

fn pieces<'a>(sql: &'a str, tokens: &[Token]) -> Vec<Piece<'a>> {
    let mut next_value = 1 + largest_param(sql, tokens);
    let mut hides_words = WordHiding::new();
    let mut pieces = Vec::with_capacity(tokens.len());
    for token in tokens {
        let text = token.text(sql);
        let piece = match token.kind {
            TokenKind::Word if hides_words.hides(text) => take_value(&mut next_value),
            TokenKind::Word => word(text),
            TokenKind::QuotedIdent if hides_words.value_follows => take_value(&mut next_value),
            TokenKind::QuotedIdent => Piece::Name(quoted(text)),
            TokenKind::String => take_value(&mut next_value),
            TokenKind::Number => {
                // A sign belongs to the number: -5 and 5 have one shape.
                if is_signed(&pieces) {
                    pieces.pop();
                }
                take_value(&mut next_value)
            }
            TokenKind::Param => Piece::Value(number(text)),
            TokenKind::Operator => {
                hides_words.operator(text);
                Piece::Operator(text)
            }
            TokenKind::Punct(byte) => {
                hides_words.punct(byte);
                Piece::Punct(byte)
            }
        };
        pieces.push(piece);
    }
    pieces
}

/// A sign stands last, and not between two operands.
fn is_signed(pieces: &[Piece<'_>]) -> bool {
    matches!(pieces, [.., before, Piece::Operator("-" | "+")] if pretty::is_sign_after(Some(before)))
}

fn take_value<'a>(next: &mut u32) -> Piece<'a> {
    let value = *next;
    *next = next.saturating_add(1);
    Piece::Value(value)
}

fn largest_param(sql: &str, tokens: &[Token]) -> u32 {
    tokens
        .iter()
        .filter(|token| token.kind == TokenKind::Param)
        .map(|token| number(token.text(sql)))
        .max()
        .unwrap_or(0)
}

/// A parameter's number; parameters go up to 65535.
fn number(text: &str) -> u32 {
    text.trim_start_matches('$')
        .parse()
        .unwrap_or(0)
        .min(65_535)
}

fn word(text: &str) -> Piece<'_> {
    let upper = text.to_ascii_uppercase();
    if pretty::is_keyword(&upper) {
        Piece::Keyword(Cow::Owned(upper))
    } else {
        Piece::Name(Cow::Owned(text.to_ascii_lowercase()))
    }
}

/// A quoted name, if it looks like a name. One that could be a value is replaced.
fn quoted(text: &str) -> Cow<'_, str> {
    let inside = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    match inside {
        Some(name) if shown(name) == name => Cow::Borrowed(text),
        _ => Cow::Borrowed("\"[name not shown]\""),
    }
}

/// SET takes values as bare words: `SET x TO secret`, `ALTER ROLE r SET x = secret`, `CREATE FUNCTION ..
/// SET x = secret`, `ALTER TABLE t SET (x = secret)`. Where the end of a value is not certain, all that follows is hidden.
#[derive(Debug)]
struct WordHiding {
    words_seen: usize,
    /// The statement can set a parameter.
    sets: bool,
    set_seen: bool,
    value_follows: bool,
    /// The last word was SET, in a statement that alters something.
    options_may_follow: bool,
    /// Between the brackets of `SET (name = value, ..)`.
    options: bool,
    first: First,
}

/// The word a statement begins with, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Alter,
    Create,
    Other,
}

/// `CREATE OR REPLACE FUNCTION`: the kind of object is the fourth word at the latest.
const KIND_WORDS_MAX: usize = 4;

impl WordHiding {
    fn new() -> Self {
        Self {
            words_seen: 0,
            sets: false,
            set_seen: false,
            value_follows: false,
            options_may_follow: false,
            options: false,
            first: First::Other,
        }
    }

    fn hides(&mut self, word: &str) -> bool {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        self.words_seen += 1;
        if self.words_seen == 1 {
            self.sets = is("set") || is("alter");
            if is("alter") {
                self.first = First::Alter;
            } else if is("create") {
                self.first = First::Create;
            }
        }
        let routine = || ["function", "procedure", "routine"].into_iter().any(is);
        self.sets |= self.first == First::Create && self.words_seen <= KIND_WORDS_MAX && routine();
        if self.value_follows {
            return !(is("default") || is("on") || is("off") || is("true") || is("false"));
        }
        if self.words_seen == 2 && self.first == First::Alter {
            // ALTER TABLE and the like set columns and defaults, which are names.
            self.sets = routine() || ["role", "user", "database", "system"].into_iter().any(is);
        }
        self.set_seen |= is("set");
        self.options_may_follow = self.first == First::Alter && is("set");
        self.value_follows = self.sets && self.set_seen && is("to");
        false
    }

    fn operator(&mut self, text: &str) {
        self.value_follows |= (self.options || (self.sets && self.set_seen)) && text == "=";
    }

    fn punct(&mut self, byte: u8) {
        if self.options && matches!(byte, b',' | b')') {
            self.value_follows = false;
        }
        self.options = (self.options && byte != b')') || (self.options_may_follow && byte == b'(');
        self.options_may_follow = false;
    }
}

/// Folds lists of values and repeated rows, keeping their number.
fn fold<'a>(pieces: &[Piece<'a>]) -> Vec<Piece<'a>> {
    let mut folded = Vec::with_capacity(pieces.len());
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        folded.push(piece.clone());
        at += 1;
        match piece {
            Piece::Punct(open @ (b'(' | b'[')) => {
                if let Some((values, end)) = value_list(pieces, at, *open)
                    && values > 1
                {
                    folded.extend(pieces.get(at).cloned());
                    folded.push(Piece::Count(values, "values"));
                    at = end;
                }
            }
            Piece::Keyword(keyword) if keyword == "VALUES" => {
                at = fold_rows(pieces, at, &mut folded);
            }
            _ => {}
        }
    }
    folded
}

/// Counts `v, v, v` up to the closing bracket when the list is what IN or ARRAY takes.
fn value_list(pieces: &[Piece<'_>], start: usize, open: u8) -> Option<(usize, usize)> {
    let before = pieces.get(start.checked_sub(2)?)?;
    let takes_list =
        matches!(before, Piece::Keyword(word) if word == "IN" || word == "ARRAY") || open == b'[';
    if !takes_list {
        return None;
    }
    let mut at = start;
    let mut values = 0;
    loop {
        let Some(Piece::Value(_)) = pieces.get(at) else {
            return None;
        };
        values += 1;
        match pieces.get(at + 1) {
            Some(Piece::Punct(b',')) => at += 2,
            Some(Piece::Punct(b')' | b']')) => return Some((values, at + 1)),
            _ => return None,
        }
    }
}

/// Keeps the first of the rows after VALUES that look alike.
fn fold_rows<'a>(pieces: &[Piece<'a>], start: usize, folded: &mut Vec<Piece<'a>>) -> usize {
    let Some(first_end) = row_end(pieces, start) else {
        return start;
    };
    let first = pieces.get(start..first_end).unwrap_or_default();
    folded.extend(first.iter().cloned());
    let mut rows = 1;
    let mut at = first_end;
    while matches!(pieces.get(at), Some(Piece::Punct(b','))) {
        let Some(end) = row_end(pieces, at + 1) else {
            break;
        };
        let row = pieces.get(at + 1..end).unwrap_or_default();
        if row.len() != first.len() || !row.iter().zip(first).all(|(one, other)| alike(one, other))
        {
            break;
        }
        rows += 1;
        at = end;
    }
    if rows > 1 {
        folded.push(Piece::Count(rows, "rows"));
    }
    at
}

/// One past the bracket that closes the one at `start`.
fn row_end(pieces: &[Piece<'_>], start: usize) -> Option<usize> {
    if pieces.get(start) != Some(&Piece::Punct(b'(')) {
        return None;
    }
    let mut depth = 0_usize;
    for (offset, piece) in pieces.get(start..)?.iter().enumerate() {
        match piece {
            Piece::Punct(b'(') => depth += 1,
            Piece::Punct(b')') => {
                depth -= 1;
                if depth == 0 {
                    return Some(start + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

fn alike(one: &Piece<'_>, other: &Piece<'_>) -> bool {
    match (one, other) {
        (Piece::Value(_), Piece::Value(_)) => true,
        _ => one == other,
    }
}

/// Hash of the pieces without the numbers of values and of folded items.
fn fingerprint(pieces: &[Piece<'_>]) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        match piece {
            Piece::Keyword(word) => hash.update(word.to_ascii_lowercase()),
            Piece::Name(name) => hash.update(name.as_bytes()),
            Piece::Value(_) => hash.update("$"),
            Piece::Count(..) => continue,
            Piece::Operator(operator) => hash.update(operator),
            Piece::Punct(byte) => hash.update([*byte]),
        }
        hash.update([0]);
    }
    short(hash)
}

fn short(hash: Sha256) -> String {
    let digest = hash.finalize();
    hex::encode(digest.get(..FINGERPRINT_BYTES).unwrap_or_default())
}

fn bounded(mut text: String) -> String {
    const CUT: &str = "\n[cut]";
    if text.len() > REDACTED_BYTES_MAX {
        let mut end = REDACTED_BYTES_MAX - CUT.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(CUT);
    }
    text
}

const LEADING: &str = "\
ABORT ALTER ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE \
DECLARE DELETE DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD LOCK \
MERGE MOVE NOTIFY PREPARE REASSIGN REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT \
SECURITY SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES WITH";
