//! `oncall`: who is on call, who will be, and what is wrong with the schedules.

use std::fmt::Write as _;

use abeyance_api::PersonId;
use abeyance_approver::oncall::{Duty, DutySource, Schedule, Shift, shifts};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    args::{OncallFormat, OncallLintArgs, OncallPreviewArgs, OncallWhoArgs},
    commands,
    config::{Config, Person, Role},
    exit::Failure,
    output,
};

/// Longest preview, and how far `lint` looks.
const DAYS_MAX: u16 = 366;
/// How far `lint` looks for gaps.
const LINT_DAYS: i64 = 92;

/// A shift as JSON prints it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    schedule: &'a str,
    from: String,
    until: String,
    people: Vec<&'a str>,
    because: String,
}

/// Says who is on call.
///
/// # Errors
/// When the configuration is wrong or has no such schedule.
pub fn who(args: &OncallWhoArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let at = args.at.unwrap_or(now);
    for schedule in chosen(&config, args.schedule.as_deref())? {
        let duty = schedule.on_duty(at, &[]);
        let until = end_of(schedule, &duty, at);
        output::line(&match args.format {
            OncallFormat::Json => json(schedule, &duty, at, until)?,
            OncallFormat::Table | OncallFormat::Ical => format!(
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
    let from = args.from.unwrap_or(now);
    let until = from + TimeDelta::days(args.days.into());
    let schedules = chosen(&config, args.schedule.as_deref())?;
    let mut calendar =
        String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Abeyance//on call//EN\r\n");
    for schedule in schedules {
        for shift in shifts(schedule, &[], from, until) {
            match args.format {
                OncallFormat::Json => {
                    output::line(&json(schedule, &shift.duty, shift.from, shift.until)?);
                }
                OncallFormat::Ical => event(&mut calendar, schedule, &shift, &config, now),
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

/// Says what is wrong with the schedules, and when clocks change.
///
/// # Errors
/// When somebody is missing: a gap, or a person without a way to be asked.
pub fn lint(args: &OncallLintArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let mut found = 0;
    let mut problem = |text: String| {
        found += 1;
        output::line(&text);
    };
    for schedule in chosen(&config, None)? {
        let until = now + TimeDelta::days(LINT_DAYS);
        for gap in shifts(schedule, &[], now, until) {
            if gap.duty.people.is_empty() {
                problem(format!(
                    "{}: nobody is on call from {} until {}",
                    schedule.name(),
                    local(schedule, gap.from),
                    local(schedule, gap.until)
                ));
            }
        }
        for person in everybody(schedule, &config) {
            if person.slack.is_none() {
                problem(format!(
                    "{}: {} has no `slack` id",
                    schedule.name(),
                    person.id
                ));
            }
        }
    }
    zones(&config, now);
    if found == 0 {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{found} problems in the next {LINT_DAYS} days"
    )))
}

/// The next two changes of the clocks in each zone, for whoever plans shifts.
fn zones(config: &Config, now: DateTime<Utc>) {
    let layers = config.schedules.iter().flat_map(Schedule::layers);
    let mut seen = Vec::new();
    for zone in layers.map(|layer| layer.handoff.zone()) {
        if seen.contains(&zone) {
            continue;
        }
        seen.push(zone);
        let changes: Vec<String> = zone.changes(now, 2).into_iter().map(utc).collect();
        output::remark(&match changes.as_slice() {
            [] => format!("{zone}: clocks do not change in the next two years"),
            changes => format!("{zone}: clocks change at {}", changes.join(" and ")),
        });
    }
}

fn everybody<'a>(schedule: &Schedule, config: &'a Config) -> Vec<&'a Person> {
    let turns = schedule.layers().iter().flat_map(|layer| &layer.turns);
    let named: Vec<_> = turns.flatten().collect();
    let people = config.people.iter();
    people
        .filter(|person| named.contains(&&person.id))
        .collect()
}

fn chosen<'a>(config: &'a Config, name: Option<&str>) -> Result<Vec<&'a Schedule>, Failure> {
    let all = config.schedules.iter();
    let chosen: Vec<&Schedule> = all
        .filter(|schedule| name.is_none_or(|name| schedule.name() == name))
        .collect();
    match (chosen.is_empty(), name) {
        (false, _) => Ok(chosen),
        (true, Some(name)) => Err(Failure::Usage(format!(
            "the configuration has no [[schedule]] called {name}"
        ))),
        (true, None) => Err(Failure::Usage(
            "the configuration has no [[schedule]]; docs/on-call.md shows one".to_owned(),
        )),
    }
}

/// When the shift of a moment ends, as far as a month ahead.
fn end_of(schedule: &Schedule, duty: &Duty, at: DateTime<Utc>) -> DateTime<Utc> {
    let month = at + TimeDelta::days(31);
    let ahead = shifts(schedule, &[], at, month);
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
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<String, Failure> {
    let line = Line {
        schedule: schedule.name(),
        from: utc(from),
        until: utc(until),
        people: duty.people.iter().map(PersonId::as_str).collect(),
        because: because(duty),
    };
    serde_json::to_string(&line).map_err(|error| Failure::Internal(error.to_string()))
}

fn utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// On the wall clock of the schedule's first layer.
fn local(schedule: &Schedule, at: DateTime<Utc>) -> String {
    match schedule.layers().first() {
        Some(layer) => {
            let wall = layer.handoff.zone().wall(at);
            wall.format("%a %Y-%m-%d %H:%M").to_string()
        }
        None => utc(at),
    }
}

/// One event of a calendar (RFC 5545). Hours nobody has are events too, so that they are seen.
fn event(
    out: &mut String,
    schedule: &Schedule,
    shift: &Shift,
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
        "BEGIN:VEVENT\r\nUID:{}-{}@abeyance\r\nDTSTAMP:{}\r\nDTSTART:{}\r\nDTEND:{}\r\nSUMMARY:{}: {}\r\nEND:VEVENT\r\n",
        escaped(schedule.name()),
        stamp(shift.from),
        stamp(now),
        stamp(shift.from),
        stamp(shift.until),
        escaped(schedule.name()),
        escaped(&names(&shift.duty, config)),
    );
}
