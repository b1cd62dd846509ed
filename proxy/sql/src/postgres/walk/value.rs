//! The type of an expression, as far as it can be told without the server.

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{AExprKind, a_const::Val},
};

use super::{Walk, qualified, text};
use crate::postgres::resolve::{Parts, Ty};

impl Walk<'_> {
    pub(super) fn type_of(&mut self, node: &Node) -> Ty {
        match &node.node {
            Some(N::AConst(constant)) => match &constant.val {
                Some(Val::Ival(_)) => Ty::BuiltIn("int4"),
                Some(Val::Fval(_)) => Ty::BuiltIn("numeric"),
                Some(Val::Boolval(_)) => Ty::BuiltIn("bool"),
                Some(Val::Bsval(_)) => Ty::BuiltIn("bit"),
                Some(Val::Sval(_)) | None => Ty::Literal,
            },
            Some(N::ColumnRef(column)) => match Parts::of(&column.fields) {
                Some(parts) if !parts.star => self.resolver.column(&parts, &mut Vec::new()),
                _ => Ty::Unknown,
            },
            Some(N::TypeCast(cast)) => match &cast.type_name {
                Some(name) if name.array_bounds.is_empty() => qualified(&name.names)
                    .map_or(Ty::Unknown, |(schema, name)| {
                        self.resolver.type_named(schema, name)
                    }),
                _ => Ty::Unknown,
            },
            Some(N::CollateClause(node)) => {
                let arg = node.arg.as_deref();
                arg.map_or(Ty::Unknown, |arg| self.type_of(arg))
            }
            Some(N::FuncCall(call)) => qualified(&call.funcname)
                .map_or(Ty::Unknown, |(schema, name)| {
                    self.resolver.returned(schema, name, call.args.len())
                }),
            Some(N::AIndirection(node)) => {
                let mut ty = node
                    .arg
                    .as_deref()
                    .map_or(Ty::Unknown, |arg| self.type_of(arg));
                for name in &node.indirection {
                    ty = match text(name) {
                        Some(name) => self.resolver.field_type(ty, name),
                        None => Ty::Unknown,
                    };
                }
                ty
            }
            Some(N::BoolExpr(_) | N::NullTest(_) | N::BooleanTest(_)) => Ty::BuiltIn("bool"),
            Some(N::AExpr(node)) => {
                let sum = node.kind == AExprKind::AexprOp as i32
                    && matches!(
                        node.name.first().and_then(text),
                        Some("+" | "-" | "*" | "/")
                    )
                    && node.name.len() == 1;
                let (Some(left), Some(right)) = (node.lexpr.as_deref(), node.rexpr.as_deref())
                else {
                    return Ty::Unknown;
                };
                if sum && self.is_number(left) && self.is_number(right) {
                    Ty::BuiltIn("numeric")
                } else {
                    Ty::Unknown
                }
            }
            _ => Ty::Unknown,
        }
    }

    fn is_number(&mut self, node: &Node) -> bool {
        let ty = self.type_of(node);
        self.resolver.is_number(ty)
    }
}
