//! What analysis knows of a statement without policy.

use std::{borrow::Cow, collections::BTreeSet, fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::impact::{Impact, Undo};

/// The reading of one query string: its statements in order.
///
/// An empty query string has no statements. A string that cannot be parsed as a whole is a
/// single opaque statement that spans all of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Analysis {
    pub statements: Vec<StatementFacts>,
}

/// Facts of one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementFacts {
    /// Byte range in the query string, without the separating semicolon.
    pub span: Range<usize>,
    /// The statement's name in the manual: `SELECT`, `DELETE`, `ALTER TABLE`; `opaque` if unknown.
    ///
    /// A statement that runs or names another one (EXPLAIN ANALYZE, PREPARE, DECLARE) has the
    /// name of the other one.
    pub kind: String,
    /// Every statement name in it: `kind` and those of data-modifying parts.
    pub kinds: BTreeSet<String>,
    /// What the statement mainly is.
    pub class: StatementClass,
    /// Everything the statement is: `class` and, for one that also does something else, that too.
    pub classes: BTreeSet<StatementClass>,
    /// Relations whose rows are read.
    pub reads: BTreeSet<RelationName>,
    /// Relations whose rows are written.
    pub writes: BTreeSet<RelationName>,
    /// Relations, or other named objects, whose definition is changed.
    pub alters: BTreeSet<RelationName>,
    /// Every function called by name, as written.
    pub functions: BTreeSet<FunctionName>,
    /// Every operator, as written.
    pub operators: BTreeSet<FunctionName>,
    /// Every type that is cast to, as written.
    pub casts: BTreeSet<FunctionName>,
    /// Columns whose values are read, compared or written: of base tables where the catalog is
    /// known, else as written.
    pub columns: BTreeSet<ColumnName>,
    /// `columns` is all: no star, whole row or name was left unresolved. Without a catalog only as
    /// far as the text tells: a relation may be a view of others, or have children.
    pub columns_known: bool,
    pub predicate: Predicate,
    /// Columns of the written table that are compared with constants by `=`, all joined by AND.
    pub keyed_by: BTreeSet<String>,
    /// A constant bound on the rows returned or inserted: LIMIT, FETCH FIRST, VALUES.
    pub rows_max: Option<u64>,
    pub session: SessionEffect,
    pub transaction: TransactionEffect,
    /// The names of prepared statements or cursors this one refers to (`EXECUTE x`, `FETCH x`).
    pub refers_to: Option<String>,
    /// The name this statement defines for later reference (`PREPARE x`, `DECLARE x`).
    pub defines: Option<String>,
    /// Why the statement could not be fully understood.
    pub opaque: Option<OpaqueReason>,
    /// What analysis cannot vouch for without a catalog, one line each, in words for reviewers.
    pub doubts: BTreeSet<String>,
    /// Everything that makes EXPLAIN of this statement safe without a catalog is known: only
    /// SELECT, INSERT, UPDATE, DELETE, MERGE whose functions and casts are known built-ins.
    pub explainable: bool,
    /// What it does depends on where a cursor, a sequence or the like stands in this session: the same text elsewhere
    /// does something else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub positioned: bool,
    /// It makes one value of any number of rows: how many rows come of it says nothing of how many were read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gathers: bool,
    /// What running it would do to others.
    pub impact: Impact,
    /// What the catalog adds; `None` when analysis had none.
    pub catalog: Option<CatalogFacts>,
    /// Pretty-printed with literals, bind values and comments out; at most 8 kB.
    pub redacted: String,
    /// 32 hex digits (128 bits of SHA-256), equal for statements that differ only in literals,
    /// the length of lists, case, comments or white space.
    pub fingerprint: String,
}

impl StatementFacts {
    /// A statement nothing is known of, except where it stands and why.
    #[must_use]
    pub fn opaque(span: Range<usize>, reason: OpaqueReason) -> Self {
        Self {
            span,
            kind: "opaque".to_owned(),
            kinds: BTreeSet::from(["opaque".to_owned()]),
            class: StatementClass::Opaque,
            classes: BTreeSet::from([StatementClass::Opaque]),
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            alters: BTreeSet::new(),
            functions: BTreeSet::new(),
            operators: BTreeSet::new(),
            casts: BTreeSet::new(),
            columns: BTreeSet::new(),
            columns_known: false,
            predicate: Predicate::NotApplicable,
            keyed_by: BTreeSet::new(),
            rows_max: None,
            session: SessionEffect::None,
            transaction: TransactionEffect::None,
            refers_to: None,
            defines: None,
            opaque: Some(reason),
            doubts: BTreeSet::new(),
            explainable: false,
            positioned: true,
            gathers: true,
            impact: Impact::unknown(),
            catalog: None,
            redacted: String::new(),
            fingerprint: String::new(),
        }
    }

    /// Takes note of something that cannot be vouched for.
    pub(crate) fn doubt(&mut self, words: &str) {
        self.doubts.insert(words.to_owned());
        self.classes.insert(StatementClass::Unvouched);
        self.explainable = false;
        self.impact.undo = Undo::Unknown;
        if self.class == StatementClass::Read {
            self.class = StatementClass::Unvouched;
            self.classes.remove(&StatementClass::Read);
        }
    }

    /// Analysis saw everything the statement does, as far as its text can tell.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.opaque.is_none() && self.doubts.is_empty()
    }

    /// The facts of `EXECUTE x` or `FETCH x` once the statement that defined `x` is known.
    ///
    /// What the reference does besides (a call among EXECUTE's arguments, the table that `CREATE
    /// TABLE AS EXECUTE` makes) stays, and so does its span. Text and fingerprint are those of both: the name alone
    /// tells nobody what runs.
    #[must_use]
    pub fn resolved_by(&self, definition: &Self) -> Self {
        let both = [self.fingerprint.as_str(), definition.fingerprint.as_str()];
        let mut resolved = Self {
            span: self.span.clone(),
            refers_to: self.refers_to.clone(),
            defines: None,
            redacted: format!(
                "{}\n-- which stands for:\n{}",
                self.redacted, definition.redacted
            ),
            fingerprint: fingerprint_of(both),
            explainable: false,
            ..definition.clone()
        };
        if self.class != StatementClass::Opaque {
            resolved.kind.clone_from(&self.kind);
            resolved.class = self.class;
        }
        let only_refers = |kind: &str| matches!(kind, "EXECUTE" | "FETCH" | "MOVE" | "EXPLAIN");
        let kinds = self.kinds.iter().filter(|kind| !only_refers(kind));
        resolved.kinds.extend(kinds.cloned());
        let classes = self.classes.iter().copied();
        let unresolved = StatementClass::Opaque;
        let classes = classes.filter(|class| *class != unresolved);
        resolved.classes.extend(classes);
        resolved.reads.extend(self.reads.iter().cloned());
        resolved.writes.extend(self.writes.iter().cloned());
        resolved.alters.extend(self.alters.iter().cloned());
        resolved.functions.extend(self.functions.iter().cloned());
        resolved.operators.extend(self.operators.iter().cloned());
        resolved.casts.extend(self.casts.iter().cloned());
        resolved.columns.extend(self.columns.iter().cloned());
        resolved.doubts.extend(self.doubts.iter().cloned());
        resolved.positioned |= self.positioned;
        resolved.gathers |= self.gathers;
        if !resolved.doubts.is_empty() {
            resolved.impact.undo = Undo::Unknown;
        }
        resolved
    }

    /// Whether rules see the same in both: how what they reach is defined is left out.
    #[must_use]
    pub fn is_judged_as(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (&self.catalog, &other.catalog) else {
            return self == other;
        };
        if own.definitions == others.definitions {
            return self == other;
        }
        let mut with = other.clone();
        if let Some(catalog) = &mut with.catalog {
            catalog.definitions = own.definitions;
        }
        *self == with
    }

    /// Every relation the statement reads, writes or alters.
    pub fn relations(&self) -> impl Iterator<Item = &RelationName> {
        self.reads.iter().chain(&self.writes).chain(&self.alters)
    }
}

/// Of two statements as of one, and as long.
fn fingerprint_of(both: [&str; 2]) -> String {
    let mut hash = Sha256::new();
    for one in both {
        hash.update(one);
        hash.update([0]);
    }
    let digest = hex::encode(hash.finalize());
    digest
        .get(..FINGERPRINT_DIGITS)
        .unwrap_or_default()
        .to_owned()
}

/// Hex digits of a fingerprint: 128 bits.
const FINGERPRINT_DIGITS: usize = 32;

macro_rules! named {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every one, in the order of this page.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in configuration, records and output.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str() == name)
                    .ok_or_else(|| UnknownName {
                        name: name.to_owned(),
                        known: Self::ALL.iter().map(|known| known.as_str()).collect(),
                    })
            }
        }
    };
}

/// A class or predicate name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown name {name:?}; known are: {}", known.join(", "))]
pub struct UnknownName {
    pub name: String,
    pub known: Vec<&'static str>,
}

/// The coarse class rules match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementClass {
    /// Reads rows and changes nothing that analysis can see.
    Read,
    /// Changes or locks rows.
    Write,
    /// Changes definitions or privileges.
    Ddl,
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT and kin.
    Transaction,
    /// Changes or shows only this session's state, and harmlessly: SET `application_name`, SHOW.
    Session,
    /// Changes what later statements mean or may do: SET ROLE, `search_path`, `row_security`,
    /// `standard_conforming_strings`, encodings, DISCARD ALL, LISTEN, NOTIFY.
    SessionRisk,
    /// Maintenance and the rest: VACUUM, ANALYZE, CLUSTER, CHECKPOINT, LOCK.
    Utility,
    /// COPY, in either direction.
    Copy,
    /// Runs code, or shows system data, that analysis cannot vouch for: a function that is not
    /// on the list of harmless built-ins, CALL, `pg_stat_activity`.
    Unvouched,
    /// Not understood: handled as the most dangerous thing it might be.
    Opaque,
}

named!(StatementClass {
    Read => "read",
    Write => "write",
    Ddl => "ddl",
    Transaction => "transaction",
    Session => "session",
    SessionRisk => "session_risk",
    Utility => "utility",
    Copy => "copy",
    Unvouched => "unvouched",
    Opaque => "opaque",
});

/// A possibly schema-qualified name, unquoted and case-folded as the server would. Displayed
/// only as far as it looks like a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelationName {
    pub schema: Option<String>,
    pub name: String,
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_qualified(f, self.schema.as_deref(), &self.name)
    }
}

/// A function as called. Displayed only as far as it looks like a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunctionName {
    pub schema: Option<String>,
    pub name: String,
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_qualified(f, self.schema.as_deref(), &self.name)
    }
}

fn write_qualified(f: &mut fmt::Formatter<'_>, schema: Option<&str>, name: &str) -> fmt::Result {
    match schema {
        Some(schema) => write!(f, "{}.{}", shown(schema), shown(name)),
        None => f.write_str(shown(name)),
    }
}

/// A name for people outside: itself, or a stand-in when it could be a value in quotes.
#[must_use]
pub fn shown(name: &str) -> &str {
    if looks_like_name(name) {
        name
    } else {
        "[name not shown]"
    }
}

/// Letters, digits and underscores; no blanks, no long runs of digits.
fn looks_like_name(name: &str) -> bool {
    let mut digits_in_a_row = 0;
    name.len() <= 63
        && name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '*'))
        && name.chars().all(|c| {
            digits_in_a_row = if c.is_ascii_digit() {
                digits_in_a_row + 1
            } else {
                0
            };
            (c.is_alphanumeric() || matches!(c, '_' | '$' | '*')) && digits_in_a_row <= 8
        })
}

/// The shape of a write's WHERE clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// The statement has no predicate to speak of.
    NotApplicable,
    /// UPDATE or DELETE of every row.
    Missing,
    /// Always true, or the same for every row: `WHERE true`, `1 = 1`, `id = id`, `$1`.
    Tautology,
    /// `column = constant`, possibly with more conditions joined by AND.
    Equality,
    /// Anything else.
    Range,
}

named!(Predicate {
    NotApplicable => "not_applicable",
    Missing => "missing",
    Tautology => "tautology",
    Equality => "equality",
    Range => "range",
});

/// What the statement does to session state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// A column with its relation, both as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnName {
    /// `None` when several relations could have it.
    pub relation: Option<RelationName>,
    /// `*` for all columns of it.
    pub name: String,
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.relation {
            Some(relation) => write!(f, "{relation}.{}", shown(&self.name)),
            None => f.write_str(shown(&self.name)),
        }
    }
}

/// What the catalog adds to the text. Every name is qualified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogFacts {
    /// Names that are written and that the catalog does not have.
    pub missing: BTreeSet<String>,
    /// Tables whose rows are read: through views, rules, inheritance and partitions.
    pub reads: BTreeSet<RelationName>,
    /// Tables whose rows are written, the same way; cascades are in `cascades`.
    pub writes: BTreeSet<RelationName>,
    /// Views, materialised views and relations with rules that were gone through.
    pub through: BTreeSet<RelationName>,
    /// Relations whose rows are on another server.
    pub foreign: BTreeSet<RelationName>,
    /// Tables whose rows go or change because of a foreign key, recursively.
    pub cascades: BTreeSet<RelationName>,
    /// Triggers that would fire: `audit on public.patients: public.audit_row()`.
    pub triggers: BTreeSet<String>,
    /// Routines that are not the server's own and would run, with what is known of them:
    /// `public.purge_patient (volatile, security definer, sql, owner clinic_owner)`.
    pub routines: BTreeSet<String>,
    /// WHERE gives a whole unique key by constants: one row at most.
    pub one_row: bool,
    /// Of all that is reached. For comparing; nothing for people to read.
    #[serde(skip)]
    pub definitions: Definitions,
}

/// A digest of how everything is defined that a statement reaches: views, rules, triggers, defaults, checks, policies,
/// types and routines. With another one the same names may do other things.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Definitions(pub(crate) [u8; 32]);

impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Why a statement is opaque.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum OpaqueReason {
    /// The server's grammar refused it here (its message, literals out).
    Syntax { message: String },
    /// Not UTF-8, or with a NUL byte.
    Encoding,
    /// Over a named bound.
    TooLarge {
        limit: Cow<'static, str>,
        value: u64,
    },
    /// A node the walk does not know.
    UnknownNode { node: String },
    /// Code in a string: DO, CREATE FUNCTION bodies.
    DynamicCode,
    /// EXECUTE or FETCH of a name that was not seen being defined.
    UnknownReference { name: String },
}

impl fmt::Display for OpaqueReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { message } => {
                write!(f, "the server's grammar refuses it: {message}")
            }
            Self::Encoding => f.write_str("it is not UTF-8, or has a NUL byte"),
            Self::TooLarge { limit, value } => write!(f, "it is over a bound: {limit} is {value}"),
            Self::UnknownNode { node } => write!(f, "it has a part that is not known: {node}"),
            Self::DynamicCode => f.write_str("it carries code that analysis does not read"),
            Self::UnknownReference { name } => {
                write!(
                    f,
                    "it refers to {}, which was not seen being defined",
                    shown(name)
                )
            }
        }
    }
}
