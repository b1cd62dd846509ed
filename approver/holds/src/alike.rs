//! Which holds may be decided together with one that somebody looked at.
//!
//! Only the one is seen, so the others are to be no more than it: the same shape by the same agent in the same place and
//! state, and no more rows. Any doubt means that a hold is looked at by itself.

use abeyance_api::{Blast, Estimate, EstimateSource, HoldRequest};

use crate::grant::shape;

/// More rows than were shown by less than this are no other thing: estimates are rough.
const SLACK_ROWS: u64 = 100;

/// Whether `other` may be decided by whoever saw `seen`.
#[must_use]
pub fn may_join(seen: &HoldRequest, other: &HoldRequest) -> bool {
    shape(seen) == shape(other)
        && seen.agent.name == other.agent.name
        && seen.agent.owner == other.agent.owner
        && seen.agent.actor == other.agent.actor
        && seen.target.name == other.target.name
        && seen.target.database == other.target.database
        && seen.manner.shape.is_some()
        && seen.manner.shape == other.manner.shape
        && seen.manner.at_commit == other.manner.at_commit
        && seen.transaction == other.transaction
        && seen.rule == other.rule
        && seen.route == other.route
        && does_no_more(seen, other)
}

fn does_no_more(seen: &HoldRequest, other: &HoldRequest) -> bool {
    let (seen, other) = (&seen.blast, &other.blast);
    let guarded = seen.rows_cap.is_none() || other.rows_cap.is_some();
    let rows = seen.rows_cap.or(counted(&seen.rows).map(roughly));
    guarded && fits(rows, counted(&other.rows)) && fits(along(seen).map(roughly), along(other))
}

/// Whether what nobody may have counted stays within what was shown.
pub(crate) fn fits(allowed: Option<u64>, other: Option<u64>) -> bool {
    match (allowed, other) {
        // Nobody knew how many, and that was shown.
        (None, _) => true,
        (Some(allowed), Some(other)) => other <= allowed,
        (Some(_), None) => false,
    }
}

/// Rows that foreign keys take along. Unknown cascades are no number, not none.
pub(crate) fn along(blast: &Blast) -> Option<u64> {
    let mut cascades = blast.cascades.as_ref()?.iter();
    cascades.try_fold(0_u64, |sum, one| {
        Some(sum.saturating_add(counted(&one.rows)?))
    })
}

/// Rows at most, as far as anybody knows.
#[must_use]
pub fn counted(estimate: &Estimate) -> Option<u64> {
    match estimate.source {
        EstimateSource::Exact | EstimateSource::AtMost | EstimateSource::Estimated => estimate.rows,
        EstimateSource::Bounded | EstimateSource::Unknown => None,
    }
}

/// What is no other number: estimates are rough.
pub(crate) fn roughly(rows: u64) -> u64 {
    rows.saturating_mul(2).max(rows.saturating_add(SLACK_ROWS))
}
