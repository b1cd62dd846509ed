//! Rule validation and judging, by table.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use abeyance_policy::{
    Asked, Context, Decision, Entry, Matcher, Policy, Review, Rule, RuleError, RuleSet, Verdict,
    asked, evaluate, matches,
};
use abeyance_sql::{Predicate, ReadOptions, StatementClass, StatementFacts, analyse};
use proptest::prelude::*;

mod batch;

use batch::judged;

fn context() -> Context<'static> {
    Context {
        environment: Some("production"),
        ..Context::new("billing-bot", "clinic")
    }
}

fn facts(sql: &str) -> Vec<StatementFacts> {
    analyse(sql.as_bytes(), ReadOptions::default()).statements
}

fn strings(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|name| (*name).to_owned()).collect())
}

fn hold(route: &str) -> Decision {
    Decision::Hold {
        route: route.to_owned(),
    }
}

fn rule(name: &str, decision: Decision, matcher: Matcher) -> Rule {
    Rule::new(name, matcher, decision)
}

fn any() -> Matcher {
    Matcher::default()
}

fn classes(classes: &[StatementClass]) -> Matcher {
    Matcher {
        classes: Some(classes.to_vec()),
        ..any()
    }
}

fn kinds(kinds: &[&str]) -> Matcher {
    Matcher {
        kinds: strings(kinds),
        ..any()
    }
}

fn tables(tables: &[&str]) -> Matcher {
    Matcher {
        tables: strings(tables),
        ..any()
    }
}

/// Rules over tables that are what their names say.
fn plain(rules: Vec<Rule>, default: Decision) -> RuleSet {
    RuleSet::build(Policy {
        rules,
        plain_tables: vec!["*".to_owned()],
        ..Policy::new(default)
    })
    .unwrap()
}

fn judge(rules: Vec<Rule>, default: Decision, sql: &str) -> Verdict {
    judged(&plain(rules, default), &facts(sql), context())
}

fn errors(rules: Vec<Rule>) -> Vec<RuleError> {
    RuleSet::new(rules, Decision::Deny).unwrap_err()
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = errors(vec![
        rule("", Decision::Allow, kinds(&["DELET"])),
        rule("default", Decision::Allow, kinds(&[])),
        rule(
            "twice",
            hold(" "),
            tables(&["a.b.c", "", "\"x\"", "fine", "a.*"]),
        ),
        rule(
            "twice",
            Decision::Deny,
            Matcher {
                kinds: strings(&["SELECT", "frobnicate"]),
                classes: Some(vec![StatementClass::Ddl]),
                agents: strings(&[""]),
                ..any()
            },
        ),
    ]);
    let lines: Vec<String> = found
        .iter()
        .map(|error| {
            format!(
                "{:?} {}: {} -- {}",
                error.entry, error.field, error.message, error.hint
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_rule_that_can_never_decide_is_a_mistake() {
    let found = errors(vec![
        rule("reads", Decision::Allow, classes(&[StatementClass::Read])),
        rule("ask", hold("dba"), any()),
        rule("never", Decision::Deny, kinds(&["DO"])),
    ]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].entry, found[0].field),
        (Entry::Rule(0), "verdict")
    );
}

#[test]
fn deny_beats_hold_beats_allow_whatever_the_order() {
    let allow = rule("allow", Decision::Allow, classes(&[StatementClass::Write]));
    let ask = rule("ask", hold("dba"), kinds(&["DELETE"]));
    let ask_too = rule("ask-too", hold("other"), tables(&["visits"]));
    let deny = rule("deny", Decision::Deny, tables(&["patients"]));
    let rules = vec![allow, ask, ask_too, deny];
    for rules in [rules.clone(), rules.into_iter().rev().collect()] {
        let given = |sql: &str| judge(rules.clone(), hold("default"), sql).rule;
        assert_eq!(given("UPDATE rooms SET beds = 1"), "allow");
        assert_eq!(given("DELETE FROM rooms"), "ask");
        assert_eq!(given("UPDATE visits SET a = 1"), "ask-too");
        assert_eq!(given("DELETE FROM patients"), "deny");
        assert_eq!(given("SELECT 1"), "default");
    }
}

#[test]
fn every_matching_rule_is_told() {
    let rules = plain(
        vec![
            rule("allow", Decision::Allow, classes(&[StatementClass::Write])),
            rule("other", Decision::Deny, tables(&["rooms"])),
            rule("ask", hold("dba"), tables(&["visits"])),
        ],
        Decision::Deny,
    );
    let statement = &facts("DELETE FROM visits")[0];
    let names: Vec<&str> = matches(&rules, statement, context())
        .iter()
        .map(|found| found.name)
        .collect();
    assert_eq!(names, ["allow", "ask"]);
}

#[test]
fn of_equal_verdicts_the_first_gives_the_route() {
    let rules = vec![
        rule("one", hold("first"), kinds(&["DELETE"])),
        rule("two", hold("second"), tables(&["visits"])),
    ];
    let verdict = judge(rules, Decision::Deny, "DELETE FROM visits");
    assert_eq!(verdict.decision, hold("first"));
}

#[test]
fn agents_targets_and_environments_narrow() {
    let set =
        |matcher| RuleSet::new(vec![rule("r", Decision::Allow, matcher)], Decision::Deny).unwrap();
    let select = &facts("SELECT 1")[0];
    let given = |matcher, context| evaluate(&set(matcher), select, context).decision;
    let agents = Matcher {
        agents: strings(&["a", "billing-bot"]),
        ..any()
    };
    let targets = Matcher {
        targets: strings(&["other"]),
        ..any()
    };
    let environments = Matcher {
        environments: strings(&["production"]),
        ..any()
    };
    assert_eq!(given(agents.clone(), context()), Decision::Allow);
    assert_eq!(
        given(
            agents,
            Context {
                agent: "c",
                ..context()
            }
        ),
        Decision::Deny
    );
    assert_eq!(given(targets, context()), Decision::Deny);
    assert_eq!(given(environments.clone(), context()), Decision::Allow);
    assert_eq!(
        given(
            environments,
            Context {
                environment: None,
                ..context()
            }
        ),
        Decision::Deny
    );
}

/// An allow rule, and what it must not let through.
#[test]
fn an_allow_rule_must_cover_everything() {
    use StatementClass::{Ddl, Opaque, Read, Unvouched, Write};
    let by_key = Matcher {
        classes: Some(vec![Write]),
        predicates: Some(vec![Predicate::Equality]),
        ..any()
    };
    for (matcher, sql, allowed) in [
        (classes(&[Read]), "SELECT * FROM t", true),
        (classes(&[Read]), "SELECT f() FROM t", false),
        (
            classes(&[Read]),
            "WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d",
            false,
        ),
        (classes(&[Read, Unvouched]), "SELECT f() FROM t", true),
        (classes(&[Write]), "UPDATE t SET a = f()", false),
        (classes(&[Write, Unvouched]), "UPDATE t SET a = f()", true),
        (
            classes(&[Ddl]),
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'x'",
            false,
        ),
        (
            classes(&[Ddl, Opaque]),
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'x'",
            true,
        ),
        (classes(&[Opaque]), "DO 'x'", true),
        (classes(&[Opaque]), "SELEC 1", true),
        (classes(&[Read]), "SELEC 1", false),
        (kinds(&["DELETE"]), "DELETE FROM t", true),
        (kinds(&["delete"]), "DELETE FROM t", true),
        (
            kinds(&["DELETE"]),
            "WITH d AS (DELETE FROM t RETURNING 1) UPDATE u SET a = 1",
            false,
        ),
        (
            kinds(&["DELETE", "UPDATE"]),
            "WITH d AS (DELETE FROM t RETURNING 1) UPDATE u SET a = 1",
            true,
        ),
        (kinds(&["DELETE"]), "DELETE FROM t WHERE f()", false),
        (kinds(&["DO"]), "DO 'x'", false),
        (tables(&["t"]), "SELECT * FROM t", true),
        (tables(&["t"]), "SELECT * FROM s.t", true),
        (tables(&["s.t"]), "SELECT * FROM s.t", true),
        (tables(&["public.t"]), "SELECT * FROM t", false),
        (tables(&["s.*"]), "SELECT * FROM s.t", true),
        (tables(&["t"]), "SELECT * FROM t, u", false),
        (tables(&["t", "u"]), "SELECT * FROM t, u", true),
        (tables(&["t"]), "SELECT 1", false),
        (tables(&["*"]), "SELECT f() FROM t", false),
        (tables(&["*"]), "SELEC 1", false),
        (by_key.clone(), "DELETE FROM t WHERE id = 1", true),
        (by_key.clone(), "DELETE FROM t WHERE id = id", false),
        (by_key.clone(), "DELETE FROM t", false),
        (
            by_key,
            "WITH d AS (DELETE FROM t) UPDATE u SET a = 1 WHERE id = 1",
            false,
        ),
        (any(), "SELEC 1", true),
    ] {
        let verdict = judge(
            vec![rule("r", Decision::Allow, matcher.clone())],
            Decision::Deny,
            sql,
        );
        assert_eq!(
            verdict.decision == Decision::Allow,
            allowed,
            "{matcher:?}: {sql}"
        );
    }
}

#[test]
fn a_deny_rule_matches_any_of_it() {
    use StatementClass::{Opaque, Unvouched, Write};
    for (matcher, sql, denied) in [
        (
            classes(&[Write]),
            "WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d",
            true,
        ),
        (classes(&[Unvouched]), "UPDATE t SET a = f()", true),
        (classes(&[Opaque]), "SELEC 1", true),
        (
            kinds(&["UPDATE"]),
            "WITH d AS (UPDATE t SET a = 1) DELETE FROM u",
            true,
        ),
        (kinds(&["DO"]), "DO 'x'", true),
        (tables(&["u"]), "SELECT * FROM t, u", true),
        (tables(&["public.u"]), "SELECT * FROM u", true),
        (tables(&["audit.*"]), "SELECT * FROM u", false),
        (tables(&["audit.*"]), "DROP TABLE audit.log", true),
        (
            tables(&["audit.log"]),
            "GRANT ALL ON ALL TABLES IN SCHEMA audit TO eve",
            true,
        ),
        (tables(&["lab_*"]), "TRUNCATE lab_results_2025", true),
        (tables(&["t"]), "SELECT 't'", false),
        // What it touches is not known, so it may be that.
        (tables(&["t"]), "SELEC t", true),
        (tables(&["t"]), "SELECT f()", true),
    ] {
        let verdict = judge(
            vec![rule("r", Decision::Deny, matcher.clone())],
            hold("dba"),
            sql,
        );
        assert_eq!(
            verdict.decision == Decision::Deny,
            denied,
            "{matcher:?}: {sql}"
        );
    }
}

#[test]
fn a_default_of_allow_stops_at_doubt() {
    for (sql, decision) in [
        ("DELETE FROM t", Decision::Allow),
        ("SELECT f()", Decision::Deny),
        ("SELEC 1", Decision::Deny),
        ("EXECUTE p", Decision::Deny),
        ("DO 'x'", Decision::Deny),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'x'",
            Decision::Deny,
        ),
        ("SELECT * FROM pg_stat_activity", Decision::Deny),
    ] {
        let verdict = judge(Vec::new(), Decision::Allow, sql);
        assert_eq!(verdict.decision, decision, "{sql}");
        assert_eq!(verdict.rule, "default");
    }
}

#[test]
fn a_batch_is_as_guarded_as_its_worst_statement() {
    let rules = || {
        vec![
            rule("reads", Decision::Allow, classes(&[StatementClass::Read])),
            rule("no-do", Decision::Deny, kinds(&["DO"])),
        ]
    };
    let given = |sql: &str| judge(rules(), hold("dba"), sql);
    assert_eq!(given("SELECT 1; SELECT 2").rule, "reads");
    let held = given("SELECT 1; DELETE FROM a; DELETE FROM b");
    assert_eq!(
        (held.decision, held.rule.as_str()),
        (hold("dba"), "default")
    );
    insta::assert_snapshot!(held.reasons.join("\n"));
    assert_eq!(given("SELECT 1; DELETE FROM a; DO 'x'").rule, "no-do");
    assert_eq!(given("").decision, Decision::Allow);
}

#[test]
fn a_batch_asks_one_route_and_waits_as_its_strictest_statement() {
    let mut late = rule("late", hold("dba"), kinds(&["DELETE"]));
    late.review = Review::Commit;
    let rules = || {
        vec![
            rule("reads", Decision::Allow, classes(&[StatementClass::Read])),
            rule("now", hold("dba"), kinds(&["TRUNCATE"])),
            rule("elsewhere", hold("leads"), kinds(&["UPDATE"])),
            late.clone(),
        ]
    };
    let set = plain(rules(), Decision::Deny);
    let told = |sql: &str| {
        let each = facts(sql);
        let each = each.iter().map(|facts| evaluate(&set, facts, context()));
        asked(&each.collect::<Vec<_>>())
    };
    let one = |sql: &str| match told(sql) {
        Asked::One(joint) => Some((joint.rule, joint.route, joint.review)),
        Asked::Nobody | Asked::Several(_) => None,
    };
    let (dba, late, now) = ("dba".to_owned(), "late".to_owned(), "now".to_owned());
    assert_eq!(told("SELECT 1; SELECT 2"), Asked::Nobody);
    assert_eq!(
        one("DELETE FROM a; SELECT 1"),
        Some((late.clone(), dba.clone(), Review::Commit))
    );
    assert_eq!(
        one("DELETE FROM a; TRUNCATE b"),
        Some((late, dba.clone(), Review::Statement))
    );
    assert_eq!(
        one("TRUNCATE b; DELETE FROM a"),
        Some((now, dba.clone(), Review::Statement))
    );
    assert_eq!(
        told("UPDATE a SET b = 1; SELECT 1; DELETE FROM a; UPDATE a SET b = 2"),
        Asked::Several(vec![dba, "leads".to_owned()])
    );
}

#[test]
fn reasons_are_words() {
    let ask = |sql: &str| judge(Vec::new(), hold("dba"), sql).reasons.join("\n");
    let all: Vec<String> = [
        "DELETE FROM visits WHERE true",
        "TRUNCATE a, b, c, d, e, f, g",
        "SELECT purge(5) FROM pg_stat_activity",
        "SET ROLE eve",
        "SET search_path = x",
        "EXECUTE p",
        "DROP TABLE patients",
        "SELEC 'secret'",
        "LISTEN a",
        "DROP SCHEMA s CASCADE",
        "ALTER TABLE t ALTER a TYPE bigint",
        "CREATE INDEX ON t (a)",
        "VACUUM FULL t",
        "COPY t TO PROGRAM 'secret'",
    ]
    .into_iter()
    .map(|sql| format!("{sql}\n{}\n", ask(sql)))
    .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_rules_message_comes_first() {
    let mut rule = rule("r", hold("dba"), kinds(&["DELETE"]));
    rule.message = Some("ask the owner of the table".to_owned());
    let verdict = judge(vec![rule], Decision::Deny, "DELETE FROM t");
    assert_eq!(verdict.reasons[0], "ask the owner of the table");
}

fn statement() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "SELECT 1",
        "SELECT * FROM t",
        "SELECT f() FROM t",
        "DELETE FROM t",
        "DELETE FROM s.t WHERE id = 1",
        "UPDATE u SET a = f()",
        "DROP TABLE t",
        "DO 'x'",
        "SELEC",
        "SET ROLE x",
        "BEGIN",
        "COPY t TO PROGRAM 'x'",
    ])
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let class = proptest::sample::subsequence(StatementClass::ALL.to_vec(), 1..4);
    let kind =
        proptest::sample::subsequence(vec!["SELECT", "DELETE", "UPDATE", "DO", "opaque"], 1..3);
    let table = proptest::sample::subsequence(vec!["t", "s.t", "public.t", "u", "*"], 1..3);
    (
        proptest::option::of(class),
        proptest::option::of(kind),
        proptest::option::of(table),
    )
        .prop_map(|(classes, kinds, tables)| Matcher {
            classes,
            kinds: kinds.map(|kinds| kinds.into_iter().map(str::to_owned).collect()),
            tables: tables.map(|tables| tables.into_iter().map(str::to_owned).collect()),
            ..Matcher::default()
        })
}

proptest! {
    /// More doubt, or one more hold or deny rule, never makes a statement less guarded.
    #[test]
    fn doubt_and_more_rules_only_guard(
        sql in statement(),
        first in matcher(),
        second in matcher(),
        deny: bool,
        allow_by_default: bool,
    ) {
        let default = if allow_by_default { Decision::Allow } else { hold("dba") };
        let guard = |rules: &[Rule], facts: &StatementFacts| {
            let set = RuleSet::new(rules.to_vec(), default.clone()).ok()?;
            Some(evaluate(&set, facts, context()).decision.guard())
        };
        let stronger = if deny { Decision::Deny } else { hold("dba") };
        let allow = rule("allow", Decision::Allow, first);
        let more = [allow.clone(), rule("more", stronger, second)];
        let statement = facts(sql).remove(0);
        let mut doubtful = statement.clone();
        doubtful.doubts.insert("calls x(), not known to be free of side effects".to_owned());
        doubtful.classes.insert(StatementClass::Unvouched);
        if let (Some(fewer), Some(more)) = (guard(std::slice::from_ref(&allow), &statement), guard(&more, &statement))
            && fewer == 0 {
            prop_assert!(more >= fewer);
        }
        if let (Some(sure), Some(unsure)) = (guard(std::slice::from_ref(&allow), &statement), guard(&[allow], &doubtful)) {
            prop_assert!(unsure >= sure);
        }
    }
}
