//! The hold machine: what a hold may become, who may make it so, and what is written down.
//!
//! Pure: time is an argument, people and rosters are arguments, and the answer is a value. Knows no
//! SQL, no HTTP, no chat and no store. [`transition`] is the only way a hold changes.
//!
//! Carries invariant 2 (a claim succeeds once, for the batch that was shown), invariant 4 (any
//! doubt refuses) and invariant 9 (people are counted, and owners never approve their own).

pub mod alike;
mod audit;
mod eligible;
pub mod escalation;
pub mod grant;
mod hold;
pub mod limits;
pub mod oncall;
pub mod quorum;
mod terms;
mod transition;

pub use audit::{AuditEvent, LapseCause, ProxyCall};
pub use eligible::{Ineligible, Roster, eligible, quorum_possible};
pub use hold::{Hold, NewHold};
pub use terms::{ByGrant, Grantable, Terms};
pub use transition::{Ballot, BreakGlass, Event, Glance, GrantUse, Refusal, transition};
