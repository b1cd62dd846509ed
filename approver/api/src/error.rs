//! What can go wrong at the desk. Every variant says what the other side should do.

use serde::{Deserialize, Serialize};

use crate::HoldState;

/// The desk could not do what was asked. Any doubt denies (invariant 4): a proxy that sees
/// one of these runs nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum DeskError {
    /// No approver answered, or its store is down.
    #[error("the approver cannot be reached: {detail}")]
    Unavailable { detail: String },
    /// The request was understood and refused.
    #[error("the approver refused the request: {detail}")]
    Refused { detail: String },
    /// The route does not hold what is inside a transaction, whose locks stay taken.
    #[error("route {route} asks nobody while a transaction is open")]
    InTransaction { route: String },
    #[error("no such hold")]
    NotFound,
    /// The hold is no longer in a state that allows this.
    #[error("the hold is already {state}")]
    Conflict { state: HoldState },
    /// Somebody tried to run something other than what was approved.
    #[error("the hold was approved for a different statement, session, target or agent")]
    BindingMismatch,
}

/// Why a decision did not count. Shown to the person who clicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum DecideError {
    #[error("there is no hold with that id")]
    NotFound,
    /// The click came from somebody the roster does not know.
    #[error("you are not in the roster of reviewers; ask a platform engineer to add you")]
    UnknownPerson,
    /// Known, but not a reviewer of this hold's route.
    #[error("you are not a reviewer of route {route}")]
    NotAReviewer { route: String },
    /// The agent's owner and its actor never decide.
    #[error("you own this agent or it acts for you; somebody else has to approve it")]
    OwnAgent,
    /// Too late.
    #[error("this hold is already {state}{by}", by = .by.as_deref().map(|p| format!(" by {p}")).unwrap_or_default())]
    AlreadyResolved {
        state: HoldState,
        by: Option<String>,
    },
    /// Not one of those who may approve alone.
    #[error("you may not break the glass of route {route}")]
    NoBreakGlass { route: String },
    #[error("{detail}")]
    Invalid { detail: String },
    #[error("the approver could not record the decision: {detail}; nothing ran, try again")]
    Unavailable { detail: String },
}
