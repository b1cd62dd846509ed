//! What judging comes to: steps to follow, and whether the batch runs, waits or is refused.

use std::sync::Arc;

use abeyance_policy::Review;
use abeyance_sql::StatementFacts;
use abeyance_wire::postgres::{ErrorFields, TransactionStatus};

use crate::session::{
    ledger::{Bound, Prepared},
    reading::Reading,
};

/// What each message of a batch will do, in order; what the replies are checked against.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Query {
        reading: Arc<Reading>,
    },
    Parse {
        name: Box<[u8]>,
        prepared: Arc<Prepared>,
    },
    Bind {
        portal: Box<[u8]>,
        prepared: Arc<Prepared>,
        bound: Arc<Bound>,
    },
    Describe,
    Execute {
        portal: Box<[u8]>,
        prepared: Arc<Prepared>,
    },
    CloseStatement {
        name: Box<[u8]>,
    },
    ClosePortal {
        name: Box<[u8]>,
    },
    Flush,
    Sync,
}

/// What is to happen to a batch.
#[derive(Debug)]
pub(crate) enum Finding {
    Allowed,
    Held(Box<Held>),
    Refused(Refused),
}

impl Finding {
    /// How guarded: 0 allowed, 1 held, 2 refused.
    pub(super) fn guard(&self) -> u8 {
        match self {
            Self::Allowed => 0,
            Self::Held(_) => 1,
            Self::Refused(_) => 2,
        }
    }
}

/// A batch somebody has to decide on.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) rule: String,
    pub(crate) route: String,
    pub(crate) reasons: Vec<String>,
    /// Every statement that would run, references resolved.
    pub(crate) statements: Vec<StatementFacts>,
    pub(crate) place: Place,
    /// What the batch itself gives with `SET abeyance.reason`.
    pub(crate) reason: Option<String>,
    /// What is asked about.
    pub(crate) review: Review,
    /// What ran before it in its transaction is asked about, too.
    pub(crate) at_commit: bool,
}

/// A batch that does not run at all.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) fields: ErrorFields,
    pub(crate) place: Place,
}

/// Where in a batch a statement is held or refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The transaction state PostgreSQL would have been in when the statement failed.
    pub(crate) status: TransactionStatus,
    /// In a message of the extended protocol: after an error everything up to Sync is skipped.
    pub(crate) extended: bool,
}
