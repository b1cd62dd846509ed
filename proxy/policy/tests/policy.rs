//! Whole policies: packs, protections, shadows and row caps, with the clinic's catalog.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use abeyance_policy::{
    Context, Decision, Matcher, Mode, Pack, Policy, Protection, Rule, RuleSet, Seen, Verdict,
    matches,
};
use abeyance_sql::{ReadOptions, StatementFacts, analyse};

mod batch;
mod support;

use batch::judged;

fn facts(sql: &str) -> Vec<StatementFacts> {
    let options = ReadOptions {
        sight: Some(support::SIGHT.clone()),
        ..ReadOptions::default()
    };
    analyse(sql.as_bytes(), options).statements
}

fn hold() -> Decision {
    Decision::Hold {
        route: "dba".to_owned(),
    }
}

fn judge(rules: &RuleSet, sql: &str) -> Verdict {
    judged(rules, &facts(sql), Context::new("billing-bot", "clinic"))
}

fn protection(name: &str, columns: &[&str]) -> Protection {
    Protection {
        name: name.to_owned(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        route: None,
        agents: None,
        targets: None,
        environments: None,
    }
}

fn reads_pass() -> Rule {
    let matcher = Matcher {
        classes: Some(vec![
            abeyance_sql::StatementClass::Read,
            abeyance_sql::StatementClass::Write,
            abeyance_sql::StatementClass::Copy,
        ]),
        ..Matcher::default()
    };
    Rule::new("reads-and-writes-pass", matcher, Decision::Allow)
}

fn protecting(columns: &[&str]) -> RuleSet {
    RuleSet::build(Policy {
        rules: vec![reads_pass()],
        protections: vec![protection("people", columns)],
        ..Policy::new(hold())
    })
    .unwrap()
}

#[test]
fn protected_columns_are_held_however_they_are_reached() {
    let rules = protecting(&["patients.ssn", "*.email"]);
    for (sql, masked) in [
        ("SELECT ssn FROM patients", true),
        ("SELECT * FROM patients", true),
        ("SELECT p FROM patients p", true),
        ("SELECT to_jsonb(p) FROM patients p", true),
        ("SELECT p.to_jsonb FROM patients p", true),
        ("SELECT id FROM patients WHERE ssn LIKE '1%'", true),
        ("SELECT id FROM patients ORDER BY email", true),
        ("SELECT e FROM patient_contact", true),
        ("SELECT ph FROM patient_contact", false),
        ("SELECT * FROM all_people", true),
        ("SELECT city FROM all_people", false),
        ("UPDATE patients SET city = ssn", true),
        ("UPDATE patients SET email = 'x' WHERE id = 1", true),
        ("SELECT city, count(*) FROM patients GROUP BY city", false),
        ("SELECT id, city FROM patient_directory", false),
        ("SELECT 1", false),
        ("SELECT * FROM rooms", false),
        ("SELECT * FROM pg_class", false),
        ("COPY patients TO STDOUT", true),
        ("COPY patients (id, city) TO STDOUT", false),
        ("COPY rooms TO STDOUT", false),
        (
            "WITH x AS (SELECT ssn AS s FROM patients) SELECT 1 FROM x WHERE s > ''",
            true,
        ),
        (
            "SELECT city FROM patients NATURAL JOIN patients_archive",
            true,
        ),
    ] {
        let verdict = judge(&rules, sql);
        assert_eq!(verdict.mask, masked, "{sql}: {verdict:#?}");
        if masked {
            assert_eq!(
                (&verdict.decision, verdict.rule.as_str()),
                (&hold(), "people"),
                "{sql}"
            );
            assert!(
                verdict.reasons[0].contains("protected columns"),
                "{sql}: {verdict:#?}"
            );
        }
    }
}

/// Doubt about what a statement does is doubt about the columns it touches.
#[test]
fn doubt_may_touch_anything() {
    let mut allow = reads_pass();
    allow.matcher.classes = Some(abeyance_sql::StatementClass::ALL.to_vec());
    let rules = RuleSet::build(Policy {
        rules: vec![allow],
        protections: vec![protection("people", &["patients.ssn"])],
        ..Policy::new(hold())
    })
    .unwrap();
    for sql in ["DO 'x'", "SELECT run_sql('x')", "EXECUTE p", "SELEC"] {
        let verdict = judge(&rules, sql);
        assert!(
            verdict.mask && verdict.decision == hold(),
            "{sql}: {verdict:#?}"
        );
    }
}

#[test]
fn protections_narrow_to_agents_and_keep_their_route() {
    let mut one = protection("people", &["patients.ssn"]);
    one.agents = Some(vec!["other-bot".to_owned()]);
    one.route = Some("privacy".to_owned());
    let build = |one: Protection| {
        RuleSet::build(Policy {
            rules: vec![reads_pass()],
            protections: vec![one],
            ..Policy::new(hold())
        })
        .unwrap()
    };
    let sql = "SELECT ssn FROM patients";
    assert_eq!(judge(&build(one.clone()), sql).decision, Decision::Allow);
    one.agents = Some(vec!["billing-bot".to_owned()]);
    let privacy = Decision::Hold {
        route: "privacy".to_owned(),
    };
    assert_eq!(judge(&build(one), sql).decision, privacy);
}

#[test]
fn what_a_rule_holds_and_a_protection_too_is_asked_of_both() {
    let mut people = protection("people", &["patients.ssn"]);
    people.route = Some("privacy".to_owned());
    let mut names = protection("names", &["patients.name"]);
    names.route = Some("front-desk".to_owned());
    let writes = Matcher {
        classes: Some(vec![abeyance_sql::StatementClass::Write]),
        ..Matcher::default()
    };
    let rules = RuleSet::build(Policy {
        rules: vec![reads_pass(), Rule::new("writes", writes, hold())],
        protections: vec![people, names],
        ..Policy::new(Decision::Deny)
    })
    .unwrap();
    for (sql, rule, routes) in [
        (
            "UPDATE rooms SET floor = 2 WHERE room = 'a'",
            "writes",
            "dba",
        ),
        ("SELECT ssn FROM patients", "people", "privacy"),
        (
            "SELECT name, ssn FROM patients",
            "people",
            "privacy+front-desk",
        ),
        (
            "UPDATE rooms SET floor = 2 RETURNING (SELECT ssn FROM patients LIMIT 1)",
            "writes",
            "dba+privacy",
        ),
        // A name that the catalog does not know may stand for anything.
        (
            "DELETE FROM rooms WHERE id = 1",
            "writes",
            "dba+privacy+front-desk",
        ),
        (
            "UPDATE patients SET city = name || ssn",
            "writes",
            "dba+privacy+front-desk",
        ),
    ] {
        let verdict = judge(&rules, sql);
        let route = routes.to_owned();
        assert_eq!(verdict.decision, Decision::Hold { route }, "{sql}");
        assert_eq!(verdict.rule, rule, "{sql}");
    }
}

#[test]
fn shadows_are_told_and_decide_nothing() {
    let mut shadow = Rule::new("try", Matcher::default(), Decision::Deny);
    shadow.when = Some("statement.kind == \"DELETE\"".to_owned());
    shadow.mode = Mode::Shadow;
    let rules = RuleSet::new(vec![reads_pass(), shadow], hold()).unwrap();
    let verdict = judge(&rules, "DELETE FROM rooms");
    assert_eq!(verdict.decision, Decision::Allow);
    assert_eq!(verdict.shadow, [("try".to_owned(), Decision::Deny)]);
    assert!(judge(&rules, "SELECT 1").shadow.is_empty());
}

#[test]
fn the_smallest_row_cap_counts() {
    let capped = |name: &str, rows: u64, decision: Decision| Rule {
        rows_max: Some(rows),
        when: Some(format!("agent.name != \"{name}\"")),
        ..Rule::new(
            name,
            Matcher {
                kinds: Some(vec!["DELETE".to_owned()]),
                ..Matcher::default()
            },
            decision,
        )
    };
    let rules = RuleSet::new(
        vec![
            capped("a", 50, Decision::Allow),
            capped("b", 10, Decision::Allow),
        ],
        Decision::Deny,
    )
    .unwrap();
    assert_eq!(judge(&rules, "DELETE FROM rooms").rows_max, Some(10));
    let rules = RuleSet::new(
        vec![capped("a", 5, Decision::Allow), capped("b", 10, hold())],
        Decision::Deny,
    )
    .unwrap();
    let verdict = judge(&rules, "DELETE FROM rooms");
    assert_eq!((verdict.decision, verdict.rows_max), (hold(), Some(10)));
}

/// What cannot be rolled back cannot be capped.
#[test]
fn a_capped_rule_lets_nothing_through_that_cannot_be_rolled_back() {
    let mut rule = Rule::new(
        "maintenance",
        Matcher {
            kinds: Some(vec!["VACUUM".to_owned()]),
            ..Matcher::default()
        },
        Decision::Allow,
    );
    let set = |rule: &Rule| RuleSet::new(vec![rule.clone()], hold()).unwrap();
    assert_eq!(judge(&set(&rule), "VACUUM rooms").decision, Decision::Allow);
    rule.rows_max = Some(10);
    assert_eq!(judge(&set(&rule), "VACUUM rooms").decision, hold());
}

#[test]
fn rules_on_columns_cover_or_touch() {
    let with = |decision: Decision, columns: &[&str]| {
        let matcher = Matcher {
            columns: Some(columns.iter().map(|column| (*column).to_owned()).collect()),
            ..Matcher::default()
        };
        let other = if decision == Decision::Deny {
            Decision::Allow
        } else {
            Decision::Deny
        };
        RuleSet::new(vec![Rule::new("r", matcher, decision)], other).unwrap()
    };
    for (columns, sql, covered) in [
        (
            &["rooms.room", "rooms.floor"][..],
            "SELECT room FROM rooms WHERE floor = 1",
            true,
        ),
        (
            &["rooms.room"],
            "SELECT room FROM rooms WHERE floor = 1",
            false,
        ),
        (&["public.rooms.*"], "SELECT * FROM rooms", true),
        (&["rooms.room"], "SELECT * FROM rooms", false),
        (&["rooms.*"], "SELECT 1", false),
    ] {
        let verdict = judge(&with(Decision::Allow, columns), sql);
        assert_eq!(
            verdict.decision == Decision::Allow,
            covered,
            "{columns:?} {sql}"
        );
    }
    for (columns, sql, touched) in [
        (
            &["rooms.floor"][..],
            "SELECT room FROM rooms WHERE floor = 1",
            true,
        ),
        (
            &["rooms.beds"],
            "SELECT room FROM rooms WHERE floor = 1",
            false,
        ),
        (&["rooms.beds"], "SELECT * FROM rooms", true),
        (&["rooms.beds"], "SELECT run_sql('')", true),
        (&["*.floor"], "SELECT floor FROM rooms_v", true),
    ] {
        let verdict = judge(&with(Decision::Deny, columns), sql);
        assert_eq!(
            verdict.decision == Decision::Deny,
            touched,
            "{columns:?} {sql}"
        );
    }
}

/// Names without a schema are those that the catalog found.
#[test]
fn the_catalog_says_which_table_a_name_is() {
    let matcher = Matcher {
        tables: Some(vec!["public.rooms".to_owned()]),
        ..Matcher::default()
    };
    let rules = RuleSet::new(
        vec![Rule::new("r", matcher, Decision::Allow)],
        Decision::Deny,
    )
    .unwrap();
    for (sql, allowed) in [
        ("SELECT * FROM rooms", true),
        ("SELECT * FROM public.rooms", true),
        ("UPDATE rooms SET beds = 1", true),
        ("SELECT * FROM rooms, appointments", false),
        ("SELECT * FROM quiet_view", false),
        ("SELECT * FROM no_such_table", false),
    ] {
        assert_eq!(
            judge(&rules, sql).decision == Decision::Allow,
            allowed,
            "{sql}"
        );
    }
}

/// A hold rule that matches only in doubt does not weaken a default of deny.
#[test]
fn doubt_does_not_weaken_the_default() {
    let mut rule = Rule::new("small-ones-are-asked", Matcher::default(), hold());
    rule.when = Some("blast.rows < 10".to_owned());
    let rules = RuleSet::new(vec![rule], Decision::Deny).unwrap();
    let statement = facts("DELETE FROM rooms");
    let context = Context::new("a", "b");
    assert_eq!(judged(&rules, &statement, context).decision, Decision::Deny);
    let blast = abeyance_policy::Blast {
        rows: Some(5),
        ..Default::default()
    };
    let context = Context {
        blast: Some(&blast),
        ..context
    };
    assert_eq!(judged(&rules, &statement, context).decision, hold());
}

fn with_packs(packs: &[Pack]) -> RuleSet {
    RuleSet::build(Policy {
        packs: packs.to_vec(),
        ..Policy::new(hold())
    })
    .unwrap()
}

#[test]
fn observing_lets_everything_pass_and_tells_what_would_have_been() {
    let rules = RuleSet::build(Policy {
        rules: vec![Rule::new(
            "no-deletes",
            Matcher {
                kinds: Some(vec!["DELETE".to_owned()]),
                ..Matcher::default()
            },
            Decision::Deny,
        )],
        protections: vec![protection("people", &["patients.ssn"])],
        packs: vec![Pack::GuardWrites, Pack::Observe],
        ..Policy::new(hold())
    })
    .unwrap();
    for sql in [
        "DO 'x'",
        "SELEC",
        "DELETE FROM patients",
        "SELECT ssn FROM patients",
        "COPY rooms TO PROGRAM 'x'",
    ] {
        let verdict = judge(&rules, sql);
        assert_eq!(
            (&verdict.decision, verdict.mask),
            (&Decision::Allow, false),
            "{sql}"
        );
        assert_eq!(verdict.rule, "observe/everything-passes");
    }
    let told = |sql: &str| {
        judge(&rules, sql)
            .shadow
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told("DELETE FROM rooms WHERE room = 'a'"),
        ["no-deletes", "guard-writes/one-row-by-key"]
    );
    assert_eq!(
        told("SELECT ssn FROM patients"),
        ["guard-writes/reads", "people"]
    );
}

#[test]
fn guarding_writes_lets_single_rows_pass() {
    let rules = with_packs(&[Pack::GuardWrites]);
    for (sql, decision) in [
        ("SELECT * FROM rooms", Decision::Allow),
        ("BEGIN", Decision::Allow),
        (
            "INSERT INTO rooms VALUES ('a', 1, 1), ('b', 1, 1)",
            Decision::Allow,
        ),
        (
            "INSERT INTO rooms SELECT room, floor, beds FROM rooms LIMIT 5",
            hold(),
        ),
        (
            "INSERT INTO rooms VALUES ((SELECT name FROM patients LIMIT 1), 1, 1)",
            hold(),
        ),
        ("INSERT INTO notes_inbox(body) VALUES ('x')", hold()),
        (
            "INSERT INTO patients(name, ssn, mrn, dob) VALUES ('a', 'b', 'c', '2000-01-01')",
            hold(),
        ),
        (
            "UPDATE rooms SET beds = 2 WHERE room = 'R1'",
            Decision::Allow,
        ),
        ("UPDATE rooms SET beds = 2 WHERE floor = 1", hold()),
        ("UPDATE rooms SET beds = 2", hold()),
        ("DELETE FROM appointments WHERE id = 5", Decision::Allow),
        ("DELETE FROM visits WHERE id = 5", hold()),
        ("DELETE FROM patients WHERE id = 5", hold()),
        ("UPDATE cleanup SET id = 1 WHERE id = 1", hold()),
        ("UPDATE lab_results SET value = 1 WHERE id = 1", hold()),
        (
            "UPDATE rooms SET beds = 2 WHERE room = 'R1' OR true",
            hold(),
        ),
        ("TRUNCATE rooms", hold()),
        ("ALTER TABLE rooms ADD COLUMN a int", hold()),
        ("SELECT run_sql('x')", hold()),
        ("DO 'x'", hold()),
        ("COPY rooms TO STDOUT", hold()),
        ("SET search_path = x", hold()),
        ("COPY rooms TO PROGRAM 'x'", Decision::Deny),
        ("COPY rooms FROM '/etc/passwd'", Decision::Deny),
        ("SELECT pg_read_file('PG_VERSION')", Decision::Deny),
        ("SELECT pg_terminate_backend(1)", Decision::Deny),
        ("SELECT dblink_exec('', '')", Decision::Deny),
        ("SET ROLE clinic_owner", Decision::Deny),
        ("SET standard_conforming_strings = off", Decision::Deny),
        ("SET SESSION AUTHORIZATION x", Decision::Deny),
    ] {
        let verdict = judge(&rules, sql);
        assert_eq!(verdict.decision, decision, "{sql}: {verdict:#?}");
    }
}

/// Another server runs them: a program perhaps, or this database again.
#[test]
fn guarding_writes_lets_no_foreign_table_pass() {
    let rules = with_packs(&[Pack::GuardWrites]);
    let mut facts = facts("SELECT room FROM rooms_v");
    let judge = |facts: &[StatementFacts]| {
        judged(&rules, facts, Context::new("billing-bot", "clinic")).decision
    };
    assert_eq!(judge(&facts), Decision::Allow);
    for facts in &mut facts {
        let catalog = facts.catalog.as_mut().unwrap();
        catalog.foreign = catalog.reads.clone();
    }
    assert_eq!(judge(&facts), hold());
}

#[test]
fn columns_of_people_are_protected_by_name() {
    let rules = with_packs(&[Pack::GuardWrites, Pack::Phi]);
    for (sql, masked) in [
        ("SELECT ssn FROM patients", true),
        ("SELECT dob FROM patients_archive", true),
        ("SELECT notes FROM visits", true),
        ("SELECT card_last4 FROM billing", true),
        ("SELECT e FROM patient_contact", true),
        ("SELECT name FROM patient_directory", true),
        ("SELECT city FROM patients", false),
        ("SELECT amount FROM billing", false),
        ("SELECT table_name FROM information_schema.tables", false),
    ] {
        let verdict = judge(&rules, sql);
        assert_eq!(verdict.mask, masked, "{sql}: {verdict:#?}");
        assert_eq!(
            verdict.decision == Decision::Allow,
            !masked,
            "{sql}: {verdict:#?}"
        );
    }
    assert_eq!(
        judge(&rules, "SELECT * FROM pg_stats").decision,
        Decision::Deny
    );
}

#[test]
fn everything_that_counts_is_told() {
    let rules = RuleSet::build(Policy {
        rules: vec![reads_pass()],
        protections: vec![protection("people", &["patients.ssn"])],
        packs: vec![Pack::GuardWrites],
        ..Policy::new(hold())
    })
    .unwrap();
    let facts = facts("SELECT ssn FROM patients");
    let told = matches(&rules, &facts[0], Context::new("a", "b"));
    let told: Vec<_> = told
        .iter()
        .map(|one| (one.name, one.doubt, one.protection))
        .collect();
    assert_eq!(
        told,
        [
            ("reads-and-writes-pass", false, false),
            ("guard-writes/reads", false, false),
            ("people", false, true),
        ]
    );
}

#[test]
fn the_version_follows_everything() {
    let version = |policy: Policy| RuleSet::build(policy).unwrap().version().to_owned();
    let base = || Policy {
        rules: vec![reads_pass()],
        ..Policy::new(hold())
    };
    let same = version(base());
    assert_eq!(same, version(base()));
    assert_eq!(same.len(), 12);
    assert_ne!(same, support::clinic().version());
    let mut other = base();
    other.packs.push(Pack::Phi);
    let mut another = base();
    another.rules[0].when = Some("statement.certain".to_owned());
    let mut third = base();
    third.plain_tables.push("t".to_owned());
    for policy in [other, another, third] {
        assert_ne!(same, version(policy));
    }
    let within = |text| RuleSet::build(base()).unwrap().within(text);
    assert_ne!(same, within("a").version());
    assert_ne!(within("b").version(), within("a").version());
    assert_eq!(within("a").version(), within("a").version());
}

fn unmatched(policy: Policy, seen: &[Seen<'_>]) -> Vec<(String, Option<String>)> {
    let found = RuleSet::build(policy).unwrap().unmatched(seen);
    let found = found.into_iter();
    found.map(|one| (one.to_string(), one.nearest)).collect()
}

fn seen(target: &str) -> Seen<'_> {
    Seen {
        target,
        environment: None,
        catalog: Some(&support::SIGHT.catalog),
    }
}

#[test]
fn patterns_that_match_nothing_are_told_with_the_nearest_name() {
    let matcher = Matcher {
        tables: Some(vec!["public.romos".to_owned(), "pg_authid".to_owned()]),
        columns: Some(vec![
            "rooms.ctid".to_owned(),
            "public.patients.ssm".to_owned(),
        ]),
        ..Matcher::default()
    };
    let columns = [
        "patients.snn",
        "Patients.SSN",
        "patiens.email",
        "*.ssn",
        "public.patients.*",
        "*.zzzzzzzz",
    ];
    let policy = || Policy {
        rules: vec![Rule::new("r", matcher.clone(), Decision::Deny)],
        protections: vec![protection("p", &columns)],
        packs: vec![Pack::Phi],
        ..Policy::new(hold())
    };
    let found = unmatched(policy(), &[seen("clinic")]);
    let near: Vec<_> = found.iter().map(|(_, near)| near.as_deref()).collect();
    assert_eq!(
        near,
        [
            Some("public.rooms"),
            Some("public.patients.ssn"),
            Some("patients.ssn"),
            Some("patients.ssn"),
            Some("patients.email"),
            None,
        ]
    );
    assert_eq!(
        found[2].0,
        "[[protect]] `p`: the pattern `patients.snn` matches no column of target `clinic`, so it protects nothing"
    );
    let unread = Seen {
        catalog: None,
        ..seen("clinic")
    };
    assert_eq!(unmatched(policy(), &[unread]), []);
}

#[test]
fn a_pattern_is_fine_when_any_of_its_targets_has_it() {
    let empty = abeyance_sql::Catalog::default();
    let other = Seen {
        catalog: Some(&empty),
        ..seen("other")
    };
    let policy = |target: Option<&str>| Policy {
        protections: vec![Protection {
            targets: target.map(|target| vec![target.to_owned()]),
            ..protection("p", &["patients.ssn"])
        }],
        ..Policy::new(hold())
    };
    let both = [other, seen("clinic")];
    assert_eq!(unmatched(policy(None), &both), []);
    assert_eq!(unmatched(policy(Some("clinic")), &both), []);
    assert_eq!(unmatched(policy(Some("other")), &both).len(), 1);
}
