//! What analysis knows of a statement without policy.

use std::{collections::BTreeSet, ops::Range};

use serde::Serialize;

/// The reading of one query string: its statements in order.
///
/// An empty query string has no statements. A string that cannot be parsed as a whole is a
/// single opaque statement that spans all of it.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    pub statements: Vec<StatementFacts>,
}

/// Facts of one statement.
#[derive(Debug, Clone, Serialize)]
pub struct StatementFacts {
    /// Byte range in the query string, without the separating semicolon.
    pub span: Range<usize>,
    /// The statement's name in the manual: `SELECT`, `DELETE`, `ALTER TABLE`; `opaque` if unknown.
    pub kind: String,
    pub class: StatementClass,
    /// Relations whose rows are read.
    pub reads: BTreeSet<RelationName>,
    /// Relations whose rows are written.
    pub writes: BTreeSet<RelationName>,
    /// Relations, or other named objects, whose definition is changed.
    pub alters: BTreeSet<RelationName>,
    /// Every function called by name, as written.
    pub functions: BTreeSet<FunctionName>,
    pub predicate: Predicate,
    pub session: SessionEffect,
    pub transaction: TransactionEffect,
    /// The names of prepared statements or cursors this one refers to (`EXECUTE x`, `FETCH x`).
    pub refers_to: Option<String>,
    /// The name this statement defines for later reference (`PREPARE x`, `DECLARE x`).
    pub defines: Option<String>,
    /// Why the statement could not be fully understood.
    pub opaque: Option<OpaqueReason>,
    /// Everything that makes EXPLAIN of this statement safe without a catalog is known: only
    /// SELECT, INSERT, UPDATE, DELETE, MERGE whose functions and casts are known built-ins.
    pub explainable: bool,
    /// Pretty-printed with literals, bind values and comments out.
    pub redacted: String,
    /// 16 hex digits, equal for statements that differ only in literals, case or white space.
    pub fingerprint: String,
}

/// The coarse class rules match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementClass {
    /// Reads rows and changes nothing that analysis can see.
    Read,
    /// Changes rows.
    Write,
    /// Changes definitions or privileges.
    Ddl,
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT and kin.
    Transaction,
    /// Changes or shows only this session's state: SET, SHOW, DISCARD, LISTEN.
    Session,
    /// Maintenance and the rest: VACUUM, ANALYZE, CLUSTER, CHECKPOINT, LOCK.
    Utility,
    /// COPY, in either direction.
    Copy,
    /// Not understood: handled as the most dangerous thing it might be.
    Opaque,
}

/// A possibly schema-qualified name, unquoted and case-folded as the server would.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RelationName {
    pub schema: Option<String>,
    pub name: String,
}

/// A function as called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FunctionName {
    pub schema: Option<String>,
    pub name: String,
}

/// The shape of a write's WHERE clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// The statement has no predicate to speak of.
    NotApplicable,
    /// UPDATE or DELETE of every row.
    Missing,
    /// Always true: `WHERE true`, `1 = 1`, `id = id`.
    Tautology,
    /// `column = constant`, possibly with more conditions joined by AND.
    Equality,
    /// Anything else.
    Range,
}

/// What the statement does to session state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEffect {
    None,
    /// SET or RESET of a named parameter, value out. `local` for SET LOCAL.
    Set {
        parameter: String,
        local: bool,
    },
    /// SET ROLE, SET SESSION AUTHORIZATION.
    Role,
    /// DISCARD, RESET ALL.
    Reset,
    /// LISTEN, NOTIFY, UNLISTEN.
    Notify,
}

/// What the statement does to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionEffect {
    None,
    Begin,
    Commit,
    Rollback,
    Savepoint,
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
    TwoPhase,
}

/// Why a statement is opaque.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum OpaqueReason {
    /// The server's grammar refused it here (its message, literals out).
    Syntax { message: String },
    /// Not UTF-8, or with a NUL byte.
    Encoding,
    /// Over a named bound.
    TooLarge { limit: &'static str, value: u64 },
    /// A node the walk does not know.
    UnknownNode { node: String },
    /// Code in a string: DO, CREATE FUNCTION bodies.
    DynamicCode,
    /// EXECUTE or FETCH of a name that was not seen being defined.
    UnknownReference { name: String },
}
