//! What a statement that completed did to names and settings, by the server's own word: its command tag.

use std::sync::Arc;

use abeyance_sql::StatementFacts;

use crate::session::{
    ledger::{Clearance, Ledger, Portal, Prepared},
    reading::Reading,
    settings,
    standing::Standing,
    ticket::Mark,
};

/// A statement that completed.
#[derive(Debug)]
pub(super) struct Completed<'a> {
    /// The command tag without counts.
    pub(super) tag: &'a str,
    pub(super) reading: &'a Arc<Reading>,
    /// Which statement of the reading it was.
    pub(super) index: usize,
    pub(super) clearance: &'a Clearance,
}

impl Completed<'_> {
    /// Follows it. Where it is not known which name was meant, all are forgotten, so that none is
    /// taken for another.
    pub(super) fn apply(&self, ledger: &mut Ledger, standing: &mut Standing) {
        let facts = self.facts();
        let refers_to = facts.and_then(|facts| facts.refers_to.as_deref());
        match self.tag {
            "PREPARE" | "DECLARE CURSOR" => self.define(ledger, standing.context.mark()),
            "DEALLOCATE" => match refers_to {
                Some(name) => ledger.statement_drop(name.as_bytes()),
                None => ledger.statements_drop_all(),
            },
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" => standing.snapshot_taken = true,
            "COMMIT" | "ROLLBACK" => standing.snapshot_taken = false,
            "DEALLOCATE ALL" => ledger.statements_drop_all(),
            "CLOSE CURSOR" => match refers_to {
                Some(name) => ledger.portal_drop(name.as_bytes()),
                None => ledger.portals_drop_all(),
            },
            "CLOSE CURSOR ALL" => ledger.portals_drop_all(),
            "DISCARD ALL" => {
                ledger.statements_drop_all();
                ledger.portals_drop_all();
                standing.reason = None;
                standing.ticket = false;
            }
            "SET" | "RESET" => {
                if let Some(facts) = facts {
                    settings::applied(self.tag, facts, self.reading, standing);
                }
            }
            _ => {}
        }
    }

    fn define(&self, ledger: &mut Ledger, mark: Mark) {
        let Some((facts, name)) = self
            .facts()
            .and_then(|facts| Some((facts, facts.defines.as_deref()?)))
        else {
            return;
        };
        let prepared = Arc::new(Prepared::new(
            self.reading.clone(),
            Vec::new(),
            Some(self.index),
            mark,
        ));
        if self.tag == "PREPARE" {
            ledger.statement_add(name.as_bytes(), prepared);
            return;
        }
        let holdable = facts.redacted.to_ascii_uppercase().contains("WITH HOLD");
        let portal = Portal {
            holdable,
            ..Portal::opened(prepared, self.clearance.clone(), mark)
        };
        ledger.portal_add(name.as_bytes(), portal);
    }

    /// What is known of it, if anything.
    fn facts(&self) -> Option<&StatementFacts> {
        let facts = self.reading.facts.get(self.index)?;
        (facts.opaque.is_none() || facts.refers_to.is_some()).then_some(facts)
    }
}
