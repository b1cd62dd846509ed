//! SELECT and set operations: what is in scope, what is used, what comes out.

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, LockClauseStrength, SetOperation, a_const::Val},
};

use super::Walk;
use crate::{
    StatementClass,
    postgres::{
        predicate,
        resolve::{OutColumn, Parts, Shape, Ty},
    },
};

/// What becomes of a query's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// It is sent, stored or compared: every column counts.
    Counted,
    /// Its columns count when somebody refers to them.
    Carried,
}

impl Walk<'_> {
    /// Walks a query. Gives its columns when they are carried.
    pub(super) fn select(&mut self, select: &pb::SelectStmt, usage: Usage) -> Shape {
        let pb::SelectStmt {
            into_clause,
            where_clause,
            limit_offset,
            limit_count,
            locking_clause,
            with_clause,
            larg,
            rarg,
            ..
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
        self.resolver.enter();
        self.with_clause(with_clause.as_ref());
        if let Some(into) = into_clause {
            self.makes_table(into);
        }
        let shape = match (larg, rarg) {
            (Some(left), Some(right)) => self.set_operation(select, left, right, usage),
            _ => self.plain_select(select, usage),
        };
        self.boxed(limit_offset);
        self.boxed(limit_count);
        // FOR UPDATE OF names aliases of this query's own FROM, already read above.
        self.resolver.leave();
        shape
    }

    fn plain_select(&mut self, select: &pb::SelectStmt, usage: Usage) -> Shape {
        let pb::SelectStmt {
            distinct_clause,
            into_clause: _,
            target_list,
            from_clause,
            where_clause,
            group_clause,
            group_distinct: _,
            having_clause,
            window_clause,
            values_lists,
            sort_clause,
            limit_offset: _,
            limit_count: _,
            limit_option: _,
            locking_clause: _,
            with_clause: _,
            op: _,
            all: _,
            larg: _,
            rarg: _,
        } = select;
        self.from(from_clause);
        self.boxed(where_clause);
        let mut shape = self.targets(target_list, usage);
        if let Some(first) = values_lists.first() {
            self.nodes(values_lists);
            shape = values_shape(first);
        }
        let out = Output {
            shape: &shape,
            targets: target_list,
        };
        match distinct_clause.as_slice() {
            // DISTINCT without ON compares every column.
            [Node { node: None }] => self.resolver.touch_shape(&shape),
            keys => self.by(keys, &out),
        }
        self.by(group_clause, &out);
        self.boxed(having_clause);
        self.nodes(window_clause);
        self.by(sort_clause, &out);
        shape
    }

    fn set_operation(
        &mut self,
        select: &pb::SelectStmt,
        left: &pb::SelectStmt,
        right: &pb::SelectStmt,
        usage: Usage,
    ) -> Shape {
        let left = self.select(left, Usage::Carried);
        let right = self.select(right, Usage::Carried);
        let compares = !select.all || select.op != SetOperation::SetopUnion as i32;
        let apart = !left.is_listed() || !right.is_listed();
        if compares || apart {
            self.resolver.touch_shape(&left);
            self.resolver.touch_shape(&right);
        }
        let shape = if left.pending {
            right
        } else {
            merge(left, right)
        };
        if usage == Usage::Counted {
            self.resolver.touch_shape(&shape);
        }
        let out = Output {
            shape: &shape,
            targets: &[],
        };
        self.by(&select.sort_clause, &out);
        shape
    }

    /// ORDER BY, GROUP BY and DISTINCT ON: expressions, output names and positions.
    fn by(&mut self, keys: &[Node], out: &Output<'_>) {
        for key in keys {
            self.by_one(key, out);
        }
    }

    fn by_one(&mut self, key: &Node, out: &Output<'_>) {
        match &key.node {
            Some(N::SortBy(sort)) => {
                self.operator(&sort.use_op, [None, None]);
                if let Some(key) = sort.node.as_deref() {
                    self.by_one(key, out);
                }
            }
            Some(N::GroupingSet(set)) => self.by(&set.content, out),
            Some(N::RowExpr(row)) => self.by(&row.args, out),
            Some(N::AConst(constant)) => {
                if let Some(Val::Ival(position)) = &constant.val
                    && let Ok(position) = usize::try_from(position.ival)
                    && let Some(column) = out.shape.columns.get(position.wrapping_sub(1))
                {
                    self.resolver.touch_all(&column.from);
                }
            }
            Some(N::ColumnRef(column)) => match Parts::of(&column.fields) {
                Some(parts) if out.has(&parts) => {
                    self.resolver.touch_output(out.shape, &parts);
                    self.resolver.touch_if_any(&parts);
                }
                _ => self.node(key),
            },
            _ => self.node(key),
        }
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

    /// Keeps the least narrow predicate of all writes in the statement.
    pub(super) fn narrow(&mut self, predicate: crate::Predicate) {
        self.predicate = predicate::widest(self.predicate, predicate);
    }
}

/// What comes out of a query: its columns, and its target list where they were counted at once.
struct Output<'a> {
    shape: &'a Shape,
    targets: &'a [Node],
}

impl Output<'_> {
    fn has(&self, parts: &Parts<'_>) -> bool {
        let [name] = *parts.names() else { return false };
        let target = |target: &Node| match &target.node {
            Some(N::ResTarget(target)) => target.name == name,
            _ => false,
        };
        self.shape.columns.iter().any(|column| column.name == name)
            || self.targets.iter().any(target)
            // An unnamed column of a set operation has a name all the same.
            || (self.targets.is_empty() && !self.shape.open.is_empty())
    }
}

/// Two sides of a set operation, column by column, under the names of the first.
fn merge(mut left: Shape, right: Shape) -> Shape {
    let pairs = left.columns.iter_mut().zip(right.columns);
    for (one, other) in pairs {
        one.from.extend(other.from);
        one.from.sort_unstable();
        one.from.dedup();
        if one.ty != other.ty {
            one.ty = Ty::Unknown;
        }
    }
    left.open.extend(right.open);
    left.view = None;
    left
}

/// `VALUES`: `column1`, `column2`, with values that are counted where they stand.
fn values_shape(first: &Node) -> Shape {
    let count = match &first.node {
        Some(N::List(list)) => list.items.len(),
        _ => 0,
    };
    let columns = (1..=count).map(|number| OutColumn {
        name: format!("column{number}"),
        from: Vec::new(),
        ty: Ty::Unknown,
    });
    Shape {
        columns: columns.collect(),
        ..Shape::default()
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
