//! Turns a statement that changes rows into queries that count the rows it would change.
//!
//! Pure. The predicate is the statement's own, taken from its tree and written out again, so a query made
//! here holds the statement's literals: it goes to the target and nowhere else (invariant 7). What
//! cannot be counted without a doubt about its meaning is [`Amount::Untold`], never guessed at.

mod inner;

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum as N, ParserOptions, protobuf as pb};

use super::{bounds, builtin, lexer::TokenKind, plan::Operation, pool, resolve::Room};
use crate::{ReadOptions, RelationName, StatementClass};

/// Longest statement that is looked at here, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Stands where the columns go.
const COLUMNS: &str = "abeyance_columns";

/// What a statement's text says of the rows it touches.
#[derive(Debug, Clone)]
pub struct Touched {
    /// `None` for a read.
    pub operation: Option<Operation>,
    /// The table that is named, as written; `None` for a read.
    pub target: Option<RelationName>,
    /// Columns that SET names.
    pub sets: BTreeSet<String>,
    pub amount: Amount,
    /// ON CONFLICT is written: rows may be left out, or change others.
    pub on_conflict: bool,
    /// Why fewer rows may be touched than are counted, in words.
    pub may_skip: Option<&'static str>,
    /// The query inside a statement that has no plan of its own: of CREATE TABLE AS, COPY, SELECT FOR UPDATE.
    pub query: Option<String>,
}

impl Touched {
    fn new(operation: Option<Operation>, target: Option<RelationName>, amount: Amount) -> Self {
        Self {
            operation,
            target,
            sets: BTreeSet::new(),
            amount,
            on_conflict: false,
            may_skip: None,
            query: None,
        }
    }
}

/// How many rows, as far as the text tells.
#[derive(Debug, Clone)]
pub enum Amount {
    /// So many, by the text alone: VALUES.
    Given(u64),
    /// Those that can be counted.
    Matching(Box<Matching>),
    Untold,
}

/// Rows that can be counted by a query.
#[derive(Debug, Clone)]
pub struct Matching {
    /// The query, with [`COLUMNS`] in place of what it selects.
    query: String,
    /// The name the written table goes by in it, quoted as needed.
    known_as: Option<String>,
    params: BTreeSet<u16>,
    shares_params: bool,
}

/// What the text of one statement says of the rows it touches; `None` when it is no SELECT, INSERT, UPDATE, DELETE or
/// COPY, and makes no table from a query, or when it is too large to look at.
pub async fn touched(text: &str, standard_strings: bool) -> Option<Touched> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = text.to_owned();
    // Trees are read and written where the stack is deep enough.
    let job = pool::submit(move || look(&text, standard_strings));
    job.await.flatten()
}

fn look(text: &str, standard_strings: bool) -> Option<Touched> {
    let written = params_in(text, standard_strings)?;
    let mode = if standard_strings {
        ParserOptions::DEFAULT
    } else {
        ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
    };
    let tree = pg_query::parse(text, mode).ok()?.protobuf;
    let [only] = &tree.stmts[..] else { return None };
    let mut touched = match only.stmt.as_ref()?.node.as_ref()? {
        N::SelectStmt(select) => inner::of_select(select)?,
        N::CreateTableAsStmt(create) => inner::of_create(create)?,
        N::CopyStmt(copy) => inner::of_copy(copy)?,
        N::InsertStmt(insert) => of_insert(insert)?,
        N::UpdateStmt(update) => of_update(update)?,
        N::DeleteStmt(delete) => of_delete(delete)?,
        _ => return None,
    };
    if let Amount::Matching(matching) = &mut touched.amount {
        let params = &written;
        let others = |own: &[u16], number: u16| occurs(params, number) > occurs(own, number);
        let own = params_in(&matching.count(1), true)?;
        matching.params = own.iter().copied().collect();
        matching.shares_params = matching.params.iter().any(|number| others(&own, *number));
    }
    Some(touched)
}

fn occurs(all: &[u16], number: u16) -> usize {
    all.iter().filter(|param| **param == number).count()
}

impl Matching {
    /// The rows that `query` gives; nothing when it is more than a plain read, or would give other rows
    /// when asked again.
    fn of(query: Option<pb::SelectStmt>, target: Option<&pb::RangeVar>) -> Amount {
        query
            .and_then(|query| Self::sound(query, target))
            .map_or(Amount::Untold, |sound| Amount::Matching(Box::new(sound)))
    }

    fn sound(query: pb::SelectStmt, target: Option<&pb::RangeVar>) -> Option<Self> {
        let query = N::SelectStmt(Box::new(query));
        let query = query.deparse(pg_query::DeparseOptions::default()).ok()?;
        if query.matches(COLUMNS).count() != 1 {
            return None;
        }
        let known_as = target.map(|target| {
            quoted(match &target.alias {
                Some(alias) => &alias.aliasname,
                None => &target.relname,
            })
        });
        let matching = Self {
            query,
            known_as,
            params: BTreeSet::new(),
            shares_params: false,
        };
        matching.only_reads_twice_the_same().then_some(matching)
    }

    /// `SELECT count(*)` of the rows, looking at no more than `rows_max` of them.
    #[must_use]
    pub fn count(&self, rows_max: u32) -> String {
        let inner = self.query.replacen(COLUMNS, "1", 1);
        format!("SELECT pg_catalog.count(*) FROM ({inner} LIMIT {rows_max}) AS abeyance_counted")
    }

    /// A query that gives these columns of at most `rows_max` of the rows of the written table; `None` when
    /// the rows are of no table.
    #[must_use]
    pub fn columns(&self, names: &[String], rows_max: u32) -> Option<String> {
        let known_as = self.known_as.as_ref()?;
        let columns: Vec<String> = names
            .iter()
            .map(|name| format!("{known_as}.{}", quoted(name)))
            .collect();
        let query = self.query.replacen(COLUMNS, &columns.join(", "), 1);
        Some(format!("{query} LIMIT {rows_max}"))
    }

    /// The numbers of the parameters it has; others get no type from the query.
    #[must_use]
    pub fn params(&self) -> &BTreeSet<u16> {
        &self.params
    }

    /// One of its parameters stands elsewhere in the statement too: where the client left its type
    /// open, the server may find another one here.
    #[must_use]
    pub fn shares_params(&self) -> bool {
        self.shares_params
    }

    fn only_reads_twice_the_same(&self) -> bool {
        let query = self.count(1);
        let Ok(scanned) = bounds::scan(&query, true) else {
            return false;
        };
        let room = Room {
            left: bounds::DEPTH_MAX.saturating_sub(scanned.depth),
            more_elsewhere: false,
        };
        let analysis = super::read(&query, &scanned, &ReadOptions::default(), room);
        let Some([facts]) = analysis.as_ref().map(|read| &read.statements[..]) else {
            return false;
        };
        facts.opaque.is_none()
            && !facts.classes.contains(&StatementClass::Write)
            && !facts
                .functions
                .iter()
                .any(|f| builtin::is_volatile(&f.name))
    }
}

fn of_insert(insert: &pb::InsertStmt) -> Option<Touched> {
    let source = insert.select_stmt.as_ref().and_then(|s| s.node.as_ref());
    let amount = match source {
        None => Amount::Given(1),
        Some(N::SelectStmt(select)) if is_plain_values(select) => {
            Amount::Given(select.values_lists.len() as u64)
        }
        Some(N::SelectStmt(select)) => rows_of(select, insert.with_clause.as_ref()),
        Some(_) => Amount::Untold,
    };
    let target = Some(name_of(insert.relation.as_ref()?));
    let on_conflict = insert.on_conflict_clause.is_some();
    Some(Touched {
        on_conflict,
        may_skip: on_conflict.then_some("rows in conflict are left out or changed instead"),
        ..Touched::new(Some(Operation::Insert), target, amount)
    })
}

fn of_update(update: &pb::UpdateStmt) -> Option<Touched> {
    let target = update.relation.as_ref()?;
    let sets = update
        .target_list
        .iter()
        .filter_map(|target| match &target.node {
            Some(N::ResTarget(target)) => Some(target.name.clone()),
            _ => None,
        })
        .collect();
    let amount = matching(
        target,
        &update.from_clause,
        update.where_clause.as_deref(),
        update.with_clause.as_ref(),
    );
    let target = Some(name_of(target));
    Some(Touched {
        sets,
        ..Touched::new(Some(Operation::Update), target, amount)
    })
}

fn of_delete(delete: &pb::DeleteStmt) -> Option<Touched> {
    let target = delete.relation.as_ref()?;
    let amount = matching(
        target,
        &delete.using_clause,
        delete.where_clause.as_deref(),
        delete.with_clause.as_ref(),
    );
    let target = Some(name_of(target));
    Some(Touched::new(Some(Operation::Delete), target, amount))
}

/// Rows of `target` for which some row of `others` fulfils the predicate: each is changed once, however many do.
fn matching(
    target: &pb::RangeVar,
    others: &[Node],
    predicate: Option<&Node>,
    with: Option<&pb::WithClause>,
) -> Amount {
    let cursor = predicate.is_some_and(|node| matches!(node.node, Some(N::CurrentOfExpr(_))));
    if cursor || !only_reads(with) {
        return Amount::Untold;
    }
    let query = || {
        let mut query = template()?;
        query.from_clause = vec![node(N::RangeVar(target.clone()))];
        query.with_clause = with.cloned();
        query.where_clause = if others.is_empty() {
            predicate.cloned().map(Box::new)
        } else {
            any(others, predicate)
        };
        Some(query)
    };
    Matching::of(query(), Some(target))
}

/// `EXISTS (SELECT 1 FROM others WHERE predicate)`
fn any(others: &[Node], predicate: Option<&Node>) -> Option<Box<Node>> {
    let mut exists = parsed("SELECT WHERE EXISTS (SELECT 1)")?.where_clause?;
    if let Some(N::SubLink(link)) = &mut exists.node
        && let Some(N::SelectStmt(inner)) = &mut link.subselect.as_mut()?.node
    {
        inner.from_clause = others.to_vec();
        inner.where_clause = predicate.cloned().map(Box::new);
        return Some(exists);
    }
    None
}

/// What a query returns.
fn rows_of(select: &pb::SelectStmt, with: Option<&pb::WithClause>) -> Amount {
    let reads = select.into_clause.is_none()
        && select.locking_clause.is_empty()
        && only_reads(select.with_clause.as_ref())
        && only_reads(with);
    if !reads {
        return Amount::Untold;
    }
    let query = || {
        let mut query = template()?;
        query.with_clause = with.cloned();
        let from = parsed("SELECT FROM (SELECT 1) AS abeyance_rows")?.from_clause;
        let mut from = from.into_iter().next()?;
        if let Some(N::RangeSubselect(rows)) = &mut from.node {
            rows.subquery = Some(Box::new(node(N::SelectStmt(Box::new(select.clone())))));
        }
        query.from_clause = vec![from];
        Some(query)
    };
    Matching::of(query(), None)
}

/// A query to put parts into. Trees are never made from nothing: the writer ends the process when it
/// meets a field that the grammar would have filled.
fn template() -> Option<pb::SelectStmt> {
    parsed(&format!("SELECT {COLUMNS}"))
}

fn parsed(query: &str) -> Option<pb::SelectStmt> {
    let tree = pg_query::parse(query, ParserOptions::DEFAULT)
        .ok()?
        .protobuf;
    match tree.stmts.into_iter().next()?.stmt?.node? {
        N::SelectStmt(select) => Some(*select),
        _ => None,
    }
}

/// Every part of WITH is a query; the server allows data-modifying parts only at the top.
fn only_reads(with: Option<&pb::WithClause>) -> bool {
    let ctes = with.map_or(&[][..], |with| &with.ctes);
    ctes.iter().all(|cte| match &cte.node {
        Some(N::CommonTableExpr(cte)) => {
            let query = cte.ctequery.as_ref().and_then(|query| query.node.as_ref());
            matches!(query, Some(N::SelectStmt(query)) if query.locking_clause.is_empty())
        }
        _ => false,
    })
}

fn is_plain_values(select: &pb::SelectStmt) -> bool {
    !select.values_lists.is_empty()
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
        && !select.values_lists.iter().any(returns_sets)
}

/// A function in VALUES could return several rows; the server refuses that today.
fn returns_sets(row: &Node) -> bool {
    !matches!(row.node, Some(N::List(_)))
}

fn name_of(relation: &pb::RangeVar) -> RelationName {
    let schema = Some(relation.schemaname.clone()).filter(|schema| !schema.is_empty());
    RelationName {
        schema,
        name: relation.relname.clone(),
    }
}

fn node(node: N) -> Node {
    Node { node: Some(node) }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The number of every parameter, once for every time it is written.
fn params_in(text: &str, standard_strings: bool) -> Option<Vec<u16>> {
    let scanned = bounds::scan(text, standard_strings).ok()?;
    scanned
        .tokens
        .iter()
        .filter(|token| token.kind == TokenKind::Param)
        .map(|token| token.text(text).get(1..)?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests;
