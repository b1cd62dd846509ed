//! `oncall`: who is on call, and who will be.

pub mod access;
mod lint;
pub mod overrides;

use std::fmt::Write as _;

use abeyance_api::{Moment, PersonId};
use abeyance_approver::{
    OncallSchedule,
    oncall::{Duty, DutySource, Exception, Schedule, Shift, beginning, shifts},
};
use chrono::{DateTime, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use access::Counted;
pub use lint::lint;

use crate::{
    args::{ListFormat, OncallFormat, OncallPreviewArgs, OncallWhoArgs},
    commands,
    config::{self, Config, Role},
    exit::Failure,
    output,
};

/// Longest preview.
const DAYS_MAX: u16 = 366;
/// How far back overrides are asked for that may have begun or ended where a shift began that goes on.
const PAST: TimeDelta = TimeDelta::days(366);

/// A shift as JSON prints it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    schedule: &'a str,
    from: String,
    until: String,
    people: Vec<&'a str>,
    because: String,
    /// Whether the approver was asked for overrides.
    overrides_counted: bool,
}

/// Says who is on call.
///
/// # Errors
/// When the configuration is wrong or has no such schedule.
pub fn who(args: &OncallWhoArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let chosen = chosen(&config, args.schedule.as_deref())?;
    let chosen = at_moment(chosen, args.at, now);
    let counted = Counted::since(&args.approver, earliest(&chosen, now))?;
    for (given, at) in chosen {
        let (schedule, exceptions) = (&given.schedule, counted.of(given));
        let duty = schedule.on_duty(at, &exceptions);
        let until = end_of(schedule, &exceptions, &duty, at);
        output::line(&match args.format {
            ListFormat::Json => json(schedule, &duty, (at, until), counted.asked)?,
            ListFormat::Table => format!(
                "{}: {} until {} ({})",
                schedule.name(),
                names(&duty, &config),
                local(schedule, until),
                because(&duty)
            ),
        });
    }
    Ok(())
}

/// Lays schedules out.
///
/// # Errors
/// When the configuration is wrong or has no such schedule.
pub fn preview(args: &OncallPreviewArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    if args.days == 0 || args.days > DAYS_MAX {
        return Err(Failure::Usage(format!("--days takes 1 to {DAYS_MAX}")));
    }
    let chosen = chosen(&config, args.schedule.as_deref())?;
    let chosen = at_moment(chosen, args.from, now);
    let mut calendar =
        String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Abeyance//on call//EN\r\n");
    let mut counted = Counted::since(&args.approver, earliest(&chosen, now))?;
    if args.format == OncallFormat::Ical {
        counted.with_past(earliest(&chosen, now) - PAST)?;
    }
    for (given, from) in chosen {
        let (schedule, exceptions) = (&given.schedule, counted.of(given));
        let until = from + TimeDelta::days(args.days.into());
        for shift in shifts(schedule, &exceptions, from, until) {
            match args.format {
                OncallFormat::Json => {
                    let span = (shift.from, shift.until);
                    output::line(&json(schedule, &shift.duty, span, counted.asked)?);
                }
                OncallFormat::Ical => {
                    let began = beginning(schedule, &exceptions, shift.from);
                    event(&mut calendar, schedule, &shift, began, &config, now);
                }
                OncallFormat::Table => output::line(&format!(
                    "{}  {}  {}  {} ({})",
                    schedule.name(),
                    local(schedule, shift.from),
                    local(schedule, shift.until),
                    names(&shift.duty, &config),
                    because(&shift.duty)
                )),
            }
        }
    }
    if args.format == OncallFormat::Ical {
        calendar.push_str("END:VCALENDAR");
        output::line(&calendar);
    }
    Ok(())
}

fn chosen<'a>(config: &'a Config, name: Option<&str>) -> Result<Vec<&'a OncallSchedule>, Failure> {
    let all = config.schedules.iter();
    let chosen: Vec<&OncallSchedule> = all
        .filter(|given| name.is_none_or(|name| given.schedule.name() == name))
        .collect();
    match (chosen.is_empty(), name) {
        (false, _) => Ok(chosen),
        (true, Some(name)) if !config.schedules.is_empty() => {
            let names = config.schedules.iter().map(|given| given.schedule.name());
            let hint = config::hint(name, names);
            Err(Failure::Usage(format!(
                "the configuration has no [[schedule]] called {name}; {hint}"
            )))
        }
        (true, _) => Err(Failure::Usage(
            "the configuration has no [[schedule]]; docs/on-call.md shows one".to_owned(),
        )),
    }
}

/// Each schedule with a moment as its own clock shows it.
fn at_moment(
    schedules: Vec<&OncallSchedule>,
    moment: Option<Moment>,
    now: DateTime<Utc>,
) -> Vec<(&OncallSchedule, DateTime<Utc>)> {
    let instant = |given: &OncallSchedule| match moment {
        Some(moment) => given.schedule.instant(moment),
        None => now,
    };
    let schedules = schedules.into_iter();
    schedules.map(|given| (given, instant(given))).collect()
}

fn earliest(chosen: &[(&OncallSchedule, DateTime<Utc>)], now: DateTime<Utc>) -> DateTime<Utc> {
    let moments = chosen.iter().map(|(_, at)| *at);
    moments.min().unwrap_or(now)
}

/// When the shift of a moment ends, as far as a month ahead.
fn end_of(
    schedule: &Schedule,
    exceptions: &[Exception],
    duty: &Duty,
    at: DateTime<Utc>,
) -> DateTime<Utc> {
    let month = at + TimeDelta::days(31);
    let ahead = shifts(schedule, exceptions, at, month);
    ahead
        .first()
        .filter(|shift| shift.duty == *duty)
        .map_or(month, |shift| shift.until)
}

fn because(duty: &Duty) -> String {
    match &duty.source {
        DutySource::Exception { author, reason } => format!("set by {author}: {reason}"),
        DutySource::Layer { name, turn } => format!("layer {name}, turn {}", turn + 1),
        DutySource::Nobody => "no layer covers it".to_owned(),
    }
}

/// By what somebody is on call.
fn of(duty: &Duty) -> &str {
    match &duty.source {
        DutySource::Layer { name, .. } => name,
        DutySource::Exception { .. } => "override",
        DutySource::Nobody => "nobody",
    }
}

fn names(duty: &Duty, config: &Config) -> String {
    let name = |id: &PersonId| {
        let person = config.people.iter().find(|person| person.id == *id);
        person.map_or_else(|| id.to_string(), |person| person.display_name.clone())
    };
    let names: Vec<String> = duty.people.iter().map(name).collect();
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join(" and ")
    }
}

fn json(
    schedule: &Schedule,
    duty: &Duty,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    overrides_counted: bool,
) -> Result<String, Failure> {
    let line = Line {
        schedule: schedule.name(),
        from: utc(from),
        until: utc(until),
        people: duty.people.iter().map(PersonId::as_str).collect(),
        because: because(duty),
        overrides_counted,
    };
    serde_json::to_string(&line).map_err(|error| Failure::Internal(error.to_string()))
}

fn utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// On the wall clock of the schedule.
fn local(schedule: &Schedule, at: DateTime<Utc>) -> String {
    wall(schedule, at).format("%a %Y-%m-%d %H:%M").to_string()
}

/// What the clock of the schedule shows.
fn wall(schedule: &Schedule, at: DateTime<Utc>) -> NaiveDateTime {
    match schedule.zone() {
        Some(zone) => zone.wall(at),
        None => at.naive_utc(),
    }
}

/// One event of a calendar (RFC 5545). Hours nobody has are events too, so that they are seen. It is known by what
/// it is of and when it began, so that a calendar that takes exports one after another shows each shift once.
fn event(
    out: &mut String,
    schedule: &Schedule,
    shift: &Shift,
    began: Option<DateTime<Utc>>,
    config: &Config,
    now: DateTime<Utc>,
) {
    let stamp = |at: DateTime<Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
    let escaped = |text: &str| {
        text.replace('\\', "\\\\")
            .replace(';', "\\;")
            .replace(',', "\\,")
    };
    let _ = write!(
        out,
        "BEGIN:VEVENT\r\nUID:{}-{}-{}@abeyance\r\nDTSTAMP:{}\r\nDTSTART:{}\r\nDTEND:{}\r\nSUMMARY:{}: {}\r\nEND:VEVENT\r\n",
        escaped(schedule.name()),
        escaped(of(&shift.duty)),
        stamp(began.unwrap_or_default()),
        stamp(now),
        stamp(began.unwrap_or(shift.from)),
        stamp(shift.until),
        escaped(schedule.name()),
        escaped(&names(&shift.duty, config)),
    );
}
