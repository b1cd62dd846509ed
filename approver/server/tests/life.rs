//! The life of a hold through the desks, on a real file.

use std::time::Duration;

use crate::support::{
    approve, binding, config, decision, live, open, request, scratch, shared_store,
};
use abeyance_api::{
    Claimant, DecideError, Decision, DecisionDesk, DeskError, HoldDesk, HoldFilter, HoldId,
    HoldState, HoldView, Outcome, Permit, Resolution, WithdrawReason,
};
use abeyance_approver::Approver;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

fn executed() -> Outcome {
    Outcome::Executed {
        rows: Some(3),
        tags: vec!["DELETE 3".to_owned()],
        elapsed: Duration::from_millis(12),
    }
}

#[tokio::test]
async fn approved_claimed_once_and_reported() {
    let s = scratch().await;
    let desk = s.approver.hold_desk();
    let receipt = desk.hold_open(request()).await.unwrap();
    // Ann owns the agent.
    assert_eq!(receipt.asked, "route dba (1 reviewer)");
    let link = receipt.console_url.unwrap();
    assert_eq!(link, format!("http://127.0.0.1:8080/holds/{}", receipt.id));

    let mut waiting = tokio::task::JoinSet::new();
    let (waiter, id) = (desk.clone(), receipt.id.clone());
    waiting.spawn(async move { waiter.hold_wait(&id).await });
    approve(&s.approver, &receipt.id).await;
    let resolution = waiting.join_next().await.unwrap().unwrap().unwrap();
    assert!(
        matches!(resolution, Resolution::Approved { vote } if vote.person.id.as_str() == "bob")
    );

    let other = Permit::claim(&*desk, &receipt.id, binding("other")).await;
    assert_eq!(other.unwrap_err(), DeskError::BindingMismatch);
    let permit = Permit::claim(&*desk, &receipt.id, binding("batch"))
        .await
        .unwrap();
    assert_eq!(permit.vote().person.display_name, "Bob");
    let again = Permit::claim(&*desk, &receipt.id, binding("batch")).await;
    let claimed = DeskError::Conflict {
        state: HoldState::Claimed,
    };
    assert_eq!(again.unwrap_err(), claimed);

    desk.hold_report(&receipt.id, executed()).await.unwrap();
    desk.hold_report(&receipt.id, executed()).await.unwrap();
    let view = s.approver.hold_view(&receipt.id).await.unwrap();
    assert_eq!((view.state, view.version), (HoldState::Executed, 4));
    let audit = s.approver.audit_verify().await.unwrap();
    // opened, voted, approved, claim_refused, claimed, reported
    assert_eq!((audit.intact, audit.broken_at), (6, None));
}

#[tokio::test]
async fn those_without_the_right_are_told_why() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    let decide = async |who| {
        s.approver
            .hold_decide(decision(&id, who, Decision::Approve))
            .await
    };
    assert_eq!(decide("ann").await.unwrap_err(), DecideError::OwnAgent);
    let route = "dba".to_owned();
    assert_eq!(
        decide("cho").await.unwrap_err(),
        DecideError::NotAReviewer { route }
    );
    assert_eq!(decide("dan").await.unwrap_err(), DecideError::UnknownPerson);
    let mut by_slack = decision(&id, "bob", Decision::Deny);
    by_slack.claimant = Claimant::Slack {
        user: "U0BOB0001".to_owned(),
    };
    let denied = s.approver.hold_decide(by_slack).await.unwrap();
    assert_eq!(denied.state, HoldState::Denied);
    let late = decide("bob").await.unwrap_err();
    assert_eq!(late.to_string(), "this hold is already denied by Bob");
    let claim = s
        .approver
        .hold_claim(&id, binding("batch"))
        .await
        .unwrap_err();
    assert_eq!(
        claim,
        DeskError::Conflict {
            state: HoldState::Denied
        }
    );
}

#[tokio::test]
async fn a_route_that_could_never_approve_is_refused() {
    let s = scratch().await;
    for route in ["quiet", "nowhere"] {
        let mut request = request();
        request.route = route.to_owned();
        let refused = s.approver.hold_open(request).await.unwrap_err();
        assert!(matches!(refused, DeskError::Refused { detail } if detail.contains(route)));
    }
}

#[tokio::test]
async fn each_part_of_a_quorum_takes_a_person_of_its_own() {
    let s = scratch().await;
    let mut both = request();
    both.route = "both".to_owned();
    // Without an owner, Ann may decide too.
    both.agent.owner = None;
    let receipt = s.approver.hold_open(both).await.unwrap();
    assert_eq!(
        receipt.asked,
        "route both (3 reviewers; 1 of dba and 1 of privacy have to agree)"
    );
    let vote = async |who, what| {
        let decided = s.approver.hold_decide(decision(&receipt.id, who, what));
        decided.await.unwrap()
    };
    let bob = vote("bob", Decision::Approve).await;
    assert_eq!((bob.state, bob.wanting.len()), (HoldState::Pending, 1));
    // He sits in both groups, and fills one seat, however often he says so.
    let again = vote("bob", Decision::Approve).await;
    assert_eq!((again.state, again.version), (bob.state, bob.version));
    let cho = vote("cho", Decision::Approve).await;
    assert_eq!((cho.state, cho.wanting.len()), (HoldState::Approved, 0));
    let stored = s.approver.hold_view(&receipt.id).await.unwrap();
    assert_eq!(stored.state, HoldState::Approved);
}

#[tokio::test]
async fn a_quorum_that_owners_make_impossible_is_refused() {
    let s = scratch().await;
    let mut both = request();
    both.route = "both".to_owned();
    both.agent.owner = Some("bob".parse().unwrap());
    // Ann and Cho are left, one for each part.
    assert!(s.approver.hold_open(both.clone()).await.is_ok());
    both.agent.actor = Some("cho".to_owned());
    let refused = s.approver.hold_open(both).await.unwrap_err();
    let DeskError::Refused { detail } = refused else {
        panic!("{refused:?}");
    };
    assert!(detail.contains("1 of dba and 1 of privacy"), "{detail}");
}

#[tokio::test]
async fn nobody_decides_in_time() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    s.clock.advance(TimeDelta::seconds(301));
    let late = s
        .approver
        .hold_decide(decision(&id, "bob", Decision::Approve))
        .await;
    let state = HoldState::Expired;
    assert_eq!(
        late.unwrap_err(),
        DecideError::AlreadyResolved { state, by: None }
    );
    let resolution = s.approver.hold_wait(&id).await.unwrap();
    assert!(matches!(resolution, Resolution::Expired));
}

#[tokio::test]
async fn an_approval_nobody_claims_lapses() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    approve(&s.approver, &id).await;
    s.clock.advance(TimeDelta::seconds(121));
    let claim = s
        .approver
        .hold_claim(&id, binding("batch"))
        .await
        .unwrap_err();
    assert_eq!(
        claim,
        DeskError::Conflict {
            state: HoldState::Lapsed
        }
    );
    assert_eq!(
        s.approver.hold_view(&id).await.unwrap().state,
        HoldState::Lapsed
    );
}

#[tokio::test]
async fn withdrawn_before_and_after_the_decision() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    s.approver
        .hold_withdraw(&id, WithdrawReason::ClientGone)
        .await
        .unwrap();
    s.approver
        .hold_withdraw(&id, WithdrawReason::ClientGone)
        .await
        .unwrap();
    let late = s
        .approver
        .hold_decide(decision(&id, "bob", Decision::Approve))
        .await;
    let state = HoldState::Withdrawn;
    assert_eq!(
        late.unwrap_err(),
        DecideError::AlreadyResolved { state, by: None }
    );

    let id = open(&s.approver).await;
    approve(&s.approver, &id).await;
    s.approver
        .hold_withdraw(&id, WithdrawReason::ClientGone)
        .await
        .unwrap();
    let claim = s
        .approver
        .hold_claim(&id, binding("batch"))
        .await
        .unwrap_err();
    assert_eq!(
        claim,
        DeskError::Conflict {
            state: HoldState::Lapsed
        }
    );
}

#[tokio::test]
async fn the_reconciler_expires_and_wakes_without_polling() {
    let (approver, _folder) = live(Duration::from_millis(400)).await;
    let shutdown = CancellationToken::new();
    let mut run = tokio::task::JoinSet::new();
    let (running, until) = (approver.clone(), shutdown.clone());
    run.spawn(async move { running.run(until).await });
    let id = open(&approver).await;
    let resolution = approver.hold_wait(&id).await.unwrap();
    assert!(matches!(resolution, Resolution::Expired));
    shutdown.cancel();
    run.join_next().await.unwrap().unwrap();
    approver.close().await;
}

#[tokio::test]
async fn hundreds_of_waiters_are_woken() {
    let (approver, _folder) = live(Duration::from_secs(300)).await;
    let mut waiters = tokio::task::JoinSet::new();
    let mut ids = Vec::new();
    for _ in 0..300 {
        let approver = approver.clone();
        ids.push(open(&approver).await);
        let id = ids.last().unwrap().clone();
        waiters.spawn(async move { approver.hold_wait(&id).await.unwrap() });
    }
    for id in &ids {
        approve(&approver, id).await;
    }
    while let Some(resolution) = waiters.join_next().await {
        assert!(matches!(resolution.unwrap(), Resolution::Approved { .. }));
    }
}

#[tokio::test]
async fn a_restart_settles_what_the_last_run_left() {
    let s = scratch().await;
    let pending = open(&s.approver).await;
    let approved = open(&s.approver).await;
    approve(&s.approver, &approved).await;
    let claimed = open(&s.approver).await;
    approve(&s.approver, &claimed).await;
    s.approver
        .hold_claim(&claimed, binding("batch"))
        .await
        .unwrap();
    s.approver.close().await;
    drop(s.approver);

    let approver = Approver::open(config(&s.folder), s.clock.clone())
        .await
        .unwrap();
    if shared_store() {
        let view = approver.hold_view(&pending).await.unwrap();
        assert_eq!(view.state, HoldState::Pending, "its lease may be renewed");
        return;
    }
    let states = [&pending, &approved, &claimed];
    let mut seen = Vec::new();
    for id in states {
        seen.push(approver.hold_view(id).await.unwrap().state);
    }
    assert_eq!(
        seen,
        [HoldState::Withdrawn, HoldState::Lapsed, HoldState::Failed]
    );
    let filter = HoldFilter {
        pending_only: true,
        limit: 10,
    };
    assert!(approver.hold_list(filter).await.unwrap().is_empty());
    assert_eq!(approver.audit_verify().await.unwrap().broken_at, None);
}

#[tokio::test]
async fn of_two_reviewers_at_once_one_decides() {
    let s = scratch().await;
    for _ in 0..20 {
        let mut request = request();
        request.agent.owner = None;
        let id = s.approver.hold_open(request).await.unwrap().id;
        let (yes, no) = tokio::join!(
            s.approver
                .hold_decide(decision(&id, "bob", Decision::Approve)),
            s.approver.hold_decide(decision(&id, "ann", Decision::Deny)),
        );
        let late = match (yes, no) {
            (Ok(_), Err(late)) | (Err(late), Ok(_)) => late,
            both => panic!("{both:?}"),
        };
        assert!(matches!(
            late,
            DecideError::AlreadyResolved { by: Some(_), .. }
        ));
    }
}

#[tokio::test]
async fn of_many_claims_at_once_one_gets_the_permit() {
    let s = scratch().await;
    let id = open(&s.approver).await;
    approve(&s.approver, &id).await;
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (desk, id) = (s.approver.hold_desk(), id.clone());
        claims.spawn(async move { Permit::claim(&*desk, &id, binding("batch")).await.is_ok() });
    }
    let permits = claims
        .join_all()
        .await
        .into_iter()
        .filter(|got| *got)
        .count();
    assert_eq!(permits, 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_behind() {
    let s = scratch().await;
    // Polled once, then dropped: the hold is being made and nobody will know its id.
    drop_half_way(s.approver.hold_open(request())).await;
    let id = settled(&s.approver, |hold| hold.state == HoldState::Withdrawn).await;
    assert!(s.approver.hold_view(&id).await.is_ok());

    let id = open(&s.approver).await;
    approve(&s.approver, &id).await;
    drop_half_way(s.approver.hold_claim(&id, binding("batch"))).await;
    let unused = settled(&s.approver, |hold| hold.state == HoldState::RolledBack).await;
    assert_eq!(unused, id);
}

async fn drop_half_way(call: impl Future) {
    let mut call = Box::pin(call);
    std::future::poll_fn(|cx| {
        let _pending = call.as_mut().poll(cx);
        std::task::Poll::Ready(())
    })
    .await;
}

/// A list is read by two statements: every hold comes with its own votes, in their order, and one without any too.
#[tokio::test]
async fn a_list_has_the_votes_of_each_hold() {
    let s = scratch().await;
    let mut wanted = Vec::new();
    for voters in [&["cho", "bob"][..], &["bob"], &[]] {
        let mut two = request();
        two.route = "both".to_owned();
        let id = s.approver.hold_open(two).await.unwrap().id;
        for who in voters {
            let vote = decision(&id, who, Decision::Approve);
            s.approver.hold_decide(vote).await.unwrap();
        }
        wanted.push((
            id,
            voters
                .iter()
                .map(|who| (*who).to_owned())
                .collect::<Vec<_>>(),
        ));
    }
    let filter = HoldFilter {
        pending_only: false,
        limit: 10,
    };
    for hold in s.approver.hold_list(filter).await.unwrap() {
        let voters: Vec<_> = hold
            .votes
            .iter()
            .map(|vote| vote.person.id.to_string())
            .collect();
        let at = wanted.iter().position(|(id, _)| *id == hold.id).unwrap();
        assert_eq!(wanted.remove(at).1, voters);
    }
    assert!(wanted.is_empty());
}

/// Waits until some hold looks like `wanted`.
async fn settled(approver: &Approver, wanted: impl Fn(&HoldView) -> bool) -> HoldId {
    let all = HoldFilter {
        pending_only: false,
        limit: 10,
    };
    loop {
        let holds = approver.hold_list(all.clone()).await.unwrap();
        if let Some(hold) = holds.into_iter().find(&wanted) {
            return hold.id;
        }
        tokio::task::yield_now().await;
    }
}
