//! Every interleaving of two approvers that work on one hold without any lock but the row's version.
//!
//! Each step of an approver is a read, and later a write that counts only when the version is still the one that was
//! read. Between them anything may happen: votes, claims, withdrawals, time, a lost answer, a dead approver, a dead
//! proxy, a lease that ends although the proxy lives. All reachable states are visited, not some of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where it fails"
)]

use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroU32,
    time::Duration,
};

use abeyance_api::{
    BindingDigest, Decision, HoldState, Outcome, PersonId, PersonRef, Surface, WithdrawReason,
};
use abeyance_holds::{
    Ballot, Event, Hold, NewHold, Terms, escalation::Plan, quorum::Quorum, transition,
};
use chrono::{DateTime, TimeDelta, Utc};

const REVIEWERS: [&str; 2] = ["bob", "cy"];
/// Seconds: everything is open; an early approval has lapsed; the hold itself is over.
const MOMENTS: [i64; 3] = [0, 150, 301];
const WAIT: i64 = 300;
/// The second approver's clock is behind by this much.
const SKEW: [i64; 2] = [0, 4];
/// The proxy's own claim; nobody else knows its key.
const KEY: u8 = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Op {
    Vote { who: usize, approve: bool },
    Claim,
    Withdraw,
    Report,
    Tick,
}

/// An approver: idle, or between its read and its write.
#[derive(Debug, Clone)]
enum Desk {
    Idle,
    Read {
        op: Op,
        copy: Box<Hold>,
        copy_key: Option<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Proxy {
    Waiting,
    SawApproval,
    Claiming,
    HasPermit,
    Ran,
    Gone,
}

#[derive(Debug, Clone)]
struct World {
    row: Hold,
    claim_key: Option<u8>,
    moment: usize,
    desks: [Desk; 2],
    proxy: Proxy,
    executed: u8,
    /// What each reviewer may still do: the first approves once; the second may also change their mind.
    votes: [[bool; 2]; 2],
    /// Answers that may still be lost, approvers that may still die.
    misfortunes: u8,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_442_000, 0).unwrap()
}

fn person(who: usize) -> PersonRef {
    PersonRef {
        id: id(REVIEWERS[who]),
        display_name: REVIEWERS[who].to_owned(),
        slack: None,
    }
}

fn id(name: &str) -> PersonId {
    name.parse().unwrap()
}

fn binding() -> BindingDigest {
    BindingDigest::over([b"shown".as_slice()])
}

fn quorum(seats: u32) -> Quorum {
    Quorum::of(NonZeroU32::new(seats).unwrap(), REVIEWERS.map(id).to_vec())
}

impl World {
    fn new(seats: u32) -> Self {
        let new = NewHold {
            binding: binding(),
            route: "dba".to_owned(),
            owner: None,
            actor: None,
            quorum: quorum(seats),
            plan: Plan::default(),
            terms: Terms::default(),
            expires_at: start() + TimeDelta::seconds(WAIT),
            policy_version: "0123456789ab".to_owned(),
        };
        Self {
            row: Hold::open(new, start()).0,
            claim_key: None,
            moment: 0,
            desks: [Desk::Idle, Desk::Idle],
            proxy: Proxy::Waiting,
            executed: 0,
            votes: [[true, false], [true, true]],
            misfortunes: 1,
        }
    }

    /// Every world that may follow, with what happened.
    fn successors(&self) -> Vec<(String, Self)> {
        let mut next = Vec::new();
        let mut add = |what: String, world: Self| next.push((what, world));
        if self.moment + 1 < MOMENTS.len() {
            let mut later = self.clone();
            later.moment += 1;
            add("time passes".to_owned(), later);
        }
        for desk in 0..self.desks.len() {
            match &self.desks[desk] {
                Desk::Idle => {
                    for op in self.offered() {
                        add(format!("{desk} reads for {op:?}"), self.read(desk, op));
                    }
                }
                Desk::Read { .. } => {
                    for (what, world) in self.write(desk) {
                        add(format!("{desk} {what}"), world);
                    }
                }
            }
        }
        for (what, world) in self.proxy_moves() {
            add(what.to_owned(), world);
        }
        next
    }

    /// What may be asked of an approver now.
    fn offered(&self) -> Vec<Op> {
        let mut ops = vec![Op::Tick, Op::Withdraw];
        for (who, left) in self.votes.iter().enumerate() {
            for (deny, left) in left.iter().enumerate() {
                if *left {
                    ops.push(Op::Vote {
                        who,
                        approve: deny == 0,
                    });
                }
            }
        }
        match self.proxy {
            Proxy::SawApproval => ops.push(Op::Claim),
            Proxy::Ran => ops.push(Op::Report),
            Proxy::Waiting | Proxy::Claiming | Proxy::HasPermit | Proxy::Gone => {}
        }
        ops
    }

    fn read(&self, desk: usize, op: Op) -> Self {
        let mut next = self.clone();
        match op {
            Op::Vote { who, approve } => next.votes[who][usize::from(!approve)] = false,
            Op::Claim => next.proxy = Proxy::Claiming,
            Op::Report => next.proxy = Proxy::Gone,
            Op::Withdraw | Op::Tick => {}
        }
        next.desks[desk] = Desk::Read {
            op,
            copy: Box::new(self.row.clone()),
            copy_key: self.claim_key,
        };
        next
    }

    /// The write, or that it does not come to it.
    fn write(&self, desk: usize) -> Vec<(&'static str, Self)> {
        let Desk::Read { op, copy, copy_key } = &self.desks[desk] else {
            return Vec::new();
        };
        let mut idle = self.clone();
        idle.desks[desk] = Desk::Idle;
        let mut ends = Vec::new();
        if self.misfortunes > 0 {
            let mut dead = idle.clone();
            dead.misfortunes -= 1;
            dead.answer(*op, None);
            ends.push(("dies before its write", dead));
        }
        if copy.version != self.row.version {
            // The store refuses; whoever asked is told to try again.
            idle.answer(*op, None);
            ends.push(("is refused by the version", idle));
            return ends;
        }
        let now = start() + TimeDelta::seconds(MOMENTS[self.moment] - SKEW[desk]);
        let mut done = idle;
        let repeated =
            *op == Op::Claim && copy.state == HoldState::Claimed && *copy_key == Some(KEY);
        let granted = repeated || done.apply(copy, *op, now);
        if self.misfortunes > 0 {
            let mut lost = done.clone();
            lost.misfortunes -= 1;
            lost.answer(*op, None);
            ends.push(("writes, and its answer is lost", lost));
        }
        done.answer(*op, Some(granted));
        ends.push(("writes", done));
        ends
    }

    /// As the store does it: time first, then the event. Whether the event counted.
    fn apply(&mut self, copy: &Hold, op: Op, now: DateTime<Utc>) -> bool {
        let (hold, _) = transition(copy, Event::Tick, now).unwrap();
        self.row = hold;
        let event = match op {
            Op::Vote { who, approve } => Event::Vote(Ballot {
                person: person(who),
                quorum: self.row.quorum.clone(),
                decision: if approve {
                    Decision::Approve
                } else {
                    Decision::Deny
                },
                reason: None,
                surface: Surface::Console,
                wish: None,
            }),
            Op::Claim => Event::Claim { binding: binding() },
            Op::Withdraw => Event::Withdraw {
                reason: WithdrawReason::ClientGone,
            },
            Op::Report => Event::Report {
                outcome: Outcome::Executed {
                    rows: Some(1),
                    tags: vec!["DELETE 1".to_owned()],
                    elapsed: Duration::ZERO,
                },
            },
            Op::Tick => return true,
        };
        let Ok((hold, _)) = transition(&self.row, event, now) else {
            return false;
        };
        self.row = hold;
        if op == Op::Claim {
            self.claim_key = Some(KEY);
        }
        true
    }

    /// What the proxy makes of an answer; `None`: there was none.
    fn answer(&mut self, op: Op, answer: Option<bool>) {
        if op == Op::Claim && self.proxy == Proxy::Claiming {
            self.proxy = match answer {
                Some(true) => Proxy::HasPermit,
                Some(false) => Proxy::Gone,
                // It asks again, with its key.
                None => Proxy::SawApproval,
            };
        }
    }

    fn proxy_moves(&self) -> Vec<(&'static str, Self)> {
        let to = |proxy: Proxy| Self {
            proxy,
            ..self.clone()
        };
        let mut moves = Vec::new();
        if self.proxy != Proxy::Gone {
            moves.push(("the proxy dies", to(Proxy::Gone)));
        }
        if self.proxy == Proxy::Waiting && self.row.state == HoldState::Approved {
            moves.push(("the proxy sees the approval", to(Proxy::SawApproval)));
        }
        if self.proxy == Proxy::HasPermit {
            let mut ran = to(Proxy::Ran);
            ran.executed += 1;
            moves.push(("it runs", ran));
        }
        moves
    }

    /// The promises, of this world and of the step that led to it.
    fn check(&self, before: &Self, seats: usize) -> Result<(), &'static str> {
        let taken = matches!(
            self.row.state,
            HoldState::Claimed | HoldState::Executed | HoldState::Failed | HoldState::RolledBack
        );
        if self.executed > 1 {
            return Err("it ran twice");
        }
        if self.executed == 1 && !taken {
            return Err("it ran, and its hold says otherwise");
        }
        if taken && self.row.approving().count() < seats {
            return Err("taken without its quorum");
        }
        if taken
            && self
                .row
                .votes
                .iter()
                .any(|vote| vote.decision == Decision::Deny)
        {
            return Err("taken against a denial");
        }
        if before.row.state.is_final() && before.row != self.row {
            return Err("an end was changed");
        }
        if before.row.version > self.row.version {
            return Err("a version went back");
        }
        if self.executed > before.executed && before.proxy != Proxy::HasPermit {
            return Err("it ran without a permit");
        }
        Ok(())
    }

    /// All that decides what may follow; equal for worlds that differ in nothing else.
    fn key(&self) -> Key {
        let desk = |desk: &Desk| match desk {
            Desk::Idle => None,
            Desk::Read { op, copy, copy_key } => Some((*op, row(copy), *copy_key)),
        };
        Key {
            row: row(&self.row),
            claim_key: self.claim_key,
            moment: self.moment,
            desks: [desk(&self.desks[0]), desk(&self.desks[1])],
            proxy: self.proxy,
            executed: self.executed,
            votes: self.votes,
            misfortunes: self.misfortunes,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    row: Row,
    claim_key: Option<u8>,
    moment: usize,
    desks: [Option<(Op, Row, Option<u8>)>; 2],
    proxy: Proxy,
    executed: u8,
    votes: [[bool; 2]; 2],
    misfortunes: u8,
}

/// What of a hold changes in these worlds: state, version, last step, end of the approval, votes.
type Row = (HoldState, u64, i64, Option<i64>, Vec<(PersonId, Decision)>);

fn row(hold: &Hold) -> Row {
    let votes = hold.votes.iter();
    (
        hold.state,
        hold.version,
        hold.updated_at.timestamp(),
        hold.claimable_until.map(|until| until.timestamp()),
        votes
            .map(|vote| (vote.person.id.clone(), vote.decision))
            .collect(),
    )
}

/// Visits everything that can be reached, nearest first. The number of worlds, and in how many of them it ran.
fn explore(seats: u32) -> (usize, usize) {
    let first = World::new(seats);
    let mut seen = HashSet::from([first.key()]);
    // How each world was come to: from which, by what.
    let mut steps = vec![(0, "the hold is made".to_owned())];
    let mut next = VecDeque::from([(first, 0)]);
    let mut ran = 0;
    while let Some((world, number)) = next.pop_front() {
        ran += usize::from(world.executed == 1);
        for (what, successor) in world.successors() {
            if let Err(broken) = successor.check(&world, seats as usize) {
                let story = story(&steps, number);
                panic!("{broken}: {story:#?} then {what}: {successor:#?}");
            }
            if seen.insert(successor.key()) {
                steps.push((number, what));
                next.push_back((successor, steps.len() - 1));
            }
        }
    }
    (seen.len(), ran)
}

/// What happened, first things first.
fn story(steps: &[(usize, String)], mut number: usize) -> Vec<&str> {
    let mut story = Vec::new();
    while number != 0 {
        let (from, what) = &steps[number];
        story.push(what.as_str());
        number = *from;
    }
    story.reverse();
    story
}

#[test]
fn no_interleaving_runs_it_twice_or_without_its_quorum() {
    for seats in [1, 2] {
        let (worlds, ran) = explore(seats);
        println!("{seats} of 2: {worlds} worlds, it ran in {ran}");
        assert!(ran > 0, "a model in which nothing ever runs proves nothing");
    }
}
