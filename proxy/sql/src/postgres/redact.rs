//! Text for people outside: what a statement does, without a character of what it is about.
//!
//! Works on tokens, not on the tree: only keywords, names, operators and punctuation pass, so
//! a literal cannot be forgotten, whatever statement it stands in. Words that are values, and names
//! that look like values, are found by [`words`]. Carries the SQL half of invariant 7. The
//! fingerprint is taken over the same tokens, so what reviewers see is what it stands for.

mod fold;
mod words;

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::{
    bounds::REDACTED_BYTES_MAX,
    lexer::{Lexer, Token, TokenKind},
    pretty,
};
use words::{Sees, Words};

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
    Name(Name<'a>),
    /// A literal or parameter, with the number it is shown under.
    Value(u32),
    /// Our own remark on how much was folded.
    Count(usize, &'static str),
    Operator(&'a str),
    Punct(u8),
}

/// A name as the statement has it, in small letters unless it is in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name<'a> {
    text: Cow<'a, str>,
    shown: bool,
}

impl Name<'_> {
    /// Itself, or a stand-in when it could be a value in quotes.
    pub(super) fn shown(&self) -> &str {
        if self.shown {
            &self.text
        } else {
            "\"[name not shown]\""
        }
    }
}

/// Redacts the statement that `tokens` of `sql` make up. `is_known` tells the names that a catalog
/// has; they are shown whatever they look like.
pub(super) fn redact(sql: &str, tokens: &[Token], is_known: &dyn Fn(&str) -> bool) -> Redaction {
    let pieces = fold::fold(&pieces(sql, tokens, is_known));
    Redaction {
        fingerprint: fingerprint(&pieces),
        text: bounded(pretty::print(&pieces, REDACTED_BYTES_MAX)),
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

fn pieces<'a>(sql: &'a str, tokens: &[Token], is_known: &dyn Fn(&str) -> bool) -> Vec<Piece<'a>> {
    let mut next_value = 1 + largest_param(sql, tokens);
    let mut words = Words::new(is_known);
    let mut pieces = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let mut text = token.text(sql);
        if let Some(end) = end_of_escape(sql, tokens, at) {
            // `U&"..." UESCAPE '!'` is one constant or name.
            text = sql.get(token.start..end).unwrap_or(text);
            at += 2;
        }
        let follows = tokens.get(at).map(|token| token.kind);
        let piece = match (token.kind, words.see(token.kind, text, follows)) {
            (_, Sees::Value) => {
                // A sign belongs to the number: -5 and 5 have one shape.
                if token.kind == TokenKind::Number && is_signed(&pieces) {
                    pieces.pop();
                }
                take_value(&mut next_value)
            }
            (TokenKind::Param, _) => Piece::Value(number(text)),
            (TokenKind::Operator, _) => Piece::Operator(text),
            (TokenKind::Punct(byte), _) => Piece::Punct(byte),
            (_, Sees::Keyword(word)) => Piece::Keyword(word),
            (kind, seen) => Piece::Name(Name {
                text: if kind == TokenKind::Word {
                    Cow::Owned(text.to_ascii_lowercase())
                } else {
                    Cow::Borrowed(text)
                },
                shown: seen == Sees::Name,
            }),
        };
        pieces.push(piece);
    }
    pieces
}

/// Where the escape character of the constant or name before `at` ends, if it gives one.
fn end_of_escape(sql: &str, tokens: &[Token], at: usize) -> Option<usize> {
    let [word, character] = tokens.get(at..at + 2)? else {
        return None;
    };
    let before = tokens.get(at.checked_sub(1)?)?;
    let gives = matches!(before.kind, TokenKind::String | TokenKind::QuotedIdent)
        && word.kind == TokenKind::Word
        && word.text(sql).eq_ignore_ascii_case("uescape")
        && character.kind == TokenKind::String;
    gives.then_some(character.end)
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

/// Hash of the pieces without the numbers of values and of folded items.
///
/// Names count as they are, shown or not: a grant for one table whose name is not shown must not
/// hold for another.
fn fingerprint(pieces: &[Piece<'_>]) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        match piece {
            Piece::Keyword(word) => hash.update(word.to_ascii_lowercase()),
            Piece::Name(name) => hash.update(name.text.as_bytes()),
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
