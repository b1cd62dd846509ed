//! The loop that keeps cards true.
//!
//! It takes the cards that do not show their hold's latest state, and delivers them: one at a time
//! inside a channel, several channels side by side. Signals only wake it and a timer repairs lost
//! signals, so normal running, restart and recovery are one path. It holds no state that
//! matters: what it has taken and not delivered is handed out again by the desk. A slow
//! chat never delays a decision, because decisions do not pass through here.

use std::{collections::HashMap, future::Future, pin::pin, sync::Arc, time::Duration};

use abeyance_api::{CardDesk, CardTask, DeskError, HoldId, HoldState};
use tokio::{
    task::{self, JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{ChatPort, backoff, limits};

mod deliver;

use deliver::{Delivery, Finished};

/// Delivers cards through one chat until told to stop.
#[derive(Clone)]
pub struct Reconciler {
    port: Arc<dyn ChatPort>,
    desk: Arc<dyn CardDesk>,
}

impl std::fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconciler")
            .field("chat", &self.port.kind())
            .finish_non_exhaustive()
    }
}

impl Reconciler {
    #[must_use]
    pub fn new(port: Arc<dyn ChatPort>, desk: Arc<dyn CardDesk>) -> Self {
        Self { port, desk }
    }

    /// Runs until `shutdown`, then lets deliveries that have begun end.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut work = Work::default();
        let mut desk_failures = 0;
        while !shutdown.is_cancelled() {
            let mut take = pin!(self.take(work.room()));
            let taken = tokio::select! {
                biased;
                taken = &mut take => taken,
                // What it takes is leased to us: dropped, it would not be shown before the next start.
                () = shutdown.cancelled() => match timeout(limits::LAST_WORDS_MAX, take).await {
                    Ok(taken) => taken,
                    Err(_) => break,
                },
            };
            match taken {
                Ok(tasks) => {
                    desk_failures = 0;
                    work.queue(tasks, self);
                }
                Err(error) => {
                    warn!(%error, "cards due could not be read; trying again");
                    desk_failures += 1;
                }
            }
            work.start(self);
            self.rest(&mut work, desk_failures, &shutdown).await;
        }
        let _in_time = timeout(limits::LAST_WORDS_MAX, self.last_words(&mut work)).await;
        work.drain().await;
    }

    /// What the stop itself changed, such as holds that were taken back, is shown if that takes no time.
    async fn last_words(&self, work: &mut Work) {
        while let Ok(tasks) = self.take(work.room()).await {
            work.queue(tasks, self);
            work.start(self);
            let Some(finished) = work.running.join_next_with_id().await else {
                return;
            };
            work.finished(finished);
        }
    }

    fn delivery(&self, task: CardTask) -> Delivery {
        Delivery {
            port: Arc::clone(&self.port),
            desk: Arc::clone(&self.desk),
            task,
        }
    }

    async fn take(&self, room: usize) -> Result<Vec<CardTask>, DeskError> {
        if room == 0 {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        desk_call(self.desk.cards_due(self.port.kind(), limit)).await
    }

    /// Waits for whatever comes first. Every arm is cancel-safe: wake-ups carry no facts, and
    /// `join_next` gives back what it did not return.
    async fn rest(&self, work: &mut Work, desk_failures: u32, shutdown: &CancellationToken) {
        let repair = work.repair_in();
        // A desk that is away may answer "changed" at once, and so does one whose cards we have
        // no room for: do not spin on it.
        let listens = desk_failures == 0 && work.room() > 0;
        let signal = async {
            if listens {
                self.desk.cards_changed(limits::REPAIR_EVERY).await;
            } else {
                sleep(backoff(
                    desk_failures,
                    limits::BACKOFF_FIRST,
                    limits::BACKOFF_MAX,
                ))
                .await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            Some(finished) = work.running.join_next_with_id() => work.finished(finished),
            () = signal => {}
            () = sleep(repair), if listens => {}
        }
    }
}

/// A desk call with a bound of its own.
async fn desk_call<T>(call: impl Future<Output = Result<T, DeskError>>) -> Result<T, DeskError> {
    timeout(limits::DESK_CALL_MAX, call)
        .await
        .unwrap_or_else(|_| {
            Err(DeskError::Unavailable {
                detail: format!("no answer in {} s", limits::DESK_CALL_MAX.as_secs()),
            })
        })
}

struct Queued {
    task: CardTask,
    since: Instant,
}

impl Queued {
    fn new(task: CardTask) -> Self {
        Self {
            task,
            since: Instant::now(),
        }
    }

    /// A card people wait for, before cards that only tell how it ended.
    fn urgent(&self) -> bool {
        self.task.message.is_none() && self.task.hold.state == HoldState::Pending
    }
}

/// What was taken from the desk and is not back yet.
#[derive(Default)]
struct Work {
    queue: Vec<Queued>,
    /// The channel and hold of each delivery in flight; at most one a channel.
    lanes: HashMap<task::Id, (String, HoldId)>,
    /// Channels the chat asked us to leave alone.
    paused: HashMap<String, Instant>,
    /// Flooded channels, and when the last card that was handed back is expected again.
    slots: HashMap<String, Instant>,
    running: JoinSet<Finished>,
}

impl Work {
    fn room(&self) -> usize {
        limits::QUEUED_MAX.saturating_sub(self.queue.len())
    }

    /// Takes cards in. What is above its channel's share goes back to the desk.
    fn queue(&mut self, tasks: Vec<CardTask>, reconciler: &Reconciler) {
        for task in tasks {
            let in_flight = |(channel, hold): &(String, HoldId)| {
                *channel == task.channel && *hold == task.hold.id
            };
            // A first post in flight outlived its lease: its outcome decides what comes next.
            // An update waits for its lane instead: the delivery in it may be noted already,
            // and nobody would hand this one out again before its lease ends.
            if task.message.is_none() && self.lanes.values().any(in_flight) {
                continue;
            }
            let here = self
                .queue
                .iter_mut()
                .filter(|old| old.task.channel == task.channel);
            let (mut count, mut same) = (0, None);
            for old in here {
                count += 1;
                if old.task.hold.id == task.hold.id {
                    same = Some(old);
                }
            }
            match same {
                Some(old) => *old = Queued::new(task),
                None if count < limits::QUEUED_IN_CHANNEL_MAX => self.queue.push(Queued::new(task)),
                None => {
                    let wait = self.next_slot(&task.channel);
                    self.running
                        .spawn(reconciler.delivery(task).hand_back(wait));
                }
            }
        }
    }

    /// When a card that found its channel full should come again.
    fn next_slot(&mut self, channel: &str) -> Duration {
        let now = Instant::now();
        let queue_drained = now + limits::DRAIN_EVERY * limits::QUEUED_IN_CHANNEL_MAX as u32;
        let slot = self
            .slots
            .entry(channel.to_owned())
            .or_insert(queue_drained);
        *slot = (*slot).max(queue_drained) + limits::DRAIN_EVERY;
        (*slot - now).min(limits::HANDED_BACK_MAX)
    }

    /// How long until something here may go on by itself.
    fn repair_in(&self) -> Duration {
        let now = Instant::now();
        let pauses = self
            .paused
            .values()
            .map(|until| until.saturating_duration_since(now));
        pauses
            .min()
            .unwrap_or(limits::REPAIR_EVERY)
            .clamp(Duration::from_millis(100), limits::REPAIR_EVERY)
    }

    fn start(&mut self, reconciler: &Reconciler) {
        let now = Instant::now();
        self.queue
            .retain(|queued| now - queued.since < limits::QUEUED_AGE_MAX);
        self.paused.retain(|_, until| *until > now);
        self.slots.retain(|_, until| *until > now);
        while self.lanes.len() < limits::LANES_MAX {
            let Some(next) = self.next() else { break };
            let task = self.queue.remove(next).task;
            let lane = (task.channel.clone(), task.hold.id.clone());
            let id = self.running.spawn(reconciler.delivery(task).run()).id();
            self.lanes.insert(id, lane);
        }
    }

    /// The first card that may go now, urgent ones first.
    fn next(&self) -> Option<usize> {
        let free = |queued: &Queued| {
            !self.paused.contains_key(&queued.task.channel)
                && !self
                    .lanes
                    .values()
                    .any(|(channel, _)| *channel == queued.task.channel)
        };
        self.queue
            .iter()
            .position(|queued| queued.urgent() && free(queued))
            .or_else(|| self.queue.iter().position(free))
    }

    fn finished(&mut self, finished: Result<(task::Id, Finished), JoinError>) {
        let (id, finished) = match finished {
            Ok((id, finished)) => (id, Some(finished)),
            Err(error) => {
                warn!(%error, "a delivery ended abnormally; the desk will hand its card out again");
                (error.id(), None)
            }
        };
        let lane = self.lanes.remove(&id);
        if let (Some((channel, _)), Some(pause)) = (lane, finished.and_then(|it| it.pause)) {
            debug!(
                channel,
                seconds = pause.as_secs(),
                "the chat asked for a pause"
            );
            self.paused.insert(channel, Instant::now() + pause);
        }
    }

    async fn drain(&mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if timeout(limits::SHUTDOWN_MAX, all).await.is_err() {
            // What was cut is in doubt in the store, and looked up before it is posted again.
            self.running.abort_all();
        }
    }
}

/// How long to leave a channel alone, from what the chat said.
fn bounded_pause(retry_after: Duration) -> Duration {
    retry_after.clamp(Duration::from_millis(500), limits::RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests;
