//! How many rows a statement gives or inserts at most, where its text says so.
//!
//! A list of VALUES is as long as it looks only when each of its expressions gives one value: INSERT takes a single
//! row for a SELECT, and a function that returns a set makes it as many rows as the set has.

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, LimitOption, SetOperation, a_const::Val},
};

use super::text;
use crate::postgres::{builtin, resolve::Resolver};

/// Most expressions one inside another that are gone through; what is deeper may be anything.
const DEPTH_MAX: usize = 64;

/// A constant bound of the outermost query.
pub(super) fn bound(statement: &N, resolver: &Resolver<'_>) -> Option<u64> {
    let inner = |node: Option<&Node>| bound(node?.node.as_ref()?, resolver);
    match statement {
        N::SelectStmt(query) => of_query(query, resolver),
        N::InsertStmt(insert) => match &insert.select_stmt {
            None => Some(1),
            Some(query) => inner(Some(query)),
        },
        N::RawStmt(node) => inner(node.stmt.as_deref()),
        N::ExplainStmt(node) => inner(node.query.as_deref()),
        N::PrepareStmt(node) => inner(node.query.as_deref()),
        N::DeclareCursorStmt(node) => inner(node.query.as_deref()),
        N::CreateTableAsStmt(node) => inner(node.query.as_deref()),
        N::CopyStmt(node) => inner(node.query.as_deref()),
        _ => None,
    }
}

fn of_query(query: &pb::SelectStmt, resolver: &Resolver<'_>) -> Option<u64> {
    let listed = if query.op == SetOperation::SetopNone as i32 {
        listed(query, resolver)
    } else {
        None
    };
    let ties = query.limit_option == LimitOption::WithTies as i32;
    let limited = query.limit_count.as_deref().and_then(constant);
    match (listed, limited.filter(|_| !ties)) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The rows of VALUES, or of a SELECT from nothing else.
fn listed(query: &pb::SelectStmt, resolver: &Resolver<'_>) -> Option<u64> {
    if let [row] = query.values_lists.as_slice() {
        return single(row, resolver, DEPTH_MAX).then_some(1);
    }
    if !query.values_lists.is_empty() {
        // The server refuses functions that return sets in more than one row.
        return Some(query.values_lists.len() as u64);
    }
    let [
        Node {
            node: Some(N::RangeSubselect(from)),
        },
    ] = query.from_clause.as_slice()
    else {
        return None;
    };
    let Some(N::SelectStmt(values)) = &from.subquery.as_deref()?.node else {
        return None;
    };
    let grouped = !query.group_clause.is_empty();
    let one_each = query.target_list.iter().all(|target| match &target.node {
        Some(N::ResTarget(target)) => {
            let value = target.val.as_deref();
            value.is_some_and(|value| single(value, resolver, DEPTH_MAX))
        }
        _ => false,
    });
    if grouped || !one_each || values.values_lists.is_empty() {
        return None;
    }
    of_query(values, resolver)
}

/// Whether an expression gives one value, whatever it is.
fn single(node: &Node, resolver: &Resolver<'_>, depth: usize) -> bool {
    let (Some(node), Some(depth)) = (&node.node, depth.checked_sub(1)) else {
        return false;
    };
    let all = |nodes: &[Node]| nodes.iter().all(|node| single(node, resolver, depth));
    let boxed = |nodes: &[&Option<Box<Node>>]| {
        let mut given = nodes.iter().filter_map(|node| node.as_deref());
        given.all(|node| single(node, resolver, depth))
    };
    match node {
        N::AConst(_)
        | N::ParamRef(_)
        | N::SetToDefault(_)
        | N::SqlvalueFunction(_)
        // A subquery in an expression gives one row, or the server refuses it.
        | N::SubLink(_) => true,
        // Not `x.*`; and `x.f` may call `f(x)`.
        N::ColumnRef(column) => {
            let plain = column.fields.iter().all(|field| text(field).is_some());
            plain && (column.fields.len() == 1 || named_one(&column.fields, resolver))
        }
        N::List(node) => all(&node.items),
        N::TypeCast(node) => boxed(&[&node.arg]),
        N::CollateClause(node) => boxed(&[&node.arg]),
        N::AExpr(node) => {
            let name = node.name.last().and_then(text);
            name.is_some_and(|name| builtin::is_operator(None, name))
                && boxed(&[&node.lexpr, &node.rexpr])
        }
        N::BoolExpr(node) => all(&node.args),
        N::NullTest(node) => boxed(&[&node.arg]),
        N::BooleanTest(node) => boxed(&[&node.arg]),
        N::CoalesceExpr(node) => all(&node.args),
        N::MinMaxExpr(node) => all(&node.args),
        N::AArrayExpr(node) => all(&node.elements),
        N::RowExpr(node) => all(&node.args),
        N::CaseExpr(node) => boxed(&[&node.arg, &node.defresult]) && all(&node.args),
        N::CaseWhen(node) => boxed(&[&node.expr, &node.result]),
        N::NamedArgExpr(node) => boxed(&[&node.arg]),
        N::FuncCall(call) => named_one(&call.funcname, resolver) && all(&call.args),
        _ => false,
    }
}

/// No routine of this name returns a set, in whatever schema.
fn named_one(name: &[Node], resolver: &Resolver<'_>) -> bool {
    let name = name.last().and_then(text);
    name.is_some_and(|name| !builtin::may_return_set(name) && !resolver.may_return_set(name))
}

fn constant(node: &Node) -> Option<u64> {
    match &node.node {
        Some(N::AConst(constant)) => match constant.val.as_ref()? {
            Val::Ival(value) => u64::try_from(value.ival).ok(),
            Val::Fval(value) => value.fval.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
