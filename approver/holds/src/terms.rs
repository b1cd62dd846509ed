//! What a route says of a hold beside its quorum, as it was when the hold was made.

use std::num::NonZeroU32;

use abeyance_api::GrantId;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::limits;

/// The smaller print of a hold. Holds from before it existed have the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// How many people have to deny.
    pub denials: NonZeroU32,
    /// How long an approval waits for its claim.
    pub claim_seconds: u32,
    /// No session waits: the agent comes back for it.
    pub ticket: bool,
    /// What a grant for its shape may be like; `None`: there is none to be had.
    pub grantable: Option<Grantable>,
    /// The grant it was approved by.
    pub by_grant: Option<ByGrant>,
}

/// What a grant may be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grantable {
    pub minutes_max: u32,
    /// The most rows each use may change; `None` for what changes none.
    pub rows_cap: Option<u64>,
}

/// A grant at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByGrant {
    pub grant: GrantId,
    pub rows_cap: Option<u64>,
}

impl Default for Terms {
    fn default() -> Self {
        let seconds = limits::APPROVAL_LIFE.num_seconds();
        Self {
            denials: NonZeroU32::MIN,
            claim_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            ticket: false,
            grantable: None,
            by_grant: None,
        }
    }
}

impl Terms {
    /// How long an approval waits for its claim.
    #[must_use]
    pub fn approval_life(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.claim_seconds))
    }
}
