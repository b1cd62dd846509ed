//! A judgement for people.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write as _},
};

use abeyance_policy::{Decision, Review};
use abeyance_sql::{CatalogFacts, StatementFacts};
use serde_json::Value;

use super::judgement::{Judged, Judgement, Matched, word};

/// What a line of the input is headed by: its id, else its number.
pub fn id(id: &Value, line: usize) -> String {
    match id {
        Value::Null => format!("line {line}"),
        Value::String(text) => text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        other => other.to_string(),
    }
}

pub fn judgement(judgement: &Judgement) -> String {
    let mut out = decision(&judgement.decision);
    let mask = touching(judgement.mask);
    let _ = writeln!(out, "{mask} (rule {})", judgement.rule);
    for reason in &judgement.reasons {
        let _ = writeln!(out, "  because: {reason}");
    }
    for judged in &judgement.statements {
        statement(&mut out, judged);
    }
    let mut rules = judgement.statements.iter().flat_map(|one| &one.matching);
    let asked = rules.any(|rule| rule.unknown.contains(&"blast.rows"));
    rows(&mut out, &judgement.blast, asked);
    out
}

/// Results are not masked yet: nothing here says they are.
fn touching(mask: bool) -> &'static str {
    if mask {
        ", touches protected columns"
    } else {
        ""
    }
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Hold { route } => format!("hold by route {route}"),
        Decision::Allow | Decision::Deny => word(decision).to_owned(),
    }
}

fn statement(out: &mut String, judged: &Judged) {
    let facts = &judged.facts;
    let _ = writeln!(
        out,
        "  statement: {} ({})",
        facts.kind,
        list(&facts.classes)
    );
    match &judged.verdict {
        Some(verdict) => {
            let masked = touching(verdict.mask);
            let _ = writeln!(
                out,
                "    verdict: {}{masked} (rule {})",
                decision(&verdict.decision),
                verdict.rule
            );
            if verdict.review == Review::Commit {
                let _ = writeln!(
                    out,
                    "    reviewed: at the COMMIT of a transaction it can be rolled back with; elsewhere it waits itself"
                );
            }
            if let Some(rows) = verdict.rows_max {
                let _ = writeln!(out, "    rolled back beyond: {rows} rows");
            }
        }
        None => {
            let _ = writeln!(
                out,
                "    verdict: none; the server refuses it in a failed transaction"
            );
        }
    }
    judged.matching.iter().for_each(|rule| matched(out, rule));
    named(out, "reads", &facts.reads);
    named(out, "writes", &facts.writes);
    named(out, "alters", &facts.alters);
    named(out, "calls", &facts.functions);
    columns(out, facts);
    if let Some(reason) = &facts.opaque {
        let _ = writeln!(out, "    opaque: {reason}");
    }
    for doubt in &facts.doubts {
        let _ = writeln!(out, "    doubt: {doubt}");
    }
    if let Some(catalog) = &facts.catalog {
        added(out, catalog);
    }
    for line in facts.redacted.lines() {
        let _ = writeln!(out, "    | {line}");
    }
}

fn matched(out: &mut String, matched: &Matched) {
    let what = match (matched.shadow, matched.protection, matched.doubt) {
        (true, _, false) => "in shadow",
        (true, _, true) => "in shadow, may match",
        (false, true, false) => "protected by",
        (false, true, true) => "may be protected by",
        (false, false, false) => "matches",
        (false, false, true) => "may match",
    };
    let unknown = match (matched.doubt, matched.unknown.as_slice()) {
        (false, _) => String::new(),
        (true, []) => "; this could not be known".to_owned(),
        (true, names) => format!("; could not be known: {}", names.join(", ")),
    };
    let (rule, decision) = (&matched.rule, decision(&matched.decision));
    let _ = writeln!(out, "    {what}: {rule} ({decision}){unknown}");
}

fn columns(out: &mut String, facts: &StatementFacts) {
    if facts.columns.is_empty() {
        return;
    }
    let all = if facts.columns_known {
        ""
    } else {
        ", and perhaps more"
    };
    let _ = writeln!(out, "    columns: {}{all}", list(&facts.columns));
}

/// What the text alone did not tell.
fn added(out: &mut String, catalog: &CatalogFacts) {
    named(out, "not in the catalog", &catalog.missing);
    named(out, "goes through", &catalog.through);
    named(out, "reads in the end", &catalog.reads);
    named(out, "writes in the end", &catalog.writes);
    named(out, "on other servers", &catalog.foreign);
    named(out, "cascades to", &catalog.cascades);
    named(out, "fires", &catalog.triggers);
    named(out, "runs", &catalog.routines);
    if catalog.one_row {
        let _ = writeln!(out, "    one row at most: a whole key is given");
    }
}

/// `asked`: a rule asks for rows. It gets those the proxy counts, and explain counts none.
fn rows(out: &mut String, blast: &Value, asked: bool) {
    let Some(rows) = blast.get("rows") else {
        return;
    };
    let text = |key: &str| rows.get(key).and_then(Value::as_str).unwrap_or_default();
    let count = rows.get("rows").and_then(Value::as_u64);
    let count = count.map_or_else(|| "unknown".to_owned(), |rows| rows.to_string());
    let note = text("note");
    let note = if note.is_empty() {
        String::new()
    } else {
        format!("; {note}")
    };
    // `unknown (unknown; …)` would say it twice.
    let source = match text("source") {
        "unknown" => note.trim_start_matches("; ").to_owned(),
        source => format!("{source}{note}"),
    };
    let _ = match (asked, rows.get("rows").and_then(Value::as_u64)) {
        (true, Some(_)) => writeln!(
            out,
            "  rows: not known to rules before the proxy counts them; the catalog says {count} ({source})"
        ),
        _ => writeln!(out, "  rows: {count} ({source})"),
    };
}

fn named<T: Display>(out: &mut String, what: &str, names: &BTreeSet<T>) {
    if !names.is_empty() {
        let _ = writeln!(out, "    {what}: {}", list(names));
    }
}

fn list<T: Display>(names: &BTreeSet<T>) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}
