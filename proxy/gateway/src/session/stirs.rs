//! What running a statement may change about the meaning of names.
//!
//! Pure. Decided by facts alone, for the worst that may come of it: whether it then happened is found out by
//! asking the target, not by following it.

use abeyance_sql::{SessionEffect, StatementClass, StatementFacts, TransactionEffect};

/// What a statement, or a batch, may change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stirs {
    /// Definitions, by a statement that says so.
    pub(crate) definitions: bool,
    /// Anything, by code that analysis does not see.
    pub(crate) unseen: bool,
    /// Where the session looks names up: `search_path`, role, temporary relations.
    pub(crate) path: bool,
    /// A transaction, or a part of one, ends: what was changed in it may be undone, or seen by others.
    pub(crate) ends: bool,
}

impl Stirs {
    /// Of the end of a transaction, and nothing else.
    pub(crate) fn end() -> Self {
        Self {
            ends: true,
            ..Self::default()
        }
    }

    /// What one statement may change. `unseen`: it runs code that analysis does not see.
    pub(crate) fn by(facts: &StatementFacts, unseen: bool) -> Self {
        let ends = !matches!(
            facts.transaction,
            TransactionEffect::None | TransactionEffect::Begin
        );
        let two_phase = facts.transaction == TransactionEffect::TwoPhase;
        let definitions = two_phase
            || facts.classes.contains(&StatementClass::Ddl)
            || !facts.alters.is_empty() && !facts.classes.contains(&StatementClass::Write);
        let path = match &facts.session {
            SessionEffect::None | SessionEffect::Notify => false,
            SessionEffect::Set { parameter, .. } => moves_names(parameter),
            SessionEffect::Role | SessionEffect::Reset => true,
        };
        let function = || facts.functions.iter().any(|f| f.name == "set_config");
        Self {
            definitions,
            unseen,
            path: path || function(),
            ends,
        }
    }

    /// What names stand for may be another thing afterwards.
    pub(crate) fn names(self) -> bool {
        self.definitions || self.unseen || self.path
    }

    pub(crate) fn any(self) -> bool {
        self.names() || self.ends
    }
}

impl std::ops::BitOrAssign for Stirs {
    fn bitor_assign(&mut self, other: Self) {
        self.definitions |= other.definitions;
        self.unseen |= other.unseen;
        self.path |= other.path;
        self.ends |= other.ends;
    }
}

/// Parameters that decide what a name stands for.
fn moves_names(parameter: &str) -> bool {
    ["search_path", "role", "session_authorization"]
        .iter()
        .any(|name| parameter.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use abeyance_sql::{ReadOptions, analyse};

    use super::*;

    fn stirs(sql: &str) -> Stirs {
        let analysis = analyse(sql.as_bytes(), ReadOptions::default());
        let mut stirs = Stirs::default();
        for facts in &analysis.statements {
            stirs |= Stirs::by(facts, !facts.is_certain());
        }
        stirs
    }

    #[test]
    fn ordinary_statements_stir_nothing() {
        for sql in [
            "SELECT * FROM patients WHERE id = 1",
            "INSERT INTO rooms VALUES (1)",
            "UPDATE rooms SET a = 1 WHERE id = 1",
            "BEGIN",
            "SET application_name = 'x'",
            "SHOW search_path",
        ] {
            assert_eq!(stirs(sql), Stirs::default(), "{sql}");
        }
    }

    #[test]
    fn what_may_change_a_name_does() {
        for sql in [
            "SET search_path = a",
            "SET LOCAL Search_Path TO a",
            "RESET search_path",
            "RESET ALL",
            "DISCARD TEMP",
            "SET ROLE nurse",
            "RESET ROLE",
            "SET SESSION AUTHORIZATION nurse",
            "SELECT set_config('search_path', 'a', false)",
        ] {
            assert!(stirs(sql).path, "{sql}");
        }
        for sql in [
            "CREATE TEMP TABLE patients (id int)",
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "ALTER TABLE a RENAME TO b",
            "DROP TABLE a",
            "SELECT 1 AS a INTO TEMP b",
            "GRANT USAGE ON SCHEMA a TO b",
            "COMMIT PREPARED 'x'",
        ] {
            assert!(stirs(sql).definitions, "{sql}");
        }
        for sql in ["SELECT purge()", "DO 'BEGIN END'", "CALL f()"] {
            assert!(stirs(sql).unseen, "{sql}");
        }
        for sql in ["COMMIT", "ROLLBACK", "ROLLBACK TO SAVEPOINT a"] {
            assert!(stirs(sql).ends, "{sql}");
        }
    }
}
