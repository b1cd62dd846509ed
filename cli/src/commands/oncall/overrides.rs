//! `oncall override` and `oncall swap`: who stands in, for a while.

use abeyance_api::{Named, Override, PersonId};
use chrono::{DateTime, SecondsFormat, Utc};

use super::access::Access;
use crate::{
    args::{ListFormat, OverrideAddArgs, OverrideListArgs, OverrideRemoveArgs, SwapArgs},
    exit::Failure,
    output,
};

/// Puts somebody on call for a while.
///
/// # Errors
/// Why the approver did not take it.
pub fn add(args: &OverrideAddArgs) -> Result<(), Failure> {
    let access = Access::required(&args.approver)?;
    let people = args.people.iter().map(|name| Named::Name {
        name: name.trim().to_owned(),
    });
    let span = (args.from, args.until);
    let made = access.add(&args.schedule, people.collect(), span, &args.reason)?;
    shown(&made, args.format)
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
    let id = Override::by_beginning(&overrides, &args.id).map_err(|count| {
        Failure::Usage(match count {
            0 => format!(
                "there is no override {}; `abeyance oncall override list` shows them",
                args.id
            ),
            many => format!("{many} overrides begin with {}; give more of it", args.id),
        })
    })?;
    access.remove(id, &args.reason)?;
    output::line(&format!("removed {id}"));
    Ok(())
}

/// Lets two shifts change people.
///
/// # Errors
/// When a moment has no shift, or the approver does not take it.
pub fn swap(args: &SwapArgs) -> Result<(), Failure> {
    let access = Access::required(&args.approver)?;
    let moments = (args.shift, args.with);
    let made = access.swap(&args.schedule, moments, &args.reason)?;
    shown(&made, args.format)
}

fn shown(overrides: &[Override], format: ListFormat) -> Result<(), Failure> {
    for one in overrides {
        let text = if format == ListFormat::Json {
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
