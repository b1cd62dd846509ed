//! Every state as a card, as text.

use std::time::Duration;

use abeyance_api::{
    BindingDigest, Blast, Decision, Estimate, Resolution, SessionId, SessionInfo, Surface,
    TargetInfo, Vote, WithdrawReason,
};

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
}

fn person(id: &str, name: &str, slack: Option<&str>) -> PersonRef {
    PersonRef {
        id: id.parse().unwrap(),
        display_name: name.to_owned(),
        slack: slack.map(ToOwned::to_owned),
    }
}

fn statement(text: &str, kind: &str, writes: &[&str]) -> abeyance_api::RedactedStatement {
    abeyance_api::RedactedStatement {
        text: text.to_owned(),
        kind: kind.to_owned(),
        fingerprint: "f0".to_owned(),
        writes: writes.iter().map(ToString::to_string).collect(),
        reads: Vec::new(),
    }
}

pub(crate) fn pending() -> HoldView {
    HoldView {
        id: "HLD-7K3Q".parse().unwrap(),
        version: 1,
        state: HoldState::Pending,
        request: HoldRequest {
            session: SessionInfo {
                id: SessionId(uuid::Uuid::nil()),
                client_addr: "10.0.0.7:51234".to_owned(),
                application_name: Some("psql".to_owned()),
                started_at: at(-60),
            },
            agent: AgentIdentity {
                name: "billing-bot".to_owned(),
                owner: Some("ann".parse().unwrap()),
                actor: Some("cy@clinic.example".to_owned()),
            },
            target: TargetInfo {
                name: "clinic".to_owned(),
                database: "clinic_prod".to_owned(),
                environment: Some("production".to_owned()),
            },
            statements: vec![statement(
                "DELETE FROM visits WHERE patient_id = $1",
                "DELETE",
                &["public.visits"],
            )],
            rule: "writes-are-asked".to_owned(),
            policy_version: "0123456789ab".to_owned(),
            reasons: vec!["deletes rows".to_owned()],
            route: "dba".to_owned(),
            blast: Blast::of_rows(Estimate::estimated(1240)),
            transaction: TransactionContext::Open,
            agent_reason: Some("clearing duplicates of ticket 4711".to_owned()),
            binding: BindingDigest::over([b"x".as_slice()]),
            manner: abeyance_api::Manner::default(),
        },
        asked: "route dba (2 reviewers)".to_owned(),
        wanting: Vec::new(),
        asking: abeyance_api::Asking::default(),
        offers: abeyance_api::Offers::default(),
        grant: None,
        reviewers: vec![
            person("ann", "Ann", Some("U0ANN0001")),
            person("bob", "Bob", Some("U0BOB0001")),
        ],
        created_at: at(0),
        expires_at: at(300),
        votes: Vec::new(),
        resolution: None,
        resolved_at: None,
        outcome: None,
    }
}

fn vote(decision: Decision, reason: Option<&str>) -> Vote {
    Vote {
        person: person("bob", "Bob", Some("U0BOB0001")),
        decision,
        reason: reason.map(ToOwned::to_owned),
        surface: Surface::Slack,
        at: at(20),
        break_glass: false,
        wish: None,
        by_grant: None,
    }
}

fn resolved(state: HoldState, resolution: Resolution, outcome: Option<Outcome>) -> HoldView {
    let mut view = pending();
    view.version += 1;
    view.state = state;
    if let Resolution::Approved { vote } | Resolution::Denied { vote } = &resolution {
        view.votes.push(vote.clone());
    }
    view.resolution = Some(resolution);
    view.resolved_at = Some(at(20));
    view.outcome = outcome;
    view
}

fn approved(state: HoldState, outcome: Option<Outcome>) -> HoldView {
    resolved(
        state,
        Resolution::Approved {
            vote: vote(Decision::Approve, None),
        },
        outcome,
    )
}

/// A card as a reader sees it, without markup.
fn text(card: &Card) -> String {
    fn line(pieces: &Line) -> String {
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Code(code) => format!("[{code}]"),
                Piece::Time(at) => at.format("%H:%M:%S").to_string(),
                Piece::Person(person) => format!("@{}", person.display_name),
            })
            .collect()
    }
    let mut out = format!(
        "# {}\n{:?}: {}\n",
        card.title,
        card.tone,
        line(&card.status)
    );
    for fact in &card.facts {
        out += &format!("{}: {}\n", fact.label, line(&fact.value));
    }
    for (what, said) in [
        ("agent says", &card.agent_reason),
        ("reviewer says", &card.decision_reason),
    ] {
        if let Some(said) = said {
            out += &format!("{what}: {said}\n");
        }
    }
    out += &format!(
        "why: {}\n```\n{}\n```\n",
        card.reasons.join(" | "),
        card.sql
    );
    if !card.asked.is_empty() {
        out += &format!("{}\n", line(&card.asked));
    }
    for button in &card.buttons {
        out += &format!("<{button:?}>\n");
    }
    out + &format!("{}\n= {}\n", line(&card.footer), card.summary)
}

#[test]
fn every_state_has_its_card() {
    let elapsed = Duration::from_millis(34);
    let denied = resolved(
        HoldState::Denied,
        Resolution::Denied {
            vote: vote(Decision::Deny, Some("use the archive job")),
        },
        None,
    );
    let executed = Outcome::Executed {
        rows: Some(12),
        tags: vec!["DELETE 12".to_owned()],
        elapsed,
    };
    let failed = Outcome::Failed {
        sqlstate: "23503".to_owned(),
        elapsed,
    };
    let rolled_back = Outcome::RolledBack {
        reason: "more rows than the cap of 1,240".to_owned(),
        elapsed,
    };
    let unknown = Outcome::Unknown {
        reason: "the connection to the target broke".to_owned(),
    };
    let withdrawn = |reason| resolved(HoldState::Withdrawn, Resolution::Withdrawn { reason }, None);
    let cards = [
        ("pending", pending()),
        ("approved", approved(HoldState::Approved, None)),
        ("running", approved(HoldState::Claimed, None)),
        ("executed", approved(HoldState::Executed, Some(executed))),
        ("failed", approved(HoldState::Failed, Some(failed))),
        (
            "rolled_back",
            approved(HoldState::RolledBack, Some(rolled_back)),
        ),
        (
            "outcome_unknown",
            approved(HoldState::Failed, Some(unknown)),
        ),
        ("denied", denied),
        (
            "expired",
            resolved(HoldState::Expired, Resolution::Expired, None),
        ),
        ("withdrawn", withdrawn(WithdrawReason::ClientCancelled)),
        ("lapsed", approved(HoldState::Lapsed, None)),
    ];
    for (name, view) in cards {
        insta::assert_snapshot!(name, text(&Card::of(&view)));
    }
}

#[test]
fn each_reason_to_withdraw_reads_differently() {
    let reasons = [
        WithdrawReason::ClientGone,
        WithdrawReason::ClientTerminated,
        WithdrawReason::ClientCancelled,
        WithdrawReason::ClientOverflow,
        WithdrawReason::TargetGone,
        WithdrawReason::ProxyShutdown,
        WithdrawReason::ProxyLost,
    ];
    let said: BTreeSet<&str> = reasons.into_iter().map(words::withdrawn).collect();
    assert_eq!(said.len(), reasons.len());
}

#[test]
fn only_a_pending_card_has_buttons() {
    assert_eq!(Card::of(&pending()).buttons.len(), 3);
    assert!(
        Card::of(&approved(HoldState::Claimed, None))
            .buttons
            .is_empty()
    );
}

#[test]
fn the_owner_is_not_called() {
    let card = Card::of(&pending());
    let called: Vec<&Piece> = card
        .asked
        .iter()
        .filter(|piece| matches!(piece, Piece::Person(_)))
        .collect();
    assert_eq!(
        called,
        [&Piece::Person(person("bob", "Bob", Some("U0BOB0001")))]
    );
}

#[test]
fn a_second_tap_is_asked_only_where_the_cost_is_not_on_the_card() {
    let confirm = |view: &HoldView| match Card::of(view).buttons.remove(0) {
        Button::Approve { confirm } => confirm,
        Button::Deny | Button::Look | Button::Grant | Button::BreakGlass | Button::Alike => None,
    };
    assert_eq!(confirm(&pending()), None);

    let mut unknown = pending();
    unknown.request.blast = Blast::unknown("the probe timed out");
    assert!(confirm(&unknown).unwrap().contains("how many rows"));

    let mut emptied = pending();
    emptied.request.statements[0].kind = "TRUNCATE".to_owned();
    assert!(confirm(&emptied).unwrap().contains("empties whole tables"));

    for kind in ["ALTER TABLE", "drop table", "CREATE INDEX"] {
        let mut ddl = pending();
        ddl.request.statements[0].kind = kind.to_owned();
        assert!(confirm(&ddl).unwrap().contains("structure"), "{kind}");
    }

    let mut opaque = pending();
    opaque.request.statements[0].kind = "opaque".to_owned();
    assert!(
        confirm(&opaque)
            .unwrap()
            .contains("could not be understood")
    );
}

#[test]
fn a_batch_names_its_kinds_once_and_numbers_its_statements() {
    let mut view = pending();
    view.request.statements = ["DELETE", "UPDATE", "DELETE", "INSERT", "MERGE"]
        .map(|kind| statement(&format!("{kind} something;"), kind, &["visits", "audit"]))
        .to_vec();
    let card = Card::of(&view);
    assert_eq!(
        card.title,
        "HLD-7K3Q · DELETE, UPDATE, INSERT and 1 more on clinic (production)"
    );
    assert!(
        card.sql
            .starts_with("-- 1 of 5\nDELETE something;\n-- 2 of 5\nUPDATE something;")
    );
}

#[test]
fn long_lists_are_counted_not_listed() {
    let mut view = pending();
    view.reviewers = (0..50)
        .map(|n| person(&format!("p{n}"), "P", None))
        .collect();
    view.request.reasons = (0..50).map(|n| format!("reason {n}")).collect();
    let relations: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
    view.request.statements[0].writes = relations;
    let card = Card::of(&view);
    assert!(text(&card).contains("and 42 more"));
    assert!(text(&card).contains("and 44 more"));
    assert_eq!(card.reasons.len(), 6);
}
