//! What people decide, by whatever surface.

use abeyance_api::{
    Alike, BindingDigest, BulkDecision, BulkOutcome, DecideError, Decision, DecisionDesk,
    DecisionRequest, DeskError, HoldFilter, HoldId, HoldView, LookRequest, PersonId, PersonRef,
    Surface, says_something,
};
use abeyance_holds::{Ballot, Event, Glance};
use async_trait::async_trait;

use crate::{
    Approver, limits,
    store::{HoldRecord, NewVote, Stepped, StoreError},
};

#[async_trait]
impl DecisionDesk for Approver {
    async fn hold_view(&self, id: &HoldId) -> Result<HoldView, DeskError> {
        let record = self.0.store.hold(id).await?.ok_or(DeskError::NotFound)?;
        let (view, _) = self.view_in_company(record).await?;
        Ok(view)
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
        if request.decision == Decision::Deny && reason.is_none() {
            let detail = "a denial needs a reason: the agent gets to read it".to_owned();
            return Err(DecideError::Invalid { detail });
        }
        let roster = self.roster();
        let Some(person) = roster.claimant(&request.claimant) else {
            tracing::warn!(hold = %request.hold, claimant = ?request.claimant, "a stranger tried to decide");
            return Err(DecideError::UnknownPerson);
        };
        let person = person.to_ref();
        let id = request.hold.clone();
        let (decision, surface) = (request.decision, request.surface);
        let record = self.0.store.hold(&id).await?.ok_or(DecideError::NotFound)?;
        let known = known(&person.id, &id, request.key.as_deref())?;
        let vote = if request.break_glass {
            self.glass_vote(person.clone(), &record, &request, reason, known)?
        } else {
            let ballot = Ballot {
                quorum: roster.renewed(&record.hold),
                person: person.clone(),
                decision,
                reason,
                surface,
                wish: request.grant,
            };
            NewVote {
                hold: id.clone(),
                event: Event::Vote(ballot),
                request: known,
                channel: None,
            }
        };
        let now = self.0.clock.now();
        if let Some(stepped) = self.0.store.hold_vote(vote, now).await? {
            return self.voted(stepped, &person, decision, surface);
        }
        tracing::warn!(hold = %id, person = %person.id, ?decision, ?surface,
            "a request that was counted before came again; nothing changed");
        let record = self.0.store.hold(&id).await?.ok_or(DecideError::NotFound)?;
        Ok(self.view(record))
    }

    async fn hold_look(&self, request: LookRequest) -> Result<HoldView, DecideError> {
        self.look(request).await
    }

    async fn holds_alike(&self, id: &HoldId) -> Result<Alike, DeskError> {
        let record = self.0.store.hold(id).await?.ok_or(DeskError::NotFound)?;
        Ok(self.0.store.holds_alike(&record).await?)
    }

    async fn holds_decide(&self, request: BulkDecision) -> Result<Vec<BulkOutcome>, DecideError> {
        self.decide_alike(request).await
    }
}

impl Approver {
    /// A hold that says how many others like it wait, and which those are.
    pub(crate) async fn view_in_company(
        &self,
        record: HoldRecord,
    ) -> Result<(HoldView, Alike), StoreError> {
        let alike = self.0.store.holds_alike(&record).await?;
        let others = alike.holds.len().saturating_sub(1);
        let mut view = self.view(record);
        view.offers.alike = u32::try_from(others).unwrap_or(u32::MAX);
        Ok((view, alike))
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
            Stepped::Foreign | Stepped::NotFound => Err(DecideError::NotFound),
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
            Stepped::Foreign | Stepped::NotFound => Err(DecideError::NotFound),
        }
    }
}

/// By what this vote is known again when the same request comes twice: by its person and hold, too, so that nobody's key
/// stands in the way of another's vote.
fn known(
    person: &PersonId,
    hold: &HoldId,
    key: Option<&str>,
) -> Result<Option<BindingDigest>, DecideError> {
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > limits::REQUEST_KEY_BYTES_MAX {
        return Err(DecideError::Invalid {
            detail: "the request's key is empty or too long".to_owned(),
        });
    }
    let parts = [person.as_str(), hold.as_str(), key].map(str::as_bytes);
    Ok(Some(BindingDigest::over(parts)))
}

/// A reason where one has to be given.
pub(crate) fn required_reason(reason: Option<String>) -> Result<String, DecideError> {
    clean_reason(reason)?.ok_or_else(|| DecideError::Invalid {
        detail: "say in a few words why".to_owned(),
    })
}

/// One line, no control characters, bounded; nothing when it says nothing.
fn clean_reason(reason: Option<String>) -> Result<Option<String>, DecideError> {
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
    Ok(Some(reason).filter(|reason| says_something(reason)))
}
