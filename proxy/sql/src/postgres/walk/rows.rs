//! How many rows a statement gives or inserts at most, where its text says so.

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, LimitOption, a_const::Val},
};

/// A constant bound of the outermost query.
pub(super) fn bound(statement: &N) -> Option<u64> {
    match statement {
        N::SelectStmt(query) => of_query(query),
        N::InsertStmt(insert) => match &insert.select_stmt {
            None => Some(1),
            Some(query) => bound(query.node.as_ref()?),
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

fn inner(node: Option<&Node>) -> Option<u64> {
    bound(node?.node.as_ref()?)
}

fn of_query(query: &pb::SelectStmt) -> Option<u64> {
    let listed = match query.values_lists.len() {
        0 => None,
        rows => Some(rows as u64),
    };
    let ties = query.limit_option == LimitOption::WithTies as i32;
    let limited = query.limit_count.as_deref().and_then(constant);
    match (listed, limited.filter(|_| !ties)) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
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
