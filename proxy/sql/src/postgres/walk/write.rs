//! INSERT, UPDATE, DELETE, MERGE and what hangs on them.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, CmdType, MergeMatchKind},
};

use super::{Walk, query::Usage, target::target_name};
use crate::{
    Predicate, StatementClass,
    postgres::{
        predicate,
        resolve::{Event, Item, Resolver, Shape, Source},
    },
};

/// The relation a statement writes, as its own clauses see it.
struct Target {
    at: Option<u32>,
    only: bool,
    item: Item,
}

impl Walk<'_> {
    pub(super) fn insert(&mut self, insert: &pb::InsertStmt, usage: Usage) -> Shape {
        let pb::InsertStmt {
            relation,
            cols,
            select_stmt,
            on_conflict_clause,
            returning_clause,
            with_clause,
            r#override: _,
        } = insert;
        self.changes_rows("INSERT");
        self.resolver.enter();
        self.with_clause(with_clause.as_ref());
        let mut target = self.target(relation.as_ref());
        self.resolver.inserts(&mut target.item);
        match select_stmt.as_ref().and_then(|query| query.node.as_ref()) {
            Some(N::SelectStmt(query)) => {
                self.select(query, Usage::Counted);
            }
            _ => self.boxed(select_stmt),
        }
        self.bring_target(&target);
        let width = match select_stmt.as_deref() {
            Some(query) => values_width(query),
            // DEFAULT VALUES.
            None => Some(0),
        };
        self.insert_columns(&target, cols, width);
        self.happens(&target, Event::Insert, None);
        if let Some(on_conflict) = on_conflict_clause {
            self.on_conflict(on_conflict, &target);
        }
        let shape = self.returning(returning_clause.as_ref(), &target, usage);
        self.resolver.leave();
        shape
    }

    pub(super) fn update(&mut self, update: &pb::UpdateStmt, usage: Usage) -> Shape {
        let pb::UpdateStmt {
            relation,
            target_list,
            where_clause,
            from_clause,
            returning_clause,
            with_clause,
        } = update;
        self.changes_rows("UPDATE");
        let target = predicate::Target::of(relation.as_ref(), from_clause);
        self.narrow(predicate::of(where_clause.as_deref(), &target));
        self.keyed_by = predicate::keys(where_clause.as_deref(), &target);
        self.resolver.enter();
        self.with_clause(with_clause.as_ref());
        let target = self.target(relation.as_ref());
        self.keyed_table = target.at.map(|at| (at, target.only));
        self.bring_target(&target);
        self.from(from_clause);
        let set = self.assignments(&target, target_list);
        self.boxed(where_clause);
        self.happens(&target, Event::Update, Some(&set));
        let shape = self.returning(returning_clause.as_ref(), &target, usage);
        self.resolver.leave();
        shape
    }

    pub(super) fn delete(&mut self, delete: &pb::DeleteStmt, usage: Usage) -> Shape {
        let pb::DeleteStmt {
            relation,
            using_clause,
            where_clause,
            returning_clause,
            with_clause,
        } = delete;
        self.changes_rows("DELETE");
        let target = predicate::Target::of(relation.as_ref(), using_clause);
        self.narrow(predicate::of(where_clause.as_deref(), &target));
        self.keyed_by = predicate::keys(where_clause.as_deref(), &target);
        self.resolver.enter();
        self.with_clause(with_clause.as_ref());
        let target = self.target(relation.as_ref());
        self.keyed_table = target.at.map(|at| (at, target.only));
        self.bring_target(&target);
        self.from(using_clause);
        self.boxed(where_clause);
        self.happens(&target, Event::Delete, None);
        let shape = self.returning(returning_clause.as_ref(), &target, usage);
        self.resolver.leave();
        shape
    }

    pub(super) fn merge(&mut self, merge: &pb::MergeStmt, usage: Usage) -> Shape {
        let pb::MergeStmt {
            relation,
            source_relation,
            join_condition,
            merge_when_clauses,
            returning_clause,
            with_clause,
        } = merge;
        self.changes_rows("MERGE");
        // A join can pair one source row with every target row, and rows without a partner are
        // touched too: nothing short of a tautology is ever narrower than a range.
        let target = predicate::Target::of(relation.as_ref(), std::slice::from_ref(&NOTHING));
        self.narrow(match predicate::of(join_condition.as_deref(), &target) {
            Predicate::Tautology | Predicate::Missing => Predicate::Tautology,
            _ => Predicate::Range,
        });
        self.resolver.enter();
        self.with_clause(with_clause.as_ref());
        let target = self.target(relation.as_ref());
        self.bring_target(&target);
        if let Some(source) = source_relation {
            self.from(std::slice::from_ref(source));
        }
        self.boxed(join_condition);
        for clause in merge_when_clauses {
            match &clause.node {
                Some(N::MergeWhenClause(clause)) => self.merge_when(clause, &target),
                _ => self.unknown("MergeWhenClause"),
            }
        }
        let shape = self.returning(returning_clause.as_ref(), &target, usage);
        self.resolver.leave();
        shape
    }

    fn merge_when(&mut self, clause: &pb::MergeWhenClause, target: &Target) {
        let pb::MergeWhenClause {
            match_kind,
            command_type,
            r#override: _,
            condition,
            target_list,
            values,
        } = clause;
        if MergeMatchKind::try_from(*match_kind).is_err() {
            self.unknown("MergeWhenClause");
        }
        self.boxed(condition);
        match CmdType::try_from(*command_type) {
            Ok(CmdType::CmdUpdate) => {
                let set = self.assignments(target, target_list);
                self.happens(target, Event::Update, Some(&set));
            }
            Ok(CmdType::CmdDelete) => self.happens(target, Event::Delete, None),
            Ok(CmdType::CmdInsert) => {
                self.insert_columns(target, target_list, Some(values.len()));
                self.happens(target, Event::Insert, None);
            }
            Ok(CmdType::CmdNothing) => self.nodes(target_list),
            _ => self.unknown("MergeWhenClause"),
        }
        self.nodes(values);
    }

    fn on_conflict(&mut self, clause: &pb::OnConflictClause, target: &Target) {
        let pb::OnConflictClause {
            action: _,
            infer,
            target_list,
            where_clause,
            location: _,
        } = clause;
        self.resolver.bring(Item {
            name: "excluded".to_owned(),
            schema: None,
            source: target.item.source.clone(),
        });
        if let Some(infer) = infer {
            for element in &infer.index_elems {
                if let Some(N::IndexElem(element)) = &element.node
                    && !element.name.is_empty()
                {
                    self.resolver.use_of(&target.item, &element.name);
                }
                self.node(element);
            }
            self.boxed(&infer.where_clause);
        }
        if !target_list.is_empty() {
            let set = self.assignments(target, target_list);
            self.happens(target, Event::Update, Some(&set));
        }
        self.boxed(where_clause);
    }

    fn changes_rows(&mut self, kind: &str) {
        self.is_a(kind, StatementClass::Write);
        self.changes += 1;
    }

    fn target(&mut self, relation: Option<&pb::RangeVar>) -> Target {
        let (at, source) = self.write(relation);
        let only = relation.is_some_and(|relation| !relation.inh);
        let source = match source {
            Source::Table { relation, .. } => Source::Table { relation, only },
            shape @ Source::Shape(_) => shape,
        };
        let item = match relation {
            Some(relation) => self.named(relation, source),
            None => Item {
                name: String::new(),
                schema: None,
                source: Source::Shape(Arc::default()),
            },
        };
        Target { at, only, item }
    }

    fn bring_target(&mut self, target: &Target) {
        let tree = self.resolver.bring(target.item.clone());
        if let Some(level) = self.resolver.level() {
            level.trees.push(tree);
        }
    }

    fn happens(&mut self, target: &Target, event: Event, set: Option<&BTreeSet<String>>) {
        if let Some(at) = target.at {
            self.resolver.event(at, event, target.only, set);
        }
    }

    /// SET: the columns, which count, and their values.
    fn assignments(&mut self, target: &Target, list: &[Node]) -> BTreeSet<String> {
        let mut set = BTreeSet::new();
        for assignment in list {
            if let Some(name) = target_name(assignment) {
                self.stores(target, name);
                set.insert(name.to_owned());
            }
            self.node(assignment);
        }
        set
    }

    /// The columns an INSERT gives values for: those listed, or the first ones.
    fn insert_columns(&mut self, target: &Target, cols: &[Node], width: Option<usize>) {
        for column in cols {
            if let Some(name) = target_name(column) {
                self.stores(target, name);
            }
            self.node(column);
        }
        if cols.is_empty() && width != Some(0) {
            let shape = self.resolver.shape_of(&target.item);
            let width = width.unwrap_or(usize::MAX);
            for column in shape.columns.iter().take(width) {
                self.stores(target, &column.name);
            }
            if shape.columns.is_empty() {
                self.resolver.touch_shape(&shape);
            }
        }
    }

    fn stores(&mut self, target: &Target, name: &str) {
        self.resolver.use_of(&target.item, name);
        if let (Some(at), Source::Table { .. }) = (target.at, &target.item.source) {
            self.resolver.stores_named(at, name);
        }
    }

    /// RETURNING, which also sees the row before and after.
    fn returning(
        &mut self,
        clause: Option<&pb::ReturningClause>,
        target: &Target,
        usage: Usage,
    ) -> Shape {
        let Some(clause) = clause else {
            return Shape::default();
        };
        let mut names = vec!["old", "new"];
        for option in &clause.options {
            if let Some(N::ReturningOption(option)) = &option.node {
                names.push(&option.value);
            }
        }
        if self.resolver.has_old_and_new() {
            for name in names {
                let source = target.item.source.clone();
                let item = Resolver::target_item(name, None, source);
                self.resolver.bring(item);
            }
        }
        self.targets(&clause.exprs, usage)
    }

    /// WHERE gives a whole unique key of the one table that is written.
    pub(super) fn is_one_row(&self) -> bool {
        self.changes == 1
            && self
                .keyed_table
                .is_some_and(|(at, only)| self.resolver.is_unique(at, only, &self.keyed_by))
    }
}

/// Stands for "there is more than the target in FROM".
const NOTHING: Node = Node { node: None };

/// How many values a row of VALUES has.
fn values_width(query: &Node) -> Option<usize> {
    match &query.node {
        Some(N::SelectStmt(query)) => match &query.values_lists.first()?.node {
            Some(N::List(list)) => Some(list.items.len()),
            _ => None,
        },
        _ => None,
    }
}
