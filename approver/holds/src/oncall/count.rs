//! Boundaries counted by the day instead of one by one, so that an anchor may be decades ago.
//!
//! On a day on which no clock changes, as many turns begin as the expression names hours. Only the days around a
//! change are laid out. What a year adds up to is kept: the first look at a year costs its days, every
//! later one an addition. Bounds: [`YEARS`] years of at most 367 numbers, 98 kB an expression.

use std::{
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::Zone;

/// Those the `cron` crate knows; outside of them no turn begins.
const YEARS: RangeInclusive<i32> = 1970..=2100;

/// A wall clock never differs by more from what it showed a moment before.
const AROUND: TimeDelta = TimeDelta::days(2);

/// What the five fields name, as POSIX counts them.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub minute: u32,
    pub hours: Vec<u32>,
    pub days: Vec<u32>,
    pub months: Vec<u32>,
    pub weekdays: Vec<u32>,
}

/// How many turns begin in the days of a year that come before each day, and before its end.
type Year = Box<[u16]>;

#[derive(Debug, Clone)]
pub(super) struct Counts {
    zone: Zone,
    fields: Fields,
    years: Arc<[OnceLock<Year>]>,
}

impl Counts {
    pub(super) fn new(zone: Zone, fields: Fields) -> Self {
        Self {
            zone,
            fields,
            years: YEARS.map(|_| OnceLock::new()).collect(),
        }
    }

    /// How many boundaries come after `from`, until `until` and at it.
    pub(super) fn between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> usize {
        if until <= from {
            return 0;
        }
        let (first, last) = (self.day_before(from), self.day_before(until));
        let whole = self.between_days(first, last);
        (whole + self.near(last, until).count()).saturating_sub(self.near(first, from).count())
    }

    /// The latest boundary until `until`, or at it.
    pub(super) fn latest(&self, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let day = self.day_before(until);
        if let Some(near) = self.near(day, until).last() {
            return Some(near);
        }
        let mut before = self.before(day);
        for number in (*YEARS.start()..=day.year()).rev() {
            if before > 0 {
                // The last day before which fewer turns had begun.
                let days = self.year(number)?.partition_point(|count| *count < before);
                let day = NaiveDate::from_yo_opt(number, u32::try_from(days).ok()?)?;
                return self.of_day(day).pop();
            }
            before = self.before_end(number - 1);
        }
        None
    }

    /// A day well before `moment`, of the years that count.
    fn day_before(&self, moment: DateTime<Utc>) -> NaiveDate {
        let day = self.zone.wall(moment).date();
        let (first, end) = (january(*YEARS.start()), january(*YEARS.end() + 1));
        day.checked_sub_signed(AROUND)
            .unwrap_or(first)
            .clamp(first, end)
    }

    /// The boundaries from `day`, which [`Self::day_before`] gave, until `until`.
    fn near(&self, day: NaiveDate, until: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let days = day.iter_days().take(1 + 2 * days(AROUND));
        days.flat_map(|day| self.of_day(day))
            .take_while(move |boundary| *boundary <= until)
    }

    /// How many turns begin on the days from `first` on, before `last`.
    fn between_days(&self, first: NaiveDate, last: NaiveDate) -> usize {
        let whole = (first.year()..last.year()).map(|number| usize::from(self.before_end(number)));
        let whole: usize = whole.sum();
        (whole + usize::from(self.before(last))).saturating_sub(usize::from(self.before(first)))
    }

    /// How many turns begin in the year of a day, before it.
    fn before(&self, day: NaiveDate) -> u16 {
        let index = usize::try_from(day.ordinal0()).unwrap_or(usize::MAX);
        let year = self.year(day.year());
        year.and_then(|year| year.get(index)).copied().unwrap_or(0)
    }

    fn before_end(&self, number: i32) -> u16 {
        let year = self.year(number);
        year.and_then(|year| year.last()).copied().unwrap_or(0)
    }

    fn year(&self, number: i32) -> Option<&Year> {
        let index = usize::try_from(number.checked_sub(*YEARS.start())?).ok()?;
        let year = self.years.get(index)?;
        Some(year.get_or_init(|| self.count_year(number)))
    }

    fn count_year(&self, number: i32) -> Year {
        let midnight = |day: NaiveDate| self.zone.instant(day.and_time(NaiveTime::MIN));
        let mut counts = vec![0];
        let mut total = 0;
        let mut day = january(number);
        let mut begins = midnight(day);
        let mut length_before = begins - midnight(day - TimeDelta::days(1));
        while day.year() == number {
            let tomorrow = day + TimeDelta::days(1);
            let ends = midnight(tomorrow);
            let length = ends - begins;
            // No zone changes its clocks forth and back within a day. A gap at the end of the day
            // before may have taken the first turn of this one.
            let plain = length == TimeDelta::days(1) && length_before == length;
            let turns = match plain {
                true if self.fields.name(day) => self.fields.hours.len(),
                true => 0,
                false => self.of_day(day).len(),
            };
            total += u16::try_from(turns).unwrap_or(u16::MAX);
            counts.push(total);
            (day, begins, length_before) = (tomorrow, ends, length);
        }
        counts.into()
    }

    /// The boundaries that the wall-clock times of a day give, but for those the days before gave already.
    fn of_day(&self, day: NaiveDate) -> Vec<DateTime<Utc>> {
        let mut last = (1..=AROUND.num_days())
            .filter_map(|back| self.instants(day - TimeDelta::days(back)).max())
            .max();
        let mut boundaries = Vec::new();
        for instant in self.instants(day) {
            if last.is_none_or(|last| last < instant) {
                boundaries.push(instant);
                last = Some(instant);
            }
        }
        boundaries
    }

    fn instants(&self, day: NaiveDate) -> impl Iterator<Item = DateTime<Utc>> {
        let named = YEARS.contains(&day.year()) && self.fields.name(day);
        let hours = self.fields.hours.iter().filter(move |_| named);
        hours.filter_map(move |hour| {
            let wall = day.and_hms_opt(*hour, self.fields.minute, 0)?;
            Some(self.zone.instant(wall))
        })
    }
}

impl Fields {
    /// Whether turns begin on a day.
    fn name(&self, day: NaiveDate) -> bool {
        self.months.contains(&day.month())
            && self.days.contains(&day.day())
            && self
                .weekdays
                .contains(&day.weekday().num_days_from_sunday())
    }
}

fn january(year: i32) -> NaiveDate {
    NaiveDate::from_yo_opt(year, 1).unwrap_or_default()
}

fn days(span: TimeDelta) -> usize {
    usize::try_from(span.num_days()).unwrap_or(0)
}
