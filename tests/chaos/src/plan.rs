//! What one trial will do, drawn from its seed: who runs what, who decides how, what breaks when.
//!
//! The same seed gives the same plan; how the parts then meet in time is up to the machine.

use std::time::Duration;

use fastrand::Rng;

/// What a client does with one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A simple query.
    Simple,
    /// Parse, Bind, Execute, Sync.
    Extended,
    /// Between BEGIN and COMMIT.
    InTransaction,
}

/// One statement that will be held.
#[derive(Debug, Clone)]
pub struct Job {
    /// Unique; in the statement as a value, and in the agent's reason so that the hold can be found.
    pub marker: String,
    pub shape: Shape,
    /// Two people have to agree.
    pub two_seats: bool,
    /// The client hangs up this long after it asked.
    pub leaves_after: Option<Duration>,
    /// What people will do about it, in order.
    pub acts: Vec<Act>,
}

/// One person's decision.
#[derive(Debug, Clone)]
pub struct Act {
    pub person: &'static str,
    pub approve: bool,
    /// After the hold was seen.
    pub after: Duration,
    /// By a click on the card instead of the API.
    pub by_card: bool,
}

/// Something breaks at some moment, and is mended later.
#[derive(Debug, Clone)]
pub struct Break {
    pub what: What,
    /// Which of several, counted round.
    pub which: usize,
    pub at: Duration,
    pub lasts: Duration,
}

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    KillProxy,
    KillApprover,
    /// The approvers' database; nothing where the store is a file.
    KillStore,
    StopProxy,
    StopApprover,
    /// Between proxy and approver.
    CutApprover,
    SilenceApprover,
    SlowApprover,
    /// Between proxy and target.
    CutTarget,
    SilenceTarget,
    SlowTarget,
    /// The chat answers nobody.
    LoseChat,
}

const BREAKS: [What; 12] = [
    What::KillProxy,
    What::KillApprover,
    What::KillStore,
    What::StopProxy,
    What::StopApprover,
    What::CutApprover,
    What::SilenceApprover,
    What::SlowApprover,
    What::CutTarget,
    What::SilenceTarget,
    What::SlowTarget,
    What::LoseChat,
];

/// Everything of one trial.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// The statements of each client, one after the other.
    pub clients: Vec<Vec<Job>>,
    pub breaks: Vec<Break>,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut number = 0;
        let clients = (0..rng.usize(1..=4))
            .map(|_| {
                (0..rng.usize(1..=2))
                    .map(|_| {
                        number += 1;
                        job(&mut rng, format!("m{seed:016x}n{number}"))
                    })
                    .collect()
            })
            .collect();
        let breaks = (0..rng.usize(1..=3))
            .map(|_| Break {
                what: BREAKS[rng.usize(..BREAKS.len())],
                which: rng.usize(..16),
                at: millis(&mut rng, 0..900),
                lasts: millis(&mut rng, 30..1_200),
            })
            .collect();
        Self {
            seed,
            clients,
            breaks,
        }
    }

    /// Every statement.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.clients.iter().flatten()
    }
}

fn job(rng: &mut Rng, marker: String) -> Job {
    let shapes = [Shape::Simple, Shape::Extended, Shape::InTransaction];
    let two_seats = rng.u8(..4) == 0;
    let people: &[&str] = if two_seats { &["bob", "cy"] } else { &["bob"] };
    let approve = rng.u8(..10) < 7;
    // Now and then nobody answers.
    let answered = rng.u8(..8) != 0;
    let acts = people.iter().filter(|_| answered).map(|person| Act {
        person,
        approve,
        after: millis(rng, 0..700),
        by_card: rng.bool(),
    });
    let acts = acts.collect();
    Job {
        marker,
        shape: shapes[rng.usize(..shapes.len())],
        two_seats,
        leaves_after: (rng.u8(..5) == 0).then(|| millis(rng, 0..1_200)),
        acts,
    }
}

fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_plan_again() {
        assert_eq!(format!("{:?}", Plan::of(7)), format!("{:?}", Plan::of(7)));
        assert_ne!(format!("{:?}", Plan::of(7)), format!("{:?}", Plan::of(8)));
    }
}
