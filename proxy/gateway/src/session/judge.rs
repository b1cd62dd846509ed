//! Judges a batch whole, before its first byte goes upstream (invariants 1 and 3).
//!
//! Pure: messages, readings and the session's names go in, a [`JudgedBatch`] comes out. Knows policy
//! and facts; no sockets, no approver. What the messages refer to is resolved here, and becomes
//! part of what an approval is bound to.

use std::sync::Arc;

use abeyance_api::{BindingDigest, HoldId, SessionId};
use abeyance_policy::{Context, Decision, RuleSet, Verdict, evaluate};
use abeyance_sql::{StatementClass, StatementFacts, TransactionEffect};
use abeyance_wire::postgres::{
    Bind, ErrorFields, FrontendMessage, SqlState, Subject, TransactionStatus,
};

use super::{
    batch::Batch,
    ledger::{Clearance, Ledger, Outlook, Portal, Prepared},
    reading::{Reading, depends_on_settings, may_change_reading},
    settings,
};
use crate::Limits;

/// What each message of a batch will do, in order; what the replies are checked against.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Query {
        reading: Arc<Reading>,
    },
    Parse {
        name: Box<[u8]>,
        prepared: Arc<Prepared>,
    },
    Bind {
        portal: Box<[u8]>,
        prepared: Arc<Prepared>,
    },
    Describe,
    Execute {
        prepared: Arc<Prepared>,
    },
    CloseStatement {
        name: Box<[u8]>,
    },
    ClosePortal {
        name: Box<[u8]>,
    },
    Flush,
    Sync,
}

/// What is to happen to a batch.
#[derive(Debug)]
pub(crate) enum Finding {
    Allowed,
    Held(Box<Held>),
    Refused(Refused),
}

/// A batch somebody has to decide on.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) rule: String,
    pub(crate) route: String,
    pub(crate) reasons: Vec<String>,
    /// Every statement that would run, references resolved.
    pub(crate) statements: Vec<StatementFacts>,
    /// The only statement that made the hold necessary, when there is only one.
    pub(crate) culprit: Option<Culprit>,
    pub(crate) status: TransactionStatus,
    /// What the batch itself gives with `SET abeyance.reason`.
    pub(crate) reason: Option<String>,
}

/// The statement a hold is about, for an estimate.
#[derive(Debug, Clone)]
pub(crate) struct Culprit {
    /// Its text; a part of a Query or a prepared statement.
    pub(crate) text: bytes::Bytes,
    pub(crate) explainable: bool,
    /// Parameter types and values when it came by Bind.
    pub(crate) bound: Option<(Vec<u32>, Bind)>,
    /// Something before it in the same batch may change what it means.
    pub(crate) preceded: bool,
}

/// A batch that does not run at all.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) fields: ErrorFields,
    /// The transaction state PostgreSQL would have been in when the statement failed.
    pub(crate) status: TransactionStatus,
}

/// A batch with its verdict. Only [`judge`] makes one, so the verdict is that of these bytes.
#[derive(Debug)]
pub(crate) struct JudgedBatch {
    batch: Batch,
    steps: Vec<Step>,
    finding: Finding,
    references: Vec<Reference>,
    /// After this batch, text may be read otherwise until the server has reported its settings.
    reading_doubt: bool,
}

/// Something outside the batch's own bytes that decides what they do.
#[derive(Debug)]
enum Reference {
    Statement(Box<[u8]>, Arc<Prepared>),
    Portal(Box<[u8]>, Arc<Portal>),
}

/// What a batch is judged against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) rules: &'a RuleSet,
    pub(crate) context: Context<'a>,
    pub(crate) ledger: &'a Ledger,
    pub(crate) limits: &'a Limits,
    pub(crate) status: TransactionStatus,
    /// The server may already read text otherwise than the session's settings say.
    pub(crate) reading_doubt: bool,
}

impl JudgedBatch {
    pub(crate) fn finding(&self) -> &Finding {
        &self.finding
    }

    pub(crate) fn reading_doubt(&self) -> bool {
        self.reading_doubt
    }

    /// The parts, for `cleared` and for refusing.
    pub(super) fn into_parts(self) -> (Batch, Vec<Step>, Finding) {
        (self.batch, self.steps, self.finding)
    }

    /// What an approval of this batch is bound to: who, where, the exact bytes, and everything
    /// outside them that the bytes refer to.
    pub(crate) fn binding(&self, session: SessionId, target: &str, agent: &str) -> BindingDigest {
        let mut parts: Vec<Vec<u8>> = vec![
            b"abeyance batch 1".to_vec(),
            session.0.as_bytes().to_vec(),
            target.as_bytes().to_vec(),
            agent.as_bytes().to_vec(),
        ];
        parts.extend(self.batch.frames().iter().map(|frame| frame.raw().to_vec()));
        for reference in &self.references {
            match reference {
                Reference::Statement(name, prepared) => {
                    parts.push(b"statement".to_vec());
                    parts.push(name.to_vec());
                    bind_prepared(&mut parts, prepared);
                }
                Reference::Portal(name, portal) => {
                    parts.push(b"portal".to_vec());
                    parts.push(name.to_vec());
                    parts.push(match &portal.clearance {
                        Clearance::Allowed => b"allowed".to_vec(),
                        Clearance::Permitted(hold) => hold.as_str().as_bytes().to_vec(),
                    });
                    bind_prepared(&mut parts, &portal.prepared);
                }
            }
        }
        BindingDigest::over(parts.iter().map(Vec::as_slice))
    }
}

fn bind_prepared(parts: &mut Vec<Vec<u8>>, prepared: &Prepared) {
    parts.push(prepared.text().to_vec());
    parts.push(
        prepared
            .param_oids
            .iter()
            .flat_map(|oid| oid.to_be_bytes())
            .collect(),
    );
}

/// Judges a batch. `messages` are its decoded frames, `readings` those of its Query and Parse texts in order.
pub(crate) fn judge(
    batch: Batch,
    messages: Vec<FrontendMessage>,
    readings: Vec<Arc<Reading>>,
    situation: Situation<'_>,
) -> JudgedBatch {
    let mut judge = Judge {
        situation,
        outlook: Outlook::new(situation.ledger),
        status: situation.status,
        doubt: situation.reading_doubt,
        steps: Vec::with_capacity(messages.len()),
        references: Vec::new(),
        statements: Vec::new(),
        weighed: Weighed::default(),
        bind: None,
        reason: None,
    };
    let mut readings = readings.into_iter();
    for message in messages {
        if let Err(fields) = judge.message(message, &mut readings) {
            let status = judge.status;
            judge.weighed.refuse(fields, status);
            break;
        }
    }
    judge.finish(batch)
}

#[derive(Debug)]
struct Judge<'a> {
    situation: Situation<'a>,
    outlook: Outlook<'a>,
    /// The transaction state before the next statement, if all before it succeeds.
    status: TransactionStatus,
    doubt: bool,
    steps: Vec<Step>,
    references: Vec<Reference>,
    statements: Vec<Shown>,
    weighed: Weighed,
    /// The Bind that is being judged.
    bind: Option<(Vec<u32>, Bind)>,
    reason: Option<String>,
}

/// What the verdicts so far come to.
#[derive(Debug, Default)]
struct Weighed {
    refused: Option<Refused>,
    held: Vec<(Verdict, Culprit, TransactionStatus)>,
    /// A statement was let through that may change what later ones mean.
    unsettled: bool,
}

impl Weighed {
    /// The first refusal stands.
    fn refuse(&mut self, fields: ErrorFields, status: TransactionStatus) {
        self.refused.get_or_insert(Refused { fields, status });
    }
}

impl Judge<'_> {
    fn message(
        &mut self,
        message: FrontendMessage,
        readings: &mut impl Iterator<Item = Arc<Reading>>,
    ) -> Result<(), ErrorFields> {
        let step = match message {
            FrontendMessage::Query(query) => {
                let reading = self.reading(query.sql.as_bytes(), readings.next());
                self.outlook.statement_set(b"", None);
                self.outlook.portal_set(b"", None);
                let prepared = Arc::new(Prepared {
                    param_oids: Vec::new(),
                    reading: reading.clone(),
                    index: None,
                });
                self.weigh(&prepared);
                Step::Query { reading }
            }
            FrontendMessage::Parse(parse) => {
                self.bounded(
                    "prepared statements",
                    self.outlook.statements_len(),
                    self.situation.limits.prepared_max,
                )?;
                let prepared = Arc::new(Prepared {
                    reading: self.reading(parse.sql.as_bytes(), readings.next()),
                    param_oids: parse.param_oids,
                    index: None,
                });
                let name: Box<[u8]> = parse.name.as_bytes().into();
                self.outlook.statement_set(&name, Some(prepared.clone()));
                Step::Parse { name, prepared }
            }
            FrontendMessage::Bind(bind) => self.bind(bind)?,
            FrontendMessage::Describe(Subject::Statement(_) | Subject::Portal(_)) => Step::Describe,
            FrontendMessage::Execute(execute) => {
                let name = execute.portal.as_bytes();
                let portal = self.outlook.portal(name).ok_or_else(|| {
                    ErrorFields::error(
                        SqlState::INVALID_CURSOR_NAME,
                        format!(
                            "portal \"{}\" does not exist",
                            execute.portal.to_string_lossy()
                        ),
                    )
                })?;
                let prepared = portal.prepared.clone();
                self.references.push(Reference::Portal(name.into(), portal));
                for (index, facts) in prepared.facts().iter().enumerate() {
                    self.expect(&prepared, index, facts);
                }
                Step::Execute { prepared }
            }
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
        };
        self.steps.push(step);
        Ok(())
    }

    /// Planning runs immutable functions, so Bind is where a statement begins to be executed.
    fn bind(&mut self, bind: Bind) -> Result<Step, ErrorFields> {
        self.bounded(
            "portals",
            self.outlook.portals_len(),
            self.situation.limits.portals_max,
        )?;
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
        self.bind = Some((prepared.param_oids.clone(), bind));
        self.weigh_all(&prepared);
        self.bind = None;
        let bound = Portal {
            prepared: prepared.clone(),
            clearance: Clearance::Allowed,
            holdable: false,
        };
        self.outlook.portal_set(&portal, Some(Arc::new(bound)));
        Ok(Step::Bind { portal, prepared })
    }

    fn bounded(&self, what: &str, have: usize, max: usize) -> Result<(), ErrorFields> {
        if have < max {
            return Ok(());
        }
        Err(ErrorFields::error(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("the session already has {max} {what}"),
        )
        .hint("Close those that are no longer used."))
    }

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

    /// Judges the statements of a Query, each in the state the one before it leaves.
    fn weigh(&mut self, prepared: &Arc<Prepared>) {
        for (index, facts) in prepared.facts().iter().enumerate() {
            self.weigh_one(prepared, index, facts);
            self.expect(prepared, index, facts);
        }
    }

    /// Judges what a Bind would begin.
    fn weigh_all(&mut self, prepared: &Arc<Prepared>) {
        for (index, facts) in prepared.facts().iter().enumerate() {
            self.weigh_one(prepared, index, facts);
        }
    }

    fn weigh_one(&mut self, prepared: &Arc<Prepared>, index: usize, facts: &StatementFacts) {
        // The server refuses everything but the end of a failed transaction.
        let refused_there = self.status == TransactionStatus::Failed
            && facts.transaction == TransactionEffect::None
            && facts.opaque.is_none();
        if refused_there || (prepared.index.is_none() && prepared.reading.plain) {
            self.weighed.unsettled |= !refused_there && unsettles(facts);
            self.statements.push(Shown::Of(prepared.clone(), index));
            return;
        }
        match self.resolve(facts) {
            None => {
                let context = self.situation.context;
                let known = prepared.reading.verdicts.get(index);
                let verdict = known
                    .filter(|_| prepared.index.is_none())
                    .cloned()
                    .unwrap_or_else(|| evaluate(self.situation.rules, facts, context));
                self.take(verdict, facts, prepared);
                self.statements.push(Shown::Of(prepared.clone(), index));
            }
            Some(Resolved { facts, permitted }) => {
                let verdict = match permitted {
                    Some(hold) => Verdict {
                        decision: Decision::Allow,
                        rule: format!("approved as {}", hold.as_str()),
                        reasons: Vec::new(),
                    },
                    None => evaluate(self.situation.rules, &facts, self.situation.context),
                };
                self.take(verdict, &facts, prepared);
                self.statements.push(Shown::Resolved(facts));
            }
        }
    }

    fn take(&mut self, verdict: Verdict, facts: &StatementFacts, prepared: &Prepared) {
        match &verdict.decision {
            Decision::Allow => self.weighed.unsettled |= unsettles(facts),
            Decision::Deny => {
                let fields = denied(facts, &verdict);
                self.weighed.refuse(fields, self.status);
            }
            Decision::Hold { .. } => {
                let culprit = Culprit {
                    text: prepared.reading.text_of(facts),
                    explainable: facts.explainable,
                    bound: self.bind.clone(),
                    preceded: self.weighed.unsettled,
                };
                self.weighed.held.push((verdict, culprit, self.status));
            }
        }
    }

    /// What `EXECUTE x`, `FETCH x` or `MOVE x` would run, when `x` is known.
    fn resolve(&mut self, facts: &StatementFacts) -> Option<Resolved> {
        let name = facts.refers_to.as_deref()?;
        if facts.class != StatementClass::Opaque && facts.opaque.is_none() {
            return None;
        }
        // FETCH and MOVE name a portal; everything else that refers to a name names a statement.
        if matches!(facts.kind.as_str(), "FETCH" | "MOVE") {
            let portal = self.outlook.portal(name.as_bytes())?;
            let definition = portal.prepared.definition()?;
            let resolved = Box::new(facts.resolved_by(definition));
            self.references
                .push(Reference::Portal(name.as_bytes().into(), portal.clone()));
            let permitted = match &portal.clearance {
                Clearance::Allowed => None,
                Clearance::Permitted(hold) => Some(hold.clone()),
            };
            return Some(Resolved {
                facts: resolved,
                permitted,
            });
        }
        let prepared = self.outlook.statement(name.as_bytes())?;
        let resolved = facts.resolved_by(prepared.definition()?);
        self.references.push(Reference::Statement(
            name.as_bytes().into(),
            prepared.clone(),
        ));
        Some(Resolved {
            facts: Box::new(resolved),
            permitted: None,
        })
    }

    /// Follows what a statement will do to names, transaction and lexer if it succeeds.
    fn expect(&mut self, prepared: &Arc<Prepared>, index: usize, facts: &StatementFacts) {
        self.doubt |= may_change_reading(facts);
        self.status = status_after(self.status, facts);
        if let Some(reason) = settings::given(facts, &prepared.reading) {
            self.reason = Some(reason);
        }
        let definition = || {
            Arc::new(Prepared {
                param_oids: Vec::new(),
                reading: prepared.reading.clone(),
                index: Some(index),
            })
        };
        if let Some(name) = &facts.defines {
            if facts.redacted.starts_with("PREPARE") {
                self.outlook
                    .statement_set(name.as_bytes(), Some(definition()));
            } else if facts.redacted.starts_with("DECLARE") {
                let portal = Portal {
                    prepared: definition(),
                    clearance: Clearance::Allowed,
                    holdable: false,
                };
                self.outlook
                    .portal_set(name.as_bytes(), Some(Arc::new(portal)));
            }
        }
        match (facts.kind.as_str(), facts.refers_to.as_deref()) {
            ("DEALLOCATE", Some(name)) => self.outlook.statement_set(name.as_bytes(), None),
            ("DEALLOCATE", None) => self.outlook.statements_forget(),
            ("CLOSE", Some(name)) => self.outlook.portal_set(name.as_bytes(), None),
            ("CLOSE", None) => self.outlook.portals_forget(),
            ("DISCARD", _) | ("DISCARD ALL", _) | ("opaque", _) => {
                self.outlook.statements_forget();
                self.outlook.portals_forget();
            }
            _ => {}
        }
    }

    fn finish(self, batch: Batch) -> JudgedBatch {
        let Weighed { refused, held, .. } = self.weighed;
        let finding = match (refused, held) {
            (Some(refused), _) => Finding::Refused(refused),
            (None, held) if held.is_empty() => Finding::Allowed,
            (None, held) => hold(held, self.statements, self.reason),
        };
        JudgedBatch {
            batch,
            steps: self.steps,
            finding,
            references: self.references,
            reading_doubt: self.doubt,
        }
    }
}

/// A reference with what it refers to.
struct Resolved {
    facts: Box<StatementFacts>,
    /// Its cursor was opened by an approval, which covers fetching from it.
    permitted: Option<HoldId>,
}

/// A statement that would run, for the reviewer should there be one.
#[derive(Debug)]
enum Shown {
    Of(Arc<Prepared>, usize),
    Resolved(Box<StatementFacts>),
}

impl Shown {
    fn into_facts(self) -> Option<StatementFacts> {
        match self {
            Self::Of(prepared, index) => prepared.facts().get(index).cloned(),
            Self::Resolved(facts) => Some(*facts),
        }
    }
}

/// Whether an estimate made before the statement ran may be wrong after it: anything but the bounds of a
/// transaction, reads and the reason for the hold.
fn unsettles(facts: &StatementFacts) -> bool {
    match facts.class {
        StatementClass::Read | StatementClass::Transaction => false,
        StatementClass::Session => !settings::is_reason(facts),
        _ => true,
    }
}

fn status_after(status: TransactionStatus, facts: &StatementFacts) -> TransactionStatus {
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
        TransactionEffect::Rollback if facts.redacted.starts_with("ROLLBACK TO") => InTransaction,
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

/// Joins the verdicts that ask for a hold. One hold asks one route.
fn hold(
    mut held: Vec<(Verdict, Culprit, TransactionStatus)>,
    statements: Vec<Shown>,
    reason: Option<String>,
) -> Finding {
    let mut routes: Vec<&str> = held
        .iter()
        .filter_map(|(verdict, ..)| match &verdict.decision {
            Decision::Hold { route } => Some(route.as_str()),
            Decision::Allow | Decision::Deny => None,
        })
        .collect();
    let status = held.first().map_or(TransactionStatus::Idle, |held| held.2);
    routes.sort_unstable();
    routes.dedup();
    let [route] = routes[..] else {
        let fields = ErrorFields::error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "the statements of this batch need the approval of different reviewers",
        )
        .detail(format!("Routes: {}.", routes.join(", ")))
        .hint("Send the statements one by one.");
        return Finding::Refused(Refused { fields, status });
    };
    let route = route.to_owned();
    let mut reasons: Vec<String> = Vec::new();
    for (verdict, ..) in &held {
        for reason in &verdict.reasons {
            if !reasons.contains(reason) {
                reasons.push(reason.clone());
            }
        }
    }
    let single = held.len() == 1;
    let (verdict, culprit, status) = held.swap_remove(0);
    Finding::Held(Box::new(Held {
        rule: verdict.rule,
        route,
        reasons,
        statements: statements
            .into_iter()
            .filter_map(Shown::into_facts)
            .collect(),
        culprit: single.then_some(culprit),
        status,
        reason,
    }))
}

/// The answer to a statement that a rule denies.
fn denied(facts: &StatementFacts, verdict: &Verdict) -> ErrorFields {
    let why = if verdict.reasons.is_empty() {
        String::new()
    } else {
        format!(" Reason: {}.", verdict.reasons.join("; "))
    };
    ErrorFields::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("{} denied by rule \"{}\"", facts.kind, verdict.rule),
    )
    .detail(format!("Rule: {}.{why}", verdict.rule))
    .hint("Nothing ran, and nobody was asked: the rule denies it outright. Ask the owner of the proxy's policy.")
}

#[cfg(test)]
mod tests;
