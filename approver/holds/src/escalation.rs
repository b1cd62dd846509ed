//! Who is asked next, and when: the steps of a route while nobody has answered.
//!
//! The steps are fixed when a hold is made; the people behind a step are looked up when it fires,
//! since a schedule may have handed over meanwhile. A step without anybody is skipped at once and
//! written down. When no step has anybody the fallback is asked; without one the hold can only be
//! refused. "I'm looking" puts the next step off for a bounded time and never moves the hold's own end.
//!
//! Pure: time is an argument, and people are looked up by the caller.

use abeyance_api::PersonId;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Whom a step asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    People(Vec<PersonId>),
    Group(String),
    Schedule(String),
    /// Everybody in a channel may see it; only reviewers may decide.
    Channel(String),
}

/// One step of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub who: Vec<Who>,
    /// Seconds after the step before it; for the first, after the hold was made.
    pub after_seconds: u32,
}

/// The steps of one hold, as its route had them when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    steps: Vec<Step>,
    /// Asked when no step has anybody.
    fallback: Vec<Who>,
}

/// Steps that would come to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("a route needs at least one step")]
    NoStep,
    #[error("step {0} asks nobody")]
    EmptyStep(usize),
    #[error(
        "the last step comes after {after} s, the hold ends after {timeout} s: nobody could answer it"
    )]
    TooLate { after: u64, timeout: u64 },
}

impl Plan {
    /// # Errors
    /// When a step asks nobody, or the last one comes when the hold has ended.
    pub fn new(
        steps: Vec<Step>,
        fallback: Vec<Who>,
        timeout: TimeDelta,
    ) -> Result<Self, PlanError> {
        if steps.is_empty() {
            return Err(PlanError::NoStep);
        }
        if let Some(step) = steps.iter().position(|step| step.who.is_empty()) {
            return Err(PlanError::EmptyStep(step + 1));
        }
        let after: u64 = steps.iter().map(|step| u64::from(step.after_seconds)).sum();
        let timeout = u64::try_from(timeout.num_seconds()).unwrap_or(0);
        if after >= timeout {
            return Err(PlanError::TooLate { after, timeout });
        }
        Ok(Self { steps, fallback })
    }
}

/// Somebody looks at a hold: the next step waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    pub person: PersonId,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

/// How long one look puts the next step off.
pub const LOOK: TimeDelta = TimeDelta::minutes(3);
/// How long all looks at one hold put it off together.
pub const LOOKS_TOTAL: TimeDelta = TimeDelta::minutes(10);

/// Where a hold stands among its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    plan: Plan,
    /// Steps that fired or were skipped.
    done: usize,
    /// When the last of them was due; at first, when the hold was made.
    since: DateTime<Utc>,
    /// Somebody has been asked.
    asked: bool,
    looks: Vec<Look>,
}

/// What a moment brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet; look again then.
    At(DateTime<Utc>),
    /// Look the people of this step up and say so with [`Escalation::fired`].
    Step(usize, Vec<Who>),
    /// No step had anybody: ask these.
    Fallback(Vec<Who>),
    /// No step and no fallback has anybody: the hold can only be refused.
    Nobody,
    /// Every step has fired.
    Done,
}

impl Escalation {
    #[must_use]
    pub fn begin(plan: Plan, now: DateTime<Utc>) -> Self {
        Self {
            plan,
            done: 0,
            since: now,
            asked: false,
            looks: Vec::new(),
        }
    }

    /// What is to be done now.
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>) -> Due {
        let Some(step) = self.plan.steps.get(self.done) else {
            return match (self.asked, self.plan.fallback.is_empty()) {
                (true, _) => Due::Done,
                (false, false) if self.done == self.plan.steps.len() => {
                    Due::Fallback(self.plan.fallback.clone())
                }
                (false, _) => Due::Nobody,
            };
        };
        let at = self.at(step);
        if now < at {
            Due::At(at)
        } else {
            Due::Step(self.done, step.who.clone())
        }
    }

    /// When a step fires, looks counted. While nobody was asked at all, nothing waits.
    fn at(&self, step: &Step) -> DateTime<Utc> {
        let first = self.done == 0;
        if !first && !self.asked {
            return self.since;
        }
        let plain = self.since + TimeDelta::seconds(i64::from(step.after_seconds));
        plain + self.looked_since(self.since, plain)
    }

    /// How much time from `from` on was spent looking, before the step that looking puts off.
    fn looked_since(&self, from: DateTime<Utc>, plain: DateTime<Utc>) -> TimeDelta {
        let mut spans: Vec<_> = self
            .looks
            .iter()
            .map(|look| (look.from.max(from), look.until))
            .filter(|(begins, ends)| begins < ends)
            .collect();
        spans.sort_unstable();
        let (mut total, mut reached) = (TimeDelta::zero(), from);
        for (begins, ends) in spans {
            // A look that begins when the step is already due puts nothing off.
            if begins < plain + total {
                total += (ends - begins.max(reached)).max(TimeDelta::zero());
                reached = reached.max(ends);
            }
        }
        total.min(LOOKS_TOTAL)
    }

    /// The step that was due has been looked up: `found` people, who are asked now.
    pub fn fired(&mut self, found: usize, now: DateTime<Utc>) {
        if self.done < self.plan.steps.len() {
            let skipped = found == 0;
            self.done += 1;
            self.asked |= !skipped;
            if !skipped {
                self.since = now;
            }
            return;
        }
        // The fallback.
        self.done += 1;
        self.asked |= found > 0;
    }

    /// Somebody looks. False when they did before: once a person.
    pub fn look(&mut self, person: PersonId, now: DateTime<Utc>) -> bool {
        if self.looks.iter().any(|look| look.person == person) {
            return false;
        }
        self.looks.push(Look {
            person,
            from: now,
            until: now + LOOK,
        });
        true
    }

    /// Who looked, and when.
    #[must_use]
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(who: &str, after_seconds: u32) -> Step {
        Step {
            who: vec![Who::Group(who.to_owned())],
            after_seconds,
        }
    }

    fn plan(fallback: &[&str]) -> Plan {
        let fallback = fallback.iter().map(|name| Who::Group((*name).to_owned()));
        Plan::new(
            vec![step("first", 0), step("second", 60), step("third", 120)],
            fallback.collect(),
            TimeDelta::minutes(5),
        )
        .unwrap()
    }

    fn start() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        start() + TimeDelta::seconds(seconds)
    }

    fn step_of(due: &Due) -> usize {
        match due {
            Due::Step(step, _) => *step,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn steps_follow_one_another() {
        let mut escalation = Escalation::begin(plan(&[]), start());
        assert_eq!(step_of(&escalation.due(at(0))), 0);
        escalation.fired(2, at(0));
        assert_eq!(escalation.due(at(59)), Due::At(at(60)));
        assert_eq!(step_of(&escalation.due(at(61))), 1);
        escalation.fired(1, at(61));
        assert_eq!(escalation.due(at(100)), Due::At(at(181)));
        assert_eq!(step_of(&escalation.due(at(181))), 2);
        escalation.fired(0, at(181));
        assert_eq!(escalation.due(at(400)), Due::Done);
    }

    #[test]
    fn empty_steps_are_skipped_at_once() {
        let mut escalation = Escalation::begin(plan(&["everybody"]), start());
        escalation.fired(0, at(0));
        assert_eq!(step_of(&escalation.due(at(0))), 1);
        escalation.fired(0, at(0));
        assert_eq!(step_of(&escalation.due(at(0))), 2);
        escalation.fired(0, at(0));
        assert!(matches!(escalation.due(at(0)), Due::Fallback(_)));
        escalation.fired(0, at(0));
        assert_eq!(escalation.due(at(0)), Due::Nobody);
        let mut alone = Escalation::begin(plan(&[]), start());
        for _ in 0..3 {
            alone.fired(0, at(0));
        }
        assert_eq!(alone.due(at(0)), Due::Nobody);
    }

    #[test]
    fn looking_puts_the_next_step_off_for_a_bounded_time() {
        let mut escalation = Escalation::begin(plan(&[]), start());
        escalation.fired(1, at(0));
        assert!(escalation.look("ann".parse().unwrap(), at(30)));
        assert!(!escalation.look("ann".parse().unwrap(), at(40)));
        assert_eq!(escalation.due(at(60)), Due::At(at(60 + 180)));
        // Two who look at the same time do not count twice.
        assert!(escalation.look("bob".parse().unwrap(), at(30)));
        assert_eq!(escalation.due(at(60)), Due::At(at(60 + 180)));
        for (name, moment) in [("cy", 200), ("dan", 370), ("eve", 540), ("fay", 710)] {
            escalation.look(name.parse().unwrap(), at(moment));
        }
        assert_eq!(escalation.due(at(600)), Due::At(at(60) + LOOKS_TOTAL));
    }

    #[test]
    fn plans_that_come_to_nothing_are_refused() {
        let timeout = TimeDelta::minutes(2);
        let refused = |steps: Vec<Step>| Plan::new(steps, Vec::new(), timeout).unwrap_err();
        assert_eq!(refused(Vec::new()), PlanError::NoStep);
        let nobody = Step {
            who: Vec::new(),
            after_seconds: 0,
        };
        assert_eq!(refused(vec![step("a", 0), nobody]), PlanError::EmptyStep(2));
        let late = refused(vec![step("a", 60), step("b", 60)]);
        assert_eq!(
            late,
            PlanError::TooLate {
                after: 120,
                timeout: 120
            }
        );
    }
}
