//! Statements that have no plan of their own, and a query inside that has: CREATE TABLE AS, SELECT INTO, COPY, and
//! SELECT that locks the rows it returns.

use pg_query::{
    NodeEnum as N,
    protobuf::{self as pb, LockWaitPolicy},
};

use super::{Amount, Touched, node, parsed, rows_of};

/// What a SELECT returns, or puts into a table; without its locks, as a read-only transaction would have it.
pub(super) fn of_select(select: &pb::SelectStmt) -> Option<Touched> {
    let mut plain = select.clone();
    let locks = std::mem::take(&mut plain.locking_clause);
    let skips = locks.iter().any(|clause| {
        matches!(&clause.node, Some(N::LockingClause(clause))
            if clause.wait_policy == LockWaitPolicy::LockWaitSkip as i32)
    });
    let into = take_into(&mut plain);
    let query = if locks.is_empty() && !into {
        None
    } else {
        Some(written(&plain)?)
    };
    Some(Touched {
        may_skip: skips.then_some("rows that others have locked are left out"),
        query,
        ..Touched::new(None, None, rows_of(&plain, None))
    })
}

/// INTO stands in the first of several SELECTs that are joined by UNION.
fn take_into(select: &mut pb::SelectStmt) -> bool {
    if select.into_clause.take().is_some() {
        return true;
    }
    select.larg.as_deref_mut().is_some_and(take_into)
}

/// CREATE TABLE AS and CREATE MATERIALIZED VIEW.
pub(super) fn of_create(create: &pb::CreateTableAsStmt) -> Option<Touched> {
    let Some(N::SelectStmt(select)) = &create.query.as_ref()?.node else {
        return None;
    };
    let empty = create.into.as_ref().is_some_and(|into| into.skip_data);
    let amount = if empty {
        Amount::Given(0)
    } else {
        rows_of(select, None)
    };
    Some(Touched {
        may_skip: create
            .if_not_exists
            .then_some("nothing is done when it exists already"),
        query: Some(written(select)?),
        ..Touched::new(None, None, amount)
    })
}

/// COPY that reads. Rows that a client or a file gives are in no text.
pub(super) fn of_copy(copy: &pb::CopyStmt) -> Option<Touched> {
    if copy.is_from {
        return None;
    }
    let select = match (&copy.query, &copy.relation) {
        (Some(query), _) => match &query.node {
            Some(N::SelectStmt(select)) => select.as_ref().clone(),
            _ => return None,
        },
        // Of a table with children it copies the table's own rows.
        (None, Some(relation)) => {
            let mut own = relation.clone();
            own.inh = false;
            let mut select = parsed("SELECT 1")?;
            select.from_clause = vec![node(N::RangeVar(own))];
            select
        }
        (None, None) => return None,
    };
    Some(Touched {
        query: Some(written(&select)?),
        ..Touched::new(None, None, rows_of(&select, None))
    })
}

fn written(select: &pb::SelectStmt) -> Option<String> {
    let query = N::SelectStmt(Box::new(select.clone()));
    query.deparse(pg_query::DeparseOptions::default()).ok()
}
