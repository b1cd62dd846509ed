//! The server's own words for a text its grammar refuses.
//!
//! Only for the client that sent the text: the message quotes it. What goes into facts and records
//! has the quotation taken out (invariant 7).

use pg_query::ParserOptions;

use super::{ReadOptions, bounds, lexer::Lexer, pool};
use crate::OpaqueReason;

/// The version of PostgreSQL whose grammar decides here.
pub const GRAMMAR_MAJOR: u32 = 18;

/// The longest text in which the place is looked for, in bytes.
const PLACED_BYTES_MAX: usize = 16 * 1024;
/// Places that are tried to find where the grammar stopped.
const PLACES_MAX: usize = 16;

/// What PostgreSQL would answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// `syntax error at or near "SELEC"`.
    pub message: String,
    /// In characters from 1, as in ErrorResponse; `None` when it is not known.
    pub position: Option<usize>,
}

/// Why the grammar refuses a text. `None` when it does not, or when the text is over a bound.
///
/// Larger texts are looked at on a parse thread, as in [`super::analyse_async`].
pub async fn syntax_error(sql: &[u8], options: &ReadOptions) -> Option<SyntaxError> {
    let text = std::str::from_utf8(sql).ok()?;
    if text.len() > options.bytes_max || text.contains('\0') {
        return None;
    }
    let conforming = options.standard_conforming_strings;
    let inline = match bounds::scan(text, conforming) {
        Ok(scanned) => scanned.depth <= bounds::INLINE_DEPTH_MAX,
        // It never comes to a tree.
        Err(OpaqueReason::Syntax { .. }) => true,
        Err(_) => return None,
    };
    if inline && text.len() <= super::INLINE_BYTES_MAX {
        return error_in(text, conforming);
    }
    let text = text.to_owned();
    pool::submit(move || error_in(&text, conforming)).await?
}

fn error_in(text: &str, conforming: bool) -> Option<SyntaxError> {
    let message = refused(text, conforming)?;
    let position = place(text, conforming, &message)
        .and_then(|at| text.get(..at))
        .map(|before| before.chars().count() + 1);
    Some(SyntaxError { message, position })
}

fn refused(text: &str, conforming: bool) -> Option<String> {
    let mode = if conforming {
        ParserOptions::DEFAULT
    } else {
        ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
    };
    match pg_query::parse(text, mode) {
        Err(pg_query::Error::Parse(message)) => Some(message),
        Ok(_) | Err(_) => None,
    }
}

/// The parser tells the token but not its place: the first such token at which it already stops.
fn place(text: &str, conforming: bool, message: &str) -> Option<usize> {
    if message.ends_with(" at end of input") {
        return Some(text.len());
    }
    let (_, quoted) = message.split_once(" at or near \"")?;
    let quoted = quoted.strip_suffix('"')?;
    if message.starts_with("unterminated ") && text.ends_with(quoted) {
        return Some(text.len() - quoted.len());
    }
    if text.len() > PLACED_BYTES_MAX {
        return None;
    }
    let mut lexer = Lexer::new(text.as_bytes(), conforming);
    let mut tries = 0;
    while let Some(token) = lexer.next().ok()? {
        if token.text(text) == quoted {
            tries += 1;
            let read = text.get(..token.end)?;
            if refused(read, conforming).as_deref() == Some(message) {
                return Some(token.start);
            }
        }
        if tries == PLACES_MAX {
            break;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    /// Polls until it is ready: a parse thread answers in a moment.
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn says_what_the_server_says() {
        for (sql, message, position) in [
            ("SELEC 1", "syntax error at or near \"SELEC\"", Some(1)),
            (
                "SELECT 1; SELEC 2",
                "syntax error at or near \"SELEC\"",
                Some(11),
            ),
            ("SELECT", "", None),
            ("SELECT 1 FROM", "syntax error at end of input", Some(14)),
            (
                "SELECT 'ü', FROM t WHERE FROM",
                "syntax error at or near \"FROM\"",
                Some(13),
            ),
            (
                "SELECT 'abc",
                "unterminated quoted string at or near \"'abc\"",
                Some(8),
            ),
            (
                "SELECT 1 WHERE (a = 'x'))",
                "syntax error at or near \")\"",
                Some(25),
            ),
        ] {
            let options = ReadOptions::default();
            let error = syntax_error(sql.as_bytes(), &options);
            let Some(error) = block_on(error) else {
                assert_eq!(message, "", "{sql}");
                continue;
            };
            assert_eq!(
                (error.message.as_str(), error.position),
                (message, position),
                "{sql}"
            );
        }
    }
}
