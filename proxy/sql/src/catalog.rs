//! What a target's catalog says: relations with their columns, views, rules, triggers and keys;
//! routines, operators, casts and types that are not the server's own.
//!
//! Plain data. Whoever can reach a target runs [`LOAD_SQL`] and gives the one value it returns to
//! [`Catalog::from_json`]; nothing here does I/O. Expressions and definitions are SQL text with
//! every name qualified, as `pg_get_viewdef` and kin print it under an empty `search_path`.

mod index;
mod meaning;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Serialize};

use crate::FunctionName;
pub(crate) use index::Index;
pub(crate) use meaning::Thing;

/// Opens the transaction [`LOAD_SQL`] is to run in: one snapshot, read-only, and `search_path`
/// set to nothing after the session's own has been kept for the answer. [`LOAD_END_SQL`] ends it.
pub const LOAD_BEGIN_SQL: &str = "\
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
SELECT pg_catalog.set_config('abeyance.search_path', pg_catalog.to_json(pg_catalog.current_schemas(true))::text, true); \
SELECT pg_catalog.set_config('search_path', '', true), pg_catalog.set_config('jit', 'off', true)";

/// Gives a target's catalog as one JSON value, one row of one column of type `json`.
pub const LOAD_SQL: &str = include_str!("catalog/load.sql");

/// Ends what [`LOAD_BEGIN_SQL`] began; the session is as it was.
pub const LOAD_END_SQL: &str = "ROLLBACK";

/// Between [`LOAD_BEGIN_SQL`] and [`LOAD_SQL`], in a client's own session: only its temporary
/// relations are wanted, for [`Catalog::with_temporary`].
pub const LOAD_TEMPORARY_ONLY_SQL: &str =
    "SELECT pg_catalog.set_config('abeyance.scope', 'temporary', true)";

/// What [`LOAD_SQL`] gave is not a catalog.
#[derive(Debug, thiserror::Error)]
#[error("the target's catalog cannot be read: {0}")]
pub struct CatalogError(#[from] serde_json::Error);

impl Catalog {
    /// Reads what [`LOAD_SQL`] gave.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn from_json(json: &[u8]) -> Result<Self, CatalogError> {
        let mut catalog: Self = serde_json::from_slice(json)?;
        catalog.digest_sources();
        catalog.index();
        Ok(catalog)
    }

    /// What names lead to; made at first use, so whoever changes a catalog does it before.
    pub(crate) fn index(&self) -> &Index {
        self.index.0.get_or_init(|| Box::new(Index::of(self)))
    }

    /// The same catalog with a session's own temporary relations, as [`LOAD_TEMPORARY_ONLY_SQL`]
    /// gives them, in the place of any it has.
    #[must_use]
    pub fn with_temporary(&self, session: Self) -> Self {
        let lasting = self.relations.iter().filter(|one| !one.temporary).cloned();
        let own = session.relations.into_iter().filter(|one| one.temporary);
        Self {
            server_version: self.server_version,
            database: self.database.clone(),
            user: self.user.clone(),
            search_path: session.search_path,
            relations: lasting.chain(own).collect(),
            routines: self.routines.clone(),
            operators: self.operators.clone(),
            casts: self.casts.clone(),
            types: self.types.clone(),
            index: Indexed::default(),
        }
    }
}

/// A catalog as one session sees it.
#[derive(Debug, Clone)]
pub struct Sight {
    pub catalog: Arc<Catalog>,
    /// The schemas unqualified names are looked up in, in order: `current_schemas(true)`.
    pub search_path: Arc<[String]>,
    /// Routines somebody vouches for in the configuration: they count as harmless built-ins.
    pub vouched: Arc<BTreeSet<FunctionName>>,
}

/// One state of a target's catalog.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// As `server_version_num`: 150018.
    pub server_version: u32,
    pub database: String,
    pub user: String,
    /// `current_schemas(true)` of a new session.
    pub search_path: Vec<String>,
    pub relations: Vec<Relation>,
    pub routines: Vec<Routine>,
    pub operators: Vec<Operator>,
    pub casts: Vec<Cast>,
    pub types: Vec<Type>,
    #[serde(skip)]
    index: Indexed,
}

/// Belongs to one state of one catalog: a copy starts without.
#[derive(Default)]
struct Indexed(OnceLock<Box<Index>>);

impl Clone for Indexed {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Indexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("index")
    }
}

/// A name with its schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QualifiedName {
    pub schema: String,
    pub name: String,
}

/// Something with rows or columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Relation {
    pub oid: u32,
    pub name: QualifiedName,
    pub kind: RelationKind,
    pub owner: String,
    pub temporary: bool,
    pub columns: Vec<Column>,
    /// `reltuples`; `None` before the first ANALYZE.
    pub rows: Option<f64>,
    /// Size on disk in pages of 8 KiB, by the last ANALYZE.
    pub pages: u32,
    /// The query of a view or materialised view.
    pub definition: Option<String>,
    pub rules: Vec<RewriteRule>,
    pub triggers: Vec<Trigger>,
    /// Parents, by inheritance or as partitioned tables.
    pub parents: Vec<u32>,
    /// Columns of each primary key, unique constraint and plain unique index.
    pub unique_keys: Vec<Vec<String>>,
    pub foreign_keys: Vec<ForeignKey>,
    pub row_security: bool,
    /// Expressions that run when rows are read: row security policies.
    pub on_read: Vec<String>,
    /// Expressions that run when rows are written: defaults, generated columns, checks, index
    /// expressions, policies.
    pub on_write: Vec<String>,
    /// Functions that sorting and grouping compare whole rows with, other than the server's own.
    #[serde(default)]
    pub on_compare: Vec<QualifiedName>,
    /// Functions of the operator classes of its indexes and partitions, other than the server's own and those in C.
    #[serde(default)]
    pub on_scan: Vec<QualifiedName>,
    /// A digest of what else decides what statements on it do: which default a column has, whom a policy is for, the
    /// whole of each trigger and constraint.
    #[serde(default)]
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    Table,
    Partitioned,
    View,
    MaterializedView,
    Foreign,
    Sequence,
    /// An index, a TOAST table, a composite type.
    Other,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub type_name: QualifiedName,
}

/// A rule of the rewrite system other than a view's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RewriteRule {
    pub name: String,
    /// `SELECT`, `INSERT`, `UPDATE` or `DELETE`.
    pub event: String,
    pub instead: bool,
    /// The whole `CREATE RULE`.
    pub definition: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trigger {
    pub name: String,
    pub function: QualifiedName,
    /// Any of `INSERT`, `UPDATE`, `DELETE`, `TRUNCATE`.
    pub events: Vec<String>,
    pub enabled: bool,
    /// The whole `CREATE TRIGGER`, when it has a WHEN clause.
    #[serde(default)]
    pub conditional: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForeignKey {
    pub name: String,
    pub columns: Vec<String>,
    /// The table referred to.
    pub references: u32,
    pub referenced_columns: Vec<String>,
    pub on_delete: ForeignKeyAction,
    pub on_update: ForeignKeyAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignKeyAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// A function, procedure, aggregate or window function that did not come with the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Routine {
    pub oid: u32,
    pub name: QualifiedName,
    /// Types of what a call gives.
    pub arguments: Vec<QualifiedName>,
    /// How many of them have a default, from the end.
    #[serde(default)]
    pub defaults: usize,
    /// The last of them takes any number of values.
    #[serde(default)]
    pub variadic: bool,
    pub returns: QualifiedName,
    /// Any number of them. Dumps that do not say so may mean either.
    #[serde(default = "unknown_is_true")]
    pub returns_set: bool,
    /// `i`, `s` or `v`, as in `pg_proc`.
    pub volatility: char,
    pub security_definer: bool,
    pub language: String,
    /// The language may be used by anybody.
    pub trusted: bool,
    pub owner: String,
    /// The server brings a routine of this name with just these argument types, which is found
    /// first unless `search_path` says otherwise.
    #[serde(default)]
    pub doubles_built_in: bool,
    /// The whole of it, as the target gives it; kept as what the next two say of it.
    #[serde(default, skip_serializing)]
    source: Option<String>,
    /// Another one, when it does another thing. Empty in dumps that do not say.
    #[serde(default)]
    pub digest: String,
    /// Names of the catalog in its text.
    #[serde(default)]
    pub mentions: Vec<String>,
}

fn unknown_is_true() -> bool {
    true
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operator {
    pub name: QualifiedName,
    pub left: Option<QualifiedName>,
    pub right: Option<QualifiedName>,
    pub function: QualifiedName,
    /// The function came with the server.
    pub built_in: bool,
    /// The server brings an operator of this name for just these types, which is found first
    /// unless `search_path` says otherwise.
    #[serde(default)]
    pub doubles_built_in: bool,
}

/// A cast somebody defined.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cast {
    pub source: QualifiedName,
    pub target: QualifiedName,
    /// `None` for a cast that converts nothing, or goes through text.
    pub function: Option<QualifiedName>,
    /// The function came with the server.
    pub built_in: bool,
    /// `e` explicit, `a` on assignment, `i` implicit.
    pub context: char,
}

/// A type that did not come with the server, or one that is compared by code that did not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Type {
    pub name: QualifiedName,
    pub kind: TypeKind,
    /// Expressions that run when a value is made: checks of a domain.
    pub on_make: Vec<String>,
    /// Functions that sorting and grouping compare values with, other than the server's own.
    #[serde(default)]
    pub on_compare: Vec<QualifiedName>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum TypeKind {
    Enum,
    Domain {
        over: QualifiedName,
    },
    Composite {
        columns: Vec<Column>,
    },
    Range {
        of: QualifiedName,
    },
    Array {
        of: QualifiedName,
    },
    /// With input and output functions of its own.
    Base,
}

#[cfg(test)]
mod tests;
