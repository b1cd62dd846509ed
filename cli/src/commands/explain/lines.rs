//! Reads `--jsonl`: one JSON object a line. Bounded, and never stuck at a bad line.

use std::io::{self, BufRead, Read as _};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value};

/// Longest line.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most statements before the one to judge.
const SESSION_MAX: usize = 1000;

/// One statement to judge.
#[derive(Debug)]
pub struct Case {
    /// As given; null when there is none.
    pub id: Value,
    pub dialect: Dialect,
    /// The exact bytes.
    pub sql: Vec<u8>,
    /// What ran on the connection before.
    pub session: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    PostgreSql,
    MySql,
}

/// What a line held.
#[derive(Debug)]
pub enum Read {
    Case(Case),
    Bad {
        id: Value,
        why: String,
    },
    /// Nothing more can be read.
    Broken(io::Error),
}

/// The lines of an input that are not blank.
pub struct Lines {
    input: Box<dyn BufRead>,
    line: usize,
    over: bool,
}

impl Lines {
    pub fn new(input: Box<dyn BufRead>) -> Self {
        Self {
            input,
            line: 0,
            over: false,
        }
    }

    /// The number of the line that was read last, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The next line; the inner error when it is too long to be kept.
    fn next_line(&mut self) -> io::Result<Option<Result<Vec<u8>, String>>> {
        let mut line = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = self
            .input
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read > LINE_BYTES_MAX {
            self.skip_line()?;
            return Ok(Some(Err("it is longer than 16 MiB".to_owned())));
        }
        Ok(Some(Ok(line)))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Read;

    fn next(&mut self) -> Option<Read> {
        while !self.over {
            let line = match self.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    self.over = true;
                    return Some(Read::Broken(error));
                }
            };
            let line = match line {
                Ok(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
                line => line,
            };
            let read = line
                .map_err(|why| (Value::Null, why))
                .and_then(|line| case(&line));
            return Some(match read {
                Ok(case) => Read::Case(case),
                Err((id, why)) => Read::Bad { id, why },
            });
        }
        self.over = true;
        None
    }
}

/// A line as a case; with what is wrong, its id where it has one.
fn case(line: &[u8]) -> Result<Case, (Value, String)> {
    let bad = |why: String| (Value::Null, why);
    let value: Value = serde_json::from_slice(line)
        // Position and kind only: the message may quote the line.
        .map_err(|error| {
            bad(format!(
                "not JSON ({:?} at column {})",
                error.classify(),
                error.column()
            ))
        })?;
    let Value::Object(object) = value else {
        return Err(bad("it is no JSON object".to_owned()));
    };
    let id = object.get("id").cloned().unwrap_or(Value::Null);
    let whole = || {
        Ok(Case {
            id: id.clone(),
            dialect: dialect(&object)?,
            sql: sql(&object)?,
            session: session(&object)?,
        })
    };
    whole().map_err(|why| (id.clone(), why))
}

fn dialect(object: &Map<String, Value>) -> Result<Dialect, String> {
    match object.get("dialect") {
        None | Some(Value::Null) => Ok(Dialect::PostgreSql),
        Some(Value::String(name)) => match name.to_ascii_lowercase().as_str() {
            "postgresql" | "postgres" | "pg" => Ok(Dialect::PostgreSql),
            "mysql" | "mariadb" => Ok(Dialect::MySql),
            _ => Err("its `dialect` is neither postgresql nor mysql".to_owned()),
        },
        Some(_) => Err("its `dialect` is no string".to_owned()),
    }
}

/// `sql_b64` are the exact bytes; `sql` beside it is for reading.
fn sql(object: &Map<String, Value>) -> Result<Vec<u8>, String> {
    match (object.get("sql_b64"), object.get("sql")) {
        (Some(Value::String(encoded)), _) => BASE64
            .decode(encoded)
            .map_err(|_| "its `sql_b64` is not base64".to_owned()),
        (None | Some(Value::Null), Some(Value::String(sql))) => Ok(sql.clone().into_bytes()),
        (None | Some(Value::Null), None | Some(Value::Null)) => {
            Err("it has neither `sql` nor `sql_b64`".to_owned())
        }
        _ => Err("its statement is no string".to_owned()),
    }
}

fn session(object: &Map<String, Value>) -> Result<Vec<Vec<u8>>, String> {
    let list = match object.get("session") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("its `session` is no list".to_owned()),
    };
    if list.len() > SESSION_MAX {
        return Err(format!(
            "its `session` has more than {SESSION_MAX} statements"
        ));
    }
    let statement = |value: &Value| match value {
        Value::String(sql) => Ok(sql.clone().into_bytes()),
        Value::Object(object) => sql(object),
        _ => Err("a statement of its `session` is no string".to_owned()),
    };
    list.iter().map(statement).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Read> {
        Lines::new(Box::new(io::Cursor::new(text.as_bytes().to_vec()))).collect()
    }

    #[test]
    fn a_bad_line_does_not_end_the_others() {
        let lines = read(
            "{\"id\":1,\"sql\":\"a\"}\n\nnot json\n[]\n{\"id\":\"x\"}\n{\"id\":2,\"sql_b64\":\"AP8=\",\"session\":[\"s\"]}",
        );
        assert_eq!(lines.len(), 5);
        assert!(matches!(&lines[0], Read::Case(case) if case.sql == b"a"));
        assert!(matches!(
            &lines[1],
            Read::Bad {
                id: Value::Null,
                ..
            }
        ));
        assert!(matches!(&lines[2], Read::Bad { .. }));
        assert!(matches!(&lines[3], Read::Bad { id: Value::String(id), .. } if id == "x"));
        assert!(
            matches!(&lines[4], Read::Case(case) if case.sql == [0, 255] && case.session == [b"s"])
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = "x".repeat(LINE_BYTES_MAX + 10);
        let lines = read(&format!("{long}\n{{\"sql\":\"a\"}}\n"));
        assert!(matches!(&lines[0], Read::Bad { .. }));
        assert!(matches!(&lines[1], Read::Case(_)));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_without_quoting_it() {
        for (line, expected) in [
            (r#"{"dialect":"oracle","sql":"a"}"#, "neither"),
            (r#"{"dialect":7,"sql":"a"}"#, "no string"),
            (r#"{"sql":7}"#, "no string"),
            (r#"{"sql_b64":"?"}"#, "base64"),
            (r#"{"sql":"a","session":"b"}"#, "no list"),
            (r#"{"sql":"a","session":[7]}"#, "no string"),
        ] {
            let lines = read(line);
            let [Read::Bad { why, .. }] = &lines[..] else {
                panic!("{line}");
            };
            assert!(why.contains(expected), "{line}: {why}");
        }
    }
}
