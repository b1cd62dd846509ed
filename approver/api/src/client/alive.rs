//! Signs of life. The approver ends the holds of a proxy it has not heard of for a while: nobody waits for them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::json;

use super::{
    HttpDesk, limits,
    transport::{Answer, Call},
};
use crate::{DeskError, ProxyLease};

/// Signs of life in one lease; it survives two that were lost.
const BEATS: u32 = 3;

impl HttpDesk {
    /// From the first hold on, until the last clone of the desk is dropped.
    pub(super) fn keep_alive(&self) {
        if self.0.beating.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::downgrade(&self.0);
        self.0.tasks.spawn(async move {
            let mut every = limits::BEAT;
            while let Some(inner) = inner.upgrade() {
                let desk = Self(inner);
                let pause = desk.beat(&mut every).await;
                drop(desk);
                tokio::time::sleep(pause).await;
            }
        });
    }

    /// One sign of life. Returns how long to wait for the next; `every` follows the approver's lease.
    async fn beat(&self, every: &mut Duration) -> Duration {
        let Ok(call) = Call::post("/proxies/alive".to_owned(), &json!({})) else {
            return *every;
        };
        let call = call.within((*every * 2).clamp(Duration::from_secs(1), limits::CALL_TIMEOUT));
        match self.send::<ProxyLease, DeskError>(&call).await {
            Ok(Answer::Value(ProxyLease { lease_ms })) => {
                let third = Duration::from_millis(lease_ms) / BEATS;
                *every = third.clamp(limits::BEAT_MIN, limits::BEAT_MAX);
                *every
            }
            Ok(Answer::Nothing) => *every,
            Err(failure) => {
                tracing::debug!(?failure, "a sign of life did not arrive");
                // Soon again, perhaps at another approver.
                limits::RETRY_PAUSE.max(*every / 4)
            }
        }
    }
}
