//! Who asks, where, when, and what running it would do: everything besides facts that a verdict
//! may rest on. Plain values; `None` is always "not known" and never "no".

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Who asks, and where. Whatever may change between two runs of one text is in `moment` and `blast`.
///
/// Start from [`Context::new`]: what is not set then is unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Context<'a> {
    pub agent: &'a str,
    /// Who answers for the agent; `None` when nobody is named.
    pub owner: Option<&'a str>,
    /// On whose behalf it acts; `None` when nobody is named.
    pub actor: Option<&'a str>,
    pub access: Access,
    pub target: &'a str,
    /// The database's own name; `None` when unknown.
    pub database: Option<&'a str>,
    /// The target's label; `None` when it has none.
    pub environment: Option<&'a str>,
    /// `None` where verdicts are made ahead of a run, or kept for the next one.
    pub moment: Option<Moment<'a>>,
    /// `None` before probing, or when probing failed.
    pub blast: Option<&'a Blast>,
}

impl<'a> Context<'a> {
    /// An agent at a target; nothing else is known.
    #[must_use]
    pub fn new(agent: &'a str, target: &'a str) -> Self {
        Self {
            agent,
            owner: None,
            actor: None,
            access: Access::ReadWrite,
            target,
            database: None,
            environment: None,
            moment: None,
            blast: None,
        }
    }
}

/// What the target lets the agent do without an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    ReadOnly,
    #[default]
    ReadWrite,
}

impl Access {
    /// As configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::ReadWrite => "read_write",
        }
    }
}

/// One session at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment<'a> {
    pub now: DateTime<Utc>,
    /// Inside a transaction block that the client opened.
    pub in_transaction: Option<bool>,
    /// Empty when the client gave none.
    pub application_name: Option<&'a str>,
    /// The address alone, without a port.
    pub client_addr: Option<&'a str>,
    /// Since authentication.
    pub session_age: Option<Duration>,
    /// Statements in the whole batch.
    pub statements_in_batch: Option<u64>,
}

impl Moment<'_> {
    /// An instant of a session nothing else is known of.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self {
            now,
            in_transaction: None,
            application_name: None,
            client_addr: None,
            session_age: None,
            statements_in_batch: None,
        }
    }
}

/// What probing the target said that running the statement would do. Numbers are upper bounds as
/// far as the probe can give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Blast {
    /// Rows of the named relations that would be written, or returned by a read.
    pub rows: Option<u64>,
    /// Rows of other tables that would go or change through foreign keys.
    pub cascade_rows: Option<u64>,
    /// Sessions that would wait for the locks it takes.
    pub blocked_sessions: Option<u64>,
    /// Writes a whole table anew.
    pub rewrites: Option<bool>,
    /// Reads a whole table where an index would be expected.
    pub full_scan: Option<bool>,
    /// Something can restore what it changes once it is committed.
    pub reversible: Option<bool>,
    /// Runs inside a transaction block, so that a guard can roll it back.
    pub transactional: Option<bool>,
}
