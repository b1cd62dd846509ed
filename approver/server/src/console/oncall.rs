//! The page of schedules: who is on call now and next, the overrides people made, and the form for another.

use abeyance_api::{
    Claimant, DecideError, NoMoment, OncallDesk as _, Override, OverrideRemoval, OverrideRequest,
    OverrideSpan, PersonId, Surface,
};
use abeyance_holds::oncall::{self, Shift};
use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use minijinja::context;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    guard::{self, SameOrigin},
    pages::{in_words, status_of, trouble},
    session::LoggedIn,
    views::Me,
    words::Moment,
};
use crate::{
    Approver, OncallSchedule,
    duty::because,
    overrides::{Exceptions, exceptions},
    roster::Roster,
    shifts,
};

/// How far ahead shifts are shown.
const AHEAD: TimeDelta = TimeDelta::days(14);
/// Shifts shown of one schedule.
const SHIFTS_SHOWN: usize = 8;

/// A schedule as the page shows it.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// On whose clock its times are.
    zone: String,
    shifts: Vec<ShiftRow>,
    /// Who may be put on call; empty for somebody who may not change it.
    choices: Vec<Choice>,
}

#[derive(Debug, Serialize)]
struct ShiftRow {
    people: String,
    nobody: bool,
    because: String,
    from: Moment,
    /// Nothing when its end is further ahead than is shown.
    until: Option<Moment>,
}

#[derive(Debug, Serialize)]
struct Choice {
    id: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct OverrideRow {
    id: String,
    schedule: String,
    people: String,
    from: Moment,
    until: Moment,
    author: String,
    reason: String,
    mine: bool,
}

pub(super) async fn list(caller: LoggedIn, State(app): State<Approver>) -> Response {
    show(&app, &caller, StatusCode::OK, None).await
}

async fn show(
    app: &Approver,
    caller: &LoggedIn,
    status: StatusCode,
    error: Option<String>,
) -> Response {
    let now = app.0.clock.now();
    let roster = app.roster();
    let looked_up = async {
        let exceptions = exceptions(&app.0.store, &roster, now).await?;
        Ok::<_, crate::StoreError>((exceptions, app.0.store.overrides(now).await?))
    };
    let (exceptions, overrides) = match looked_up.await {
        Ok(found) => found,
        Err(error) => return trouble(app, &error.into()),
    };
    let me = &caller.person.id;
    let schedules: Vec<Row> = roster
        .schedules()
        .iter()
        .map(|schedule| row(&roster, schedule, &exceptions, me, now))
        .collect();
    let overrides: Vec<OverrideRow> = overrides
        .into_iter()
        .map(|one| override_row(&roster, one, me))
        .collect();
    let values = context! { me => Me::new(caller), schedules, overrides, error };
    app.0.pages.render(status, "oncall.html", values)
}

fn row(
    roster: &Roster,
    schedule: &OncallSchedule,
    exceptions: &Exceptions,
    me: &PersonId,
    now: DateTime<Utc>,
) -> Row {
    let name = schedule.schedule.name();
    let end = now + AHEAD;
    let ahead = oncall::shifts(&schedule.schedule, exceptions.of(name), now, end);
    let mut choices: Vec<Choice> = Vec::new();
    for id in schedule
        .people()
        .filter(|_| schedule.people().any(|id| id == me))
    {
        if !choices.iter().any(|choice| choice.id == id.as_str()) {
            choices.push(Choice {
                id: id.to_string(),
                name: named(roster, id),
            });
        }
    }
    Row {
        name: name.to_owned(),
        shifts: ahead
            .iter()
            .take(SHIFTS_SHOWN)
            .map(|shift| shift_row(roster, schedule, shift, end))
            .collect(),
        zone: schedule
            .schedule
            .zone()
            .map_or_else(|| "UTC".to_owned(), |zone| zone.to_string()),
        choices,
    }
}

fn shift_row(
    roster: &Roster,
    schedule: &OncallSchedule,
    shift: &Shift,
    end: DateTime<Utc>,
) -> ShiftRow {
    let until = Some(shift.until).filter(|until| *until < end);
    ShiftRow {
        people: names(roster, &shift.duty.people),
        nobody: shift.duty.people.is_empty(),
        because: because(&shift.duty),
        from: moment(Some(schedule), shift.from),
        until: until.map(|until| moment(Some(schedule), until)),
    }
}

fn override_row(roster: &Roster, one: Override, me: &PersonId) -> OverrideRow {
    let schedule = roster.schedule(&one.schedule);
    OverrideRow {
        id: one.id.to_string(),
        people: names(roster, &one.people),
        from: moment(schedule, one.from),
        until: moment(schedule, one.until),
        author: named(roster, &one.author),
        reason: one.reason,
        mine: schedule.is_some_and(|schedule| schedule.people().any(|id| id == me)),
        schedule: one.schedule,
    }
}

/// On the schedule's own clock, as far as there is one.
fn moment(schedule: Option<&OncallSchedule>, at: DateTime<Utc>) -> Moment {
    match schedule.and_then(|schedule| schedule.schedule.zone()) {
        Some(zone) => Moment::on_clock(at, zone),
        None => at.into(),
    }
}

fn names(roster: &Roster, ids: &[PersonId]) -> String {
    let names: Vec<String> = ids.iter().map(|id| named(roster, id)).collect();
    if names.is_empty() {
        "Nobody".to_owned()
    } else {
        names.join(", ")
    }
}

fn named(roster: &Roster, id: &PersonId) -> String {
    let person = roster.person(id);
    person.map_or_else(|| id.to_string(), |person| person.display_name.clone())
}

#[derive(Deserialize)]
pub(super) struct AddForm {
    csrf: String,
    schedule: String,
    person: PersonId,
    /// As a browser's date field gives it, on the schedule's clock: `2026-12-24T18:00`.
    from: String,
    until: String,
    #[serde(default)]
    reason: String,
}

pub(super) async fn add(
    _: SameOrigin,
    caller: LoggedIn,
    State(app): State<Approver>,
    Form(form): Form<AddForm>,
) -> Response {
    if !caller.made(&form.csrf) {
        return guard::refusal(&app);
    }
    let (by, roster, now) = (myself(&caller), app.roster(), app.0.clock.now());
    let made = match asked(form, by, &roster, now) {
        Ok(request) => app.override_add(request).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(_) => Redirect::to("/oncall").into_response(),
        Err(error) => show(&app, &caller, status_of(&error), Some(in_words(&error))).await,
    }
}

fn asked(
    form: AddForm,
    by: Claimant,
    roster: &Roster,
    now: DateTime<Utc>,
) -> Result<OverrideRequest, DecideError> {
    let schedule = roster.schedule_named(&form.schedule)?;
    let instant = |text: &str| match text.parse() {
        Ok(moment) => shifts::instant(schedule, moment, now),
        Err(NoMoment) => Err(DecideError::Invalid {
            detail: "give both moments on the schedule's clock, such as 2026-12-24T18:00"
                .to_owned(),
        }),
    };
    let span = OverrideSpan {
        from: instant(&form.from)?,
        until: instant(&form.until)?,
        people: vec![form.person],
    };
    Ok(OverrideRequest {
        schedule: form.schedule,
        spans: vec![span],
        reason: form.reason,
        claimant: by,
        surface: Surface::Console,
        key: None,
    })
}

#[derive(Deserialize)]
pub(super) struct RemoveForm {
    csrf: String,
    #[serde(default)]
    reason: String,
}

pub(super) async fn remove(
    _: SameOrigin,
    caller: LoggedIn,
    State(app): State<Approver>,
    Path(id): Path<Uuid>,
    Form(form): Form<RemoveForm>,
) -> Response {
    if !caller.made(&form.csrf) {
        return guard::refusal(&app);
    }
    let removal = OverrideRemoval {
        id,
        reason: form.reason,
        claimant: myself(&caller),
        surface: Surface::Console,
    };
    match app.override_remove(removal).await {
        Ok(()) => Redirect::to("/oncall").into_response(),
        Err(error) => show(&app, &caller, status_of(&error), Some(in_words(&error))).await,
    }
}

fn myself(caller: &LoggedIn) -> Claimant {
    Claimant::Person {
        id: caller.person.id.clone(),
    }
}
