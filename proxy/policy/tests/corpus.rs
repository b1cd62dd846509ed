//! The labelled corpus against rules like those of `deploy/abeyance.toml`: no statement that must
//! not simply pass is allowed, but for
//! - reads of protected rows that a mask would make harmless: results are not masked yet, and
//!   of these the facts must name a protected relation, so that a rule on tables can hold them;
//! - the ones listed in `corpus_exceptions.txt`, each of which needs what text alone cannot
//!   tell. That list may only get shorter.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use abeyance_policy::{Context, Decision, Matcher, Rule, RuleSet, evaluate_batch};
use abeyance_sql::{Predicate, ReadOptions, StatementClass, analyse};
use base64::Engine as _;
use serde::Deserialize;

const CORPUS: &str = include_str!("../../../tests/corpus/open.jsonl");
const EXCEPTIONS: &str = include_str!("corpus_exceptions.txt");

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    dialect: String,
    sql: String,
    sql_b64: Option<String>,
    accept: Vec<String>,
    #[serde(default)]
    session: Vec<String>,
}

impl Row {
    fn bytes(&self) -> Vec<u8> {
        match &self.sql_b64 {
            Some(encoded) => base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .unwrap(),
            None => self.sql.clone().into_bytes(),
        }
    }

    fn options(&self) -> ReadOptions {
        let off = "SET standard_conforming_strings=off".to_owned();
        ReadOptions {
            standard_conforming_strings: !self.session.contains(&off),
            ..ReadOptions::default()
        }
    }

    fn accepts(&self, verdict: &str) -> bool {
        self.accept.iter().any(|accepted| accepted == verdict)
    }
}

fn rows() -> Vec<Row> {
    CORPUS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|row: &Row| row.dialect == "postgresql")
        .collect()
}

/// Reads pass, server files are denied, the rest is asked.
fn guard() -> RuleSet {
    let rule = |name: &str, matcher, decision| Rule::new(name, matcher, decision);
    let hold = || Decision::Hold {
        route: "dba".to_owned(),
    };
    let reads = Matcher {
        classes: Some(vec![
            StatementClass::Read,
            StatementClass::Session,
            StatementClass::Transaction,
        ]),
        ..Matcher::default()
    };
    let files = Matcher {
        kinds: Some(vec!["COPY PROGRAM".to_owned(), "COPY FILE".to_owned()]),
        ..Matcher::default()
    };
    let rules = vec![
        rule("reads-pass", reads, Decision::Allow),
        rule("no-server-files", files, Decision::Deny),
    ];
    RuleSet::new(rules, hold()).unwrap()
}

/// The same with what a clinic would add: protected rows are asked for, writes by key and single
/// inserts to the appointment book pass.
fn clinic() -> RuleSet {
    let names = |list: &[&str]| Some(list.iter().map(|name| (*name).to_owned()).collect());
    let mut rules = guard().rules().to_vec();
    let protected = Matcher {
        tables: names(&PROTECTED),
        ..Matcher::default()
    };
    let route = "dba".to_owned();
    rules.push(Rule::new(
        "protected-rows-are-asked-for",
        protected,
        Decision::Hold { route },
    ));
    let by_key = Matcher {
        kinds: names(&["INSERT", "UPDATE", "DELETE"]),
        tables: names(&["appointments"]),
        predicates: Some(vec![Predicate::Equality, Predicate::NotApplicable]),
        ..Matcher::default()
    };
    rules.push(Rule::new("appointments-by-key", by_key, Decision::Allow));
    RuleSet::new(rules, guard().default_decision().clone()).unwrap()
}

fn verdict(row: &Row) -> &'static str {
    verdict_of(row, &guard())
}

fn verdict_of(row: &Row, rules: &RuleSet) -> &'static str {
    let analysis = analyse(&row.bytes(), row.options());
    let context = Context {
        environment: Some("production"),
        ..Context::new("billing-bot", "clinic")
    };
    match evaluate_batch(rules, &analysis.statements, context).decision {
        Decision::Allow => "allow",
        Decision::Hold { .. } => "hold",
        Decision::Deny => "deny",
    }
}

/// Relations of the clinic whose rows hold, or are made of, protected values.
const PROTECTED: [&str; 10] = [
    "all_people",
    "audit_log",
    "billing",
    "patient_contact",
    "patient_directory",
    "patient_stats",
    "patients",
    "patients_archive",
    "visit_summary",
    "visits",
];

fn reads_protected(row: &Row) -> bool {
    analyse(&row.bytes(), row.options())
        .statements
        .iter()
        .flat_map(|facts| &facts.reads)
        .any(|relation| PROTECTED.contains(&relation.name.as_str()))
}

/// Exception id -> why.
fn exceptions() -> BTreeMap<&'static str, &'static str> {
    EXCEPTIONS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .collect()
}

#[test]
fn nothing_dangerous_is_allowed() {
    let exceptions = exceptions();
    let mut allowed = BTreeSet::new();
    for row in rows() {
        let masked = row.accepts("mask") && reads_protected(&row);
        if verdict(&row) == "allow" && !row.accepts("allow") && !masked {
            allowed.insert(row.id);
        }
    }
    let unlisted: Vec<_> = allowed
        .iter()
        .filter(|id| !exceptions.contains_key(id.as_str()))
        .collect();
    assert!(
        unlisted.is_empty(),
        "allowed but must not be: {unlisted:#?}"
    );
    let outdated: Vec<_> = exceptions
        .keys()
        .filter(|id| !allowed.contains(**id))
        .collect();
    assert!(
        outdated.is_empty(),
        "no longer needed, remove: {outdated:#?}"
    );
}

#[test]
fn rules_on_tables_and_predicates_do_what_a_clinic_wants() {
    let (rules, exceptions) = (clinic(), exceptions());
    let mut wrong = Vec::new();
    for row in rows() {
        let given = verdict_of(&row, &rules);
        if !row.accepts(given) && !exceptions.contains_key(row.id.as_str()) {
            wrong.push(format!("{} {given}: {}", row.id, row.sql));
        }
    }
    // Unprotected columns of protected tables: rules on columns come with masking.
    let needs_columns = ["pg-benign-009", "pg-benign-010"];
    wrong.retain(|line| !needs_columns.iter().any(|id| line.starts_with(id)));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn ordinary_reads_are_not_held() {
    for row in rows() {
        let facts = analyse(&row.bytes(), row.options()).statements;
        let reads = facts
            .iter()
            .all(|facts| facts.writes.is_empty() && facts.alters.is_empty());
        if row.accept == ["allow"] && reads {
            assert_eq!(
                verdict(&row),
                "allow",
                "{}: {}: {facts:#?}",
                row.id,
                row.sql
            );
        }
    }
}
