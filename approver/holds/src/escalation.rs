//! Who is asked next, and when: the steps of a route while nobody has answered.
//!
//! The steps are fixed when a hold is made; the people behind a step are looked up when it fires,
//! since a schedule may have handed over meanwhile, and may decide from then on until the hold ends. A step
//! without anybody is written down and the next one takes its moment. When all steps came to nobody, or to too few
//! for the quorum, the fallback is asked; when that does not help either the hold can only be
//! refused. "I'm looking" puts the next step off for a bounded time and never moves the hold's own end.
//!
//! Pure: time is an argument, and people are looked up by the caller.

use std::fmt;

use abeyance_api::{PersonId, PersonRef};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Whom a step asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    Person(PersonId),
    Group(String),
    Schedule(String),
    /// Gets a card; only who may decide anyway can decide there.
    Channel(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => write!(f, "{person}"),
            Self::Group(group) => write!(f, "group {group}"),
            Self::Schedule(schedule) => write!(f, "schedule {schedule}"),
            Self::Channel(channel) => write!(f, "channel {channel}"),
        }
    }
}

/// In words: `schedule dba and group leads`.
#[must_use]
pub fn in_words(who: &[Who]) -> String {
    let names: Vec<String> = who.iter().map(ToString::to_string).collect();
    match names.split_last() {
        None => "nobody".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// How the people of a step learn of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// Mentioned under the route's card.
    Thread,
    /// A card of their own.
    Direct,
    #[default]
    Both,
}

/// One step of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub who: Vec<Who>,
    /// Seconds after the step before it; for the first, after the hold was made.
    pub after_seconds: u32,
    #[serde(default)]
    pub notify: Notify,
}

/// The steps of one hold, as its route had them when it was made. No steps: whomever the route names is asked by
/// its card alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    steps: Vec<Step>,
    /// Asked when the steps came to nobody, or to too few.
    fallback: Vec<Who>,
}

/// Steps that would come to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("a route needs at least one step")]
    NoStep,
    #[error("more than {STEPS_MAX} steps")]
    TooMany,
    #[error("step {0} asks nobody")]
    EmptyStep(usize),
    #[error(
        "the last step comes after {after} s, the hold ends after {timeout} s: nobody could answer it"
    )]
    TooLate { after: u64, timeout: u64 },
}

/// More steps than this never come to an end in time.
pub const STEPS_MAX: usize = 16;

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
        if steps.len() > STEPS_MAX {
            return Err(PlanError::TooMany);
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

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Everybody any step or the fallback may ask.
    pub fn whoever(&self) -> impl Iterator<Item = &Who> {
        let steps = self.steps.iter().flat_map(|step| &step.who);
        steps.chain(&self.fallback)
    }

    /// A step, or the fallback, which counts as the one behind the last.
    #[must_use]
    pub fn who(&self, step: usize) -> &[Who] {
        match self.steps.get(step) {
            Some(step) => &step.who,
            None => &self.fallback,
        }
    }

    /// How the people of a step learn of it.
    #[must_use]
    pub fn notify(&self, step: usize) -> Notify {
        self.steps
            .get(step)
            .map_or(Notify::Both, |step| step.notify)
    }
}

/// Somebody looks at a hold: the next step waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    pub person: PersonRef,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

/// How long one look puts the next step off.
pub const LOOK: TimeDelta = TimeDelta::minutes(3);
/// How long all looks at one hold put it off together.
pub const LOOKS_TOTAL: TimeDelta = TimeDelta::minutes(10);

/// Whom a step came to when it fired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Only those who may decide: never the agent's owner or its actor.
    pub people: Vec<PersonRef>,
    pub channels: Vec<String>,
    /// Whether everybody who may decide from now on could fill the quorum.
    pub enough: bool,
}

/// A step that asked somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which; one more than there are steps is the fallback.
    pub step: usize,
    pub people: Vec<PersonRef>,
    pub at: DateTime<Utc>,
}

/// Where a hold stands among its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    plan: Plan,
    /// Steps that fired or were skipped.
    done: usize,
    /// When the last of them that asked somebody fired; at first, when the hold was made.
    since: DateTime<Utc>,
    /// The last one came to nobody: the next takes its moment.
    skipped: bool,
    /// Those who may decide could fill the quorum.
    enough: bool,
    asked: Vec<Asked>,
    looks: Vec<Look>,
    /// Microseconds that looks have put steps off that fired meanwhile.
    looked_micros: i64,
}

/// What a moment brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet; look again then.
    At(DateTime<Utc>),
    /// Look up the people of this step ([`Plan::who`]) and say so with [`Escalation::fired`]. The one behind
    /// the last is the fallback.
    Step(usize),
    /// Neither steps nor fallback came to enough people: the hold can only be refused.
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
            skipped: false,
            enough: false,
            asked: Vec::new(),
            looks: Vec::new(),
            looked_micros: 0,
        }
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The steps that asked somebody, in order.
    #[must_use]
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Everybody who was asked; they may decide until the hold ends, whoever has the shift meanwhile.
    pub fn people(&self) -> impl Iterator<Item = &PersonRef> {
        self.asked.iter().flat_map(|asked| &asked.people)
    }

    /// Who looked, and when.
    #[must_use]
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// What is to be done now.
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>) -> Due {
        let steps = self.plan.steps.len();
        if steps == 0 {
            return Due::Done;
        }
        if let Some(step) = self.plan.steps.get(self.done) {
            let at = self.at(step);
            return if now < at {
                Due::At(at)
            } else {
                Due::Step(self.done)
            };
        }
        let wanted = self.asked.is_empty() || !self.enough;
        if wanted && self.done == steps && !self.plan.fallback.is_empty() {
            Due::Step(steps)
        } else if self.enough {
            Due::Done
        } else {
            Due::Nobody
        }
    }

    /// When [`Self::due`] will have something to do; `None` when never again.
    #[must_use]
    pub fn next_at(&self) -> Option<DateTime<Utc>> {
        match self.due(self.since) {
            Due::At(at) => Some(at),
            Due::Step(_) | Due::Nobody => Some(self.since),
            Due::Done => None,
        }
    }

    /// The step that comes if nobody decides, and when.
    #[must_use]
    pub fn next(&self) -> Option<(&[Who], DateTime<Utc>)> {
        let step = self.plan.steps.get(self.done)?;
        Some((&step.who, self.at(step)))
    }

    /// When a step fires, looks counted. What takes the moment of an empty step does not wait.
    fn at(&self, step: &Step) -> DateTime<Utc> {
        if self.skipped {
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
        let left = LOOKS_TOTAL - TimeDelta::microseconds(self.looked_micros);
        total.min(left.max(TimeDelta::zero()))
    }

    /// The step that was due has been looked up: these are asked now. A channel alone asks nobody who could not
    /// decide anyway, so it counts only when somebody can.
    pub fn fired(&mut self, found: &Found, now: DateTime<Utc>) {
        let asks = !found.people.is_empty() || (!found.channels.is_empty() && found.enough);
        self.enough = found.enough;
        if asks {
            if let Some(step) = self.plan.steps.get(self.done).filter(|_| !self.skipped) {
                let plain = self.since + TimeDelta::seconds(i64::from(step.after_seconds));
                let looked = self.looked_since(self.since, plain);
                self.looked_micros += looked.num_microseconds().unwrap_or(i64::MAX / 2);
            }
            self.since = now;
            self.asked.push(Asked {
                step: self.done,
                people: found.people.clone(),
                at: now,
            });
        }
        self.skipped = !asks;
        self.done += 1;
    }

    /// Somebody looks. `None` when they did before: once a person.
    pub fn look(&mut self, person: PersonRef, now: DateTime<Utc>) -> Option<&Look> {
        if self.looks.iter().any(|look| look.person.id == person.id) {
            return None;
        }
        self.looks.push(Look {
            person,
            from: now,
            until: now + LOOK,
        });
        self.looks.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(who: &str, after_seconds: u32) -> Step {
        Step {
            who: vec![Who::Group(who.to_owned())],
            after_seconds,
            notify: Notify::Both,
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

    fn person(name: &str) -> PersonRef {
        PersonRef {
            id: name.parse().unwrap(),
            display_name: name.to_owned(),
            slack: None,
        }
    }

    fn found(names: &[&str]) -> Found {
        Found {
            people: names.iter().map(|name| person(name)).collect(),
            channels: Vec::new(),
            enough: !names.is_empty(),
        }
    }

    fn start() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        start() + TimeDelta::seconds(seconds)
    }

    #[test]
    fn steps_follow_one_another() {
        let mut escalation = Escalation::begin(plan(&[]), start());
        assert_eq!(escalation.due(at(0)), Due::Step(0));
        escalation.fired(&found(&["ann", "bob"]), at(0));
        assert_eq!(escalation.due(at(59)), Due::At(at(60)));
        assert_eq!(escalation.due(at(61)), Due::Step(1));
        escalation.fired(&found(&["cy"]), at(61));
        assert_eq!(escalation.due(at(100)), Due::At(at(181)));
        assert_eq!(escalation.next_at(), Some(at(181)));
        assert_eq!(escalation.due(at(181)), Due::Step(2));
        escalation.fired(&found(&["dan"]), at(181));
        assert_eq!(escalation.due(at(400)), Due::Done);
        assert_eq!(escalation.next_at(), None);
        assert_eq!(escalation.people().count(), 4);
    }

    #[test]
    fn empty_steps_are_skipped_at_once() {
        let mut escalation = Escalation::begin(plan(&["everybody"]), start());
        for step in 0..=3 {
            assert_eq!(
                escalation.due(at(0)),
                Due::Step(step),
                "the last is the fallback"
            );
            escalation.fired(&found(&[]), at(0));
        }
        assert_eq!(escalation.due(at(0)), Due::Nobody);
        let mut alone = Escalation::begin(plan(&[]), start());
        for _ in 0..3 {
            alone.fired(&found(&[]), at(0));
        }
        assert_eq!(alone.due(at(0)), Due::Nobody);
        assert_eq!(alone.next_at(), Some(at(0)));
    }

    #[test]
    fn the_next_step_takes_the_moment_of_an_empty_one() {
        let mut escalation = Escalation::begin(plan(&[]), start());
        escalation.fired(&found(&["ann"]), at(0));
        assert_eq!(escalation.due(at(60)), Due::Step(1));
        escalation.fired(
            &Found {
                enough: true,
                ..Found::default()
            },
            at(60),
        );
        assert_eq!(escalation.due(at(60)), Due::Step(2));
    }

    #[test]
    fn too_few_for_the_quorum_ask_the_fallback() {
        let mut escalation = Escalation::begin(plan(&["everybody"]), start());
        let few = |names: &[&str]| Found {
            enough: false,
            ..found(names)
        };
        escalation.fired(&few(&["ann"]), at(0));
        escalation.fired(&few(&[]), at(60));
        escalation.fired(&few(&[]), at(60));
        assert_eq!(escalation.due(at(60)), Due::Step(3));
        let mut none = escalation.clone();
        none.fired(&few(&[]), at(60));
        assert_eq!(none.due(at(60)), Due::Nobody);
        escalation.fired(&found(&["bob"]), at(60));
        assert_eq!(escalation.due(at(60)), Due::Done);
    }

    #[test]
    fn a_route_without_steps_waits_for_nothing() {
        let escalation = Escalation::begin(Plan::default(), start());
        assert_eq!(escalation.due(at(1_000)), Due::Done);
        assert_eq!(escalation.next_at(), None);
    }

    #[test]
    fn looking_puts_the_next_step_off_for_a_bounded_time() {
        let mut escalation = Escalation::begin(plan(&[]), start());
        escalation.fired(&found(&["ann"]), at(0));
        assert!(escalation.look(person("ann"), at(30)).is_some());
        assert!(escalation.look(person("ann"), at(40)).is_none());
        assert_eq!(escalation.due(at(60)), Due::At(at(60 + 180)));
        // Two who look at the same time do not count twice.
        assert!(escalation.look(person("bob"), at(30)).is_some());
        assert_eq!(escalation.due(at(60)), Due::At(at(60 + 180)));
        for (name, moment) in [("cy", 200), ("dan", 370), ("eve", 540), ("fay", 710)] {
            escalation.look(person(name), at(moment));
        }
        let second = at(60) + LOOKS_TOTAL;
        assert_eq!(escalation.due(at(600)), Due::At(second));
        escalation.fired(&found(&["bob"]), second);
        escalation.look(person("gil"), second + TimeDelta::seconds(5));
        let third = second + TimeDelta::seconds(120);
        assert_eq!(
            escalation.due(second),
            Due::At(third),
            "all time for looks is spent"
        );
    }

    #[test]
    fn plans_that_come_to_nothing_are_refused() {
        let timeout = TimeDelta::minutes(2);
        let refused = |steps: Vec<Step>| Plan::new(steps, Vec::new(), timeout).unwrap_err();
        assert_eq!(refused(Vec::new()), PlanError::NoStep);
        let nobody = Step {
            who: Vec::new(),
            after_seconds: 0,
            notify: Notify::Both,
        };
        assert_eq!(refused(vec![step("a", 0), nobody]), PlanError::EmptyStep(2));
        assert_eq!(refused(vec![step("a", 0); 17]), PlanError::TooMany);
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
