//! The catalog of one target as its sessions ask for it.
//!
//! Asking whether anything is new costs one load. Whoever changes definitions says so, and from then on the
//! catalog is not handed out until the keeper has checked it. Sessions wait for one and the same check, for a
//! bounded time.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{
    load::State,
    view::{Numbers, Shared},
};
use crate::limits::{CATALOG_MISSING_INTERVAL, CATALOG_REST};

/// A target's catalog for all its sessions.
#[derive(Debug, Default)]
pub(crate) struct TargetCatalog {
    /// Grows whenever a session has to look again.
    epoch: AtomicU64,
    /// How often something may have changed.
    stirred: AtomicU64,
    pub(super) published: watch::Sender<Published>,
    /// Code nobody has read ran while the keeper rests.
    pending: AtomicBool,
    resting_until: Mutex<Option<Instant>>,
    /// As long, sessions do not compare what they see with it because of such code.
    digest_rests_until: Mutex<Option<Instant>>,
    /// For the keeper: something to do.
    pub(super) wake: Notify,
    life: Mutex<Life>,
    /// What the last keeper knew.
    pub(super) parked: Mutex<Option<(Arc<Shared>, State)>>,
    /// When a missing name last asked for a check.
    missing_at: Mutex<Option<Instant>>,
    /// Sessions that have changed definitions and not committed them.
    drafts: AtomicUsize,
    pub(crate) numbers: Arc<Numbers>,
}

/// What the keeper last found.
#[derive(Debug, Clone, Default)]
pub(super) struct Published {
    /// Changes up to here are in it.
    pub(super) checked: u64,
    /// `None` before the first check, and when the target does not give it.
    pub(super) shared: Option<Arc<Shared>>,
}

/// What a session gets that asks for the catalog.
#[derive(Debug)]
pub(crate) enum Current {
    Is(Arc<Shared>),
    /// The target does not give it. When it does again, the epoch says so.
    Unreadable,
    /// It could not be checked in time; it may be at the next attempt.
    Late,
}

#[derive(Debug, Default)]
struct Life {
    sessions: usize,
    kept: bool,
}

/// A session's definitions that nobody else sees yet. Others may see them from one moment to the next, while they wait
/// for a lock of that session's: what was found out about a statement before may then be wrong.
#[derive(Debug)]
pub(crate) struct Draft(Arc<TargetCatalog>);

impl Draft {
    pub(crate) fn new(catalog: &Arc<TargetCatalog>) -> Self {
        catalog.drafts.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(catalog))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.0.drafts.fetch_sub(1, Ordering::AcqRel);
    }
}

impl TargetCatalog {
    /// How many sessions have definitions of their own that are not committed.
    pub(crate) fn drafts(&self) -> usize {
        self.drafts.load(Ordering::Acquire)
    }

    /// A number that differs when a session has to look again.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Something may have changed: nobody gets the catalog before it was checked.
    pub(crate) fn stir(&self) {
        self.stirred.fetch_add(1, Ordering::AcqRel);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// Code that nobody has read ran: it may have changed something, and mostly did not. Other sessions go on
    /// with what they have until the next check, which is made soon, but not so often that checking is
    /// most of the work.
    pub(crate) fn stir_unseen(&self) {
        let resting = lock(&self.resting_until).is_some_and(|until| Instant::now() < until);
        if resting {
            self.pending.store(true, Ordering::Release);
        } else {
            self.stirred.fetch_add(1, Ordering::AcqRel);
        }
        self.wake.notify_one();
    }

    /// Whether a session in which such code ran may compare what it sees with the catalog now: all of them together
    /// do so for a small part of the time.
    pub(crate) fn may_digest(&self) -> bool {
        lock(&self.digest_rests_until).is_none_or(|until| Instant::now() >= until)
    }

    /// Comparing took so long.
    pub(crate) fn digested(&self, cost: Duration) {
        let until = Instant::now() + cost.saturating_mul(CATALOG_REST);
        *lock(&self.digest_rests_until) = Some(until);
    }

    /// A statement names something the catalog does not have. True when it has been checked since, and
    /// something is new.
    pub(crate) async fn missing(&self, known: u64, wait: Duration) -> bool {
        {
            let mut last = lock(&self.missing_at);
            let now = Instant::now();
            if last.is_some_and(|last| now < last + CATALOG_MISSING_INTERVAL) {
                return false;
            }
            *last = Some(now);
        }
        // Nobody else is made to wait for it.
        self.stirred.fetch_add(1, Ordering::AcqRel);
        self.wake.notify_one();
        let current = self.current(wait).await;
        matches!(current, Current::Is(current) if current.version != known)
    }

    /// Has the catalog checked now, whatever anybody knows of: changes past the gateway are seen. False when that could
    /// not be done in time. Nobody else is made to wait for it.
    pub(crate) async fn confirm(&self, wait: Duration) -> bool {
        matches!(self.confirmed(wait).await, Current::Is(_))
    }

    /// The same with the catalog that was found.
    pub(crate) async fn confirmed(&self, wait: Duration) -> Current {
        self.stirred.fetch_add(1, Ordering::AcqRel);
        self.wake.notify_one();
        self.current(wait).await
    }

    /// The catalog, checked since the last change anybody knows of; waits for the check.
    pub(crate) async fn current(&self, wait: Duration) -> Current {
        let wanted = self.stirred();
        let mut published = self.published.subscribe();
        let checked = published.wait_for(|published| published.checked >= wanted);
        match timeout(wait, checked).await {
            Ok(Ok(published)) => match &published.shared {
                Some(shared) => Current::Is(Arc::clone(shared)),
                None => Current::Unreadable,
            },
            Ok(Err(_)) | Err(_) => Current::Late,
        }
    }

    /// For the keeper: the change up to which the check that now begins is good.
    pub(super) fn begin_check(&self) -> u64 {
        self.pending.store(false, Ordering::Release);
        self.stirred()
    }

    /// For the keeper: a check took so long.
    pub(super) fn rest(&self, cost: Duration) {
        *lock(&self.resting_until) = Some(Instant::now() + cost.saturating_mul(CATALOG_REST));
    }

    /// For the keeper: when to look because of code that nobody has read.
    pub(super) fn due(&self) -> Option<Instant> {
        let pending = self.pending.load(Ordering::Acquire);
        pending.then(|| lock(&self.resting_until).unwrap_or_else(Instant::now))
    }

    pub(super) fn stirred(&self) -> u64 {
        self.stirred.load(Ordering::Acquire)
    }

    /// The keeper's word: the state as of change number `checked`.
    pub(super) fn publish(&self, checked: u64, shared: Option<Arc<Shared>>) {
        let version = |shared: &Option<Arc<Shared>>| shared.as_ref().map(|shared| shared.version);
        let mut news = false;
        self.published.send_modify(|published| {
            news = version(&published.shared) != version(&shared);
            *published = Published { checked, shared };
        });
        if news {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A session begins. True when a keeper is to be started.
    pub(crate) fn enter(self: &Arc<Self>) -> (Presence, bool) {
        let mut life = lock(&self.life);
        life.sessions += 1;
        let start = !life.kept;
        life.kept = true;
        drop(life);
        if start {
            // Nobody has looked since the last keeper left.
            self.stir();
        }
        (Presence(Arc::clone(self)), start)
    }

    /// For the keeper: whether anybody is there.
    pub(super) fn is_used(&self) -> bool {
        lock(&self.life).sessions > 0
    }

    /// For the keeper: when nobody is left it may go. Whoever comes now starts another.
    pub(super) fn leave_if_idle(&self) -> bool {
        let mut life = lock(&self.life);
        if life.sessions == 0 {
            life.kept = false;
        }
        life.sessions == 0
    }

    /// The keeper has ended, for whatever reason.
    pub(super) fn abandoned(&self) {
        lock(&self.life).kept = false;
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session that uses the catalog.
#[derive(Debug)]
pub(crate) struct Presence(Arc<TargetCatalog>);

impl Drop for Presence {
    fn drop(&mut self) {
        let mut life = lock(&self.0.life);
        life.sessions = life.sessions.saturating_sub(1);
        if life.sessions == 0 {
            self.0.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(5);

    fn shared(version: u64) -> Arc<Shared> {
        let digest = bytes::Bytes::new();
        Arc::new(Shared::new(
            version,
            Arc::default(),
            0,
            digest,
            Arc::default(),
        ))
    }

    fn is(current: &Current, version: u64) -> bool {
        matches!(current, Current::Is(shared) if shared.version == version)
    }

    #[tokio::test]
    async fn all_wait_for_one_check() {
        let catalog = TargetCatalog::default();
        catalog.stir();
        let wanted = catalog.begin_check();
        let waiting = futures::future::join_all((0..50).map(|_| catalog.current(LONG)));
        let checked = async {
            assert!(matches!(catalog.current(SHORT).await, Current::Late));
            catalog.publish(wanted, Some(shared(1)));
        };
        let (waited, ()) = tokio::join!(waiting, checked);
        assert!(waited.iter().all(|current| is(current, 1)));
    }

    #[tokio::test]
    async fn what_may_have_changed_is_not_handed_out_before_a_check() {
        let catalog = TargetCatalog::default();
        catalog.publish(0, Some(shared(1)));
        let epoch = catalog.epoch();
        assert!(is(&catalog.current(SHORT).await, 1));
        catalog.stir();
        assert_ne!(catalog.epoch(), epoch);
        assert!(matches!(catalog.current(SHORT).await, Current::Late));
        let epoch = catalog.epoch();
        catalog.publish(catalog.begin_check(), Some(shared(1)));
        assert!(is(&catalog.current(SHORT).await, 1));
        assert_eq!(catalog.epoch(), epoch, "the same state is no news");
        catalog.publish(catalog.begin_check(), None);
        assert_ne!(catalog.epoch(), epoch);
        assert!(matches!(catalog.current(SHORT).await, Current::Unreadable));
    }

    /// A check that begins before a change is no check of it.
    #[tokio::test]
    async fn a_change_during_a_check_asks_for_another() {
        let catalog = TargetCatalog::default();
        catalog.stir();
        let began = catalog.begin_check();
        catalog.stir();
        catalog.publish(began, Some(shared(1)));
        assert!(matches!(catalog.current(SHORT).await, Current::Late));
        catalog.publish(catalog.begin_check(), Some(shared(2)));
        assert!(is(&catalog.current(SHORT).await, 2));
    }

    #[tokio::test]
    async fn unread_code_makes_nobody_else_look_and_is_not_checked_all_the_time() {
        let catalog = TargetCatalog::default();
        catalog.publish(0, Some(shared(1)));
        let epoch = catalog.epoch();
        catalog.stir_unseen();
        assert_eq!(catalog.epoch(), epoch);
        assert!(catalog.stirred() > 0 && catalog.due().is_none());
        let checked = catalog.begin_check();
        catalog.publish(checked, Some(shared(1)));
        catalog.rest(LONG);
        catalog.stir_unseen();
        assert_eq!(catalog.stirred(), checked);
        assert!(catalog.due().is_some());
        assert!(is(&catalog.current(SHORT).await, 1));
        // What is sure to have changed something waits for nothing.
        catalog.stir();
        assert!(matches!(catalog.current(SHORT).await, Current::Late));
    }

    #[tokio::test]
    async fn missing_names_ask_once_in_a_while() {
        let catalog = Arc::new(TargetCatalog::default());
        catalog.publish(0, Some(shared(1)));
        assert!(!catalog.missing(1, SHORT).await, "not checked in time");
        catalog.publish(catalog.begin_check(), Some(shared(2)));
        assert!(!catalog.missing(1, SHORT).await, "asked a moment ago");
    }

    #[test]
    fn the_first_session_starts_a_keeper_and_the_last_lets_it_go() {
        let catalog = Arc::new(TargetCatalog::default());
        let (first, start) = catalog.enter();
        assert!(start);
        let (second, start) = catalog.enter();
        assert!(!start);
        drop(first);
        assert!(catalog.is_used() && !catalog.leave_if_idle());
        drop(second);
        assert!(catalog.leave_if_idle());
        let (_third, start) = catalog.enter();
        assert!(start);
    }
}
