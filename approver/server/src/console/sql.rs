//! Colours for redacted SQL. A reading aid only: it decides nothing and changes no character.

use serde::Serialize;

/// A piece of text and what it is: `word` (key words), `danger`, `hole` (a literal was here) or `plain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Piece {
    kind: &'static str,
    text: String,
}

const DANGER: [&str; 9] = [
    "DELETE", "DROP", "TRUNCATE", "ALTER", "UPDATE", "GRANT", "REVOKE", "CASCADE", "EXECUTE",
];
const WORDS: [&str; 60] = [
    "ADD",
    "ALL",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "COLUMN",
    "CONFLICT",
    "COPY",
    "CREATE",
    "DEFAULT",
    "DESC",
    "DISTINCT",
    "DO",
    "ELSE",
    "END",
    "EXISTS",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IF",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "PRIMARY",
    "RETURNING",
    "RIGHT",
    "SELECT",
    "SET",
    "TABLE",
    "THEN",
    "TO",
    "UNION",
    "UNIQUE",
    "USING",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WITH",
];

pub(super) fn pieces(sql: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = sql;
    while !rest.is_empty() {
        let (token, kind) = token(rest);
        match pieces.last_mut() {
            Some(last) if last.kind == kind && kind == "plain" => last.text.push_str(token),
            _ => pieces.push(Piece {
                kind,
                text: token.to_owned(),
            }),
        }
        rest = rest.get(token.len()..).unwrap_or_default();
    }
    pieces
}

/// The first token and its kind; never empty.
fn token(rest: &str) -> (&str, &'static str) {
    let first = rest.chars().next().unwrap_or(' ');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if first.is_alphabetic() || first == '_' {
        let token = until(rest, 0, |c| !is_word(c));
        let upper = token.to_uppercase();
        let kind = if DANGER.contains(&upper.as_str()) {
            "danger"
        } else if WORDS.contains(&upper.as_str()) {
            "word"
        } else {
            "plain"
        };
        return (token, kind);
    }
    match first {
        '$' | '?' => (
            until(rest, first.len_utf8(), |c| !c.is_ascii_digit()),
            "hole",
        ),
        '"' => (quoted(rest), "plain"),
        _ => (rest.get(..first.len_utf8()).unwrap_or(rest), "plain"),
    }
}

fn until(rest: &str, from: usize, stop: impl Fn(char) -> bool) -> &str {
    let end = rest
        .get(from..)
        .and_then(|tail| tail.find(stop))
        .map_or(rest.len(), |at| from + at);
    rest.get(..end).unwrap_or(rest)
}

fn quoted(rest: &str) -> &str {
    let end = rest.get(1..).and_then(|tail| tail.find('"'));
    end.and_then(|at| rest.get(..at + 2)).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_lost() {
        for sql in [
            "DELETE FROM \"Weird name\".t WHERE a = $1 AND b < ?",
            "sélect – \u{1F600} \"unterminated",
            "",
        ] {
            let joined: String = pieces(sql).iter().map(|p| p.text.as_str()).collect();
            assert_eq!(joined, sql);
        }
        let kinds: Vec<_> = pieces("DELETE FROM t").iter().map(|p| p.kind).collect();
        assert_eq!(kinds, ["danger", "plain", "word", "plain"]);
    }
}
