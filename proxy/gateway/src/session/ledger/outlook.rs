//! The names of a session as they will be, while a batch is judged.

use std::{collections::HashMap, sync::Arc};

use super::{Ledger, Portal, Prepared};

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
