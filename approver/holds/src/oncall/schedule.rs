//! A schedule: layers of turns, and the exceptions people make.

use abeyance_api::{Moment, PersonId};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{Coverage, Handoff, Zone};

/// Turns that follow one another.
#[derive(Debug, Clone)]
pub struct Layer {
    pub name: String,
    /// Who has each turn; people of one turn are on call together.
    pub turns: Vec<Vec<PersonId>>,
    pub handoff: Handoff,
    /// The day on which the first turn begins, at the first handoff of that day or after.
    pub anchor: NaiveDate,
    /// Empty: always.
    pub coverage: Vec<Coverage>,
}

/// A schedule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("schedule {0:?} has no layer")]
    NoLayer(String),
    #[error("layer {0:?} has no turns")]
    NoTurns(String),
    #[error("layer {layer:?}: turn {turn} has nobody in it")]
    EmptyTurn { layer: String, turn: usize },
}

/// Layers, the highest first: the first that covers a moment decides.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub(super) name: String,
    pub(super) layers: Vec<Layer>,
}

/// Somebody stands in for a while, whatever the layers say. Half-open: `from` is in it, `until` is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub people: Vec<PersonId>,
    pub author: PersonId,
    pub reason: String,
    /// Of two that cover a moment, the one made last counts.
    pub made_at: DateTime<Utc>,
}

impl Exception {
    fn covers(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.until
    }
}

/// Who is on call, and by what right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    pub people: Vec<PersonId>,
    pub source: DutySource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DutySource {
    Exception { author: PersonId, reason: String },
    Layer { name: String, turn: usize },
    Nobody,
}

impl Schedule {
    /// Layers, the highest first.
    ///
    /// # Errors
    /// When there is no layer, or one without people.
    pub fn new(name: impl Into<String>, layers: Vec<Layer>) -> Result<Self, ScheduleError> {
        let name = name.into();
        if layers.is_empty() {
            return Err(ScheduleError::NoLayer(name));
        }
        for layer in &layers {
            if layer.turns.is_empty() {
                return Err(ScheduleError::NoTurns(layer.name.clone()));
            }
            if let Some(turn) = layer.turns.iter().position(Vec::is_empty) {
                return Err(ScheduleError::EmptyTurn {
                    layer: layer.name.clone(),
                    turn: turn + 1,
                });
            }
        }
        Ok(Self { name, layers })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Whose wall clock it is read on: that of its first layer.
    #[must_use]
    pub fn zone(&self) -> Option<Zone> {
        self.layers.first().map(|layer| layer.handoff.zone())
    }

    /// A moment as people gave it.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> DateTime<Utc> {
        match (moment, self.zone()) {
            (Moment::At { at }, _) => at,
            (Moment::Wall { wall }, Some(zone)) => zone.instant(wall),
            (Moment::Wall { wall }, None) => wall.and_utc(),
        }
    }

    /// Who is on call at a moment. Counts turns from the anchor on.
    #[must_use]
    pub fn on_duty(&self, at: DateTime<Utc>, exceptions: &[Exception]) -> Duty {
        self.decide(at, exceptions, |layer| {
            self.layers.get(layer).and_then(|layer| layer.shift(at))
        })
    }

    /// As [`Self::on_duty`], with the number of each layer's shift at that moment given.
    pub(super) fn decide(
        &self,
        at: DateTime<Utc>,
        exceptions: &[Exception],
        shift: impl Fn(usize) -> Option<usize>,
    ) -> Duty {
        let exception = exceptions
            .iter()
            .filter(|exception| exception.covers(at))
            .max_by_key(|exception| exception.made_at);
        if let Some(exception) = exception {
            return Duty {
                people: exception.people.clone(),
                source: DutySource::Exception {
                    author: exception.author.clone(),
                    reason: exception.reason.clone(),
                },
            };
        }
        let found = self.layers.iter().enumerate().find_map(|(index, layer)| {
            let turn = shift(index).filter(|_| layer.covers(at))? % layer.turns.len();
            Some((layer, turn, layer.turns.get(turn)?))
        });
        match found {
            Some((layer, turn, people)) => Duty {
                people: people.clone(),
                source: DutySource::Layer {
                    name: layer.name.clone(),
                    turn,
                },
            },
            None => Duty {
                people: Vec::new(),
                source: DutySource::Nobody,
            },
        }
    }
}

impl Layer {
    fn covers(&self, at: DateTime<Utc>) -> bool {
        let zone = self.handoff.zone();
        let around = |coverage: &Coverage| coverage.around(at, zone).is_some();
        self.coverage.is_empty() || self.coverage.iter().any(around)
    }

    /// How many boundaries have passed since the anchor's own; `None` before it.
    fn shift(&self, at: DateTime<Utc>) -> Option<usize> {
        let first = self.handoff.first_on(self.anchor)?;
        (first <= at).then(|| self.handoff.count(first, at))
    }

    /// The shifts of a span: where each begins, and its number. The first may begin before the span.
    pub(super) fn shifts(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Vec<(DateTime<Utc>, usize)> {
        let Some(first) = self.handoff.first_on(self.anchor) else {
            return Vec::new();
        };
        let begins = match first < from {
            true => self.handoff.latest(from).unwrap_or(first),
            false => first,
        };
        let number = self.handoff.count(first, begins);
        let boundaries = self.handoff.boundaries(begins);
        let boundaries = boundaries.take_while(|boundary| *boundary < until);
        // Where there is one turn only, the first is as good as all.
        let most = if self.turns.len() == 1 { 1 } else { usize::MAX };
        boundaries.zip(number..).take(most).collect()
    }

    /// Every moment in a span at which the hours this layer covers begin or end.
    pub(super) fn coverage_edges(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Vec<DateTime<Utc>> {
        let mut edges = Vec::new();
        let zone = self.handoff.zone();
        let mut day = zone.wall(from).date() - TimeDelta::days(1);
        while !self.coverage.is_empty() && day <= zone.wall(until).date() {
            for coverage in &self.coverage {
                if let Some((begins, ends)) = coverage.span(day, zone) {
                    edges.extend([begins, ends]);
                }
            }
            day += TimeDelta::days(1);
        }
        edges
    }
}
