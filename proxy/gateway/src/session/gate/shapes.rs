//! Shapes of statements that the target has been asked about already.
//!
//! Bounded, shared by all sessions (invariant 10). A shape is known under the catalog state it was read with; without
//! a catalog nothing tells when the target changed, so it is forgotten soon.

use std::hash::{BuildHasher, RandomState};

use abeyance_api::Clock;
use abeyance_sql::StatementFacts;
use quick_cache::sync::Cache;

use super::ask::{Ask, Words};
use crate::{
    limits::{SHAPE_SECONDS_MAX, SHAPES_MAX},
    session::Scope,
};

/// Shapes that were found to be as predicted, each with the second until which that counts.
#[derive(Debug)]
pub(crate) struct Shapes {
    known: Cache<Shape, i64>,
    /// Two, of keys nobody outside knows: 128 bits that cannot be aimed at.
    hashers: [RandomState; 2],
}

/// What makes two statements the same to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape(u64, u64);

impl Shapes {
    pub(crate) fn new() -> Self {
        Self {
            known: Cache::new(SHAPES_MAX),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// The fingerprint takes out literals, and names that look like data: so names count besides.
    pub(super) fn of(&self, scope: Scope, ask: &Ask) -> Shape {
        let facts = &ask.facts;
        let oids: &[u32] = match &ask.words {
            Words::Plain { .. } => &[],
            Words::Prepared { param_oids, .. } => param_oids,
        };
        let parts = (
            (scope, ask.reading.stamp.view, oids),
            (&facts.fingerprint, &ask.definition, &facts.kinds),
            (&facts.reads, &facts.writes, &facts.alters),
            (&facts.functions, &facts.operators, &facts.casts),
        );
        let [one, other] = &self.hashers;
        Shape(one.hash_one(parts), other.hash_one(parts))
    }

    pub(super) fn knows(&self, shape: Shape, clock: &dyn Clock) -> bool {
        let until = self.known.get(&shape);
        until.is_some_and(|until| until == i64::MAX || clock.now().timestamp() < until)
    }

    pub(super) fn remember(&self, shape: Shape, ask: &Ask, clock: &dyn Clock) {
        self.known.insert(shape, lasts_until(&ask.facts, clock));
    }
}

/// Until when what was checked counts: with a catalog as long as it stays what it was, which is part of the key.
pub(super) fn lasts_until(facts: &StatementFacts, clock: &dyn Clock) -> i64 {
    match facts.catalog {
        Some(_) => i64::MAX,
        None => clock.now().timestamp().saturating_add(SHAPE_SECONDS_MAX),
    }
}
