//! Walks a batch's messages in order, assuming that each succeeds: if one fails, the rest does not run.
//!
//! Follows names, transaction and lexer through the batch, so that each statement is judged for what it would
//! be when its turn comes.

use std::sync::Arc;

use abeyance_policy::{Context, Decision, Verdict, evaluate};
use abeyance_sql::{StatementFacts, TransactionEffect};
use abeyance_wire::postgres::{
    ErrorFields, FrontendMessage, Query, SqlState, Subject, TransactionStatus,
};

use super::{
    JudgedBatch, Situation,
    binding::Reference,
    finding::{Place, Step},
    names,
    weigh::{Given, Shown, Weighed, What},
};
use crate::session::{
    batch::Batch,
    ledger::{Bound, Outlook, Prepared},
    reading::{Reading, depends_on_settings, may_change_reading},
    settings,
    stirs::Stirs,
    ticket::may_tell,
};

mod extended;
mod named;

use named::Resolved;

#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) situation: Situation<'a>,
    pub(super) outlook: Outlook<'a>,
    /// The transaction state before the next statement, if all before it succeeds.
    status: TransactionStatus,
    /// The message that is looked at belongs to the extended protocol.
    extended: bool,
    doubt: bool,
    /// Something so far runs code that analysis does not see.
    unseen: bool,
    /// What everything so far may change about the meaning of names.
    pub(super) stirs: Stirs,
    /// A text is needed as it reads behind something that changes what names stand for.
    pub(super) wants_preceded: bool,
    steps: Vec<Step>,
    references: Vec<Reference>,
    weighed: Weighed,
    /// It executes a portal that was bound before it.
    continues: bool,
    /// Something so far tells the session something, or takes back what it was told.
    tells: bool,
    /// The Bind that is being judged.
    bind: Option<Arc<Bound>>,
    reason: Option<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(situation: Situation<'a>) -> Self {
        Self {
            situation,
            outlook: Outlook::new(situation.ledger),
            status: situation.status,
            extended: false,
            doubt: situation.reading_doubt,
            unseen: false,
            stirs: Stirs::default(),
            wants_preceded: false,
            steps: Vec::new(),
            references: Vec::new(),
            weighed: Weighed::default(),
            continues: false,
            tells: false,
            bind: None,
            reason: None,
        }
    }

    /// Takes the next message; false when what follows does not matter any more.
    pub(super) fn message(
        &mut self,
        message: FrontendMessage,
        readings: &mut impl Iterator<Item = Arc<Reading>>,
    ) -> bool {
        self.extended = !matches!(
            message,
            FrontendMessage::Query(_) | FrontendMessage::FunctionCall(_)
        );
        match self.step(message, readings) {
            Ok(step) => {
                self.steps.push(step);
                true
            }
            Err(fields) => {
                self.weighed.refuse(fields, self.place());
                false
            }
        }
    }

    /// What the next statement is judged in.
    pub(super) fn context(&self) -> Context<'a> {
        let blast = self.situation.blasts.get(self.weighed.count());
        Context {
            blast: blast.and_then(Option::as_ref),
            ..self.situation.context
        }
    }

    fn place(&self) -> Place {
        Place {
            status: self.status,
            extended: self.extended,
        }
    }

    pub(super) fn finish(self, batch: Batch) -> JudgedBatch {
        let (finding, shown) = self.weighed.finding(self.reason.clone());
        JudgedBatch {
            reason: self.reason,
            batch,
            steps: self.steps,
            finding,
            shown,
            status_after: self.status,
            references: self.references,
            continues: self.continues,
            reading_doubt: self.doubt,
            unseen: self.unseen,
            stirs: self.stirs,
            wants_preceded: self.wants_preceded,
            blast: None,
        }
    }

    fn step(
        &mut self,
        message: FrontendMessage,
        readings: &mut impl Iterator<Item = Arc<Reading>>,
    ) -> Result<Step, ErrorFields> {
        names::sound(&message)?;
        Ok(match message {
            FrontendMessage::Query(query) => self.query(&query, readings.next()),
            FrontendMessage::Parse(parse) => self.parse(parse, readings.next())?,
            FrontendMessage::Bind(bind) => self.bind(bind)?,
            FrontendMessage::Describe(Subject::Statement(_) | Subject::Portal(_)) => Step::Describe,
            FrontendMessage::Execute(execute) => self.execute(&execute)?,
            FrontendMessage::Close(Subject::Statement(name)) => {
                self.outlook.statement_set(name.as_bytes(), None);
                Step::CloseStatement {
                    name: name.as_bytes().into(),
                }
            }
            FrontendMessage::Close(Subject::Portal(name)) => {
                self.outlook.portal_set(name.as_bytes(), None);
                Step::ClosePortal {
                    name: name.as_bytes().into(),
                }
            }
            FrontendMessage::Flush => Step::Flush,
            FrontendMessage::Sync => Step::Sync,
            FrontendMessage::FunctionCall(_) => {
                return Err(ErrorFields::error(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "function calls by object id are not carried by the proxy",
                )
                .hint("Call the function with SELECT instead."));
            }
            FrontendMessage::CopyData(_)
            | FrontendMessage::CopyDone
            | FrontendMessage::CopyFail { .. }
            | FrontendMessage::Terminate
            | FrontendMessage::Authentication(_) => {
                return Err(ErrorFields::error(
                    SqlState::PROTOCOL_VIOLATION,
                    "unexpected message inside a batch",
                ));
            }
        })
    }

    fn query(&mut self, query: &Query, reading: Option<Arc<Reading>>) -> Step {
        let reading = self.reading(query.sql.as_bytes(), reading);
        self.outlook.statement_set(b"", None);
        self.outlook.portal_set(b"", None);
        let mark = self.situation.mark;
        let prepared = Arc::new(Prepared::new(reading.clone(), Vec::new(), None, mark));
        // Each statement in the state the one before it leaves.
        for (index, facts) in prepared.facts().iter().enumerate() {
            self.weigh(&prepared, index, facts, false);
            self.expect(&prepared, index, facts);
        }
        Step::Query { reading }
    }

    /// Not an execution: its text is read and remembered.
    /// The reading of a text, unless the server may read it otherwise.
    fn reading(&self, text: &[u8], reading: Option<Arc<Reading>>) -> Arc<Reading> {
        match reading {
            Some(reading) if !(self.doubt && depends_on_settings(text)) => reading,
            _ => Arc::new(Reading::opaque(
                text,
                self.situation.rules,
                self.situation.context,
            )),
        }
    }

    /// Judges one statement in the state the batch would have reached. `suspect`: another may go by its name.
    fn weigh(
        &mut self,
        prepared: &Arc<Prepared>,
        index: usize,
        facts: &StatementFacts,
        suspect: bool,
    ) {
        if let Err(fields) = names::sound_facts(facts) {
            self.weighed.refuse(fields, self.place());
        }
        let meant = self.meaning(prepared, index, facts);
        let facts = meant.as_ref().unwrap_or(facts);
        // The server refuses everything but the end of a failed transaction.
        let refused_there = self.status == TransactionStatus::Failed
            && facts.transaction == TransactionEffect::None
            && facts.opaque.is_none();
        // A portal keeps the verdict of the rules it was opened under; what it runs now is judged by those of now.
        let stale = prepared.reading.stamp.generation != self.situation.generation;
        let doubted = names::doubted(prepared, suspect, facts)
            .or_else(|| meant.clone())
            .or_else(|| stale.then(|| facts.clone()));
        let plain = prepared.index.is_none() && prepared.reading.plain && doubted.is_none();
        if refused_there || plain {
            let verdict = if refused_there {
                Given::Nowhere
            } else {
                Given::Read
            };
            let what = What::Of(prepared.clone(), index);
            let bound = self.bind.clone();
            self.weighed.show(Shown {
                what,
                verdict,
                bound,
            });
            return;
        }
        let (what, verdict) = self.verdict(prepared, index, facts, doubted);
        let shown = Given::Here(Box::new(verdict.clone()));
        let place = self.place();
        match &what {
            What::Of(..) => self.weighed.take(verdict, facts, place),
            What::Resolved(facts) => self.weighed.take(verdict, facts, place),
        }
        self.weighed.show(Shown {
            what,
            verdict: shown,
            bound: self.bind.clone(),
        });
    }

    /// The verdict of a statement that depends on the session: on what names stand for.
    fn verdict(
        &mut self,
        prepared: &Arc<Prepared>,
        index: usize,
        facts: &StatementFacts,
        doubted: Option<StatementFacts>,
    ) -> (What, Verdict) {
        let (rules, context) = (self.situation.rules, self.context());
        match (self.resolve(facts), doubted) {
            (Some(Resolved { facts, permitted }), _) => {
                let verdict = match permitted {
                    Some(hold) => Verdict::allowed(format!("approved as {}", hold.as_str())),
                    None => evaluate(rules, &facts, context),
                };
                (What::Resolved(facts), verdict)
            }
            (None, Some(facts)) => {
                let verdict = evaluate(rules, &facts, context);
                (What::Resolved(Box::new(facts)), verdict)
            }
            (None, None) => {
                // What is known of the moment and of the blast radius only ever loosens a verdict.
                let vague = context.blast.is_some() || rules.needs_moment();
                let settled = |verdict: &&Verdict| !vague || verdict.decision == Decision::Allow;
                let known = prepared.reading.verdicts.get(index).filter(settled);
                let verdict = known
                    .filter(|_| prepared.index.is_none())
                    .cloned()
                    .unwrap_or_else(|| evaluate(rules, facts, context));
                (What::Of(prepared.clone(), index), verdict)
            }
        }
    }

    /// Follows what a statement will do to names, transaction and lexer if it succeeds.
    fn expect(&mut self, prepared: &Arc<Prepared>, index: usize, facts: &StatementFacts) {
        self.doubt |= may_change_reading(facts);
        self.status = status_after(self.status, facts);
        if settings::on_hold_of(facts, &prepared.reading) == Some(None) {
            self.weighed.refuse(no_such_manner(), self.place());
        }
        if let Some(reason) = settings::given(facts, &prepared.reading) {
            self.reason = Some(reason);
        }
        let unseen = names::runs_unseen_code(facts, &self.outlook);
        self.tells |= unseen || may_tell(facts);
        self.stir(prepared, index, facts, unseen);
        if unseen {
            self.unseen = true;
            self.outlook.suspect_all();
        }
        self.expect_name(prepared, index, facts);
    }
}

fn no_such_manner() -> ErrorFields {
    ErrorFields::error(
        SqlState::INVALID_PARAMETER_VALUE,
        "abeyance.on_hold is neither \"wait\" nor \"ticket\"",
    )
    .hint("SET abeyance.on_hold = 'ticket' makes holds answer at once.")
}

pub(crate) fn status_after(status: TransactionStatus, facts: &StatementFacts) -> TransactionStatus {
    use TransactionStatus::{Failed, Idle, InTransaction};
    match facts.transaction {
        TransactionEffect::None => status,
        TransactionEffect::Begin => {
            if status == Failed {
                Failed
            } else {
                InTransaction
            }
        }
        _ if facts.redacted.to_ascii_uppercase().ends_with("AND CHAIN") => InTransaction,
        // A failed transaction may be mended by ROLLBACK TO: judge what follows.
        TransactionEffect::Savepoint => {
            if status == Failed {
                InTransaction
            } else {
                status
            }
        }
        TransactionEffect::Commit | TransactionEffect::Rollback | TransactionEffect::TwoPhase => {
            Idle
        }
    }
}
