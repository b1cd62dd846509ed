use abeyance_api::SessionId;
use abeyance_policy::{Decision, Matcher, Rule};
use abeyance_sql::{StatementClass, analyse};
use abeyance_wire::postgres::{
    Bind, Direction, Execute, FrontendMessage, Parse, Query, Subject, WireStr, split_frame,
};
use bytes::{Bytes, BytesMut};

use super::*;
use crate::session::{
    batch::{Collected, Collector},
    ledger::Prepared,
};

fn rules() -> RuleSet {
    let rule = |name: &str, classes: Option<Vec<StatementClass>>, kinds: Option<&str>, decision| {
        let matcher = Matcher {
            classes,
            kinds: kinds.map(|kind| vec![kind.to_owned()]),
            ..Matcher::default()
        };
        Rule::new(name, matcher, decision)
    };
    let hold = Decision::Hold {
        route: "dba".to_owned(),
    };
    let other = Decision::Hold {
        route: "security".to_owned(),
    };
    let passed = vec![
        StatementClass::Read,
        StatementClass::Session,
        StatementClass::SessionRisk,
        StatementClass::Transaction,
    ];
    let rules = vec![
        rule("reads", Some(passed), None, Decision::Allow),
        rule("truncates", None, Some("TRUNCATE"), Decision::Deny),
        rule("grants", None, Some("GRANT"), other),
    ];
    RuleSet::new(rules, hold).unwrap()
}

fn query(sql: &str) -> FrontendMessage {
    FrontendMessage::Query(Query {
        sql: WireStr::from_text_lossy(sql),
    })
}

fn parse(sql: &str) -> FrontendMessage {
    FrontendMessage::Parse(Parse {
        name: WireStr::default(),
        sql: WireStr::from_text_lossy(sql),
        param_oids: vec![23],
    })
}

fn bind() -> FrontendMessage {
    FrontendMessage::Bind(Bind {
        portal: WireStr::default(),
        statement: WireStr::default(),
        param_formats: Vec::new(),
        params: vec![Some(Bytes::from_static(b"1"))],
        result_formats: Vec::new(),
    })
}

fn execute() -> FrontendMessage {
    FrontendMessage::Execute(Execute {
        portal: WireStr::default(),
        rows_max: 0,
    })
}

struct Bench {
    ledger: Ledger,
    status: TransactionStatus,
    doubt: bool,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            ledger: Ledger::default(),
            status: TransactionStatus::Idle,
            doubt: false,
        }
    }
}

impl Bench {
    fn judge(&self, messages: &[FrontendMessage]) -> JudgedBatch {
        let rules = rules();
        let context = Context::new("bot", "clinic");
        let mut wire = BytesMut::new();
        for message in messages {
            message.encode(&mut wire).unwrap();
        }
        let limits = Limits::default();
        let Some(Collected::Batch(batch)) = Collector::default().next(&mut wire, &limits).unwrap()
        else {
            panic!("no batch");
        };
        let read = |text: &WireStr| {
            let text = text.to_bytes();
            let analysis = analyse(&text, abeyance_sql::ReadOptions::default());
            Arc::new(Reading::new(text, analysis, &rules, context))
        };
        let readings = messages
            .iter()
            .filter_map(|message| match message {
                FrontendMessage::Query(query) => Some(read(&query.sql)),
                FrontendMessage::Parse(parse) => Some(read(&parse.sql)),
                _ => None,
            })
            .collect();
        let situation = Situation {
            rules: &rules,
            context,
            blasts: &[],
            ledger: &self.ledger,
            limits: &limits,
            status: self.status,
            reading_doubt: self.doubt,
            mark: Mark::default(),
            generation: 0,
        };
        judge(batch, messages.to_vec(), readings, situation)
    }

    /// `allow`, `hold` or the SQLSTATE of the refusal.
    fn finds(&self, messages: &[FrontendMessage]) -> String {
        match self.judge(messages).finding() {
            Finding::Allowed => "allow".to_owned(),
            Finding::Held(_) => "hold".to_owned(),
            Finding::Refused(refused) => refused.fields.sqlstate().unwrap().as_str().to_owned(),
        }
    }
}

#[test]
fn the_most_guarded_statement_decides() {
    let bench = Bench::default();
    for (sql, expected) in [
        ("", "allow"),
        ("SELECT 1", "allow"),
        ("SELECT 1; DELETE FROM rooms", "hold"),
        ("DELETE FROM rooms; TRUNCATE rooms", "42501"),
        ("SELECT 1 FROM", "hold"),
        ("GRANT SELECT ON rooms TO x", "hold"),
        // One hold asks one route.
        ("GRANT SELECT ON rooms TO x; DELETE FROM rooms", "42501"),
        ("DELETE FROM rooms; GRANT SELECT ON rooms TO x", "42501"),
    ] {
        assert_eq!(bench.finds(&[query(sql)]), expected, "{sql}");
    }
}

#[test]
fn names_are_followed_inside_a_batch() {
    let bench = Bench::default();
    for (sql, expected) in [
        ("PREPARE x AS SELECT 1; EXECUTE x", "allow"),
        ("PREPARE x AS SELECT 1; DEALLOCATE x; EXECUTE x", "hold"),
        ("PREPARE x AS SELECT 1; DEALLOCATE ALL; EXECUTE x", "hold"),
        ("PREPARE x AS SELECT 1; DISCARD ALL; EXECUTE x", "hold"),
        ("EXECUTE x", "hold"),
        ("DECLARE c CURSOR FOR SELECT 1; FETCH 1 FROM c", "allow"),
        ("FETCH 1 FROM c", "hold"),
        (
            "DECLARE c CURSOR FOR SELECT 1; CLOSE c; FETCH 1 FROM c",
            "hold",
        ),
    ] {
        assert_eq!(bench.finds(&[query(sql)]), expected, "{sql}");
    }
}

#[test]
fn parse_is_not_execution_and_bind_is() {
    let bench = Bench::default();
    let sync = FrontendMessage::Sync;
    assert_eq!(
        bench.finds(&[parse("TRUNCATE rooms"), sync.clone()]),
        "allow"
    );
    let group = [parse("TRUNCATE rooms"), bind(), sync.clone()];
    assert_eq!(bench.finds(&group), "42501");
    assert_eq!(bench.finds(&[bind(), sync.clone()]), "26000");
    assert_eq!(bench.finds(&[execute(), sync]), "34000");
}

#[test]
fn a_failed_transaction_is_the_servers_business_until_it_ends() {
    let bench = Bench {
        status: TransactionStatus::Failed,
        ..Bench::default()
    };
    assert_eq!(bench.finds(&[query("DELETE FROM rooms")]), "allow");
    assert_eq!(bench.finds(&[query("ROLLBACK")]), "allow");
    for sql in [
        "ROLLBACK; DELETE FROM rooms",
        "COMMIT; DELETE FROM rooms",
        "ROLLBACK TO SAVEPOINT a; DELETE FROM rooms",
        "ROLLBACK; BEGIN; DELETE FROM rooms",
    ] {
        assert_eq!(bench.finds(&[query(sql)]), "hold", "{sql}");
    }
}

#[test]
fn the_state_at_the_refusal_is_the_servers() {
    let bench = Bench::default();
    for (sql, expected) in [
        ("DELETE FROM rooms", TransactionStatus::Idle),
        ("BEGIN; DELETE FROM rooms", TransactionStatus::InTransaction),
        ("BEGIN; COMMIT; DELETE FROM rooms", TransactionStatus::Idle),
    ] {
        let judged = bench.judge(&[query(sql)]);
        let Finding::Held(held) = judged.finding() else {
            panic!("{sql} is not held");
        };
        assert_eq!(held.place.status, expected, "{sql}");
    }
}

#[test]
fn text_that_other_settings_would_read_otherwise_is_opaque() {
    let group = |first: &str, second: &str| {
        [
            parse(first),
            bind(),
            execute(),
            parse(second),
            bind(),
            FrontendMessage::Sync,
        ]
    };
    let bench = Bench::default();
    let conforming = "SET standard_conforming_strings = off";
    assert_eq!(bench.finds(&group(conforming, "SELECT 1")), "allow");
    assert_eq!(bench.finds(&group(conforming, r"SELECT '\\'")), "hold");
    assert_eq!(
        bench.finds(&group("SET client_encoding = 'SJIS'", "SELECT 'ä'")),
        "hold"
    );
    assert_eq!(bench.finds(&group("SELECT 1", "SELECT 'ä'")), "allow");
    assert_eq!(
        bench.finds(&group("SET application_name = 'x'", "SELECT 'ä'")),
        "allow"
    );
    let doubtful = Bench {
        doubt: true,
        ..Bench::default()
    };
    assert_eq!(doubtful.finds(&[query("SELECT 'ä'")]), "hold");
    assert_eq!(doubtful.finds(&[query("SELECT 'a'")]), "allow");
}

#[test]
fn the_binding_changes_with_everything_it_stands_for() {
    let session = SessionId(uuid::Uuid::nil());
    let bench = Bench::default();
    let judged = |sql: &str| bench.judge(&[query(sql)]);
    let binding = judged("DELETE FROM rooms").binding(who(session, "clinic", "bot"));
    assert_eq!(
        judged("DELETE FROM rooms").binding(who(session, "clinic", "bot")),
        binding
    );
    for other in [
        judged("DELETE FROM room").binding(who(session, "clinic", "bot")),
        judged("DELETE FROM rooms").binding(who(session, "clinics", "bot")),
        judged("DELETE FROM rooms").binding(who(session, "clinic", "bot2")),
        judged("DELETE FROM rooms").binding(who(SessionId(uuid::Uuid::max()), "clinic", "bot")),
    ] {
        assert_ne!(other, binding);
    }
}

#[test]
fn the_binding_covers_the_statement_a_bind_refers_to() {
    let session = SessionId(uuid::Uuid::nil());
    let with = |sql: &str, oids: Vec<u32>| {
        let text = Bytes::copy_from_slice(sql.as_bytes());
        let rules = rules();
        let context = Context::new("bot", "clinic");
        let analysis = analyse(&text, abeyance_sql::ReadOptions::default());
        let mut bench = Bench::default();
        let reading = Arc::new(Reading::new(text, analysis, &rules, context));
        let prepared = Prepared::new(reading, oids, None, Mark::default());
        bench.ledger.statement_add(b"", Arc::new(prepared));
        bench
            .judge(&[bind(), execute(), FrontendMessage::Sync])
            .binding(who(session, "clinic", "bot"))
    };
    let binding = with("DELETE FROM rooms", vec![23]);
    assert_eq!(with("DELETE FROM rooms", vec![23]), binding);
    assert_ne!(with("DELETE FROM patients", vec![23]), binding);
    assert_ne!(with("DELETE FROM rooms", vec![25]), binding);
}

#[test]
fn a_frame_that_is_judged_is_the_frame_that_is_cleared() {
    let judged = Bench::default().judge(&[query("SELECT 1")]);
    let cleared = crate::session::cleared::clear_allowed(judged).unwrap();
    let (frames, steps) = cleared.into_parts();
    let mut wire = BytesMut::new();
    query("SELECT 1").encode(&mut wire).unwrap();
    let expected = split_frame(&mut wire, Direction::Frontend, 1000)
        .unwrap()
        .unwrap();
    assert_eq!(frames, [expected]);
    assert_eq!(steps.len(), 1);
    let held = Bench::default().judge(&[query("DELETE FROM rooms")]);
    assert!(crate::session::cleared::clear_allowed(held).is_err());
}

fn named_parse(name: &str, sql: &str, param_oids: Vec<u32>) -> FrontendMessage {
    FrontendMessage::Parse(Parse {
        name: WireStr::from_text_lossy(name),
        sql: WireStr::from_text_lossy(sql),
        param_oids,
    })
}

fn named_bind(statement: &str) -> FrontendMessage {
    FrontendMessage::Bind(Bind {
        portal: WireStr::default(),
        statement: WireStr::from_text_lossy(statement),
        param_formats: Vec::new(),
        params: Vec::new(),
        result_formats: Vec::new(),
    })
}

#[test]
fn names_that_the_server_would_cut_are_refused() {
    let bench = Bench::default();
    let long = "n".repeat(64);
    let short = "n".repeat(63);
    let sync = || FrontendMessage::Sync;
    for message in [
        named_parse(&long, "SELECT 1", Vec::new()),
        named_bind(&long),
        FrontendMessage::Close(Subject::Statement(WireStr::from_text_lossy(&long))),
        FrontendMessage::Close(Subject::Portal(WireStr::from_text_lossy(&long))),
        FrontendMessage::Describe(Subject::Portal(WireStr::from_text_lossy(&long))),
        FrontendMessage::Execute(Execute {
            portal: WireStr::from_text_lossy(&long),
            rows_max: 0,
        }),
    ] {
        assert_eq!(bench.finds(&[message, sync()]), "42622");
    }
    let fits = named_parse(&short, "SELECT 1", Vec::new());
    assert_eq!(bench.finds(&[fits, sync()]), "allow");
    let own = named_parse("_abeyance", "SELECT 1", Vec::new());
    assert_eq!(bench.finds(&[own, sync()]), "42939");
    let own = query("PREPARE _abeyance AS SELECT 1");
    assert_eq!(bench.finds(&[own]), "42939");
}

#[test]
fn a_parameter_of_a_type_that_is_not_built_in_is_doubted() {
    let bench = Bench::default();
    let group = |oid: u32| {
        [
            named_parse("", "SELECT $1", vec![25, oid]),
            named_bind(""),
            execute(),
            FrontendMessage::Sync,
        ]
    };
    assert_eq!(bench.finds(&group(25)), "allow");
    assert_eq!(bench.finds(&group(16_383)), "allow");
    assert_eq!(bench.finds(&group(16_384)), "hold");
}

#[test]
fn a_name_is_doubted_once_unseen_code_ran() {
    let text = Bytes::from_static(b"SELECT 1");
    let rules = rules();
    let context = Context::new("bot", "clinic");
    let analysis = analyse(&text, abeyance_sql::ReadOptions::default());
    let mut bench = Bench::default();
    let reading = Arc::new(Reading::new(text, analysis, &rules, context));
    let prepared = Arc::new(Prepared::new(reading, Vec::new(), None, Mark::default()));
    bench.ledger.statement_add(b"x", prepared.clone());
    bench.ledger.statement_add(b"", prepared);
    let by_bind = |name: &str| [named_bind(name), execute(), FrontendMessage::Sync];
    assert_eq!(bench.finds(&by_bind("x")), "allow");
    assert_eq!(bench.finds(&[query("EXECUTE x")]), "allow");
    // Whatever is certain leaves names alone.
    for sql in ["SELECT 1", "DELETE FROM rooms", "EXECUTE x"] {
        assert!(!bench.judge(&[query(sql)]).runs_unseen_code(), "{sql}");
    }
    for sql in [
        "DO $$ BEGIN END $$",
        "SELECT run_sql($$x$$)",
        "EXECUTE unknown",
    ] {
        assert!(bench.judge(&[query(sql)]).runs_unseen_code(), "{sql}");
    }
    bench.ledger.suspect_all();
    assert_eq!(bench.finds(&by_bind("x")), "hold");
    assert_eq!(bench.finds(&[query("EXECUTE x")]), "hold");
    // Such code cannot reach the unnamed statement; a new definition is as good as any.
    assert_eq!(bench.finds(&by_bind("")), "allow");
    let anew = [
        FrontendMessage::Close(Subject::Statement(WireStr::from_static("x"))),
        named_parse("x", "SELECT 1", Vec::new()),
        named_bind("x"),
        FrontendMessage::Sync,
    ];
    assert_eq!(bench.finds(&anew), "allow");
}

/// Behind a statement that may change what names stand for, a name may stand for anything until its text was read so.
#[test]
fn what_stands_behind_a_change_of_names_is_doubted() {
    for (sql, doubted) in [
        ("SET search_path = a; SELECT * FROM rooms", true),
        ("SELECT * FROM rooms; SET search_path = a", false),
        ("SET application_name = 'a'; SELECT * FROM rooms", false),
        ("BEGIN; SELECT * FROM rooms; COMMIT", false),
    ] {
        let judged = Bench::default().judge(&[query(sql)]);
        assert_eq!(judged.wants_preceded(), doubted, "{sql}");
        assert_eq!(
            matches!(judged.finding(), Finding::Held(_)),
            doubted,
            "{sql}"
        );
    }
    let prepared = [
        named_parse("x", "SELECT * FROM rooms", Vec::new()),
        query("SET search_path = a"),
    ];
    let judged = Bench::default().judge(&prepared);
    assert!(
        matches!(judged.finding(), Finding::Allowed),
        "naming runs nothing"
    );
    assert!(judged.stirs().path);
}

fn who(session: SessionId, target: &str, agent: &str) -> Vec<Vec<u8>> {
    let session = session.0.as_bytes().to_vec();
    vec![session, target.into(), agent.into()]
}
