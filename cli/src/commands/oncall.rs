//! `oncall`: who is on call, who will be, and what is wrong with the schedules.

pub mod access;
pub mod overrides;

use std::fmt::Write as _;

use abeyance_api::{Moment, PersonId};
use abeyance_approver::{
    OncallSchedule,
    oncall::{Duty, DutySource, Exception, Schedule, Shift, shifts},
};
use chrono::{DateTime, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use access::Counted;

use crate::{
    args::{OncallFormat, OncallLintArgs, OncallPreviewArgs, OncallWhoArgs},
    commands,
    config::{Config, Role, plural},
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
    /// Whether the approver was asked for overrides.
    overrides_counted: bool,
}

/// What `lint` found, as JSON prints it.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Finding {
    /// The first of those that begin at the same time of day and last as long.
    Gap {
        schedule: String,
        from: String,
        until: String,
        /// How many there are, this one counted.
        times: usize,
        text: String,
    },
    /// Somebody whom Slack cannot call, and who decides in the console all the same.
    ConsoleOnly {
        schedule: String,
        person: PersonId,
        text: String,
    },
    ClockChanges {
        zone: String,
        at: Vec<String>,
        text: String,
    },
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
            OncallFormat::Json => json(schedule, &duty, (at, until), counted.asked)?,
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
    let chosen = chosen(&config, args.schedule.as_deref())?;
    let chosen = at_moment(chosen, args.from, now);
    let mut calendar =
        String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Abeyance//on call//EN\r\n");
    let counted = Counted::since(&args.approver, earliest(&chosen, now))?;
    for (given, from) in chosen {
        let schedule = &given.schedule;
        let until = from + TimeDelta::days(args.days.into());
        for shift in shifts(schedule, &counted.of(given), from, until) {
            match args.format {
                OncallFormat::Json => {
                    let span = (shift.from, shift.until);
                    output::line(&json(schedule, &shift.duty, span, counted.asked)?);
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
/// When there is a gap. Somebody who has no way to decide is a mistake of the configuration already.
pub fn lint(args: &OncallLintArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let counted = Counted::since(&args.approver, now)?;
    let (mut problems, mut remarks) = (Vec::new(), Vec::new());
    for given in chosen(&config, None)? {
        problems.extend(gaps(&given.schedule, &counted.of(given), now));
        remarks.extend(console_only(given, &config));
    }
    let found = problems.len();
    remarks.extend(zones(&config, now));
    if args.format == OncallFormat::Json {
        for finding in problems.iter().chain(&remarks) {
            output::line(
                &serde_json::to_string(finding)
                    .map_err(|error| Failure::Internal(error.to_string()))?,
            );
        }
    } else {
        problems
            .iter()
            .for_each(|finding| output::line(finding.text()));
        remarks
            .iter()
            .for_each(|finding| output::remark(finding.text()));
    }
    if found == 0 {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} in the next {LINT_DAYS} days",
        plural(found, "problem")
    )))
}

impl Finding {
    fn text(&self) -> &str {
        match self {
            Self::Gap { text, .. }
            | Self::ConsoleOnly { text, .. }
            | Self::ClockChanges { text, .. } => text,
        }
    }
}

/// Spans nobody has, by a layer that covers too little or an override that names nobody any more. Those that recur are
/// one finding.
fn gaps(schedule: &Schedule, exceptions: &[Exception], now: DateTime<Utc>) -> Vec<Finding> {
    let until = now + TimeDelta::days(LINT_DAYS);
    let mut alike: Vec<((NaiveTime, TimeDelta), Shift, usize)> = Vec::new();
    for gap in shifts(schedule, exceptions, now, until) {
        if !gap.duty.people.is_empty() {
            continue;
        }
        // As the clock shows it: its changes make no gap another one.
        let (from, until) = (wall(schedule, gap.from), wall(schedule, gap.until));
        let key = (from.time(), until - from);
        match alike.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, _, times)) => *times += 1,
            None => alike.push((key, gap, 1)),
        }
    }
    let finding = |(_, gap, times): (_, Shift, usize)| Finding::Gap {
        schedule: schedule.name().to_owned(),
        from: utc(gap.from),
        until: utc(gap.until),
        times,
        text: format!(
            "{}: nobody is on call from {} until {}{}",
            schedule.name(),
            local(schedule, gap.from),
            local(schedule, gap.until),
            match times {
                1 => String::new(),
                _ => format!(", the first of {times} such gaps in the next {LINT_DAYS} days"),
            }
        ),
    };
    alike.into_iter().map(finding).collect()
}

fn console_only(given: &OncallSchedule, config: &Config) -> Vec<Finding> {
    let people = config.people.iter();
    people
        .filter(|person| given.people().any(|id| *id == person.id) && person.slack.is_none())
        .map(|person| Finding::ConsoleOnly {
            schedule: given.schedule.name().to_owned(),
            person: person.id.clone(),
            text: format!(
                "{}: {} decides in the console and is not called in Slack, having no `slack` id",
                given.schedule.name(),
                person.id
            ),
        })
        .collect()
}

/// The next two changes of the clocks in each zone, for whoever plans shifts.
fn zones(config: &Config, now: DateTime<Utc>) -> Vec<Finding> {
    let schedules = config.schedules.iter().map(|given| &given.schedule);
    let layers = schedules.flat_map(Schedule::layers);
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for zone in layers.map(|layer| layer.handoff.zone()) {
        if seen.contains(&zone) {
            continue;
        }
        seen.push(zone);
        let at: Vec<String> = zone.changes(now, 2).into_iter().map(utc).collect();
        let text = match at.as_slice() {
            [] => format!("{zone}: clocks do not change in the next two years"),
            changes => format!("{zone}: clocks change at {}", changes.join(" and ")),
        };
        found.push(Finding::ClockChanges {
            zone: zone.to_string(),
            at,
            text,
        });
    }
    found
}

fn chosen<'a>(config: &'a Config, name: Option<&str>) -> Result<Vec<&'a OncallSchedule>, Failure> {
    let all = config.schedules.iter();
    let chosen: Vec<&OncallSchedule> = all
        .filter(|given| name.is_none_or(|name| given.schedule.name() == name))
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
