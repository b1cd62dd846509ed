//! One walk over the whole tree of one statement, gathering facts.
//!
//! Every node type of the grammar is listed in [`Walk::node`], without a catch-all: a new
//! one does not compile until somebody decides. Types that only analysed trees have are
//! unknown here and make the statement opaque. Knows no policy and no catalog: what needs one
//! becomes a doubt.

mod define;
mod expression;
mod node;
mod notation;
mod object;
mod query;
mod utility;

use std::collections::{BTreeSet, HashSet};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{builtin, impact};
use crate::{
    FunctionName, Impact, OpaqueReason, Predicate, RelationName, SessionEffect, StatementClass,
    StatementFacts, TransactionEffect,
};
pub(super) use expression::string_constant;

/// The facts of one statement's tree. Span, text and fingerprint are the caller's to fill in.
pub(super) fn facts_of(statement: &NodeEnum) -> StatementFacts {
    let mut walk = Walk::new();
    walk.statement(statement);
    let mut facts = walk.finish();
    facts.impact = impact::of(statement, &facts);
    facts
}

/// The facts of an expression on its own.
pub(super) fn facts_of_expression(expression: &Node) -> StatementFacts {
    let mut walk = Walk::new();
    walk.is_a("SELECT", StatementClass::Read);
    walk.node(expression);
    walk.finish()
}

/// What was gathered so far.
#[derive(Debug)]
struct Walk {
    /// The outermost statement's own name and class, set once.
    main: Option<(String, StatementClass)>,
    kinds: BTreeSet<String>,
    classes: BTreeSet<StatementClass>,
    reads: BTreeSet<RelationName>,
    writes: BTreeSet<RelationName>,
    alters: BTreeSet<RelationName>,
    functions: BTreeSet<FunctionName>,
    predicate: Predicate,
    session: SessionEffect,
    transaction: TransactionEffect,
    refers_to: Option<String>,
    defines: Option<String>,
    opaque: Option<OpaqueReason>,
    doubts: BTreeSet<String>,
    explained: bool,
    /// Names of common table expressions, innermost scope last.
    scopes: Vec<HashSet<String>>,
    notation: notation::Notation,
}

impl Walk {
    fn new() -> Self {
        Self {
            main: None,
            kinds: BTreeSet::new(),
            classes: BTreeSet::new(),
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            alters: BTreeSet::new(),
            functions: BTreeSet::new(),
            predicate: Predicate::NotApplicable,
            session: SessionEffect::None,
            transaction: TransactionEffect::None,
            refers_to: None,
            defines: None,
            opaque: None,
            doubts: BTreeSet::new(),
            explained: false,
            scopes: Vec::new(),
            notation: notation::Notation::default(),
        }
    }

    fn finish(mut self) -> StatementFacts {
        self.finish_notation();
        let (mut kind, mut class) = self
            .main
            .unwrap_or_else(|| ("opaque".to_owned(), StatementClass::Opaque));
        if !self.doubts.is_empty() {
            self.classes.insert(StatementClass::Unvouched);
        }
        if class == StatementClass::Opaque && self.opaque.is_none() {
            self.opaque = Some(OpaqueReason::UnknownNode {
                node: "statement".to_owned(),
            });
        }
        if matches!(self.opaque, Some(OpaqueReason::UnknownNode { .. })) {
            class = StatementClass::Opaque;
        }
        self.classes.insert(class);
        if class == StatementClass::Read {
            // A read that also does something else is that something else.
            if self.classes.contains(&StatementClass::Write) {
                class = StatementClass::Write;
                if let Some(write) = self.kinds.iter().find(|other| **other != kind) {
                    kind.clone_from(write);
                }
            } else if let Some(other) = self
                .classes
                .iter()
                .find(|other| **other != StatementClass::Read)
            {
                class = *other;
            }
            if class != StatementClass::Read {
                self.classes.remove(&StatementClass::Read);
            }
        }
        self.kinds.insert(kind.clone());
        let explainable = self.opaque.is_none()
            && self.doubts.is_empty()
            && !self.explained
            && self.defines.is_none()
            && self.session == SessionEffect::None
            && self.kinds.iter().all(|kind| {
                matches!(
                    kind.as_str(),
                    "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE"
                )
            });
        StatementFacts {
            span: 0..0,
            kind,
            kinds: self.kinds,
            class,
            classes: self.classes,
            reads: self.reads,
            writes: self.writes,
            alters: self.alters,
            functions: self.functions,
            operators: BTreeSet::new(),
            casts: BTreeSet::new(),
            columns: BTreeSet::new(),
            columns_known: false,
            predicate: self.predicate,
            keyed_by: BTreeSet::new(),
            rows_max: None,
            session: self.session,
            transaction: self.transaction,
            refers_to: self.refers_to,
            defines: self.defines,
            opaque: self.opaque,
            doubts: self.doubts,
            explainable,
            impact: Impact::unknown(),
            catalog: None,
            redacted: String::new(),
            fingerprint: String::new(),
        }
    }

    /// Notes what a statement, outermost or nested, is.
    fn is_a(&mut self, kind: &str, class: StatementClass) {
        if self.main.is_none() {
            self.main = Some((kind.to_owned(), class));
        }
        if kind != "SELECT" {
            self.kinds.insert(kind.to_owned());
        }
        if class != StatementClass::Read {
            self.classes.insert(class);
        }
    }

    fn unknown(&mut self, node: &str) {
        self.opaque
            .get_or_insert_with(|| OpaqueReason::UnknownNode {
                node: node.to_owned(),
            });
    }

    fn doubt(&mut self, words: String) {
        self.doubts.insert(words);
    }

    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn maybe(&mut self, node: Option<&Node>) {
        if let Some(node) = node {
            self.node(node);
        }
    }

    fn boxed(&mut self, node: &Option<Box<Node>>) {
        self.maybe(node.as_deref());
    }

    /// A relation in FROM or wherever rows are read.
    fn read(&mut self, relation: &pb::RangeVar) {
        let plain = relation.schemaname.is_empty() && relation.catalogname.is_empty();
        if plain && self.is_cte(&relation.relname) {
            return;
        }
        let name = relation_name(relation);
        if builtin::is_revealing(name.schema.as_deref(), &name.name) {
            self.doubt(format!(
                "reads {name}, which shows other sessions' statements, secrets or sampled values"
            ));
        }
        self.reads.insert(name);
    }

    fn write(&mut self, relation: Option<&pb::RangeVar>) {
        let Some(relation) = relation else { return };
        let name = relation_name(relation);
        if builtin::is_system_relation(name.schema.as_deref(), &name.name) {
            // An UPDATE of pg_settings is a SET.
            self.classes.insert(StatementClass::SessionRisk);
            self.doubt(format!("writes {name}, a relation of the system"));
        }
        self.writes.insert(name);
    }

    fn alter(&mut self, relation: Option<&pb::RangeVar>) {
        if let Some(relation) = relation {
            self.alters.insert(relation_name(relation));
        }
    }

    fn alter_named(&mut self, name: &str) {
        if !name.is_empty() {
            self.alters.insert(RelationName {
                schema: None,
                name: name.to_owned(),
            });
        }
    }

    fn alter_names(&mut self, names: &[Node]) {
        if let Some((schema, name)) = qualified(names) {
            self.alters.insert(RelationName {
                schema: schema.map(str::to_owned),
                name: name.to_owned(),
            });
        }
    }

    fn is_cte(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    /// Any node below a statement.
    fn node(&mut self, node: &Node) {
        let Some(node) = &node.node else { return };
        self.any(node);
    }
}

/// The relation a range variable names. A database prefix can only be the current one.
fn relation_name(relation: &pb::RangeVar) -> RelationName {
    let schema = match relation.relpersistence.as_str() {
        "t" if relation.schemaname.is_empty() => "pg_temp",
        _ => relation.schemaname.as_str(),
    };
    RelationName {
        schema: (!schema.is_empty()).then(|| schema.to_owned()),
        name: relation.relname.clone(),
    }
}

/// Schema and name of a list of name parts; `None` when it is not a plain list of strings.
fn qualified(names: &[Node]) -> Option<(Option<&str>, &str)> {
    let mut parts = names.iter().map(text);
    let last = parts.next_back()??;
    match parts.next_back() {
        None => Some((None, last)),
        Some(schema) => Some((Some(schema?), last)),
    }
}

pub(super) fn text(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::String(string)) => Some(&string.sval),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
