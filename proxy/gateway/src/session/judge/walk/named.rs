//! What a name in a statement stands for, and what it will stand for.

use std::sync::Arc;

use abeyance_api::HoldId;
use abeyance_sql::{StatementClass, StatementFacts};

use super::{
    super::{binding::Reference, names},
    Walk,
};
use crate::session::ledger::{Clearance, Portal, Prepared};

/// A reference with what it refers to.
pub(super) struct Resolved {
    pub(super) facts: Box<StatementFacts>,
    /// Its cursor was opened by an approval, which covers fetching from it.
    pub(super) permitted: Option<HoldId>,
}

impl Walk<'_> {
    /// What `EXECUTE x`, `FETCH x` or `MOVE x` would run, when `x` is known.
    pub(super) fn resolve(&mut self, facts: &StatementFacts) -> Option<Resolved> {
        let name = facts.refers_to.as_deref()?;
        if facts.class != StatementClass::Opaque && facts.opaque.is_none() {
            return None;
        }
        // FETCH and MOVE name a portal; everything else that refers to a name names a statement.
        if matches!(facts.kind.as_str(), "FETCH" | "MOVE") {
            let portal = self.outlook.portal(name.as_bytes())?;
            let definition = portal.prepared.definition()?;
            let mut resolved = facts.resolved_by(definition);
            // It gives what comes next.
            resolved.positioned = true;
            let suspect = portal.suspect || portal.prepared.suspect;
            let doubted = names::doubted(&portal.prepared, suspect, &resolved);
            let doubtless = doubted.is_none() && self.still_covers(&portal);
            let resolved = Box::new(doubted.unwrap_or(resolved));
            self.references
                .push(Reference::Portal(name.as_bytes().into(), portal.clone()));
            let permitted = match &portal.clearance {
                Clearance::Allowed => None,
                Clearance::Permitted(hold) => doubtless.then(|| hold.clone()),
            };
            return Some(Resolved {
                facts: resolved,
                permitted,
            });
        }
        let prepared = self.outlook.statement(name.as_bytes())?;
        let definition = prepared.definition()?;
        let meant = self.meaning(&prepared, 0, definition);
        let resolved = facts.resolved_by(meant.as_ref().unwrap_or(definition));
        let doubted = names::doubted(&prepared, prepared.suspect, &resolved);
        let resolved = doubted.unwrap_or(resolved);
        self.references.push(Reference::Statement(
            name.as_bytes().into(),
            prepared.clone(),
        ));
        Some(Resolved {
            facts: Box::new(resolved),
            permitted: None,
        })
    }

    pub(super) fn expect_name(
        &mut self,
        prepared: &Arc<Prepared>,
        index: usize,
        facts: &StatementFacts,
    ) {
        let mark = self.situation.mark;
        let definition = || {
            let reading = prepared.reading.clone();
            Arc::new(Prepared::new(reading, Vec::new(), Some(index), mark))
        };
        if let Some(name) = &facts.defines {
            if facts.redacted.starts_with("PREPARE") {
                self.outlook
                    .statement_set(name.as_bytes(), Some(definition()));
            } else if facts.redacted.starts_with("DECLARE") {
                let portal = Portal::opened(definition(), Clearance::Allowed, mark);
                self.outlook
                    .portal_set(name.as_bytes(), Some(Arc::new(portal)));
            }
        }
        match (facts.kind.as_str(), facts.refers_to.as_deref()) {
            ("DEALLOCATE", Some(name)) => self.outlook.statement_set(name.as_bytes(), None),
            ("DEALLOCATE", None) => self.outlook.statements_forget(),
            ("CLOSE", Some(name)) => self.outlook.portal_set(name.as_bytes(), None),
            ("CLOSE", None) => self.outlook.portals_forget(),
            ("DISCARD" | "opaque", _) => {
                self.outlook.statements_forget();
                self.outlook.portals_forget();
            }
            _ => {}
        }
    }
}
