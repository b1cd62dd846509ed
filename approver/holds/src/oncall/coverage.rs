//! The hours a layer covers, on the wall clock.

use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};

use super::Zone;

/// Hours of a day on which somebody is on call; past midnight when `until` is not after `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    days: Vec<Weekday>,
    from: NaiveTime,
    until: NaiveTime,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoverageError {
    #[error("{0:?} is no weekday; write mon, tue, wed, thu, fri, sat or sun")]
    Day(String),
    #[error("no day is given")]
    NoDay,
    #[error("{0:?} is no time of day; write 09:00")]
    Time(String),
}

impl Coverage {
    /// Reads weekdays (`mon`), and times (`09:00`; `24:00` is the end of the day). The days are
    /// those on which the hours begin.
    ///
    /// # Errors
    /// When a day or time is not understood.
    pub fn new<'a>(
        days: impl IntoIterator<Item = &'a str>,
        from: &str,
        until: &str,
    ) -> Result<Self, CoverageError> {
        let mut named = Vec::new();
        for day in days {
            let known = day.len() == 3;
            let day = Weekday::from_str(day)
                .ok()
                .filter(|_| known)
                .ok_or_else(|| CoverageError::Day(day.to_owned()))?;
            if !named.contains(&day) {
                named.push(day);
            }
        }
        if named.is_empty() {
            return Err(CoverageError::NoDay);
        }
        let until = if until == "24:00" { "00:00" } else { until };
        Ok(Self {
            days: named,
            from: time(from)?,
            until: time(until)?,
        })
    }

    /// The span that begins on `day`, as instants.
    pub(super) fn span(
        &self,
        day: NaiveDate,
        zone: Zone,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = if self.until > self.from {
            day
        } else {
            day + TimeDelta::days(1)
        };
        let from = zone.instant(day.and_time(self.from));
        let until = zone.instant(last.and_time(self.until));
        (from < until).then_some((from, until))
    }

    /// The span that covers a moment.
    pub(super) fn around(
        &self,
        at: DateTime<Utc>,
        zone: Zone,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let today = zone.wall(at).date();
        [today, today - TimeDelta::days(1)]
            .into_iter()
            .filter_map(|day| self.span(day, zone))
            .find(|(from, until)| *from <= at && at < *until)
    }
}

fn time(text: &str) -> Result<NaiveTime, CoverageError> {
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| CoverageError::Time(text.to_owned()))
}
