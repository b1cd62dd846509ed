//! Target lists: columns as they come out, each with what it carries.

use pg_query::{Node, NodeEnum as N, protobuf as pb};

use super::{Walk, query::Usage, text};
use crate::postgres::resolve::{Open, OutColumn, Parts, Shape, Touch, Ty, figured_name};

impl Walk<'_> {
    /// A target list or RETURNING.
    pub(super) fn targets(&mut self, targets: &[Node], usage: Usage) -> Shape {
        let mut shape = Shape::default();
        for target in targets {
            match (&target.node, usage) {
                (Some(N::ResTarget(target)), Usage::Carried) => self.carried(target, &mut shape),
                _ => self.node(target),
            }
        }
        shape
    }

    /// One column that counts only when it is referred to; an expression in it counts at once.
    fn carried(&mut self, target: &pb::ResTarget, shape: &mut Shape) {
        let pb::ResTarget {
            name,
            indirection,
            val,
            location: _,
        } = target;
        self.nodes(indirection);
        let Some(value) = val.as_deref() else { return };
        let (from, ty) = match &value.node {
            Some(N::ColumnRef(column)) => match Parts::of(&column.fields) {
                Some(parts) if parts.star => return self.spread(&parts, shape),
                Some(parts) => {
                    self.note_notation(&parts);
                    let mut from = Vec::new();
                    let ty = self.resolver.column(&parts, &mut from);
                    (from, ty)
                }
                None => return self.node(value),
            },
            Some(N::AIndirection(node)) if node.indirection.last().is_some_and(is_star) => {
                return self.spread_row(node, shape);
            }
            Some(N::AIndirection(node)) => self.carried_field(node),
            _ => self.carried_expression(value),
        };
        let name = Some(name.as_str()).filter(|name| !name.is_empty());
        match name.or_else(|| figured_name(value)) {
            Some(name) => shape.columns.push(OutColumn {
                name: name.to_owned(),
                from,
                ty,
            }),
            // Nobody can tell what the server calls it, so any name may be it.
            None => {
                self.resolver.touch_all(&from);
                shape.columns.push(OutColumn {
                    name: "?column?".to_owned(),
                    from,
                    ty,
                });
                shape.open.insert(Open::Unnamed);
            }
        }
    }

    fn carried_expression(&mut self, value: &Node) -> (Vec<Touch>, Ty) {
        let ty = match value.node {
            Some(N::TypeCast(_) | N::AConst(_)) => self.type_of(value),
            _ => Ty::Unknown,
        };
        if !self.resolver.carries_expressions {
            self.node(value);
            return (Vec::new(), ty);
        }
        let before = self.resolver.take_touched();
        self.node(value);
        let from = self.resolver.take_touched();
        self.resolver.put_touched(before);
        (from, ty)
    }

    /// `(p).ssn` where `p` is a row of FROM is `p.ssn`.
    fn carried_field(&mut self, node: &pb::AIndirection) -> (Vec<Touch>, Ty) {
        let before = self.resolver.take_touched();
        let ty = self.indirection(node);
        let from = self.resolver.take_touched();
        self.resolver.put_touched(before);
        (from, ty)
    }

    fn spread(&mut self, parts: &Parts<'_>, shape: &mut Shape) {
        let all = self.resolver.star(parts);
        shape.columns.extend(all.columns);
        shape.open.extend(all.open);
        shape.pending |= all.pending;
    }

    /// `(p).*`
    fn spread_row(&mut self, node: &pb::AIndirection, shape: &mut Shape) {
        let row = match &node.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
            Some(N::ColumnRef(column)) if node.indirection.len() == 1 => {
                Parts::of(&column.fields).and_then(|parts| self.resolver.row_item(&parts))
            }
            _ => None,
        };
        match row {
            Some(item) => {
                let all = self.resolver.shape_of(&item);
                shape.columns.extend(all.columns.iter().cloned());
                shape.open.extend(all.open.iter().cloned());
                shape.pending |= all.pending;
            }
            None => {
                self.indirection(node);
                shape.open.insert(Open::Values);
            }
        }
    }
}

pub(super) fn is_star(node: &Node) -> bool {
    matches!(node.node, Some(N::AStar(_)))
}

/// The name of a column a list defines.
pub(super) fn target_name(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        N::ResTarget(target) => Some(&target.name),
        N::String(_) => text(node),
        _ => None,
    }
}
