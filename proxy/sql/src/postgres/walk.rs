//! One walk over the whole tree of one statement, gathering facts.
//!
//! Every node type of the grammar is listed in [`Walk::node`], without a catch-all: a new
//! one does not compile until somebody decides. Types that only analysed trees have are
//! unknown here and make the statement opaque. Knows no policy. What names stand for is the
//! resolver's to say; without a catalog it is a doubt.

mod define;
mod expression;
mod from;
mod node;
mod notation;
mod object;
mod query;
mod rows;
mod target;
mod utility;
mod value;
mod with;
mod write;

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    builtin, impact,
    resolve::{Expanded, Resolver, Room, Shape, Source},
};
use crate::{
    ColumnName, FunctionName, Impact, OpaqueReason, Predicate, RelationName, SessionEffect,
    StatementClass, StatementFacts, TransactionEffect,
};
pub(super) use expression::string_constant;

/// The facts of one statement's tree; `None` when it takes a deeper stack to tell. Span, text and
/// fingerprint are the caller's to fill in.
pub(super) fn facts_of(statement: &NodeEnum, resolver: Resolver<'_>) -> Option<StatementFacts> {
    let mut walk = Walk::with(resolver);
    walk.statement(statement);
    walk.resolver.settle();
    if walk.resolver.needs_room {
        return None;
    }
    walk.rows_max = rows::bound(statement, &walk.resolver);
    let mut facts = walk.finish();
    facts.impact = impact::of(statement, &facts);
    Some(facts)
}

/// The facts of an expression on its own.
pub(super) fn facts_of_expression(expression: &Node) -> StatementFacts {
    let mut walk = Walk::new();
    walk.is_a("SELECT", StatementClass::Read);
    walk.node(expression);
    walk.finish()
}

/// What a view's query, or an expression behind `SELECT`, means.
pub(super) fn query_meaning(select: &pb::SelectStmt, resolver: Resolver<'_>) -> Expanded {
    let mut walk = Walk::with(resolver);
    let shape = walk.select(select, query::Usage::Carried);
    walk.meaning(shape)
}

/// What a rule's condition and actions mean.
pub(super) fn rule_meaning(rule: &pb::RuleStmt, mut resolver: Resolver<'_>) -> Expanded {
    resolver.carries_expressions = false;
    let mut walk = Walk::with(resolver);
    walk.boxed(&rule.where_clause);
    for action in &rule.actions {
        walk.node(action);
    }
    if let Some((kind, class)) = walk.main.take() {
        walk.resolver.rules.is_a(&kind, class);
    }
    let mut expanded = walk.meaning(Shape::default());
    if rule.where_clause.is_some() {
        expanded.conditional();
    }
    expanded
}

/// What these give is the session's own: the client brings it about without a setting.
const OF_THIS_SESSION: [&str; 16] = [
    "currval",
    "lastval",
    "current_schemas",
    "pg_current_xact_id_if_assigned",
    "pg_is_other_temp_schema",
    "pg_my_temp_schema",
    "txid_current_if_assigned",
    "random",
    "random_normal",
    "setseed",
    "inet_client_addr",
    "inet_client_port",
    "pg_backend_pid",
    "pg_cursor",
    "pg_listening_channels",
    "pg_prepared_statement",
];

fn is_own(function: &FunctionName) -> bool {
    OF_THIS_SESSION.contains(&function.name.as_str())
}

/// What was gathered so far.
#[derive(Debug)]
struct Walk<'c> {
    /// The outermost statement's own name and class, set once.
    main: Option<(String, StatementClass)>,
    kinds: BTreeSet<String>,
    classes: BTreeSet<StatementClass>,
    reads: BTreeSet<RelationName>,
    writes: BTreeSet<RelationName>,
    alters: BTreeSet<RelationName>,
    functions: BTreeSet<FunctionName>,
    operators: BTreeSet<FunctionName>,
    casts: BTreeSet<FunctionName>,
    predicate: Predicate,
    session: SessionEffect,
    transaction: TransactionEffect,
    refers_to: Option<String>,
    defines: Option<String>,
    opaque: Option<OpaqueReason>,
    doubts: BTreeSet<String>,
    /// Relations of the system that show more than is the session's own.
    revealing: BTreeSet<RelationName>,
    explained: bool,
    /// There is a WHERE CURRENT OF.
    at_cursor: bool,
    /// It makes one value of any number of rows.
    gathers: bool,
    notation: notation::Notation,
    resolver: Resolver<'c>,
    /// INSERT, UPDATE, DELETE and MERGE, wherever they stand.
    changes: usize,
    /// The keys of the last UPDATE or DELETE, and the table of the catalog it writes.
    keyed_by: BTreeSet<String>,
    keyed_table: Option<(u32, bool)>,
    rows_max: Option<u64>,
}

impl<'c> Walk<'c> {
    fn new() -> Self {
        let room = Room {
            left: 0,
            more_elsewhere: false,
        };
        Self::with(Resolver::new(None, room))
    }

    fn with(resolver: Resolver<'c>) -> Self {
        Self {
            main: None,
            kinds: BTreeSet::new(),
            classes: BTreeSet::new(),
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            alters: BTreeSet::new(),
            functions: BTreeSet::new(),
            operators: BTreeSet::new(),
            casts: BTreeSet::new(),
            predicate: Predicate::NotApplicable,
            session: SessionEffect::None,
            transaction: TransactionEffect::None,
            refers_to: None,
            defines: None,
            opaque: None,
            doubts: BTreeSet::new(),
            revealing: BTreeSet::new(),
            explained: false,
            at_cursor: false,
            gathers: false,
            notation: notation::Notation::default(),
            resolver,
            changes: 0,
            keyed_by: BTreeSet::new(),
            keyed_table: None,
            rows_max: None,
        }
    }

    /// Doubts relations of the system that show what is not the session's own, unless the columns that are read are
    /// known to show nothing of it.
    fn judge_revealing(&mut self, columns: Option<&BTreeSet<ColumnName>>) {
        for relation in std::mem::take(&mut self.revealing) {
            let (plain, other) = builtin::plain_columns(&relation.name);
            let shows = |column: &ColumnName| {
                let name = column.name.as_str();
                match &column.relation {
                    Some(known) => known.name == relation.name && !plain.contains(&name),
                    // It may be of this relation or of another.
                    None => name == "*" || plain.is_empty() || other.contains(&name),
                }
            };
            let harmless =
                columns.is_some_and(|columns| !plain.is_empty() && !columns.iter().any(shows));
            if !harmless {
                self.doubts.insert(format!(
                    "reads {relation}, which shows other sessions' statements, secrets or sampled values"
                ));
            }
        }
    }

    /// What was gathered, as a definition's meaning.
    fn meaning(mut self, shape: Shape) -> Expanded {
        self.judge_revealing(None);
        let mut expanded = self.resolver.meaning(shape);
        expanded.kinds.extend(self.kinds);
        expanded.classes.extend(self.classes);
        expanded.writes.extend(self.writes);
        expanded.functions.extend(self.functions);
        expanded.doubts.extend(self.doubts);
        expanded.seen.positioned |= self.at_cursor || expanded.functions.iter().any(is_own);
        if let Some(reason) = self.opaque {
            expanded.refuses(reason);
        }
        expanded
    }

    fn finish(mut self) -> StatementFacts {
        self.finish_notation();
        let one_row = self.is_one_row();
        if self.changes > 1 {
            self.keyed_by.clear();
            self.rows_max = None;
        }
        let fresh = self.resolver.fresh();
        let sighted = self.resolver.sighted();
        let mut resolved = std::mem::replace(&mut self.resolver, fresh).finish();
        let known = sighted && resolved.columns_known;
        self.judge_revealing(Some(&resolved.columns).filter(|_| known));
        if let Some(catalog) = &mut resolved.catalog {
            catalog.one_row = one_row;
        }
        self.kinds.extend(resolved.kinds);
        self.classes.extend(resolved.classes);
        self.writes.extend(resolved.writes);
        self.functions.extend(resolved.functions);
        self.doubts.extend(resolved.doubts);
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
        let positioned = self.at_cursor || resolved.positioned || self.functions.iter().any(is_own);
        let gathers = self.gathers
            || self
                .functions
                .iter()
                .any(|function| builtin::gathers(&function.name));
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
            operators: self.operators,
            casts: self.casts,
            columns: resolved.columns,
            columns_known: resolved.columns_known && self.opaque.is_none(),
            predicate: self.predicate,
            keyed_by: self.keyed_by,
            rows_max: self.rows_max,
            session: self.session,
            transaction: self.transaction,
            refers_to: self.refers_to,
            defines: self.defines,
            opaque: self.opaque,
            doubts: self.doubts,
            explainable,
            positioned,
            gathers,
            impact: Impact::unknown(),
            catalog: resolved.catalog,
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
    fn read(&mut self, relation: &pb::RangeVar) -> Source {
        let plain = relation.schemaname.is_empty() && relation.catalogname.is_empty();
        if plain && let Some(shape) = self.resolver.cte(&relation.relname) {
            let shape = Arc::clone(shape);
            self.resolver.recursed |= shape.pending;
            return Source::Shape(shape);
        }
        let name = relation_name(relation);
        if builtin::is_revealing(name.schema.as_deref(), &name.name) {
            self.revealing.insert(name.clone());
        }
        let source = self.resolver.read_relation(&name, !relation.inh);
        self.reads.insert(name);
        source
    }

    /// A relation whose rows are written, by position in the catalog where there is one.
    fn write(&mut self, relation: Option<&pb::RangeVar>) -> (Option<u32>, Source) {
        let Some(relation) = relation else {
            return (None, Source::Shape(Arc::default()));
        };
        let name = relation_name(relation);
        if builtin::is_system_relation(name.schema.as_deref(), &name.name) {
            // An UPDATE of pg_settings is a SET.
            self.classes.insert(StatementClass::SessionRisk);
            self.doubt(format!("writes {name}, a relation of the system"));
        }
        let written = self.resolver.write_relation(&name);
        self.writes.insert(name);
        written
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
