use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use serde_json::Value;

use super::*;
use crate::{Catalog, ReadOptions, Sight, analyse};

/// Statements with their plans, of PostgreSQL 15.
const CAPTURED: [&str; 2] = [
    include_str!("../captured.jsonl"),
    include_str!("../corpus.jsonl"),
];
/// What the same server said of its catalog.
const CATALOG: &[u8] = include_bytes!("../captured_catalog.json");

fn options(sighted: bool) -> ReadOptions {
    let catalog = Arc::new(Catalog::from_json(CATALOG).unwrap());
    let sight = Sight {
        search_path: catalog.search_path.clone().into(),
        catalog,
        vouched: Arc::default(),
    };
    ReadOptions {
        sight: sighted.then_some(sight),
        ..ReadOptions::default()
    }
}

fn captured() -> impl Iterator<Item = (String, Explained)> {
    CAPTURED.iter().flat_map(|file| file.lines()).map(|line| {
        let captured: Value = serde_json::from_str(line).unwrap();
        let sql = captured["sql"].as_str().unwrap().to_owned();
        let plan = captured["plan"].to_string();
        (sql, Explained::from_json(plan.as_bytes()).unwrap())
    })
}

fn told(sighted: bool) -> String {
    let mut out = String::new();
    let options = options(sighted);
    for (sql, explained) in captured() {
        let analysis = analyse(sql.as_bytes(), options.clone());
        let [facts] = &analysis.statements[..] else {
            panic!("{sql}");
        };
        // What is in doubt is not explained.
        if facts.is_certain() {
            for surprise in explained.surprises(facts) {
                writeln!(out, "{sql}\n  {surprise}").unwrap();
            }
        }
    }
    out
}

/// Everything the server would do is predicted, except for what is a surprise on purpose.
#[test]
fn with_a_catalog_plans_are_as_predicted() {
    insta::assert_snapshot!(told(true));
}

#[test]
fn without_a_catalog_the_plan_tells() {
    insta::assert_snapshot!(told(false));
}

#[test]
fn what_the_plan_tells_becomes_facts() {
    let analysis = analyse(b"UPDATE cleanup SET id = 1 WHERE id = 4", options(false));
    let (_, explained) = captured().find(|(sql, _)| sql.contains("cleanup")).unwrap();
    let facts = &analysis.statements[0];
    let facts = enlightened(facts, &explained.surprises(facts));
    assert!(facts.kinds.contains("DELETE"));
    let billing = facts
        .writes
        .iter()
        .any(|relation| relation.name == "billing");
    assert!(billing);
    assert!(!facts.columns_known);
}

#[test]
fn what_is_no_relation_is_a_doubt() {
    let analysis = analyse(b"SELECT * FROM rooms", options(true));
    let facts = &analysis.statements[0];
    let foreign = RelationName {
        schema: Some("public".to_owned()),
        name: "far_rooms".to_owned(),
    };
    for surprise in [
        Surprise::Foreign(foreign),
        Surprise::Utility,
        Surprise::Node("Custom Scan".to_owned()),
        Surprise::Call(FunctionName {
            schema: Some("public".to_owned()),
            name: "dblink".to_owned(),
        }),
    ] {
        let facts = enlightened(facts, &BTreeSet::from([surprise.clone()]));
        assert!(!facts.is_certain(), "{surprise}");
    }
}

#[test]
fn a_temporary_schema_is_the_sessions_own() {
    let name = |schema: &str| RelationName {
        schema: Some(schema.to_owned()),
        name: "t".to_owned(),
    };
    assert!(same(&name("pg_temp"), &name("pg_temp_3")));
    assert!(!same(&name("pg_temp"), &name("pg_temp_x")));
    assert!(!same(&name("public"), &name("pg_temp")));
}
