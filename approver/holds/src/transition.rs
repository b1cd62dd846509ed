//! The one function that changes a hold.

use abeyance_api::{
    BindingDigest, DecideError, Decision, DeskError, HoldState, Outcome, PersonRef, Resolution,
    Surface, Vote, WithdrawReason,
};
use chrono::{DateTime, Utc};

use crate::{AuditEvent, Hold, Ineligible, LapseCause, Roster, eligible, limits, quorum::Quorum};

/// What may happen to a hold.
#[derive(Debug, Clone)]
pub enum Event {
    Vote(Ballot),
    /// The session that waited asks for its permit.
    Claim {
        binding: BindingDigest,
    },
    /// Nobody waits any more.
    Withdraw {
        reason: WithdrawReason,
    },
    /// The batch ran.
    Report {
        outcome: Outcome,
    },
    /// Time has passed.
    Tick,
}

/// One person's decision, with what the configuration says of the route at this moment.
#[derive(Debug, Clone)]
pub struct Ballot {
    pub person: PersonRef,
    /// The hold's seats, with the people of each group as they are now.
    pub quorum: Quorum,
    pub decision: Decision,
    pub reason: Option<String>,
    pub surface: Surface,
}

/// Why an event changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("not a reviewer of route {route}")]
    NotAReviewer { route: String },
    #[error("owns the agent, or it acts for them")]
    OwnAgent,
    #[error("the hold is already {state}")]
    Already {
        state: HoldState,
        by: Option<String>,
    },
    #[error("the claim is for another batch than the one that was approved")]
    BindingMismatch,
    #[error("the clock ran backwards since the hold's last step")]
    ClockBehind,
}

/// What `event` makes of `hold` at `now`, with what has to be written down. An event that
/// changes nothing and is no mistake (a repeated report, a tick too early) gives the hold back without events.
///
/// Time is counted even when nobody wrote it down: an overdue hold refuses everything but
/// [`Event::Tick`] as if it had ended already.
///
/// # Errors
/// [`Refusal`]; the hold stays as it was.
pub fn transition(
    hold: &Hold,
    event: Event,
    now: DateTime<Utc>,
) -> Result<(Hold, Vec<AuditEvent>), Refusal> {
    match event {
        Event::Vote(ballot) => vote(hold, ballot, now),
        Event::Claim { binding } => claim(hold, binding, now),
        Event::Withdraw { reason } => withdraw(hold, reason, now),
        Event::Report { outcome } => report(hold, outcome, now),
        Event::Tick => Ok(tick(hold, now)),
    }
}

type Step = Result<(Hold, Vec<AuditEvent>), Refusal>;

fn vote(hold: &Hold, ballot: Ballot, now: DateTime<Utc>) -> Step {
    let reviewers = ballot.quorum.people();
    let roster = Roster {
        reviewers: &reviewers,
    };
    eligible(
        &ballot.person,
        roster,
        hold.owner.as_ref(),
        hold.actor.as_deref(),
    )
    .map_err(|why| match why {
        Ineligible::NotAReviewer => Refusal::NotAReviewer {
            route: hold.route.clone(),
        },
        Ineligible::OwnAgent => Refusal::OwnAgent,
    })?;
    only_in(hold, HoldState::Pending, now)?;
    if ballot.decision == Decision::Approve {
        refuse_clock_behind(hold, now)?;
    }

    let earlier = hold
        .votes
        .iter()
        .position(|v| v.person.id == ballot.person.id);
    let repeated = earlier
        .and_then(|at| hold.votes.get(at))
        .is_some_and(|vote| vote.decision == ballot.decision && vote.reason == ballot.reason);
    if repeated {
        return Ok((hold.clone(), Vec::new()));
    }

    let vote = Vote {
        person: ballot.person,
        decision: ballot.decision,
        reason: ballot.reason,
        surface: ballot.surface,
        at: now,
    };
    let mut events = vec![AuditEvent::Voted {
        person: vote.person.clone(),
        decision: vote.decision,
        reason: vote.reason.clone(),
        surface: vote.surface,
        changed: earlier.is_some(),
    }];
    let mut next = step(hold, now);
    match earlier.and_then(|at| next.votes.get_mut(at)) {
        Some(slot) => *slot = vote.clone(),
        None => next.votes.push(vote.clone()),
    }
    events.extend(resolve_by(&mut next, vote, &ballot.quorum, now));
    Ok((next, events))
}

/// One denial ends the hold; an approval does when the quorum of people is met.
fn resolve_by(
    hold: &mut Hold,
    vote: Vote,
    quorum: &Quorum,
    now: DateTime<Utc>,
) -> Option<AuditEvent> {
    match vote.decision {
        Decision::Deny => {
            let by = vote.person.clone();
            resolve(hold, HoldState::Denied, Resolution::Denied { vote }, now);
            Some(AuditEvent::Denied { by })
        }
        Decision::Approve if quorum.is_met_by(hold.approving().map(|person| &person.id)) => {
            let by = hold.approving().cloned().collect();
            resolve(
                hold,
                HoldState::Approved,
                Resolution::Approved { vote },
                now,
            );
            hold.claimable_until = Some(now + limits::APPROVAL_LIFE);
            Some(AuditEvent::Approved { by })
        }
        Decision::Approve => None,
    }
}

fn claim(hold: &Hold, binding: BindingDigest, now: DateTime<Utc>) -> Step {
    only_in(hold, HoldState::Approved, now)?;
    if hold.binding != binding {
        return Err(Refusal::BindingMismatch);
    }
    refuse_clock_behind(hold, now)?;
    let mut next = step(hold, now);
    next.state = HoldState::Claimed;
    Ok((next, vec![AuditEvent::Claimed { binding }]))
}

fn withdraw(hold: &Hold, reason: WithdrawReason, now: DateTime<Utc>) -> Step {
    match hold.state_at(now) {
        HoldState::Pending => {
            let mut next = step(hold, now);
            resolve(
                &mut next,
                HoldState::Withdrawn,
                Resolution::Withdrawn { reason },
                now,
            );
            Ok((next, vec![AuditEvent::Withdrawn { reason }]))
        }
        HoldState::Approved => {
            let mut next = step(hold, now);
            next.state = HoldState::Lapsed;
            let cause = LapseCause::from(reason);
            Ok((next, vec![AuditEvent::Lapsed { cause }]))
        }
        HoldState::Claimed => Err(already(hold, now)),
        HoldState::Denied
        | HoldState::Expired
        | HoldState::Withdrawn
        | HoldState::Lapsed
        | HoldState::Executed
        | HoldState::Failed
        | HoldState::RolledBack => Ok(tick(hold, now)),
    }
}

fn report(hold: &Hold, outcome: Outcome, now: DateTime<Utc>) -> Step {
    if hold.outcome.as_ref() == Some(&outcome) {
        return Ok((hold.clone(), Vec::new()));
    }
    only_in(hold, HoldState::Claimed, now)?;
    let mut next = step(hold, now);
    next.state = match outcome {
        Outcome::Executed { .. } => HoldState::Executed,
        Outcome::Failed { .. } | Outcome::Unknown { .. } => HoldState::Failed,
        Outcome::RolledBack { .. } => HoldState::RolledBack,
    };
    next.outcome = Some(outcome.clone());
    Ok((next, vec![AuditEvent::Reported { outcome }]))
}

fn tick(hold: &Hold, now: DateTime<Utc>) -> (Hold, Vec<AuditEvent>) {
    if !hold.is_overdue(now) {
        return (hold.clone(), Vec::new());
    }
    let mut next = step(hold, now);
    let event = match hold.state {
        HoldState::Pending => {
            resolve(&mut next, HoldState::Expired, Resolution::Expired, now);
            AuditEvent::Expired
        }
        HoldState::Approved => {
            next.state = HoldState::Lapsed;
            let cause = LapseCause::NotClaimedInTime;
            AuditEvent::Lapsed { cause }
        }
        HoldState::Claimed => {
            let reason = "the proxy never reported how it went".to_owned();
            let outcome = Outcome::Unknown { reason };
            next.state = HoldState::Failed;
            next.outcome = Some(outcome.clone());
            AuditEvent::Reported { outcome }
        }
        // Final states have no deadline.
        HoldState::Denied
        | HoldState::Expired
        | HoldState::Withdrawn
        | HoldState::Lapsed
        | HoldState::Executed
        | HoldState::Failed
        | HoldState::RolledBack => return (hold.clone(), Vec::new()),
    };
    (next, vec![event])
}

/// A copy one version further.
fn step(hold: &Hold, now: DateTime<Utc>) -> Hold {
    Hold {
        version: hold.version + 1,
        updated_at: now,
        ..hold.clone()
    }
}

fn resolve(hold: &mut Hold, state: HoldState, resolution: Resolution, now: DateTime<Utc>) {
    hold.state = state;
    hold.resolution = Some(resolution);
    hold.resolved_at = Some(now);
}

fn only_in(hold: &Hold, wanted: HoldState, now: DateTime<Utc>) -> Result<(), Refusal> {
    if hold.state_at(now) == wanted {
        Ok(())
    } else {
        Err(already(hold, now))
    }
}

fn already(hold: &Hold, now: DateTime<Utc>) -> Refusal {
    Refusal::Already {
        state: hold.state_at(now),
        by: hold
            .deciding_vote()
            .map(|vote| vote.person.display_name.clone()),
    }
}

/// Only what lets a batch run is refused: a denial or a withdrawal is safe at any time.
fn refuse_clock_behind(hold: &Hold, now: DateTime<Utc>) -> Result<(), Refusal> {
    if now < hold.updated_at - limits::CLOCK_STEP_BACK_MAX {
        Err(Refusal::ClockBehind)
    } else {
        Ok(())
    }
}

const CLOCK_BEHIND: &str =
    "its clock ran backwards; check time synchronisation on the approver's machine";

impl From<Refusal> for DeskError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Already { state, .. } => Self::Conflict { state },
            Refusal::BindingMismatch => Self::BindingMismatch,
            Refusal::ClockBehind => Self::Unavailable {
                detail: CLOCK_BEHIND.to_owned(),
            },
            Refusal::NotAReviewer { .. } | Refusal::OwnAgent => Self::Refused {
                detail: refusal.to_string(),
            },
        }
    }
}

impl From<Refusal> for DecideError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotAReviewer { route } => Self::NotAReviewer { route },
            Refusal::OwnAgent => Self::OwnAgent,
            Refusal::Already { state, by } => Self::AlreadyResolved { state, by },
            Refusal::ClockBehind => Self::Unavailable {
                detail: CLOCK_BEHIND.to_owned(),
            },
            Refusal::BindingMismatch => Self::Invalid {
                detail: refusal.to_string(),
            },
        }
    }
}
