//! A desk that keeps what it is told, and answers what the test says.

use std::sync::Mutex;

use abeyance_api::{
    BindingDigest, Claimed, Clock, Decision, DeskError, HoldDesk, HoldId, HoldReceipt, HoldRequest,
    Outcome, PersonRef, Resolution, Surface, SystemClock, Vote, WithdrawReason,
};
use chrono::TimeDelta;
use tokio::sync::watch;

/// How a hold ends.
#[derive(Debug, Clone)]
pub enum Answer {
    Wait,
    Approve,
    Deny,
    Expire,
    Vanish,
}

#[derive(Debug, Clone)]
pub enum Event {
    Opened(Box<HoldRequest>),
    Claimed,
    Withdrawn(WithdrawReason),
    Reported(Outcome),
}

#[derive(Debug)]
pub struct Desk {
    answer: watch::Sender<Answer>,
    /// Whether opening a hold works, and whether a claim is for what was approved.
    pub closed: Mutex<bool>,
    pub forge_claims: Mutex<bool>,
    /// From opening to expiry.
    pub expires_in: Mutex<TimeDelta>,
    /// How a hold that is opened is decided already.
    pub decided: Mutex<Option<Resolution>>,
    events: watch::Sender<Vec<Event>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            answer: watch::Sender::new(Answer::Wait),
            closed: Mutex::new(false),
            forge_claims: Mutex::new(false),
            expires_in: Mutex::new(TimeDelta::minutes(5)),
            decided: Mutex::new(None),
            events: watch::Sender::new(Vec::new()),
        }
    }
}

impl Desk {
    pub fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.borrow().clone()
    }

    /// Waits until something has happened, and gives it.
    pub async fn until<T>(&self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let mut seen = self.events.subscribe();
        loop {
            if let Some(found) = seen.borrow_and_update().iter().find_map(&mut wanted) {
                return found;
            }
            seen.changed().await.unwrap();
        }
    }

    pub async fn opened(&self) -> HoldRequest {
        self.until(|event| match event {
            Event::Opened(request) => Some((**request).clone()),
            _ => None,
        })
        .await
    }

    pub async fn withdrawn(&self) -> WithdrawReason {
        self.until(|event| match event {
            Event::Withdrawn(reason) => Some(*reason),
            _ => None,
        })
        .await
    }

    pub async fn reported(&self) -> Outcome {
        self.until(|event| match event {
            Event::Reported(outcome) => Some(outcome.clone()),
            _ => None,
        })
        .await
    }

    pub fn claims(&self) -> usize {
        let claimed = |event: &&Event| matches!(event, Event::Claimed);
        self.events.borrow().iter().filter(claimed).count()
    }

    fn note(&self, event: Event) {
        self.events.send_modify(|events| events.push(event));
    }
}

pub fn vote(decision: Decision) -> Vote {
    Vote {
        person: PersonRef {
            id: "bob".parse().unwrap(),
            display_name: "Bob".to_owned(),
            slack: None,
        },
        decision,
        reason: Some("not on a Friday".to_owned()),
        surface: Surface::Console,
        at: SystemClock.now(),
        break_glass: false,
        wish: None,
        by_grant: None,
    }
}

#[async_trait::async_trait]
impl HoldDesk for Desk {
    async fn hold_open(&self, request: HoldRequest) -> Result<HoldReceipt, DeskError> {
        if *self.closed.lock().unwrap() {
            return Err(DeskError::Unavailable {
                detail: "closed".to_owned(),
            });
        }
        self.note(Event::Opened(Box::new(request)));
        Ok(HoldReceipt {
            id: "HLD-7K3Q".parse().unwrap(),
            expires_at: SystemClock.now() + *self.expires_in.lock().unwrap(),
            asked: "route dba (2 reviewers)".to_owned(),
            console_url: None,
            resolution: self.decided.lock().unwrap().clone(),
            rows_cap: None,
        })
    }

    async fn hold_wait(&self, _: &HoldId) -> Result<Resolution, DeskError> {
        let mut answer = self.answer.subscribe();
        loop {
            let now = answer.borrow_and_update().clone();
            match now {
                Answer::Wait => answer.changed().await.unwrap(),
                Answer::Approve => {
                    return Ok(Resolution::Approved {
                        vote: vote(Decision::Approve),
                    });
                }
                Answer::Deny => {
                    return Ok(Resolution::Denied {
                        vote: vote(Decision::Deny),
                    });
                }
                Answer::Expire => return Ok(Resolution::Expired),
                Answer::Vanish => {
                    return Err(DeskError::Unavailable {
                        detail: "gone".to_owned(),
                    });
                }
            }
        }
    }

    async fn hold_claim(
        &self,
        hold: &HoldId,
        binding: BindingDigest,
    ) -> Result<Claimed, DeskError> {
        let opened = self.opened().await;
        assert!(
            self.events
                .borrow()
                .iter()
                .any(|event| matches!(event, Event::Opened(r) if r.binding == binding)),
            "a claim for something nobody asked about"
        );
        let forged = *self.forge_claims.lock().unwrap();
        self.note(Event::Claimed);
        Ok(Claimed {
            hold: hold.clone(),
            binding: if forged {
                BindingDigest::over([b"something else".as_slice()])
            } else {
                let _ = opened;
                binding
            },
            vote: vote(Decision::Approve),
            at: SystemClock.now(),
        })
    }

    async fn hold_withdraw(&self, _: &HoldId, reason: WithdrawReason) -> Result<(), DeskError> {
        self.note(Event::Withdrawn(reason));
        Ok(())
    }

    async fn hold_report(&self, _: &HoldId, outcome: Outcome) -> Result<(), DeskError> {
        self.note(Event::Reported(outcome));
        Ok(())
    }
}
