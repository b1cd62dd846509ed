use abeyance_policy::{Matcher, Rule};
use abeyance_sql::StatementClass as Class;
use abeyance_wire::postgres::scram::ScramVerifier;

use super::*;
use crate::UpstreamTls;

/// Reads and harmless settings pass, TRUNCATE is denied, all else is held.
fn rules() -> RuleSet {
    let passed = Matcher {
        classes: Some(vec![
            Class::Read,
            Class::Session,
            Class::Transaction,
            Class::SessionRisk,
        ]),
        ..Matcher::default()
    };
    let truncates = Matcher {
        kinds: Some(vec!["TRUNCATE".to_owned()]),
        ..Matcher::default()
    };
    let rules = vec![
        Rule::new("reads", passed, Decision::Allow),
        Rule::new("truncates", truncates, Decision::Deny),
    ];
    let hold = Decision::Hold {
        route: "dba".to_owned(),
    };
    RuleSet::new(rules, hold).unwrap()
}

fn agent() -> Agent {
    Agent {
        name: "bot".to_owned(),
        owner: None,
        actor: None,
        access: abeyance_policy::Access::ReadWrite,
        targets: vec!["clinic".to_owned()],
        verifier: ScramVerifier::generate("secret").unwrap(),
        sessions_max: None,
    }
}

fn target() -> Target {
    Target {
        name: "clinic".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 1,
        database: "clinic".to_owned(),
        user: "app".to_owned(),
        password: None,
        tls: UpstreamTls::disable(),
        environment: None,
        vouched_functions: Arc::default(),
        catalog_poll: None,
        sessions_max: None,
    }
}

/// Judges the last of the statements after the others.
fn after(statements: &[&str]) -> Rehearsed {
    let (rules, agent, target, limits) = (rules(), agent(), target(), Limits::default());
    let stage = Stage {
        rules: &rules,
        agent: &agent,
        target: &target,
        limits: &limits,
    };
    let mut rehearsal = Rehearsal::new(stage, None);
    let (last, before) = statements.split_last().unwrap();
    for sql in before {
        rehearsal.follow(sql.as_bytes());
    }
    rehearsal.judge(last.as_bytes())
}

fn guard(statements: &[&str]) -> u8 {
    after(statements).decision.guard()
}

#[test]
fn a_batch_gets_the_verdict_of_its_most_guarded_statement() {
    let read = after(&["SELECT 1"]);
    assert_eq!((read.decision.guard(), read.rule.as_str()), (0, "reads"));
    let mixed = after(&["SELECT 1; TRUNCATE rooms; DELETE FROM rooms"]);
    assert_eq!(mixed.decision, Decision::Deny);
    assert_eq!(mixed.rule, "truncates");
    assert_eq!(mixed.statements.len(), 3);
    assert_eq!(guard(&[""]), 0);
}

#[test]
fn names_lead_to_what_was_prepared() {
    assert_eq!(guard(&["PREPARE p AS SELECT 1", "EXECUTE p"]), 0);
    assert_eq!(guard(&["PREPARE p AS TRUNCATE rooms", "EXECUTE p"]), 1);
    let delete = after(&["PREPARE p AS DELETE FROM rooms", "EXECUTE p"]);
    assert_eq!(delete.statements[0].0.kind, "DELETE");
    let gone = ["PREPARE p AS SELECT 1", "DEALLOCATE p", "EXECUTE p"];
    assert_eq!(guard(&gone), 1);
    let cursor = ["BEGIN", "DECLARE c CURSOR FOR SELECT 1", "FETCH c"];
    assert_eq!(guard(&cursor), 0);
    let ended = [
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT 1",
        "COMMIT",
        "FETCH c",
    ];
    assert_eq!(guard(&ended), 1);
}

#[test]
fn strings_are_read_as_the_session_would_have_it() {
    let trick = r"SELECT '\''; TRUNCATE rooms --'";
    assert_eq!(guard(&[trick]), 0, "two quotes in a row are one");
    let off = "SET standard_conforming_strings = off";
    assert_eq!(guard(&[off, trick]), 2, "the second ends the string");
    assert_eq!(guard(&[off, "RESET standard_conforming_strings", trick]), 0);
    assert_eq!(guard(&["BEGIN", off, "ROLLBACK", trick]), 0);
    assert_eq!(guard(&["BEGIN", off, "COMMIT", trick]), 2);
    let local = "SET LOCAL standard_conforming_strings = off";
    assert_eq!(guard(&["BEGIN", local, trick]), 2);
    assert_eq!(guard(&["BEGIN", local, "COMMIT", trick]), 0);
}

#[test]
fn what_cannot_be_followed_is_doubted() {
    let trick = r"SELECT '\''; SELECT 1 --'";
    let set = "SELECT set_config('standard_conforming_strings', 'off', false)";
    assert_eq!(guard(&[set, trick]), 1);
    let odd = "SET /* comment */ standard_conforming_strings = off";
    assert_eq!(guard(&[odd, trick]), 1);
    let local = "SET LOCAL standard_conforming_strings = off";
    assert_eq!(guard(&[local, trick]), 1, "outside a transaction");
    assert_eq!(guard(&["DO 'begin end'", "SELECT 1"]), 1);
    let temp = "CREATE TEMP TABLE rooms AS SELECT 1 AS room";
    assert_eq!(guard(&[temp, "SELECT room FROM rooms"]), 1);
    assert_eq!(guard(&[temp, "SELECT beds FROM wards"]), 0);
    let prepared = ["PREPARE p AS SELECT room FROM rooms", temp, "EXECUTE p"];
    assert_eq!(guard(&prepared), 1, "planned anew, it may mean the other");
    let other = ["PREPARE p AS SELECT beds FROM wards", temp, "EXECUTE p"];
    assert_eq!(guard(&other), 0);
    let lower = "CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql AS 'select 1'";
    assert_eq!(guard(&[lower, "SELECT lower(name) FROM wards"]), 1);
}

#[test]
fn bytes_no_message_can_carry_are_refused() {
    let refused = after(&["SELECT 1\0; TRUNCATE rooms"]);
    assert_eq!(refused.decision, Decision::Deny);
    assert_eq!(refused.rule, PROXY);
    assert!(!refused.reasons.is_empty());
}

#[test]
fn bytes_that_are_no_text_are_opaque() {
    let (rules, agent, target, limits) = (rules(), agent(), target(), Limits::default());
    let stage = Stage {
        rules: &rules,
        agent: &agent,
        target: &target,
        limits: &limits,
    };
    let judged = Rehearsal::new(stage, None).judge(b"SELECT '\xff'");
    assert_eq!(judged.decision.guard(), 1);
    assert!(judged.statements[0].0.opaque.is_some());
}

#[test]
fn a_failed_transaction_has_no_statements_to_judge() {
    // A rehearsal never fails, so the state is that of a transaction that goes on.
    assert_eq!(guard(&["BEGIN", "SELECT 1"]), 0);
    assert_eq!(guard(&["BEGIN", "TRUNCATE rooms"]), 2);
}
