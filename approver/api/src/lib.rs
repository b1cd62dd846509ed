//! The contract between the data path, the decision path and chat.
//!
//! Proxies and bots see the approver only through the types and traits here:
//! [`HoldDesk`] is what a proxy needs (open, wait, claim, withdraw, report), [`DecisionDesk`]
//! what reviewers' surfaces need (look, decide), [`CardDesk`] what a chat needs to keep its
//! cards true; [`GrantDesk`], [`OncallDesk`] and [`RecordDesk`] are what people ask about grants, schedules and
//! the record. All are implemented in process by the approver's server and over HTTP by
//! [`client::HttpDesk`].
//!
//! Knows no SQL text beyond already redacted strings, no wire bytes, no store and no vendor.
//! Carries invariant 2: a [`Permit`] can be made only by [`Permit::claim`], and is spent by value.

mod alike;
mod asking;
pub mod blast;
mod card;
pub mod client;
mod clock;
mod decision;
mod desk;
mod error;
mod grant;
mod hold;
mod id;
mod manner;
mod nearest;
mod notice;
mod oncall;
mod permit;
mod record;
mod seen;
mod statement;

pub use alike::{Alike, AlikeHold};
pub use asking::{AskedStep, Asking, LookRequest, LookView, NextStep};
pub use blast::{Blast, Estimate, EstimateSource};
pub use card::{CardFailure, CardReceipt, CardTask, ChatKind};
pub use clock::{Clock, ManualClock, SystemClock};
pub use decision::{BulkDecision, BulkOutcome, Claimant, Decision, DecisionRequest, Surface, Vote};
pub use desk::{CardDesk, DecisionDesk, HoldDesk, HoldFilter};
pub use error::{DecideError, DeskError};
pub use grant::{GrantDesk, GrantId, GrantRevocation, GrantView, GrantWish, Revoked};
pub use hold::{
    AgentIdentity, HoldReceipt, HoldRequest, HoldState, HoldView, Offers, Outcome, PersonRef,
    ProxyLease, RedactedStatement, Resolution, SessionInfo, TargetInfo, TransactionContext,
    WithdrawReason,
};
pub use id::{BindingDigest, HoldId, InvalidId, PersonId, SessionId};
pub use manner::Manner;
pub use nearest::nearest;
pub use notice::{NoticeBody, NoticeFailure, NoticeTask, NoticeTo};
pub use oncall::{
    MOMENT_FORM, Moment, NoMoment, OncallDesk, Override, OverrideRemoval, OverrideRequest,
    OverrideSpan, ScheduleView, ShiftView, ShiftsQuery, StandIn, Swap,
};
pub use permit::{Claimed, Permit};
pub use record::{HoldHistory, HoldSearch, HoldsFound, Named, RecordDesk, RecordLine, Which};
pub use seen::{is_hidden, says_something};
pub use statement::{FACTS_BYTES_MAX, RECORDS_MAX, ShadowHit, StatementRecord};
