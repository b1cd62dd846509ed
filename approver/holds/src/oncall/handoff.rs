//! When turns change: five-field cron on the wall clock of a time zone.
//!
//! The `cron` crate counts seconds first, Sunday as 1, and wants both day fields to match where
//! POSIX wants either. So expressions are read here, field by field, and only what means the same to
//! everybody is passed on. It also skips or repeats moments when clocks change; therefore it only
//! ever sees wall-clock time, and each wall-clock time becomes one instant here.

use std::{fmt, str::FromStr};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use super::count::{Counts, Fields};

/// A time zone by its IANA name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    /// The instant at which a wall clock here shows `wall`: the first of two when clocks go
    /// back, the first valid one after it when they go forward.
    #[must_use]
    pub fn instant(self, wall: NaiveDateTime) -> DateTime<Utc> {
        let mut candidate = wall;
        // No zone has ever skipped more than a day.
        for _ in 0..=24 * 60 {
            if let Some(instant) = self.0.from_local_datetime(&candidate).earliest() {
                if candidate == wall {
                    return instant.to_utc();
                }
                return self.first_after_gap(instant.to_utc());
            }
            candidate += TimeDelta::minutes(1);
        }
        Utc.from_utc_datetime(&wall)
    }

    /// `after` is within a minute behind a gap: the gap's very end.
    fn first_after_gap(self, after: DateTime<Utc>) -> DateTime<Utc> {
        let second = |seconds: i64| after - TimeDelta::seconds(seconds);
        let offset = |at: DateTime<Utc>| at.with_timezone(&self.0).naive_local() - at.naive_utc();
        let moved = offset(after);
        let mut end = after;
        for seconds in 1..=60 {
            if offset(second(seconds)) != moved {
                break;
            }
            end = second(seconds);
        }
        end
    }

    /// What a wall clock here shows at an instant.
    #[must_use]
    pub fn wall(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.0).naive_local()
    }

    /// An instant as people here write it: `Mon 30 Nov 09:00 CET`.
    #[must_use]
    pub fn words(self, at: DateTime<Utc>) -> String {
        let here = at.with_timezone(&self.0);
        here.format("%a %-d %b %H:%M %Z").to_string()
    }

    /// The next instants after `from` at which clocks here change, at most `count`, within two years.
    #[must_use]
    pub fn changes(self, from: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        let offset = |at: DateTime<Utc>| self.wall(at) - at.naive_utc();
        let mut changes = Vec::new();
        let mut day = from;
        while changes.len() < count && day < from + TimeDelta::days(731) {
            let next = day + TimeDelta::days(1);
            if offset(day) != offset(next) {
                let (mut before, mut after) = (day, next);
                while after - before > TimeDelta::seconds(1) {
                    let middle = before + (after - before) / 2;
                    if offset(middle) == offset(before) {
                        before = middle;
                    } else {
                        after = middle;
                    }
                }
                changes.push(DateTime::from_timestamp(after.timestamp(), 0).unwrap_or(after));
            }
            day = next;
        }
        changes
    }
}

impl FromStr for Zone {
    type Err = HandoffError;

    fn from_str(name: &str) -> Result<Self, HandoffError> {
        let zone = name.parse().map(Self);
        zone.map_err(|_| HandoffError::Zone(name.to_owned()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// Handoffs that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandoffError {
    #[error("{0:?} is no time zone; write an IANA name such as Europe/Berlin")]
    Zone(String),
    #[error(
        "a handoff has five fields (minute hour day month weekday), this one has {0}; write \"0 9 * * 1\" for Mondays at nine"
    )]
    Fields(usize),
    #[error("the {field} {value:?} is not understood; {hint}")]
    Field {
        field: &'static str,
        value: String,
        hint: &'static str,
    },
    #[error("the {field} {value} is not between {low} and {high}")]
    Range {
        field: &'static str,
        value: u32,
        low: u32,
        high: u32,
    },
    #[error(
        "both a day of the month and a weekday are given: cron means \"either\", people mean \"both\"; leave one of them `*`"
    )]
    BothDays,
    #[error("turns would change more than once an hour; give a single minute")]
    TooOften,
    #[error("no such day ever comes")]
    Never,
}

/// The moments at which turns change.
#[derive(Debug, Clone)]
pub struct Handoff {
    zone: Zone,
    /// As it was written.
    text: String,
    /// Sees wall-clock time as if it were UTC, where no clock ever changes.
    wall: cron::Schedule,
    counts: Counts,
}

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
    hint: &'static str,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const PLAIN: &str = "use numbers, `*`, lists `1,15`, ranges `1-5` and steps `*/2`";

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        low: 0,
        high: 59,
        names: &[],
        hint: PLAIN,
    },
    Field {
        name: "hour",
        low: 0,
        high: 23,
        names: &[],
        hint: PLAIN,
    },
    Field {
        name: "day of the month",
        low: 1,
        high: 31,
        names: &[],
        hint: PLAIN,
    },
    Field {
        name: "month",
        low: 1,
        high: 12,
        names: &MONTHS,
        hint: "use 1 to 12 or jan to dec",
    },
    Field {
        name: "weekday",
        low: 0,
        high: 7,
        names: &WEEKDAYS,
        hint: "use 0 to 7 (0 and 7 are Sunday) or sun to sat",
    },
];

impl Field {
    fn number(&self, text: &str) -> Result<u32, HandoffError> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = self.names.iter().position(|name| *name == lower) {
            return Ok(u32::try_from(index).unwrap_or(0) + self.low);
        }
        let digits = text.chars().all(|c| c.is_ascii_digit());
        let value: u32 = text
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| self.mistake(text))?;
        if value < self.low || value > self.high {
            return Err(HandoffError::Range {
                field: self.name,
                value,
                low: self.low,
                high: self.high,
            });
        }
        Ok(value)
    }

    fn mistake(&self, text: &str) -> HandoffError {
        HandoffError::Field {
            field: self.name,
            value: text.to_owned(),
            hint: self.hint,
        }
    }

    /// Every value a field names, as POSIX counts them.
    fn values(&self, text: &str) -> Result<Vec<u32>, HandoffError> {
        let mut values = Vec::new();
        for part in text.split(',') {
            let (span, step) = match part.split_once('/') {
                Some((span, step)) => {
                    let step: u32 = step.parse().map_err(|_| self.mistake(part))?;
                    // `5/10` means different things to different crons.
                    if step == 0 || !(span == "*" || span.contains('-')) {
                        return Err(self.mistake(part));
                    }
                    (span, step)
                }
                None => (part, 1),
            };
            let (from, to) = match span.split_once('-') {
                _ if span == "*" => (self.low, self.high.min(self.top())),
                Some((from, to)) => (self.number(from)?, self.number(to)?),
                None => {
                    let only = self.number(span)?;
                    (only, only)
                }
            };
            if from > to {
                return Err(self.mistake(part));
            }
            values.extend((from..=to).step_by(step as usize));
        }
        if self.high == 7 {
            for value in &mut values {
                *value %= 7;
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// The last value `*` stands for: Sunday is not counted twice.
    fn top(&self) -> u32 {
        if self.high == 7 { 6 } else { self.high }
    }
}

impl Handoff {
    /// Reads a POSIX cron expression of five fields for the wall clock of `zone`.
    ///
    /// # Errors
    /// When it has other fields, means different things to different crons, would change turns
    /// more often than hourly, or never.
    pub fn new(text: &str, zone: Zone) -> Result<Self, HandoffError> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(HandoffError::Fields(parts.len()));
        };
        let mut fields = Vec::new();
        for (field, part) in FIELDS.iter().zip([minute, hour, day, month, weekday]) {
            fields.push(field.values(part)?);
        }
        let [minutes, hours, days, months, weekdays] = &fields[..] else {
            return Err(HandoffError::Fields(parts.len()));
        };
        if day != "*" && weekday != "*" && days.len() < 31 && weekdays.len() < 7 {
            return Err(HandoffError::BothDays);
        }
        if minutes.len() > 1 {
            return Err(HandoffError::TooOften);
        }
        let list = |values: &[u32], shift: u32| {
            let words: Vec<String> = values.iter().map(|v| (v + shift).to_string()).collect();
            words.join(",")
        };
        let translated = format!(
            "0 {} {} {} {} {}",
            list(minutes, 0),
            list(hours, 0),
            list(days, 0),
            list(months, 0),
            // The crate counts Sunday as 1.
            list(weekdays, 1)
        );
        let wall = cron::Schedule::from_str(&translated).map_err(|_| HandoffError::Never)?;
        let fields = Fields {
            minute: minutes.first().copied().unwrap_or(0),
            hours: hours.clone(),
            days: days.clone(),
            months: months.clone(),
            weekdays: weekdays.clone(),
        };
        let handoff = Self {
            zone,
            text: parts.join(" "),
            wall,
            counts: Counts::new(zone, fields),
        };
        let epoch = NaiveDate::default().and_time(NaiveTime::MIN);
        if handoff.walls_from(epoch).next().is_none() {
            return Err(HandoffError::Never);
        }
        Ok(handoff)
    }

    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone
    }

    fn walls_from(&self, wall: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
        // `after` is exclusive.
        let before = Utc.from_utc_datetime(&wall) - TimeDelta::seconds(1);
        self.wall.after(&before).map(|at| at.naive_utc())
    }

    /// Every boundary from `from` on, in order, each once.
    pub fn boundaries(&self, from: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        // A wall clock that was set back by a day shows times of the day before.
        let wall = self.zone.wall(from) - TimeDelta::days(2);
        let mut last = None;
        self.walls_from(wall).filter_map(move |wall| {
            let instant = self.zone.instant(wall);
            if instant < from || last.is_some_and(|last| instant <= last) {
                return None;
            }
            last = Some(instant);
            Some(instant)
        })
    }

    /// How many boundaries come after `from`, until `until` and at it. Counted by the year.
    #[must_use]
    pub fn count(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> usize {
        self.counts.between(from, until)
    }

    /// The latest boundary until `until`, or at it.
    #[must_use]
    pub fn latest(&self, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.counts.latest(until)
    }

    /// The first boundary on or after the start of a day here.
    #[must_use]
    pub fn first_on(&self, day: NaiveDate) -> Option<DateTime<Utc>> {
        let midnight = self.zone.instant(day.and_time(NaiveTime::MIN));
        self.boundaries(midnight).next()
    }
}

impl fmt::Display for Handoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.zone)
    }
}
