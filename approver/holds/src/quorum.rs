//! How many people, and which, have to agree.
//!
//! A quorum is a number of seats, in parts: "one of `dba` and one of `privacy`". One person fills
//! one seat, whatever groups they are in, so the question is whether the people who agree can be
//! seated such that every seat is taken (a matching), not whether each part counts enough of them.

use std::{fmt, num::NonZeroU32};

use abeyance_api::PersonId;
use serde::{Deserialize, Serialize};

/// So many people of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What the group is called; `None` for everybody the route asks.
    pub group: Option<String>,
    pub seats: NonZeroU32,
    /// Who may sit there.
    pub people: Vec<PersonId>,
}

/// Every part has to be filled, by different people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    parts: Vec<Part>,
}

/// A quorum nobody can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    #[error("a quorum needs at least one seat")]
    Empty,
    #[error("a quorum of {0} seats is more than {SEATS_MAX}")]
    TooLarge(u32),
}

/// More people than this never agree in time.
pub const SEATS_MAX: u32 = 16;

impl Quorum {
    /// # Errors
    /// When there are no seats, or too many.
    pub fn new(parts: Vec<Part>) -> Result<Self, QuorumError> {
        let seats = parts.iter().map(|part| part.seats.get());
        let seats = seats.fold(0_u32, u32::saturating_add);
        match seats {
            0 => Err(QuorumError::Empty),
            1..=SEATS_MAX => Ok(Self { parts }),
            more => Err(QuorumError::TooLarge(more)),
        }
    }

    /// So many of the people a route asks.
    #[must_use]
    pub fn of(seats: NonZeroU32, people: Vec<PersonId>) -> Self {
        let seats = seats.min(NonZeroU32::new(SEATS_MAX).unwrap_or(NonZeroU32::MIN));
        let group = None;
        Self {
            parts: vec![Part {
                group,
                seats,
                people,
            }],
        }
    }

    /// The same seats, with the people of each group as they are now.
    #[must_use]
    pub fn with_people(&self, people: impl Fn(Option<&str>) -> Vec<PersonId>) -> Self {
        let renewed = |part: &Part| Part {
            people: people(part.group.as_deref()),
            ..part.clone()
        };
        Self {
            parts: self.parts.iter().map(renewed).collect(),
        }
    }

    /// The same seats, and these people may take those that belong to no group.
    #[must_use]
    pub fn with_more<'a>(&self, people: impl IntoIterator<Item = &'a PersonId>) -> Self {
        let people: Vec<&PersonId> = people.into_iter().collect();
        let mut renewed = self.clone();
        for part in renewed.parts.iter_mut().filter(|part| part.group.is_none()) {
            for person in &people {
                if !part.people.contains(person) {
                    part.people.push((*person).clone());
                }
            }
        }
        renewed
    }

    /// Everybody who may take any seat, each once.
    #[must_use]
    pub fn people(&self) -> Vec<PersonId> {
        let mut people: Vec<PersonId> = Vec::new();
        for person in self.parts.iter().flat_map(|part| &part.people) {
            if !people.contains(person) {
                people.push(person.clone());
            }
        }
        people
    }

    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many people it takes.
    #[must_use]
    pub fn seats(&self) -> usize {
        self.seat_parts().count()
    }

    /// Whether these people, each counted once, fill every seat.
    #[must_use]
    pub fn is_met_by<'a>(&self, people: impl IntoIterator<Item = &'a PersonId>) -> bool {
        self.seating(people).iter().all(Option::is_some)
    }

    /// What is still wanted: each part with the seats that are free, after seating as many as possible.
    #[must_use]
    pub fn wanting<'a>(
        &self,
        people: impl IntoIterator<Item = &'a PersonId>,
    ) -> Vec<(&Part, usize)> {
        let seating = self.seating(people);
        let free = |index: usize| {
            let seats = self.seat_parts().zip(&seating);
            seats
                .filter(|(part, taken)| *part == index && taken.is_none())
                .count()
        };
        let parts = self.parts.iter().enumerate();
        parts
            .map(|(index, part)| (part, free(index)))
            .filter(|(_, free)| *free > 0)
            .collect()
    }

    /// The part of each seat.
    fn seat_parts(&self) -> impl Iterator<Item = usize> + '_ {
        let parts = self.parts.iter().enumerate();
        parts.flat_map(|(index, part)| {
            std::iter::repeat_n(index, usize::try_from(part.seats.get()).unwrap_or(0))
        })
    }

    /// Who sits where, with as many seats taken as can be: augmenting paths, one person at a time.
    fn seating<'a>(
        &self,
        people: impl IntoIterator<Item = &'a PersonId>,
    ) -> Vec<Option<&'a PersonId>> {
        let mut seats: Vec<Option<&PersonId>> = vec![None; self.seats()];
        let parts: Vec<usize> = self.seat_parts().collect();
        let mut seen: Vec<&PersonId> = Vec::new();
        for person in people {
            if !seen.contains(&person) {
                seen.push(person);
                let mut tried = vec![false; seats.len()];
                self.seat(person, &parts, &mut seats, &mut tried);
            }
        }
        seats
    }

    fn seat<'a>(
        &self,
        person: &'a PersonId,
        parts: &[usize],
        seats: &mut [Option<&'a PersonId>],
        tried: &mut [bool],
    ) -> bool {
        for (index, part) in parts.iter().enumerate() {
            let may_sit = self
                .parts
                .get(*part)
                .is_some_and(|part| part.people.contains(person));
            let Some(fresh) = tried.get_mut(index).filter(|tried| !**tried && may_sit) else {
                continue;
            };
            *fresh = true;
            let sitting = seats.get(index).copied().flatten();
            let free = sitting.is_none_or(|sitting| self.seat(sitting, parts, seats, tried));
            if free {
                if let Some(seat) = seats.get_mut(index) {
                    *seat = Some(person);
                }
                return true;
            }
        }
        false
    }
}

/// Seats in words: `2 people`, `1 of dba`.
#[must_use]
pub fn seats_in_words(part: &Part, seats: usize) -> String {
    match (&part.group, seats) {
        (Some(group), _) => format!("{seats} of {group}"),
        (None, 1) => "1 person".to_owned(),
        (None, _) => format!("{seats} people"),
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            let seats = usize::try_from(part.seats.get()).unwrap_or(usize::MAX);
            let and = if index == 0 { "" } else { " and " };
            write!(f, "{and}{}", seats_in_words(part, seats))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(names: &str) -> Vec<PersonId> {
        names
            .split_whitespace()
            .map(|name| name.parse().unwrap())
            .collect()
    }

    fn quorum(parts: &[(&str, u32, &str)]) -> Quorum {
        let part = |(group, seats, people): &(&str, u32, &str)| Part {
            group: Some((*group).to_owned()),
            seats: NonZeroU32::new(*seats).unwrap(),
            people: ids(people),
        };
        Quorum::new(parts.iter().map(part).collect()).unwrap()
    }

    #[test]
    fn one_person_fills_one_seat() {
        let both = quorum(&[("dba", 1, "ann bob"), ("privacy", 1, "bob cy")]);
        let met = |people: &str| both.is_met_by(&ids(people));
        assert!(!met("bob"));
        assert!(!met("bob bob"));
        assert!(!met("ann"));
        assert!(met("ann bob"));
        assert!(met("bob ann"));
        assert!(met("bob cy"));
        assert!(!met("ann eve"));
        let wanting = |people: &str| -> Vec<(String, usize)> {
            let wanting = both.wanting(&ids(people));
            wanting
                .into_iter()
                .map(|(part, free)| (part.group.clone().unwrap(), free))
                .collect()
        };
        assert_eq!(wanting("ann"), [("privacy".to_owned(), 1)]);
        assert_eq!(wanting("cy"), [("dba".to_owned(), 1)]);
        assert_eq!(wanting("").len(), 2);
    }

    #[test]
    fn seats_are_bounded() {
        assert_eq!(Quorum::new(Vec::new()), Err(QuorumError::Empty));
        let part = Part {
            group: None,
            seats: NonZeroU32::new(17).unwrap(),
            people: ids("ann"),
        };
        assert_eq!(Quorum::new(vec![part]), Err(QuorumError::TooLarge(17)));
    }

    /// By trying every way to seat people.
    fn met_by_force(seats: &[Vec<PersonId>], people: &[PersonId]) -> bool {
        let Some((first, rest)) = seats.split_first() else {
            return true;
        };
        people.iter().enumerate().any(|(index, person)| {
            let mut others = people.to_vec();
            others.remove(index);
            first.contains(person) && met_by_force(rest, &others)
        })
    }

    proptest! {
        #[test]
        fn agrees_with_trying_everything(
            parts in prop::collection::vec((1_u32..3, prop::sample::subsequence(vec!["a", "b", "c", "d", "e"], 0..5)), 1..4),
            people in prop::sample::subsequence(vec!["a", "b", "c", "d", "e"], 0..5),
        ) {
            let parts: Vec<Part> = parts
                .into_iter()
                .map(|(seats, people)| Part {
                    group: None,
                    seats: NonZeroU32::new(seats).unwrap(),
                    people: ids(&people.join(" ")),
                })
                .collect();
            let seats: Vec<Vec<PersonId>> = parts
                .iter()
                .flat_map(|part| std::iter::repeat_n(part.people.clone(), part.seats.get() as usize))
                .collect();
            let people = ids(&people.join(" "));
            let quorum = Quorum::new(parts).unwrap();
            prop_assert_eq!(quorum.is_met_by(&people), met_by_force(&seats, &people));
        }
    }
}
