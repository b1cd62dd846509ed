//! Runs a cleared batch: writes it, streams the replies back, carries COPY data, forwards cancel requests.
//!
//! Results pass in large pieces, unparsed except for what steers the session.

use std::sync::Arc;

use abeyance_wire::postgres::{
    Direction, ErrorFields, SqlState, TransactionStatus, frontend::tag, split_frame,
};

use super::{
    Session,
    cleared::Cleared,
    outcome::Ran,
    standing::Unsynced,
    ticket::Course,
    tracker::{Progress, Tracker},
    turn::{Turn, Wants, turn},
};
use crate::{
    cancel::{Cancel, cancel_upstream},
    error::{SessionError, TargetError},
};

/// A batch that did not come to its end, with what is known of it.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: SessionError,
    pub(super) ran: Ran,
}

/// What happened while a batch runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The target said something.
    Replies,
    Other,
}

impl Session {
    /// Runs a batch nobody has to be told of. `rolls_back`: it does nothing else.
    pub(super) async fn relay_allowed(
        &mut self,
        cleared: Cleared,
        rolls_back: bool,
    ) -> Result<(), SessionError> {
        match self.relay(cleared).await {
            Ok(ran) if rolls_back && ran.rolled_back() && !self.standing.is_unsynced() => {
                // Also behind ROLLBACK AND CHAIN, whose next transaction is a new one.
                self.deferred = None;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(broken) => Err(broken.error),
        }
    }

    /// Runs a batch to its end: the one place a client's statements are written.
    pub(super) async fn relay(&mut self, cleared: Cleared) -> Result<Ran, Broken> {
        let (stirs, drift) = (cleared.stirs(), cleared.drift());
        let before = self.inside();
        self.sight.runs(stirs);
        let ran = self.relay_cleared(cleared).await;
        // Also when it failed: what of it ran is not looked at.
        let inside = self.inside();
        self.sight.ran(stirs, inside);
        if !inside {
            self.deferred = None;
        }
        let whole = ran.as_ref().is_ok_and(Ran::succeeded);
        let course = Course {
            before,
            inside,
            whole,
        };
        self.standing.context.ran(drift, course);
        ran
    }

    /// A transaction is open, explicit or not.
    fn inside(&self) -> bool {
        self.standing.status != TransactionStatus::Idle || self.standing.is_unsynced()
    }

    async fn relay_cleared(&mut self, cleared: Cleared) -> Result<Ran, Broken> {
        if self.needs_bracket(&cleared) {
            return Box::pin(self.relay_bracketed(cleared)).await;
        }
        let clearance = cleared.clearance();
        let permitted = clearance != super::ledger::Clearance::Allowed;
        self.standing.reading_doubt |= cleared.reading_doubt();
        let unseen = cleared.runs_unseen_code();
        let steps = self.target.write_batch(cleared);
        self.standing.unsynced = self.standing.unsynced.max(Unsynced::by(&steps));
        let mut tracker = Tracker::new(steps, clearance);
        let mut progress = tracker.begin(&mut self.ledger);
        while matches!(progress, Progress::Running | Progress::CopyIn) {
            progress = match self.relay_turn(&mut tracker, permitted).await {
                Ok(progress) => progress,
                Err(error) => {
                    let ran = tracker.into_ran();
                    return Err(Broken { error, ran });
                }
            };
        }
        if progress == Progress::Failed {
            self.collector.skip_to_sync();
        }
        if unseen {
            // Also when it failed: names are not given back by a rollback.
            self.ledger.suspect_all();
        }
        Ok(tracker.into_ran())
    }

    async fn relay_turn(
        &mut self,
        tracker: &mut Tracker,
        permitted: bool,
    ) -> Result<Progress, SessionError> {
        if tracker.copying_in() {
            self.pump_copy(tracker)?;
        }
        match self.relay_event(tracker.copying_in(), permitted).await? {
            Event::Replies => self.pass_replies(tracker),
            Event::Other => Ok(Progress::Running),
        }
    }

    /// Waits for something to happen while a batch runs. `copying`: the client's COPY data is wanted.
    pub(super) async fn relay_event(
        &mut self,
        copying: bool,
        permitted: bool,
    ) -> Result<Event, SessionError> {
        let limits = &self.gateway.limits;
        // COPY data is taken off the input as it becomes whole; the rest is read ahead within a bound.
        let room = copying || self.client.input.len() < limits.read_ahead_bytes_max;
        let wants = Wants {
            client: room && !self.client_lost && !self.client.at_eof(),
            unwritten_max: limits.outbox_bytes_max,
        };
        // Every arm is cancel-safe: sockets fill their own buffers, the channel keeps what it has.
        tokio::select! {
            biased;
            happened = turn(&mut self.client, &mut self.target, wants) => match happened {
                Turn::Client | Turn::Drained => Ok(Event::Other),
                Turn::Target => Ok(Event::Replies),
                Turn::ClientGone if self.client.at_eof() && !copying => {
                    // Its half may be closed on purpose: what runs goes on, as in the server.
                    Ok(Event::Other)
                }
                Turn::ClientGone if permitted && !copying => {
                    // The outcome of an approved batch is wanted even if its client is not.
                    self.lose_client();
                    Ok(Event::Other)
                }
                Turn::ClientGone => Err(SessionError::ClientGone),
                Turn::TargetGone(error) => Err(error.map_or(TargetError::Gone, TargetError::Io).into()),
            },
            Some(request) = self.slot.requests.recv() => {
                self.forward_cancel(request);
                Ok(Event::Other)
            }
            () = &mut self.deadline => {
                // Not awaited by anybody: what runs should end with its session.
                let (request, _) = tokio::sync::oneshot::channel();
                self.forward_cancel(request);
                Err(SessionError::Shutdown)
            }
        }
    }

    /// Passes on what came from the target, and looks at what steers the session.
    fn pass_replies(&mut self, tracker: &mut Tracker) -> Result<Progress, SessionError> {
        let mut progress = Progress::Running;
        let mut walk = self.target.walk();
        for seen in &mut walk {
            let seen = seen.map_err(|error| TargetError::Malformed(error.to_string()))?;
            progress =
                tracker.reply(seen.tag, seen.body(), &mut self.ledger, &mut self.standing)?;
            if matches!(
                progress,
                Progress::Ready | Progress::Flushed | Progress::Failed
            ) {
                break;
            }
        }
        let passed = walk.forwardable();
        let bytes = self.target.take(passed);
        if !self.client_lost {
            self.client.outbox.push(bytes);
        }
        if tracker.fatal() {
            // The target's own last words are enough.
            return Err(SessionError::TargetEnded);
        }
        Ok(progress)
    }

    /// Moves the client's COPY data on while the target wants it.
    pub(super) fn pump_copy(&mut self, tracker: &mut Tracker) -> Result<(), SessionError> {
        let outbox_max = self.gateway.limits.outbox_bytes_max;
        let message_max = self.gateway.limits.message_bytes_max;
        while tracker.copying_in() && self.target.unwritten() < outbox_max {
            let split = split_frame(&mut self.client.input, Direction::Frontend, message_max)?;
            let Some(frame) = split else {
                if self.client.at_eof() {
                    return Err(SessionError::ClientGone);
                }
                return Ok(());
            };
            match frame.tag() {
                tag::COPY_DATA => self.target.write_copy(frame),
                tag::COPY_DONE | tag::COPY_FAIL => {
                    tracker.copy_ended();
                    self.target.write_copy(frame);
                    self.flush_copy(tracker);
                }
                // The server drops these while it reads COPY data; so do we.
                tag::FLUSH | tag::SYNC => {}
                tag::TERMINATE => return Err(SessionError::ClientGone),
                // Nothing else may reach the target unjudged, and the server would end the session too.
                other => return Err(out_of_step(other)),
            }
        }
        Ok(())
    }

    /// In the extended protocol the server keeps the end of a COPY to itself until Flush or Sync comes, and
    /// the client's Sync is looked at only when the batch has ended.
    fn flush_copy(&mut self, tracker: &Tracker) {
        if tracker.executes() {
            self.target.write_flush();
        }
    }

    pub(super) fn lose_client(&mut self) {
        self.client_lost = true;
        self.client.abandon();
    }

    /// Asks the target to cancel what runs, beside the session.
    pub(super) fn forward_cancel(&self, request: Cancel) {
        let Some((process_id, key)) = self.target.cancel.clone() else {
            return;
        };
        let target = Arc::clone(&self.identity.target);
        let limit = self.gateway.limits.exchange_timeout;
        self.gateway.background.spawn(async move {
            let asked = tokio::time::timeout(limit, cancel_upstream(&target, process_id, &key));
            match asked.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the target could not be asked to cancel"),
                Err(_) => tracing::warn!("asking the target to cancel took too long"),
            }
            drop(request);
        });
    }
}

/// A message that has no place in COPY data.
fn out_of_step(tag: u8) -> SessionError {
    SessionError::Refused(
        ErrorFields::fatal(
            SqlState::PROTOCOL_VIOLATION,
            "terminating connection because protocol synchronization was lost",
        )
        .detail(format!(
            "Unexpected message type 0x{tag:02X} during COPY from stdin."
        )),
    )
}
