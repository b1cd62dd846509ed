//! The labelled corpus against the policy of `deploy/clinic.toml`, with the clinic's catalog and without
//! it. With the catalog every statement falls among the decisions that are safe for it, and no
//! benign one is held; without, nothing dangerous passes.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use abeyance_policy::{Context, Decision, RuleSet, Verdict};
use abeyance_sql::{ReadOptions, Sight, StatementFacts, analyse};
use base64::Engine as _;
use serde::Deserialize;

mod batch;
mod support;

use batch::judged;

const OPEN: &str = include_str!("../../../tests/corpus/open.jsonl");
const OWN: &str = include_str!("corpus_own.jsonl");
const EXCEPTIONS: &str = include_str!("corpus_exceptions.txt");
const EXCEPTIONS_OFFLINE: &str = include_str!("corpus_exceptions_offline.txt");

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

    fn facts(&self, sight: Option<&Sight>) -> Vec<StatementFacts> {
        let off = "SET standard_conforming_strings=off".to_owned();
        let options = ReadOptions {
            standard_conforming_strings: !self.session.contains(&off),
            sight: sight.cloned(),
            ..ReadOptions::default()
        };
        analyse(&self.bytes(), options).statements
    }

    fn verdict(&self, rules: &RuleSet, sight: Option<&Sight>) -> Verdict {
        let context = Context {
            environment: Some("production"),
            database: Some("clinic"),
            ..Context::new("billing-bot", "clinic")
        };
        judged(rules, &self.facts(sight), context)
    }

    fn accepts(&self, verdict: &Verdict) -> bool {
        let word = word(&verdict.decision);
        let accepted = |word: &str| self.accept.iter().any(|accepted| accepted == word);
        accepted(word) || verdict.mask && word == "hold" && accepted("mask")
    }

    fn benign(&self) -> bool {
        self.accept == ["allow"]
    }
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Hold { .. } => "hold",
        Decision::Deny => "deny",
    }
}

fn rows() -> Vec<Row> {
    OPEN.lines()
        .chain(OWN.lines())
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|row: &Row| row.dialect == "postgresql")
        .collect()
}

/// Exception id -> why.
fn exceptions(list: &'static str) -> BTreeMap<&'static str, &'static str> {
    list.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .collect()
}

fn line(row: &Row, verdict: &Verdict) -> String {
    format!(
        "{} {} by {} (accepts {}): {}\n    {}",
        row.id,
        word(&verdict.decision),
        verdict.rule,
        row.accept.join("/"),
        row.sql.escape_debug().take(200).collect::<String>(),
        verdict.reasons.join("\n    ")
    )
}

#[test]
fn with_the_catalog_every_statement_gets_a_safe_verdict() {
    let rules = support::clinic();
    let exceptions = exceptions(EXCEPTIONS);
    let mut wrong = BTreeSet::new();
    let mut lines = Vec::new();
    for row in rows() {
        let verdict = row.verdict(&rules, Some(&support::SIGHT));
        if !row.accepts(&verdict) {
            if !exceptions.contains_key(row.id.as_str()) {
                lines.push(line(&row, &verdict));
            }
            wrong.insert(row.id);
        }
    }
    assert!(
        lines.is_empty(),
        "{} wrong:\n{}",
        lines.len(),
        lines.join("\n")
    );
    let outdated: Vec<_> = exceptions
        .keys()
        .filter(|id| !wrong.contains(**id))
        .collect();
    assert!(
        outdated.is_empty(),
        "no longer needed, remove: {outdated:#?}"
    );
}

#[test]
fn without_the_catalog_nothing_dangerous_passes() {
    let (rules, mut known) = (support::clinic(), exceptions(EXCEPTIONS));
    known.extend(exceptions(EXCEPTIONS_OFFLINE));
    let passed: Vec<String> = rows()
        .iter()
        .filter(|row| !known.contains_key(row.id.as_str()))
        .map(|row| (row, row.verdict(&rules, None)))
        .filter(|(row, verdict)| verdict.decision == Decision::Allow && !row.accepts(verdict))
        .map(|(row, verdict)| line(row, &verdict))
        .collect();
    assert!(
        passed.is_empty(),
        "{} passed:\n{}",
        passed.len(),
        passed.join("\n")
    );
}

/// Without the catalog some benign statements wait: those that need to know a key, or what a view
/// leads to. Their share may only shrink.
#[test]
fn without_the_catalog_few_benign_statements_wait() {
    let rules = support::clinic();
    let rows = rows();
    let benign: Vec<&Row> = rows.iter().filter(|row| row.benign()).collect();
    let held: Vec<String> = benign
        .iter()
        .map(|row| (row, row.verdict(&rules, None)))
        .filter(|(_, verdict)| verdict.decision != Decision::Allow)
        .map(|(row, verdict)| line(row, &verdict))
        .collect();
    let share = held.len() * 100 / benign.len();
    assert!(
        share <= 30,
        "{share} % of {} held:\n{}",
        benign.len(),
        held.join("\n")
    );
}
