//! Keeps one target's catalog true while there are sessions: the one task that reads it.
//!
//! Looks at what was asked for and what is published, and closes the gap; a wake-up only makes it look sooner, a timer
//! repairs what was missed. Checks are cheap and tell whether a catalog still holds; only another state is read
//! anew. Its connection is open between checks and closed with the last session.

use std::{sync::Arc, time::Duration};

use abeyance_wire::postgres::scram::ScramPassword;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    cache::{TargetCatalog, lock},
    load::{Cause, Line, Loaded, State, within},
    patterns::PatternWatch,
    view::Shared,
};
use crate::{
    Target,
    limits::{CATALOG_LINGER, CATALOG_RETRY, CATALOG_UNCHECKED_POLLS_MAX},
    upstream::Login,
};

/// What the task is made of.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) catalog: Arc<TargetCatalog>,
    pub(crate) target: Arc<Target>,
    pub(crate) patterns: Arc<PatternWatch>,
    pub(crate) scram: Option<Arc<ScramPassword>>,
    pub(crate) poll: Duration,
    pub(crate) timeout: Duration,
    /// Idle sessions end.
    pub(crate) shutdown: CancellationToken,
    /// All sessions end.
    pub(crate) deadline: CancellationToken,
}

/// What it knows between two looks.
#[derive(Debug, Default)]
struct Known {
    line: Option<Line>,
    shared: Option<(Arc<Shared>, State)>,
    /// When the catalog was last known to be true.
    checked_at: Option<Instant>,
    failures: u32,
    /// Since the last session left: when to go.
    idle_at: Option<Instant>,
}

/// Says that the task is gone even when it panicked.
struct Gone {
    catalog: Arc<TargetCatalog>,
    /// In good form: another may be at work already.
    left: bool,
}

impl Drop for Gone {
    fn drop(&mut self) {
        if !self.left {
            self.catalog.abandoned();
        }
    }
}

impl Keeper {
    /// Runs until the last session has left.
    pub(crate) async fn run(self) {
        let mut gone = Gone {
            catalog: Arc::clone(&self.catalog),
            left: false,
        };
        let mut known = Known {
            shared: lock(&self.catalog.parked).take(),
            ..Known::default()
        };
        loop {
            let stirred = self.catalog.begin_check();
            let began = Instant::now();
            let next = self.look(&mut known, stirred).await;
            self.catalog.rest(began.elapsed());
            if !self.rest(&mut known, stirred, next).await {
                break;
            }
        }
        gone.left = !self.deadline.is_cancelled();
        if let Some(line) = known.line.take() {
            // It may hang as long as it likes to: nobody needs it any more.
            let _ = tokio::time::timeout(self.timeout, line.close()).await;
        }
    }

    /// Leaves what is known to the next keeper and goes, unless somebody has come.
    fn leave(&self, known: &Known) -> bool {
        lock(&self.catalog.parked).clone_from(&known.shared);
        self.catalog.leave_if_idle()
    }

    /// Waits for something to do; false when nobody is left.
    async fn rest(&self, known: &mut Known, seen: u64, next: Duration) -> bool {
        let poll_at = Instant::now() + next;
        loop {
            let now = Instant::now();
            let poll_at = self.catalog.due().map_or(poll_at, |due| due.min(poll_at));
            if self.catalog.stirred() != seen || now >= poll_at {
                return true;
            }
            if self.catalog.is_used() {
                known.idle_at = None;
            } else {
                // Sessions that come one after the other should not begin anew each time.
                let idle = *known.idle_at.get_or_insert(now + CATALOG_LINGER);
                let over = now >= idle || self.shutdown.is_cancelled();
                if over && self.leave(known) {
                    return false;
                }
            }
            let until = known.idle_at.map_or(poll_at, |idle| idle.min(poll_at));
            // Every arm is cancel-safe.
            tokio::select! {
                () = self.catalog.wake.notified() => {}
                () = tokio::time::sleep_until(until) => {}
                () = self.shutdown.cancelled(), if known.idle_at.is_some() => {}
                () = self.deadline.cancelled() => return false,
            }
        }
    }

    /// Checks, reads anew if need be, and publishes. Gives the time until the next look.
    async fn look(&self, known: &mut Known, stirred: u64) -> Duration {
        match self.refresh(known).await {
            Ok(()) => {
                known.failures = 0;
                known.checked_at = Some(Instant::now());
                let shared = known.shared.as_ref().map(|(shared, _)| Arc::clone(shared));
                self.catalog.publish(stirred, shared);
                self.poll
            }
            Err(cause) => {
                known.line = None;
                known.failures = known.failures.saturating_add(1);
                self.complain(known, &cause);
                self.doubt(known, stirred);
                let [first, most] = CATALOG_RETRY;
                first.saturating_mul(1 << known.failures.min(10)).min(most)
            }
        }
    }

    /// After a failure: what nobody has touched is used a little longer, anything else is not handed out.
    fn doubt(&self, known: &Known, stirred: u64) {
        let untouched = self.catalog.published.borrow().checked == stirred;
        let patience = self.poll.saturating_mul(CATALOG_UNCHECKED_POLLS_MAX);
        let fresh = known.checked_at.is_some_and(|at| at.elapsed() <= patience);
        if !(untouched && fresh) {
            self.catalog.publish(stirred, None);
        }
    }

    fn complain(&self, known: &Known, cause: &Cause) {
        let target = self.target.name.as_str();
        // The first, and then ever more seldom.
        if known.failures.is_power_of_two() {
            tracing::warn!(target, %cause, failures = known.failures, "the target's catalog cannot be read");
        }
    }

    async fn refresh(&self, known: &mut Known) -> Result<(), Cause> {
        let mut fresh = false;
        if let Some((_, state)) = known.shared.as_mut() {
            let line = match known.line.take() {
                Some(line) => line,
                None => {
                    fresh = true;
                    self.open().await?
                }
            };
            let mut line = known.line.insert(line);
            let mut changed = within(self.timeout, line.changed(state, self.timeout)).await;
            if changed.is_err() && !fresh {
                // The connection may have died of old age: that says nothing of the catalog.
                fresh = true;
                line = known.line.insert(self.open().await?);
                changed = within(self.timeout, line.changed(state, self.timeout)).await;
            }
            if !changed? {
                return Ok(());
            }
        }
        // On a new connection: what a new session sees depends on settings of the login.
        let mut line = match known.line.take() {
            Some(line) if fresh => line,
            Some(line) => {
                // Nobody waits for its end.
                let _ = tokio::time::timeout(self.timeout, line.close()).await;
                self.open().await?
            }
            None => self.open().await?,
        };
        let loaded = within(self.timeout, line.load(self.timeout)).await?;
        known.line = Some(line);
        self.take(known, loaded);
        Ok(())
    }

    async fn open(&self) -> Result<Line, Cause> {
        let login = Login {
            target: &self.target,
            scram: self.scram.as_ref(),
        };
        within(self.timeout, Line::open(login)).await
    }

    fn take(&self, known: &mut Known, loaded: Loaded) {
        let version = known
            .shared
            .as_ref()
            .map_or(1, |(shared, _)| shared.version + 1);
        tracing::info!(
            target = self.target.name.as_str(),
            version,
            relations = loaded.catalog.relations.len(),
            routines = loaded.catalog.routines.len(),
            bytes = loaded.json.len(),
            ms = loaded.elapsed.as_millis(),
            "catalog read"
        );
        self.patterns.read(&self.target.name, &loaded.catalog);
        let numbers = Arc::clone(&self.catalog.numbers);
        let bytes = loaded.json.len();
        let shared = Shared::new(
            version,
            loaded.catalog,
            bytes,
            loaded.state.digest.clone(),
            numbers,
        );
        known.shared = Some((Arc::new(shared), loaded.state));
    }
}
