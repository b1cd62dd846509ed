//! The query inside a statement that carries one: `COPY (query) TO ..`, `EXPLAIN ANALYZE query`.
//!
//! The grammar gives no place for it, so it is found among the tokens of a statement that the grammar has
//! read already. Only for asking the target about it; what it is, the facts of the whole statement say.

use std::ops::Range;

use super::lexer::{Lexer, Token, TokenKind};

/// Where the query is in the text of one statement. `None` when it carries none.
#[must_use]
pub fn inner_query(statement: &str, standard_conforming_strings: bool) -> Option<Range<usize>> {
    let mut lexer = Lexer::new(statement.as_bytes(), standard_conforming_strings);
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next().ok()? {
        tokens.push(token);
    }
    let is = |at: usize, word: &str| {
        let token: Option<&Token> = tokens.get(at);
        token.is_some_and(|token| {
            token.kind == TokenKind::Word && token.text(statement).eq_ignore_ascii_case(word)
        })
    };
    let opens = |at: usize| {
        let token = tokens.get(at)?;
        (token.kind == TokenKind::Punct(b'(')).then(|| closing(&tokens, at))?
    };
    if is(0, "COPY") {
        let end = opens(1)?;
        return Some(tokens.get(1)?.end..tokens.get(end)?.start);
    }
    if !is(0, "EXPLAIN") {
        return None;
    }
    let query = |at: usize| {
        ["SELECT", "WITH", "VALUES", "TABLE"]
            .iter()
            .any(|word| is(at, word))
    };
    let mut at = 1;
    match opens(at) {
        // Options, unless the query itself stands in parentheses.
        Some(end) if !query(2) && tokens.get(2)?.kind == TokenKind::Word => at = end + 1,
        _ => {
            while ["ANALYZE", "ANALYSE", "VERBOSE"]
                .iter()
                .any(|word| is(at, word))
            {
                at += 1;
            }
        }
    }
    Some(tokens.get(at)?.start..statement.len())
}

/// The parenthesis that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::Punct(b'(') => depth += 1,
            TokenKind::Punct(b')') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_statement_carries() {
        for (statement, inner) in [
            ("COPY (SELECT 1) TO STDOUT", Some("SELECT 1")),
            ("copy(select ')' , (2)) to stdout", Some("select ')' , (2)")),
            (
                "COPY /* ( */ ( VALUES (1) ) TO STDOUT",
                Some(" VALUES (1) "),
            ),
            ("COPY rooms TO STDOUT", None),
            ("COPY rooms (room) TO STDOUT", None),
            ("EXPLAIN ANALYZE SELECT 1", Some("SELECT 1")),
            (
                "EXPLAIN ANALYSE VERBOSE DELETE FROM t",
                Some("DELETE FROM t"),
            ),
            ("explain (analyze, buffers off) select 2", Some("select 2")),
            ("EXPLAIN (SELECT 1)", Some("(SELECT 1)")),
            ("EXPLAIN ANALYZE ((SELECT 1))", Some("((SELECT 1))")),
            (
                "EXPLAIN ((SELECT 1) UNION SELECT 2)",
                Some("((SELECT 1) UNION SELECT 2)"),
            ),
            ("SELECT 1", None),
            ("EXPLAIN", None),
            ("COPY (SELECT 1", None),
        ] {
            let found = inner_query(statement, true);
            assert_eq!(found.map(|range| &statement[range]), inner, "{statement}");
        }
    }
}
