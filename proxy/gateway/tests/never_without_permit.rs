//! Whatever a client sends, in whatever order and group: a statement that policy holds reaches the target only
//! with a permit, and what the gateway believes of names and transactions stays what the target knows.

use crate::support::{
    Fixture,
    client::{bind, close_statement, execute, parse, query},
    desk::Answer,
};
use abeyance_wire::postgres::{BackendMessage, FrontendMessage, TransactionStatus};
use proptest::prelude::*;

/// What one group of messages does; every group ends in ReadyForQuery.
#[derive(Debug, Clone)]
enum Group {
    Query(&'static str),
    Extended(Vec<Message>),
}

#[derive(Debug, Clone)]
enum Message {
    Parse(&'static str, &'static str),
    Bind(&'static str, &'static str),
    Execute(&'static str),
    Close(&'static str),
    Flush,
}

const TEXTS: &[&str] = &[
    "SELECT 1",
    "SELECT fail()",
    "FAIL (",
    "DELETE FROM rooms WHERE floor = 3",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE a AS DELETE FROM rooms",
    "PREPARE a AS SELECT 2",
    "PREPARE b AS SELECT 3",
    "EXECUTE a",
    "EXECUTE b",
    "DEALLOCATE a",
    "TRUNCATE rooms",
];
const NAMES: &[&str] = &["", "a", "b"];

fn group() -> impl Strategy<Value = Group> {
    let name = || prop::sample::select(NAMES);
    let sql = || prop::sample::select(TEXTS);
    let message = prop_oneof![
        3 => (name(), sql()).prop_map(|(name, sql)| Message::Parse(name, sql)),
        4 => (name(), name()).prop_map(|(portal, name)| Message::Bind(portal, name)),
        4 => name().prop_map(Message::Execute),
        1 => name().prop_map(Message::Close),
        1 => Just(Message::Flush),
    ];
    prop_oneof![
        sql().prop_map(Group::Query),
        prop::collection::vec(message, 0..8).prop_map(Group::Extended),
    ]
}

fn messages(group: &Group) -> Vec<FrontendMessage> {
    let Group::Extended(messages) = group else {
        let Group::Query(sql) = group else {
            unreachable!()
        };
        return vec![query(sql)];
    };
    let sent = messages.iter().map(|message| match message {
        Message::Parse(name, sql) => parse(name, sql),
        Message::Bind(portal, name) => bind(portal, name),
        Message::Execute(portal) => execute(portal),
        Message::Close(name) => close_statement(name),
        Message::Flush => FrontendMessage::Flush,
    });
    sent.chain([FrontendMessage::Sync]).collect()
}

/// Plays the groups; gives the statements that ran, and how many permits were claimed.
fn play(groups: &[Group], answer: &Answer) -> (Vec<String>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let fixture = Fixture::start().await;
        fixture.desk.answer(answer.clone());
        let (mut client, target) = fixture.connect().await;
        let target = target.spawn();
        let mut last = TransactionStatus::Idle;
        for group in groups {
            client.send(&messages(group)).await;
            let (replies, status) = client.until_ready().await;
            for reply in &replies {
                if let BackendMessage::ErrorResponse(fields) = reply {
                    let state = fields.sqlstate().unwrap();
                    assert!(!state.as_str().starts_with("08"), "{}", fields.message());
                }
            }
            last = status;
        }
        let claims = fixture.desk.claims();
        drop(client);
        let model = target.task.await.unwrap();
        assert_eq!(
            model.status, last,
            "the client was told another transaction state"
        );
        fixture.stop().await;
        let ran = model.ran.lock().unwrap().clone();
        (ran, claims)
    })
}

fn dangerous(ran: &[String]) -> usize {
    ran.iter()
        .filter(|sql| sql.starts_with("DELETE") || sql.starts_with("TRUNCATE"))
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_dangerous_runs_when_everything_is_denied(
        groups in prop::collection::vec(group(), 1..14),
    ) {
        let (ran, claims) = play(&groups, &Answer::Deny);
        prop_assert_eq!(dangerous(&ran), 0);
        prop_assert_eq!(claims, 0);
    }

    #[test]
    fn what_runs_when_all_is_approved_was_claimed(
        groups in prop::collection::vec(group(), 1..14),
    ) {
        let (ran, claims) = play(&groups, &Answer::Approve);
        prop_assert!(dangerous(&ran) == 0 || claims > 0);
        prop_assert!(!ran.iter().any(|sql| sql.starts_with("TRUNCATE")));
    }
}
