//! A schedule laid out in time, for previews, calendars and the search for gaps.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Duty, Exception, Schedule};

/// A span in which the same people are on call by the same right. Half-open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub duty: Duty,
}

/// Every shift from `from` until `until`, without gap or overlap; the ones nobody has are there too.
#[must_use]
pub fn shifts(
    schedule: &Schedule,
    exceptions: &[Exception],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<Shift> {
    let numbered: Vec<_> = schedule
        .layers()
        .iter()
        .map(|layer| layer.shifts(from, until))
        .collect();
    let mut edges = vec![from];
    for (layer, numbered) in schedule.layers().iter().zip(&numbered) {
        edges.extend(numbered.iter().map(|(begins, _)| *begins));
        edges.extend(layer.coverage_edges(from, until));
    }
    for exception in exceptions {
        edges.extend([exception.from, exception.until]);
    }
    edges.retain(|edge| from <= *edge && *edge < until);
    edges.sort_unstable();
    edges.dedup();
    let mut shifts: Vec<Shift> = Vec::new();
    for (index, edge) in edges.iter().enumerate() {
        let end = edges.get(index + 1).copied().unwrap_or(until);
        let duty = schedule.decide(*edge, exceptions, |layer| {
            let numbered = numbered.get(layer)?;
            let before = numbered.partition_point(|(begins, _)| begins <= edge);
            numbered
                .get(before.checked_sub(1)?)
                .map(|(_, number)| *number)
        });
        match shifts.last_mut() {
            Some(last) if last.duty == duty => last.until = end,
            _ => shifts.push(Shift {
                from: *edge,
                until: end,
                duty,
            }),
        }
    }
    shifts
}

/// When the shift of a moment began, wherever one looks from; nothing when it was never otherwise.
#[must_use]
pub fn beginning(
    schedule: &Schedule,
    exceptions: &[Exception],
    at: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    // Most began within days: further back is looked at only as far as it takes.
    let mut back = TimeDelta::days(2);
    loop {
        let from = (at - back).max(DateTime::UNIX_EPOCH);
        let laid_out = shifts(schedule, exceptions, from, at + TimeDelta::seconds(1));
        match laid_out.last() {
            Some(shift) if shift.from > from => return Some(shift.from),
            _ if from == DateTime::UNIX_EPOCH => return None,
            _ => back = back * 4,
        }
    }
}
