//! Exceptions from schedules: who stands in, from when until when, by whose word.

use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Claimant, DecideError, DeskError, Named, PersonId, PersonRef, Surface};

/// Somebody stands in on a schedule. Half-open: `from` is in it, `until` is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    pub id: Uuid,
    pub schedule: String,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub people: Vec<PersonId>,
    pub author: PersonId,
    pub reason: String,
    /// Of two that cover a moment, the one made last counts.
    pub made_at: DateTime<Utc>,
}

/// A request for one or, for a swap, two overrides; all or none of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    pub schedule: String,
    pub spans: Vec<OverrideSpan>,
    pub reason: String,
    pub claimant: Claimant,
    pub surface: Surface,
    /// By what a surface tells one request from another; the same one, sent again, is not carried out twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Who stands in when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideSpan {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub people: Vec<PersonId>,
}

/// A request to take an override back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideRemoval {
    pub id: Uuid,
    pub reason: String,
    pub claimant: Claimant,
    pub surface: Surface,
}

impl Override {
    /// The one whose id begins as somebody typed it.
    ///
    /// # Errors
    /// How many there are, when it is not exactly one.
    pub fn by_beginning(overrides: &[Self], beginning: &str) -> Result<Uuid, usize> {
        let beginning = beginning.to_ascii_lowercase();
        let ids = overrides.iter().map(|one| one.id);
        let matching: Vec<Uuid> = ids
            .filter(|id| id.to_string().starts_with(&beginning))
            .collect();
        match matching[..] {
            [id] => Ok(id),
            _ => Err(matching.len()),
        }
    }
}

/// A moment as people give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum Moment {
    At {
        at: DateTime<Utc>,
    },
    /// On the wall clock of the schedule it is about.
    Wall {
        wall: NaiveDateTime,
    },
}

/// How moments are written.
pub const MOMENT_FORM: &str = "2026-12-24 18:00 on the schedule's clock, or 2026-12-24T18:00:00Z";

/// What was written is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no time; write {MOMENT_FORM}")]
pub struct NoMoment;

impl FromStr for Moment {
    type Err = NoMoment;

    /// RFC 3339, or a date and a time of day on a wall clock. A date alone is none.
    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let text = text.trim();
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At { at: at.to_utc() });
        }
        let (date, time) = text.split_once(['T', ' ']).ok_or(NoMoment)?;
        let whole = format!("{date}T{}", time.trim_start());
        let read = |format| NaiveDateTime::parse_from_str(&whole, format).ok();
        let wall = read("%Y-%m-%dT%H:%M").or_else(|| read("%Y-%m-%dT%H:%M:%S"));
        wall.map(|wall| Self::Wall { wall }).ok_or(NoMoment)
    }
}

/// A request for one override, in the words people use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    pub schedule: String,
    pub people: Vec<Named>,
    pub from: Moment,
    pub until: Moment,
    pub reason: String,
    pub claimant: Claimant,
    pub surface: Surface,
    /// By what a surface tells one request from another; the same one, sent again, is not carried out twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A request that the shifts of two moments change people.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    pub schedule: String,
    pub shift: Moment,
    pub with: Moment,
    pub reason: String,
    pub claimant: Claimant,
    pub surface: Surface,
    /// By what a surface tells one request from another; the same one, sent again, is not carried out twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A question who is on call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftsQuery {
    pub claimant: Claimant,
    /// Of every schedule when left out.
    #[serde(default)]
    pub schedule: Option<String>,
}

/// A schedule from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleView {
    pub name: String,
    /// The IANA name of its time zone.
    pub zone: String,
    /// The present shift and the next ones; a few, and a few weeks ahead at most.
    pub shifts: Vec<ShiftView>,
}

/// Who is on call when, and why. Half-open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftView {
    pub from: DateTime<Utc>,
    /// `None` when its end is further ahead than was looked.
    pub until: Option<DateTime<Utc>>,
    pub people: Vec<PersonRef>,
    /// `layer office, turn 2`, or whose override it is.
    pub because: String,
}

/// What surfaces ask of the approver about schedules.
#[async_trait]
pub trait OncallDesk: Send + Sync + 'static {
    /// Overrides that end after `since`, in the order they were made.
    async fn overrides(&self, since: DateTime<Utc>) -> Result<Vec<Override>, DeskError>;
    /// Makes all of the spans or none. The server looks the claimant up and authorises them now.
    async fn override_add(&self, request: OverrideRequest) -> Result<Vec<Override>, DecideError>;
    /// Takes one back; it stays in the record.
    async fn override_remove(&self, removal: OverrideRemoval) -> Result<(), DecideError>;
    /// Who is on call and who comes next, with the overrides there are.
    async fn shifts(&self, query: ShiftsQuery) -> Result<Vec<ScheduleView>, DecideError>;
    /// As [`Self::override_add`], with people and moments as people name them.
    async fn stand_in(&self, request: StandIn) -> Result<Vec<Override>, DecideError>;
    /// Lets two shifts change people, by two overrides or none.
    async fn swap(&self, request: Swap) -> Result<Vec<Override>, DecideError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let at = |text: &str| {
            Ok(Moment::At {
                at: text.parse().unwrap(),
            })
        };
        let wall = |text: &str| {
            Ok(Moment::Wall {
                wall: text.parse().unwrap(),
            })
        };
        for (text, want) in [
            ("2026-12-24T18:00:00Z", at("2026-12-24T18:00:00Z")),
            ("2026-12-24T18:00:00+01:00", at("2026-12-24T17:00:00Z")),
            ("2026-12-24 18:00:00+01:00", at("2026-12-24T17:00:00Z")),
            ("2026-12-24 18:00", wall("2026-12-24T18:00:00")),
            (" 2026-12-24  18:00:30 ", wall("2026-12-24T18:00:30")),
            ("2026-12-24T18:00", wall("2026-12-24T18:00:00")),
            ("2026-12-24", Err(NoMoment)),
            ("18:00", Err(NoMoment)),
            ("tomorrow", Err(NoMoment)),
            ("2026-12-24 25:00", Err(NoMoment)),
            ("2026-12-24 18:00 CET", Err(NoMoment)),
        ] {
            assert_eq!(text.parse(), want, "{text}");
        }
    }
}
