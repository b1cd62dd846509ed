//! Waiting for a decision.

use std::{sync::Arc, time::Duration};

use abeyance_api::{DeskError, Resolution, WithdrawReason};
use abeyance_wire::postgres::ErrorFields;
use tokio::time::{Instant, interval_at, sleep_until};

use super::super::{
    Session,
    batch::terminates,
    turn::{Turn, Wants, turn},
    wording,
};
use crate::error::{SessionError, TargetError};

/// How waiting ended.
pub(super) enum Waited {
    Approved,
    /// The client is told; the hold is taken back when nobody else has ended it.
    Refused(ErrorFields, Option<WithdrawReason>),
    /// The session ends.
    Over(SessionError, WithdrawReason),
}

impl Session {
    /// Waits for a decision, and for everything that makes one pointless.
    pub(super) async fn wait(&mut self, story: &wording::Story<'_>) -> Waited {
        let desk = Arc::clone(&self.gateway.desk);
        let mut decision = desk.hold_wait(&story.receipt.id);
        let expiry = self.until(story) + self.gateway.limits.expiry_grace;
        let overdue = sleep_until(Instant::now() + expiry);
        tokio::pin!(overdue);
        let every = self.gateway.limits.notice_interval;
        let mut notices = interval_at(Instant::now() + every, every);
        self.notify(&story.notice(self.until(story)));
        loop {
            if let Some(over) = self.client_left() {
                return over;
            }
            let wants = Wants {
                client: true,
                unwritten_max: self.gateway.limits.outbox_bytes_max,
            };
            // Every arm is cancel-safe: sockets fill their own buffers, the channel keeps what it has,
            // `hold_wait` promises it.
            tokio::select! {
                biased;
                happened = turn(&mut self.client, &mut self.target, wants) => match happened {
                    Turn::Client | Turn::Drained => {}
                    Turn::ClientGone => {
                        return Waited::Over(SessionError::ClientGone, WithdrawReason::ClientGone);
                    }
                    Turn::Target => if let Err(error) = self.pass_asynchronous() {
                        return Waited::Over(error, WithdrawReason::TargetGone);
                    },
                    Turn::TargetGone(_) => {
                        return Waited::Over(TargetError::Gone.into(), WithdrawReason::TargetGone);
                    }
                },
                Some(_request) = self.slot.requests.recv() => {
                    return Waited::Refused(story.cancelled(), Some(WithdrawReason::ClientCancelled));
                }
                resolution = &mut decision => return resolved(resolution, story),
                _ = notices.tick() => self.notify(&story.reminder(self.until(story))),
                () = &mut overdue => {
                    return Waited::Refused(story.overdue(), Some(WithdrawReason::ClientGone));
                }
                () = &mut self.deadline => {
                    return Waited::Over(SessionError::Shutdown, WithdrawReason::ProxyShutdown);
                }
                // The batch itself is judged again once it is approved.
                () = &mut self.superseded => if let Err(error) = self.still_welcome() {
                    return Waited::Over(error, WithdrawReason::PolicyChanged);
                },
            }
        }
    }

    /// What the client sent behind the held batch ends the hold when it is Terminate or too much.
    pub(super) fn client_left(&self) -> Option<Waited> {
        let ahead = &self.client.input;
        if terminates(ahead) {
            let reason = WithdrawReason::ClientTerminated;
            return Some(Waited::Over(SessionError::ClientGone, reason));
        }
        if self.client.at_eof() {
            let reason = WithdrawReason::ClientGone;
            return Some(Waited::Over(SessionError::ClientGone, reason));
        }
        let max = self.gateway.limits.buffered_while_held_bytes_max;
        (ahead.len() > max).then(|| {
            let error = SessionError::Overflow { max };
            Waited::Over(error, WithdrawReason::ClientOverflow)
        })
    }

    pub(super) fn until(&self, story: &wording::Story<'_>) -> Duration {
        let left = story.receipt.expires_at - self.gateway.clock.now();
        left.to_std().unwrap_or_default()
    }

    fn notify(&mut self, notice: &ErrorFields) {
        self.client.outbox.encode(|out| notice.encode_notice(out));
    }
}

pub(super) fn resolved(
    resolution: Result<Resolution, DeskError>,
    story: &wording::Story<'_>,
) -> Waited {
    match resolution {
        Ok(Resolution::Approved { .. }) => Waited::Approved,
        Ok(Resolution::Denied { vote }) => Waited::Refused(story.denied(&vote), None),
        Ok(Resolution::Expired) => Waited::Refused(story.expired(), None),
        Ok(Resolution::Nobody { why }) => Waited::Refused(story.nobody(&why), None),
        Ok(Resolution::Withdrawn { .. }) => Waited::Refused(story.withdrawn(), None),
        Err(error) => {
            tracing::warn!(%error, hold = story.receipt.id.as_str(), "the approver went away");
            Waited::Refused(story.unreachable(&error), Some(WithdrawReason::ClientGone))
        }
    }
}
