//! Every statement name that facts can carry, with the class it mainly belongs to.
//!
//! Rules are checked against this list, so that a misspelt name is an error and not a rule that
//! never matches. A test keeps it complete.

use crate::StatementClass::{
    self, Copy, Ddl, Opaque, Read, Session, SessionRisk, Transaction, Unvouched, Utility, Write,
};

/// Names as in the manual. A name can stand for more classes than its main one: SET is
/// `session` or `session_risk`, SELECT can be `unvouched`.
const KINDS: &[(&str, &[StatementClass])] = &[
    ("SELECT", &[Read, Unvouched, SessionRisk]),
    ("EXPLAIN", &[Read, Unvouched, Opaque]),
    ("INSERT", &[Write]),
    ("UPDATE", &[Write]),
    ("DELETE", &[Write]),
    ("MERGE", &[Write]),
    ("TRUNCATE", &[Write]),
    ("SELECT FOR UPDATE", &[Write]),
    ("SELECT FOR NO KEY UPDATE", &[Write]),
    ("SELECT FOR SHARE", &[Write]),
    ("SELECT FOR KEY SHARE", &[Write]),
    ("SELECT INTO", &[Ddl]),
    ("COPY", &[Copy]),
    ("COPY FILE", &[Copy]),
    ("COPY PROGRAM", &[Copy]),
    ("CALL", &[Unvouched]),
    ("DO", &[Opaque]),
    ("EXECUTE", &[Opaque]),
    ("FETCH", &[Opaque]),
    ("MOVE", &[Opaque]),
    ("opaque", &[Opaque]),
    ("BEGIN", &[Transaction]),
    ("START TRANSACTION", &[Transaction]),
    ("COMMIT", &[Transaction]),
    ("ROLLBACK", &[Transaction]),
    ("SAVEPOINT", &[Transaction]),
    ("RELEASE SAVEPOINT", &[Transaction]),
    ("ROLLBACK TO SAVEPOINT", &[Transaction]),
    ("SET TRANSACTION", &[Transaction, Session]),
    ("PREPARE TRANSACTION", &[Utility]),
    ("COMMIT PREPARED", &[Utility]),
    ("ROLLBACK PREPARED", &[Utility]),
    ("SET", &[Session, SessionRisk]),
    ("RESET", &[Session, SessionRisk]),
    ("SHOW", &[Session]),
    ("SET CONSTRAINTS", &[Session]),
    ("DISCARD", &[Session, SessionRisk]),
    ("CLOSE", &[Session]),
    ("DEALLOCATE", &[Session]),
    ("LISTEN", &[SessionRisk]),
    ("NOTIFY", &[SessionRisk]),
    ("UNLISTEN", &[Session]),
    ("LOCK", &[Utility]),
    ("VACUUM", &[Utility]),
    ("ANALYZE", &[Utility]),
    ("CLUSTER", &[Utility]),
    ("REINDEX", &[Utility]),
    ("REFRESH MATERIALIZED VIEW", &[Utility]),
    ("CHECKPOINT", &[Utility]),
    ("LOAD", &[Utility]),
    ("CREATE TABLE AS", &[Ddl]),
    ("COMMENT", &[Ddl]),
    ("SECURITY LABEL", &[Ddl]),
    ("GRANT", &[Ddl]),
    ("REVOKE", &[Ddl]),
    ("DROP OWNED", &[Ddl]),
    ("REASSIGN OWNED", &[Ddl]),
    ("ALTER SYSTEM", &[Ddl]),
    ("IMPORT FOREIGN SCHEMA", &[Ddl]),
];

/// What CREATE, ALTER and DROP apply to; each gives three names of class `ddl`.
const DDL_OBJECTS: &[&str] = &[
    "ACCESS METHOD",
    "AGGREGATE",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "DATABASE",
    "DEFAULT PRIVILEGES",
    "DOMAIN",
    "EVENT TRIGGER",
    "EXTENSION",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "FUNCTION",
    "INDEX",
    "LANGUAGE",
    "LARGE OBJECT",
    "MATERIALIZED VIEW",
    "OBJECT",
    "OPERATOR",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "ROLE",
    "ROUTINE",
    "RULE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "TABLE",
    "TABLESPACE",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "TRANSFORM",
    "TRIGGER",
    "TYPE",
    "USER MAPPING",
    "VIEW",
];

/// The classes a statement of this name can mainly belong to; `None` for a name that does not
/// exist. Case does not matter.
#[must_use]
pub fn classes_of_kind(kind: &str) -> Option<&'static [StatementClass]> {
    let known = KINDS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(kind));
    if let Some((_, classes)) = known {
        return Some(classes);
    }
    let (verb, object) = kind.split_once(' ')?;
    let verb_known = ["CREATE", "ALTER", "DROP"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(verb));
    let object_known = DDL_OBJECTS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(object));
    (verb_known && object_known).then_some(&[Ddl])
}

/// Every name, for hints.
pub fn all_kinds() -> impl Iterator<Item = String> {
    let ddl = ["CREATE", "ALTER", "DROP"].into_iter().flat_map(|verb| {
        DDL_OBJECTS
            .iter()
            .map(move |object| format!("{verb} {object}"))
    });
    KINDS.iter().map(|(name, _)| (*name).to_owned()).chain(ddl)
}
