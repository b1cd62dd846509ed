//! The desks as calls.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::json;
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{
    HttpDesk, limits,
    transport::{Answer, Call, Failure},
    unavailable,
};
use crate::{
    Alike, BindingDigest, BulkDecision, BulkOutcome, CardDesk, CardFailure, CardReceipt, CardTask,
    ChatKind, Claimant, Claimed, DecideError, DecisionDesk, DecisionRequest, DeskError, GrantDesk,
    GrantRevocation, GrantView, HoldDesk, HoldFilter, HoldHistory, HoldId, HoldReceipt,
    HoldRequest, HoldSearch, HoldView, HoldsFound, LookRequest, NoticeFailure, NoticeTask,
    OncallDesk, Outcome, Override, OverrideRemoval, OverrideRequest, PersonId, PersonRef,
    RecordDesk, Resolution, ScheduleView, ShiftsQuery, StandIn, StatementRecord, Swap,
    WithdrawReason,
};

impl HttpDesk {
    /// A call that may be repeated and has an answer.
    async fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<T, DeskError> {
        value(self.send_again::<T, DeskError>(call).await)
    }

    /// A call that may be repeated and has none.
    async fn tell(&self, call: &Call) -> Result<(), DeskError> {
        match self.send_again::<IgnoredAny, DeskError>(call).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(desk_error(failure)),
        }
    }

    async fn claim(&self, id: &HoldId, binding: BindingDigest) -> Result<Claimed, DeskError> {
        let body = json!({ "binding": binding });
        self.keep_alive();
        let call = Call::post(format!("/holds/{id}/claim"), &body)?.with_id(Uuid::new_v4());
        self.ask(&call).await
    }

    /// A permit that reached nobody: written down as unused.
    async fn claim_unused(&self, id: &HoldId) {
        let outcome = Outcome::RolledBack {
            reason: "the session ended before it got its permit; nothing ran".to_owned(),
            elapsed: Duration::ZERO,
        };
        if let Err(error) = self.hold_report(id, outcome).await {
            tracing::warn!(hold = %id, %error, "an unused permit stays without an outcome");
        }
    }
}

pub(super) fn value<T>(answer: Result<Answer<T>, Failure<DeskError>>) -> Result<T, DeskError> {
    match answer {
        Ok(Answer::Value(value)) => Ok(value),
        Ok(Answer::Nothing) => Err(unavailable("its answer is empty")),
        Err(failure) => Err(desk_error(failure)),
    }
}

fn desk_error(failure: Failure<DeskError>) -> DeskError {
    match failure {
        Failure::Undelivered(detail) | Failure::Lost(detail) => unavailable(detail),
        Failure::Refused(detail) => DeskError::Refused { detail },
        Failure::Answered(error) => error,
    }
}

#[async_trait]
impl HoldDesk for HttpDesk {
    async fn hold_open(&self, request: HoldRequest) -> Result<HoldReceipt, DeskError> {
        let (reply, answer) = oneshot::channel();
        let desk = self.clone();
        self.0
            .tasks
            .spawn(async move { desk.open(&request, reply).await });
        answer
            .await
            .map_err(|_| unavailable("the call was dropped"))?
    }

    async fn hold_wait(&self, id: &HoldId) -> Result<Resolution, DeskError> {
        let path = format!(
            "/holds/{id}/resolution?wait_ms={}",
            limits::POLL.as_millis()
        );
        let call = Call::get(path).within(limits::POLL + limits::POLL_MARGIN);
        let mut away_since: Option<Instant> = None;
        let mut pause = limits::RETRY_PAUSE;
        let mut failures = 0;
        loop {
            let detail = match self.send::<Resolution, DeskError>(&call).await {
                Ok(Answer::Value(resolution)) => return Ok(resolution),
                Ok(Answer::Nothing) => {
                    away_since = None;
                    pause = limits::RETRY_PAUSE;
                    failures = 0;
                    continue;
                }
                Err(
                    Failure::Undelivered(detail)
                    | Failure::Lost(detail)
                    | Failure::Answered(DeskError::Unavailable { detail }),
                ) => detail,
                Err(failure) => return Err(desk_error(failure)),
            };
            if away_since.get_or_insert_with(Instant::now).elapsed() >= limits::AWAY_MAX {
                return Err(unavailable(detail));
            }
            tracing::debug!(hold = %id, %detail, "the approver is away; waiting for it");
            failures += 1;
            if failures % self.0.bases.len() == 0 {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(limits::AWAY_PAUSE_MAX);
            }
        }
    }

    /// The call goes on when its caller goes away, so that no permit is left lying about.
    async fn hold_claim(&self, id: &HoldId, binding: BindingDigest) -> Result<Claimed, DeskError> {
        let (reply, answer) = oneshot::channel();
        let (desk, id) = (self.clone(), id.clone());
        self.0.tasks.spawn(async move {
            let claimed = desk.claim(&id, binding).await;
            if let Err(Ok(_unused)) = reply.send(claimed) {
                desk.claim_unused(&id).await;
            }
        });
        answer
            .await
            .map_err(|_| unavailable("the call was dropped"))?
    }

    async fn hold_withdraw(&self, id: &HoldId, reason: WithdrawReason) -> Result<(), DeskError> {
        let body = json!({ "reason": reason });
        self.tell(&Call::post(format!("/holds/{id}/withdraw"), &body)?)
            .await
    }

    async fn hold_report(&self, id: &HoldId, outcome: Outcome) -> Result<(), DeskError> {
        self.tell(&Call::post(format!("/holds/{id}/outcome"), &outcome)?)
            .await
    }

    /// Not repeated: counts that may have arrived are not sent twice.
    async fn statements_record(&self, records: Vec<StatementRecord>) -> Result<(), DeskError> {
        let call = Call::post("/statements".to_owned(), &records)?;
        match self.send::<IgnoredAny, DeskError>(&call).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(desk_error(failure)),
        }
    }
}

#[async_trait]
impl DecisionDesk for HttpDesk {
    async fn hold_view(&self, id: &HoldId) -> Result<HoldView, DeskError> {
        self.ask(&Call::get(format!("/holds/{id}"))).await
    }

    async fn hold_list(&self, filter: HoldFilter) -> Result<Vec<HoldView>, DeskError> {
        let HoldFilter {
            pending_only,
            limit,
        } = filter;
        let path = format!("/holds?pending_only={pending_only}&limit={limit}");
        self.ask(&Call::get(path)).await
    }

    async fn hold_decide(&self, request: DecisionRequest) -> Result<HoldView, DecideError> {
        self.decide(format!("/holds/{}/decision", request.hold), &request)
            .await
    }

    async fn holds_decide(&self, request: BulkDecision) -> Result<Vec<BulkOutcome>, DecideError> {
        self.decide("/holds/decision".to_owned(), &request).await
    }

    async fn holds_alike(&self, id: &HoldId) -> Result<Alike, DeskError> {
        self.ask(&Call::get(format!("/holds/{id}/alike"))).await
    }

    async fn hold_look(&self, request: LookRequest) -> Result<HoldView, DecideError> {
        self.decide(format!("/holds/{}/look", request.hold), &request)
            .await
    }
}

#[async_trait]
impl GrantDesk for HttpDesk {
    async fn grants(&self, active_only: bool) -> Result<Vec<GrantView>, DeskError> {
        self.ask(&Call::get(format!("/grants?active_only={active_only}")))
            .await
    }

    async fn grant_revoke(&self, revocation: GrantRevocation) -> Result<GrantView, DecideError> {
        let path = format!("/grants/{}/revoke", revocation.id);
        self.decide(path, &revocation).await
    }
}

#[async_trait]
impl OncallDesk for HttpDesk {
    async fn overrides(&self, since: DateTime<Utc>) -> Result<Vec<Override>, DeskError> {
        let since = since.timestamp_micros();
        self.ask(&Call::get(format!("/oncall/overrides?since={since}")))
            .await
    }

    async fn override_add(&self, request: OverrideRequest) -> Result<Vec<Override>, DecideError> {
        self.decide("/oncall/overrides".to_owned(), &request).await
    }

    async fn override_remove(&self, removal: OverrideRemoval) -> Result<(), DecideError> {
        let path = format!("/oncall/overrides/{}/remove", removal.id);
        self.decide(path, &removal).await
    }

    async fn shifts(&self, query: ShiftsQuery) -> Result<Vec<ScheduleView>, DecideError> {
        self.decide("/oncall/shifts".to_owned(), &query).await
    }

    async fn stand_in(&self, request: StandIn) -> Result<Vec<Override>, DecideError> {
        self.decide("/oncall/stand-ins".to_owned(), &request).await
    }

    async fn swap(&self, request: Swap) -> Result<Vec<Override>, DecideError> {
        self.decide("/oncall/swaps".to_owned(), &request).await
    }
}

#[async_trait]
impl RecordDesk for HttpDesk {
    async fn person(&self, claimant: &Claimant) -> Result<PersonRef, DecideError> {
        self.decide("/record/person".to_owned(), claimant).await
    }

    async fn holds_search(&self, search: HoldSearch) -> Result<HoldsFound, DecideError> {
        self.decide("/record/search".to_owned(), &search).await
    }

    async fn hold_history(
        &self,
        id: &HoldId,
        claimant: &Claimant,
    ) -> Result<HoldHistory, DecideError> {
        self.decide(format!("/record/holds/{id}"), claimant).await
    }
}

impl HttpDesk {
    /// Whose token this is, when it is a person's.
    ///
    /// # Errors
    /// When the approver does not answer, or does not know the token.
    pub async fn whoami(&self) -> Result<PersonId, DeskError> {
        self.ask(&Call::get("/me".to_owned())).await
    }

    /// What a person wants: repeated only when it certainly did not arrive.
    async fn decide<Q, T>(&self, path: String, request: &Q) -> Result<T, DecideError>
    where
        Q: Serialize + Sync,
        T: DeserializeOwned,
    {
        let call =
            Call::post(path, request).map_err(|error| decide_unavailable(error.to_string()))?;
        let mut pause = limits::RETRY_PAUSE;
        for _ in 1..limits::TRIES {
            match self.send::<T, DecideError>(&call).await {
                Err(Failure::Undelivered(_)) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answer => return decided(answer),
            }
        }
        decided(self.send(&call).await)
    }
}

fn decided<T>(answer: Result<Answer<T>, Failure<DecideError>>) -> Result<T, DecideError> {
    match answer {
        Ok(Answer::Value(value)) => Ok(value),
        Ok(Answer::Nothing) => Err(decide_unavailable("its answer is empty".to_owned())),
        Err(Failure::Undelivered(detail) | Failure::Refused(detail)) => {
            Err(decide_unavailable(detail))
        }
        Err(Failure::Lost(detail)) => Err(decide_unavailable(format!(
            "{detail}; look at the hold to see whether the vote arrived"
        ))),
        Err(Failure::Answered(error)) => Err(error),
    }
}

fn decide_unavailable(detail: String) -> DecideError {
    DecideError::Unavailable { detail }
}

#[async_trait]
impl CardDesk for HttpDesk {
    /// Not repeated when the answer was lost: those cards come back when their lease ends.
    async fn cards_due(&self, chat: ChatKind, limit: u32) -> Result<Vec<CardTask>, DeskError> {
        let call = Call::post(
            "/cards/due".to_owned(),
            &json!({ "chat": chat, "limit": limit }),
        )?;
        match self.send(&call).await {
            Ok(Answer::Value(tasks)) => Ok(tasks),
            Ok(Answer::Nothing) => Ok(Vec::new()),
            Err(failure) => Err(desk_error(failure)),
        }
    }

    async fn card_begin(&self, task: &CardTask) -> Result<(), DeskError> {
        self.tell(&Call::post("/cards/begin".to_owned(), task)?)
            .await
    }

    async fn card_delivered(&self, receipt: CardReceipt) -> Result<(), DeskError> {
        self.tell(&Call::post("/cards/delivered".to_owned(), &receipt)?)
            .await
    }

    async fn card_failed(&self, failure: CardFailure) -> Result<(), DeskError> {
        self.tell(&Call::post("/cards/failed".to_owned(), &failure)?)
            .await
    }

    async fn notices_due(&self, chat: ChatKind, limit: u32) -> Result<Vec<NoticeTask>, DeskError> {
        let body = json!({ "chat": chat, "limit": limit });
        match self
            .send(&Call::post("/notices/due".to_owned(), &body)?)
            .await
        {
            Ok(Answer::Value(tasks)) => Ok(tasks),
            Ok(Answer::Nothing) => Ok(Vec::new()),
            Err(failure) => Err(desk_error(failure)),
        }
    }

    async fn notice_begin(&self, id: Uuid) -> Result<(), DeskError> {
        self.tell(&Call::post(
            "/notices/begin".to_owned(),
            &json!({ "id": id }),
        )?)
        .await
    }

    async fn notice_delivered(&self, id: Uuid) -> Result<(), DeskError> {
        self.tell(&Call::post(
            "/notices/delivered".to_owned(),
            &json!({ "id": id }),
        )?)
        .await
    }

    async fn notice_failed(&self, failure: NoticeFailure) -> Result<(), DeskError> {
        self.tell(&Call::post("/notices/failed".to_owned(), &failure)?)
            .await
    }

    async fn cards_changed(&self, at_most: Duration) {
        let wait = at_most.min(limits::POLL);
        let path = format!("/cards/changed?wait_ms={}", wait.as_millis());
        let call = Call::get(path).within(wait + limits::POLL_MARGIN);
        let answer = self.send::<IgnoredAny, DeskError>(&call).await;
        if answer.is_err() {
            // The approver is away: no wake-up will come, so a short wait has to do.
            tokio::time::sleep(at_most.min(limits::AWAY_PAUSE_MAX)).await;
        }
    }
}
