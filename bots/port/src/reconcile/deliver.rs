//! One card's delivery, and what the desk is told of it.

use std::{future::Future, sync::Arc, time::Duration};

use abeyance_api::{CardDesk, CardFailure, CardReceipt, CardTask};
use chrono::TimeDelta;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{bounded_pause, desk_call};
use crate::{Card, ChatPort, PortError, backoff, limits};

/// Clocks differ: look this much further back than the hold's own time.
const LOOK_BACK: TimeDelta = TimeDelta::seconds(120);

pub(super) struct Delivery {
    pub port: Arc<dyn ChatPort>,
    pub desk: Arc<dyn CardDesk>,
    pub task: CardTask,
}

/// A lane is free again; its channel perhaps only after a pause.
#[derive(Debug)]
pub(super) struct Finished {
    pub pause: Option<Duration>,
}

impl Delivery {
    /// Delivers, and tells the desk how it went.
    pub async fn run(self) -> Finished {
        let mut pause = None;
        match self.deliver(&Card::of(&self.task.hold)).await {
            Ok(message) => self.report_delivered(message).await,
            Err(failed) => {
                if let PortError::RateLimited { retry_after } = &failed.error {
                    pause = Some(bounded_pause(*retry_after));
                }
                self.report_failed(&failed).await;
            }
        }
        Finished { pause }
    }

    /// Gives the card back to the desk for a while, untried.
    pub async fn hand_back(self, retry_after: Duration) -> Finished {
        let error = PortError::RateLimited { retry_after };
        self.report_failed(&Failed {
            error,
            in_doubt: self.task.in_doubt,
        })
        .await;
        Finished { pause: None }
    }

    async fn deliver(&self, card: &Card) -> Result<String, Failed> {
        match &self.task.message {
            Some(message) => self.update(message, card).await,
            None if self.task.in_doubt => self.find_or_post(card).await,
            None => self.post(card).await,
        }
    }

    async fn update(&self, message: &str, card: &Card) -> Result<String, Failed> {
        match port_call(self.port.update(&self.task.channel, message, card)).await {
            Ok(()) => Ok(message.to_owned()),
            // Deleting a card must not hide a hold that somebody still has to decide.
            Err(PortError::Gone { .. }) if !self.task.hold.state.is_final() => {
                self.post(card).await
            }
            Err(error) => Err(Failed {
                error,
                in_doubt: self.task.in_doubt,
            }),
        }
    }

    async fn find_or_post(&self, card: &Card) -> Result<String, Failed> {
        let posted_after = self.task.hold.created_at - LOOK_BACK;
        match port_call(self.port.find(&self.task.channel, &card.hold, posted_after)).await {
            Ok(Some(message)) => {
                info!(hold = %card.hold, "found the card that an interrupted delivery had posted");
                port_call(self.port.update(&self.task.channel, &message, card))
                    .await
                    .map(|()| message)
                    .map_err(|error| Failed {
                        error,
                        in_doubt: true,
                    })
            }
            Ok(None) => self.post(card).await,
            Err(PortError::Blind { error }) => {
                // Two cards are a nuisance; a hold that nobody sees is not an option.
                warn!(hold = %card.hold, error, "cannot look for an earlier card; posting, perhaps twice");
                self.post(card).await
            }
            Err(error) => Err(Failed {
                error,
                in_doubt: true,
            }),
        }
    }

    async fn post(&self, card: &Card) -> Result<String, Failed> {
        // Durable before the call, so that a crash in between leaves a doubt and not a duplicate.
        if let Err(error) = desk_call(self.desk.card_begin(&self.task)).await {
            let error = PortError::Refused {
                error: format!("not begun: {error}"),
            };
            return Err(Failed {
                error,
                in_doubt: self.task.in_doubt,
            });
        }
        port_call(self.port.post(&self.task.channel, card))
            .await
            .map_err(|error| {
                let in_doubt = matches!(error, PortError::Doubt { .. });
                Failed { error, in_doubt }
            })
    }

    async fn report_delivered(&self, message: String) {
        let receipt = CardReceipt {
            chat: self.task.chat,
            hold: self.task.hold.id.clone(),
            channel: self.task.channel.clone(),
            message,
            version: self.task.hold.version,
        };
        if let Err(error) = desk_call(self.desk.card_delivered(receipt)).await {
            warn!(hold = %self.task.hold.id, %error, "a delivered card could not be recorded; it will be looked up");
        }
    }

    async fn report_failed(&self, failed: &Failed) {
        let retry_in = self.retry_in(&failed.error);
        let failure = CardFailure {
            chat: self.task.chat,
            hold: self.task.hold.id.clone(),
            channel: self.task.channel.clone(),
            version: self.task.hold.version,
            error: failed.error.text(),
            retry_in,
            in_doubt: failed.in_doubt,
        };
        if retry_in.is_none() {
            warn!(hold = %failure.hold, channel = failure.channel, error = failure.error, "gave up on a card");
        }
        if let Err(error) = desk_call(self.desk.card_failed(failure)).await {
            warn!(hold = %self.task.hold.id, %error, "a failed card could not be recorded; it will be handed out again");
        }
    }

    /// When to try again. Gives up only on cards of holds that nobody waits for any more.
    fn retry_in(&self, error: &PortError) -> Option<Duration> {
        let over = self.task.hold.state.is_final();
        let wait = backoff(
            self.task.failures,
            limits::BACKOFF_FIRST,
            limits::BACKOFF_MAX,
        );
        match error {
            PortError::RateLimited { retry_after } => Some(bounded_pause(*retry_after)),
            PortError::Gone { .. } if over => None,
            _ if over && self.task.failures >= limits::FAILURES_MAX => None,
            _ => Some(wait),
        }
    }
}

struct Failed {
    error: PortError,
    in_doubt: bool,
}

/// A bound on top of the port's own: a lane is never lost to a call that hangs.
async fn port_call<T>(call: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
    timeout(limits::PORT_CALL_MAX, call)
        .await
        .unwrap_or_else(|_| {
            Err(PortError::Doubt {
                error: format!("no answer in {} s", limits::PORT_CALL_MAX.as_secs()),
            })
        })
}
