//! Lays redacted pieces out for reading: one line if short, else a line a clause.
//!
//! Knows keywords, not grammar: the layout may be plain, but never drops or adds a piece.

use std::{collections::HashSet, sync::LazyLock};

use super::redact::Piece;

/// Longest statement that stays on one line, and the width lists are wrapped at.
const LINE_MAX: usize = 88;

/// Words shown in capitals. Words that people also use as column names are left out.
pub(super) fn is_keyword(upper: &str) -> bool {
    static KEYWORDS: LazyLock<HashSet<&'static str>> =
        LazyLock::new(|| KEYWORD_LIST.split_whitespace().collect());
    KEYWORDS.contains(upper)
}

/// A minus or plus after this is a sign, not a difference or a sum.
pub(super) fn is_sign_after(before: Option<&Piece<'_>>) -> bool {
    match before {
        Some(Piece::Keyword(word)) => !is_operand(word),
        None | Some(Piece::Operator(_) | Piece::Punct(b'(' | b',' | b'[')) => true,
        Some(Piece::Name(_) | Piece::Value(_) | Piece::Count(..) | Piece::Punct(_)) => false,
    }
}

/// Keywords that stand for a value or end one.
fn is_operand(upper: &str) -> bool {
    matches!(
        upper,
        "END"
            | "NULL"
            | "TRUE"
            | "FALSE"
            | "DEFAULT"
            | "CURRENT_DATE"
            | "CURRENT_ROLE"
            | "CURRENT_TIME"
            | "CURRENT_TIMESTAMP"
            | "CURRENT_USER"
            | "LOCALTIME"
            | "LOCALTIMESTAMP"
            | "SESSION_USER"
    )
}

/// The text of a statement, up to the piece that goes beyond `bytes_max`.
pub(super) fn print(pieces: &[Piece<'_>], bytes_max: usize) -> String {
    let line = Layout::new(pieces, false).print(LINE_MAX);
    if line.len() <= LINE_MAX {
        return line;
    }
    Layout::new(pieces, true).print(bytes_max)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// Holds a query: its clauses get lines of their own.
    Query,
    Plain,
}

struct Layout<'a> {
    pieces: &'a [Piece<'a>],
    breaks: bool,
    brackets: Vec<Bracket>,
    between: bool,
    text: String,
    line_start: usize,
}

impl<'a> Layout<'a> {
    fn new(pieces: &'a [Piece<'a>], breaks: bool) -> Self {
        Self {
            pieces,
            breaks,
            brackets: Vec::new(),
            between: false,
            text: String::new(),
            line_start: 0,
        }
    }

    fn print(mut self, bytes_max: usize) -> String {
        for at in 0..self.pieces.len() {
            if self.text.len() > bytes_max {
                break;
            }
            self.piece(at);
        }
        self.text
    }

    fn piece(&mut self, at: usize) {
        let Some(piece) = self.pieces.get(at) else {
            return;
        };
        let before = at.checked_sub(1).and_then(|at| self.pieces.get(at));
        if let Piece::Punct(b')' | b']') = piece {
            self.brackets.pop();
        }
        if let Some(before) = before {
            if self.breaks && self.starts_line(at) {
                let condition =
                    matches!(piece, Piece::Keyword(word) if matches!(&**word, "AND" | "OR"));
                self.line(usize::from(condition));
            } else if self.breaks
                && matches!(before, Piece::Punct(b','))
                && self.text.len() - self.line_start > LINE_MAX
            {
                self.line(2);
            } else if spaced(self.pieces, at) {
                self.text.push(' ');
            }
        }
        self.write(piece);
        match piece {
            Piece::Punct(b'(' | b'[') => self.brackets.push(match self.pieces.get(at + 1) {
                Some(Piece::Keyword(word))
                    if matches!(&**word, "SELECT" | "WITH" | "INSERT" | "UPDATE" | "DELETE") =>
                {
                    Bracket::Query
                }
                _ => Bracket::Plain,
            }),
            Piece::Keyword(word) if word == "BETWEEN" => self.between = true,
            Piece::Keyword(word) if word == "AND" => self.between = false,
            _ => {}
        }
    }

    fn write(&mut self, piece: &Piece<'_>) {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = match piece {
            Piece::Keyword(word) => self.text.write_str(word),
            Piece::Name(name) => self.text.write_str(name.shown()),
            Piece::Value(number) => write!(self.text, "${number}"),
            Piece::Count(count, of) => write!(self.text, "/* {count} {of} */"),
            Piece::Operator(operator) => self.text.write_str(operator),
            Piece::Punct(byte) => self.text.write_char(char::from(*byte)),
        };
    }

    fn line(&mut self, deeper: usize) {
        let queries = self
            .brackets
            .iter()
            .filter(|b| **b == Bracket::Query)
            .count();
        self.text.push('\n');
        self.line_start = self.text.len();
        for _ in 0..queries + deeper {
            self.text.push_str("  ");
        }
    }

    fn starts_line(&self, at: usize) -> bool {
        if self.brackets.last() == Some(&Bracket::Plain) {
            return false;
        }
        let keyword = |at: Option<usize>| match at.and_then(|at| self.pieces.get(at)) {
            Some(Piece::Keyword(word)) => Some(&**word),
            _ => None,
        };
        let Some(word) = keyword(Some(at)) else {
            return false;
        };
        let before = keyword(at.checked_sub(1));
        match word {
            "FROM" => !matches!(before, Some("DISTINCT" | "DELETE" | "COPY")),
            // MERGE reads best with a line for each WHEN.
            "WHEN" => self.is_merge(),
            "AND" | "VALUES" if self.is_merge() => false,
            "AND" => !self.between,
            "JOIN" => !matches!(
                before,
                Some("LEFT" | "RIGHT" | "FULL" | "INNER" | "OUTER" | "CROSS" | "NATURAL")
            ),
            "LEFT" | "RIGHT" | "FULL" | "INNER" | "CROSS" | "NATURAL" => {
                matches!(
                    keyword(Some(at + 1)),
                    Some("JOIN" | "OUTER" | "LEFT" | "RIGHT" | "FULL" | "INNER")
                )
            }
            "SET" => !matches!(before, None | Some("UPDATE")) || self.names_before(at),
            "OR" => before != Some("CREATE"),
            "WHERE" | "GROUP" | "ORDER" | "HAVING" | "LIMIT" | "OFFSET" | "UNION" | "EXCEPT"
            | "INTERSECT" | "RETURNING" | "VALUES" | "WINDOW" => !matches!(
                self.pieces.get(at.wrapping_sub(1)),
                Some(Piece::Punct(b'('))
            ),
            "SELECT" => {
                matches!(
                    self.pieces.get(at.wrapping_sub(1)),
                    Some(Piece::Punct(b')'))
                ) || matches!(
                    before,
                    Some("UNION" | "EXCEPT" | "INTERSECT" | "ALL" | "AS")
                )
            }
            _ => false,
        }
    }

    fn is_merge(&self) -> bool {
        let first = self.pieces.first();
        self.brackets.is_empty() && matches!(first, Some(Piece::Keyword(word)) if word == "MERGE")
    }

    fn names_before(&self, at: usize) -> bool {
        matches!(self.pieces.get(at.wrapping_sub(1)), Some(Piece::Name(_)))
            && matches!(self.pieces.first(), Some(Piece::Keyword(word)) if word == "UPDATE" || word == "WITH")
    }
}

/// Whether a blank belongs before the piece at `at`.
fn spaced(pieces: &[Piece<'_>], at: usize) -> bool {
    let (Some(before), Some(piece)) = (pieces.get(at.wrapping_sub(1)), pieces.get(at)) else {
        return false;
    };
    let tight_after = matches!(
        before,
        Piece::Punct(b'(' | b'[' | b'.') | Piece::Operator("::")
    );
    let tight_before = matches!(
        piece,
        Piece::Punct(b')' | b']' | b',' | b';' | b'.') | Piece::Operator("::")
    );
    if tight_after || tight_before {
        return false;
    }
    match (before, piece) {
        (Piece::Name(_), Piece::Punct(b'(')) => {
            // `INSERT INTO t (a)` against `count(a)`.
            matches!(pieces.get(at.wrapping_sub(2)), Some(Piece::Keyword(word))
                if matches!(&**word, "INTO" | "TABLE" | "ON"))
        }
        (Piece::Keyword(word), Piece::Punct(b'(')) => !is_call_like(word),
        (Piece::Name(_) | Piece::Punct(b']'), Piece::Punct(b'[')) => false,
        (Piece::Keyword(word), Piece::Punct(b'[')) => word != "ARRAY",
        (Piece::Operator("-" | "+"), Piece::Value(_) | Piece::Name(_)) => {
            !is_sign_after(at.checked_sub(2).and_then(|at| pieces.get(at)))
        }
        _ => true,
    }
}

fn is_call_like(word: &str) -> bool {
    matches!(
        word,
        "COALESCE"
            | "NULLIF"
            | "GREATEST"
            | "LEAST"
            | "EXTRACT"
            | "SUBSTRING"
            | "POSITION"
            | "TRIM"
            | "OVERLAY"
            | "CAST"
            | "EXISTS"
            | "LEFT"
            | "RIGHT"
            | "ROW"
            | "XMLELEMENT"
    )
}

const KEYWORD_LIST: &str = "\
ABORT ADD ALL ALTER ANALYSE ANALYZE AND ANY ARRAY AS ASC ASYMMETRIC AUTHORIZATION BEGIN BETWEEN \
BOTH BY CALL CASCADE CASE CAST CHECK CHECKPOINT CLOSE CLUSTER COALESCE COLLATE COLUMN COMMENT \
COMMIT CONCURRENTLY CONFLICT CONSTRAINT COPY CREATE CROSS CUBE CURRENT_DATE CURRENT_ROLE \
CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATABASE DEALLOCATE DECLARE DEFAULT \
DEFERRABLE DELETE DESC DISCARD DISTINCT DO DROP ELSE END EXCEPT EXECUTE EXISTS EXPLAIN EXTENSION \
EXTRACT FALSE FETCH FILTER FOR FOREIGN FREEZE FROM FULL FUNCTION GRANT GREATEST GROUP GROUPING \
HAVING ILIKE IN INDEX INHERITS INITIALLY INNER INSERT INTERSECT INTO IS ISNULL JOIN LATERAL \
LEADING LEAST LEFT LIKE LIMIT LISTEN LOAD LOCALTIME LOCALTIMESTAMP LOCK MATCHED MATERIALIZED \
MERGE MOVE NATURAL NOT NOTHING NOTIFY NOTNULL NOWAIT NULL NULLIF OFFSET ON ONLY OR ORDER OUTER \
OVER OVERLAPS OVERLAY OWNED PARTITION PASSWORD PLACING POLICY POSITION PREPARE PRIMARY PROCEDURE \
PROGRAM REASSIGN RECURSIVE REFERENCES REFRESH REINDEX RELEASE RENAME REPLACE RESET RESTRICT \
RETURNING REVOKE RIGHT ROLE ROLLBACK ROLLUP ROW SAVEPOINT SCHEMA SECURITY SELECT SEQUENCE \
SESSION_USER SET SHOW SIMILAR SOME START STDIN STDOUT SUBSTRING SYMMETRIC TABLE TABLESAMPLE TEMP \
TEMPORARY THEN TO TRAILING TRANSACTION TRIGGER TRIM TRUE TRUNCATE UNION UNIQUE UNLISTEN UPDATE \
USING VACUUM VALUES VARIADIC VIEW WHEN WHERE WINDOW WITH WITHIN XMLELEMENT";
