//! One plan's nodes, walked without recursion.

use serde_json::{Map, Value};

use super::{Operation, Plan, PlanError, PlannedWrite, Scan, ScanMethod};
use crate::{FunctionName, RelationName};

type Node = Map<String, Value>;

/// Nodes that touch no relation of their own.
const PLAIN: &[&str] = &[
    "Aggregate",
    "Append",
    "Bitmap Index Scan",
    "BitmapAnd",
    "BitmapOr",
    "CTE Scan",
    "Gather",
    "Gather Merge",
    "Group",
    "Hash",
    "Hash Join",
    "Incremental Sort",
    "Limit",
    "LockRows",
    "Materialize",
    "Memoize",
    "Merge Append",
    "Merge Join",
    "Named Tuplestore Scan",
    "Nested Loop",
    "ProjectSet",
    "Recursive Union",
    "Result",
    "SetOp",
    "Sort",
    "Subquery Scan",
    "Table Function Scan",
    "Unique",
    "Values Scan",
    "WindowAgg",
    "WorkTable Scan",
];

/// Reads one plan; `left` is how many nodes there may still be.
pub(super) fn plan(top: &Value, left: &mut usize) -> Result<Plan, PlanError> {
    let top = top.as_object().ok_or(PlanError::Shape)?;
    let mut plan = Plan {
        rows: rows(top),
        cost: top.get("Total Cost").and_then(Value::as_f64).unwrap_or(0.0),
        ..Plan::default()
    };
    let mut waiting = vec![top];
    while let Some(node) = waiting.pop() {
        *left = left.checked_sub(1).ok_or(PlanError::TooManyNodes)?;
        take(node, &mut plan)?;
        for child in children(node) {
            waiting.push(child.as_object().ok_or(PlanError::Shape)?);
        }
    }
    Ok(plan)
}

/// Adds what one node says.
fn take(node: &Node, plan: &mut Plan) -> Result<(), PlanError> {
    let kind = text(node, "Node Type").ok_or(PlanError::Shape)?;
    plan.pruned |= text(node, "One-Time Filter") == Some("false");
    let method = match kind {
        "Seq Scan" | "Index Scan" | "Index Only Scan" | "Bitmap Heap Scan" | "Tid Scan"
        | "Tid Range Scan" => found_by(node, kind),
        "Sample Scan" => ScanMethod::Sample,
        "Foreign Scan" => ScanMethod::Foreign,
        "ModifyTable" => return modify(node, plan),
        "Function Scan" => {
            functions(node, plan);
            return Ok(());
        }
        plain if PLAIN.contains(&plain) => return Ok(()),
        other => {
            plan.unknown.insert(other.to_owned());
            ScanMethod::Full
        }
    };
    let relations = match relation(node) {
        Some(relation) => vec![relation],
        // A join, or more, that is left to another server.
        None => match text(node, "Relations").map(pushed_down) {
            Some(relations) if !relations.is_empty() => relations,
            _ => {
                plan.unknown.insert(format!("{kind} without a relation"));
                return Ok(());
            }
        },
    };
    for relation in relations {
        plan.scans.push(Scan {
            relation,
            method,
            rows: rows(node),
            filtered: filtered(node),
        });
    }
    Ok(())
}

/// An index that is only read in its order finds nothing: every row is looked at.
fn found_by(node: &Node, kind: &str) -> ScanMethod {
    let conditions = ["Index Cond", "Recheck Cond", "TID Cond"];
    let found = conditions
        .iter()
        .any(|condition| node.contains_key(*condition));
    if kind != "Seq Scan" && found {
        ScanMethod::Index
    } else {
        ScanMethod::Full
    }
}

fn modify(node: &Node, plan: &mut Plan) -> Result<(), PlanError> {
    let operation = match text(node, "Operation") {
        Some("Insert") => Operation::Insert,
        Some("Update") => Operation::Update,
        Some("Delete") => Operation::Delete,
        Some("Merge") => Operation::Merge,
        _ => return Err(PlanError::Shape),
    };
    let listed = node.get("Target Tables").and_then(Value::as_array);
    let listed = listed.map_or(&[][..], Vec::as_slice);
    let mut tables = Vec::with_capacity(listed.len());
    for table in listed {
        tables.push(
            table
                .as_object()
                .and_then(relation)
                .ok_or(PlanError::Shape)?,
        );
    }
    // With several tables the named one may be shown only as the first of them.
    let target = relation(node).or_else(|| tables.first().cloned());
    let target = target.ok_or(PlanError::Shape)?;
    if tables.is_empty() {
        tables.push(target.clone());
    }
    let inputs = || {
        children(node)
            .iter()
            .filter_map(Value::as_object)
            .filter(|child| matches!(text(child, "Parent Relationship"), Some("Outer" | "Member")))
    };
    let full_scan =
        operation != Operation::Insert && inputs().any(|input| scans_fully(input, &tables));
    plan.writes.push(PlannedWrite {
        operation,
        target,
        tables: tables.into_iter().collect(),
        rows: inputs().map(rows).fold(0, u64::saturating_add),
        full_scan,
    });
    Ok(())
}

/// Whether all rows of one of the tables are looked at somewhere below.
fn scans_fully(input: &Node, tables: &[RelationName]) -> bool {
    let mut waiting = vec![input];
    while let Some(node) = waiting.pop() {
        let kind = text(node, "Node Type").unwrap_or_default();
        let full = kind == "Seq Scan"
            || (kind.starts_with("Index") && found_by(node, kind) == ScanMethod::Full);
        if full && relation(node).is_some_and(|relation| tables.contains(&relation)) {
            return true;
        }
        waiting.extend(children(node).iter().filter_map(Value::as_object));
    }
    false
}

/// A Function Scan names its function when there is one. `ROWS FROM` and `unnest` of several arrays
/// list calls as text, in which literals stand: they are not read.
fn functions(node: &Node, plan: &mut Plan) {
    if let Some(name) = text(node, "Function Name") {
        plan.functions.insert(FunctionName {
            schema: text(node, "Schema").map(str::to_owned),
            name: name.to_owned(),
        });
    }
}

fn relation(node: &Node) -> Option<RelationName> {
    Some(RelationName {
        schema: Some(text(node, "Schema")?.to_owned()),
        name: text(node, "Relation Name")?.to_owned(),
    })
}

fn filtered(node: &Node) -> bool {
    let conditions = ["Filter", "Index Cond", "Recheck Cond", "TID Cond"];
    conditions
        .iter()
        .any(|condition| node.contains_key(*condition))
}

fn children(node: &Node) -> &[Value] {
    let children = node.get("Plans").and_then(Value::as_array);
    children.map_or(&[][..], Vec::as_slice)
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Value::as_str)
}

/// `Plan Rows`: an integer, but one too large for 64 bits comes as a float.
fn rows(node: &Node) -> u64 {
    let Some(rows) = node.get("Plan Rows") else {
        return 0;
    };
    match (rows.as_u64(), rows.as_f64()) {
        (Some(rows), _) => rows,
        (None, Some(rows)) if rows > 0.0 => u64::MAX,
        _ => 0,
    }
}

/// The relations of what `postgres_fdw` pushes down: `(public.a x) INNER JOIN (public."B" y)`,
/// `Aggregate on (public.a)`. Empty when it cannot be told.
fn pushed_down(text: &str) -> Vec<RelationName> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('(') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if rest.starts_with('(') {
            continue;
        }
        let named = identifier(rest).and_then(|(schema, after)| {
            let (name, after) = identifier(after.strip_prefix('.')?)?;
            rest = after;
            Some(RelationName {
                schema: Some(schema),
                name,
            })
        });
        match named {
            Some(relation) => found.push(relation),
            None => return Vec::new(),
        }
    }
    found
}

/// An identifier as `quote_identifier` writes it, and what follows.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$')));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '"' && chars.next_if(|(_, next)| *next == '"').is_none() {
            return Some((name, quoted.get(at + 1..)?));
        }
        name.push(c);
    }
    None
}
