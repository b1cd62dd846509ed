//! What running a statement would do to others and to the future, as far as its text tells.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Locks, rewrites, what is left to undo, and how far it reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// The strongest lock on the existing relations that are named. What the server locks
    /// besides (partitions, children, tables that reference these) only the catalog knows.
    pub lock: TableLock,
    pub rewrite: Rewrite,
    pub undo: Undo,
    /// Runs inside a transaction block, so that a guard can roll it back.
    pub transactional: bool,
    /// CASCADE is written: dependent objects or rows of other tables go too.
    pub cascades: bool,
    pub reach: BTreeSet<Reach>,
}

impl Impact {
    /// Of a statement nothing is known of.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            lock: TableLock::None,
            rewrite: Rewrite::Possible,
            undo: Undo::Unknown,
            transactional: false,
            cascades: false,
            reach: BTreeSet::new(),
        }
    }
}

/// Table-level lock modes, weakest first (manual, chapter 13.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableLock {
    None,
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

impl TableLock {
    /// Others cannot insert, update or delete meanwhile.
    #[must_use]
    pub fn blocks_writes(self) -> bool {
        self >= Self::Share
    }

    /// Others cannot even read meanwhile.
    #[must_use]
    pub fn blocks_reads(self) -> bool {
        self == Self::AccessExclusive
    }
}

/// Whether every row is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rewrite {
    No,
    /// Depends on what the catalog says.
    Possible,
    Yes,
}

/// What is left to do once it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Nothing was changed.
    Nothing,
    /// Another statement restores it, and no row was lost.
    Counterpart,
    /// ROLLBACK, until it is committed; afterwards a backup.
    UntilCommit,
    /// Nothing at all: it takes effect at once, or outside the database.
    Never,
    Unknown,
}

/// What a statement touches besides the database's own objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Files of the database server.
    ServerFile,
    /// Programs or libraries on the database server.
    Program,
    /// Connections that do not pass this proxy.
    Network,
    /// Other people's sessions, or the whole server.
    OtherSessions,
}
