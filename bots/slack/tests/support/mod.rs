//! What the tests of this crate share: a hold, and a desk that keeps decisions and cards in memory
//! the way the approver does, with its rules of who may decide.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use abeyance_api::{
    AgentIdentity, Alike, AlikeHold, BindingDigest, Blast, BulkDecision, BulkOutcome, CardDesk,
    CardFailure, CardReceipt, CardTask, ChatKind, Claimant, DecideError, Decision, DecisionDesk,
    DecisionRequest, DeskError, Estimate, GrantDesk, GrantRevocation, GrantView, HoldFilter,
    HoldHistory, HoldId, HoldRequest, HoldSearch, HoldState, HoldView, HoldsFound, OncallDesk,
    Override, OverrideRemoval, OverrideRequest, PersonRef, RecordDesk, RecordLine,
    RedactedStatement, Resolution, ScheduleView, SessionId, SessionInfo, ShiftsQuery, StandIn,
    Swap, TargetInfo, TransactionContext, Vote,
};
use abeyance_chat::command::CommandDesks;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

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
    touched: watch::Sender<u64>,
    /// Every decision that was asked for, counted or not.
    pub asked: Mutex<Vec<DecisionRequest>>,
    pub failures: Mutex<Vec<CardFailure>>,
    /// How long a decision takes.
    pub slow: Mutex<Duration>,
    /// Card receipts to lose, as a crash would.
    pub lose_receipts: Mutex<u32>,
    /// Votes that a hold needs; one when zero.
    pub quorum: Mutex<usize>,
    /// Holds that are alike and more than may be decided together.
    pub more_alike: Mutex<u64>,
    pub overrides: Mutex<Vec<Override>>,
    /// Every stand-in that was asked for.
    pub stand_ins: Mutex<Vec<StandIn>>,
    /// Every revocation that was asked for.
    pub revocations: Mutex<Vec<GrantRevocation>>,
    /// How often somebody was looked up: every command begins with it.
    pub lookups: Mutex<usize>,
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
        self.touch();
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

    /// Waits until something was asked or changed.
    pub async fn when(&self, there: impl Fn(&Self) -> bool) {
        let mut touched = self.touched.subscribe();
        let wait = async {
            while !there(self) {
                touched.changed().await.unwrap();
            }
        };
        let wait = tokio::time::timeout(Duration::from_secs(15), wait).await;
        assert!(wait.is_ok(), "what is waited for never comes");
    }

    fn touch(&self) {
        self.touched.send_modify(|count| *count += 1);
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
        self.touch();
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

    async fn holds_alike(&self, id: &HoldId) -> Result<Alike, DeskError> {
        let holds = self.holds.lock().unwrap();
        let waiting = holds.values().map(|(view, _)| view);
        let waiting = waiting.filter(|view| view.state == HoldState::Pending);
        let (mut first, others): (Vec<_>, Vec<_>) = waiting.partition(|view| view.id == *id);
        first.extend(others);
        let one = |view: &HoldView| AlikeHold {
            id: view.id.clone(),
            created_at: view.created_at,
            rows: view.request.blast.rows.clone(),
        };
        Ok(Alike {
            holds: first.into_iter().map(one).collect(),
            more: *self.more_alike.lock().unwrap(),
        })
    }

    async fn holds_decide(&self, request: BulkDecision) -> Result<Vec<BulkOutcome>, DecideError> {
        let mut outcomes = Vec::new();
        for hold in request.holds {
            let one = DecisionRequest {
                hold: hold.clone(),
                claimant: request.claimant.clone(),
                decision: request.decision,
                reason: request.reason.clone(),
                surface: request.surface,
                break_glass: false,
                grant: None,
                key: request.key.clone(),
            };
            let result = self.hold_decide(one).await.map(Box::new);
            outcomes.push(BulkOutcome { hold, result });
        }
        Ok(outcomes)
    }
}

/// One desk for every command.
pub fn desks(desk: &Arc<Desk>) -> CommandDesks {
    CommandDesks {
        records: Arc::clone(desk) as _,
        oncall: Arc::clone(desk) as _,
        grants: Arc::clone(desk) as _,
    }
}

#[async_trait]
impl RecordDesk for Desk {
    async fn person(&self, claimant: &Claimant) -> Result<PersonRef, DecideError> {
        *self.lookups.lock().unwrap() += 1;
        let people = [person("ann", "Ann", ANN), person("bob", "Bob", BOB)];
        let Claimant::Slack { user } = claimant else {
            panic!("not from Slack")
        };
        let mut people = people.into_iter();
        let found = people.find(|person| person.slack.as_ref() == Some(user));
        found.ok_or(DecideError::UnknownPerson)
    }

    async fn holds_search(&self, search: HoldSearch) -> Result<HoldsFound, DecideError> {
        let holds = self.holds.lock().unwrap();
        let found = holds.values().map(|(view, _)| view).filter(|view| {
            let agent = search.agent.as_ref();
            agent.is_none_or(|agent| *agent == view.request.agent.name)
        });
        let all: Vec<HoldView> = found.cloned().collect();
        let total = all.len() as u64;
        let limit = search.limit as usize;
        Ok(HoldsFound {
            holds: all.into_iter().take(limit).collect(),
            total,
        })
    }

    async fn hold_history(&self, id: &HoldId, _: &Claimant) -> Result<HoldHistory, DecideError> {
        let hold = self.hold_view(id).await;
        Ok(HoldHistory {
            hold: hold.map_err(|_| DecideError::NotFound)?,
            lines: vec![RecordLine {
                at: at(0),
                text: "Held; route dba was asked".to_owned(),
                quote: None,
            }],
        })
    }
}

#[async_trait]
impl OncallDesk for Desk {
    async fn overrides(&self, _: DateTime<Utc>) -> Result<Vec<Override>, DeskError> {
        Ok(self.overrides.lock().unwrap().clone())
    }

    async fn override_add(&self, _: OverrideRequest) -> Result<Vec<Override>, DecideError> {
        Ok(Vec::new())
    }

    async fn override_remove(&self, _: OverrideRemoval) -> Result<(), DecideError> {
        Ok(())
    }

    async fn shifts(&self, _: ShiftsQuery) -> Result<Vec<ScheduleView>, DecideError> {
        Err(DecideError::Unavailable {
            detail: "the store is away".to_owned(),
        })
    }

    async fn stand_in(&self, request: StandIn) -> Result<Vec<Override>, DecideError> {
        let schedule = request.schedule.clone();
        self.stand_ins.lock().unwrap().push(request);
        self.touch();
        if schedule == "dba" {
            return Ok(Vec::new());
        }
        Err(DecideError::Invalid {
            detail: format!("there is no schedule {schedule}"),
        })
    }

    async fn swap(&self, _: Swap) -> Result<Vec<Override>, DecideError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl GrantDesk for Desk {
    async fn grants(&self, _: bool) -> Result<Vec<GrantView>, DeskError> {
        Ok(Vec::new())
    }

    async fn grant_revoke(&self, asked: GrantRevocation) -> Result<GrantView, DecideError> {
        self.revocations.lock().unwrap().push(asked);
        Err(DecideError::NotFound)
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
