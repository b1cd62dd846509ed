//! Counts the rows a command changes where its tag does not tell: a write inside WITH, EXPLAIN ANALYZE, a function.
//!
//! Asks the target's own counters before and after, in the same transaction. They are of the server's user tables,
//! and of those alone that analysis says are written, where it is certain; else of all, cascades and triggers included.

use std::fmt::Write as _;

use abeyance_sql::{RelationName, StatementFacts};

use crate::{
    error::{SessionError, TargetError},
    session::{Session, own::own_statement},
};

/// Statements whose tag counts what they change.
pub(crate) const COUNTING: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "MERGE"];
/// Rows changed so far in the transaction, in all user tables.
pub(crate) const ALL_ROWS: &str = "SELECT pg_catalog.sum(n_tup_ins OPERATOR(pg_catalog.+) n_tup_upd \
    OPERATOR(pg_catalog.+) n_tup_del) FROM pg_catalog.pg_stat_xact_user_tables";
/// More tables than anybody names in a statement: then all are counted.
const TABLES_MAX: usize = 64;

/// The question for a command's rows; `None` when its tag will do.
pub(super) fn question(first_word: &str, facts: Option<&StatementFacts>) -> Option<String> {
    let mut sql = ALL_ROWS.to_owned();
    let Some(facts) = facts else { return Some(sql) };
    if !facts.is_certain() || facts.refers_to.is_some() {
        return Some(sql);
    }
    let writes = facts
        .kinds
        .iter()
        .filter(|kind| COUNTING.contains(&kind.as_str()));
    let writes: Vec<_> = writes.collect();
    match writes[..] {
        [] => return None,
        [only] if only.eq_ignore_ascii_case(first_word) => return None,
        _ => {}
    }
    let tables = facts.catalog.as_ref().map(|catalog| &catalog.writes);
    if let Some(tables) = tables.filter(|tables| !tables.is_empty() && tables.len() <= TABLES_MAX) {
        sql.push_str(" WHERE false");
        for RelationName { schema, name } in tables {
            let schema = schema.as_deref().unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(
                sql,
                " OR schemaname OPERATOR(pg_catalog.=) {}::pg_catalog.name \
                  AND relname OPERATOR(pg_catalog.=) {}::pg_catalog.name",
                literal(schema),
                literal(name)
            );
        }
    }
    Some(sql)
}

/// A string constant that reads the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{escaped}'")
}

impl Session {
    /// The target's answer: rows changed so far. `None` when it keeps no such counts.
    pub(in crate::session) async fn rows_written(
        &mut self,
        question: &str,
    ) -> Result<Option<u64>, SessionError> {
        own_statement(&mut self.target, question)?;
        let limit = self.gateway.limits.exchange_timeout;
        let answer = tokio::time::timeout(limit, self.own_group());
        let answer = answer.await.map_err(|_| TargetError::Timeout)??;
        if answer.sqlstate.is_some() {
            return Err(TargetError::Protocol("rows could not be counted").into());
        }
        let value = answer
            .value
            .as_deref()
            .and_then(|value| std::str::from_utf8(value).ok());
        Ok(value.and_then(|value| value.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use abeyance_sql::{ReadOptions, analyse};

    use super::*;

    #[test]
    fn the_server_is_asked_where_the_tag_does_not_tell() {
        for (sql, asked) in [
            ("DELETE FROM rooms", false),
            ("insert into rooms values ('a', 1, 1)", false),
            ("SELECT 1", false),
            (
                "WITH d AS (DELETE FROM rooms RETURNING *) SELECT count(*) FROM d",
                true,
            ),
            (
                "WITH d AS (DELETE FROM rooms RETURNING *) INSERT INTO rooms SELECT * FROM d",
                true,
            ),
            ("INSERT INTO rooms SELECT purge_patient(1), 1, 1", true),
            ("EXPLAIN ANALYZE DELETE FROM rooms", true),
            ("EXECUTE p", true),
        ] {
            let facts = analyse(sql.as_bytes(), ReadOptions::default()).statements;
            let first = sql.split(' ').next().unwrap();
            assert_eq!(question(first, facts.first()).is_some(), asked, "{sql}");
        }
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(literal(r"a'b\c"), r"E'a''b\\c'");
    }
}
