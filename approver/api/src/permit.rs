//! The proof that a held batch may run.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{BindingDigest, DeskError, HoldDesk, HoldId, Vote};

/// What the approver answers to a successful claim. Data only: it authorises nothing until
/// [`Permit::claim`] has checked it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claimed {
    pub hold: HoldId,
    pub binding: BindingDigest,
    pub vote: Vote,
    pub at: DateTime<Utc>,
}

/// The single-use proof that one batch, byte for byte, may run in one session.
///
/// It cannot be cloned, deserialised or built by hand: [`Permit::claim`] is the only way to get
/// one, and it returns only when the approver has durably recorded the claim.
#[derive(Debug)]
pub struct Permit {
    claimed: Claimed,
}

impl Permit {
    /// Claims an approved hold. Succeeds at most once per hold.
    ///
    /// # Errors
    /// Whatever the desk answers, and [`DeskError::BindingMismatch`] when the answer is for
    /// another hold or another batch.
    pub async fn claim(
        desk: &dyn HoldDesk,
        hold: &HoldId,
        binding: BindingDigest,
    ) -> Result<Self, DeskError> {
        let claimed = desk.hold_claim(hold, binding).await?;
        if claimed.hold != *hold || claimed.binding != binding {
            return Err(DeskError::BindingMismatch);
        }
        Ok(Self { claimed })
    }

    /// The hold this permit came from.
    #[must_use]
    pub fn hold(&self) -> &HoldId {
        &self.claimed.hold
    }

    /// Whether the permit is for exactly this batch. The function that writes upstream asks this last.
    #[must_use]
    pub fn covers(&self, binding: BindingDigest) -> bool {
        self.claimed.binding == binding
    }

    /// The vote that completed the quorum.
    #[must_use]
    pub fn vote(&self) -> &Vote {
        &self.claimed.vote
    }
}
