//! What a statement means when its turn comes: behind others of its batch that may change what names stand for, and
//! in every way the server may still understand a statement that was prepared before they did.
//!
//! Of several meanings the most guarded one is judged (invariant 1).

use std::sync::Arc;

use abeyance_policy::evaluate;
use abeyance_sql::{StatementClass, StatementFacts};

use super::walk::Walk;
use crate::session::{ledger::Prepared, stirs::Stirs};

impl Walk<'_> {
    /// Other facts than those that were read, when others are to be judged.
    pub(super) fn meaning(
        &mut self,
        prepared: &Prepared,
        index: usize,
        facts: &StatementFacts,
    ) -> Option<StatementFacts> {
        let at = prepared.index.unwrap_or(index);
        let mut meant = self.stirs.names().then(|| {
            let preceded = prepared.reading.preceded();
            preceded
                .and_then(|reading| reading.facts.get(at).cloned())
                .unwrap_or_else(|| {
                    self.wants_preceded = true;
                    anything(facts)
                })
        });
        if prepared.earlier.is_empty() {
            return meant;
        }
        let guard = |facts: &StatementFacts| {
            let verdict = evaluate(self.situation.rules, facts, self.context());
            verdict.decision.guard()
        };
        let mut most = guard(meant.as_ref().unwrap_or(facts));
        for earlier in prepared
            .earlier
            .iter()
            .filter_map(|reading| reading.facts.get(at))
        {
            let guard = guard(earlier);
            if guard > most {
                most = guard;
                meant = Some(earlier.clone());
            }
        }
        meant
    }

    /// Follows what a statement may change about the meaning of names. `unseen`: it runs code that analysis does
    /// not see.
    pub(super) fn stir(
        &mut self,
        prepared: &Prepared,
        index: usize,
        facts: &StatementFacts,
        unseen: bool,
    ) {
        let at = prepared.index.unwrap_or(index);
        let read = prepared.reading.stirs.get(at).copied();
        let named = facts.refers_to.is_some() || facts.defines.is_some();
        self.stirs |= read
            .filter(|_| !named)
            .unwrap_or_else(|| Stirs::by(facts, unseen));
        let Some(name) = facts.refers_to.as_deref() else {
            return;
        };
        let definition: Option<Arc<Prepared>> = match facts.kind.as_str() {
            "FETCH" | "MOVE" => {
                let portal = self.outlook.portal(name.as_bytes());
                portal.map(|portal| Arc::clone(&portal.prepared))
            }
            _ => self.outlook.statement(name.as_bytes()),
        };
        if let Some(facts) = definition.as_deref().and_then(Prepared::definition) {
            self.stirs |= Stirs::by(facts, !facts.is_certain());
        }
    }
}

/// Facts of a statement whose names may stand for anything.
fn anything(facts: &StatementFacts) -> StatementFacts {
    let mut facts = facts.clone();
    facts.doubts.insert(
        "a statement before it in the same batch may change what its names stand for".to_owned(),
    );
    facts.classes.insert(StatementClass::Unvouched);
    facts.explainable = false;
    facts
}
