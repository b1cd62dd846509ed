//! The numbers of several batches in one phrase: the largest of them, and all together.
//!
//! A number that nobody knows is never counted as nothing: as long as there is one, the phrase begins with it.

use super::{Estimate, EstimateSource, estimate, rounded, rows};

/// `about 4,100 rows (planner's estimate)`; `unknown: 1 of 3 is, of the others 12 rows (counted)`.
#[must_use]
pub fn largest<'a>(of: impl IntoIterator<Item = &'a Estimate>) -> String {
    let parts = Parts::of(of);
    let largest = parts.known.iter().max_by_key(|part| (part.0, part.1));
    let found = largest.map(|&(count, doubt)| {
        let mut found = doubt.estimate(count);
        let stopped = parts.known.iter().filter(|part| part.1 == Doubt::Bounded);
        if let Some(stopped) = stopped.map(|part| part.0).max()
            && doubt != Doubt::Bounded
        {
            found.note = Some(format!(
                "others may be more: counting stopped at {}",
                rows(stopped)
            ));
        }
        found
    });
    parts.said(found)
}

/// `about 8,300 rows (planner's estimate)`: a sum is known no better than the worst of its parts.
#[must_use]
pub fn together<'a>(of: impl IntoIterator<Item = &'a Estimate>) -> String {
    let parts = Parts::of(of);
    let doubt = parts.known.iter().map(|part| part.1).max();
    let found = doubt.map(|doubt| {
        let counts = parts.known.iter().map(|part| part.0);
        let mut sum = doubt.estimate(counts.fold(0, u64::saturating_add));
        let guessed = |part: &(u64, Doubt)| matches!(part.1, Doubt::AtMost | Doubt::Estimated);
        if doubt == Doubt::Bounded && parts.known.iter().any(guessed) {
            sum.rows = sum.rows.map(rounded);
            sum.note = Some("with estimates among them".to_owned());
        }
        sum
    });
    parts.said(found)
}

/// How a known number is known, the better first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    Exact,
    AtMost,
    Estimated,
    Bounded,
}

impl Doubt {
    fn of(source: EstimateSource) -> Option<Self> {
        match source {
            EstimateSource::Exact => Some(Self::Exact),
            EstimateSource::AtMost => Some(Self::AtMost),
            EstimateSource::Estimated => Some(Self::Estimated),
            EstimateSource::Bounded => Some(Self::Bounded),
            EstimateSource::Unknown => None,
        }
    }

    fn estimate(self, count: u64) -> Estimate {
        match self {
            Self::Exact => Estimate::exact(count),
            Self::AtMost => Estimate::at_most(count),
            Self::Estimated => Estimate::estimated(count),
            Self::Bounded => Estimate::more_than(count),
        }
    }
}

struct Parts {
    known: Vec<(u64, Doubt)>,
    all: usize,
}

impl Parts {
    fn of<'a>(estimates: impl IntoIterator<Item = &'a Estimate>) -> Self {
        let mut parts = Self {
            known: Vec::new(),
            all: 0,
        };
        for estimate in estimates {
            parts.all += 1;
            let doubt = Doubt::of(estimate.source);
            parts.known.extend(estimate.rows.zip(doubt));
        }
        parts
    }

    fn said(&self, of_the_known: Option<Estimate>) -> String {
        let unknown = self.all - self.known.len();
        match of_the_known {
            None => "unknown".to_owned(),
            Some(known) if unknown == 0 => estimate(&known),
            Some(known) => {
                let are = if unknown == 1 { "is" } else { "are" };
                let (all, known) = (self.all, estimate(&known));
                format!("unknown: {unknown} of {all} {are}, of the others {known}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_numbers_are_known_no_better_than_the_worst_of_them() {
        let exact = Estimate::exact;
        let cases = [
            (vec![], "unknown", "unknown"),
            (vec![exact(3)], "3 rows (counted)", "3 rows (counted)"),
            (
                vec![exact(900), exact(1_000), exact(0)],
                "1,000 rows (counted)",
                "1,900 rows (counted)",
            ),
            (
                vec![Estimate::at_most(3), exact(2)],
                "at most 3 rows (counted)",
                "at most 5 rows (counted)",
            ),
            (
                vec![exact(5_000), Estimate::estimated(4_123)],
                "5,000 rows (counted)",
                "about 9,100 rows (planner's estimate)",
            ),
            (
                vec![Estimate::more_than(10_000), exact(10_000)],
                "more than 10,000 rows",
                "more than 20,000 rows",
            ),
            (
                vec![Estimate::more_than(10_000), Estimate::estimated(20_123)],
                "about 20,000 rows (planner's estimate); others may be more: counting stopped at 10,000 rows",
                "more than 30,000 rows; with estimates among them",
            ),
            (
                vec![exact(12), Estimate::unknown("the probe timed out")],
                "unknown: 1 of 2 is, of the others 12 rows (counted)",
                "unknown: 1 of 2 is, of the others 12 rows (counted)",
            ),
            (
                vec![Estimate::unknown("x"), Estimate::unknown("y")],
                "unknown",
                "unknown",
            ),
        ];
        for (of, most, sum) in cases {
            assert_eq!(
                (largest(&of).as_str(), together(&of).as_str()),
                (most, sum),
                "{of:?}"
            );
        }
        let huge = vec![exact(u64::MAX), exact(1)];
        assert!(together(&huge).starts_with("18,446,744,073,709,551,615"));
    }
}
