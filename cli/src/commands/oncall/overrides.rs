//! `oncall override` and `oncall swap`: who stands in, for a while.

use abeyance_api::{Override, OverrideSpan, PersonId};
use abeyance_approver::{
    OncallSchedule,
    oncall::{Shift, shifts},
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use super::access::{Access, Counted};
use crate::{
    args::{OncallFormat, OverrideAddArgs, OverrideListArgs, OverrideRemoveArgs, SwapArgs},
    commands,
    config::Role,
    exit::Failure,
    output,
};

/// How far around a moment its shift is looked for.
const AROUND: TimeDelta = TimeDelta::days(62);

/// Puts somebody on call for a while.
///
/// # Errors
/// Why the approver did not take it.
pub fn add(args: &OverrideAddArgs) -> Result<(), Failure> {
    let access = Access::required(&args.approver)?;
    let people: Result<Vec<PersonId>, _> = args.people.iter().map(|name| name.parse()).collect();
    let people = people.map_err(|error| Failure::Usage(format!("--people: {error}")))?;
    let span = OverrideSpan {
        from: args.from,
        until: args.until,
        people,
    };
    shown(
        &access.add(&args.schedule, vec![span], &args.reason)?,
        args.format,
    )
}

/// Lists what is not over.
///
/// # Errors
/// When the approver does not answer.
pub fn list(args: &OverrideListArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let access = Access::required(&args.approver)?;
    let mut overrides = access.overrides(now)?;
    overrides.retain(|one| {
        args.schedule
            .as_ref()
            .is_none_or(|name| one.schedule == *name)
    });
    if overrides.is_empty() {
        output::remark("there are no overrides");
    }
    shown(&overrides, args.format)
}

/// Takes one back, by its id or the beginning of it.
///
/// # Errors
/// When there is none, or more than one.
pub fn remove(args: &OverrideRemoveArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let access = Access::required(&args.approver)?;
    let overrides = access.overrides(now)?;
    let matching: Vec<Uuid> = overrides
        .iter()
        .map(|one| one.id)
        .filter(|id| id.to_string().starts_with(&args.id.to_ascii_lowercase()))
        .collect();
    let [id] = matching[..] else {
        return Err(Failure::Usage(match matching.len() {
            0 => format!(
                "there is no override {}; `abeyance oncall override list` shows them",
                args.id
            ),
            many => format!("{many} overrides begin with {}; give more of it", args.id),
        }));
    };
    access.remove(id, &args.reason)?;
    output::line(&format!("removed {id}"));
    Ok(())
}

/// Lets two shifts change people.
///
/// # Errors
/// When a moment has no shift, or the approver does not take it.
pub fn swap(args: &SwapArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let all = config.schedules.iter();
    let schedule = all
        .into_iter()
        .find(|schedule| schedule.schedule.name() == args.schedule);
    let schedule = schedule.ok_or_else(|| {
        let name = &args.schedule;
        Failure::Usage(format!(
            "the configuration has no [[schedule]] called {name}"
        ))
    })?;
    let access = Access::required(&args.approver)?;
    let counted = Counted::since(&args.approver, now)?;
    let one = shift_at(schedule, &counted, args.shift, now)?;
    let other = shift_at(schedule, &counted, args.with, now)?;
    if one.from < other.until && other.from < one.until {
        return Err(Failure::Usage(
            "both moments are in the same shift".to_owned(),
        ));
    }
    let spans = vec![
        OverrideSpan {
            from: one.from,
            until: one.until,
            people: other.duty.people.clone(),
        },
        OverrideSpan {
            from: other.from,
            until: other.until,
            people: one.duty.people,
        },
    ];
    shown(
        &access.add(&args.schedule, spans, &args.reason)?,
        args.format,
    )
}

/// The shift that covers a moment; of one that has begun, what is left of it.
fn shift_at(
    schedule: &OncallSchedule,
    counted: &Counted,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Shift, Failure> {
    if at < now {
        return Err(Failure::Usage(format!("{} is over already", utc(at))));
    }
    let laid_out = shifts(
        &schedule.schedule,
        &counted.of(schedule),
        at - AROUND,
        at + AROUND,
    );
    let found = laid_out
        .into_iter()
        .find(|shift| shift.from <= at && at < shift.until);
    let shift = found.filter(|shift| !shift.duty.people.is_empty());
    let mut shift =
        shift.ok_or_else(|| Failure::Usage(format!("nobody is on call at {}", utc(at))))?;
    shift.from = shift.from.max(now);
    Ok(shift)
}

fn shown(overrides: &[Override], format: OncallFormat) -> Result<(), Failure> {
    for one in overrides {
        let text = if format == OncallFormat::Json {
            serde_json::to_string(one).map_err(|error| Failure::Internal(error.to_string()))?
        } else {
            let people: Vec<&str> = one.people.iter().map(PersonId::as_str).collect();
            format!(
                "{}  {}  {} until {}  {}  by {}: {}",
                one.id,
                one.schedule,
                utc(one.from),
                utc(one.until),
                people.join(" and "),
                one.author,
                one.reason
            )
        };
        output::line(&text);
    }
    Ok(())
}

fn utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
