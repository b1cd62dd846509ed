//! How much work a text will be, known before the grammar sees it.
//!
//! Every bound of PostgreSQL analysis is named here. One linear pass; carries invariant 10 and the
//! part of invariant 1 that says: over a bound is opaque, not passed.

use std::ops::Range;

use super::lexer::{LexError, Lexer, Token, TokenKind};
use crate::OpaqueReason;

/// Most work in one query string, in the units of [`work`]: what the grammar, the tree, the walk and
/// redaction get through in well under 50 ms. An IN list of 20,000 numbers, 8,000 columns.
pub(super) const WORK_MAX: usize = 40_000;
/// Deepest tree, in the units of [`Depth`]. A unit takes up to 10 kB of stack in a release
/// build and ten times that in a debug build; see [`super::pool::STACK_BYTES`].
pub(super) const DEPTH_MAX: usize = 800;
/// Texts up to this size, and
pub(super) const INLINE_BYTES_MAX: usize = 4096;
/// up to this depth, are parsed on the caller's own stack, half a megabyte of which they may use.
pub(super) const INLINE_DEPTH_MAX: usize = if cfg!(debug_assertions) { 8 } else { 48 };
/// Longest redacted text.
pub(super) const REDACTED_BYTES_MAX: usize = 8 * 1024;

/// A text that was scanned and is within every bound.
#[derive(Debug)]
pub(super) struct Scanned {
    pub tokens: Vec<Token>,
    /// An upper bound of the tree's depth.
    pub depth: usize,
    /// See [`Lexer::comment_ends_at_return`].
    pub comment_ends_at_return: bool,
}

impl Scanned {
    /// The tokens that lie in `span`.
    pub(super) fn within(&self, span: &Range<usize>) -> &[Token] {
        let from = self
            .tokens
            .partition_point(|token| token.start < span.start);
        let to = self.tokens.partition_point(|token| token.end <= span.end);
        self.tokens.get(from..to).unwrap_or_default()
    }
}

/// Scans `sql` to its end, or says which bound it breaks.
pub(super) fn scan(sql: &str, standard_strings: bool) -> Result<Scanned, OpaqueReason> {
    let mut lexer = Lexer::new(sql.as_bytes(), standard_strings);
    let mut tokens = Vec::with_capacity((sql.len() / 6 + 4).min(WORK_MAX));
    let mut depth = Depth::default();
    let mut total = 0;
    loop {
        match lexer.next() {
            Ok(Some(token)) => {
                tokens.push(token);
                total += work(token, sql);
                within("work", total, WORK_MAX)?;
                depth.count(token.kind, token.text(sql));
                within("nesting", depth.at_least(), DEPTH_MAX)?;
            }
            Ok(None) => break,
            Err(LexError::Unterminated) => {
                return Err(OpaqueReason::Syntax {
                    message: "a constant, comment or quoted name never ends".to_owned(),
                });
            }
            Err(LexError::Costly { limit, value }) => {
                return Err(OpaqueReason::TooLarge {
                    limit: limit.into(),
                    value: value as u64,
                });
            }
        }
    }
    let depth = depth.finish();
    within("nesting", depth, DEPTH_MAX)?;
    Ok(Scanned {
        tokens,
        depth,
        comment_ends_at_return: lexer.comment_ends_at_return(),
    })
}

/// What a token costs, in some 3 µs: nodes for names and operators cost most.
fn work(token: Token, sql: &str) -> usize {
    let is_constant = || {
        let word = token.text(sql);
        ["null", "true", "false", "default"]
            .into_iter()
            .any(|constant| word.eq_ignore_ascii_case(constant))
    };
    match token.kind {
        TokenKind::Word if is_constant() => 1,
        TokenKind::Word | TokenKind::QuotedIdent => 4,
        TokenKind::Operator => 3,
        // Each statement has facts and a text of its own.
        TokenKind::Punct(b';') => 4,
        TokenKind::String | TokenKind::Number | TokenKind::Param | TokenKind::Punct(_) => 1,
    }
}

fn within(limit: &'static str, value: usize, max: usize) -> Result<(), OpaqueReason> {
    if value > max {
        return Err(OpaqueReason::TooLarge {
            limit: limit.into(),
            value: value as u64,
        });
    }
    Ok(())
}

/// An upper bound of how deep the tree can get, from tokens alone.
///
/// A chain of operators (`1+1+1`) makes the tree as deep as it is long, a list does not. So in
/// each bracket the bound is: tokens that chain clauses (JOIN, UNION), plus the longest stretch
/// of tokens between separators, plus the deepest bracket inside. AND and OR are flattened by the
/// grammar and separate; so do the arms of CASE.
#[derive(Debug, Default)]
struct Depth {
    open: Vec<Group>,
    top: Group,
    deepest_statement: usize,
}

#[derive(Debug, Default)]
struct Group {
    closes_with_end: bool,
    clauses: usize,
    stretch: usize,
    stretch_longest: usize,
    inner: usize,
}

impl Group {
    fn depth(&self) -> usize {
        self.clauses + self.stretch_longest.max(self.stretch) + self.inner + 1
    }

    fn separate(&mut self) {
        self.stretch_longest = self.stretch_longest.max(self.stretch);
        self.stretch = 0;
    }
}

impl Depth {
    fn count(&mut self, kind: TokenKind, text: &str) {
        match kind {
            TokenKind::Punct(b'(' | b'[') => self.open(false),
            TokenKind::Punct(b')' | b']') => while self.close() {},
            TokenKind::Punct(b',') => self.group().separate(),
            TokenKind::Punct(b';') if self.open.is_empty() => {
                self.deepest_statement = self.deepest_statement.max(self.top.depth());
                self.top = Group::default();
            }
            TokenKind::Word => self.word(text),
            _ => self.group().stretch += 1,
        }
    }

    fn word(&mut self, text: &str) {
        let is = |keyword: &str| text.eq_ignore_ascii_case(keyword);
        if is("case") {
            self.open(true);
        } else if is("end") && self.open.last().is_some_and(|group| group.closes_with_end) {
            self.close();
        } else if ["and", "or", "when", "then", "else"].into_iter().any(is) {
            self.group().separate();
        } else if ["join", "union", "except", "intersect"].into_iter().any(is) {
            self.group().clauses += 1;
        } else {
            self.group().stretch += 1;
        }
    }

    fn group(&mut self) -> &mut Group {
        self.open.last_mut().unwrap_or(&mut self.top)
    }

    fn open(&mut self, closes_with_end: bool) {
        self.group().stretch += 1;
        self.open.push(Group {
            closes_with_end,
            ..Group::default()
        });
    }

    /// Closes the innermost group; says whether it was a CASE that lacks its END.
    fn close(&mut self) -> bool {
        let Some(group) = self.open.pop() else {
            return false;
        };
        let depth = group.depth();
        let parent = self.group();
        parent.inner = parent.inner.max(depth);
        group.closes_with_end
    }

    /// A lower bound of the final figure, cheap enough to ask after every token.
    fn at_least(&self) -> usize {
        self.open.len()
    }

    fn finish(mut self) -> usize {
        while !self.open.is_empty() {
            self.close();
        }
        self.deepest_statement.max(self.top.depth())
    }
}
