//! The loop that delivers notices: at least once, and twice only when a chat does not let us look.
//!
//! As for cards, the approver's store is the only memory: what is taken here and not delivered is handed out
//! again. Notices are few and short, so they go a handful at a time and need no lanes.

use std::{sync::Arc, time::Duration};

use abeyance_api::{CardDesk, DeskError, NoticeFailure, NoticeTask, NoticeTo};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{ChatPort, PortError, backoff, limits};

/// Delivers notices through one chat until told to stop.
#[derive(Clone)]
pub struct Notifier {
    port: Arc<dyn ChatPort>,
    desk: Arc<dyn CardDesk>,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier")
            .field("chat", &self.port.kind())
            .finish_non_exhaustive()
    }
}

impl Notifier {
    #[must_use]
    pub fn new(port: Arc<dyn ChatPort>, desk: Arc<dyn CardDesk>) -> Self {
        Self { port, desk }
    }

    /// Runs until `shutdown`, then lets deliveries that have begun end.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            let due = self
                .desk
                .notices_due(self.port.kind(), limits::NOTICES_AT_ONCE);
            let tasks = match desk_call(due).await {
                Ok(tasks) => {
                    failures = 0;
                    tasks
                }
                Err(error) => {
                    warn!(%error, "notices due could not be read; trying again");
                    failures += 1;
                    Vec::new()
                }
            };
            let busy = !tasks.is_empty();
            let mut running = JoinSet::new();
            for task in tasks {
                let this = self.clone();
                running.spawn(async move { this.deliver(task).await });
            }
            while running.join_next().await.is_some() {}
            if busy {
                continue;
            }
            let wake = async {
                if failures == 0 {
                    self.desk.cards_changed(limits::REPAIR_EVERY).await;
                } else {
                    sleep(backoff(
                        failures,
                        limits::BACKOFF_FIRST,
                        limits::BACKOFF_MAX,
                    ))
                    .await;
                }
            };
            // All arms are cancel-safe: wake-ups carry no facts.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = wake => {}
                () = sleep(limits::REPAIR_EVERY) => {}
            }
        }
    }

    async fn deliver(&self, task: NoticeTask) {
        let told = match self.attempt(&task).await {
            Ok(()) => desk_call(self.desk.notice_delivered(task.id)).await,
            Err(error) => {
                let retry_in = retry_in(&task, &error);
                if retry_in.is_none() {
                    warn!(notice = %task.id, error = error.text(), "gave up on a notice");
                }
                let failure = NoticeFailure {
                    id: task.id,
                    error: error.text(),
                    retry_in,
                    in_doubt: matches!(error, PortError::Doubt { .. }),
                };
                desk_call(self.desk.notice_failed(failure)).await
            }
        };
        if let Err(error) = told {
            warn!(notice = %task.id, %error, "how a notice went could not be recorded; it will be looked up");
        }
    }

    async fn attempt(&self, task: &NoticeTask) -> Result<(), PortError> {
        if task.in_doubt && !matches!(task.to, NoticeTo::UserGroup { .. }) {
            match port_call(self.port.find_notice(task)).await {
                Ok(true) => {
                    info!(notice = %task.id, "found the notice that an interrupted delivery had posted");
                    return Ok(());
                }
                Ok(false) => {}
                Err(PortError::Blind { error }) => {
                    warn!(notice = %task.id, error, "cannot look for an earlier notice; posting, perhaps twice");
                }
                // Still as much in doubt as before.
                Err(error) => {
                    let error = error.text();
                    return Err(PortError::Doubt { error });
                }
            }
        }
        // Durable before the call, so that a crash in between leaves a doubt and not a duplicate.
        if let Err(error) = desk_call(self.desk.notice_begin(task.id)).await {
            let error = format!("not begun: {error}");
            return Err(PortError::Refused { error });
        }
        port_call(self.port.notify(task)).await
    }
}

/// When to try again. A notice that has failed for long is of no use to anybody.
fn retry_in(task: &NoticeTask, error: &PortError) -> Option<Duration> {
    match error {
        PortError::Gone { .. } => None,
        _ if task.failures >= limits::FAILURES_MAX => None,
        PortError::RateLimited { retry_after } => {
            Some((*retry_after).clamp(Duration::from_millis(500), limits::RETRY_AFTER_MAX))
        }
        _ => Some(backoff(
            task.failures,
            limits::BACKOFF_FIRST,
            limits::BACKOFF_MAX,
        )),
    }
}

async fn desk_call<T>(call: impl Future<Output = Result<T, DeskError>>) -> Result<T, DeskError> {
    let detail = || format!("no answer in {} s", limits::DESK_CALL_MAX.as_secs());
    let answer = timeout(limits::DESK_CALL_MAX, call).await;
    answer.unwrap_or_else(|_| Err(DeskError::Unavailable { detail: detail() }))
}

async fn port_call<T>(call: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
    let error = || format!("no answer in {} s", limits::PORT_CALL_MAX.as_secs());
    let answer = timeout(limits::PORT_CALL_MAX, call).await;
    answer.unwrap_or_else(|_| Err(PortError::Doubt { error: error() }))
}

#[cfg(test)]
mod tests;
