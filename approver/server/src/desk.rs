//! The three desks, over the store.

use std::time::Duration;

use abeyance_api::{
    BindingDigest, BulkDecision, BulkOutcome, CardDesk, CardFailure, CardReceipt, CardTask,
    ChatKind, Claimed, DecideError, Decision, DecisionDesk, DecisionRequest, DeskError, HoldDesk,
    HoldFilter, HoldId, HoldReceipt, HoldRequest, HoldState, HoldView, LookRequest, NoticeFailure,
    NoticeTask, Outcome, PersonRef, Resolution, StatementRecord, Surface, TransactionContext,
    WithdrawReason,
};
use abeyance_holds::{Ballot, Event, Glance, escalation::in_words};
use async_trait::async_trait;
use chrono::TimeDelta;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    Approver, Route, escalate, limits,
    overrides::exceptions,
    reconcile::until,
    roster::Roster,
    store::{CardKey, Coverable, HoldRecord, Instance, NewRecord, Opened, Stepped, StoreError},
};

/// The reconciler ends an overdue hold; a waiter does it itself only when that did not happen.
const WAITER_GRACE: TimeDelta = TimeDelta::milliseconds(500);

impl Approver {
    /// Opens a hold once per `key`: a caller that lost the answer repeats the call with the same key.
    pub(crate) async fn hold_open_once(
        &self,
        request: HoldRequest,
        key: Uuid,
        instance: Option<Instance>,
    ) -> Result<HoldReceipt, DeskError> {
        let mut new = self.new_record(request, key).await?;
        // A ticket waits for its agent, not for a proxy.
        let waits = instance.filter(|_| !new.request.manner.ticket);
        new.instance = waits.map(|instance| (instance, self.lease_end()));
        let now = self.0.clock.now();
        let record = match self.0.store.hold_open(new, now).await? {
            Opened::New(record) => {
                tracing::info!(hold = %record.id, route = %record.hold.route,
                    agent = %record.request.agent.name, target = %record.request.target.name, "hold opened");
                if let Err(error) = escalate::escalate(self, &record.id).await {
                    tracing::warn!(hold = %record.id, %error, "its first step comes late");
                }
                record
            }
            Opened::Again(record) => record,
            Opened::Closed => {
                return refused("the opening was taken back before it arrived".to_owned());
            }
            Opened::Crowded => {
                return refused(format!(
                    "{} holds are waiting already; decide some first",
                    limits::PENDING_MAX
                ));
            }
        };
        let again = record.request.manner.ticket || record.hold.terms.by_grant.is_some();
        Ok(HoldReceipt {
            rows_cap: carried_cap(&record),
            resolution: record.hold.resolution.clone().filter(|_| again),
            console_url: self.console_link(&record.id),
            id: record.id,
            expires_at: record.hold.expires_at,
            asked: record.asked,
        })
    }

    async fn new_record(&self, request: HoldRequest, key: Uuid) -> Result<NewRecord, DeskError> {
        check_request(&request)?;
        let roster = self.roster();
        let Some(route) = roster.route(&request.route) else {
            return refused(format!(
                "there is no route {}; add it to the approver's configuration",
                request.route
            ));
        };
        // At its COMMIT a transaction is asked about because it is open.
        let open = request.transaction == TransactionContext::Open && !request.manner.at_commit;
        if open && route.terms.refuse_in_transaction {
            let route = route.name.clone();
            return Err(DeskError::InTransaction { route });
        }
        let timeout = route.terms.timeout(route.timeout, &request);
        let timeout = TimeDelta::from_std(timeout).map_err(|_| DeskError::Refused {
            detail: format!("the timeout of route {} is too long", route.name),
        })?;
        let now = self.0.clock.now();
        let span = (now, now + timeout);
        let exceptions = exceptions(&self.0.store, &roster, now).await?;
        let of = |schedule: &str| exceptions.of(schedule);
        if !roster.quorum_reachable(&route, &request.agent, span, of) {
            return refused(format!(
                "route {} needs {} to approve, and has not so many who may for agent {}: its owner \
                 and its actor never do; add reviewers",
                route.name, route.quorum, request.agent.name
            ));
        }
        let asked = asked(&roster, &route, &request);
        let mut new = NewRecord {
            request_key: key,
            asked,
            plan: route.plan.clone(),
            terms: route.terms.of(&request),
            coverable: Coverable {
                quorum: route.quorum.clone(),
                grantable: route.terms.grants(&request),
                known: roster.everybody(),
            },
            quorum: route.quorum.clone(),
            expires_at: now + timeout,
            slack_channels: roster.channels(&route.name),
            first: None,
            instance: None,
            request,
        };
        new.first = escalate::first(&roster, &exceptions, &new, now);
        Ok(new)
    }

    /// Claims once per `key`: only the claimant whose answer was lost may ask again.
    pub(crate) async fn hold_claim_once(
        &self,
        id: &HoldId,
        binding: BindingDigest,
        key: Uuid,
        instance: Option<Instance>,
    ) -> Result<Claimed, DeskError> {
        let now = self.0.clock.now();
        let runs = instance.map(|instance| (instance, self.lease_end()));
        let claim = self.0.store.hold_claim(id, binding, key, runs, now);
        let stepped = claim.await?;
        let record = done(stepped)?;
        let Some(vote) = record.hold.deciding_vote() else {
            return refused("the hold has no deciding vote".to_owned());
        };
        tracing::info!(hold = %id, by = %vote.person.id, "permit claimed");
        Ok(Claimed {
            hold: record.id,
            binding: record.hold.binding,
            vote: vote.clone(),
            at: record.hold.updated_at,
        })
    }

    async fn step(&self, id: &HoldId, event: Event) -> Result<Box<HoldRecord>, DeskError> {
        let now = self.0.clock.now();
        done(self.0.store.hold_step(id, event, now).await?)
    }
}

#[async_trait]
impl HoldDesk for Approver {
    async fn hold_open(&self, request: HoldRequest) -> Result<HoldReceipt, DeskError> {
        let (reply, answer) = oneshot::channel();
        let approver = self.clone();
        self.0
            .tasks
            .spawn(async move { approver.hold_open_inside(request, reply).await });
        answer.await.map_err(|_| stopping())?
    }

    async fn hold_wait(&self, id: &HoldId) -> Result<Resolution, DeskError> {
        let mut waiter = self.0.signals.wait_on(id);
        loop {
            // Nothing of the hold is kept while a thousand wait, nor room for what looks it up.
            let left = {
                let record = Box::pin(self.0.store.hold(id)).await?;
                let hold = record.ok_or(DeskError::NotFound)?.hold;
                if let Some(resolution) = hold.resolution {
                    return Ok(resolution);
                }
                hold.expires_at + WAITER_GRACE - self.0.clock.now()
            };
            if left <= TimeDelta::zero() {
                Box::pin(self.step(id, Event::Tick)).await?;
                continue;
            }
            // Both arms are cancel-safe.
            tokio::select! {
                () = waiter.changed() => {}
                () = tokio::time::sleep(until(left).min(limits::REPAIR_EVERY)) => {}
            }
        }
    }

    /// The caller may go away meanwhile: a permit that reached nobody is written down as unused.
    async fn hold_claim(&self, id: &HoldId, binding: BindingDigest) -> Result<Claimed, DeskError> {
        let (reply, answer) = oneshot::channel();
        let (approver, id) = (self.clone(), id.clone());
        self.0.tasks.spawn(async move {
            let inside = Some(approver.own_instance());
            let claimed = approver
                .hold_claim_once(&id, binding, Uuid::new_v4(), inside)
                .await;
            if let Err(Ok(_unused)) = reply.send(claimed) {
                let outcome = Outcome::RolledBack {
                    reason: "the session ended before it got its permit; nothing ran".to_owned(),
                    elapsed: Duration::ZERO,
                };
                if let Err(error) = approver.hold_report(&id, outcome).await {
                    tracing::warn!(hold = %id, %error, "an unused permit stays without an outcome");
                }
            }
        });
        answer.await.map_err(|_| stopping())?
    }

    async fn hold_withdraw(&self, id: &HoldId, reason: WithdrawReason) -> Result<(), DeskError> {
        self.step(id, Event::Withdraw { reason }).await.map(drop)
    }

    async fn hold_report(&self, id: &HoldId, outcome: Outcome) -> Result<(), DeskError> {
        self.step(id, Event::Report { outcome }).await.map(drop)
    }

    async fn statements_record(&self, records: Vec<StatementRecord>) -> Result<(), DeskError> {
        let now = self.0.clock.now();
        Ok(self.0.store.statements_record(records, now).await?)
    }
}

#[async_trait]
impl DecisionDesk for Approver {
    async fn hold_view(&self, id: &HoldId) -> Result<HoldView, DeskError> {
        let record = self.0.store.hold(id).await?.ok_or(DeskError::NotFound)?;
        Ok(self.view_in_company(record).await?)
    }

    async fn hold_list(&self, filter: HoldFilter) -> Result<Vec<HoldView>, DeskError> {
        let limit = filter.limit.clamp(1, limits::LIST_MAX);
        let records = self.0.store.holds(filter.pending_only, None, limit).await?;
        Ok(records
            .into_iter()
            .map(|record| self.view(record))
            .collect())
    }

    async fn hold_decide(&self, request: DecisionRequest) -> Result<HoldView, DecideError> {
        let reason = clean_reason(request.reason.clone())?;
        let roster = self.roster();
        let Some(person) = roster.claimant(&request.claimant) else {
            tracing::warn!(hold = %request.hold, claimant = ?request.claimant, "a stranger tried to decide");
            return Err(DecideError::UnknownPerson);
        };
        let person = person.to_ref();
        let id = request.hold.clone();
        let (decision, surface) = (request.decision, request.surface);
        let record = self.0.store.hold(&id).await?.ok_or(DecideError::NotFound)?;
        if request.break_glass {
            let stepped = self
                .glass_break(person.clone(), &record, request, reason)
                .await?;
            return self.voted(stepped, &person, decision, surface);
        }
        let ballot = Ballot {
            quorum: roster.renewed(&record.hold),
            person: person.clone(),
            decision,
            reason,
            surface,
            wish: request.grant,
        };
        let now = self.0.clock.now();
        let event = Event::Vote(ballot);
        let stepped = self.0.store.hold_step(&id, event, now).await?;
        self.voted(stepped, &person, decision, surface)
    }

    async fn hold_look(&self, request: LookRequest) -> Result<HoldView, DecideError> {
        self.look(request).await
    }

    async fn holds_alike(&self, id: &HoldId) -> Result<Vec<HoldId>, DeskError> {
        let record = self.0.store.hold(id).await?.ok_or(DeskError::NotFound)?;
        Ok(self.0.store.holds_alike(&record).await?)
    }

    async fn holds_decide(&self, request: BulkDecision) -> Result<Vec<BulkOutcome>, DecideError> {
        self.decide_alike(request).await
    }
}

impl Approver {
    /// A hold, and how many others like it wait.
    pub(crate) async fn view_in_company(&self, record: HoldRecord) -> Result<HoldView, StoreError> {
        let mut alike = 0;
        if record.hold.state == HoldState::Pending {
            alike = self.0.store.holds_alike(&record).await?.len();
        }
        let mut view = self.view(record);
        view.offers.alike = u32::try_from(alike).unwrap_or(u32::MAX);
        Ok(view)
    }

    fn voted(
        &self,
        stepped: Stepped,
        person: &PersonRef,
        decision: Decision,
        surface: Surface,
    ) -> Result<HoldView, DecideError> {
        match stepped {
            Stepped::Done(record) => {
                tracing::info!(hold = %record.id, person = %person.id, ?decision, ?surface,
                    state = %record.hold.state, "vote counted");
                Ok(self.view(*record))
            }
            Stepped::Refused(refusal) => {
                tracing::info!(person = %person.id, %refusal, "vote refused");
                Err(refusal.into())
            }
            Stepped::NotFound => Err(DecideError::NotFound),
        }
    }
}

impl Approver {
    /// "I'm looking": the next step waits a while. Whoever may decide may say so, once a hold.
    async fn look(&self, request: LookRequest) -> Result<HoldView, DecideError> {
        let roster = self.roster();
        let person = roster
            .claimant(&request.claimant)
            .ok_or(DecideError::UnknownPerson)?
            .to_ref();
        let record = self.0.store.hold(&request.hold).await?;
        let record = record.ok_or(DecideError::NotFound)?;
        let glance = Glance {
            reviewers: roster.renewed(&record.hold).people(),
            person,
            surface: request.surface,
        };
        let now = self.0.clock.now();
        let event = Event::Look(glance);
        match self.0.store.hold_step(&request.hold, event, now).await? {
            Stepped::Done(record) => Ok(self.view(*record)),
            Stepped::Refused(refusal) => Err(refusal.into()),
            Stepped::NotFound => Err(DecideError::NotFound),
        }
    }
}

#[async_trait]
impl CardDesk for Approver {
    async fn cards_due(&self, chat: ChatKind, limit: u32) -> Result<Vec<CardTask>, DeskError> {
        let limit = limit.clamp(1, limits::CARDS_MAX);
        let now = self.0.clock.now();
        let cards = self.0.store.cards_lease(chat, limit, now).await?;
        let mut tasks = Vec::with_capacity(cards.len());
        for card in cards {
            tasks.push(CardTask {
                chat,
                channel: card.channel,
                hold: self.view_in_company(card.record).await?,
                message: card.message,
                in_doubt: card.in_doubt,
                failures: card.failures,
            });
        }
        Ok(tasks)
    }

    async fn card_begin(&self, task: &CardTask) -> Result<(), DeskError> {
        let key = CardKey {
            hold: task.hold.id.clone(),
            chat: task.chat,
            channel: task.channel.clone(),
        };
        Ok(self.0.store.card_begin(key).await?)
    }

    async fn card_delivered(&self, receipt: CardReceipt) -> Result<(), DeskError> {
        Ok(self.0.store.card_delivered(receipt).await?)
    }

    async fn card_failed(&self, failure: CardFailure) -> Result<(), DeskError> {
        let (hold, channel, error) = (&failure.hold, &failure.channel, &failure.error);
        match failure.retry_in {
            Some(_) => tracing::debug!(%hold, channel, error, "a card has to be tried again"),
            None => tracing::warn!(%hold, channel, error, "a card was given up"),
        }
        Ok(self
            .0
            .store
            .card_failed(failure, self.0.clock.now())
            .await?)
    }

    async fn notices_due(&self, chat: ChatKind, limit: u32) -> Result<Vec<NoticeTask>, DeskError> {
        let limit = limit.clamp(1, limits::NOTICES_MAX);
        let now = self.0.clock.now();
        Ok(self.0.store.notices_lease(chat, limit, now).await?)
    }

    async fn notice_begin(&self, id: Uuid) -> Result<(), DeskError> {
        Ok(self.0.store.notice_begin(id).await?)
    }

    async fn notice_delivered(&self, id: Uuid) -> Result<(), DeskError> {
        Ok(self.0.store.notice_done(id).await?)
    }

    async fn notice_failed(&self, failure: NoticeFailure) -> Result<(), DeskError> {
        let now = self.0.clock.now();
        Ok(self.0.store.notice_failed(failure, now).await?)
    }

    /// Subscribes before it looks, so that nothing slips between a caller's look and its wait.
    async fn cards_changed(&self, at_most: Duration) {
        let mut changed = self.0.signals.cards().subscribe();
        let now = self.0.clock.now();
        let cards = self.0.store.card_next_due(now).await.ok().flatten();
        let notices = self.0.store.notice_next_due(now).await.ok().flatten();
        let wait = match cards.into_iter().chain(notices).min() {
            Some(due) if due <= TimeDelta::zero() => return,
            Some(due) => until(due).min(at_most),
            None => at_most,
        };
        // Both arms are cancel-safe.
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn done(stepped: Stepped) -> Result<Box<HoldRecord>, DeskError> {
    match stepped {
        Stepped::Done(record) => Ok(record),
        Stepped::Refused(refusal) => Err(refusal.into()),
        Stepped::NotFound => Err(DeskError::NotFound),
    }
}

/// The cap on rows of an approval that was given earlier: a ticket's, or its grant's.
fn carried_cap(record: &HoldRecord) -> Option<u64> {
    let ticket = record.request.blast.rows_cap;
    let ticket = ticket.filter(|_| record.request.manner.ticket);
    let granted = record.hold.terms.by_grant.as_ref();
    let granted = granted.and_then(|used| used.rows_cap);
    ticket.into_iter().chain(granted).min()
}

fn stopping() -> DeskError {
    DeskError::Unavailable {
        detail: "the approver is stopping".to_owned(),
    }
}

fn refused<T>(detail: String) -> Result<T, DeskError> {
    Err(DeskError::Refused { detail })
}

/// Who is asked, in words: `route dba (2 reviewers; 2 people have to agree)`, and its steps where it has any.
fn asked(roster: &Roster, route: &Route, request: &HoldRequest) -> String {
    let mut parts = Vec::new();
    if route.plan.is_empty() || !route.reviewers.is_empty() {
        let eligible = roster.eligible_count(route, &request.agent);
        let plural = if eligible == 1 { "" } else { "s" };
        parts.push(format!("{eligible} reviewer{plural}"));
    }
    for (index, step) in route.plan.steps().iter().enumerate() {
        let who = in_words(&step.who);
        parts.push(match (index, step.after_seconds) {
            (0, 0) => who,
            (_, after) => format!("then {who} after {}", in_time(after)),
        });
    }
    if route.quorum.seats() > 1 {
        parts.push(format!("{} have to agree", route.quorum));
    }
    format!("route {} ({})", route.name, parts.join("; "))
}

/// `5 min`, `90 s`
fn in_time(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (minutes, 0) if minutes > 0 => format!("{minutes} min"),
        _ => format!("{seconds} s"),
    }
}

/// Proxies bound what they send; a request past these bounds is a defect or an attack.
fn check_request(request: &HoldRequest) -> Result<(), DeskError> {
    let count = request.statements.len();
    if count == 0 || count > limits::STATEMENTS_MAX {
        return refused(format!(
            "a held batch has 1 to {} statements, this one has {count}",
            limits::STATEMENTS_MAX
        ));
    }
    let agent_reason = request.agent_reason.as_deref().unwrap_or_default();
    if agent_reason.chars().count() > limits::REASON_CHARS_MAX {
        return refused(format!(
            "the agent's reason is longer than {} characters",
            limits::REASON_CHARS_MAX
        ));
    }
    let bytes = serde_json::to_vec(request).map_or(usize::MAX, |json| json.len());
    if bytes > limits::REQUEST_BYTES_MAX {
        return refused(format!(
            "the batch is too large to be shown to a reviewer ({bytes} bytes, at most {})",
            limits::REQUEST_BYTES_MAX
        ));
    }
    Ok(())
}

/// One line, no control characters, bounded; nothing when it says nothing.
pub(crate) fn clean_reason(reason: Option<String>) -> Result<Option<String>, DecideError> {
    let Some(reason) = reason else {
        return Ok(None);
    };
    let spaced: String = reason
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let reason = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if reason.chars().count() > limits::REASON_CHARS_MAX {
        return Err(DecideError::Invalid {
            detail: format!(
                "the reason is longer than {} characters; shorten it",
                limits::REASON_CHARS_MAX
            ),
        });
    }
    Ok(Some(reason).filter(|reason| !reason.is_empty()))
}
