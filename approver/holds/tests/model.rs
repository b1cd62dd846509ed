//! Random lives of a hold, beside a model that is too small to be wrong.
//!
//! The model keeps who voted what, and three facts: decided, taken, over. The machine keeps ten
//! states. After every event both must say the same, and the promises of the crate must hold.

use std::collections::BTreeMap;

use abeyance_api::{
    BindingDigest, Decision, GrantWish, HoldState, Outcome, PersonId, PersonRef, Surface, Vote,
    WithdrawReason,
};
use abeyance_holds::{
    AuditEvent, Ballot, BreakGlass, Event, GrantUse, Grantable, Hold, NewHold, Refusal, Terms,
    escalation::Plan, grant::Grant, limits, quorum::Quorum, transition,
};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, prelude::*};

const OWNER: &str = "ann";
const ACTOR: &str = "bob";
/// Three who may, the owner, the actor, and one who is no reviewer.
const PEOPLE: [&str; 6] = ["cho", "dan", "eve", OWNER, ACTOR, "fay"];
const REVIEWERS: [&str; 5] = ["cho", "dan", "eve", OWNER, ACTOR];
/// May approve alone: one of the reviewers, the stranger, and the owner, who may not after all.
const GLASS: [&str; 3] = ["eve", "fay", OWNER];
const WAIT: i64 = 300;

#[derive(Debug, Clone)]
enum Deed {
    Vote {
        who: usize,
        approve: bool,
        wish: bool,
    },
    /// `said`: with a reason.
    BreakGlass {
        who: usize,
        said: bool,
    },
    UseGrant,
    Claim {
        right: bool,
    },
    Withdraw,
    Report {
        rows: u64,
    },
    Tick,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0..PEOPLE.len(), prop::bool::weighted(0.7), any::<bool>())
            .prop_map(|(who, approve, wish)| Deed::Vote { who, approve, wish: wish && approve }),
        1 => (0..PEOPLE.len(), prop::bool::weighted(0.7)).prop_map(|(who, said)| Deed::BreakGlass { who, said }),
        1 => Just(Deed::UseGrant),
        3 => prop::bool::weighted(0.8).prop_map(|right| Deed::Claim { right }),
        1 => Just(Deed::Withdraw),
        2 => (0..3_u64).prop_map(|rows| Deed::Report { rows }),
        2 => Just(Deed::Tick),
    ]
}

/// Mostly seconds, sometimes longer than anything is waited for.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![19 => 0..90_i64, 1 => Just(90_000)]
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_442_000, 0).unwrap_or_default()
}

fn id(name: &str) -> PersonId {
    name.parse()
        .unwrap_or_else(|_| unreachable!("{name} is a good id"))
}

fn binding(of: &[u8]) -> BindingDigest {
    BindingDigest::over([of])
}

fn new_hold(quorum: u32) -> Hold {
    hold_with(quorum, 1)
}

fn hold_with(quorum: u32, denials: u32) -> Hold {
    let new = NewHold {
        binding: binding(b"shown"),
        route: "dba".to_owned(),
        owner: Some(id(OWNER)),
        actor: Some(ACTOR.to_owned()),
        quorum: seats(quorum),
        plan: Plan::default(),
        terms: Terms {
            denials: denials.try_into().unwrap_or(std::num::NonZeroU32::MIN),
            grantable: Some(Grantable {
                minutes_max: 60,
                rows_cap: Some(10),
            }),
            ..Terms::default()
        },
        expires_at: start() + TimeDelta::seconds(WAIT),
        policy_version: "0123456789ab".to_owned(),
    };
    Hold::open(new, start()).0
}

/// So many of the reviewers.
fn seats(quorum: u32) -> Quorum {
    let seats = quorum.try_into().unwrap_or(std::num::NonZeroU32::MIN);
    Quorum::of(seats, REVIEWERS.map(id).to_vec())
}

fn event(deed: &Deed, quorum: Quorum) -> Event {
    match deed {
        Deed::Vote { who, approve, wish } => Event::Vote(Ballot {
            person: PersonRef {
                id: id(PEOPLE[*who]),
                display_name: PEOPLE[*who].to_owned(),
                slack: None,
            },
            quorum,
            decision: if *approve {
                Decision::Approve
            } else {
                Decision::Deny
            },
            reason: None,
            surface: Surface::Console,
            wish: wish.then_some(GrantWish {
                minutes: 30,
                uses: u32::try_from(*who).unwrap_or(0) + 1,
            }),
        }),
        Deed::BreakGlass { who, said } => Event::BreakGlass(BreakGlass {
            person: person(PEOPLE[*who]),
            members: GLASS.map(id).to_vec(),
            reason: said.then(|| "the ward is down".to_owned()),
            surface: Surface::Console,
        }),
        Deed::UseGrant => Event::UseGrant(GrantUse {
            grant: Box::new(a_grant()),
            left: 3,
        }),
        Deed::Claim { right } => Event::Claim {
            binding: binding(if *right { b"shown" } else { b"other" }),
        },
        Deed::Withdraw => Event::Withdraw {
            reason: WithdrawReason::ClientGone,
        },
        Deed::Report { rows } => Event::Report {
            outcome: Outcome::Executed {
                rows: Some(*rows),
                tags: Vec::new(),
                elapsed: std::time::Duration::ZERO,
            },
        },
        Deed::Tick => Event::Tick,
    }
}

fn person(name: &str) -> PersonRef {
    PersonRef {
        id: id(name),
        display_name: name.to_owned(),
        slack: None,
    }
}

/// One that was found to cover the hold.
fn a_grant() -> Grant {
    let vote = Vote {
        person: person("cho"),
        decision: Decision::Approve,
        reason: None,
        surface: Surface::Console,
        at: start(),
        break_glass: false,
        wish: None,
        by_grant: None,
    };
    Grant {
        hold: "HLD-7K3Q"
            .parse()
            .unwrap_or_else(|_| unreachable!("a good id")),
        agent: "bot".to_owned(),
        owner: None,
        actor: None,
        target: "clinic".to_owned(),
        database: "clinic".to_owned(),
        route: "dba".to_owned(),
        rule: "writes".to_owned(),
        meaning: None,
        fingerprints: Vec::new(),
        statement: String::new(),
        plain: true,
        rows_cap: Some(10),
        rows_shown: None,
        along_shown: None,
        uses: 4,
        used: 0,
        by: vec![person("cho")],
        vote,
        made_at: start(),
        expires_at: start(),
        revoked: None,
    }
}

/// What somebody with a pencil would keep.
#[derive(Debug, Default)]
struct Model {
    votes: BTreeMap<usize, (bool, bool)>,
    denials: usize,
    /// Somebody approved alone, or a grant covers it.
    beyond: bool,
    /// The approval gives a grant.
    gives: bool,
    /// Anything was done to it at all.
    touched: bool,
    approved_at: Option<DateTime<Utc>>,
    taken: Option<DateTime<Utc>>,
    ran: Option<u64>,
    /// The final state, once there is one.
    over: Option<HoldState>,
}

impl Model {
    fn state(&self) -> HoldState {
        match self {
            Self {
                over: Some(state), ..
            } => *state,
            Self { ran: Some(_), .. } => HoldState::Executed,
            Self { taken: Some(_), .. } => HoldState::Claimed,
            Self {
                approved_at: Some(_),
                ..
            } => HoldState::Approved,
            _ => HoldState::Pending,
        }
    }

    fn time_passes(&mut self, now: DateTime<Utc>) {
        match (self.state(), self.approved_at) {
            (HoldState::Pending, _) if now >= start() + TimeDelta::seconds(WAIT) => {
                self.over = Some(HoldState::Expired);
            }
            (HoldState::Approved, Some(at)) if now >= at + limits::APPROVAL_LIFE => {
                self.over = Some(HoldState::Lapsed);
            }
            (HoldState::Claimed, _) => {
                let late = self.taken.is_some_and(|at| now >= at + limits::REPORT_WAIT);
                self.over = late.then_some(HoldState::Failed);
            }
            _ => {}
        }
    }

    /// Whether the deed is accepted.
    fn follow(&mut self, deed: &Deed, quorum: usize, now: DateTime<Utc>) -> bool {
        self.time_passes(now);
        let state = self.state();
        match deed {
            Deed::Tick => true,
            Deed::BreakGlass { who, said } => {
                // Only Eve and Fay: the owner never does.
                let may = matches!(PEOPLE[*who], "eve" | "fay");
                if !may || !said || state != HoldState::Pending {
                    return false;
                }
                self.beyond = true;
                self.touched = true;
                self.approved_at = Some(now);
                true
            }
            Deed::UseGrant => {
                if self.touched || state != HoldState::Pending {
                    return false;
                }
                self.beyond = true;
                self.touched = true;
                self.approved_at = Some(now);
                true
            }
            Deed::Vote { who, approve, wish } => {
                // Indexes 3, 4 and 5 are the owner, the actor and the stranger.
                if *who > 2 || state != HoldState::Pending {
                    return false;
                }
                self.touched = true;
                let before = self.votes.insert(*who, (*approve, *wish));
                if before == Some((*approve, *wish)) {
                    return true;
                }
                let count = |wanted: fn(&(bool, bool)) -> bool| {
                    self.votes.values().filter(|vote| wanted(vote)).count()
                };
                if !approve {
                    if count(|(yes, _)| !yes) >= self.denials {
                        self.over = Some(HoldState::Denied);
                    }
                } else if count(|(yes, _)| *yes) >= quorum {
                    self.gives = count(|(yes, wish)| *yes && *wish) >= quorum;
                    self.approved_at = Some(now);
                }
                true
            }
            Deed::Claim { right } => {
                let accepted = state == HoldState::Approved && *right;
                if accepted {
                    self.taken = Some(now);
                }
                accepted
            }
            Deed::Withdraw => match state {
                HoldState::Claimed => false,
                HoldState::Pending => {
                    self.over = Some(HoldState::Withdrawn);
                    true
                }
                HoldState::Approved => {
                    self.over = Some(HoldState::Lapsed);
                    true
                }
                _ => true,
            },
            Deed::Report { rows } => match (state, self.ran) {
                (HoldState::Claimed, _) => {
                    self.ran = Some(*rows);
                    true
                }
                (HoldState::Executed, Some(ran)) => ran == *rows,
                _ => false,
            },
        }
    }
}

/// As the store does it: what time has done is written down before the event.
fn settle(hold: &Hold, now: DateTime<Utc>) -> Hold {
    match transition(hold, Event::Tick, now) {
        Ok((settled, _)) => settled,
        Err(refusal) => unreachable!("a tick is never refused: {refusal}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_machine_follows_the_model(
        quorum in 1..4_u32,
        denials in 1..4_u32,
        deeds in vec((deed(), pause()), 1..25),
    ) {
        let mut hold = hold_with(quorum, denials);
        let mut model = Model {
            denials: denials as usize,
            ..Model::default()
        };
        let mut now = start();
        let mut claims = 0;
        let mut given = 0;
        for (deed, pause) in deeds {
            now += TimeDelta::seconds(pause);
            let unsettled = transition(&hold, event(&deed, seats(quorum)), now);
            hold = settle(&hold, now);
            let accepted = model.follow(&deed, quorum as usize, now);
            let step = transition(&hold, event(&deed, seats(quorum)), now);
            prop_assert_eq!(step.is_ok(), accepted, "{:?} in {:?}", deed, hold.state);
            // Time counts even when nobody wrote it down.
            prop_assert_eq!(unsettled.is_ok(), step.is_ok());
            if let Ok((next, events)) = step {
                check_step(&hold, &next, &events)?;
                given += events.iter().filter(|e| matches!(e, AuditEvent::Granted { .. })).count();
                claims += events.iter().filter(|e| matches!(e, AuditEvent::Claimed { .. })).count();
                hold = next;
            }
            prop_assert_eq!(hold.state, model.state());
            prop_assert_eq!(given, usize::from(model.gives), "a grant takes the whole quorum");
            check_hold(&hold, model.beyond)?;
        }
        prop_assert!(claims <= 1, "a claim succeeds once");
    }

    #[test]
    fn a_clock_that_ran_backwards_lets_nothing_run(back in 6..10_000_i64) {
        let earlier = start() - TimeDelta::seconds(back);
        let pending = new_hold(1);
        let approve = event(&Deed::Vote { who: 0, approve: true, wish: false }, seats(1));
        prop_assert_eq!(transition(&pending, approve.clone(), earlier).unwrap_err(), Refusal::ClockBehind);
        let deny = event(&Deed::Vote { who: 0, approve: false, wish: false }, seats(1));
        prop_assert!(transition(&pending, deny, earlier).is_ok());
        let (approved, _) = transition(&pending, approve, start()).unwrap();
        let claim = event(&Deed::Claim { right: true }, seats(1));
        prop_assert_eq!(transition(&approved, claim, earlier).unwrap_err(), Refusal::ClockBehind);
    }
}

fn check_step(before: &Hold, after: &Hold, events: &[AuditEvent]) -> Result<(), TestCaseError> {
    let grown = after.version - before.version;
    prop_assert!(grown <= 1);
    prop_assert_eq!(
        grown == 1,
        !events.is_empty(),
        "every step is written down, and only steps"
    );
    prop_assert_eq!(grown == 0, before == after);
    if before.state.is_final() {
        prop_assert_eq!(before, after, "nothing changes after the end");
    }
    Ok(())
}

fn check_hold(hold: &Hold, beyond: bool) -> Result<(), TestCaseError> {
    let mut voters: Vec<_> = hold
        .votes
        .iter()
        .map(|vote| vote.person.id.clone())
        .collect();
    voters.sort();
    voters.dedup();
    prop_assert_eq!(voters.len(), hold.votes.len(), "one person is one vote");
    for never in [OWNER, ACTOR] {
        prop_assert!(!voters.contains(&id(never)), "{} voted", never);
    }
    let ran = matches!(hold.state, HoldState::Claimed | HoldState::Executed);
    if ran || hold.state == HoldState::Approved {
        let alone = hold.votes.iter().any(|vote| vote.break_glass);
        prop_assert_eq!(beyond, alone || hold.terms.by_grant.is_some());
        prop_assert!(beyond || hold.approving().count() >= hold.quorum.seats());
        prop_assert!(beyond || !voters.contains(&id("fay")));
        prop_assert!(hold.deciding_vote().is_some());
    }
    prop_assert_eq!(hold.deadline().is_some(), !hold.state.is_final());
    Ok(())
}
