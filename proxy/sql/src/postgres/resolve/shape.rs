//! What a query or relation gives, column by column, and what each column carries.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{Node, NodeEnum as N, protobuf as pb};

use super::{Item, Parts, Resolver, Source, Touch, Ty, scope::named};
use crate::{RelationName, postgres::walk::text};

/// What a query or relation gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub columns: Vec<OutColumn>,
    /// There may be more columns, of these.
    pub open: BTreeSet<Open>,
    /// Not known yet, in the midst of recursion.
    pub pending: bool,
    /// It is a function's result, whose whole row may be a single value.
    pub function: bool,
    /// The view it is.
    pub view: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutColumn {
    pub name: String,
    pub from: Vec<Touch>,
    pub ty: Ty,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Open {
    /// A relation whose columns are not known.
    Relation(RelationName),
    /// Values that are counted where they come from, any number of them.
    Values,
    /// Columns that are listed, but whose names only the server can tell.
    Unnamed,
}

impl Shape {
    /// Every column is listed, in its place.
    pub(crate) fn is_listed(&self) -> bool {
        self.open.iter().all(|open| *open == Open::Unnamed)
    }

    /// The same columns under other names, the first ones first.
    pub(crate) fn renamed<'n>(mut self, names: impl Iterator<Item = &'n str>) -> Self {
        let listed = self.is_listed();
        let anywhere = (!listed).then(|| self.carries_all());
        let mut count = 0;
        for (position, name) in names.enumerate() {
            count = position + 1;
            if self.columns.len() < count {
                self.columns.push(OutColumn {
                    name: String::new(),
                    from: Vec::new(),
                    ty: Ty::Unknown,
                });
            }
            if let Some(column) = self.columns.get_mut(position) {
                name.clone_into(&mut column.name);
                if let Some(anywhere) = &anywhere {
                    // Which column this is cannot be told.
                    column.from.clone_from(anywhere);
                    column.ty = Ty::Unknown;
                }
            }
        }
        if listed && count >= self.columns.len() {
            self.open.clear();
        }
        self
    }

    fn carries_all(&self) -> Vec<Touch> {
        let mut all: Vec<Touch> = self
            .columns
            .iter()
            .flat_map(|column| column.from.iter().cloned())
            .collect();
        for open in &self.open {
            if let Open::Relation(relation) = open {
                all.push(named(Some(relation.clone()), "*"));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Resolver<'_> {
    /// An item's columns one by one.
    pub(crate) fn shape_of(&mut self, item: &Item) -> Arc<Shape> {
        match &item.source {
            Source::Shape(shape) => Arc::clone(shape),
            Source::Table { relation, only } => {
                let (relation, only) = (*relation, *only);
                let known = self.names.and_then(|names| names.relation(relation));
                let columns = known.map_or(&[][..], |relation| &relation.columns);
                self.step(columns.len());
                let columns = (0..).zip(columns).map(|(column, known)| OutColumn {
                    name: known.name.clone(),
                    from: vec![Touch::Column {
                        relation,
                        column,
                        only,
                    }],
                    ty: Ty::Column { relation, column },
                });
                Arc::new(Shape {
                    columns: columns.collect(),
                    ..Shape::default()
                })
            }
        }
    }

    pub(super) fn rest_of(&mut self, open: &Open, into: &mut Vec<Touch>) {
        if let Open::Relation(relation) = open {
            self.columns_unknown |= !self.sighted();
            into.push(named(Some(relation.clone()), "*"));
        }
    }

    /// Touches all of a query's columns.
    pub(crate) fn touch_shape(&mut self, shape: &Shape) {
        for column in &shape.columns {
            self.touch_all(&column.from);
        }
        let mut rest = Vec::new();
        for open in &shape.open {
            self.rest_of(open, &mut rest);
        }
        self.touch_all(&rest);
    }

    /// Touches a query's columns of this name.
    pub(crate) fn touch_output(&mut self, shape: &Shape, parts: &Parts<'_>) {
        let [name] = *parts.names() else { return };
        for column in shape.columns.iter().filter(|column| column.name == name) {
            self.touch_all(&column.from);
        }
    }
}

/// The name a column gets that has none written: as the server names it.
pub(crate) fn figured_name(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        N::ColumnRef(column) => text(column.fields.last()?),
        N::FuncCall(call) => text(call.funcname.last()?),
        N::AIndirection(node) => node
            .indirection
            .iter()
            .rev()
            .find_map(text)
            .or_else(|| figured_name(node.arg.as_deref()?)),
        N::TypeCast(cast) => figured_name(cast.arg.as_deref()?)
            .or_else(|| text(cast.type_name.as_ref()?.names.last()?)),
        N::CollateClause(node) => figured_name(node.arg.as_deref()?),
        N::CaseExpr(node) => node
            .defresult
            .as_deref()
            .and_then(figured_name)
            .or(Some("case")),
        N::AExpr(node) if node.kind == pb::AExprKind::AexprNullif as i32 => Some("nullif"),
        N::AArrayExpr(_) => Some("array"),
        N::RowExpr(_) => Some("row"),
        N::CoalesceExpr(_) => Some("coalesce"),
        N::GroupingFunc(_) => Some("grouping"),
        N::MergeSupportFunc(_) => Some("merge_action"),
        _ => None,
    }
}
