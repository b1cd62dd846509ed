//! The names a session has given to statements and portals, kept exactly as the server keeps them.
//!
//! One name space for protocol Parse and SQL PREPARE, one for protocol portals and SQL cursors: the
//! server has it so. A name that is not here is unknown, and what refers to it is opaque or refused
//! (invariant 1). Changes are made only when the server has said that they happened.

use std::{collections::HashMap, sync::Arc};

use abeyance_api::HoldId;
use abeyance_sql::StatementFacts;
use bytes::Bytes;

use super::{
    reading::{Reading, Stamp},
    ticket::Mark,
};

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
                ..Portal::clone(portal)
            });
        }
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

/// What a batch will have done to the names, assuming that everything before a point succeeds: if
/// anything fails, the rest of the batch does not run.
#[derive(Debug)]
pub(crate) struct Outlook<'a> {
    ledger: &'a Ledger,
    statements: HashMap<Vec<u8>, Option<Arc<Prepared>>>,
    portals: HashMap<Vec<u8>, Option<Arc<Portal>>>,
    statements_forgotten: bool,
    portals_forgotten: bool,
    /// What the ledger knows by name is suspect.
    suspect: bool,
}

impl<'a> Outlook<'a> {
    pub(crate) fn new(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            statements: HashMap::new(),
            portals: HashMap::new(),
            statements_forgotten: false,
            portals_forgotten: false,
            suspect: false,
        }
    }

    pub(crate) fn statement(&self, name: &[u8]) -> Option<Arc<Prepared>> {
        match self.statements.get(name) {
            Some(changed) => changed.clone(),
            None if self.statements_forgotten => None,
            None => self.ledger.statement(name).map(|known| {
                if self.suspect && !name.is_empty() {
                    known.suspected()
                } else {
                    known.clone()
                }
            }),
        }
    }

    pub(crate) fn portal(&self, name: &[u8]) -> Option<Arc<Portal>> {
        match self.portals.get(name) {
            Some(changed) => changed.clone(),
            None if self.portals_forgotten => None,
            None => self.ledger.portal(name).map(|known| {
                if self.suspect && !name.is_empty() {
                    known.suspected()
                } else {
                    known.clone()
                }
            }),
        }
    }

    /// A portal of this name was there before the batch.
    pub(crate) fn is_portal_earlier(&self, name: &[u8]) -> bool {
        !self.portals.contains_key(name)
    }

    pub(crate) fn statement_set(&mut self, name: &[u8], prepared: Option<Arc<Prepared>>) {
        self.statements.insert(name.to_vec(), prepared);
    }

    pub(crate) fn portal_set(&mut self, name: &[u8], portal: Option<Arc<Portal>>) {
        self.portals.insert(name.to_vec(), portal);
    }

    /// As [`Ledger::statements_drop_all`].
    pub(crate) fn statements_forget(&mut self) {
        let unnamed = self.statement(b"");
        self.statements.clear();
        self.statements_forgotten = true;
        self.statements.insert(Vec::new(), unnamed);
    }

    pub(crate) fn portals_forget(&mut self) {
        self.portals.clear();
        self.portals_forgotten = true;
    }

    /// As [`Ledger::suspect_all`].
    pub(crate) fn suspect_all(&mut self) {
        self.suspect = true;
        for (name, known) in &mut self.statements {
            if let Some(prepared) = known
                && !name.is_empty()
                && !prepared.suspect
            {
                *prepared = prepared.suspected();
            }
        }
        for (name, known) in &mut self.portals {
            if let Some(portal) = known
                && !name.is_empty()
                && !portal.suspect
            {
                *portal = portal.suspected();
            }
        }
    }

    /// How many names there could be at most.
    pub(crate) fn statements_len(&self) -> usize {
        self.ledger.statements_len() + self.statements.len()
    }

    pub(crate) fn portals_len(&self) -> usize {
        self.ledger.portals_len() + self.portals.len()
    }
}

#[cfg(test)]
mod tests {
    use abeyance_policy::{Context, Decision, RuleSet};
    use abeyance_sql::{ReadOptions, analyse};

    use super::*;
    use crate::catalog::View;

    fn reading(meaning: &str, view: u64) -> Arc<Reading> {
        let analysis = analyse(meaning.as_bytes(), ReadOptions::default());
        let stamp = Stamp {
            view,
            ..Stamp::default()
        };
        let rules = RuleSet::new(Vec::new(), Decision::Deny).unwrap();
        let context = Context::new("bot", "clinic");
        let text = Bytes::from_static(b"one text");
        Arc::new(Reading::stamped(text, analysis, stamp, &rules, context))
    }

    fn renewed(ledger: &mut Ledger, meaning: &str, view: u64) -> Vec<String> {
        let reading = reading(meaning, view);
        ledger.statement_renew(b"x", reading.clone());
        ledger.renewed(reading.stamp);
        let prepared = ledger.statement(b"x").unwrap();
        let all = prepared.earlier.iter().chain([&prepared.reading]);
        all.map(|reading| reading.facts[0].kind.clone()).collect()
    }

    #[test]
    fn a_prepared_statement_keeps_what_it_meant_before() {
        let mut ledger = Ledger::default();
        let first = reading("SELECT 1", 20);
        ledger.statement_add(
            b"x",
            Arc::new(Prepared::new(
                first.clone(),
                Vec::new(),
                None,
                Mark::default(),
            )),
        );
        assert!(ledger.outdated(first.stamp).is_empty());
        let newer = reading("SELECT 1", 21).stamp;
        assert!(!ledger.is_current(newer));
        assert_eq!(ledger.outdated(newer).len(), 1);
        // The same meaning under another view is no other meaning.
        assert_eq!(renewed(&mut ledger, "SELECT 1", 21), ["SELECT"]);
        assert!(ledger.is_current(newer));
        assert_eq!(
            renewed(&mut ledger, "DELETE FROM a", 22),
            ["SELECT", "DELETE"]
        );
        // What was read without a catalog is no meaning of its own.
        let blind = View::unsettled().number;
        assert_eq!(
            renewed(&mut ledger, "INSERT INTO a VALUES (1)", blind),
            ["SELECT", "DELETE", "INSERT"]
        );
        assert_eq!(renewed(&mut ledger, "SELECT 1", 23), ["DELETE", "SELECT"]);
        assert!(!ledger.statement(b"x").unwrap().suspect);
    }

    #[test]
    fn a_statement_with_too_many_meanings_is_doubted() {
        let mut ledger = Ledger::default();
        let first = reading("SELECT 1", 20);
        let prepared = Prepared::new(first, Vec::new(), None, Mark::default());
        ledger.statement_add(b"x", Arc::new(prepared));
        for view in 0..=EARLIER_MAX {
            let meaning = format!("DELETE FROM t{view}");
            renewed(&mut ledger, &meaning, 21 + view as u64);
        }
        let prepared = ledger.statement(b"x").unwrap();
        assert_eq!(prepared.earlier.len(), EARLIER_MAX);
        assert!(prepared.suspect);
    }
}
