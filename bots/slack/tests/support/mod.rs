//! What the tests of this crate share: a hold, and a desk that keeps decisions and cards in memory
//! the way the approver does, with its rules of who may decide.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test uses its part, and a test stops where it fails"
)]

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use abeyance_api::{
    AgentIdentity, BindingDigest, Blast, CardDesk, CardFailure, CardReceipt, CardTask, ChatKind,
    Claimant, DecideError, Decision, DecisionDesk, DecisionRequest, DeskError, Estimate,
    HoldFilter, HoldId, HoldRequest, HoldState, HoldView, PersonRef, RedactedStatement, Resolution,
    SessionId, SessionInfo, TargetInfo, TransactionContext, Vote,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::{sync::Notify, time::Instant};

pub const CHANNEL: &str = "C0DBA0001";
pub const ANN: &str = "U0ANN0001";
pub const BOB: &str = "U0BOB0001";
pub const EVE: &str = "U0EVE0001";

pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
}

pub fn person(id: &str, name: &str, slack: &str) -> PersonRef {
    PersonRef {
        id: id.parse().unwrap(),
        display_name: name.to_owned(),
        slack: Some(slack.to_owned()),
    }
}

pub fn statement(text: &str, kind: &str) -> RedactedStatement {
    RedactedStatement {
        text: text.to_owned(),
        kind: kind.to_owned(),
        fingerprint: "f0".to_owned(),
        writes: vec!["public.visits".to_owned()],
        reads: Vec::new(),
    }
}

/// A DELETE of an agent that Ann owns; Ann and Bob review.
pub fn pending(id: &str) -> HoldView {
    HoldView {
        id: id.parse().unwrap(),
        version: 1,
        state: HoldState::Pending,
        request: HoldRequest {
            session: SessionInfo {
                id: SessionId(uuid::Uuid::nil()),
                client_addr: "10.0.0.7:51234".to_owned(),
                application_name: Some("psql".to_owned()),
                started_at: at(-60),
            },
            agent: AgentIdentity {
                name: "billing-bot".to_owned(),
                owner: Some("ann".parse().unwrap()),
                actor: None,
            },
            target: TargetInfo {
                name: "clinic".to_owned(),
                database: "clinic".to_owned(),
                environment: Some("production".to_owned()),
            },
            statements: vec![statement(
                "DELETE FROM visits\nWHERE patient_id = $1",
                "DELETE",
            )],
            rule: "writes-are-asked".to_owned(),
            policy_version: "0123456789ab".to_owned(),
            reasons: vec!["deletes rows".to_owned()],
            route: "dba".to_owned(),
            blast: Blast::of_rows(Estimate::estimated(1240)),
            transaction: TransactionContext::Idle,
            agent_reason: Some("clearing duplicates".to_owned()),
            binding: BindingDigest::over([b"x".as_slice()]),
            manner: abeyance_api::Manner::default(),
        },
        asked: "route dba (2 reviewers)".to_owned(),
        wanting: Vec::new(),
        asking: abeyance_api::Asking::default(),
        offers: abeyance_api::Offers::default(),
        grant: None,
        reviewers: vec![person("ann", "Ann", ANN), person("bob", "Bob", BOB)],
        created_at: wall_clock(),
        expires_at: wall_clock() + chrono::TimeDelta::minutes(5),
        votes: Vec::new(),
        resolution: None,
        resolved_at: None,
        outcome: None,
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests talk to a real clock's server"
)]
pub fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

#[derive(Debug, Default, Clone)]
struct CardState {
    message: Option<String>,
    shown: Option<u64>,
    begun: bool,
    in_doubt: bool,
    failures: u32,
    retry_at: Option<Instant>,
    leased_until: Option<Instant>,
}

/// An approver in memory.
#[derive(Debug, Default)]
pub struct Desk {
    holds: Mutex<BTreeMap<HoldId, (HoldView, CardState)>>,
    changed: Notify,
    /// Every decision that was asked for, counted or not.
    pub asked: Mutex<Vec<DecisionRequest>>,
    pub failures: Mutex<Vec<CardFailure>>,
    /// How long a decision takes.
    pub slow: Mutex<Duration>,
    /// Card receipts to lose, as a crash would.
    pub lose_receipts: Mutex<u32>,
    /// Votes that a hold needs; one when zero.
    pub quorum: Mutex<usize>,
}

impl Desk {
    pub fn put(&self, view: HoldView) {
        let mut holds = self.holds.lock().unwrap();
        let card = holds
            .get(&view.id)
            .map(|(_, card)| card.clone())
            .unwrap_or_default();
        holds.insert(view.id.clone(), (view, card));
        self.changed.notify_one();
    }

    pub fn view(&self, id: &str) -> HoldView {
        self.holds.lock().unwrap()[&id.parse::<HoldId>().unwrap()]
            .0
            .clone()
    }

    /// Moves a hold on.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut HoldView)) {
        let mut view = self.view(id);
        view.version += 1;
        change(&mut view);
        self.put(view);
    }

    pub fn decisions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn judge(view: &HoldView, user: &str) -> Result<PersonRef, DecideError> {
        if view.state != HoldState::Pending {
            let by = view
                .votes
                .last()
                .map(|vote| vote.person.display_name.clone());
            return Err(DecideError::AlreadyResolved {
                state: view.state,
                by,
            });
        }
        let person = view
            .reviewers
            .iter()
            .find(|person| person.slack.as_deref() == Some(user));
        let person = person.ok_or(DecideError::UnknownPerson)?;
        if view.request.agent.owner.as_ref() == Some(&person.id) {
            return Err(DecideError::OwnAgent);
        }
        Ok(person.clone())
    }
}

#[async_trait]
impl DecisionDesk for Desk {
    async fn hold_view(&self, id: &HoldId) -> Result<HoldView, DeskError> {
        self.holds
            .lock()
            .unwrap()
            .get(id)
            .map(|(view, _)| view.clone())
            .ok_or(DeskError::NotFound)
    }

    async fn hold_list(&self, _: HoldFilter) -> Result<Vec<HoldView>, DeskError> {
        Ok(self
            .holds
            .lock()
            .unwrap()
            .values()
            .map(|(view, _)| view.clone())
            .collect())
    }

    async fn hold_decide(&self, request: DecisionRequest) -> Result<HoldView, DecideError> {
        self.asked.lock().unwrap().push(request.clone());
        let slow = *self.slow.lock().unwrap();
        tokio::time::sleep(slow).await;
        let mut view = self
            .hold_view(&request.hold)
            .await
            .map_err(|_| DecideError::NotFound)?;
        let Claimant::Slack { user } = &request.claimant else {
            panic!("not from Slack")
        };
        let person = Self::judge(&view, user)?;
        let vote = Vote {
            person,
            decision: request.decision,
            reason: request.reason.clone(),
            surface: request.surface,
            at: wall_clock(),
            break_glass: false,
            wish: None,
            by_grant: None,
        };
        view.version += 1;
        view.votes.push(vote.clone());
        if view.votes.len() >= *self.quorum.lock().unwrap() {
            view.resolved_at = Some(vote.at);
            (view.state, view.resolution) = match request.decision {
                Decision::Approve => (HoldState::Approved, Some(Resolution::Approved { vote })),
                Decision::Deny => (HoldState::Denied, Some(Resolution::Denied { vote })),
            };
        }
        self.put(view.clone());
        Ok(view)
    }
}

#[async_trait]
impl CardDesk for Desk {
    async fn cards_due(&self, _: ChatKind, limit: u32) -> Result<Vec<CardTask>, DeskError> {
        let now = Instant::now();
        let waits = |at: Option<Instant>| at.is_some_and(|at| at > now);
        let mut due = Vec::new();
        for (view, card) in self.holds.lock().unwrap().values_mut() {
            let stale = card.shown.is_none_or(|shown| shown < view.version);
            if due.len() as u32 == limit
                || !stale
                || waits(card.retry_at)
                || waits(card.leased_until)
            {
                continue;
            }
            card.in_doubt |= card.begun;
            card.leased_until = Some(now + Duration::from_secs(3));
            due.push(CardTask {
                chat: ChatKind::Slack,
                channel: CHANNEL.to_owned(),
                hold: view.clone(),
                message: card.message.clone(),
                in_doubt: card.in_doubt,
                failures: card.failures,
            });
        }
        Ok(due)
    }

    async fn card_begin(&self, task: &CardTask) -> Result<(), DeskError> {
        if let Some((_, card)) = self.holds.lock().unwrap().get_mut(&task.hold.id) {
            card.begun = true;
        }
        Ok(())
    }

    async fn card_delivered(&self, receipt: CardReceipt) -> Result<(), DeskError> {
        let mut lose = self.lose_receipts.lock().unwrap();
        if *lose > 0 {
            *lose -= 1;
            return Err(DeskError::Unavailable {
                detail: "lost".to_owned(),
            });
        }
        drop(lose);
        if let Some((_, card)) = self.holds.lock().unwrap().get_mut(&receipt.hold) {
            *card = CardState {
                message: Some(receipt.message),
                shown: Some(receipt.version),
                ..CardState::default()
            };
        }
        self.changed.notify_one();
        Ok(())
    }

    async fn card_failed(&self, failure: CardFailure) -> Result<(), DeskError> {
        if let Some((_, card)) = self.holds.lock().unwrap().get_mut(&failure.hold) {
            card.begun = false;
            card.in_doubt = failure.in_doubt;
            card.failures += 1;
            card.leased_until = None;
            card.retry_at = failure.retry_in.map(|wait| Instant::now() + wait);
        }
        self.failures.lock().unwrap().push(failure);
        Ok(())
    }

    async fn cards_changed(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.changed.notified()).await;
    }
}
