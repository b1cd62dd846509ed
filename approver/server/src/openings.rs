//! Openings of which their caller does not know what they did: taken back by the key they were made under.

use abeyance_api::{DeskError, HoldReceipt, HoldRequest, WithdrawReason};
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use crate::{Approver, limits};

/// Between two tries.
const AGAIN_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

impl Approver {
    /// Opens a hold for a caller in this process, who may go away meanwhile: then it is taken back, since nobody knows
    /// its id.
    pub(crate) async fn hold_open_inside(
        &self,
        request: HoldRequest,
        reply: oneshot::Sender<Result<HoldReceipt, DeskError>>,
    ) {
        let key = Uuid::new_v4();
        let inside = Some(self.own_instance());
        let opened = self.hold_open_once(request, key, inside).await;
        // A store that did not answer in time may do it yet.
        let doubt = matches!(opened, Err(DeskError::Unavailable { .. }));
        let reason = match reply.send(opened) {
            _ if doubt => WithdrawReason::AnswerLost,
            Err(Ok(_unheard)) => WithdrawReason::ClientGone,
            Ok(()) | Err(Err(_)) => return,
        };
        let Ok(_one_of_few) = self.0.doubted.try_acquire() else {
            tracing::warn!(%key, "an opening in doubt stays until its time is over");
            return;
        };
        let until = Instant::now() + limits::OPENINGS_DOUBTED_FOR;
        while let Err(error) = self.opening_withdraw(key, reason).await {
            if Instant::now() >= until || self.0.stopping.is_cancelled() {
                tracing::warn!(%key, %error, "an opening in doubt stays until its time is over");
                return;
            }
            // Both arms are cancel-safe.
            tokio::select! {
                () = self.0.stopping.cancelled() => {}
                () = tokio::time::sleep(AGAIN_AFTER) => {}
            }
        }
    }

    /// Takes back whatever was opened under `key`, and refuses what comes under it later. A ticket stays: its agent
    /// finds it again by sending the same statement.
    pub(crate) async fn opening_withdraw(
        &self,
        key: Uuid,
        reason: WithdrawReason,
    ) -> Result<(), DeskError> {
        let now = self.0.clock.now();
        let withdrawn = self.0.store.opening_withdraw(key, reason, now).await?;
        match withdrawn {
            Some(hold) => tracing::info!(%hold, ?reason, "taken back by the key of its opening"),
            None => tracing::info!(%key, "no hold was made under a key that is closed now"),
        }
        Ok(())
    }
}
