//! One statement to be judged, with its context, and what can be known of it.
//!
//! Names are what the statement says and, with the catalog, what they lead to. Without the catalog
//! a name may stand for anything behind it: a view, a rule, a cascade.

use std::collections::BTreeSet;

use abeyance_sql::{FunctionName, RelationName, StatementFacts};

use crate::{
    Context,
    pattern::{TablePattern, is_system},
    truth::Truth,
};

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a StatementFacts,
    pub(crate) context: &'a Context<'a>,
    /// Every name leads where it says, or the catalog says where.
    pub(crate) resolved: bool,
}

/// How a statement touches a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableAccess {
    Read,
    Write,
    Alter,
    Cascade,
}

impl TableAccess {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Alter => "alter",
            Self::Cascade => "cascade",
        }
    }
}

impl<'a> Case<'a> {
    /// `plain` are relations somebody vouches for where the catalog is not known.
    pub(crate) fn new(
        facts: &'a StatementFacts,
        context: &'a Context<'a>,
        plain: &[TablePattern],
    ) -> Self {
        let is_plain = |relation: &RelationName| {
            is_system(relation)
                || plain
                    .iter()
                    .any(|pattern| pattern.matches(relation) != Truth::False)
        };
        let resolved = facts.catalog.is_some()
            || facts.relations().all(is_plain) && facts.casts.iter().all(is_common_type);
        Self {
            facts,
            context,
            resolved,
        }
    }

    /// Every relation it touches: with the catalog those that are reached, and what is named and
    /// not found there; without it as named.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&'a RelationName, TableAccess)> {
        let facts = self.facts;
        let found = move |named: &RelationName| {
            let sets = facts.catalog.iter().flat_map(|catalog| {
                [
                    &catalog.reads,
                    &catalog.writes,
                    &catalog.through,
                    &catalog.foreign,
                ]
            });
            let mut same = sets.flatten().filter(|found| found.name == named.name);
            same.any(|found| named.schema.is_none() || named.schema == found.schema)
        };
        let named = [
            (&facts.reads, TableAccess::Read),
            (&facts.writes, TableAccess::Write),
            (&facts.alters, TableAccess::Alter),
        ];
        let reached = facts.catalog.iter().flat_map(|catalog| {
            [
                (&catalog.reads, TableAccess::Read),
                (&catalog.through, TableAccess::Read),
                (&catalog.writes, TableAccess::Write),
                (&catalog.cascades, TableAccess::Cascade),
            ]
        });
        let pairs = |(set, access): (&'a BTreeSet<RelationName>, TableAccess)| {
            set.iter().map(move |relation| (relation, access))
        };
        named
            .into_iter()
            .flat_map(pairs)
            .filter(move |(relation, access)| *access == TableAccess::Alter || !found(relation))
            .chain(reached.flat_map(pairs))
    }

    /// `tables` is all of them: nothing unknown is run, and every name is resolved.
    pub(crate) fn tables_complete(&self) -> bool {
        self.resolved && self.facts.is_certain()
    }

    /// The statement's own words are all there.
    pub(crate) fn text_complete(&self) -> bool {
        self.facts.opaque.is_none()
    }
}

/// A type whose casts from other built-in types only a superuser could have replaced, and that
/// people cast to all day.
fn is_common_type(name: &FunctionName) -> bool {
    name.schema
        .as_deref()
        .is_none_or(|schema| schema == "pg_catalog")
        && COMMON_TYPES.contains(&name.name.as_str())
}

const COMMON_TYPES: [&str; 34] = [
    "bigint",
    "bool",
    "boolean",
    "bpchar",
    "bytea",
    "char",
    "character varying",
    "date",
    "float4",
    "float8",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "interval",
    "json",
    "jsonb",
    "numeric",
    "oid",
    "real",
    "regclass",
    "regnamespace",
    "regproc",
    "regrole",
    "regtype",
    "smallint",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
    "varchar",
];
