//! What a proxy says of a held batch, and what everybody may see of it afterwards.
//!
//! Nothing here may carry a literal, a bind value or a secret (invariant 7): statements
//! arrive already redacted.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Asking, BindingDigest, GrantView, HoldId, Manner, PersonId, SessionId, Vote,
    blast::{Blast, blast_or_estimate},
};

/// A batch that must not run before somebody with the right to decide has decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    pub session: SessionInfo,
    pub agent: AgentIdentity,
    pub target: TargetInfo,
    /// Every statement of the batch, in order; never empty.
    pub statements: Vec<RedactedStatement>,
    /// The name of the rule that demanded the hold.
    pub rule: String,
    /// The version of the whole policy that rule is of; empty for holds from before policies had one.
    #[serde(default)]
    pub policy_version: String,
    /// Why, in words for the reviewer; one line each.
    pub reasons: Vec<String>,
    /// The route that is asked: a name from the configuration.
    pub route: String,
    /// What running it would do. Holds from before there was more than an estimate have only its rows.
    #[serde(alias = "estimate", deserialize_with = "blast_or_estimate")]
    pub blast: Blast,
    pub transaction: TransactionContext,
    /// What the agent gave with `SET abeyance.reason`, at most 500 characters.
    pub agent_reason: Option<String>,
    /// What the approval will be bound to.
    pub binding: BindingDigest,
    #[serde(default)]
    pub manner: Manner,
}

/// The session that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionInfo {
    pub id: SessionId,
    /// Address and port the client connected from.
    pub client_addr: String,
    /// The client's own `application_name`, bounded and stripped of control characters.
    pub application_name: Option<String>,
    pub started_at: DateTime<Utc>,
}

/// Who connected, for whom, and who answers for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentIdentity {
    pub name: String,
    /// The person who owns the agent; they never approve its statements.
    pub owner: Option<PersonId>,
    /// On whose behalf it acts, where known; they never approve either.
    pub actor: Option<String>,
}

/// Which database the batch would run in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetInfo {
    pub name: String,
    pub database: String,
    /// A label such as `production`, from the configuration.
    pub environment: Option<String>,
}

/// One statement of a held batch as reviewers see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactedStatement {
    /// Pretty-printed, literals and comments out.
    pub text: String,
    /// `DELETE`, `ALTER TABLE`, ...; `opaque` when it could not be understood.
    pub kind: String,
    /// Equal for statements that differ only in literals, case and white space.
    pub fingerprint: String,
    /// Relations written or structurally changed.
    pub writes: Vec<String>,
    /// Relations read.
    pub reads: Vec<String>,
}

/// Whether locks are held while the batch waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionContext {
    Idle,
    /// Inside a transaction block: its locks stay taken during the hold.
    Open,
}

/// Given to the proxy when the hold is durable.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldReceipt {
    pub id: HoldId,
    pub expires_at: DateTime<Utc>,
    /// Who is asked, in words: `route dba (2 reviewers)`.
    pub asked: String,
    /// Where a person can look at the hold, when a console address is configured.
    pub console_url: Option<String>,
    /// It is decided already: a ticket that was sent again, or a grant.
    #[serde(default)]
    pub resolution: Option<Resolution>,
    /// A cap on rows that the approval carries, besides the one in the request.
    #[serde(default)]
    pub rows_cap: Option<u64>,
}

/// The life of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// Waiting for a decision.
    Pending,
    /// Decided in favour; the proxy has not claimed it yet.
    Approved,
    /// The permit was handed out, once; the batch is running.
    Claimed,
    Denied,
    /// Nobody decided in time.
    Expired,
    /// The client went away, or gave up, before a decision.
    Withdrawn,
    /// Approved, but the client had gone: nothing ran.
    Lapsed,
    /// Ran to its end.
    Executed,
    /// Ran, and the target refused it.
    Failed,
    /// Ran, and was rolled back.
    RolledBack,
}

impl HoldState {
    /// Whether nothing can change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved | Self::Claimed)
    }

    /// The state's name in the store, in JSON and on cards' hidden fields.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Claimed => "claimed",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Lapsed => "lapsed",
            Self::Executed => "executed",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl fmt::Display for HoldState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person as cards and errors show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonRef {
    pub id: PersonId,
    pub display_name: String,
    /// Their Slack user id, when the roster has one.
    pub slack: Option<String>,
}

/// Everything a reviewer's surface may show of a hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldView {
    pub id: HoldId,
    /// Grows with every transition; a card is stale when it was rendered from less.
    pub version: u64,
    pub state: HoldState,
    pub request: HoldRequest,
    pub asked: String,
    pub reviewers: Vec<PersonRef>,
    /// Which approvals are still wanted: `1 of privacy`. Empty once there are enough.
    #[serde(default)]
    pub wanting: Vec<String>,
    /// Where it stands among the steps of its route, and who looks.
    #[serde(default)]
    pub asking: Asking,
    /// What besides a plain approval reviewers may do with it.
    #[serde(default)]
    pub offers: Offers,
    /// The grant its approval gave.
    #[serde(default)]
    pub grant: Option<GrantView>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub votes: Vec<Vote>,
    pub resolution: Option<Resolution>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub outcome: Option<Outcome>,
}

/// What a route lets reviewers do besides approving and denying.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Offers {
    /// These may approve alone, with a reason, in an emergency.
    pub break_glass: Vec<PersonRef>,
    /// An approval may hold for statements of the same shape, for so many minutes at most; 0 for not.
    pub grant_minutes: u32,
    /// How many have to deny.
    pub denials: u32,
    /// Other holds of the same shape, agent and target that wait.
    pub alike: u32,
}

/// How the wait ended, as the proxy learns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum Resolution {
    /// `vote` is the one that completed the quorum.
    Approved {
        vote: Vote,
    },
    Denied {
        vote: Vote,
    },
    Expired,
    /// Nobody who may decide could be asked; the hold was denied early.
    Nobody {
        why: String,
    },
    Withdrawn {
        reason: WithdrawReason,
    },
}

/// Why a proxy took a hold back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawReason {
    /// The client's connection closed.
    ClientGone,
    /// The client sent Terminate.
    ClientTerminated,
    /// The client sent CancelRequest.
    ClientCancelled,
    /// The client sent more behind the held batch than may be kept.
    ClientOverflow,
    /// The target's connection closed while the batch waited.
    TargetGone,
    /// The proxy is shutting down.
    ProxyShutdown,
    /// The proxy has not been heard of any more.
    ProxyLost,
    /// The proxy's configuration changed: the batch, or its agent, would not be let through any more.
    PolicyChanged,
    /// What the batch would do changed while it waited: the target's definitions are other ones now.
    MeaningChanged,
    /// The answer to its opening never reached the proxy, which gave it up: nobody knows its id.
    AnswerLost,
}

/// For how long a proxy that says nothing more is believed to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyLease {
    pub lease_ms: u64,
}

/// What happened when an approved batch ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    Executed {
        /// Sum over the batch's command tags; `None` when no tag carries a count.
        rows: Option<u64>,
        /// The command tags, in order: `DELETE 12`.
        tags: Vec<String>,
        elapsed: Duration,
    },
    Failed {
        sqlstate: String,
        elapsed: Duration,
    },
    RolledBack {
        reason: String,
        elapsed: Duration,
    },
    /// The connection to the target broke while the batch ran: it may or may not have taken effect.
    Unknown {
        reason: String,
    },
}
