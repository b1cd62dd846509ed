//! Which statements of a batch the target is asked about, and in what words.
//!
//! Each is asked about as the session stands before the batch. What a statement before it in the batch would change
//! cannot be asked about: that is an obstacle, never a guess.

use std::sync::Arc;

use abeyance_sql::{
    CatalogFacts, SessionEffect, StatementClass, StatementFacts, TransactionEffect,
    postgres::inner_query,
};
use abeyance_wire::postgres::{Bind, FrontendMessage, TransactionStatus};
use bytes::Bytes;

use crate::{
    error::SessionError,
    session::{
        judge::{JudgedBatch, Place, Step, status_after},
        ledger::{Ledger, Prepared},
        reading::Reading,
        standing::{Standing, Unsynced},
    },
};

/// A statement the target is to be asked about.
#[derive(Debug)]
pub(super) struct Ask {
    /// What it would do by analysis, names resolved.
    pub(super) facts: StatementFacts,
    pub(super) reading: Arc<Reading>,
    /// Fingerprint of the prepared statement it refers to.
    pub(super) definition: Option<String>,
    pub(super) words: Words,
    pub(super) place: Place,
    /// Why it cannot be asked about now.
    pub(super) obstacle: Option<&'static str>,
}

/// How it is asked about.
#[derive(Debug)]
pub(super) enum Words {
    /// By its text, which has no parameters.
    Plain {
        sql: Bytes,
        /// Characters of the client's text before it.
        offset: usize,
    },
    /// Prepared, and planned for whatever values it may get.
    Prepared {
        sql: Bytes,
        param_oids: Vec<u32>,
        bind: Box<Bind>,
    },
}

/// Everything in a batch that has a plan and can be explained without running code that is not vouched for.
pub(super) fn asks(
    judged: &JudgedBatch,
    ledger: &Ledger,
    standing: &Standing,
) -> Result<Vec<Ask>, SessionError> {
    let mut all = everything(judged, ledger, standing)?;
    // The policy let through what is not vouched for, by that name.
    all.retain(|ask| ask.facts.is_certain());
    Ok(all)
}

/// Everything in a batch that names what the catalog does not have, or calls what is not known: perhaps because there
/// is no such thing. Only what can be asked about now.
pub(super) fn asks_missing(
    judged: &JudgedBatch,
    ledger: &Ledger,
    standing: &Standing,
) -> Result<Vec<Ask>, SessionError> {
    let mut all = everything(judged, ledger, standing)?;
    all.retain(|ask| {
        let catalog = ask.facts.catalog.as_ref();
        let unknown =
            |catalog: &CatalogFacts| !catalog.missing.is_empty() || !ask.facts.is_certain();
        ask.obstacle.is_none() && catalog.is_some_and(unknown)
    });
    Ok(all)
}

fn everything(
    judged: &JudgedBatch,
    ledger: &Ledger,
    standing: &Standing,
) -> Result<Vec<Ask>, SessionError> {
    let mut asking = Asking {
        ledger,
        conforming: standing.conforming_strings,
        started: standing.status,
        // Naming statements ends no transaction, whatever else may have.
        status: match standing.unsynced {
            Unsynced::Work => standing.status_known(),
            Unsynced::Nothing | Unsynced::Names => standing.status,
        },
        obstacle: match (standing.unsynced, standing.status) {
            (Unsynced::Work, _) => Some("messages before it wait for Sync"),
            (_, TransactionStatus::Failed) => Some("the transaction before it has failed"),
            _ => None,
        },
        defined: false,
        asks: Vec::new(),
    };
    for (step, frame) in judged.steps().iter().zip(judged.frames()) {
        match step {
            Step::Query { reading } => {
                for facts in &reading.facts {
                    asking.consider(reading, facts, None);
                    asking.follow(facts);
                }
            }
            Step::Bind { prepared, .. } => {
                let FrontendMessage::Bind(bind) = FrontendMessage::decode(frame)? else {
                    return Err(SessionError::Internal("a Bind that is none"));
                };
                for facts in prepared.facts() {
                    asking.consider(&prepared.reading, facts, Some((prepared, &bind)));
                }
            }
            Step::Execute { prepared, .. } => {
                for facts in prepared.facts() {
                    asking.follow(facts);
                }
            }
            Step::Parse { name, .. } => asking.defined |= !name.is_empty(),
            Step::Describe
            | Step::CloseStatement { .. }
            | Step::ClosePortal { .. }
            | Step::Flush
            | Step::Sync => {}
        }
    }
    Ok(asking.asks)
}

struct Asking<'a> {
    ledger: &'a Ledger,
    conforming: bool,
    /// The transaction state before the batch.
    started: TransactionStatus,
    /// The same before the next statement, if all before it succeed.
    status: TransactionStatus,
    obstacle: Option<&'static str>,
    /// The batch gave a name to a statement.
    defined: bool,
    asks: Vec<Ask>,
}

impl Asking<'_> {
    fn consider(
        &mut self,
        reading: &Arc<Reading>,
        facts: &StatementFacts,
        bound: Option<(&Arc<Prepared>, &Bind)>,
    ) {
        // Of a failed transaction the server runs nothing but its end.
        let refused = self.status == TransactionStatus::Failed
            && facts.transaction == TransactionEffect::None;
        if refused || !has_plan(facts) {
            return;
        }
        let mut obstacle = self.obstacle;
        if facts.refers_to.is_some() && self.defined {
            obstacle = obstacle.or(Some("the name it refers to is given in the same batch"));
        }
        let definition = self.definition(facts);
        let fingerprint = definition.map(|definition| definition.fingerprint.clone());
        let facts = definition.map_or_else(|| facts.clone(), |known| facts.resolved_by(known));
        let text = reading.text_of(&facts);
        let words = match bound {
            Some((prepared, bind)) if !is_utility(&facts) && parameters(prepared, bind) > 0 => {
                Words::Prepared {
                    sql: reading.text.clone(),
                    param_oids: prepared.param_oids.clone(),
                    bind: Box::new(bind.clone()),
                }
            }
            _ => plain(reading, &facts, &text, self.conforming),
        };
        self.asks.push(Ask {
            facts,
            reading: reading.clone(),
            definition: fingerprint,
            words,
            place: Place {
                status: self.status,
                extended: bound.is_some(),
            },
            obstacle,
        });
    }

    /// What `EXECUTE x` stands for.
    fn definition(&self, facts: &StatementFacts) -> Option<&StatementFacts> {
        let name = facts.refers_to.as_deref()?;
        self.ledger.statement(name.as_bytes())?.definition()
    }

    fn follow(&mut self, facts: &StatementFacts) {
        self.status = status_after(self.status, facts);
        self.defined |= facts.defines.is_some() || facts.kind == "DEALLOCATE";
        if self.obstacle.is_none() {
            self.obstacle = changes_meaning(facts, self.started);
        }
    }
}

/// Whether what comes after the statement may mean something else than before it.
fn changes_meaning(facts: &StatementFacts, started: TransactionStatus) -> Option<&'static str> {
    let stirs = |class: &StatementClass| match class {
        StatementClass::Ddl
        | StatementClass::SessionRisk
        | StatementClass::Utility
        | StatementClass::Unvouched
        | StatementClass::Opaque => true,
        StatementClass::Read
        | StatementClass::Write
        | StatementClass::Transaction
        | StatementClass::Session
        | StatementClass::Copy => false,
    };
    if facts.classes.iter().any(stirs) {
        return Some("a statement before it in the batch may change what it means");
    }
    if started == TransactionStatus::Idle {
        return None;
    }
    let ends = match facts.transaction {
        TransactionEffect::Commit | TransactionEffect::Rollback | TransactionEffect::TwoPhase => {
            true
        }
        TransactionEffect::Savepoint => facts.redacted.starts_with("ROLLBACK"),
        TransactionEffect::None | TransactionEffect::Begin => false,
    };
    if ends {
        return Some("the open transaction ends before it in the batch");
    }
    let characteristics = match &facts.session {
        SessionEffect::Set { parameter, .. } => parameter.starts_with("transaction"),
        _ => facts.kind.starts_with("SET TRANSACTION"),
    };
    characteristics.then_some("the transaction's characteristics are set before it in the batch")
}

/// Whether the target has a plan of it that can be asked for.
pub(in crate::session) fn has_plan(facts: &StatementFacts) -> bool {
    if facts.defines.is_some() && facts.redacted.starts_with("PREPARE") {
        return false;
    }
    match facts.kind.as_str() {
        "SELECT"
        | "INSERT"
        | "UPDATE"
        | "DELETE"
        | "MERGE"
        | "EXECUTE"
        | "SELECT INTO"
        | "CREATE TABLE AS"
        | "CREATE MATERIALIZED VIEW" => true,
        "COPY" => facts.redacted.starts_with("COPY ("),
        _ => false,
    }
}

/// Something around a query, which EXPLAIN takes as a whole.
fn is_utility(facts: &StatementFacts) -> bool {
    facts.defines.is_some()
        || facts.refers_to.is_some()
        || !matches!(
            facts.kind.as_str(),
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE"
        )
        || facts.redacted.starts_with("EXPLAIN")
}

/// The words for a statement without parameters. COPY and EXPLAIN cannot be explained, what they carry can.
fn plain(reading: &Reading, facts: &StatementFacts, text: &Bytes, conforming: bool) -> Words {
    let carries = facts.kind == "COPY" || facts.redacted.starts_with("EXPLAIN");
    let inner = std::str::from_utf8(text)
        .ok()
        .filter(|_| carries)
        .and_then(|text| inner_query(text, conforming));
    let start = facts.span.start + inner.as_ref().map_or(0, |inner| inner.start);
    let before = reading.text.get(..start).unwrap_or_default();
    Words::Plain {
        offset: characters(before),
        sql: inner.map_or(text.clone(), |inner| text.slice(inner)),
    }
}

/// How many parameters a statement has: as many as were declared, or given.
fn parameters(prepared: &Prepared, bind: &Bind) -> usize {
    prepared.param_oids.len().max(bind.params.len())
}

/// As positions in errors are counted.
fn characters(utf8: &[u8]) -> usize {
    utf8.iter().filter(|byte| (**byte as i8) >= -0x40).count()
}
