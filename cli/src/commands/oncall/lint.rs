//! `oncall lint`: what is wrong with the schedules, and what whoever plans shifts should know.

use abeyance_api::PersonId;
use abeyance_approver::{
    OncallSchedule,
    oncall::{Exception, Schedule, Shift, shifts},
};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde::Serialize;

use super::{access::Counted, chosen, local, utc, wall};
use crate::{
    args::{ListFormat, OncallLintArgs},
    commands,
    config::{Config, Role, plural},
    exit::Failure,
    output,
};

/// How far `lint` looks for gaps.
const LINT_DAYS: i64 = 92;

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
    if args.format == ListFormat::Json {
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
