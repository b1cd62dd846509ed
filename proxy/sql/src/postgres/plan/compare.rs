//! What a plan shows that analysis did not predict.
//!
//! The target's own rewriter and planner have the last word on names: views, rules, inheritance, partitions,
//! inlined functions. What they would touch beyond the facts means that the text or the catalog misled analysis
//! (invariant 1). Foreign keys and triggers are not in a plan, nor are functions in expressions: for those the facts
//! stand alone.

use std::{collections::BTreeSet, fmt};

use super::{Explained, Operation, ScanMethod};
use crate::{
    FunctionName, OpaqueReason, Reach, RelationName, StatementClass, StatementFacts,
    postgres::builtin,
};

/// One thing that was not predicted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Surprise {
    Write(Operation, RelationName),
    Read(RelationName),
    /// Rows on another server.
    Foreign(RelationName),
    Call(FunctionName),
    /// A node of a plan that is not known.
    Node(String),
    /// A rule makes it something that has no plan.
    Utility,
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(operation, relation) => {
                write!(f, "the target would {} {relation}", verb(*operation))
            }
            Self::Read(relation) => write!(f, "the target would read {relation}"),
            Self::Foreign(relation) => {
                write!(f, "the target would reach another server for {relation}")
            }
            Self::Call(function) => write!(f, "the target would call {function}"),
            Self::Node(node) => {
                write!(
                    f,
                    "the target's plan has a part that is not known: {}",
                    crate::shown(node)
                )
            }
            Self::Utility => f.write_str("a rule of the target makes something else of it"),
        }
    }
}

fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Insert => "insert into",
        Operation::Update => "update",
        Operation::Delete => "delete from",
        Operation::Merge => "merge into",
    }
}

impl Explained {
    /// Everything in it that the facts do not predict, each once.
    #[must_use]
    pub fn surprises(&self, facts: &StatementFacts) -> BTreeSet<Surprise> {
        let predicted = Predicted::by(facts);
        let mut surprises = BTreeSet::new();
        for write in self.writes() {
            let operation = write.operation;
            let known = facts.kinds.iter().any(|kind| kind == operation.as_str());
            for relation in write.tables.iter().chain([&write.target]) {
                if !known || !predicted.writes(relation) {
                    surprises.insert(Surprise::Write(operation, relation.clone()));
                }
            }
        }
        for scan in self.scans() {
            let relation = &scan.relation;
            if scan.method == ScanMethod::Foreign && !predicted.reaches(relation) {
                surprises.insert(Surprise::Foreign(relation.clone()));
            } else if !predicted.reads(relation) {
                surprises.insert(Surprise::Read(relation.clone()));
            }
        }
        let calls = self
            .functions()
            .filter(|function| !predicted.calls(function));
        surprises.extend(calls.cloned().map(Surprise::Call));
        surprises.extend(self.unknown().map(|node| Surprise::Node(node.to_owned())));
        if self.utilities > 0 {
            surprises.insert(Surprise::Utility);
        }
        surprises
    }
}

/// The facts with what the target told, so that rules which name it apply.
#[must_use]
pub fn enlightened(facts: &StatementFacts, surprises: &BTreeSet<Surprise>) -> StatementFacts {
    let mut facts = facts.clone();
    for surprise in surprises {
        match surprise {
            Surprise::Write(operation, relation) => {
                facts.writes.insert(relation.clone());
                facts.kinds.insert(operation.as_str().to_owned());
                facts.classes.remove(&StatementClass::Read);
                facts.classes.insert(StatementClass::Write);
                facts.class = StatementClass::Write;
            }
            Surprise::Read(relation) => {
                facts.reads.insert(relation.clone());
            }
            Surprise::Foreign(relation) => {
                facts.reads.insert(relation.clone());
                facts.impact.reach.insert(Reach::Network);
                unvouched(&mut facts, surprise.to_string());
            }
            Surprise::Call(function) => {
                facts.functions.insert(function.clone());
                unvouched(&mut facts, surprise.to_string());
            }
            Surprise::Node(node) => {
                let node = crate::shown(node).to_owned();
                facts
                    .opaque
                    .get_or_insert(OpaqueReason::UnknownNode { node });
                facts.classes.insert(StatementClass::Opaque);
            }
            Surprise::Utility => unvouched(&mut facts, surprise.to_string()),
        }
    }
    // A star or whole row may stand for the columns of what was not foreseen.
    facts.columns_known &= surprises.is_empty();
    facts
}

/// The facts with a doubt, in words for reviewers.
pub fn unvouched(facts: &mut StatementFacts, words: String) {
    facts.doubts.insert(words);
    facts.classes.insert(StatementClass::Unvouched);
}

/// What the facts allow a plan to show.
struct Predicted<'a> {
    facts: &'a StatementFacts,
    /// A relation of the system is read: what it is made of, is the server's own.
    system: bool,
}

impl<'a> Predicted<'a> {
    fn by(facts: &'a StatementFacts) -> Self {
        let catalog = facts
            .catalog
            .iter()
            .flat_map(|catalog| catalog.reads.iter().chain(&catalog.through));
        let mut reads = facts.reads.iter().chain(catalog);
        Self {
            facts,
            system: reads.any(is_system),
        }
    }

    fn reads(&self, relation: &RelationName) -> bool {
        if self.system && is_system(relation) {
            return true;
        }
        let facts = self.facts;
        match &facts.catalog {
            Some(catalog) => {
                let sets = [
                    &catalog.reads,
                    &catalog.writes,
                    &catalog.through,
                    &catalog.foreign,
                ];
                sets.into_iter()
                    .flatten()
                    .any(|known| same(known, relation))
            }
            None => facts
                .reads
                .iter()
                .chain(&facts.writes)
                .any(|written| may_be(written, relation)),
        }
    }

    fn writes(&self, relation: &RelationName) -> bool {
        match &self.facts.catalog {
            Some(catalog) => catalog.writes.iter().any(|known| same(known, relation)),
            None => self
                .facts
                .writes
                .iter()
                .any(|written| may_be(written, relation)),
        }
    }

    /// Without a catalog nobody foresaw that its rows are elsewhere.
    fn reaches(&self, relation: &RelationName) -> bool {
        let catalog = self.facts.catalog.as_ref();
        catalog.is_some_and(|catalog| catalog.foreign.iter().any(|known| same(known, relation)))
    }

    fn calls(&self, function: &FunctionName) -> bool {
        let own = function.schema.as_deref() == Some("pg_catalog");
        let harmless = builtin::is_function(function.schema.as_deref(), &function.name);
        let named = self.facts.functions.iter().any(|written| {
            written.name == function.name
                && (written.schema.is_none() || written.schema == function.schema)
        });
        named || own && (harmless || self.system)
    }
}

fn is_system(relation: &RelationName) -> bool {
    builtin::is_system_relation(relation.schema.as_deref(), &relation.name)
}

/// Two qualified names. A session's own temporary schema has a name of its own in the server.
fn same(known: &RelationName, relation: &RelationName) -> bool {
    known.name == relation.name && schema(known) == schema(relation)
}

/// A name as it was written, and a qualified one.
fn may_be(written: &RelationName, relation: &RelationName) -> bool {
    written.name == relation.name
        && (written.schema.is_none() || schema(written) == schema(relation))
}

fn schema(relation: &RelationName) -> Option<&str> {
    let schema = relation.schema.as_deref()?;
    if schema
        .strip_prefix("pg_temp_")
        .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
    {
        return Some("pg_temp");
    }
    Some(schema)
}

#[cfg(test)]
mod tests;
