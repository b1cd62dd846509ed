//! Holds that are decided together: what the form shows of each, and the decision of exactly those it showed.

use abeyance_api::{
    Alike, AlikeHold, BulkDecision, DecideError, DecisionDesk as _, DecisionRequest, HoldId,
    blast::words::{estimate, grouped, largest, together},
};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::words::{self, Moment};
use crate::Approver;

/// A hold and the others like it.
#[derive(Debug, Serialize)]
pub(super) struct Company {
    count: usize,
    /// The ids of the others, as the form gives them back.
    ids: String,
    holds: Vec<Row>,
    largest: String,
    together: String,
    /// How many more there are, which the form does not decide.
    more: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    opened: Moment,
    age: String,
    rows: String,
}

impl Company {
    /// Nothing for a hold that is alone.
    pub(super) fn of(alike: &Alike, now: DateTime<Utc>) -> Option<Self> {
        let (_, others) = alike.holds.split_first().filter(|(_, o)| !o.is_empty())?;
        let row = |hold: &AlikeHold| Row {
            id: hold.id.to_string(),
            opened: hold.created_at.into(),
            age: words::span(now - hold.created_at),
            rows: estimate(&hold.rows),
        };
        let ids: Vec<&str> = others.iter().map(|hold| hold.id.as_str()).collect();
        let rows = || alike.holds.iter().map(|hold| &hold.rows);
        Some(Self {
            count: alike.holds.len(),
            ids: ids.join(" "),
            holds: alike.holds.iter().map(row).collect(),
            largest: largest(rows()),
            together: together(rows()),
            more: (alike.more > 0).then(|| grouped(alike.more)),
        })
    }
}

/// The hold itself and those that were alike when the page was shown; the first that did not count is told. What came
/// since was not looked at.
pub(super) async fn decide(
    app: &Approver,
    id: &HoldId,
    shown: &str,
    request: DecisionRequest,
) -> Result<(), DecideError> {
    let mut holds = vec![id.clone()];
    for other in shown.split_whitespace() {
        let other: HoldId = other.parse().map_err(|_| DecideError::Invalid {
            detail: "the page named a hold that is none; load it anew".to_owned(),
        })?;
        if !holds.contains(&other) {
            holds.push(other);
        }
    }
    let bulk = BulkDecision {
        holds,
        claimant: request.claimant,
        decision: request.decision,
        reason: request.reason,
        surface: request.surface,
        key: request.key,
    };
    let outcomes = app.holds_decide(bulk).await?;
    let failed = outcomes.into_iter().find_map(|one| one.result.err());
    failed.map_or(Ok(()), Err)
}
