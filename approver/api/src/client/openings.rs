//! Opening a hold, and taking back an opening of which nobody knows what it did.
//!
//! The caller is refused at once; the approver hears of it as soon as one answers, under the key that the opening had. It
//! takes back a hold that was made, and refuses what arrives under that key later.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::de::IgnoredAny;
use serde_json::json;
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{
    HttpDesk,
    calls::value,
    limits,
    transport::{Call, Failure},
};
use crate::{DeskError, HoldReceipt, HoldRequest, WithdrawReason};

/// Openings in doubt, oldest first, and whether a task is at work on them.
#[derive(Debug, Default)]
pub(super) struct Doubted(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    keys: VecDeque<Doubt>,
    worked_on: bool,
}

#[derive(Debug, Clone, Copy)]
struct Doubt {
    key: Uuid,
    until: Instant,
}

impl Doubted {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when a task has to be started.
    fn add(&self, key: Uuid) -> bool {
        let until = Instant::now() + limits::DOUBTED_FOR;
        let mut waiting = self.lock();
        if waiting.keys.len() >= limits::DOUBTED_MAX && waiting.keys.pop_front().is_some() {
            tracing::warn!("too many openings in doubt; the oldest stays until its time is over");
        }
        waiting.keys.push_back(Doubt { key, until });
        !std::mem::replace(&mut waiting.worked_on, true)
    }

    /// The next one to take back; when there is none, the task ends.
    fn next(&self) -> Option<Doubt> {
        let mut waiting = self.lock();
        let next = waiting.keys.pop_front();
        waiting.worked_on = next.is_some();
        next
    }

    fn put_back(&self, doubt: Doubt) {
        self.lock().keys.push_front(doubt);
    }
}

impl HttpDesk {
    /// Opens a hold and tells the caller, who may have gone meanwhile.
    pub(super) async fn open(
        &self,
        request: &HoldRequest,
        mut reply: oneshot::Sender<Result<HoldReceipt, DeskError>>,
    ) {
        self.keep_alive();
        let key = Uuid::new_v4();
        let call = match Call::post("/holds".to_owned(), request) {
            Ok(call) => call.with_id(key),
            Err(error) => {
                let _gone = reply.send(Err(error));
                return;
            }
        };
        let mut doubt = false;
        // Both arms are cancel-safe: what may have been sent is taken back.
        let opened = tokio::select! {
            opened = self.send_doubting(&call, &mut doubt) => value(opened),
            () = reply.closed() => return self.take_back(key),
        };
        // An answer of the approver's own that came in the end says what the lost ones did.
        let lost = opened.is_err() && doubt;
        let unheard = reply.send(opened);
        if lost || unheard.is_err_and(|opened| opened.is_ok()) {
            self.take_back(key);
        }
    }

    fn take_back(&self, key: Uuid) {
        if self.0.doubted.add(key) {
            let desk = self.clone();
            self.0
                .tasks
                .spawn(async move { desk.take_all_back().await });
        }
    }

    /// One after the other, each until an approver has answered.
    async fn take_all_back(&self) {
        let mut pause = limits::RETRY_PAUSE;
        while let Some(doubt) = self.0.doubted.next() {
            if self.taken_back(doubt).await {
                pause = limits::RETRY_PAUSE;
                continue;
            }
            self.0.doubted.put_back(doubt);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(limits::AWAY_PAUSE_MAX);
        }
    }

    /// Whether nothing more is to be done about it.
    async fn taken_back(&self, doubt: Doubt) -> bool {
        let reason = WithdrawReason::AnswerLost;
        let Ok(call) = Call::post(
            "/openings/withdraw".to_owned(),
            &json!({ "reason": reason }),
        ) else {
            return true;
        };
        let call = call.with_id(doubt.key).within(took(doubt));
        let error = match self.send::<IgnoredAny, DeskError>(&call).await {
            Ok(_) => {
                tracing::info!(key = %doubt.key, "an opening that got no answer was taken back");
                return true;
            }
            Err(Failure::Undelivered(detail) | Failure::Lost(detail)) => {
                DeskError::Unavailable { detail }
            }
            Err(Failure::Refused(detail)) => DeskError::Refused { detail },
            Err(Failure::Answered(error)) => error,
        };
        let away = matches!(error, DeskError::Unavailable { .. });
        if away && Instant::now() < doubt.until {
            return false;
        }
        tracing::warn!(%error, key = %doubt.key, "an opening in doubt stays until its time is over");
        true
    }
}

/// What one try may take.
fn took(doubt: Doubt) -> Duration {
    let left = doubt.until.saturating_duration_since(Instant::now());
    left.clamp(Duration::from_secs(1), limits::CALL_TIMEOUT)
}
