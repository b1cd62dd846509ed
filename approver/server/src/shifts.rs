//! Who is on call and who comes next, and requests about shifts in the words people use: names, mentions, and times
//! on the schedule's own wall clock. Each ends as an override like any other, with the rights and bounds of those.

use abeyance_api::{
    Claimant, DecideError, Moment, OncallDesk as _, Override, OverrideRequest, OverrideSpan,
    PersonId, PersonRef, ScheduleView, ShiftView, ShiftsQuery, StandIn, Swap,
};
use abeyance_holds::oncall::{Shift, shifts, swap};
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Approver, OncallSchedule, duty::because, limits, overrides::exceptions, roster::Roster,
};

/// How far ahead shifts are shown.
const AHEAD: TimeDelta = TimeDelta::days(31);
/// The furthest a moment may be from now: what is more is a slip, and walking there takes long.
const FAR: TimeDelta = TimeDelta::days(2 * 366);

impl Approver {
    pub(crate) async fn shifts_ahead(
        &self,
        query: ShiftsQuery,
    ) -> Result<Vec<ScheduleView>, DecideError> {
        let now = self.0.clock.now();
        let roster = self.roster();
        roster
            .claimant(&query.claimant)
            .ok_or(DecideError::UnknownPerson)?;
        let chosen: Vec<&OncallSchedule> = match &query.schedule {
            Some(name) => vec![roster.schedule_named(name)?],
            None => roster.schedules().iter().collect(),
        };
        let exceptions = exceptions(&self.0.store, &roster, now).await?;
        let view = |given: &OncallSchedule| {
            let (schedule, end) = (&given.schedule, now + AHEAD);
            let name = schedule.name();
            let ahead = shifts(schedule, exceptions.of(name), now, end);
            let shown = ahead.iter().take(limits::SHIFTS_SHOWN_MAX);
            ScheduleView {
                name: name.to_owned(),
                zone: schedule
                    .zone()
                    .map_or_else(|| "UTC".to_owned(), |zone| zone.to_string()),
                shifts: shown.map(|shift| shift_view(&roster, shift, end)).collect(),
            }
        };
        Ok(chosen.into_iter().map(view).collect())
    }

    pub(crate) async fn put_on_call(&self, request: StandIn) -> Result<Vec<Override>, DecideError> {
        let now = self.0.clock.now();
        let roster = self.roster();
        let schedule = asked_about(&roster, &request.claimant, &request.schedule)?;
        let named = request.people.iter().map(|named| roster.named(named));
        let people: Result<Vec<PersonId>, DecideError> =
            named.map(|person| Ok(person?.id.clone())).collect();
        let span = OverrideSpan {
            from: instant(schedule, request.from, now)?,
            until: instant(schedule, request.until, now)?,
            people: people?,
        };
        let request = OverrideRequest {
            schedule: request.schedule,
            spans: vec![span],
            reason: request.reason,
            claimant: request.claimant,
            surface: request.surface,
            key: request.key,
        };
        self.override_add(request).await
    }

    pub(crate) async fn swap_shifts(&self, request: Swap) -> Result<Vec<Override>, DecideError> {
        let now = self.0.clock.now();
        let roster = self.roster();
        let schedule = asked_about(&roster, &request.claimant, &request.schedule)?;
        let moments = (
            instant(schedule, request.shift, now)?,
            instant(schedule, request.with, now)?,
        );
        let exceptions = exceptions(&self.0.store, &roster, now).await?;
        let spans = swap(
            &schedule.schedule,
            exceptions.of(&request.schedule),
            moments,
            now,
        );
        let request = OverrideRequest {
            schedule: request.schedule,
            spans: spans.map_err(|error| DecideError::Invalid {
                detail: error.to_string(),
            })?,
            reason: request.reason,
            claimant: request.claimant,
            surface: request.surface,
            key: request.key,
        };
        self.override_add(request).await
    }
}

/// The schedule of a request. Somebody unknown hears of none.
fn asked_about<'a>(
    roster: &'a Roster,
    claimant: &Claimant,
    name: &str,
) -> Result<&'a OncallSchedule, DecideError> {
    let known = roster.claimant(claimant);
    known.ok_or(DecideError::UnknownPerson)?;
    roster.schedule_named(name)
}

/// When that is; nothing that is years away.
pub(crate) fn instant(
    schedule: &OncallSchedule,
    moment: Moment,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, DecideError> {
    let roughly = match moment {
        Moment::At { at } => at,
        Moment::Wall { wall } => wall.and_utc(),
    };
    if (roughly - now).abs() > FAR {
        return Err(DecideError::Invalid {
            detail: format!("{roughly:?} is too far from now; look at the year"),
        });
    }
    Ok(schedule.schedule.instant(moment))
}

fn shift_view(roster: &Roster, shift: &Shift, end: DateTime<Utc>) -> ShiftView {
    let person = |id: &PersonId| match roster.person(id) {
        Some(person) => person.to_ref(),
        None => PersonRef {
            id: id.clone(),
            display_name: id.to_string(),
            slack: None,
        },
    };
    ShiftView {
        from: shift.from,
        until: Some(shift.until).filter(|until| *until < end),
        people: shift.duty.people.iter().map(person).collect(),
        because: because(&shift.duty),
    }
}
