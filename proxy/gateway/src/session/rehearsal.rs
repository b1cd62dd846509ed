//! A session without sockets: batches are judged as [`super::Session`] judges them, after others that are taken to
//! have succeeded. Nothing is run, nothing is asked of a target.
//!
//! One judging path (invariant 1): texts become batches, readings, steps and names by the same functions as in a
//! session, and the replies a server would give are made up and followed by the same tracker. What only a server
//! could tell (a setting that a function changed, a table an earlier statement made) is a doubt here, so a
//! rehearsal may be stricter than the proxy, and never laxer.

mod changes;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use abeyance_policy::{Decision, Match, RuleSet, Verdict, matches};
use abeyance_sql::{Analysis, ReadOptions, Sight, StatementClass, StatementFacts, analyse};
use abeyance_wire::postgres::{
    ErrorFields, FrontendMessage, Query, TransactionStatus, WireStr, backend,
};
use bytes::{Bytes, BytesMut};

use self::{changes::Changes, settings::Settings};
use super::{
    batch::{Batch, Collected, Collector},
    context,
    judge::{Finding, JudgedBatch, Situation, judge},
    ledger::{Clearance, Ledger},
    reading::{Reading, Stamp},
    standing::Standing,
    tracker::Tracker,
};
use crate::{Agent, Limits, Target, error::SessionError};

/// What judging is done with; all of it from one configuration.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    pub rules: &'a RuleSet,
    pub agent: &'a Agent,
    pub target: &'a Target,
    pub limits: &'a Limits,
}

/// A session that is only played through.
#[derive(Debug)]
pub struct Rehearsal<'a> {
    stage: Stage<'a>,
    /// As a new session of the target's login sees it; `None`: statements are judged by their text alone.
    sight: Option<Sight>,
    ledger: Ledger,
    standing: Standing,
    settings: Settings,
    changes: Changes,
}

/// What judging a batch came to.
#[derive(Debug)]
pub struct Rehearsed {
    pub decision: Decision,
    /// The rule that gave it; [`PROXY`] where no rule was asked.
    pub rule: String,
    pub reasons: Vec<String>,
    /// What a statement returns would have to be masked.
    pub mask: bool,
    /// Every statement that would run, names resolved, in order.
    pub statements: Vec<(StatementFacts, Option<Verdict>)>,
}

/// Stands for a rule where the proxy itself refuses: a malformed message, a bound.
pub const PROXY: &str = "proxy";

impl<'a> Rehearsal<'a> {
    #[must_use]
    pub fn new(stage: Stage<'a>, sight: Option<Sight>) -> Self {
        let settings = Settings::new(sight.as_ref());
        Self {
            stage,
            sight,
            ledger: Ledger::default(),
            standing: Standing::default(),
            settings,
            changes: Changes::default(),
        }
    }

    /// Judges a query string as if a client sent it now.
    #[must_use]
    pub fn judge(&self, sql: &[u8]) -> Rehearsed {
        match self.judged(sql) {
            Ok(judged) => rehearsed(&judged),
            Err(error) => refused_by_proxy(&error),
        }
    }

    /// Every rule and protection that counts for a statement, in the order of the configuration.
    #[must_use]
    pub fn matching(&self, facts: &StatementFacts) -> Vec<Match<'a>> {
        let Stage {
            rules,
            agent,
            target,
            ..
        } = self.stage;
        matches(rules, facts, context(agent, target))
    }

    /// Follows a query string as if all of it had run. What could not have run at all changes nothing.
    pub fn follow(&mut self, sql: &[u8]) {
        let Ok(judged) = self.judged(sql) else {
            return;
        };
        let facts: Vec<StatementFacts> = judged
            .shown()
            .iter()
            .filter_map(|shown| shown.facts().cloned())
            .collect();
        let unseen = judged.runs_unseen_code();
        let status = judged.status_after();
        let (_, steps, _) = judged.into_parts();
        self.reply(steps, &facts, status);
        if unseen {
            self.ledger.suspect_all();
        }
        for facts in &facts {
            let text = sql.get(facts.span.clone()).unwrap_or_default();
            self.settings.follow(facts, text);
            self.changes.follow(facts);
        }
        self.standing.conforming_strings = self.settings.conforming_strings();
        self.standing.utf8 = self.settings.is_utf8();
        self.standing.reading_doubt = self.settings.is_in_doubt();
        self.renew_prepared();
    }

    /// Reads what was prepared again: its names may stand for something else now.
    fn renew_prepared(&mut self) {
        let every = Stamp {
            view: u64::MAX,
            ..Stamp::default()
        };
        for (name, old) in self.ledger.outdated(every) {
            let reading = self.read_as(&old.text, old.stamp.conforming);
            self.ledger.statement_renew(&name, reading);
        }
    }

    /// Plays the server: every statement completes.
    fn reply(
        &mut self,
        steps: Vec<super::judge::Step>,
        facts: &[StatementFacts],
        status: TransactionStatus,
    ) {
        let mut tracker = Tracker::new(steps, Clearance::Allowed);
        tracker.begin(&mut self.ledger);
        let replies = facts
            .iter()
            .map(|facts| {
                let mut tag = changes::command_tag(facts).into_bytes();
                tag.push(0);
                (backend::tag::COMMAND_COMPLETE, tag)
            })
            .chain([(backend::tag::READY_FOR_QUERY, vec![status.as_byte()])]);
        for (tag, body) in replies {
            let followed = tracker.reply(tag, &body, &mut self.ledger, &mut self.standing);
            debug_assert!(followed.is_ok(), "{followed:?}");
        }
    }

    fn judged(&self, sql: &[u8]) -> Result<JudgedBatch, SessionError> {
        let batch = batch_of(sql, self.stage.limits)?;
        let mut messages = Vec::new();
        let mut readings = Vec::new();
        for frame in batch.frames() {
            let message = FrontendMessage::decode(frame)?;
            if let FrontendMessage::Query(query) = &message {
                readings.push(self.read(query.sql.as_bytes()));
            }
            messages.push(message);
        }
        let situation = Situation {
            rules: self.stage.rules,
            context: context(self.stage.agent, self.stage.target),
            blasts: &[],
            ledger: &self.ledger,
            limits: self.stage.limits,
            status: self.standing.status_known(),
            reading_doubt: self.standing.reading_doubt || !self.standing.utf8,
            mark: self.standing.context.mark(),
            generation: 0,
        };
        Ok(judge(batch, messages, readings, situation))
    }

    fn read(&self, text: &[u8]) -> Arc<Reading> {
        self.read_as(text, self.standing.conforming_strings)
    }

    /// Reads a text with what names stand for now, and strings as they were when it was sent.
    fn read_as(&self, text: &[u8], conforming: bool) -> Arc<Reading> {
        let options = ReadOptions {
            bytes_max: self.stage.limits.statement_bytes_max,
            standard_conforming_strings: conforming,
            sight: self.settings.sight(self.sight.as_ref()),
        };
        let mut analysis: Analysis = analyse(text, options);
        for facts in &mut analysis.statements {
            for doubt in self.changes.doubts(facts) {
                facts.doubts.insert(doubt);
                facts.classes.insert(StatementClass::Unvouched);
                facts.explainable = false;
            }
        }
        let context = context(self.stage.agent, self.stage.target);
        let stamp = Stamp {
            conforming,
            ..Stamp::default()
        };
        Arc::new(Reading::stamped(
            Bytes::copy_from_slice(text),
            analysis,
            stamp,
            self.stage.rules,
            context,
        ))
    }
}

/// The batch a client would send with a simple Query.
fn batch_of(sql: &[u8], limits: &Limits) -> Result<Batch, SessionError> {
    let mut wire = BytesMut::new();
    let sql = WireStr::new(Bytes::copy_from_slice(sql))?;
    FrontendMessage::Query(Query { sql }).encode(&mut wire)?;
    match Collector::default().next(&mut wire, limits)? {
        Some(Collected::Batch(batch)) => Ok(batch),
        Some(Collected::Terminate) | None => Err(SessionError::Internal("a batch that is none")),
    }
}

fn rehearsed(judged: &JudgedBatch) -> Rehearsed {
    let statements: Vec<(StatementFacts, Option<Verdict>)> = judged
        .shown()
        .iter()
        .filter_map(|shown| Some((shown.facts()?.clone(), shown.verdict().cloned())))
        .collect();
    let verdicts = || {
        statements
            .iter()
            .filter_map(|(_, verdict)| verdict.as_ref())
    };
    let mask = verdicts().any(|verdict| verdict.mask);
    let of_guard = |guard| verdicts().find(|verdict| verdict.decision.guard() == guard);
    let (decision, rule, reasons) = match judged.finding() {
        Finding::Allowed => {
            let rule = of_guard(0).map_or("default", |verdict| &verdict.rule);
            (Decision::Allow, rule.to_owned(), Vec::new())
        }
        Finding::Held(held) => {
            let route = held.route.clone();
            let decision = Decision::Hold { route };
            (decision, held.rule.clone(), held.reasons.clone())
        }
        Finding::Refused(refused) => match of_guard(Decision::Deny.guard()) {
            Some(verdict) => (
                Decision::Deny,
                verdict.rule.clone(),
                verdict.reasons.clone(),
            ),
            None => (Decision::Deny, PROXY.to_owned(), words(&refused.fields)),
        },
    };
    Rehearsed {
        decision,
        rule,
        reasons,
        mask,
        statements,
    }
}

fn words(fields: &ErrorFields) -> Vec<String> {
    let message = fields.message();
    let more = [b'D', b'H'].into_iter().filter_map(|code| fields.get(code));
    std::iter::once(message.into_owned())
        .chain(more.map(|text| text.to_string_lossy().into_owned()))
        .collect()
}

/// The session would end: nothing runs.
fn refused_by_proxy(error: &SessionError) -> Rehearsed {
    let reasons = match error.client_fields() {
        Some(fields) if !matches!(error, SessionError::Encode(_)) => words(&fields),
        _ => vec![
            "no message can carry it: a query string has no NUL byte and a bounded length"
                .to_owned(),
        ],
    };
    Rehearsed {
        decision: Decision::Deny,
        rule: PROXY.to_owned(),
        reasons,
        mask: false,
        statements: Vec::new(),
    }
}
