//! The messages of the extended protocol.

use std::sync::Arc;

use abeyance_sql::StatementFacts;
use abeyance_wire::postgres::{Bind, ErrorFields, Execute, Parse, SqlState};

use super::{
    super::{binding::Reference, finding::Step},
    Walk,
};
use crate::session::{
    bracket::lifts,
    ledger::{Bound, Clearance, Portal, Prepared},
    reading::Reading,
};

impl Walk<'_> {
    pub(super) fn parse(
        &mut self,
        parse: Parse,
        reading: Option<Arc<Reading>>,
    ) -> Result<Step, ErrorFields> {
        let max = self.situation.limits.prepared_max;
        bounded("prepared statements", self.outlook.statements_len(), max)?;
        let reading = self.reading(parse.sql.as_bytes(), reading);
        let mark = self.situation.mark;
        let prepared = Arc::new(Prepared::new(reading, parse.param_oids, None, mark));
        let name: Box<[u8]> = parse.name.as_bytes().into();
        self.outlook.statement_set(&name, Some(prepared.clone()));
        Ok(Step::Parse { name, prepared })
    }

    pub(super) fn execute(&mut self, execute: &Execute) -> Result<Step, ErrorFields> {
        let name = execute.portal.as_bytes();
        let portal = self.outlook.portal(name).ok_or_else(|| {
            let name = execute.portal.to_string_lossy();
            let message = format!("portal \"{name}\" does not exist");
            ErrorFields::error(SqlState::INVALID_CURSOR_NAME, message)
        })?;
        let prepared = portal.prepared.clone();
        let suspect = portal.suspect;
        self.references
            .push(Reference::Portal(name.into(), portal.clone()));
        self.continues |= self.outlook.is_portal_earlier(name);
        self.bind.clone_from(&portal.bound);
        for (index, facts) in prepared.facts().iter().enumerate() {
            if suspect || self.runs_anew(name, &portal, facts) {
                self.weigh(&prepared, index, facts, suspect);
            }
            self.expect(&prepared, index, facts);
        }
        self.bind = None;
        Ok(Step::Execute {
            portal: name.into(),
            prepared,
        })
    }

    /// Whether what let a portal be bound in an earlier batch says nothing of executing it now. A write does its work
    /// only now, without the cap and the state it was judged with; an approved read goes on, unless the session was
    /// told something since.
    fn runs_anew(&self, name: &[u8], portal: &Portal, facts: &StatementFacts) -> bool {
        if !self.outlook.is_portal_earlier(name) {
            return false;
        }
        lifts(facts) && !portal.begun || !self.still_covers(portal)
    }

    /// An approval to open a portal covers what is fetched while the session is told nothing else; neither it nor a rule
    /// does when there are others.
    pub(super) fn still_covers(&self, portal: &Portal) -> bool {
        let told = portal.mark != self.situation.mark || self.tells;
        portal.prepared.reading.stamp.generation == self.situation.generation
            && (portal.clearance == Clearance::Allowed || !told)
    }

    /// Planning runs immutable functions, so Bind is where a statement begins to be executed.
    pub(super) fn bind(&mut self, bind: Bind) -> Result<Step, ErrorFields> {
        let max = self.situation.limits.portals_max;
        bounded("portals", self.outlook.portals_len(), max)?;
        let name = bind.statement.as_bytes();
        let prepared = self.outlook.statement(name).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!(
                    "prepared statement \"{}\" does not exist",
                    bind.statement.to_string_lossy()
                )
            };
            ErrorFields::error(SqlState::INVALID_STATEMENT_NAME, message)
        })?;
        self.references
            .push(Reference::Statement(name.into(), prepared.clone()));
        let portal: Box<[u8]> = bind.portal.as_bytes().into();
        let bound = Arc::new(Bound {
            param_oids: prepared.param_oids.clone(),
            bind,
        });
        self.bind = Some(Arc::clone(&bound));
        for (index, facts) in prepared.facts().iter().enumerate() {
            self.weigh(&prepared, index, facts, prepared.suspect);
            // Planning it may already run code of it.
            self.stir(&prepared, index, facts, !facts.is_certain());
        }
        self.bind = None;
        let opened = Portal::opened(prepared.clone(), Clearance::Allowed, self.situation.mark);
        self.outlook.portal_set(&portal, Some(Arc::new(opened)));
        Ok(Step::Bind {
            portal,
            prepared,
            bound,
        })
    }
}

fn bounded(what: &str, have: usize, max: usize) -> Result<(), ErrorFields> {
    if have < max {
        return Ok(());
    }
    Err(ErrorFields::error(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("the session already has {max} {what}"),
    )
    .hint("Close those that are no longer used."))
}
