use abeyance_sql::{ReadOptions, analyse};

use super::*;

fn drift(sql: &str) -> Told {
    let analysis = analyse(sql.as_bytes(), ReadOptions::default());
    let words = || BindingDigest::over([sql.as_bytes()]);
    told(&analysis.statements.iter(), false, words)
}

#[test]
fn what_a_session_is_told_is_followed_or_doubted() {
    for sql in [
        "SELECT * FROM patients",
        "DELETE FROM rooms WHERE id = 1",
        "BEGIN",
    ] {
        assert_eq!(drift(sql), Told::Nothing, "{sql}");
    }
    for sql in [
        "SET datestyle = 'DMY'",
        "SET application_name = 'x'",
        "SET abeyance.reason = 'x'",
        "SET abeyance.on_hold = 'ticket'",
        "SET search_path = a",
        "RESET datestyle",
    ] {
        assert!(matches!(drift(sql), Told::Settings(_)), "{sql}");
    }
    for sql in [
        "SELECT set_config('datestyle', 'DMY', false)",
        "SELECT purge()",
        "SET ROLE nurse",
        "DISCARD ALL",
        "DO 'BEGIN END'",
        "LOAD 'x'",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET datestyle = 'DMY'; DELETE FROM rooms",
    ] {
        assert_eq!(drift(sql), Told::Unseen, "{sql}");
    }
}

const SESSION: SessionId = SessionId(uuid::Uuid::from_u128(1));
const OTHER: SessionId = SessionId(uuid::Uuid::from_u128(2));

fn begun(zone: &str) -> Context {
    Context::begun(&[("TimeZone".to_owned(), zone.to_owned())])
}

/// A context after these, each with whether a transaction is open behind it.
fn after(batches: &[(&str, bool)]) -> Context {
    let mut context = begun("UTC");
    let mut before = false;
    for (sql, inside) in batches {
        let analysis = analyse(sql.as_bytes(), ReadOptions::default());
        let words = BindingDigest::over([sql.as_bytes()]);
        let mut stirs = Stirs::default();
        for facts in &analysis.statements {
            stirs |= Stirs::by(facts, !facts.is_certain());
        }
        let mut begin = analysis.statements.iter();
        let begins = begin.any(|facts| facts.transaction == TransactionEffect::Begin);
        let drift = Drift {
            told: drift(sql),
            begins: begins.then_some(words),
            stirs,
        };
        let course = Course {
            before,
            inside: *inside,
            whole: true,
        };
        context.ran(drift, course);
        before = *inside;
    }
    context
}

#[test]
fn sessions_that_were_told_the_same_are_alike_and_others_are_not() {
    let alike = |context: &Context| context.parts(SESSION, true) == context.parts(OTHER, true);
    assert!(alike(&begun("UTC")));
    let parts = |context: Context| context.parts(SESSION, true);
    assert_ne!(parts(begun("UTC")), parts(begun("GMT")));
    let set = after(&[("SET a.b = '1'", false)]);
    assert!(alike(&set));
    assert_ne!(parts(set), parts(begun("UTC")));
    // A SET that may be undone, and code nobody read: good for this session alone.
    for batches in [
        &[("BEGIN", true), ("SET a.b = '1'", true)] as &[_],
        &[("SELECT purge()", false)],
    ] {
        assert!(!alike(&after(batches)), "{batches:?}");
    }
}

#[test]
fn what_a_transaction_was_told_ends_with_it() {
    let told = [("BEGIN", true), ("SET a.b = '1'", true)];
    let mark = |more: &[(&str, bool)]| after(&[&told, more].concat()).mark();
    assert_eq!(mark(&[]), mark(&[("SELECT 1", true)]));
    for end in [
        ("ROLLBACK", false),
        ("COMMIT", false),
        ("ROLLBACK TO SAVEPOINT a", true),
        ("ROLLBACK AND CHAIN", true),
    ] {
        assert_ne!(mark(&[]), mark(&[end]), "{end:?}");
    }
    let more = [("ROLLBACK TO SAVEPOINT a", true)];
    assert_ne!(mark(&more), mark(&[more, more].concat()));
    // Nothing is in doubt any more.
    let over = [("ROLLBACK", false), ("BEGIN", true), ("ROLLBACK", false)];
    assert_eq!(mark(&over[..1]), mark(&over));
}

#[test]
fn how_a_transaction_was_begun_is_told_while_it_is_open() {
    let parts = |batches: &[(&str, bool)]| after(batches).parts(SESSION, true);
    let level = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    assert_ne!(parts(&[("BEGIN", true)]), parts(&[(level, true)]));
    let twice = |first| parts(&[(first, true), ("BEGIN; SAVEPOINT a", true)]);
    assert_ne!(twice("BEGIN"), twice(level));
    assert_eq!(parts(&[(level, true), ("COMMIT", false)]), parts(&[]));
}

#[test]
fn what_a_session_alone_sees_is_for_it_alone() {
    let made = after(&[("CREATE TEMP TABLE a (b int)", false)]);
    assert_eq!(made.parts(SESSION, true), made.parts(OTHER, true));
    assert_ne!(made.parts(SESSION, false), made.parts(OTHER, false));
    let untouched = begun("UTC");
    assert_eq!(
        untouched.parts(SESSION, false),
        untouched.parts(OTHER, true)
    );
}
