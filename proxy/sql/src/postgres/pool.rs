//! Threads that parse: few, started on first use, with stacks deep enough for any tree the
//! bounds let through.
//!
//! Knows nothing of SQL: it runs a job and hands the result to whoever waits, by blocking or
//! by polling. A job that panics, or a pool that cannot start, gives no result; the caller
//! makes that opaque.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    task::{Context, Poll, Waker},
};

/// Stack of a parse thread: twice what the deepest tree takes. Only pages that were touched cost.
pub(super) const STACK_BYTES: usize = if cfg!(debug_assertions) { 192 } else { 16 } * 1024 * 1024;
/// Most parse threads.
const THREADS_MAX: usize = 4;
/// Jobs that wait for a thread; more are refused.
const QUEUE_MAX: usize = 1024;

type Job = Box<dyn FnOnce() + Send>;

static POOL: LazyLock<Option<SyncSender<Job>>> = LazyLock::new(start);

/// Runs `job` on a parse thread.
pub(super) fn submit<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Waiter<T> {
    let slot = Arc::new(Slot::default());
    let promise = Promise(Arc::clone(&slot));
    let job: Job = Box::new(move || {
        let promise = promise;
        // The job owns all it touches, so nothing broken can be seen after a panic.
        if let Ok(value) = catch_unwind(AssertUnwindSafe(job)) {
            promise.0.fill(Some(value));
        }
    });
    if let Some(pool) = &*POOL {
        // A full queue drops the job, and dropping it fills the slot with nothing.
        drop(pool.try_send(job));
    }
    Waiter(slot)
}

fn start() -> Option<SyncSender<Job>> {
    let (sender, receiver) = sync_channel::<Job>(QUEUE_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    let wanted = std::thread::available_parallelism().map_or(1, usize::from);
    let started = (0..wanted.min(THREADS_MAX))
        .filter(|number| start_thread(*number, Arc::clone(&receiver)))
        .count();
    (started > 0).then_some(sender)
}

fn start_thread(number: usize, receiver: Arc<Mutex<Receiver<Job>>>) -> bool {
    std::thread::Builder::new()
        .name(format!("parse-{number}"))
        .stack_size(STACK_BYTES)
        .spawn(move || {
            loop {
                let next = lock(&receiver).recv();
                let Ok(job) = next else { return };
                job();
            }
        })
        .is_ok()
}

/// The waiting side. Dropping it is fine; the job then ends unseen.
#[derive(Debug)]
pub(super) struct Waiter<T>(Arc<Slot<T>>);

impl<T> Waiter<T> {
    /// Blocks until the job is done; `None` when it panicked or never ran.
    pub(super) fn wait(self) -> Option<T> {
        let mut state = lock(&self.0.state);
        loop {
            if let State::Done(value) = &mut *state {
                return value.take();
            }
            state = self
                .0
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Future for Waiter<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = lock(&self.0.state);
        if let State::Done(value) = &mut *state {
            return Poll::Ready(value.take());
        }
        *state = State::Waiting(Some(context.waker().clone()));
        Poll::Pending
    }
}

/// Fills its slot with nothing when dropped unfilled: a waiter never waits for a lost job.
struct Promise<T>(Arc<Slot<T>>);

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.0.fill(None);
    }
}

#[derive(Debug)]
struct Slot<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::Waiting(None)),
            done: Condvar::new(),
        }
    }
}

impl<T> Slot<T> {
    /// The first filling counts.
    fn fill(&self, value: Option<T>) {
        let waker = {
            let mut state = lock(&self.state);
            match &mut *state {
                State::Done(_) => return,
                State::Waiting(waker) => {
                    let waker = waker.take();
                    *state = State::Done(value);
                    waker
                }
            }
        };
        self.done.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[derive(Debug)]
enum State<T> {
    Waiting(Option<Waker>),
    Done(Option<T>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
