//! Two shifts change people: which spans that takes.

use std::collections::BTreeSet;

use abeyance_api::OverrideSpan;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::{Exception, Schedule, Shift, shifts};

/// How far around a moment its shift is looked for.
const AROUND: TimeDelta = TimeDelta::days(62);
/// How far ahead shifts can change people.
const AHEAD: TimeDelta = TimeDelta::days(366);

/// Why two shifts cannot change people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSwap {
    #[error("{} is over already", utc(.0))]
    Over(DateTime<Utc>),
    #[error("{} is more than a year ahead", utc(.0))]
    Far(DateTime<Utc>),
    #[error("nobody is on call at {}", utc(.0))]
    Nobody(DateTime<Utc>),
    #[error("both moments are in the same shift")]
    Same,
    #[error("both shifts have the same people: nothing would change")]
    NoChange,
}

/// The overrides that let the shifts of two moments change people. Of a shift that has begun, what is left of it.
///
/// # Errors
/// When a moment is over or nobody has it, both are in one shift, or the two have the same people.
pub fn swap(
    schedule: &Schedule,
    exceptions: &[Exception],
    (one, other): (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<Vec<OverrideSpan>, NoSwap> {
    let one = shift_at(schedule, exceptions, one, now)?;
    let other = shift_at(schedule, exceptions, other, now)?;
    if one.from < other.until && other.from < one.until {
        return Err(NoSwap::Same);
    }
    let people = |shift: &Shift| shift.duty.people.iter().cloned().collect::<BTreeSet<_>>();
    if people(&one) == people(&other) {
        return Err(NoSwap::NoChange);
    }
    Ok(vec![
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
    ])
}

fn shift_at(
    schedule: &Schedule,
    exceptions: &[Exception],
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Shift, NoSwap> {
    if at < now {
        return Err(NoSwap::Over(at));
    }
    if at > now + AHEAD {
        return Err(NoSwap::Far(at));
    }
    let laid_out = shifts(schedule, exceptions, at - AROUND, at + AROUND);
    let found = laid_out
        .into_iter()
        .find(|shift| shift.from <= at && at < shift.until);
    let shift = found.filter(|shift| !shift.duty.people.is_empty());
    let mut shift = shift.ok_or(NoSwap::Nobody(at))?;
    shift.from = shift.from.max(now);
    Ok(shift)
}

fn utc(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
