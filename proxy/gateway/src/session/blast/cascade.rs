//! Which rows of other tables foreign keys take along, as tables, actions and queries that count them.
//!
//! Pure. A table's rows go when any of its keys refers to a row that goes; a table reached by several ways
//! is counted once. Circles are not counted, nor anything behind them.

use std::collections::{BTreeMap, BTreeSet};

use abeyance_api::blast::CascadeAction;
use abeyance_sql::postgres::counting::Matching;

use super::neighbours::{ForeignKey, Neighbours, Oid, quoted};

/// Deepest chain of foreign keys that is counted.
const DEPTH_MAX: usize = 6;
/// Most tables that are looked at.
const TABLES_MAX: usize = 32;

/// A table that loses or changes rows along.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) table: Oid,
    pub(super) action: CascadeAction,
    /// The keys that reach it by this action, from tables that lose rows themselves.
    pub(super) by: Vec<ForeignKey>,
    /// Steps from the written table.
    pub(super) depth: usize,
    /// Every table it can be reached through can be counted.
    pub(super) countable: bool,
}

/// Everything that goes along with deleted rows of `root`, nearest first; `cut` when there is more.
#[derive(Debug, Default)]
pub(super) struct Cascades {
    pub(super) hits: Vec<Hit>,
    pub(super) cut: bool,
    /// Tables whose rows must be gone first, or the server refuses.
    pub(super) refused_by: BTreeSet<Oid>,
    /// Keys of the table to itself: rows take rows of the same table along, as far as they go.
    pub(super) own: Vec<ForeignKey>,
}

/// What a DELETE of rows of `root` takes along.
pub(super) fn of_delete(near: &Neighbours, root: Oid) -> Cascades {
    let mut found = Cascades::default();
    let mut depth_of = BTreeMap::from([(root, 0)]);
    let mut queue = vec![root];
    let mut edges: BTreeMap<(Oid, u8), Hit> = BTreeMap::new();
    let mut circles = BTreeSet::new();
    while let Some(table) = queue.pop() {
        let depth = depth_of.get(&table).copied().unwrap_or(0) + 1;
        for key in near.referring(table) {
            let Some(action) = deleting(key.on_delete) else {
                found.refused_by.insert(key.from);
                continue;
            };
            if edges.len() >= TABLES_MAX || depth > DEPTH_MAX {
                found.cut = true;
                continue;
            }
            let hit = edges.entry((key.from, order(action))).or_insert(Hit {
                table: key.from,
                action,
                by: Vec::new(),
                depth,
                countable: true,
            });
            hit.depth = hit.depth.max(depth);
            if !hit.by.iter().any(|known| known.oid == key.oid) {
                hit.by.push(key.clone());
            }
            if action != CascadeAction::Delete {
                continue;
            }
            let known = depth_of.get(&key.from).copied();
            if key.from == root && table == root && near.family(root).len() == 1 {
                found.own.push(key.clone());
            } else if key.from == root || goes_back(near, key.from, table) {
                circles.insert(key.from);
            } else if known.is_none_or(|known| known < depth) {
                depth_of.insert(key.from, depth);
                queue.push(key.from);
            }
        }
    }
    found.hits = edges.into_values().collect();
    found.hits.sort_by_key(|hit| (hit.depth, hit.table));
    mark_uncountable(&mut found.hits, &circles);
    found
}

/// What an UPDATE of these columns of `root` takes along: the first step; that there are more is said.
pub(super) fn of_update(near: &Neighbours, root: Oid, sets: &BTreeSet<String>) -> Cascades {
    let mut found = Cascades::default();
    for key in near.referring(root) {
        if !key.referenced.iter().any(|column| sets.contains(column)) {
            continue;
        }
        let Some(action) = updating(key.on_update) else {
            found.refused_by.insert(key.from);
            continue;
        };
        found.cut |= near.referring(key.from).iter().any(|next| {
            updating(next.on_update).is_some()
                && next
                    .referenced
                    .iter()
                    .any(|column| key.columns.contains(column))
        });
        found.hits.push(Hit {
            table: key.from,
            action,
            by: vec![key.clone()],
            depth: 1,
            countable: true,
        });
    }
    found
}

fn deleting(action: char) -> Option<CascadeAction> {
    match action {
        'c' => Some(CascadeAction::Delete),
        'n' => Some(CascadeAction::SetNull),
        'd' => Some(CascadeAction::SetDefault),
        _ => None,
    }
}

fn updating(action: char) -> Option<CascadeAction> {
    match action {
        'c' => Some(CascadeAction::Update),
        'n' => Some(CascadeAction::SetNull),
        'd' => Some(CascadeAction::SetDefault),
        _ => None,
    }
}

fn order(action: CascadeAction) -> u8 {
    match action {
        CascadeAction::Delete => 0,
        CascadeAction::SetNull => 1,
        CascadeAction::SetDefault => 2,
        CascadeAction::Update | CascadeAction::Truncate | CascadeAction::Drop => 3,
    }
}

/// Deleting from `from` would delete from `to` again.
fn goes_back(near: &Neighbours, from: Oid, to: Oid) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut queue = vec![from];
    while let Some(table) = queue.pop() {
        if table == to {
            return true;
        }
        for key in near.referring(table) {
            if key.on_delete == 'c' && seen.insert(key.from) {
                queue.push(key.from);
            }
        }
    }
    false
}

/// A table in a circle cannot be counted, and so none that loses rows because of it.
fn mark_uncountable(hits: &mut [Hit], circles: &BTreeSet<Oid>) {
    let mut lost = circles.clone();
    loop {
        let mut more = false;
        for hit in hits.iter_mut() {
            let behind = hit.by.iter().any(|key| lost.contains(&key.to));
            if hit.countable && (lost.contains(&hit.table) || behind) {
                hit.countable = false;
                more = true;
                if hit.action == CascadeAction::Delete {
                    lost.insert(hit.table);
                }
            }
        }
        if !more {
            return;
        }
    }
}

/// A query that counts the rows of `hit`, looking at no more than `rows_max` of any table on the way.
pub(super) fn count(
    near: &Neighbours,
    root: Oid,
    rows: &Matching,
    found: &Cascades,
    hit: &Hit,
    rows_max: u32,
) -> Option<String> {
    let Cascades { hits, own, .. } = found;
    if !hit.countable {
        return None;
    }
    if hit.table == root && hit.action == CascadeAction::Delete {
        let lost = lost(near, root, rows, own, &[], rows_max)?;
        return Some(format!(
            "SELECT pg_catalog.count(*) FROM ({lost}) AS abeyance_counted"
        ));
    }
    let mut parts = Vec::new();
    let mut made = BTreeSet::new();
    let mut todo = vec![hit.table];
    // Every table rows are lost from on the way, farthest first.
    let mut order: Vec<Oid> = Vec::new();
    while let Some(table) = todo.pop() {
        let by: &[ForeignKey] = if table == hit.table {
            &hit.by
        } else {
            let deleted =
                |known: &&Hit| known.table == table && known.action == CascadeAction::Delete;
            hits.iter().find(deleted).map_or(&[][..], |known| &known.by)
        };
        for key in by {
            let parent = owner(near, root, hits, key.to)?;
            if made.insert(parent) {
                order.push(parent);
                todo.push(parent);
            }
        }
    }
    let depth = |table: &Oid| {
        let deleted = hits
            .iter()
            .find(|known| known.table == *table && known.action == CascadeAction::Delete);
        deleted.map_or(0, |known| known.depth)
    };
    order.sort_by_key(depth);
    for table in &order {
        let needed = needed_columns(near, root, hits, hit, &order, *table);
        let query = if *table == root {
            lost(near, root, rows, own, &needed, rows_max)?
        } else {
            let known = hits
                .iter()
                .find(|known| known.table == *table && known.action == CascadeAction::Delete)?;
            let columns: Vec<String> = needed.iter().map(|name| quoted(name)).collect();
            format!(
                "SELECT {} FROM {} WHERE {} LIMIT {rows_max}",
                columns.join(", "),
                near.relations.get(table)?.name.quoted(),
                condition(near, root, hits, &known.by)?,
            )
        };
        parts.push(format!("abeyance_{table} AS MATERIALIZED ({query})"));
    }
    Some(format!(
        "WITH {} SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {} WHERE {} LIMIT {rows_max}) AS abeyance_counted",
        parts.join(", "),
        near.relations.get(&hit.table)?.name.quoted(),
        condition(near, root, hits, &hit.by)?,
    ))
}

/// Columns of every row of `root` that is lost: those that are named and, where it refers to itself, those that refer
/// to them, and so on.
fn lost(
    near: &Neighbours,
    root: Oid,
    rows: &Matching,
    own: &[ForeignKey],
    needed: &[String],
    rows_max: u32,
) -> Option<String> {
    if own.is_empty() {
        return rows.columns(needed, rows_max);
    }
    // What is referred to is unique, so no two rows are taken for one.
    let referenced = own.iter().flat_map(|key| &key.referenced);
    let mut columns: BTreeSet<&String> = referenced.chain(needed).collect();
    columns.remove(&"tableoid".to_owned());
    let columns: Vec<String> = columns.into_iter().cloned().collect();
    let list = |of: &str, names: &[String]| -> String {
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("{of}.{}", quoted(name)))
            .collect();
        names.join(", ")
    };
    let refers: Vec<String> = own
        .iter()
        .map(|key| {
            let (from, to) = (list("t", &key.columns), list("l", &key.referenced));
            format!("({from}) OPERATOR(pg_catalog.=) ({to})")
        })
        .collect();
    let named = rows.columns(&columns, rows_max)?;
    let table = near.relations.get(&root)?.name.quoted();
    Some(format!(
        "WITH RECURSIVE abeyance_lost AS (({named}) UNION SELECT {} FROM {table} AS t, abeyance_lost AS l WHERE {}) \
         SELECT {} FROM abeyance_lost AS l LIMIT {rows_max}",
        list("t", &columns),
        refers.join(" OR "),
        list("l", &columns),
    ))
}

/// The table whose lost rows a key to `to` refers to: itself, or the one whose partition or child it is.
fn owner(near: &Neighbours, root: Oid, hits: &[Hit], to: Oid) -> Option<Oid> {
    if near.family(root).contains(&to) {
        return Some(root);
    }
    let deleted = hits
        .iter()
        .filter(|hit| hit.action == CascadeAction::Delete)
        .find(|hit| near.family(hit.table).contains(&to));
    deleted.map(|hit| hit.table)
}

/// The key columns of `table` that other parts refer to.
fn needed_columns(
    near: &Neighbours,
    root: Oid,
    hits: &[Hit],
    hit: &Hit,
    order: &[Oid],
    table: Oid,
) -> Vec<String> {
    let on_the_way = |known: &&Hit| {
        known.table == hit.table && known.action == hit.action
            || order.contains(&known.table) && known.action == CascadeAction::Delete
    };
    let mut needed = BTreeSet::new();
    for key in hits.iter().filter(on_the_way).flat_map(|known| &known.by) {
        if owner(near, root, hits, key.to) == Some(table) {
            needed.extend(key.referenced.iter().cloned());
        }
    }
    if has_children(near, table) {
        needed.insert("tableoid".to_owned());
    }
    needed.into_iter().collect()
}

/// By inheritance; partitions hold the rows of their table.
fn has_children(near: &Neighbours, table: Oid) -> bool {
    let relation = near.relations.get(&table);
    relation.is_some_and(|relation| relation.kind == 'r') && near.family(table).len() > 1
}

fn condition(near: &Neighbours, root: Oid, hits: &[Hit], by: &[ForeignKey]) -> Option<String> {
    let mut any = Vec::new();
    for key in by {
        let parent = owner(near, root, hits, key.to)?;
        let columns: Vec<String> = key.columns.iter().map(|name| quoted(name)).collect();
        let referenced: Vec<String> = key.referenced.iter().map(|name| quoted(name)).collect();
        // A key refers to rows of the table itself, not to those of its children.
        let own = if has_children(near, parent) {
            format!(" WHERE tableoid OPERATOR(pg_catalog.=) {}", key.to)
        } else {
            String::new()
        };
        any.push(format!(
            "({}) OPERATOR(pg_catalog.=) ANY (SELECT {} FROM abeyance_{parent}{own})",
            columns.join(", "),
            referenced.join(", "),
        ));
    }
    Some(any.join(" OR "))
}
