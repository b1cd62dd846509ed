use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;

/// Plans of PostgreSQL 15 over the clinic, with a foreign server that points back at it.
const CAPTURED: &str = include_str!("captured.jsonl");

fn read(plan: &Value) -> Explained {
    Explained::from_json(plan.to_string().as_bytes()).unwrap()
}

fn summary(explained: &Explained) -> String {
    let mut out = String::new();
    for plan in &explained.plans {
        write!(out, "  plan of {} rows", plan.rows).unwrap();
        out.push_str(if plan.pruned { ", pruned\n" } else { "\n" });
        for write in &plan.writes {
            let tables: Vec<_> = write.tables.iter().map(ToString::to_string).collect();
            let full = if write.full_scan { ", full scan" } else { "" };
            let (operation, target, rows) = (write.operation.as_str(), &write.target, write.rows);
            let tables = tables.join(" ");
            writeln!(
                out,
                "    {operation} {target} [{tables}], {rows} rows{full}"
            )
            .unwrap();
        }
        for scan in &plan.scans {
            let filtered = if scan.filtered { ", filtered" } else { "" };
            let (relation, method, rows) = (&scan.relation, scan.method, scan.rows);
            writeln!(out, "    {relation} by {method:?}, {rows} rows{filtered}").unwrap();
        }
        for function in &plan.functions {
            writeln!(out, "    calls {function}").unwrap();
        }
        for unknown in &plan.unknown {
            writeln!(out, "    unknown: {unknown}").unwrap();
        }
    }
    if explained.utilities > 0 {
        writeln!(out, "  {} utilities", explained.utilities).unwrap();
    }
    let rows = explained.rows();
    writeln!(out, "  in all {rows:?}").unwrap();
    out
}

#[test]
fn plans_of_a_real_server() {
    let mut out = String::new();
    for line in CAPTURED.lines() {
        let captured: Value = serde_json::from_str(line).unwrap();
        let sql = captured["sql"].as_str().unwrap();
        writeln!(out, "{sql}\n{}", summary(&read(&captured["plan"]))).unwrap();
    }
    insta::assert_snapshot!(out);
}

#[test]
fn rows_come_from_below_modify_table() {
    let delete = json!([{"Plan": {"Node Type": "ModifyTable", "Operation": "Delete",
        "Schema": "public", "Relation Name": "rooms", "Plan Rows": 0, "Plans": [
        {"Node Type": "Result", "Parent Relationship": "Outer", "Plan Rows": 12},
        {"Node Type": "Result", "Parent Relationship": "InitPlan", "Plan Rows": 900},
    ]}}]);
    assert_eq!(read(&delete).rows(), Some(12));
}

#[test]
fn an_unknown_node_is_told() {
    let plan = json!([{"Plan": {"Node Type": "Custom Scan", "Custom Plan Provider": "Citus Adaptive",
        "Plan Rows": 100_000}}]);
    let explained = read(&plan);
    let unknown: Vec<_> = explained.unknown().collect();
    assert_eq!(unknown, ["Custom Scan", "Custom Scan without a relation"]);
    let deeper = json!([{"Plan": {"Node Type": "Hash", "Plans": [{"Node Type": "Vector Scan",
        "Schema": "public", "Relation Name": "patients"}]}}]);
    let explained = read(&deeper);
    assert_eq!(explained.unknown().collect::<Vec<_>>(), ["Vector Scan"]);
    assert_eq!(explained.scans().count(), 1);
}

#[test]
fn a_relation_pushed_down_in_words_that_are_not_known_is_told() {
    for relations in [
        "",
        "Something new",
        "(nothing here)",
        "(public.a) INNER JOIN (odd",
    ] {
        let plan = json!([{"Plan": {"Node Type": "Foreign Scan", "Relations": relations}}]);
        let explained = read(&plan);
        assert_eq!(explained.scans().count(), 0, "{relations}");
        assert_eq!(explained.unknown().count(), 1, "{relations}");
    }
}

#[test]
fn what_is_no_plan_is_refused() {
    for (json, error) in [
        ("", PlanError::Shape),
        ("null", PlanError::Shape),
        ("{}", PlanError::Shape),
        ("[3]", PlanError::Shape),
        ("[{}]", PlanError::Shape),
        (r#"[{"Plan": []}]"#, PlanError::Shape),
        (r#"[{"Plan": {"Node Type": 3}}]"#, PlanError::Shape),
        (
            r#"[{"Plan": {"Node Type": "ModifyTable"}}]"#,
            PlanError::Shape,
        ),
        (
            r#"[{"Plan": {"Node Type": "Hash", "Plans": ["x"]}}]"#,
            PlanError::Shape,
        ),
    ] {
        assert_eq!(Explained::from_json(json.as_bytes()), Err(error), "{json}");
    }
}

#[test]
fn a_plan_is_bounded() {
    let long = format!("[{}", " ".repeat(PLAN_BYTES_MAX));
    assert_eq!(
        Explained::from_json(long.as_bytes()),
        Err(PlanError::TooLong)
    );
    let node = r#"{"Node Type":"Hash"}"#;
    let wide = vec![node; PLAN_NODES_MAX].join(",");
    let wide = format!(r#"[{{"Plan":{{"Node Type":"Append","Plans":[{wide}]}}}}]"#);
    assert_eq!(
        Explained::from_json(wide.as_bytes()),
        Err(PlanError::TooManyNodes)
    );
    let deep = (0..5000).fold(node.to_owned(), |inner, _| {
        format!(r#"{{"Node Type":"Hash","Plans":[{inner}]}}"#)
    });
    let deep = format!(r#"[{{"Plan":{deep}}}]"#);
    assert_eq!(Explained::from_json(deep.as_bytes()), Err(PlanError::Shape));
}

#[test]
fn odd_row_counts_are_no_panic() {
    for (rows, expected) in [
        (json!(1e30), u64::MAX),
        (json!(-1), 0),
        (json!("many"), 0),
        (json!(u64::MAX), u64::MAX),
    ] {
        let plan = json!([{"Plan": {"Node Type": "Result", "Plan Rows": rows}}]);
        assert_eq!(read(&plan).rows(), Some(expected));
    }
    let twice = json!([
        {"Plan": {"Node Type": "Result", "Plan Rows": u64::MAX}},
        {"Plan": {"Node Type": "Result", "Plan Rows": u64::MAX}},
    ]);
    assert_eq!(read(&twice).rows(), Some(u64::MAX));
}
