use abeyance_policy::{Context, Decision, RuleSet};
use abeyance_sql::{ReadOptions, analyse};

use super::*;
use crate::catalog::View;

fn reading(meaning: &str, view: u64) -> Arc<Reading> {
    let analysis = analyse(meaning.as_bytes(), ReadOptions::default());
    let stamp = Stamp {
        view,
        ..Stamp::default()
    };
    let rules = RuleSet::new(Vec::new(), Decision::Deny).unwrap();
    let context = Context::new("bot", "clinic");
    let text = Bytes::from_static(b"one text");
    Arc::new(Reading::stamped(text, analysis, stamp, &rules, context))
}

fn renewed(ledger: &mut Ledger, meaning: &str, view: u64) -> Vec<String> {
    let reading = reading(meaning, view);
    ledger.statement_renew(b"x", reading.clone());
    ledger.renewed(reading.stamp);
    let prepared = ledger.statement(b"x").unwrap();
    let all = prepared.earlier.iter().chain([&prepared.reading]);
    all.map(|reading| reading.facts[0].kind.clone()).collect()
}

#[test]
fn a_prepared_statement_keeps_what_it_meant_before() {
    let mut ledger = Ledger::default();
    let first = reading("SELECT 1", 20);
    ledger.statement_add(
        b"x",
        Arc::new(Prepared::new(
            first.clone(),
            Vec::new(),
            None,
            Mark::default(),
        )),
    );
    assert!(ledger.outdated(first.stamp).is_empty());
    let newer = reading("SELECT 1", 21).stamp;
    assert!(!ledger.is_current(newer));
    assert_eq!(ledger.outdated(newer).len(), 1);
    // The same meaning under another view is no other meaning.
    assert_eq!(renewed(&mut ledger, "SELECT 1", 21), ["SELECT"]);
    assert!(ledger.is_current(newer));
    assert_eq!(
        renewed(&mut ledger, "DELETE FROM a", 22),
        ["SELECT", "DELETE"]
    );
    // What was read without a catalog is no meaning of its own.
    let blind = View::unsettled().number;
    assert_eq!(
        renewed(&mut ledger, "INSERT INTO a VALUES (1)", blind),
        ["SELECT", "DELETE", "INSERT"]
    );
    assert_eq!(renewed(&mut ledger, "SELECT 1", 23), ["DELETE", "SELECT"]);
    assert!(!ledger.statement(b"x").unwrap().suspect);
}

#[test]
fn a_statement_with_too_many_meanings_is_doubted() {
    let mut ledger = Ledger::default();
    let first = reading("SELECT 1", 20);
    let prepared = Prepared::new(first, Vec::new(), None, Mark::default());
    ledger.statement_add(b"x", Arc::new(prepared));
    for view in 0..=EARLIER_MAX {
        let meaning = format!("DELETE FROM t{view}");
        renewed(&mut ledger, &meaning, 21 + view as u64);
    }
    let prepared = ledger.statement(b"x").unwrap();
    assert_eq!(prepared.earlier.len(), EARLIER_MAX);
    assert!(prepared.suspect);
}
