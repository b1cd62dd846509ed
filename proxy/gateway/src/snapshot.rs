//! What may change while sessions are open: who may connect, to what, and by which rules.
//!
//! Swapped whole or not at all. A session judges with the newest one at each batch, so a rule or a right that was
//! taken away is gone from the next batch on (invariant 1). Addresses and credentials of targets are not
//! among it: connections that are open could not follow them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use abeyance_policy::RuleSet;
use abeyance_wire::postgres::scram::ScramPassword;
use secrecy::ExposeSecret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    Agent, Gateway, Target,
    catalog::{Keeper, Presence, TargetCatalog},
    session::Scope,
    upstream::Login,
};

/// One state of everything that can be reloaded.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) rules: RuleSet,
    /// Grows with every reload; part of every key under which something judged is kept.
    generation: u32,
    targets: HashMap<String, Upstream>,
    agents: HashMap<String, Enrolled>,
    /// Cancelled when another snapshot has taken its place: idle sessions look again.
    pub(crate) superseded: CancellationToken,
}

/// An agent with the room its sessions have.
#[derive(Debug)]
pub(crate) struct Enrolled {
    index: u32,
    pub(crate) agent: Arc<Agent>,
    seats: Seats,
}

/// A target with what is worked out once for it.
#[derive(Debug)]
pub(crate) struct Upstream {
    index: u32,
    pub(crate) target: Arc<Target>,
    /// Its password, with the keys that follow from it: only the first login pays for them.
    pub(crate) scram: Option<Arc<ScramPassword>>,
    /// Kept over all snapshots; `None` where statements are judged by their text alone.
    catalog: Option<Arc<TargetCatalog>>,
    seats: Seats,
}

impl Upstream {
    fn new(index: u32, target: Target) -> Self {
        let password = target.password.as_ref();
        Self {
            index,
            scram: password.map(|password| Arc::new(ScramPassword::new(password.expose_secret()))),
            seats: Seats::new(target.sessions_max),
            catalog: target.catalog_poll.map(|_| Arc::default()),
            target: Arc::new(target),
        }
    }

    /// The same place under a newer configuration: what was worked out and who is connected stays.
    fn renewed(&self, index: u32, target: Target) -> Self {
        Self {
            index,
            scram: self.scram.clone(),
            seats: self.seats.resized(target.sessions_max),
            catalog: target
                .catalog_poll
                .map(|_| self.catalog.clone().unwrap_or_default()),
            target: Arc::new(target),
        }
    }

    pub(crate) fn login(&self) -> Login<'_> {
        Login {
            target: &self.target,
            scram: self.scram.as_ref(),
        }
    }

    /// The target's catalog, for a session that begins; sees to it that somebody keeps it.
    pub(crate) fn catalog(&self, gateway: &Gateway) -> Option<(Arc<TargetCatalog>, Presence)> {
        let catalog = self.catalog.as_ref()?;
        let (presence, start) = catalog.enter();
        if start {
            let keeper = Keeper {
                catalog: Arc::clone(catalog),
                target: Arc::clone(&self.target),
                patterns: Arc::clone(&gateway.patterns),
                scram: self.scram.clone(),
                poll: self.target.catalog_poll?,
                timeout: gateway.limits.catalog_timeout,
                shutdown: gateway.shutdown.clone(),
                deadline: gateway.deadline.clone(),
            };
            gateway.background.spawn(keeper.run());
        }
        Some((Arc::clone(catalog), presence))
    }
}

/// How many sessions there may be of something, over all snapshots.
#[derive(Debug, Clone)]
struct Seats {
    max: Option<usize>,
    /// Every session takes one, bounded or not, so that a bound set later counts them all.
    taken: Arc<Semaphore>,
}

/// A session's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

impl Seats {
    fn new(max: Option<usize>) -> Self {
        Self {
            max,
            taken: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    fn resized(&self, max: Option<usize>) -> Self {
        Self {
            max,
            taken: Arc::clone(&self.taken),
        }
    }

    /// A place, or the bound that is reached.
    fn take(&self) -> Result<Seat, usize> {
        let seat = Arc::clone(&self.taken).try_acquire_owned();
        let max = self.max.unwrap_or(Semaphore::MAX_PERMITS);
        // Taken before it is counted: of two that come at once, both may be refused, never both let in.
        let in_use = Semaphore::MAX_PERMITS - self.taken.available_permits();
        match seat {
            Ok(seat) if in_use <= max => Ok(Seat(seat)),
            Ok(_) | Err(_) => Err(max),
        }
    }
}

/// Whose bound keeps a session out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) what: &'static str,
    pub(crate) name: String,
    pub(crate) max: usize,
}

impl Snapshot {
    pub(crate) fn new(targets: Vec<Target>, agents: Vec<Agent>, rules: RuleSet) -> Self {
        Self::after(None, targets, agents, rules)
    }

    fn after(
        before: Option<&Self>,
        targets: Vec<Target>,
        agents: Vec<Agent>,
        rules: RuleSet,
    ) -> Self {
        let upstream = |(index, target): (u32, Target)| {
            let known = before.and_then(|before| before.targets.get(&target.name));
            let name = target.name.clone();
            let upstream = match known {
                Some(known) => known.renewed(index, target),
                None => Upstream::new(index, target),
            };
            (name, upstream)
        };
        let enrolled = |(index, agent): (u32, Agent)| {
            let known = before.and_then(|before| before.agents.get(&agent.name));
            let seats = match known {
                Some(known) => known.seats.resized(agent.sessions_max),
                None => Seats::new(agent.sessions_max),
            };
            let name = agent.name.clone();
            let agent = Arc::new(agent);
            (
                name,
                Enrolled {
                    index,
                    agent,
                    seats,
                },
            )
        };
        Self {
            targets: (0..).zip(targets).map(upstream).collect(),
            agents: (0..).zip(agents).map(enrolled).collect(),
            rules,
            generation: before.map_or(0, |before| before.generation.wrapping_add(1)),
            superseded: CancellationToken::new(),
        }
    }

    /// An agent by the name a client gives.
    pub(crate) fn agent(&self, name: &str) -> Option<&Arc<Agent>> {
        self.agents.get(name).map(|enrolled| &enrolled.agent)
    }

    /// A target an agent may use, and the scope its readings are kept under.
    pub(crate) fn target(&self, agent: &Agent, name: &str) -> Option<(&Upstream, Scope)> {
        let allowed = agent.targets.iter().any(|target| target == name);
        let upstream = self.targets.get(name).filter(|_| allowed)?;
        let enrolled = self.agents.get(&agent.name)?;
        Some((
            upstream,
            Scope {
                generation: self.generation,
                agent: enrolled.index,
                target: upstream.index,
            },
        ))
    }

    /// Places for a session of an agent at a target.
    pub(crate) fn seats(&self, agent: &str, target: &str) -> Result<[Option<Seat>; 2], Full> {
        let take = |what, name: &str, seats: Option<&Seats>| {
            let full = |max| Full {
                what,
                name: name.to_owned(),
                max,
            };
            seats.map(Seats::take).transpose().map_err(full)
        };
        let agents = self.agents.get(agent).map(|enrolled| &enrolled.seats);
        let targets = self.targets.get(target).map(|upstream| &upstream.seats);
        Ok([
            take("agent", agent, agents)?,
            take("target", target, targets)?,
        ])
    }
}

/// The newest snapshot. Asking whether there is a newer one costs one load.
#[derive(Debug)]
pub(crate) struct Current {
    generation: AtomicU32,
    snapshot: Mutex<Arc<Snapshot>>,
}

impl Current {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            generation: AtomicU32::new(snapshot.generation),
            snapshot: Mutex::new(Arc::new(snapshot)),
        }
    }

    /// The newest snapshot.
    pub(crate) fn get(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.lock();
        Arc::clone(&snapshot.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether `snapshot` is the newest.
    pub(crate) fn is(&self, snapshot: &Snapshot) -> bool {
        self.generation.load(Ordering::Acquire) == snapshot.generation
    }

    /// Puts another one in its place and wakes whoever uses the old one.
    pub(crate) fn replace(&self, targets: Vec<Target>, agents: Vec<Agent>, rules: RuleSet) {
        let old = {
            let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            let new = Arc::new(Snapshot::after(Some(&snapshot), targets, agents, rules));
            self.generation.store(new.generation, Ordering::Release);
            std::mem::replace(&mut *snapshot, new)
        };
        old.superseded.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_sessions_from_before_it() {
        let seats = Seats::new(None);
        let first = seats.take().unwrap();
        let bounded = seats.resized(Some(1));
        assert_eq!(bounded.take().err(), Some(1));
        drop(first);
        assert!(bounded.take().is_ok());
    }

    #[test]
    fn a_place_is_free_again_when_its_session_ends() {
        let seats = Seats::new(Some(2));
        let (one, _two) = (seats.take().unwrap(), seats.take().unwrap());
        assert_eq!(seats.take().err(), Some(2));
        drop(one);
        assert!(seats.take().is_ok());
    }
}
