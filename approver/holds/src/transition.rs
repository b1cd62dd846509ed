//! The one function that changes a hold.

mod beyond;

use abeyance_api::{
    BindingDigest, DecideError, Decision, DeskError, GrantWish, HoldState, Outcome, PersonId,
    PersonRef, Resolution, Surface, Vote, WithdrawReason,
};
use chrono::{DateTime, Utc};

use self::beyond::{agreed, break_glass, grantable, use_grant};
use crate::{
    AuditEvent, Hold, Ineligible, LapseCause, Roster, eligible,
    escalation::{Due, Found},
    grant::Grant,
    limits,
    quorum::Quorum,
};

/// What may happen to a hold.
#[derive(Debug, Clone)]
pub enum Event {
    Vote(Ballot),
    /// Somebody approves alone, in an emergency.
    BreakGlass(BreakGlass),
    /// A grant covers it: nobody is asked. Only a hold that nobody has seen yet takes it.
    UseGrant(GrantUse),
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
    /// A step of the route has been looked up. Changes nothing when it is not due, or fired already.
    Ask {
        step: usize,
        found: Found,
    },
    /// Neither steps nor fallback came to enough people. Changes nothing when that is not so.
    Nobody {
        why: String,
    },
    /// Somebody says that they look.
    Look(Glance),
    /// Time has passed.
    Tick,
}

/// Who looks, with who may decide at this moment.
#[derive(Debug, Clone)]
pub struct Glance {
    pub person: PersonRef,
    pub reviewers: Vec<PersonId>,
    pub surface: Surface,
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
    /// The approval is to hold for the same shape for a while.
    pub wish: Option<GrantWish>,
}

/// One person of a route's break-glass group, with who is in it at this moment.
#[derive(Debug, Clone)]
pub struct BreakGlass {
    pub person: PersonRef,
    pub members: Vec<PersonId>,
    pub reason: Option<String>,
    pub surface: Surface,
}

/// A grant that was found to cover the hold.
#[derive(Debug, Clone)]
pub struct GrantUse {
    pub grant: Box<Grant>,
    /// Uses that are left after this one.
    pub left: u32,
}

/// Why an event changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("not a reviewer of route {route}")]
    NotAReviewer { route: String },
    #[error("owns the agent, or it acts for them")]
    OwnAgent,
    #[error("not in the break-glass group of route {route}")]
    NoBreakGlass { route: String },
    #[error("breaking the glass takes a reason")]
    NoReason,
    #[error("{0}")]
    NoGrant(&'static str),
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
        Event::BreakGlass(glass) => break_glass(hold, glass, now),
        Event::UseGrant(used) => use_grant(hold, used, now),
        Event::Claim { binding } => claim(hold, binding, now),
        Event::Withdraw { reason } => withdraw(hold, reason, now),
        Event::Report { outcome } => report(hold, outcome, now),
        Event::Ask { step, found } => ask(hold, step, &found, now),
        Event::Nobody { why } => nobody(hold, why, now),
        Event::Look(glance) => look(hold, glance, now),
        Event::Tick => Ok(tick(hold, now)),
    }
}

type Step = Result<(Hold, Vec<AuditEvent>), Refusal>;

fn vote(hold: &Hold, ballot: Ballot, now: DateTime<Utc>) -> Step {
    let reviewers = ballot.quorum.people();
    let roster = Roster {
        reviewers: &reviewers,
    };
    may(hold, &ballot.person, roster)?;
    only_in(hold, HoldState::Pending, now)?;
    if ballot.decision == Decision::Approve {
        refuse_clock_behind(hold, now)?;
    }
    if let Some(wish) = ballot.wish {
        grantable(hold, ballot.decision, wish)?;
    }

    let earlier = hold
        .votes
        .iter()
        .position(|v| v.person.id == ballot.person.id);
    let repeated = earlier
        .and_then(|at| hold.votes.get(at))
        .is_some_and(|vote| {
            vote.decision == ballot.decision
                && vote.reason == ballot.reason
                && vote.wish == ballot.wish
        });
    if repeated {
        return Ok((hold.clone(), Vec::new()));
    }

    let vote = Vote {
        person: ballot.person,
        decision: ballot.decision,
        reason: ballot.reason,
        surface: ballot.surface,
        at: now,
        break_glass: false,
        wish: ballot.wish,
        by_grant: None,
    };
    let mut events = vec![AuditEvent::Voted {
        person: vote.person.clone(),
        decision: vote.decision,
        reason: vote.reason.clone(),
        surface: vote.surface,
        wish: vote.wish,
        changed: earlier.is_some(),
    }];
    let mut next = step(hold, now);
    count(&mut next, &vote);
    events.extend(resolve_by(&mut next, vote, &ballot.quorum, now));
    Ok((next, events))
}

fn may(hold: &Hold, person: &PersonRef, roster: Roster<'_>) -> Result<(), Refusal> {
    let (owner, actor) = (hold.owner.as_ref(), hold.actor.as_deref());
    eligible(person, roster, owner, actor).map_err(|why| match why {
        Ineligible::NotAReviewer => Refusal::NotAReviewer {
            route: hold.route.clone(),
        },
        Ineligible::OwnAgent => Refusal::OwnAgent,
    })
}

fn ask(hold: &Hold, number: usize, found: &Found, now: DateTime<Utc>) -> Step {
    only_in(hold, HoldState::Pending, now)?;
    if hold.escalation.due(now) != Due::Step(number) {
        return Ok((hold.clone(), Vec::new()));
    }
    let mut next = step(hold, now);
    next.escalation.fired(found, now);
    let event = AuditEvent::Asked {
        step: number + 1,
        who: hold.escalation.plan().who(number).to_vec(),
        people: found.people.clone(),
        channels: found.channels.clone(),
    };
    Ok((next, vec![event]))
}

fn nobody(hold: &Hold, why: String, now: DateTime<Utc>) -> Step {
    only_in(hold, HoldState::Pending, now)?;
    if hold.escalation.due(now) != Due::Nobody {
        return Ok((hold.clone(), Vec::new()));
    }
    let mut next = step(hold, now);
    let resolution = Resolution::Nobody { why: why.clone() };
    resolve(&mut next, HoldState::Denied, resolution, now);
    Ok((next, vec![AuditEvent::Nobody { why }]))
}

fn look(hold: &Hold, glance: Glance, now: DateTime<Utc>) -> Step {
    let roster = Roster {
        reviewers: &glance.reviewers,
    };
    may(hold, &glance.person, roster)?;
    only_in(hold, HoldState::Pending, now)?;
    let mut next = step(hold, now);
    let Some(look) = next.escalation.look(glance.person, now) else {
        return Ok((hold.clone(), Vec::new()));
    };
    let event = AuditEvent::Looking {
        person: look.person.clone(),
        surface: glance.surface,
        until: look.until,
    };
    Ok((next, vec![event]))
}

/// One person is one vote: a new one takes the place of the earlier.
fn count(hold: &mut Hold, vote: &Vote) {
    let mut votes = hold.votes.iter_mut();
    match votes.find(|earlier| earlier.person.id == vote.person.id) {
        Some(slot) => *slot = vote.clone(),
        None => hold.votes.push(vote.clone()),
    }
}

/// As many denials as the route wants end the hold; approvals do when the quorum of people is met.
fn resolve_by(hold: &mut Hold, vote: Vote, quorum: &Quorum, now: DateTime<Utc>) -> Vec<AuditEvent> {
    match vote.decision {
        Decision::Deny => {
            let denying = hold.votes.iter();
            let denying = denying.filter(|vote| vote.decision == Decision::Deny);
            if denying.count() < usize::try_from(hold.terms.denials.get()).unwrap_or(1) {
                return Vec::new();
            }
            let by = vote.person.clone();
            resolve(hold, HoldState::Denied, Resolution::Denied { vote }, now);
            vec![AuditEvent::Denied { by }]
        }
        Decision::Approve if quorum.is_met_by(hold.approving().map(|person| &person.id)) => {
            let by = hold.approving().cloned().collect();
            let agreed = agreed(hold, quorum, now);
            approve(hold, vote, now);
            let granted = agreed.map(|agreed| AuditEvent::Granted { agreed });
            std::iter::once(AuditEvent::Approved { by })
                .chain(granted)
                .collect()
        }
        Decision::Approve => Vec::new(),
    }
}

fn approve(hold: &mut Hold, vote: Vote, now: DateTime<Utc>) {
    let resolution = Resolution::Approved { vote };
    resolve(hold, HoldState::Approved, resolution, now);
    hold.claimable_until = Some(now + hold.terms.approval_life());
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
            Refusal::NotAReviewer { .. }
            | Refusal::OwnAgent
            | Refusal::NoBreakGlass { .. }
            | Refusal::NoReason
            | Refusal::NoGrant(_) => Self::Refused {
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
            Refusal::NoBreakGlass { route } => Self::NoBreakGlass { route },
            Refusal::BindingMismatch | Refusal::NoReason | Refusal::NoGrant(_) => Self::Invalid {
                detail: refusal.to_string(),
            },
        }
    }
}
