//! SELECT, INSERT, UPDATE, DELETE, MERGE and what hangs on them.

use std::collections::HashSet;

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, CmdType, LockClauseStrength, MergeMatchKind},
};

use super::{Walk, qualified};
use crate::{
    Predicate, StatementClass,
    postgres::{builtin, predicate},
};

impl Walk {
    pub(super) fn select(&mut self, select: &pb::SelectStmt) {
        let pb::SelectStmt {
            distinct_clause,
            into_clause,
            target_list,
            from_clause,
            where_clause,
            group_clause,
            group_distinct: _,
            having_clause,
            window_clause,
            values_lists,
            sort_clause,
            limit_offset,
            limit_count,
            limit_option: _,
            locking_clause,
            with_clause,
            op: _,
            all: _,
            larg,
            rarg,
        } = select;
        if into_clause.is_some() {
            self.is_a("SELECT INTO", StatementClass::Ddl);
        } else if let Some(kind) = locking_kind(locking_clause) {
            self.is_a(kind, StatementClass::Write);
            let target = predicate::Target::Any;
            self.narrow(predicate::of(where_clause.as_deref(), &target));
        } else {
            self.is_a("SELECT", StatementClass::Read);
        }
        self.with(with_clause.as_ref(), |walk| {
            if let Some(into) = into_clause {
                walk.makes_table(into);
            }
            walk.nodes(distinct_clause);
            walk.nodes(target_list);
            walk.nodes(from_clause);
            walk.boxed(where_clause);
            walk.nodes(group_clause);
            walk.boxed(having_clause);
            walk.nodes(window_clause);
            walk.nodes(values_lists);
            walk.nodes(sort_clause);
            walk.boxed(limit_offset);
            walk.boxed(limit_count);
            for side in [larg, rarg].into_iter().flatten() {
                walk.select(side);
            }
        });
        // FOR UPDATE OF names aliases of this query's own FROM, already read above.
    }

    pub(super) fn insert(&mut self, insert: &pb::InsertStmt) {
        let pb::InsertStmt {
            relation,
            cols,
            select_stmt,
            on_conflict_clause,
            returning_clause,
            with_clause,
            r#override: _,
        } = insert;
        self.is_a("INSERT", StatementClass::Write);
        self.write(relation.as_ref());
        self.with(with_clause.as_ref(), |walk| {
            walk.nodes(cols);
            walk.boxed(select_stmt);
            if let Some(on_conflict) = on_conflict_clause {
                walk.on_conflict(on_conflict);
            }
            walk.returning(returning_clause.as_ref());
        });
    }

    pub(super) fn update(&mut self, update: &pb::UpdateStmt) {
        let pb::UpdateStmt {
            relation,
            target_list,
            where_clause,
            from_clause,
            returning_clause,
            with_clause,
        } = update;
        self.is_a("UPDATE", StatementClass::Write);
        self.write(relation.as_ref());
        let target = predicate::Target::of(relation.as_ref(), from_clause);
        self.narrow(predicate::of(where_clause.as_deref(), &target));
        self.with(with_clause.as_ref(), |walk| {
            walk.nodes(target_list);
            walk.nodes(from_clause);
            walk.boxed(where_clause);
            walk.returning(returning_clause.as_ref());
        });
    }

    pub(super) fn delete(&mut self, delete: &pb::DeleteStmt) {
        let pb::DeleteStmt {
            relation,
            using_clause,
            where_clause,
            returning_clause,
            with_clause,
        } = delete;
        self.is_a("DELETE", StatementClass::Write);
        self.write(relation.as_ref());
        let target = predicate::Target::of(relation.as_ref(), using_clause);
        self.narrow(predicate::of(where_clause.as_deref(), &target));
        self.with(with_clause.as_ref(), |walk| {
            walk.nodes(using_clause);
            walk.boxed(where_clause);
            walk.returning(returning_clause.as_ref());
        });
    }

    pub(super) fn merge(&mut self, merge: &pb::MergeStmt) {
        let pb::MergeStmt {
            relation,
            source_relation,
            join_condition,
            merge_when_clauses,
            returning_clause,
            with_clause,
        } = merge;
        self.is_a("MERGE", StatementClass::Write);
        self.write(relation.as_ref());
        // A join can pair one source row with every target row, and rows without a partner are
        // touched too: nothing short of a tautology is ever narrower than a range.
        let target = predicate::Target::of(relation.as_ref(), std::slice::from_ref(&NOTHING));
        self.narrow(match predicate::of(join_condition.as_deref(), &target) {
            Predicate::Tautology | Predicate::Missing => Predicate::Tautology,
            _ => Predicate::Range,
        });
        self.with(with_clause.as_ref(), |walk| {
            walk.boxed(source_relation);
            walk.boxed(join_condition);
            walk.nodes(merge_when_clauses);
            walk.returning(returning_clause.as_ref());
        });
    }

    pub(super) fn merge_when(&mut self, clause: &pb::MergeWhenClause) {
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
        match CmdType::try_from(*command_type) {
            Ok(CmdType::CmdUpdate | CmdType::CmdDelete | CmdType::CmdInsert) => {}
            Ok(CmdType::CmdNothing) => {}
            _ => self.unknown("MergeWhenClause"),
        }
        self.boxed(condition);
        self.nodes(target_list);
        self.nodes(values);
    }

    pub(super) fn on_conflict(&mut self, clause: &pb::OnConflictClause) {
        let pb::OnConflictClause {
            action: _,
            infer,
            target_list,
            where_clause,
            location: _,
        } = clause;
        if let Some(infer) = infer {
            self.nodes(&infer.index_elems);
            self.boxed(&infer.where_clause);
        }
        self.nodes(target_list);
        self.boxed(where_clause);
    }

    /// The table that SELECT INTO or CREATE TABLE AS makes.
    pub(super) fn makes_table(&mut self, into: &pb::IntoClause) {
        let pb::IntoClause {
            rel,
            col_names,
            access_method: _,
            options,
            on_commit: _,
            table_space_name: _,
            view_query,
            skip_data: _,
        } = into;
        self.alter(rel.as_ref());
        self.nodes(col_names);
        self.nodes(options);
        if view_query.is_some() {
            self.unknown("Query");
        }
    }

    fn returning(&mut self, clause: Option<&pb::ReturningClause>) {
        if let Some(clause) = clause {
            self.nodes(&clause.exprs);
        }
    }

    /// Walks a WITH clause and then `body`, with its names in scope.
    ///
    /// Without RECURSIVE a query sees only those before it: `WITH t AS (SELECT * FROM t)` reads
    /// the table.
    fn with(&mut self, clause: Option<&pb::WithClause>, body: impl FnOnce(&mut Self)) {
        let Some(clause) = clause else {
            return body(self);
        };
        let pb::WithClause {
            ctes,
            recursive,
            location: _,
        } = clause;
        self.scopes.push(if *recursive {
            ctes.iter().filter_map(cte_name).collect()
        } else {
            HashSet::new()
        });
        for cte in ctes {
            self.node(cte);
            if let (Some(name), Some(scope)) = (cte_name(cte), self.scopes.last_mut()) {
                scope.insert(name);
            }
        }
        body(self);
        self.scopes.pop();
    }

    pub(super) fn common_table(&mut self, cte: &pb::CommonTableExpr) {
        self.boxed(&cte.ctequery);
        if let Some(cycle) = &cte.cycle_clause {
            self.boxed(&cycle.cycle_mark_value);
            self.boxed(&cycle.cycle_mark_default);
        }
    }

    pub(super) fn range_table_func(&mut self, node: &pb::RangeTableFunc) {
        let pb::RangeTableFunc {
            lateral: _,
            docexpr,
            rowexpr,
            namespaces,
            columns,
            alias: _,
            location: _,
        } = node;
        self.boxed(docexpr);
        self.boxed(rowexpr);
        self.nodes(namespaces);
        self.nodes(columns);
    }

    pub(super) fn table_sample(&mut self, node: &pb::RangeTableSample) {
        let pb::RangeTableSample {
            relation,
            method,
            args,
            repeatable,
            location: _,
        } = node;
        self.boxed(relation);
        match qualified(method) {
            Some((schema, name)) if builtin::is_sampling_method(schema, name) => {}
            _ => self.doubt("samples with a method that is not built in".to_owned()),
        }
        self.nodes(args);
        self.boxed(repeatable);
    }

    /// Keeps the least narrow predicate of all writes in the statement.
    fn narrow(&mut self, predicate: Predicate) {
        self.predicate = predicate::widest(self.predicate, predicate);
    }
}

/// Stands for "there is more than the target in FROM".
const NOTHING: Node = Node { node: None };

fn cte_name(node: &Node) -> Option<String> {
    match &node.node {
        Some(N::CommonTableExpr(cte)) => Some(cte.ctename.clone()),
        _ => None,
    }
}

/// `SELECT ... FOR UPDATE` locks rows, which a read-only transaction refuses.
fn locking_kind(clauses: &[Node]) -> Option<&'static str> {
    let mut strongest = None;
    for clause in clauses {
        let Some(N::LockingClause(clause)) = &clause.node else {
            continue;
        };
        strongest = strongest.max(Some(clause.strength));
    }
    Some(match LockClauseStrength::try_from(strongest?) {
        Ok(LockClauseStrength::LcsForkeyshare) => "SELECT FOR KEY SHARE",
        Ok(LockClauseStrength::LcsForshare) => "SELECT FOR SHARE",
        Ok(LockClauseStrength::LcsFornokeyupdate) => "SELECT FOR NO KEY UPDATE",
        _ => "SELECT FOR UPDATE",
    })
}
