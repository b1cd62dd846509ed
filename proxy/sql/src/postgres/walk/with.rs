//! WITH: names for queries, and recursion followed until it gives nothing new.

use std::sync::Arc;

use pg_query::{Node, NodeEnum as N, protobuf as pb};

use super::{Walk, query::Usage, text};
use crate::postgres::resolve::{OutColumn, Shape, Ty};

impl Walk<'_> {
    /// Walks a WITH clause; its names are in scope from then on.
    ///
    /// Without RECURSIVE a query sees only those before it: `WITH t AS (SELECT * FROM t)` reads
    /// the table.
    pub(super) fn with_clause(&mut self, clause: Option<&pb::WithClause>) {
        let Some(clause) = clause else { return };
        let pb::WithClause {
            ctes,
            recursive,
            location: _,
        } = clause;
        if *recursive {
            // Each row can carry all before it.
            self.gathers = true;
            return self.recursive(ctes);
        }
        for cte in ctes.iter().filter_map(common_table) {
            let shape = Arc::new(self.common_table(cte));
            if let Some(level) = self.resolver.level() {
                level.ctes.push((cte.ctename.clone(), shape));
            }
        }
    }

    /// With RECURSIVE every query sees all names, its own too.
    fn recursive(&mut self, ctes: &[Node]) {
        let pending = Arc::new(Shape {
            pending: true,
            ..Shape::default()
        });
        let before = std::mem::take(&mut self.resolver.recursed);
        let Some(level) = self.resolver.level() else {
            return;
        };
        let names = ctes.iter().filter_map(common_table);
        level.ctes = names
            .map(|cte| (cte.ctename.clone(), Arc::clone(&pending)))
            .collect();
        loop {
            let mut changed = false;
            for (position, cte) in ctes.iter().filter_map(common_table).enumerate() {
                let shape = self.common_table(cte);
                let level = self.resolver.level();
                if let Some((_, known)) = level.and_then(|level| level.ctes.get_mut(position))
                    && **known != shape
                {
                    *known = Arc::new(shape);
                    changed = true;
                }
            }
            if !changed || !self.resolver.recursed || !self.resolver.pass() {
                break;
            }
        }
        self.resolver.recursed |= before;
    }

    pub(super) fn common_table(&mut self, cte: &pb::CommonTableExpr) -> Shape {
        let pb::CommonTableExpr {
            ctename: _,
            aliascolnames,
            ctematerialized: _,
            ctequery,
            search_clause,
            cycle_clause,
            ..
        } = cte;
        let shape = match ctequery.as_ref().and_then(|query| query.node.as_ref()) {
            Some(N::SelectStmt(query)) => self.select(query, Usage::Carried),
            Some(N::InsertStmt(query)) => self.insert(query, Usage::Carried),
            Some(N::UpdateStmt(query)) => self.update(query, Usage::Carried),
            Some(N::DeleteStmt(query)) => self.delete(query, Usage::Carried),
            Some(N::MergeStmt(query)) => self.merge(query, Usage::Carried),
            _ => {
                self.boxed(ctequery);
                Shape::default()
            }
        };
        let mut shape = match aliascolnames.as_slice() {
            [] => shape,
            names => shape.renamed(names.iter().filter_map(text)),
        };
        if let Some(search) = search_clause {
            self.ordered_by(&shape, &search.search_col_list);
            shape.columns.push(made(&search.search_seq_column));
        }
        if let Some(cycle) = cycle_clause {
            self.boxed(&cycle.cycle_mark_value);
            self.boxed(&cycle.cycle_mark_default);
            self.ordered_by(&shape, &cycle.cycle_col_list);
            shape.columns.push(made(&cycle.cycle_mark_column));
            shape.columns.push(made(&cycle.cycle_path_column));
        }
        shape
    }

    /// SEARCH and CYCLE compare these columns.
    fn ordered_by(&mut self, shape: &Shape, names: &[Node]) {
        for name in names.iter().filter_map(text) {
            let columns = shape.columns.iter();
            for column in columns.filter(|column| column.name == name) {
                self.resolver.touch_all(&column.from);
            }
        }
    }
}

fn common_table(node: &Node) -> Option<&pb::CommonTableExpr> {
    match &node.node {
        Some(N::CommonTableExpr(cte)) => Some(cte),
        _ => None,
    }
}

fn made(name: &str) -> OutColumn {
    OutColumn {
        name: name.to_owned(),
        from: Vec::new(),
        ty: Ty::Unknown,
    }
}
