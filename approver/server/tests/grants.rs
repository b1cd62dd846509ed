//! Approvals that are more than one vote on one hold: grants, tickets, broken glass, several at once.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use crate::support::{self, binding, config, decision, request, scratch, start};
use abeyance_api::{
    BulkDecision, Claimant, DecideError, Decision, DecisionDesk, DeskError, Estimate, GrantDesk,
    GrantRevocation, GrantView, GrantWish, HoldId, HoldRequest, HoldState, ManualClock, Outcome,
    Permit, Resolution, Surface, TransactionContext,
    blast::{Cascade, CascadeAction},
};
use abeyance_approver::{Approver, ApproverConfig, BreakGlassRule, Grants, RouteTerms};
use chrono::TimeDelta;

/// A batch whose run is capped, and whose shape says enough.
fn capped(of: &str) -> HoldRequest {
    let mut request = request();
    request.manner.plain = true;
    request.manner.shape = Some(binding("public.invoices"));
    request.blast.rows_cap = Some(1_500);
    request.binding = binding(of);
    request
}

async fn with(change: impl FnOnce(&mut ApproverConfig)) -> (Approver, Arc<ManualClock>) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(start()));
    let mut config = config(&folder);
    change(&mut config);
    let approver = Approver::open(config, clock.clone()).await.unwrap();
    // The folder goes with the process.
    let _kept = folder.keep();
    (approver, clock)
}

async fn terms(terms: RouteTerms) -> (Approver, Arc<ManualClock>) {
    with(|config| config.routes[0].terms = terms).await
}

async fn grant(
    approver: &Approver,
    hold: &HoldId,
    who: &str,
    uses: u32,
) -> Result<(), DecideError> {
    let wish = GrantWish { minutes: 30, uses };
    let mut vote = decision(hold, who, Decision::Approve);
    vote.grant = Some(wish);
    approver.hold_decide(vote).await.map(drop)
}

async fn only_grant(approver: &Approver) -> GrantView {
    let mut grants = approver.grants(false).await.unwrap();
    assert_eq!(grants.len(), 1);
    grants.remove(0)
}

/// People agreed to the shape; whether its first run went well is another matter.
#[tokio::test]
async fn a_grant_stays_when_its_first_statement_fails() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let first = desk.hold_open(capped("first")).await.unwrap();
    grant(&s.approver, &first.id, "bob", 2).await.unwrap();
    let failed = || Outcome::Failed {
        sqlstate: "23503".to_owned(),
        elapsed: Duration::from_millis(3),
    };
    let mut id = first.id;
    for (of, left) in [("first", 2), ("again", 1)] {
        Permit::claim(&*desk, &id, binding(of)).await.unwrap();
        desk.hold_report(&id, failed()).await.unwrap();
        let given = only_grant(&s.approver).await;
        assert_eq!(
            (given.uses - given.used, given.active),
            (left, true),
            "{of}"
        );
        let next = desk.hold_open(capped("again")).await.unwrap();
        assert!(matches!(next.resolution, Some(Resolution::Approved { .. })));
        id = next.id;
    }
}

#[tokio::test]
async fn a_grant_covers_its_shape_until_it_is_used_up() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let first = desk.hold_open(capped("first")).await.unwrap();
    assert_eq!(first.resolution, None);
    grant(&s.approver, &first.id, "bob", 2).await.unwrap();
    for left in [1, 0] {
        let covered = desk.hold_open(capped("again")).await.unwrap();
        let Some(Resolution::Approved { vote }) = &covered.resolution else {
            panic!("not covered")
        };
        assert_eq!(vote.by_grant, Some(only_grant(&s.approver).await.id));
        assert_eq!(covered.rows_cap, Some(1_500));
        // A grant is no way around the permit.
        let claimed = Permit::claim(&*desk, &covered.id, binding("other")).await;
        assert_eq!(claimed.unwrap_err(), DeskError::BindingMismatch);
        Permit::claim(&*desk, &covered.id, binding("again"))
            .await
            .unwrap();
        let given = only_grant(&s.approver).await;
        assert_eq!((given.uses - given.used, given.active), (left, left > 0));
    }
    let asked = desk.hold_open(capped("third")).await.unwrap();
    assert_eq!(asked.resolution, None);
    assert_eq!(s.approver.audit_verify().await.unwrap().broken_at, None);
}

#[tokio::test]
async fn a_grant_covers_nothing_else() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let first = desk.hold_open(capped("first")).await.unwrap();
    grant(&s.approver, &first.id, "bob", 100).await.unwrap();
    let mut others = vec![capped("x"); 12];
    others[0].agent.name = "other-bot".to_owned();
    others[1].target.name = "billing".to_owned();
    others[2].target.database = "billing".to_owned();
    others[3].statements[0].fingerprint = "other".to_owned();
    let twice = others[4].statements[0].clone();
    others[4].statements.push(twice);
    others[5].blast.rows.rows = Some(1_501);
    others[6].blast.rows_cap = None;
    // Those who gave it could not give it for this one: Bob owns the agent now.
    others[7].agent.actor = Some("bob".to_owned());
    others[7].agent.owner = None;
    others[8].manner.plain = false;
    // The same text means other tables here, or nobody knows what, or another rule asks.
    others[9].manner.shape = Some(binding("pg_temp.invoices"));
    others[10].manner.shape = None;
    others[11].rule = "another".to_owned();
    for (number, other) in others.into_iter().enumerate() {
        let opened = desk.hold_open(other).await.unwrap();
        assert_eq!(opened.resolution, None, "{number}");
    }
    s.clock.advance(TimeDelta::minutes(30));
    let late = desk.hold_open(capped("late")).await.unwrap();
    assert_eq!(late.resolution, None);
}

#[tokio::test]
async fn revoking_takes_effect_on_the_next_statement() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let first = desk.hold_open(capped("first")).await.unwrap();
    grant(&s.approver, &first.id, "bob", 100).await.unwrap();
    let revoke = |who: &str, id| GrantRevocation {
        id,
        claimant: Claimant::Person {
            id: who.parse().unwrap(),
        },
        reason: Some("enough".to_owned()),
        surface: Surface::Cli,
    };
    let id = only_grant(&s.approver).await.id;
    for unsaid in [None, Some(String::new()), Some("\u{200b} ".to_owned())] {
        let mut revocation = revoke("ann", id.clone());
        revocation.reason = unsaid;
        let refused = s.approver.grant_revoke(revocation).await.unwrap_err();
        assert!(matches!(refused, DecideError::Invalid { .. }), "{refused}");
    }
    let stranger = s.approver.grant_revoke(revoke("cho", id.clone())).await;
    assert!(matches!(stranger, Err(DecideError::NotAReviewer { .. })));
    // The owner may end it, though never approve.
    let ended = s
        .approver
        .grant_revoke(revoke("ann", id.clone()))
        .await
        .unwrap();
    assert!(!ended.active && ended.revoked.is_some());
    assert!(s.approver.grant_revoke(revoke("ann", id)).await.is_err());
    assert_eq!(
        desk.hold_open(capped("next")).await.unwrap().resolution,
        None
    );
    assert!(s.approver.grants(true).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_grant_takes_the_whole_quorum_and_a_cap() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let both = |of: &str| {
        let mut request = capped(of);
        request.route = "both".to_owned();
        request.agent.owner = None;
        request
    };
    // One of two wishes it: approved, and no grant.
    let first = desk.hold_open(both("first")).await.unwrap();
    grant(&s.approver, &first.id, "ann", 5).await.unwrap();
    let vote = decision(&first.id, "cho", Decision::Approve);
    let view = s.approver.hold_decide(vote).await.unwrap();
    assert_eq!((view.state, view.grant), (HoldState::Approved, None));
    // Both wish it: the more careful one counts.
    let second = desk.hold_open(both("second")).await.unwrap();
    grant(&s.approver, &second.id, "ann", 5).await.unwrap();
    grant(&s.approver, &second.id, "cho", 3).await.unwrap();
    assert_eq!(only_grant(&s.approver).await.uses, 3);
    // Nothing caps it, or it is a definition, or the route gives none.
    let mut uncapped = capped("uncapped");
    uncapped.blast.rows_cap = None;
    let mut definition = capped("definition");
    definition.manner.plain = false;
    for request in [uncapped, definition] {
        let opened = desk.hold_open(request).await.unwrap();
        let refused = grant(&s.approver, &opened.id, "bob", 1).await;
        assert!(matches!(refused, Err(DecideError::Invalid { .. })));
    }
    let (never, _) = terms(RouteTerms {
        grants: Grants::Never,
        ..RouteTerms::default()
    })
    .await;
    let opened = never.hold_desk().hold_open(capped("x")).await.unwrap();
    assert!(grant(&never, &opened.id, "bob", 1).await.is_err());
}

/// LIMIT and the bounds of a range are literals, and nothing caps what a read gives.
#[tokio::test]
async fn a_grant_for_a_read_covers_no_more_rows_than_were_shown() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let read = |of: &str, rows: Estimate| {
        let mut request = capped(of);
        request.statements[0].kind = "SELECT".to_owned();
        request.statements[0].writes = Vec::new();
        request.blast = abeyance_api::Blast::of_rows(rows);
        request
    };
    let first = desk.hold_open(read("first", Estimate::exact(5))).await;
    grant(&s.approver, &first.unwrap().id, "bob", 9)
        .await
        .unwrap();
    for (rows, covered) in [
        (Estimate::exact(5), true),
        (Estimate::estimated(90), true),
        (Estimate::exact(1_000_000), false),
        (Estimate::more_than(5), false),
        (Estimate::unknown("not asked"), false),
    ] {
        let told = format!("{rows:?}");
        let opened = desk.hold_open(read(&told, rows)).await.unwrap();
        assert_eq!(opened.resolution.is_some(), covered, "{told}");
    }
}

fn taking_along(of: &str, rows: Option<Estimate>) -> HoldRequest {
    let mut request = capped(of);
    request.blast.cascades = rows.map(|rows| {
        vec![Cascade {
            relation: "public.visits".to_owned(),
            action: CascadeAction::Delete,
            rows,
        }]
    });
    request
}

/// What goes along is in no row cap.
#[tokio::test]
async fn a_grant_takes_no_more_along_than_was_shown() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let first = taking_along("first", Some(Estimate::exact(3)));
    let first = desk.hold_open(first).await.unwrap();
    grant(&s.approver, &first.id, "bob", 9).await.unwrap();
    for (rows, covered) in [
        (Some(Estimate::exact(3)), true),
        (Some(Estimate::estimated(90)), true),
        (Some(Estimate::exact(1_000_000)), false),
        (Some(Estimate::more_than(1)), false),
        (Some(Estimate::unknown("not asked")), false),
        (None, false),
    ] {
        let told = format!("{rows:?}");
        let opened = desk.hold_open(taking_along(&told, rows)).await.unwrap();
        assert_eq!(opened.resolution.is_some(), covered, "{told}");
    }
}

/// Nobody was shown how many rows it gives, so nothing would bound what comes next.
#[tokio::test]
async fn a_read_of_nobody_knows_how_much_gets_no_grant() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    for rows in [
        Estimate::unknown("it cannot be explained without running code"),
        Estimate::more_than(100_000),
    ] {
        let mut read = capped("read");
        read.statements[0].kind = "SELECT".to_owned();
        read.statements[0].writes = Vec::new();
        read.blast = abeyance_api::Blast::of_rows(rows);
        let opened = desk.hold_open(read).await.unwrap();
        let view = s.approver.hold_view(&opened.id).await.unwrap();
        assert_eq!(view.offers.grant_minutes, 0);
        let refused = grant(&s.approver, &opened.id, "bob", 1).await;
        assert!(matches!(refused, Err(DecideError::Invalid { .. })));
    }
}

/// For whom it acts was shown, too.
#[tokio::test]
async fn what_was_given_for_one_is_not_for_another() {
    let (approver, _) = with(|config| {
        config.people.push(config.people[0].clone());
        config.people[3].id = "dan".parse().unwrap();
        config.people[3].slack = None;
        config.people[3].console_token_hash = None;
    })
    .await;
    let desk = approver.hold_desk();
    let of = |of: &str, owner: Option<&str>, actor: Option<&str>| {
        let mut request = capped(of);
        request.agent.owner = owner.map(|owner| owner.parse().unwrap());
        request.agent.actor = actor.map(str::to_owned);
        request
    };
    let seen = desk.hold_open(of("seen", Some("ann"), Some("cho"))).await;
    let seen = seen.unwrap().id;
    let first = desk.hold_open(of("first", Some("ann"), Some("cho"))).await;
    grant(&approver, &first.unwrap().id, "bob", 9)
        .await
        .unwrap();
    for (owner, actor) in [
        (Some("ann"), None),
        (Some("ann"), Some("dan")),
        (Some("dan"), Some("cho")),
        (None, Some("cho")),
    ] {
        let told = format!("{owner:?} {actor:?}");
        let opened = desk.hold_open(of(&told, owner, actor)).await.unwrap();
        assert_eq!(opened.resolution, None, "{told}");
        let alike = approver.holds_alike(&seen).await.unwrap();
        assert!(alike.holds.iter().all(|one| one.id != opened.id), "{told}");
    }
}

#[tokio::test]
async fn a_ticket_is_found_again_and_runs_once() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let ticket = |of: &str| {
        let mut request = capped(of);
        request.manner.ticket = true;
        request.session.id = abeyance_api::SessionId(uuid::Uuid::now_v7());
        request
    };
    let first = desk.hold_open(ticket("a")).await.unwrap();
    let again = desk.hold_open(ticket("a")).await.unwrap();
    assert_eq!((&again.id, &again.resolution), (&first.id, &None));
    assert_ne!(desk.hold_open(ticket("b")).await.unwrap().id, first.id);
    let vote = decision(&first.id, "bob", Decision::Approve);
    s.approver.hold_decide(vote).await.unwrap();
    // Longer than a session's approval would have waited.
    s.clock.advance(TimeDelta::minutes(10));
    let back = desk.hold_open(ticket("a")).await.unwrap();
    assert_eq!(back.id, first.id);
    assert!(matches!(back.resolution, Some(Resolution::Approved { .. })));
    assert_eq!(back.rows_cap, Some(1_500));
    Permit::claim(&*desk, &back.id, binding("a")).await.unwrap();
    // Once: the next one is asked about anew.
    let anew = desk.hold_open(ticket("a")).await.unwrap();
    assert_ne!(anew.id, first.id);
    let vote = decision(&anew.id, "bob", Decision::Deny);
    s.approver.hold_decide(vote).await.unwrap();
    let denied = desk.hold_open(ticket("a")).await.unwrap();
    assert!(matches!(denied.resolution, Some(Resolution::Denied { .. })));
    s.clock.advance(TimeDelta::minutes(5));
    assert_ne!(desk.hold_open(ticket("a")).await.unwrap().id, anew.id);
}

#[tokio::test]
async fn an_unused_ticket_lapses() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let mut request = capped("a");
    request.manner.ticket = true;
    let first = desk.hold_open(request.clone()).await.unwrap();
    let vote = decision(&first.id, "bob", Decision::Approve);
    s.approver.hold_decide(vote).await.unwrap();
    s.clock.advance(TimeDelta::minutes(15));
    let late = Permit::claim(&*desk, &first.id, binding("a")).await;
    assert!(matches!(late, Err(DeskError::Conflict { .. })));
    assert_ne!(desk.hold_open(request).await.unwrap().id, first.id);
}

#[tokio::test]
async fn the_glass_is_broken_by_its_group_alone_and_with_a_reason() {
    let (approver, _) = terms(RouteTerms {
        break_glass: Some(BreakGlassRule {
            group: "leads".to_owned(),
            people: ["ann", "cho"].map(|id| id.parse().unwrap()).to_vec(),
            slack_channel: Some("C0LEADS01".to_owned()),
        }),
        ..RouteTerms::default()
    })
    .await;
    let desk = approver.hold_desk();
    let opened = desk.hold_open(request()).await.unwrap();
    let glass = |who: &str, reason: Option<&str>| {
        let mut vote = decision(&opened.id, who, Decision::Approve);
        vote.break_glass = true;
        vote.reason = reason.map(ToOwned::to_owned);
        vote
    };
    let refused = async |vote| approver.hold_decide(vote).await.unwrap_err();
    let route = "dba".to_owned();
    // Bob reviews, and is not in the group; Ann is, and owns the agent; a reason is needed.
    let because = Some("the ward is down");
    assert_eq!(
        refused(glass("bob", because)).await,
        DecideError::NoBreakGlass { route }
    );
    assert_eq!(refused(glass("ann", because)).await, DecideError::OwnAgent);
    assert!(matches!(
        refused(glass("cho", None)).await,
        DecideError::Invalid { .. }
    ));
    assert!(matches!(
        refused(glass("cho", Some(" "))).await,
        DecideError::Invalid { .. }
    ));
    let view = approver.hold_decide(glass("cho", because)).await.unwrap();
    assert_eq!(view.state, HoldState::Approved);
    assert!(view.votes.iter().any(|vote| vote.break_glass));
    let chat = abeyance_api::ChatKind::Slack;
    let cards = approver.card_desk().cards_due(chat, 10).await.unwrap();
    let mut channels: Vec<_> = cards.iter().map(|card| card.channel.as_str()).collect();
    channels.sort_unstable();
    assert_eq!(channels, ["C0DBA0001", "C0LEADS01"]);
}

#[tokio::test]
async fn a_route_may_want_several_denials_and_votes_may_change() {
    let (approver, _) = with(|config| {
        config.routes[2].terms.denials = NonZeroU32::new(2).unwrap();
    })
    .await;
    let mut both = request();
    both.route = "both".to_owned();
    both.agent.owner = None;
    let opened = approver.hold_desk().hold_open(both).await.unwrap();
    let vote = async |who, what| {
        let vote = decision(&opened.id, who, what);
        approver.hold_decide(vote).await.unwrap().state
    };
    assert_eq!(vote("ann", Decision::Deny).await, HoldState::Pending);
    assert_eq!(vote("ann", Decision::Approve).await, HoldState::Pending);
    assert_eq!(vote("ann", Decision::Deny).await, HoldState::Pending);
    assert_eq!(vote("cho", Decision::Deny).await, HoldState::Denied);
}

#[tokio::test]
async fn inside_a_transaction_a_hold_is_short_or_refused() {
    let (approver, _) = terms(RouteTerms {
        timeout_in_transaction: Duration::from_secs(20),
        ..RouteTerms::default()
    })
    .await;
    let mut inside = request();
    inside.transaction = TransactionContext::Open;
    let receipt = approver
        .hold_desk()
        .hold_open(inside.clone())
        .await
        .unwrap();
    assert_eq!(receipt.expires_at, start() + TimeDelta::seconds(20));
    let outside = approver.hold_desk().hold_open(request()).await.unwrap();
    assert_eq!(outside.expires_at, start() + TimeDelta::seconds(300));
    let (refusing, _) = terms(RouteTerms {
        refuse_in_transaction: true,
        ..RouteTerms::default()
    })
    .await;
    let refused = refusing.hold_desk().hold_open(inside).await.unwrap_err();
    let route = "dba".to_owned();
    assert_eq!(refused, DeskError::InTransaction { route });
    refusing.hold_desk().hold_open(request()).await.unwrap();
}

#[tokio::test]
async fn holds_that_are_alike_are_decided_together_each_for_itself() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let mut holds = Vec::new();
    for of in ["a", "b", "c"] {
        holds.push(desk.hold_open(capped(of)).await.unwrap().id);
    }
    let view = s.approver.hold_view(&holds[0]).await.unwrap();
    assert_eq!(view.offers.alike, 2);
    let mut other = capped("other");
    other.statements[0].fingerprint = "other".to_owned();
    let other = desk.hold_open(other).await.unwrap().id;
    let bulk = |holds: Vec<HoldId>, who: &str| BulkDecision {
        holds,
        claimant: Claimant::Person {
            id: who.parse().unwrap(),
        },
        decision: Decision::Approve,
        reason: None,
        surface: Surface::Console,
        key: None,
    };
    let mixed = vec![holds[0].clone(), other];
    let refused = s.approver.holds_decide(bulk(mixed, "bob")).await;
    assert!(matches!(refused, Err(DecideError::Invalid { .. })));
    // The owner's click counts for none of them.
    let own = s
        .approver
        .holds_decide(bulk(holds.clone(), "ann"))
        .await
        .unwrap();
    assert!(own.iter().all(|one| one.result.is_err()));
    let outcomes = s.approver.holds_decide(bulk(holds, "bob")).await.unwrap();
    let approved = |one: &abeyance_api::BulkOutcome| {
        one.result
            .as_ref()
            .is_ok_and(|view| view.state == HoldState::Approved)
    };
    assert!(outcomes.iter().all(approved));
}

/// The reviewer sees one of them: what does more than it is looked at by itself.
#[tokio::test]
async fn what_does_more_is_not_decided_with_what_does_less() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let small = desk.hold_open(capped("small")).await.unwrap().id;
    let rows = |rows: Estimate, cap: Option<u64>| {
        let mut more = capped("more");
        more.blast.rows = rows;
        more.blast.rows_cap = cap;
        more
    };
    let along = |rows: Estimate| {
        let mut more = capped("along");
        more.blast.cascades = Some(vec![Cascade {
            relation: "public.visits".to_owned(),
            action: CascadeAction::Delete,
            rows,
        }]);
        more
    };
    let mut known = capped("known");
    known.blast.cascades = Some(Vec::new());
    let known = desk.hold_open(known).await.unwrap().id;
    let mut dark = capped("dark");
    dark.blast.cascades = None;
    let mut open = capped("open");
    open.transaction = TransactionContext::Open;
    let mut at_commit = capped("commit");
    at_commit.manner.at_commit = true;
    // Nobody knows what the same words mean there.
    let blind = || {
        let mut blind = capped("blind");
        blind.manner.shape = None;
        blind
    };
    let unknown = desk.hold_open(blind()).await.unwrap().id;
    for (seen, more) in [
        (&small, rows(Estimate::exact(1_000_000), Some(1_000_000))),
        (&small, rows(Estimate::more_than(1), Some(100))),
        (&small, rows(Estimate::unknown("not asked"), None)),
        (&known, along(Estimate::exact(1_000_000))),
        (&known, along(Estimate::more_than(1))),
        (&known, dark),
        (&small, open),
        (&small, at_commit),
        (&unknown, blind()),
    ] {
        let told = format!("{:?}", more.blast);
        let more = desk.hold_open(more).await.unwrap().id;
        let alike = s.approver.holds_alike(seen).await.unwrap();
        assert!(alike.holds.iter().all(|one| one.id != more), "{told}");
        let bulk = BulkDecision {
            holds: vec![seen.clone(), more.clone()],
            claimant: Claimant::Person {
                id: "bob".parse().unwrap(),
            },
            decision: Decision::Approve,
            reason: None,
            surface: Surface::Console,
            key: None,
        };
        let refused = s.approver.holds_decide(bulk).await;
        assert!(
            matches!(refused, Err(DecideError::Invalid { .. })),
            "{told}"
        );
        let waits = s.approver.hold_view(&more).await.unwrap().state;
        assert_eq!(waits, HoldState::Pending);
    }
}

#[tokio::test]
async fn the_command_line_lists_and_revokes_over_http() {
    use abeyance_api::client::{HttpDesk, HttpDeskConfig};
    let s = scratch().await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = tokio_util::sync::CancellationToken::new();
    let (router, stopped) = (s.approver.router(), stop.clone());
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        abeyance_approver::serve(listener, router, None, stopped)
            .await
            .unwrap();
    });
    let _already = rustls::crypto::ring::default_provider().install_default();
    let bob = HttpDesk::new(HttpDeskConfig {
        urls: vec![url],
        token: support::console_token("bob"),
        ca_pem: None,
        client_identity_pem: None,
    })
    .unwrap();
    let desk = s.approver.hold_desk();
    let first = desk.hold_open(capped("first")).await.unwrap();
    s.clock.advance(TimeDelta::seconds(1));
    let mut second = capped("second");
    second.blast.rows = Estimate::unknown("the probe timed out");
    second.blast.rows_cap = None;
    let second = desk.hold_open(second).await.unwrap();
    s.clock.advance(TimeDelta::seconds(1));
    let third = desk.hold_open(capped("third")).await.unwrap();
    let alike = bob.holds_alike(&second.id).await.unwrap();
    assert_eq!(alike, s.approver.holds_alike(&second.id).await.unwrap());
    let ids: Vec<&HoldId> = alike.holds.iter().map(|one| &one.id).collect();
    assert_eq!(ids, [&second.id, &first.id, &third.id]);
    assert_eq!(alike.holds[1].created_at, start());
    assert_eq!(alike.holds[1].rows, request().blast.rows);
    let unknown = alike.holds[0].rows.note.as_deref();
    assert_eq!(unknown, Some("the probe timed out"));
    grant(&s.approver, &first.id, "bob", 5).await.unwrap();
    let claimant = |who: &str| Claimant::Person {
        id: who.parse().unwrap(),
    };
    let bulk = BulkDecision {
        holds: vec![second.id.clone()],
        claimant: claimant("bob"),
        decision: Decision::Deny,
        reason: Some("no".to_owned()),
        surface: Surface::Cli,
        key: None,
    };
    let mut unsaid = bulk.clone();
    unsaid.reason = Some("\u{200b}".to_owned());
    let outcomes = bob.holds_decide(unsaid).await.unwrap();
    let why = outcomes[0].result.as_ref().unwrap_err().to_string();
    assert!(why.contains("a denial needs a reason"), "{why}");
    let outcomes = bob.holds_decide(bulk).await.unwrap();
    assert!(outcomes[0].result.is_ok());
    let active = bob.grants(true).await.unwrap();
    assert_eq!(active.len(), 1);
    let revocation = |who: &str| GrantRevocation {
        id: active[0].id.clone(),
        claimant: claimant(who),
        reason: Some("enough".to_owned()),
        surface: Surface::Cli,
    };
    // With one's own token one speaks for oneself alone.
    assert!(bob.grant_revoke(revocation("ann")).await.is_err());
    assert!(!bob.grant_revoke(revocation("bob")).await.unwrap().active);
    assert!(bob.grants(true).await.unwrap().is_empty());
    stop.cancel();
    while serving.join_next().await.is_some() {}
}

/// Whoever recorded a request may send it again, to another approver or after a restart.
#[tokio::test]
async fn a_request_that_comes_again_does_not_change_a_vote_back() {
    let (approver, _) = with(|config| {
        config.routes[2].terms.denials = NonZeroU32::new(2).unwrap();
    })
    .await;
    let mut both = request();
    both.route = "both".to_owned();
    both.agent.owner = None;
    let opened = approver.hold_desk().hold_open(both).await.unwrap();
    let vote = async |who, what, key: &str| {
        let mut vote = decision(&opened.id, who, what);
        vote.key = Some(key.to_owned());
        approver.hold_decide(vote).await
    };
    vote("ann", Decision::Approve, "first").await.unwrap();
    let changed = vote("ann", Decision::Deny, "second").await.unwrap();
    let again = vote("ann", Decision::Approve, "first").await.unwrap();
    assert_eq!(again.version, changed.version);
    assert_eq!(again.votes, changed.votes);
    // A key is its person's own; and whoever thinks again presses again.
    let denied = vote("cho", Decision::Deny, "first").await.unwrap();
    assert_eq!(denied.state, HoldState::Denied);
    for bad in ["", &"x".repeat(257)] {
        let refused = vote("ann", Decision::Deny, bad).await.unwrap_err();
        assert!(matches!(refused, DecideError::Invalid { .. }), "{bad}");
    }
}
