//! PostgreSQL: the server's own grammar decides.
//!
//! [`analyse`] and [`analyse_async`] are the way in. Order of work: bytes and encoding, a linear
//! scan that bounds what the grammar will cost, the grammar, one walk of the tree for facts,
//! and the redacted text from the tokens.

mod bounds;
mod builtin;
pub mod counting;
mod impact;
mod inner;
mod lexer;
pub mod plan;
mod pool;
mod predicate;
mod pretty;
mod redact;
mod refusal;
mod resolve;
pub mod retype;
mod walk;

use std::{
    future::Future,
    ops::Range,
    panic::catch_unwind,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{Analysis, OpaqueReason, Sight, StatementFacts};
use bounds::Scanned;
pub(crate) use resolve::{Expanded, TypeKey};
use resolve::{Names, Resolver, Room};

pub use self::{
    inner::inner_query,
    refusal::{GRAMMAR_MAJOR, SyntaxError, syntax_error},
};

/// Query strings longer than this are never parsed on the caller's own stack.
pub const INLINE_BYTES_MAX: usize = bounds::INLINE_BYTES_MAX;

/// How to read a query string.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Longest query string that is parsed, in bytes; longer ones are opaque.
    pub bytes_max: usize,
    /// The session's `standard_conforming_strings`.
    pub standard_conforming_strings: bool,
    /// The catalog names are resolved against; without one, what needs it stays a doubt.
    pub sight: Option<Sight>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            bytes_max: 1024 * 1024,
            standard_conforming_strings: true,
            sight: None,
        }
    }
}

/// Reads one query string. Never fails: what is not understood comes back opaque.
///
/// Blocks while a larger string (over [`INLINE_BYTES_MAX`], or deeply nested) is parsed on a
/// thread of its own: under 50 ms of CPU at any size. Async callers use [`analyse_async`].
#[must_use]
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers make one for each text"
)]
pub fn analyse(sql: &[u8], options: ReadOptions) -> Analysis {
    match prepare(sql, &options) {
        Prepared::Done(analysis) => analysis,
        Prepared::Large(job) => {
            let length = job.sql.len();
            pool::submit(move || job.run())
                .wait()
                .unwrap_or_else(|| lost(length))
        }
    }
}

/// Reads one query string without blocking. Small ones are ready at once.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers make one for each text"
)]
pub fn analyse_async(sql: &[u8], options: ReadOptions) -> Pending {
    Pending(match prepare(sql, &options) {
        Prepared::Done(analysis) => State::Done(Some(analysis)),
        Prepared::Large(job) => State::Waiting {
            length: job.sql.len(),
            waiter: pool::submit(move || job.run()),
        },
    })
}

/// An analysis that is ready, or being made on a parse thread. Needs no runtime; dropping it
/// gives it up.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Pending(State);

#[derive(Debug)]
enum State {
    Done(Option<Analysis>),
    Waiting {
        length: usize,
        waiter: pool::Waiter<Analysis>,
    },
}

impl Future for Pending {
    type Output = Analysis;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Analysis> {
        match &mut self.0 {
            State::Done(analysis) => Poll::Ready(analysis.take().unwrap_or_else(|| lost(0))),
            State::Waiting { length, waiter } => {
                let length = *length;
                Pin::new(waiter)
                    .poll(context)
                    .map(|analysis| analysis.unwrap_or_else(|| lost(length)))
            }
        }
    }
}

/// A query string that is worth a parse thread, owned.
struct Job {
    sql: String,
    scanned: Scanned,
    options: ReadOptions,
}

impl Job {
    fn run(self) -> Analysis {
        let room = Room {
            left: bounds::DEPTH_MAX.saturating_sub(self.scanned.depth),
            more_elsewhere: false,
        };
        read(&self.sql, &self.scanned, &self.options, room).unwrap_or_else(|| lost(self.sql.len()))
    }
}

enum Prepared {
    Done(Analysis),
    Large(Job),
}

fn prepare(sql: &[u8], options: &ReadOptions) -> Prepared {
    let opaque = |reason| Prepared::Done(whole(0..sql.len(), reason, ""));
    if sql.len() > options.bytes_max {
        return opaque(OpaqueReason::TooLarge {
            limit: "bytes".into(),
            value: sql.len() as u64,
        });
    }
    let Ok(text) = std::str::from_utf8(sql) else {
        return opaque(OpaqueReason::Encoding);
    };
    if sql.contains(&0) {
        return opaque(OpaqueReason::Encoding);
    }
    let scanned = match bounds::scan(text, options.standard_conforming_strings) {
        Ok(scanned) => scanned,
        Err(reason) => return Prepared::Done(whole(0..sql.len(), reason, text)),
    };
    if scanned.tokens.iter().all(|token| token.is_semicolon()) {
        return Prepared::Done(Analysis {
            statements: Vec::new(),
        });
    }
    if sql.len() <= INLINE_BYTES_MAX && scanned.depth <= bounds::INLINE_DEPTH_MAX {
        // The text is only read, so nothing broken can be seen after a panic.
        let room = Room {
            left: bounds::INLINE_DEPTH_MAX.saturating_sub(scanned.depth),
            more_elsewhere: true,
        };
        let read = std::panic::AssertUnwindSafe(|| read(text, &scanned, options, room));
        match catch_unwind(read) {
            Ok(Some(analysis)) => return Prepared::Done(analysis),
            // A view is too deep for this stack; once read, it is known.
            Ok(None) => {}
            Err(_) => return Prepared::Done(lost(sql.len())),
        }
    }
    Prepared::Large(Job {
        sql: text.to_owned(),
        scanned,
        options: options.clone(),
    })
}

/// The grammar, the walk and the redaction. Runs where the stack is deep enough; `None` when it
/// turns out not to be.
fn read(sql: &str, scanned: &Scanned, options: &ReadOptions, room: Room) -> Option<Analysis> {
    use pg_query::ParserOptions;
    let mode = if options.standard_conforming_strings {
        ParserOptions::DEFAULT
    } else {
        ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
    };
    let tree = match pg_query::parse(sql, mode) {
        Ok(tree) => tree.protobuf,
        Err(error) => {
            let reason = OpaqueReason::Syntax {
                message: refusal(&error),
            };
            return Some(whole(0..sql.len(), reason, sql));
        }
    };
    let names = options.sight.as_ref().map(Names::of);
    let is_known = |name: &str| names.is_some_and(|names| names.index.has_quoted(name));
    let statements: Option<Vec<StatementFacts>> = tree
        .stmts
        .iter()
        .map(|statement| {
            let span = span_of(sql, statement.stmt_location, statement.stmt_len);
            let node = statement.stmt.as_ref().and_then(|node| node.node.as_ref());
            let mut facts = match node {
                Some(node) => walk::facts_of(node, Resolver::new(names, room))?,
                None => StatementFacts::opaque(span.clone(), OpaqueReason::Encoding),
            };
            let redaction = redact::redact(sql, scanned.within(&span), &is_known);
            if scanned.comment_ends_at_return {
                facts.doubt("has a comment that ends at a bare carriage return: people and server read different statements");
            }
            facts.span = span;
            facts.redacted = redaction.text;
            facts.fingerprint = redaction.fingerprint;
            Some(facts)
        })
        .collect();
    // Readings are kept for long.
    let mut statements = statements?;
    statements.shrink_to_fit();
    Some(Analysis { statements })
}

/// One opaque statement over everything. `text` is empty when the bytes are no text.
fn whole(span: Range<usize>, reason: OpaqueReason, text: &str) -> Analysis {
    let redaction = redact::skeleton(text, span.len());
    let mut facts = StatementFacts::opaque(span, reason);
    facts.redacted = redaction.text;
    facts.fingerprint = redaction.fingerprint;
    Analysis {
        statements: vec![facts],
    }
}

/// The parser gave no answer: a panic in it, a full queue, no thread.
fn lost(length: usize) -> Analysis {
    let reason = OpaqueReason::UnknownNode {
        node: "the parser gave no answer".to_owned(),
    };
    whole(0..length, reason, "")
}

/// The server's message without what it quotes from the text.
fn refusal(error: &pg_query::Error) -> String {
    let message = match error {
        pg_query::Error::Parse(message) => message.as_str(),
        _ => "the tree could not be read",
    };
    // Messages quote the text between double quotes, after a colon, or as a number: what comes
    // before the first of them is the grammar's own.
    let quotes = |c: char| matches!(c, '"' | ':' | '\'') || c.is_ascii_digit();
    let safe = message.split(quotes).next().unwrap_or_default().trim_end();
    let safe = safe.trim_end_matches(" at or near");
    if safe.is_empty() {
        "syntax error".to_owned()
    } else {
        safe.to_owned()
    }
}

/// A statement's bytes without the white space around it. A length of 0 means: to the end.
fn span_of(sql: &str, location: i32, length: i32) -> Range<usize> {
    let start = usize::try_from(location).unwrap_or(0).min(sql.len());
    let end = match usize::try_from(length) {
        Ok(0) | Err(_) => sql.len(),
        Ok(length) => start.saturating_add(length).min(sql.len()),
    };
    let inside = sql.get(start..end).unwrap_or_default();
    let before = inside.len() - inside.trim_start().len();
    let after = inside.trim_end().len();
    start + before.min(after)..start + after
}
