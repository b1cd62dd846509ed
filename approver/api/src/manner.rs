//! How a batch is held: what waits, and what an approval of it may be good for.

use serde::{Deserialize, Serialize};

use crate::BindingDigest;

/// What a proxy says of the way a batch is held. The default is a session that waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manner {
    /// Nobody waits: the agent was told the hold's id, and sends the same batch again. The binding names no session.
    pub ticket: bool,
    /// The statements ran already, in a transaction that waits at its COMMIT; their counts are exact.
    pub at_commit: bool,
    /// Every statement is understood, and changes rows at most: the shape says enough for a grant.
    pub plain: bool,
    /// What the statements mean here, values left out: the same text may name other tables in another session.
    /// `None`: not known well enough for a grant.
    pub shape: Option<BindingDigest>,
}
