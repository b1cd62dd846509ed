//! The second gate from outside: what a target is asked, and what its answers do to a batch.

use crate::support::{
    Client, Fixture,
    client::{bind, execute, parse, query, state},
    desk::Answer,
    target::Served,
};
use abeyance_api::Outcome;
use abeyance_wire::postgres::{FrontendMessage, TransactionStatus};

const READS_PATIENTS: &str = r#"[{"Plan": {"Node Type": "Seq Scan", "Schema": "public",
    "Relation Name": "patients", "Plan Rows": 9}}]"#;
const READS_CALM: &str = r#"[{"Plan": {"Node Type": "Seq Scan", "Schema": "public",
    "Relation Name": "calm", "Plan Rows": 9}}]"#;
const UPDATES: &str = r#"[{"Plan": {"Node Type": "ModifyTable", "Operation": "Update",
    "Schema": "public", "Relation Name": "rooms", "Plan Rows": 0, "Plans": [
    {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Schema": "public",
     "Relation Name": "rooms", "Plan Rows": 9}]}}]"#;
const CALM: &str = "SELECT * FROM calm";

type Plans = Vec<(&'static str, Result<&'static str, [u8; 5]>)>;

async fn with(plans: Plans) -> (Fixture, Client, Served) {
    let fixture = Fixture::start().await;
    let (client, mut target) = fixture.connect().await;
    target.model.plans = plans;
    (fixture, client, target.spawn())
}

#[tokio::test]
async fn a_write_that_was_not_predicted_is_held_and_runs_once_approved() {
    let (fixture, mut client, target) = with(vec![("calm", Ok(UPDATES))]).await;
    client.send(&[query(CALM)]).await;
    let request = fixture.desk.opened().await;
    assert_eq!(request.rule, "second-gate");
    let reason = "the target would update public.rooms, which analysis did not predict";
    assert!(
        request.reasons.iter().any(|given| given == reason),
        "{:?}",
        request.reasons
    );
    assert!(!target.saw(CALM));
    fixture.desk.answer(Answer::Approve);
    client.until_ready().await;
    assert_eq!(target.ran().iter().filter(|sql| *sql == CALM).count(), 1);
    assert!(matches!(
        fixture.desk.reported().await,
        Outcome::Executed { .. }
    ));
    fixture.stop().await;
}

/// Without a catalog nobody could know what is behind a name: the rules decide on what the target tells.
#[tokio::test]
async fn what_is_behind_a_name_is_judged_by_the_rules() {
    let (fixture, mut client, target) = with(vec![("calm", Ok(READS_PATIENTS))]).await;
    client.send(&[query(CALM)]).await;
    client.until_ready().await;
    assert!(target.saw(CALM));
    fixture.stop().await;
}

#[tokio::test]
async fn a_shape_is_asked_about_once() {
    let (fixture, mut client, target) = with(vec![("calm", Ok(READS_CALM))]).await;
    for id in 1..5 {
        client
            .send(&[query(&format!("{CALM} WHERE id = {id}"))])
            .await;
        client.until_ready().await;
    }
    client
        .send(&[
            parse("s", "SELECT a FROM calm WHERE id = $1"),
            FrontendMessage::Sync,
        ])
        .await;
    client.until_ready().await;
    for _ in 1..5 {
        client
            .send(&[bind("", "s"), execute(""), FrontendMessage::Sync])
            .await;
        client.until_ready().await;
    }
    let asked = target.explained();
    assert_eq!(
        asked,
        [
            "SELECT * FROM calm WHERE id = 1",
            "SELECT a FROM calm WHERE id = $1"
        ]
    );
    fixture.stop().await;
}

/// The question is rolled back to where the client's transaction stands.
#[tokio::test]
async fn a_transaction_is_asked_inside_and_stays_what_it_is() {
    let (fixture, mut client, target) = with(Vec::new()).await;
    client.send(&[query("BEGIN")]).await;
    client.until_ready().await;
    client.send(&[query(CALM)]).await;
    let (_, status) = client.until_ready().await;
    assert_eq!(status, TransactionStatus::InTransaction);
    assert_eq!(
        target.ran(),
        [
            "BEGIN",
            "SAVEPOINT _abeyance",
            "SET LOCAL transaction_read_only = on",
            "EXPLAIN (VERBOSE, FORMAT JSON) SELECT * FROM calm",
            "ROLLBACK TO SAVEPOINT _abeyance",
            "RELEASE SAVEPOINT _abeyance",
            CALM,
        ]
    );
    drop(client);
    fixture.stop().await;
}

#[tokio::test]
async fn what_the_target_refuses_gets_its_answer_and_does_not_run() {
    for begin in [false, true] {
        let (fixture, mut client, target) = with(vec![("calm", Err(*b"42P01"))]).await;
        if begin {
            client.send(&[query("BEGIN")]).await;
            client.until_ready().await;
        }
        client.send(&[query(CALM)]).await;
        let error = client.error().await;
        assert_eq!(state(&error), "42P01");
        assert_eq!(error.message(), "the model says no");
        let expected = if begin {
            TransactionStatus::Failed
        } else {
            TransactionStatus::Idle
        };
        assert_eq!(client.ready().await, expected);
        assert!(!target.saw(CALM));
        assert_eq!(fixture.desk.events().len(), 0);
        drop(client);
        fixture.stop().await;
    }
}

/// A pipeline that has begun to work cannot be asked into.
#[tokio::test]
async fn what_cannot_be_asked_about_is_not_fully_known() {
    let (fixture, mut client, target) = with(Vec::new()).await;
    client
        .send(&[
            parse("", "SELECT 1"),
            bind("", ""),
            execute(""),
            FrontendMessage::Flush,
        ])
        .await;
    for _ in 0..3 {
        client.receive().await;
    }
    client
        .send(&[
            parse("", CALM),
            bind("", ""),
            execute(""),
            FrontendMessage::Sync,
        ])
        .await;
    let request = fixture.desk.opened().await;
    assert_eq!(request.rule, "default");
    let words = "could not be compared with the target's plan: messages before it wait for Sync";
    assert!(
        request.reasons.iter().any(|given| given == words),
        "{:?}",
        request.reasons
    );
    fixture.desk.answer(Answer::Deny);
    client.until_ready().await;
    assert!(!target.saw(CALM));
    fixture.stop().await;
}

/// Nor can a statement behind one that may change what it means.
#[tokio::test]
async fn a_statement_behind_a_change_of_names_is_not_fully_known() {
    let (fixture, mut client, target) = with(Vec::new()).await;
    client
        .send(&[query(&format!("SET search_path = other; {CALM}"))])
        .await;
    fixture.desk.opened().await;
    assert_eq!(target.explained(), Vec::<String>::new());
    fixture.desk.answer(Answer::Deny);
    client.until_ready().await;
    assert!(!target.saw(CALM));
    fixture.stop().await;
}

/// COMMIT of a string that began its own transaction changes nothing.
#[tokio::test]
async fn a_string_with_its_own_transaction_is_asked_about() {
    let (fixture, mut client, target) = with(Vec::new()).await;
    client
        .send(&[query(&format!(
            "BEGIN; {CALM}; INSERT INTO a VALUES (1); COMMIT"
        ))])
        .await;
    client.until_ready().await;
    assert_eq!(target.explained(), [CALM, "INSERT INTO a VALUES (1)"]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_text_the_grammar_refuses_never_goes_upstream() {
    let (fixture, mut client, target) = with(Vec::new()).await;
    client.send(&[query("SELEC secret")]).await;
    let error = client.error().await;
    assert_eq!(state(&error), "42601");
    assert_eq!(error.message(), "syntax error at or near \"SELEC\"");
    assert_eq!(error.get(b'P').unwrap().as_bytes(), b"1");
    assert_eq!(client.ready().await, TransactionStatus::Idle);
    assert!(!target.saw("secret"));
    fixture.stop().await;
}
