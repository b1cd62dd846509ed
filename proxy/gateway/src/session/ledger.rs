//! The names a session has given to statements and portals, kept exactly as the server keeps them.
//!
//! One name space for protocol Parse and SQL PREPARE, one for protocol portals and SQL cursors: the
//! server has it so. A name that is not here is unknown, and what refers to it is opaque or refused
//! (invariant 1). Changes are made only when the server has said that they happened.

use std::{collections::HashMap, sync::Arc};

use abeyance_api::HoldId;
use abeyance_sql::StatementFacts;
use abeyance_wire::postgres::Bind;
use bytes::Bytes;

use super::{
    reading::{Reading, Stamp},
    ticket::Mark,
};

mod outlook;

pub(crate) use outlook::Outlook;

/// A statement that has a name; the empty one is the unnamed statement.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) param_oids: Vec<u32>,
    pub(crate) reading: Arc<Reading>,
    /// Which statement of the reading it is; `None` for all of them.
    pub(crate) index: Option<usize>,
    /// Code that analysis does not see ran since: another statement may go by the name now.
    pub(crate) suspect: bool,
    /// How it was read before its names stood for something else. The server may still run it so: it analyses
    /// a statement again only when something it used has changed, not when a name has come to stand for another thing.
    pub(crate) earlier: Vec<Arc<Reading>>,
    /// What the session had been told: literals were read by it.
    pub(crate) mark: Mark,
}

/// Rules judge both alike.
fn alike(one: &[StatementFacts], other: &[StatementFacts]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(one, other)| one.is_judged_as(other))
}

impl Prepared {
    /// A statement as it is prepared now.
    pub(crate) fn new(
        reading: Arc<Reading>,
        param_oids: Vec<u32>,
        index: Option<usize>,
        mark: Mark,
    ) -> Self {
        Self {
            param_oids,
            reading,
            index,
            suspect: false,
            earlier: Vec::new(),
            mark,
        }
    }

    /// The same statement with what its text means now.
    fn renewed(&self, reading: Arc<Reading>) -> Arc<Self> {
        let mut earlier = self.earlier.clone();
        let same = |other: &Arc<Reading>| alike(&other.facts, &reading.facts);
        earlier.retain(|other| !same(other));
        if !same(&self.reading) && !self.reading.stamp.is_blind() {
            earlier.push(Arc::clone(&self.reading));
        }
        // Reviewers get to see each of them; more than this nobody wants to read.
        let too_many = earlier.len() > EARLIER_MAX;
        if too_many {
            earlier.remove(0);
        }
        Arc::new(Self {
            param_oids: self.param_oids.clone(),
            reading,
            index: self.index,
            suspect: self.suspect || too_many,
            earlier,
            mark: self.mark,
        })
    }

    /// The exact text, or for SQL PREPARE and DECLARE that of the whole statement.
    pub(crate) fn text(&self) -> Bytes {
        match (self.index, self.facts()) {
            (Some(_), [only]) => self.reading.text_of(only),
            _ => self.reading.text.clone(),
        }
    }

    /// The statements that run when this one is bound and executed; the grammar allows one at most.
    pub(crate) fn facts(&self) -> &[StatementFacts] {
        match self.index {
            Some(index) => self.reading.facts.get(index..=index).unwrap_or_default(),
            None => &self.reading.facts,
        }
    }

    /// What SQL EXECUTE or FETCH of this name runs.
    pub(crate) fn definition(&self) -> Option<&StatementFacts> {
        match self.facts() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl Prepared {
    fn suspected(&self) -> Arc<Self> {
        Arc::new(Self {
            suspect: true,
            ..self.clone()
        })
    }
}

impl Portal {
    fn suspected(&self) -> Arc<Self> {
        Arc::new(Self {
            suspect: true,
            ..self.clone()
        })
    }
}

/// Meanings a prepared statement may have had before; one with more is doubted.
const EARLIER_MAX: usize = 4;

/// Longest values of one portal that are kept, in bytes: what it would do is then asked with them.
const BOUND_BYTES_MAX: usize = 16 * 1024;

/// By what right a portal may be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clearance {
    Allowed,
    Permitted(HoldId),
}

/// A bound statement or an open cursor.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) clearance: Clearance,
    /// May outlive its transaction.
    pub(crate) holdable: bool,
    /// As in [`Prepared`].
    pub(crate) suspect: bool,
    /// What the session had been told when it was opened.
    pub(crate) mark: Mark,
    /// It was executed, if not to its end: a write has run whole then.
    pub(crate) begun: bool,
    /// The values it was bound to, for as long as it was not executed.
    pub(crate) bound: Option<Arc<Bound>>,
}

/// What came with Bind: the types the client gave its parameters, and their values.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) param_oids: Vec<u32>,
    pub(crate) bind: Bind,
}

impl Bound {
    /// A copy for a batch to come, without the buffers it came in; nothing when it is too long to be kept.
    pub(crate) fn kept(&self) -> Option<Arc<Self>> {
        let values = || self.bind.params.iter().flatten();
        if values().map(Bytes::len).sum::<usize>() > BOUND_BYTES_MAX {
            return None;
        }
        let copied = |value: &Option<Bytes>| value.as_deref().map(Bytes::copy_from_slice);
        Some(Arc::new(Self {
            param_oids: self.param_oids.clone(),
            bind: Bind {
                params: self.bind.params.iter().map(copied).collect(),
                ..self.bind.clone()
            },
        }))
    }
}

impl Portal {
    /// As it is opened.
    pub(crate) fn opened(prepared: Arc<Prepared>, clearance: Clearance, mark: Mark) -> Self {
        Self {
            prepared,
            clearance,
            holdable: false,
            suspect: false,
            mark,
            begun: false,
            bound: None,
        }
    }
}

/// All names of one session.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    statements: HashMap<Box<[u8]>, Arc<Prepared>>,
    portals: HashMap<Box<[u8]>, Arc<Portal>>,
    /// What every statement was last read with.
    current: Option<Stamp>,
}

impl Ledger {
    /// Whether every statement is read as `stamp` says.
    pub(crate) fn is_current(&self, stamp: Stamp) -> bool {
        self.statements.is_empty() || self.current == Some(stamp)
    }

    /// The readings of statements that were not made under this stamp.
    pub(crate) fn outdated(&self, stamp: Stamp) -> Vec<(Box<[u8]>, Arc<Reading>)> {
        let outdated = |reading: &Reading| !reading.stamp.opaque && !reading.stamp.agrees(stamp);
        self.statements
            .iter()
            .filter(|(_, prepared)| outdated(&prepared.reading))
            .map(|(name, prepared)| (name.clone(), Arc::clone(&prepared.reading)))
            .collect()
    }

    /// A statement's text was read again.
    pub(crate) fn statement_renew(&mut self, name: &[u8], reading: Arc<Reading>) {
        if let Some(prepared) = self.statements.get_mut(name) {
            *prepared = prepared.renewed(reading);
        }
    }

    /// Every statement is read as `stamp` says.
    pub(crate) fn renewed(&mut self, stamp: Stamp) {
        self.current = Some(stamp);
    }

    /// The readings of all statements that have a name, and of all portals.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &Arc<Reading>> {
        let statements = self.statements.values().map(|prepared| &prepared.reading);
        let portals = self.portals.values().map(|portal| &portal.prepared.reading);
        statements.chain(portals)
    }

    pub(crate) fn statement(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        self.statements.get(name)
    }

    pub(crate) fn portal(&self, name: &[u8]) -> Option<&Arc<Portal>> {
        self.portals.get(name)
    }

    pub(crate) fn statements_len(&self) -> usize {
        self.statements.len()
    }

    pub(crate) fn portals_len(&self) -> usize {
        self.portals.len()
    }

    pub(crate) fn statement_add(&mut self, name: &[u8], prepared: Arc<Prepared>) {
        self.statements.insert(name.into(), prepared);
    }

    pub(crate) fn statement_drop(&mut self, name: &[u8]) {
        self.statements.remove(name);
    }

    /// DEALLOCATE ALL and DISCARD ALL: every statement that has a name. The unnamed one stays, as in the server.
    pub(crate) fn statements_drop_all(&mut self) {
        self.statements.retain(|name, _| name.is_empty());
    }

    pub(crate) fn portal_add(&mut self, name: &[u8], portal: Portal) {
        self.portals.insert(name.into(), Arc::new(portal));
    }

    /// What it runs has begun.
    pub(crate) fn portal_begun(&mut self, name: &[u8]) {
        if let Some(portal) = self.portals.get_mut(name)
            && !portal.begun
        {
            *portal = Arc::new(Portal {
                begun: true,
                bound: None,
                ..Portal::clone(portal)
            });
        }
    }

    /// What a portal runs has begun, if it is known.
    pub(crate) fn is_begun(&self, name: &[u8]) -> bool {
        self.portals.get(name).is_some_and(|portal| portal.begun)
    }

    pub(crate) fn portal_drop(&mut self, name: &[u8]) {
        self.portals.remove(name);
    }

    pub(crate) fn portals_drop_all(&mut self) {
        self.portals.clear();
    }

    /// Code ran that could have changed what any name stands for. The unnamed ones are out of its reach.
    pub(crate) fn suspect_all(&mut self) {
        for (name, prepared) in &mut self.statements {
            if !name.is_empty() && !prepared.suspect {
                *prepared = prepared.suspected();
            }
        }
        for (name, portal) in &mut self.portals {
            if !name.is_empty() && !portal.suspect {
                *portal = portal.suspected();
            }
        }
    }

    /// A simple Query begins: it takes the place of the unnamed statement and portal.
    pub(crate) fn unnamed_drop(&mut self) {
        self.statements.remove(&[][..]);
        self.portals.remove(&[][..]);
    }

    /// The transaction has ended: portals end with it, cursors WITH HOLD do not.
    pub(crate) fn transaction_ended(&mut self) {
        if !self.portals.is_empty() {
            self.portals.retain(|_, portal| portal.holdable);
        }
    }
}

#[cfg(test)]
mod tests;
