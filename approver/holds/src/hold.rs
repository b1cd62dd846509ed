//! A hold as the machine sees it: only what decisions depend on.

use abeyance_api::{
    BindingDigest, Decision, HoldState, Outcome, PersonId, PersonRef, Resolution, Vote,
    WithdrawReason,
};
use chrono::{DateTime, Utc};

use crate::{
    AuditEvent, Terms,
    escalation::{Escalation, Plan},
    limits,
    quorum::Quorum,
};

/// A hold's state and everything that decides what it may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub state: HoldState,
    /// Grows by one with every step that changed something.
    pub version: u64,
    pub binding: BindingDigest,
    pub route: String,
    /// The agent's owner and its actor never vote.
    pub owner: Option<PersonId>,
    pub actor: Option<String>,
    /// How many people have to approve, and which.
    pub quorum: Quorum,
    pub terms: Terms,
    /// Whom it asked so far, and who comes next.
    pub escalation: Escalation,
    /// At most one a person, in the order of their first vote.
    pub votes: Vec<Vote>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When the wait for a decision ends.
    pub expires_at: DateTime<Utc>,
    /// When an approval that nobody claimed ends.
    pub claimable_until: Option<DateTime<Utc>>,
    pub resolution: Option<Resolution>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub outcome: Option<Outcome>,
}

/// What a new hold is made from.
#[derive(Debug, Clone)]
pub struct NewHold {
    pub binding: BindingDigest,
    pub route: String,
    pub owner: Option<PersonId>,
    pub actor: Option<String>,
    pub quorum: Quorum,
    pub terms: Terms,
    /// The steps of the route.
    pub plan: Plan,
    pub expires_at: DateTime<Utc>,
    /// Of the policy that demanded the hold.
    pub policy_version: String,
}

impl Hold {
    /// A pending hold, version 1, and the event that says so.
    #[must_use]
    pub fn open(new: NewHold, now: DateTime<Utc>) -> (Self, Vec<AuditEvent>) {
        let event = AuditEvent::Opened {
            route: new.route.clone(),
            quorum: u32::try_from(new.quorum.seats()).unwrap_or(u32::MAX),
            binding: new.binding,
            expires_at: new.expires_at,
            plan: new.plan.clone(),
            policy_version: new.policy_version,
        };
        let hold = Self {
            state: HoldState::Pending,
            version: 1,
            binding: new.binding,
            route: new.route,
            owner: new.owner,
            actor: new.actor,
            quorum: new.quorum,
            terms: new.terms,
            escalation: Escalation::begin(new.plan, now),
            votes: Vec::new(),
            created_at: now,
            updated_at: now,
            expires_at: new.expires_at,
            claimable_until: None,
            resolution: None,
            resolved_at: None,
            outcome: None,
        };
        (hold, vec![event])
    }

    /// When time alone will change this hold.
    #[must_use]
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        match self.state {
            HoldState::Pending => Some(self.expires_at),
            HoldState::Approved => self.claimable_until,
            HoldState::Claimed => Some(self.updated_at + limits::REPORT_WAIT),
            HoldState::Denied
            | HoldState::Expired
            | HoldState::Withdrawn
            | HoldState::Lapsed
            | HoldState::Executed
            | HoldState::Failed
            | HoldState::RolledBack => None,
        }
    }

    /// When the next step is due, or something else about whom it asks.
    #[must_use]
    pub fn step_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            HoldState::Pending => self.escalation.next_at(),
            _ => None,
        }
    }

    /// Whether time has already ended this state, written down or not.
    #[must_use]
    pub fn is_overdue(&self, now: DateTime<Utc>) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// The state this hold has at `now`, counting what time has done and nobody wrote down yet.
    #[must_use]
    pub fn state_at(&self, now: DateTime<Utc>) -> HoldState {
        match self.state {
            HoldState::Pending if self.is_overdue(now) => HoldState::Expired,
            HoldState::Approved if self.is_overdue(now) => HoldState::Lapsed,
            HoldState::Claimed if self.is_overdue(now) => HoldState::Failed,
            state => state,
        }
    }

    /// Who approves as of now.
    pub fn approving(&self) -> impl Iterator<Item = &PersonRef> {
        self.votes
            .iter()
            .filter(|vote| vote.decision == Decision::Approve)
            .map(|vote| &vote.person)
    }

    /// The vote that resolved the hold.
    #[must_use]
    pub fn deciding_vote(&self) -> Option<&Vote> {
        match self.resolution.as_ref()? {
            Resolution::Approved { vote } | Resolution::Denied { vote } => Some(vote),
            Resolution::Expired | Resolution::Nobody { .. } | Resolution::Withdrawn { .. } => None,
        }
    }

    /// Why the proxy took it back, when it did.
    #[must_use]
    pub fn withdrawn_because(&self) -> Option<WithdrawReason> {
        match self.resolution.as_ref()? {
            Resolution::Withdrawn { reason } => Some(*reason),
            Resolution::Approved { .. }
            | Resolution::Denied { .. }
            | Resolution::Nobody { .. }
            | Resolution::Expired => None,
        }
    }
}
