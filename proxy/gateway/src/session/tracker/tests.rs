use abeyance_policy::{Context, Decision, RuleSet};
use abeyance_sql::{ReadOptions, analyse};
use abeyance_wire::postgres::TransactionStatus;
use bytes::Bytes;

use super::*;
use crate::session::{ledger::Prepared, ticket::Mark};

fn reading(sql: &str) -> Arc<Reading> {
    let rules = RuleSet::new(Vec::new(), Decision::Deny).unwrap();
    let context = Context::new("bot", "clinic");
    let analysis = analyse(sql.as_bytes(), ReadOptions::default());
    let text = Bytes::copy_from_slice(sql.as_bytes());
    Arc::new(Reading::new(text, analysis, &rules, context))
}

fn prepared(sql: &str) -> Arc<Prepared> {
    Arc::new(Prepared::new(
        reading(sql),
        Vec::new(),
        None,
        Mark::default(),
    ))
}

fn execute(prepared: Arc<Prepared>) -> Step {
    let portal = Box::default();
    Step::Execute { portal, prepared }
}

/// A session's books, and the tracker of one batch.
struct Bench {
    tracker: Tracker,
    ledger: Ledger,
    standing: Standing,
}

impl Bench {
    fn new(steps: Vec<Step>) -> Self {
        let mut ledger = Ledger::default();
        let mut tracker = Tracker::new(steps, Clearance::Allowed);
        tracker.begin(&mut ledger);
        Self {
            tracker,
            ledger,
            standing: Standing::default(),
        }
    }

    fn next(&mut self, steps: Vec<Step>) {
        self.tracker = Tracker::new(steps, Clearance::Allowed);
        self.tracker.begin(&mut self.ledger);
    }

    fn reply(&mut self, seen: u8, body: &[u8]) -> Result<Progress, TargetError> {
        self.tracker
            .reply(seen, body, &mut self.ledger, &mut self.standing)
    }

    /// Plays a query that succeeds with these tags.
    fn query(&mut self, sql: &str, tags: &[&[u8]]) {
        self.next(vec![Step::Query {
            reading: reading(sql),
        }]);
        for tag in tags {
            let body = [tag, &b"\0"[..]].concat();
            self.reply(tag::COMMAND_COMPLETE, &body).unwrap();
        }
        let ready = self.reply(tag::READY_FOR_QUERY, b"T").unwrap();
        assert_eq!(ready, Progress::Ready);
    }
}

const ERROR: &[u8] = b"SERROR\0VERROR\0C42601\0Mno\0\0";

#[test]
fn names_follow_what_completed_and_not_what_was_asked() {
    let mut bench = Bench::new(Vec::new());
    let sql = "PREPARE a AS SELECT 1; PREPARE b AS SELECT 2";
    bench.query(sql, &[b"PREPARE"]);
    assert!(bench.ledger.statement(b"a").is_some());
    assert!(bench.ledger.statement(b"b").is_none());
    bench.query("DEALLOCATE a", &[]);
    assert!(bench.ledger.statement(b"a").is_some());
    bench.query("DEALLOCATE a", &[b"DEALLOCATE"]);
    assert!(bench.ledger.statement(b"a").is_none());
}

#[test]
fn a_tag_that_says_more_than_the_facts_forgets_everything() {
    let mut bench = Bench::new(Vec::new());
    bench.query("PREPARE a AS SELECT 1", &[b"PREPARE"]);
    bench.query("this is no SQL", &[b"DEALLOCATE"]);
    assert!(bench.ledger.statement(b"a").is_none());
}

#[test]
fn discarding_all_names_leaves_the_unnamed_statement() {
    let mut bench = Bench::new(Vec::new());
    bench.query("PREPARE a AS SELECT 1", &[b"PREPARE"]);
    let discard = prepared("DISCARD ALL");
    bench.ledger.statement_add(b"", discard.clone());
    bench.next(vec![execute(discard), Step::Sync]);
    bench
        .reply(tag::COMMAND_COMPLETE, b"DISCARD ALL\0")
        .unwrap();
    assert!(bench.ledger.statement(b"a").is_none());
    assert!(bench.ledger.statement(b"").is_some());
}

#[test]
fn a_parse_counts_when_the_server_has_said_so() {
    let step = || Step::Parse {
        name: (*b"s").into(),
        prepared: prepared("SELECT 1"),
    };
    let mut bench = Bench::new(vec![step(), Step::Sync]);
    assert_eq!(
        bench.reply(tag::ERROR_RESPONSE, ERROR).unwrap(),
        Progress::Running
    );
    assert_eq!(
        bench.reply(tag::READY_FOR_QUERY, b"I").unwrap(),
        Progress::Ready
    );
    assert!(bench.ledger.statement(b"s").is_none());
    bench.next(vec![step(), Step::Flush]);
    assert_eq!(
        bench.reply(tag::PARSE_COMPLETE, b"").unwrap(),
        Progress::Flushed
    );
    assert!(bench.ledger.statement(b"s").is_some());
}

#[test]
fn an_error_without_sync_leaves_the_group_failed() {
    let prepared = prepared("SELECT 1");
    let mut bench = Bench::new(vec![
        execute(prepared.clone()),
        execute(prepared),
        Step::Flush,
    ]);
    assert_eq!(
        bench.reply(tag::ERROR_RESPONSE, ERROR).unwrap(),
        Progress::Failed
    );
}

#[test]
fn copy_swallows_the_sync_behind_it() {
    let prepared = prepared("COPY rooms FROM STDIN");
    let mut bench = Bench::new(vec![execute(prepared), Step::Sync]);
    let progress = bench.reply(tag::COPY_IN_RESPONSE, b"\0\0\0").unwrap();
    assert_eq!(progress, Progress::CopyIn);
    bench.tracker.copy_ended();
    let progress = bench.reply(tag::COMMAND_COMPLETE, b"COPY 2\0").unwrap();
    assert_eq!(progress, Progress::Flushed);
}

#[test]
fn portals_end_with_their_transaction_and_holdable_cursors_do_not() {
    let mut bench = Bench::new(Vec::new());
    bench.query("DECLARE c CURSOR FOR SELECT 1", &[b"DECLARE CURSOR"]);
    bench.query(
        "DECLARE h CURSOR WITH HOLD FOR SELECT 1",
        &[b"DECLARE CURSOR"],
    );
    assert!(bench.ledger.portal(b"c").is_some());
    bench
        .standing
        .ready(TransactionStatus::Idle, &mut bench.ledger);
    assert!(bench.ledger.portal(b"c").is_none());
    assert!(bench.ledger.portal(b"h").is_some());
}

#[test]
fn replies_out_of_turn_end_the_session() {
    let query = || Step::Query {
        reading: reading("SELECT 1"),
    };
    for (steps, seen) in [
        (vec![query()], tag::PARSE_COMPLETE),
        (vec![query()], tag::COPY_BOTH_RESPONSE),
        (vec![Step::Describe, Step::Sync], tag::READY_FOR_QUERY),
        (Vec::new(), tag::COMMAND_COMPLETE),
    ] {
        assert!(Bench::new(steps).reply(seen, b"I").is_err());
    }
}

#[test]
fn the_reason_is_followed() {
    let mut bench = Bench::new(Vec::new());
    bench.query("SET abeyance.reason = 'ticket 7'", &[b"SET"]);
    assert_eq!(bench.standing.reason.as_deref(), Some("ticket 7"));
    bench.query("RESET abeyance.reason", &[b"RESET"]);
    assert_eq!(bench.standing.reason, None);
}
