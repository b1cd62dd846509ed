//! A batch that would wait for a reviewer only to fail: its client gets the server's own error at once.
//!
//! What the grammar refuses never goes upstream; the answer is made here, when the grammar is not older than the
//! server. A name that the catalog does not have is asked about by preparing the statement: that is analysis,
//! nothing is planned and nothing runs. A refusal is more guarded than a hold, so no race can make it wrong.

use abeyance_sql::{
    OpaqueReason, ReadOptions, StatementFacts,
    postgres::{GRAMMAR_MAJOR, syntax_error},
};
use abeyance_wire::postgres::{ErrorFields, SqlState};

use super::ask::asks_missing;
use crate::{
    error::SessionError,
    session::{
        Session,
        judge::{Finding, JudgedBatch, Refused, Step},
    },
};

impl Session {
    /// Refuses a held batch that can only fail.
    pub(super) async fn mistake(&mut self, judged: &mut JudgedBatch) -> Result<(), SessionError> {
        if let Some(fields) = self.unreadable(judged).await
            && let Finding::Held(held) = judged.finding()
        {
            let place = held.place;
            judged.guard(Finding::Refused(Refused { fields, place }));
            return Ok(());
        }
        for ask in asks_missing(judged, &self.ledger, &self.standing)? {
            let Some(fields) = self.analysed_by_target(&ask).await? else {
                continue;
            };
            if is_mistake(&fields) {
                let place = ask.place;
                judged.guard(Finding::Refused(Refused { fields, place }));
                return Ok(());
            }
        }
        Ok(())
    }

    /// The server's answer to a text that its grammar refuses.
    async fn unreadable(&self, judged: &JudgedBatch) -> Option<ErrorFields> {
        let major = self.standing.server_major?;
        if major > GRAMMAR_MAJOR {
            return None;
        }
        let text = judged.steps().iter().find_map(|step| match step {
            Step::Query { reading } => reading
                .facts
                .iter()
                .any(is_unreadable)
                .then_some(&reading.text),
            Step::Parse { prepared, .. } | Step::Bind { prepared, .. } => {
                let unreadable = prepared.facts().iter().any(is_unreadable);
                unreadable.then_some(&prepared.reading.text)
            }
            Step::Describe
            | Step::Execute { .. }
            | Step::CloseStatement { .. }
            | Step::ClosePortal { .. }
            | Step::Flush
            | Step::Sync => None,
        })?;
        let options = ReadOptions {
            bytes_max: self.gateway.limits.statement_bytes_max,
            standard_conforming_strings: self.standing.conforming_strings,
            sight: None,
        };
        let error = syntax_error(text, &options).await?;
        let fields = ErrorFields::error(SqlState::SYNTAX_ERROR, error.message);
        Some(match error.position {
            Some(position) => fields.position(position),
            None => fields,
        })
    }
}

fn is_unreadable(facts: &StatementFacts) -> bool {
    matches!(facts.opaque, Some(OpaqueReason::Syntax { .. }))
}

/// The statement itself is at fault: names, types, constants, features.
fn is_mistake(fields: &ErrorFields) -> bool {
    let state = fields.sqlstate();
    state.is_some_and(|state| {
        let state = state.as_str();
        ["42", "3F", "3D", "22", "0A"]
            .iter()
            .any(|class| state.starts_with(class))
    })
}
