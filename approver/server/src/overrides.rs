//! Overrides of schedules: who may make them, and who is on call with them.
//!
//! Whoever has turns on a schedule, or is one of its stand-ins, may put any of those on call: an override makes
//! people reviewers, so it never goes beyond whom the configuration names. Of overrides that name
//! somebody who is not among them any more, that person does not count.

use std::collections::HashMap;

use abeyance_api::{
    DecideError, DeskError, OncallDesk, Override, OverrideRemoval, OverrideRequest, OverrideSpan,
    PersonId, ScheduleView, ShiftsQuery, StandIn, Swap,
};
use abeyance_holds::oncall::Exception;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Approver, OncallSchedule, StoreError,
    desk::required_reason,
    limits,
    roster::Roster,
    store::{Added, NewOverrides, Removal, Store},
};

/// Overrides by schedule, as schedules read them.
#[derive(Debug, Default)]
pub(crate) struct Exceptions(HashMap<String, Vec<Exception>>);

impl Exceptions {
    pub(crate) fn of(&self, schedule: &str) -> &[Exception] {
        self.0.get(schedule).map_or(&[], Vec::as_slice)
    }
}

/// Those that count from `now` on.
pub(crate) async fn exceptions(
    store: &Store,
    roster: &Roster,
    now: DateTime<Utc>,
) -> Result<Exceptions, StoreError> {
    if roster.schedules().is_empty() {
        return Ok(Exceptions::default());
    }
    let mut all = Exceptions::default();
    for one in store.overrides(now).await? {
        let Some(schedule) = roster.schedule(&one.schedule) else {
            continue;
        };
        let named = |id: &PersonId| schedule.people().any(|person| person == id);
        let exception = Exception {
            people: one.people.into_iter().filter(|id| named(id)).collect(),
            from: one.from,
            until: one.until,
            author: one.author,
            reason: one.reason,
            made_at: one.made_at,
        };
        all.0.entry(one.schedule).or_default().push(exception);
    }
    Ok(all)
}

#[async_trait]
impl OncallDesk for Approver {
    async fn overrides(&self, since: DateTime<Utc>) -> Result<Vec<Override>, DeskError> {
        Ok(self.0.store.overrides(since).await?)
    }

    async fn override_add(&self, request: OverrideRequest) -> Result<Vec<Override>, DecideError> {
        let now = self.0.clock.now();
        let roster = self.roster();
        let schedule = roster.schedule_named(&request.schedule)?;
        let author = allowed(&roster, schedule, &request.claimant)?;
        check_spans(schedule, &request.spans, now)?;
        let new = NewOverrides {
            schedule: request.schedule.clone(),
            spans: request.spans,
            reason: required_reason(Some(request.reason))?,
            author: author.clone(),
            surface: request.surface,
            key: request.key.map(bounded).transpose()?,
        };
        let made = match self.0.store.overrides_add(new, now).await? {
            Added::Done(made) => made,
            Added::Before => {
                let said = "this was done before, and is not done again".to_owned();
                return Err(invalid(said));
            }
            Added::Full => {
                let most = limits::OVERRIDES_MAX;
                return Err(invalid(format!(
                    "there are {most} overrides already; remove some first"
                )));
            }
        };
        tracing::info!(schedule = request.schedule, %author, count = made.len(), "on call overridden");
        Ok(made)
    }

    async fn override_remove(&self, removal: OverrideRemoval) -> Result<(), DecideError> {
        let now = self.0.clock.now();
        let roster = self.roster();
        let none = || invalid("there is no such override, or it was removed already".to_owned());
        let one = self.0.store.override_by_id(removal.id).await?;
        let one = one.ok_or_else(none)?;
        let by = match roster.schedule(&one.schedule) {
            Some(schedule) => allowed(&roster, schedule, &removal.claimant)?,
            None => return Err(none()),
        };
        let removal = Removal {
            id: removal.id,
            reason: required_reason(Some(removal.reason))?,
            by,
            surface: removal.surface,
        };
        if self.0.store.override_remove(removal, now).await? {
            Ok(())
        } else {
            Err(none())
        }
    }

    async fn shifts(&self, query: ShiftsQuery) -> Result<Vec<ScheduleView>, DecideError> {
        self.shifts_ahead(query).await
    }

    async fn stand_in(&self, request: StandIn) -> Result<Vec<Override>, DecideError> {
        self.put_on_call(request).await
    }

    async fn swap(&self, request: Swap) -> Result<Vec<Override>, DecideError> {
        self.swap_shifts(request).await
    }
}

/// Whoever has turns or stands in may change who is on call.
fn allowed(
    roster: &Roster,
    schedule: &OncallSchedule,
    claimant: &abeyance_api::Claimant,
) -> Result<PersonId, DecideError> {
    let person = roster
        .claimant(claimant)
        .ok_or(DecideError::UnknownPerson)?;
    if schedule.people().any(|id| *id == person.id) {
        return Ok(person.id.clone());
    }
    let name = schedule.schedule.name();
    Err(invalid(format!(
        "only people of schedule {name} change who is on call; ask one of them, or whoever keeps the \
         configuration to add you as a stand-in"
    )))
}

fn check_spans(
    schedule: &OncallSchedule,
    spans: &[OverrideSpan],
    now: DateTime<Utc>,
) -> Result<(), DecideError> {
    if spans.is_empty() || spans.len() > limits::OVERRIDE_SPANS_MAX {
        return Err(invalid("name one span, or two to swap".to_owned()));
    }
    for span in spans {
        if span.until <= span.from || span.until <= now {
            return Err(invalid(
                "an override ends after it begins, and not in the past".to_owned(),
            ));
        }
        if span.until - span.from > limits::OVERRIDE_MAX || span.from - now > TimeDelta::days(366) {
            let days = limits::OVERRIDE_MAX.num_days();
            return Err(invalid(format!(
                "an override lasts at most {days} days and begins within a year"
            )));
        }
        if span.people.is_empty() || span.people.len() > limits::OVERRIDE_PEOPLE_MAX {
            return Err(invalid("name who stands in".to_owned()));
        }
        if let Some(stranger) = span
            .people
            .iter()
            .find(|id| !schedule.people().any(|p| p == *id))
        {
            let name = schedule.schedule.name();
            return Err(invalid(format!(
                "{stranger} has no turns on schedule {name} and is none of its stand-ins"
            )));
        }
    }
    Ok(())
}

fn bounded(key: String) -> Result<String, DecideError> {
    let fits = (1..=limits::REQUEST_KEY_BYTES_MAX).contains(&key.len());
    fits.then_some(key)
        .ok_or_else(|| invalid("the request's key is empty or too long".to_owned()))
}

fn invalid(detail: String) -> DecideError {
    DecideError::Invalid { detail }
}
