//! One line a statement: what analysis must know of it. The table is `facts_table.txt`.
//!
//! A line is the statement, ` => ` and its facts. `ABEYANCE_TABLE=write cargo test` rewrites the
//! facts of every line; read the difference before committing it.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fmt::Write as _;

use abeyance_sql::{
    ReadOptions, SessionEffect, StatementFacts, TransactionEffect, analyse, classes_of_kind,
};

const TABLE: &str = include_str!("facts_table.txt");

#[test]
fn every_line_holds() {
    let mut actual = String::new();
    for line in TABLE.lines() {
        match line.split_once(" => ") {
            Some((sql, _)) => writeln!(actual, "{sql} => {}", summary(sql)).unwrap(),
            None => writeln!(actual, "{line}").unwrap(),
        }
    }
    if std::env::var("ABEYANCE_TABLE").as_deref() == Ok("write") {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/facts_table.txt"),
            &actual,
        )
        .unwrap();
        return;
    }
    for (expected, actual) in TABLE.lines().zip(actual.lines()) {
        assert_eq!(actual, expected);
    }
}

#[test]
fn every_kind_is_a_known_name() {
    for line in TABLE.lines() {
        let Some((sql, _)) = line.split_once(" => ") else {
            continue;
        };
        for facts in analyse(sql.as_bytes(), ReadOptions::default()).statements {
            let classes = classes_of_kind(&facts.kind);
            assert!(
                classes.is_some_and(|classes| classes.contains(&facts.class)),
                "{sql}: {} is not listed as {}",
                facts.kind,
                facts.class
            );
        }
    }
}

#[test]
fn a_reference_becomes_what_it_names() {
    let read = |sql: &str| {
        analyse(sql.as_bytes(), ReadOptions::default())
            .statements
            .remove(0)
    };
    let deletes = read("PREPARE p AS DELETE FROM visits WHERE id = $1");
    let selects = read("PREPARE p AS SELECT * FROM visits");
    for (reference, definition, expected) in [
        (
            "EXECUTE p",
            &deletes,
            "DELETE [write] writes visits where equality refers to p",
        ),
        (
            "EXECUTE p",
            &selects,
            "SELECT [read] reads visits refers to p",
        ),
        (
            "EXECUTE p (purge())",
            &selects,
            "SELECT [read unvouched] reads visits refers to p \
             doubt: calls purge(), not known to be free of side effects",
        ),
        (
            "CREATE TABLE x AS EXECUTE p",
            &selects,
            "CREATE TABLE AS [ddl read] reads visits alters x kinds CREATE TABLE AS,SELECT refers to p",
        ),
        (
            "EXPLAIN ANALYZE EXECUTE p",
            &deletes,
            "DELETE [write] writes visits where equality refers to p",
        ),
    ] {
        assert_eq!(
            one(&read(reference).resolved_by(definition)),
            expected,
            "{reference}"
        );
    }
}

fn summary(sql: &str) -> String {
    let statements = analyse(sql.as_bytes(), ReadOptions::default()).statements;
    let each: Vec<String> = statements.iter().map(one).collect();
    each.join(" ;; ")
}

fn one(facts: &StatementFacts) -> String {
    let mut text = format!("{} [", facts.kind);
    let classes: Vec<&str> = std::iter::once(facts.class)
        .chain(
            facts
                .classes
                .iter()
                .copied()
                .filter(|class| *class != facts.class),
        )
        .map(abeyance_sql::StatementClass::as_str)
        .collect();
    write!(text, "{}]", classes.join(" ")).unwrap();
    for (name, relations) in [
        ("reads", &facts.reads),
        ("writes", &facts.writes),
        ("alters", &facts.alters),
    ] {
        if !relations.is_empty() {
            let names: Vec<String> = relations.iter().map(ToString::to_string).collect();
            write!(text, " {name} {}", names.join(",")).unwrap();
        }
    }
    if facts.kinds.len() > 1 {
        let kinds: Vec<&str> = facts.kinds.iter().map(String::as_str).collect();
        write!(text, " kinds {}", kinds.join(",")).unwrap();
    }
    if facts.predicate != abeyance_sql::Predicate::NotApplicable {
        write!(text, " where {}", facts.predicate).unwrap();
    }
    match &facts.session {
        SessionEffect::None => {}
        SessionEffect::Set { parameter, local } => {
            write!(
                text,
                " sets {parameter}{}",
                if *local { " locally" } else { "" }
            )
            .unwrap();
        }
        other => write!(text, " session {other:?}").unwrap(),
    }
    if facts.transaction != TransactionEffect::None {
        write!(text, " transaction {:?}", facts.transaction).unwrap();
    }
    if let Some(name) = &facts.defines {
        write!(text, " defines {name}").unwrap();
    }
    if let Some(name) = &facts.refers_to {
        write!(text, " refers to {name}").unwrap();
    }
    if let Some(reason) = &facts.opaque {
        write!(text, " opaque: {reason}").unwrap();
    }
    for doubt in &facts.doubts {
        write!(text, " doubt: {doubt}").unwrap();
    }
    if facts.explainable {
        text.push_str(" explainable");
    }
    text
}
