//! What is written down of every step.

use abeyance_api::{
    BindingDigest, Decision, GrantId, GrantWish, Outcome, PersonRef, Surface, WithdrawReason,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    escalation::{Plan, Who},
    grant::Agreed,
};

/// One line of a hold's history. Holds no literal: reasons are people's own words, the rest are names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    Opened {
        route: String,
        quorum: u32,
        binding: BindingDigest,
        expires_at: DateTime<Utc>,
        /// The steps of the route, as they were then; absent when it has none.
        #[serde(default, skip_serializing_if = "Plan::is_empty")]
        plan: Plan,
        /// Of the policy that demanded the hold; empty in records from before policies had one.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        policy_version: String,
    },
    Voted {
        person: PersonRef,
        decision: Decision,
        reason: Option<String>,
        surface: Surface,
        /// The approval is to hold for the same shape for a while.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wish: Option<GrantWish>,
        /// The person had voted otherwise before.
        changed: bool,
    },
    Approved {
        by: Vec<PersonRef>,
    },
    Denied {
        by: PersonRef,
    },
    /// Somebody approved alone, in an emergency.
    GlassBroken {
        person: PersonRef,
        reason: String,
        surface: Surface,
    },
    /// The approval holds for the same shape for a while.
    Granted {
        agreed: Agreed,
    },
    /// Nobody was asked: a grant covers it.
    GrantUsed {
        grant: GrantId,
        /// Uses that are left.
        left: u32,
        by: Vec<PersonRef>,
    },
    /// The grant this hold gave was ended early.
    GrantRevoked {
        grant: GrantId,
        by: PersonRef,
        reason: Option<String>,
    },
    /// A step fired, or was skipped since it came to nobody.
    Asked {
        /// From 1; one more than there are steps is the fallback.
        step: usize,
        who: Vec<Who>,
        people: Vec<PersonRef>,
        channels: Vec<String>,
    },
    /// Somebody looks; the next step waits for them.
    Looking {
        person: PersonRef,
        surface: Surface,
        until: DateTime<Utc>,
    },
    /// Neither steps nor fallback came to enough people.
    Nobody {
        why: String,
    },
    Expired,
    Claimed {
        binding: BindingDigest,
    },
    Withdrawn {
        reason: WithdrawReason,
    },
    Lapsed {
        cause: LapseCause,
    },
    Reported {
        outcome: Outcome,
    },
    /// What happened, heard when the hold was over already and its outcome not known: the proxy came back. The hold keeps
    /// its state, which people were told.
    ReportedLate {
        outcome: Outcome,
    },
    /// Somebody who may not decide tried to. The hold did not change.
    VoteRefused {
        person: PersonRef,
        decision: Decision,
        surface: Surface,
        why: String,
    },
    /// A claim for another batch than the one that was shown. The hold did not change.
    ClaimRefused {
        presented: BindingDigest,
    },
    /// A proxy that neither opened the hold nor runs its batch spoke for it. The hold did not change.
    ProxyRefused {
        call: ProxyCall,
    },
}

/// What only a hold's own proxy may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyCall {
    Claim,
    Withdraw,
    Report,
}

/// Why an approval was never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LapseCause {
    NotClaimedInTime,
    ClientGone,
    ClientTerminated,
    ClientCancelled,
    ClientOverflow,
    TargetGone,
    ProxyShutdown,
    ProxyLost,
    PolicyChanged,
    MeaningChanged,
    AnswerLost,
}

impl From<WithdrawReason> for LapseCause {
    fn from(reason: WithdrawReason) -> Self {
        match reason {
            WithdrawReason::ClientGone => Self::ClientGone,
            WithdrawReason::ClientTerminated => Self::ClientTerminated,
            WithdrawReason::ClientCancelled => Self::ClientCancelled,
            WithdrawReason::ClientOverflow => Self::ClientOverflow,
            WithdrawReason::TargetGone => Self::TargetGone,
            WithdrawReason::ProxyShutdown => Self::ProxyShutdown,
            WithdrawReason::ProxyLost => Self::ProxyLost,
            WithdrawReason::PolicyChanged => Self::PolicyChanged,
            WithdrawReason::MeaningChanged => Self::MeaningChanged,
            WithdrawReason::AnswerLost => Self::AnswerLost,
        }
    }
}

impl AuditEvent {
    /// The event's name in the store.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Voted { .. } => "voted",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::GlassBroken { .. } => "glass_broken",
            Self::Granted { .. } => "granted",
            Self::GrantUsed { .. } => "grant_used",
            Self::GrantRevoked { .. } => "grant_revoked",
            Self::Asked { .. } => "asked",
            Self::Looking { .. } => "looking",
            Self::Nobody { .. } => "nobody",
            Self::Expired => "expired",
            Self::Claimed { .. } => "claimed",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Lapsed { .. } => "lapsed",
            Self::Reported { .. } => "reported",
            Self::ReportedLate { .. } => "reported_late",
            Self::VoteRefused { .. } => "vote_refused",
            Self::ClaimRefused { .. } => "claim_refused",
            Self::ProxyRefused { .. } => "proxy_refused",
        }
    }
}
