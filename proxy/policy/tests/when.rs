//! Conditions in CEL: what they may say, what they mean in doubt, and what they cost.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use abeyance_policy::{
    Access, Blast, Context, Decision, Matcher, Moment, Named, Rule, RuleError, RuleSet, evaluate,
};
use abeyance_sql::{ReadOptions, StatementFacts, analyse};
use chrono::{DateTime, Utc};
use proptest::prelude::*;

fn facts(sql: &str) -> StatementFacts {
    analyse(sql.as_bytes(), ReadOptions::default())
        .statements
        .remove(0)
}

fn rule(decision: Decision, when: &str) -> Rule {
    Rule {
        when: Some(when.to_owned()),
        ..Rule::new("r", Matcher::default(), decision)
    }
}

fn errors(when: &str) -> Vec<RuleError> {
    match RuleSet::new(vec![rule(Decision::Deny, when)], Decision::Deny) {
        Ok(_) => Vec::new(),
        Err(errors) => errors,
    }
}

/// A mistake under its condition, marked where it is.
fn shown(when: &str) -> String {
    use std::fmt::Write as _;
    let mut out = format!("{when}\n");
    for error in errors(when) {
        if let Some(within) = error.within {
            let before = when[..within.start].chars().count();
            let marked = when[within].chars().count().max(1);
            let _ = writeln!(out, "{}{}", " ".repeat(before), "^".repeat(marked));
        }
        let _ = writeln!(out, "{}", error.message);
        if !error.hint.is_empty() {
            let _ = writeln!(out, "  hint: {}", error.hint);
        }
    }
    out
}

#[test]
fn mistakes_have_a_place_and_a_hint() {
    let all: Vec<String> = [
        // The ten of docs/policy.md.
        r#"statement.kind == "DELET""#,
        r#"blast.row > 100"#,
        r#"statment.one_row"#,
        r#"blast.rows > "100""#,
        r#"tables.exists(t, t.nam == "patients")"#,
        r#"statement.kind.matches("DROP.*")"#,
        r#"blast.rows"#,
        r#"time.zone("Europe/Berlim").hour < 7"#,
        r#"has(blast.rows) && blast.rows > 100"#,
        r#"statement.kind == "DELETE" and blast.rows > 100"#,
        // More.
        r#"statement.kind = "DELETE""#,
        r#"(statement.one_row"#,
        r#""#,
        r#"kind == "DELETE""#,
        r#"statement.class == "raed" || statement.class in ["read", "wirte"]"#,
        r#"statement.lock > "share""#,
        r#"size(blast.rows) > 1"#,
        r#"statement.kind.startsWith("DROP", 1)"#,
        r#"statement.reads.map(t, t.name) == ["a"]"#,
        r#"statement.reads[0].name == "a""#,
        r#"blast.rows / 2 > 1"#,
        r#"blast.rows > 1.5"#,
        r#"actor == null"#,
        r#"agent == "bot""#,
        r#"tables == ["patients"]"#,
        r#""pat ients" in tables || "a.b.c.d" in tables || "ssn" in columns"#,
        r#"agent.nme == "ü" && "ü" == agent.nome"#,
        r#"true"#,
        r#"blast.rows > 5 && blast.rows < 3"#,
        r#"statement.kind == "SELECT" && statement.kind == "DELETE""#,
        r#"false && statement.one_row"#,
        r#"tables.exists(t, tables.exists(u, tables.exists(v, v.name == u.name)))"#,
        r#"tables.exists(tables, true)"#,
        r#"statement.one_row == "true""#,
        r#"(agent).name.contains(1)"#,
        r#"{"a": 1} == {"a": 1}"#,
        r#"session.age < 5m"#,
        r#"session.age < "5m" || session.age > duration("2h")"#,
        r#"agent.name == bot"#,
        r#"agent.name == “bot”"#,
        r#"agent.name == "bot"#,
    ]
    .into_iter()
    .map(shown)
    .collect();
    let page = include_str!("../../../docs/policy.md");
    for mistake in all.iter().take(10) {
        assert!(page.contains(mistake), "not in docs/policy.md:\n{mistake}");
    }
    insta::assert_snapshot!(all.join("\n"));
}

/// What loads as before, with a word of warning.
#[test]
fn numbers_that_never_are_are_told() {
    let told = |when: &str| {
        let set = RuleSet::new(vec![rule(Decision::Deny, when)], Decision::Deny);
        let set = set.unwrap_or_else(|errors| panic!("{when}: {errors:#?}"));
        let remarks = set.remarks().iter().map(|remark| {
            let within = remark.within.clone().and_then(|within| when.get(within));
            format!("{}: {}", within.unwrap_or_default(), remark.message)
        });
        remarks.collect::<Vec<_>>()
    };
    for fine in [
        "time.hour < 24",
        "24 > time.hour && time.hour > 21",
        "time.hour >= 0 && time.hour <= 23",
        "time.hour in [22, 23, 0]",
        "time.month == 12 || time.day == 31",
        "blast.rows > 9223372036854775806",
        "blast.rows > -1",
        "size(tables) < 0 - 1",
    ] {
        assert_eq!(told(fine), Vec::<String>::new(), "{fine}");
    }
    for (when, wanted) in [
        (
            "time.hour > 24",
            "time.hour > 24: this is never true: `time.hour` is 0 to 23",
        ),
        (
            "time.hour > 23",
            "time.hour > 23: this is never true: `time.hour` is 0 to 23",
        ),
        (
            "time.hour >= 22 && time.hour <= 24",
            "time.hour <= 24: this is always true: `time.hour` is 0 to 23",
        ),
        (
            "24 == time.hour",
            "24 == time.hour: this is never true: `time.hour` is 0 to 23",
        ),
        (
            "time.zone(\"Europe/Berlin\").hour in [23, 24]",
            "24: 24 is never its value: `time.hour` is 0 to 23",
        ),
        (
            "time.month != 0",
            "time.month != 0: this is always true: `time.month` is 1 to 12",
        ),
        (
            "blast.rows < 0",
            "blast.rows < 0: this is never true: `blast.rows` is 0 or more",
        ),
    ] {
        assert_eq!(told(when), [wanted]);
    }
}

/// Names that the policy does not know are passed on to who does.
#[test]
fn names_in_conditions_are_mentioned() {
    let when = r#"agent.name in ["a", "b"] && (target.environment != "prod" || "ann" == agent.owner)
        && target.name.startsWith("x") && agent.owner != "" && actor == "zoe""#;
    let set = RuleSet::new(vec![rule(Decision::Deny, when)], Decision::Deny).unwrap();
    let found: Vec<(Named, &str, &str)> = set
        .mentions()
        .iter()
        .map(|one| {
            let within = one.within.clone().and_then(|within| when.get(within));
            (one.of, one.name.as_str(), within.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        found,
        [
            (Named::Agent, "a", "\"a\""),
            (Named::Agent, "b", "\"b\""),
            (Named::Environment, "prod", "\"prod\""),
            (Named::Owner, "ann", "\"ann\""),
        ]
    );
}

const SOME_BLAST: Blast = Blast {
    rows: Some(200),
    cascade_rows: Some(0),
    blocked_sessions: None,
    rewrites: Some(false),
    full_scan: Some(true),
    reversible: Some(true),
    transactional: Some(true),
};

fn now() -> DateTime<Utc> {
    "2026-11-20T23:30:00Z".parse().unwrap()
}

/// Whether a condition holds (`Some(true)`), does not, or is not known.
fn truth(when: &str, sql: &str, context: Context<'_>) -> Option<bool> {
    let allow = RuleSet::new(vec![rule(Decision::Allow, when)], Decision::Deny);
    let deny = RuleSet::new(
        vec![rule(Decision::Deny, when)],
        Decision::Hold {
            route: "dba".to_owned(),
        },
    );
    let allow = allow.unwrap_or_else(|errors| panic!("{when}: {errors:#?}"));
    let facts = facts(sql);
    let surely = evaluate(&allow, &facts, context).decision == Decision::Allow;
    let possibly = evaluate(&deny.unwrap(), &facts, context).decision == Decision::Deny;
    match (surely, possibly) {
        (true, true) => Some(true),
        (false, false) => Some(false),
        (false, true) => None,
        (true, false) => panic!("{when}: surely, but not possibly"),
    }
}

#[test]
fn what_conditions_mean() {
    let blast = SOME_BLAST;
    let context = Context {
        owner: Some("ann"),
        access: Access::ReadOnly,
        environment: Some("production"),
        database: Some("clinic_db"),
        moment: Some(Moment {
            in_transaction: Some(true),
            application_name: Some("report"),
            client_addr: Some("10.0.0.7"),
            session_age: Some(std::time::Duration::from_secs(61)),
            statements_in_batch: Some(2),
            ..Moment::at(now())
        }),
        blast: Some(&blast),
        ..Context::new("billing-bot", "clinic")
    };
    let delete = "DELETE FROM public.visits WHERE id = 5";
    for (when, wanted) in [
        (r#"statement.kind == "delete""#, Some(true)),
        (r#"statement.kind != "DELETE""#, Some(false)),
        (r#"statement.kind in ["UPDATE", "DELETE"]"#, Some(true)),
        (r#""DELETE" in statement.kinds"#, Some(true)),
        (r#"statement.class == "write""#, Some(true)),
        (r#"statement.predicate == "equality""#, Some(true)),
        (r#"statement.certain && !statement.opaque"#, Some(true)),
        (r#"statement.one_row"#, None),
        (r#"!statement.one_row"#, None),
        (r#"statement.one_row || agent.name != "x""#, Some(true)),
        (r#"statement.one_row && agent.name == "x""#, Some(false)),
        (r#"statement.rows_max <= 10"#, None),
        (r#""visits" in tables"#, Some(true)),
        (r#""public.visits" in statement.writes"#, Some(true)),
        // What a name leads to is not known without the catalog.
        (r#""patients" in tables"#, None),
        (r#"tables.all(t, t.name == "visits")"#, None),
        (
            r#"tables.exists(t, t.schema == "public" && t.access == "write")"#,
            Some(true),
        ),
        (r#"tables.all(t, t.schema == "private")"#, Some(false)),
        (r#"size(statement.triggers) == 0"#, None),
        (r#"size(statement.kind) == 6"#, Some(true)),
        (r#"statement.names.all(n, n.like("vis*s"))"#, Some(true)),
        (r#"blast.rows > 100"#, Some(true)),
        (r#"blast.rows - 150 > 100"#, Some(false)),
        (r#"blast.rows * 9223372036854775807 > 100"#, None),
        (r#"blast.blocked_sessions == 0"#, None),
        (r#"blast.full_scan == !blast.rewrites"#, Some(true)),
        (
            r#"agent.owner == "ann" && agent.access == "read_only""#,
            Some(true),
        ),
        (r#"actor == """#, Some(true)),
        (r#"target.database.startsWith("clinic")"#, Some(true)),
        (r#"session.in_transaction && session.age > 60"#, Some(true)),
        (r#"session.application_name.contains("port")"#, Some(true)),
        (r#"session.client_addr.like("10.0.*")"#, Some(true)),
        (r#"statement.statements_in_batch > 1"#, Some(true)),
        (r#"time.hour == 23 && time.minute == 30"#, Some(true)),
        (r#"time.weekday == "friday""#, Some(true)),
        (
            r#"time.zone("Europe/Berlin").weekday == "saturday""#,
            Some(true),
        ),
        (r#"time.zone("Europe/Berlin").hour in [0, 1]"#, Some(true)),
        (
            r#"time.date >= "2026-11-20" && time.date < "2026-12-24""#,
            Some(true),
        ),
        (
            r#"statement.one_row ? agent.name == "x" : false"#,
            Some(false),
        ),
        (
            r#"blast.full_scan ? blast.rows > 10 : blast.rows > 1000"#,
            Some(true),
        ),
        (
            r#"statement.lock == "row_exclusive" && !statement.blocks_writes"#,
            Some(true),
        ),
        (r#"statement.undo == "until_commit""#, Some(true)),
        (
            r#"statement.session == "none" && statement.sets == """#,
            Some(true),
        ),
    ] {
        assert_eq!(truth(when, delete, context), wanted, "{when}");
    }
}

/// What a condition may be made of, right and wrong.
fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "statement.kind",
        "statement.one_row",
        "statement.rows_max",
        "statement.writes",
        "tables",
        "columns",
        "blast.rows",
        "blast.full_scan",
        "time.hour",
        "time.zone(\"Europe/Berlin\")",
        "agent.name",
        "actor",
        "t",
        "t.name",
        "size(",
        ")",
        "(",
        "[",
        "]",
        ".exists(t, ",
        ".all(t, ",
        ".like(",
        ".contains(",
        " == ",
        " != ",
        " < ",
        " in ",
        " && ",
        " || ",
        "!",
        " ? ",
        " : ",
        "-",
        " + ",
        "1",
        "9223372036854775807",
        "\"DELETE\"",
        "\"a*\"",
        "\"\"",
        "true",
        "false",
        "null",
        "{",
        "}",
        "has(",
        ".",
        ",",
        "\"",
        "'",
        "\\",
        "`",
        "ü",
        "\n",
        "1.5",
        "1u",
        "b\"x\"",
        "//",
        "in",
        "r\"\\\"",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 20_000 }))]

    /// No text whatever makes loading panic, and what loads can be judged.
    #[test]
    fn no_condition_panics(pieces in proptest::collection::vec(piece(), 0..14), noise in ".{0,12}", at in 0usize..14) {
        let mut pieces: Vec<&str> = pieces;
        if at < pieces.len() {
            pieces.insert(at, &noise);
        }
        let when = pieces.concat();
        if let Ok(rules) = RuleSet::new(vec![rule(Decision::Deny, &when)], Decision::Deny) {
            let _ = evaluate(&rules, &facts("DELETE FROM t WHERE id = 1"), Context::new("a", "t"));
        } else {
            for error in errors(&when) {
                prop_assert!(error.within.is_none_or(|within| when.get(within).is_some()));
            }
        }
    }

    /// What becomes known later (a blast radius, a moment) never makes an allow weaker.
    #[test]
    fn an_allow_in_doubt_stands_when_all_is_known(
        conditions in proptest::collection::vec(condition(), 1..4),
        decisions in proptest::collection::vec(0u8..3, 4),
        sql in proptest::sample::select(vec!["SELECT 1", "DELETE FROM t WHERE id = 1", "UPDATE t SET a = f()", "SELEC", "BEGIN"]),
        rows in proptest::option::of(0u64..300),
        hour in 0i64..24,
    ) {
        let decision = |word: u8| match word {
            0 => Decision::Allow,
            1 => Decision::Hold { route: "dba".to_owned() },
            _ => Decision::Deny,
        };
        let rules: Vec<Rule> = conditions
            .iter()
            .zip(&decisions)
            .enumerate()
            .map(|(index, (when, word))| Rule { name: format!("r{index}"), ..rule(decision(*word), when) })
            .collect();
        let default = decision(decisions[3]);
        let Ok(set) = RuleSet::new(rules, default) else { return Ok(()) };
        let facts = facts(sql);
        let blast = Blast { rows, full_scan: rows.map(|rows| rows > 100), ..Blast::default() };
        let now = now() + chrono::Duration::hours(hour);
        let vague = Context::new("bot", "clinic");
        let known = Context { blast: Some(&blast), moment: Some(Moment::at(now)), ..vague };
        let (first, second) = (evaluate(&set, &facts, vague), evaluate(&set, &facts, known));
        prop_assert!(second.decision.guard() <= first.decision.guard(), "{first:?} {second:?}");
        if !set.needs_blast() && !set.needs_moment() {
            prop_assert_eq!(first, second);
        }
    }
}

fn condition() -> impl Strategy<Value = String> {
    let atom = proptest::sample::select(vec![
        "blast.rows > 100",
        "blast.rows <= 10",
        "blast.full_scan",
        "time.hour < 6",
        "time.weekday == \"friday\"",
        "session.in_transaction",
        "statement.kind == \"DELETE\"",
        "statement.certain",
        "statement.one_row",
        "tables.exists(t, t.name == \"t\")",
        "tables.all(t, t.access == \"write\")",
        "agent.name == \"bot\"",
    ]);
    let atom = atom.prop_map(str::to_owned);
    atom.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

/// The budget turns what is too long into doubt, and keeps its cost small.
#[test]
fn long_lists_cost_no_more_than_their_budget() {
    let tables: Vec<String> = (0..2000).map(|n| format!("s.t{n}")).collect();
    let sql = format!("SELECT 1 FROM {}", tables.join(", "));
    let when = "tables.all(t, tables.exists(u, u.name == t.name && u.access != t.access))";
    assert_eq!(truth(when, &sql, Context::new("bot", "clinic")), None);
    let rules = RuleSet::new(vec![rule(Decision::Deny, when)], Decision::Allow).unwrap();
    let facts = facts(&sql);
    // Given up, so not known: the rule counts.
    let verdict = evaluate(&rules, &facts, Context::new("bot", "clinic"));
    assert_eq!(verdict.decision, Decision::Deny);
}
