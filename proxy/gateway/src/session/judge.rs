//! Judges a batch whole, before its first byte goes upstream (invariants 1 and 3).
//!
//! Pure: messages, readings and the session's names go in, a [`JudgedBatch`] comes out. Knows policy
//! and facts; no sockets, no approver. What the messages refer to is resolved here, and becomes
//! part of what an approval is bound to.

mod binding;
mod finding;
mod meaning;
mod names;
mod walk;
mod weigh;

use std::sync::Arc;

use abeyance_api::Blast;
use abeyance_policy::{Context, RuleSet};
use abeyance_wire::postgres::{Frame, FrontendMessage, TransactionStatus};

use self::{binding::Reference, walk::Walk};
pub(crate) use self::{
    finding::{Finding, Held, Place, Refused, Step},
    walk::status_after,
    weigh::Shown,
};
use super::{batch::Batch, ledger::Ledger, reading::Reading, stirs::Stirs, ticket::Mark};
use crate::Limits;

/// A batch with its verdict. Only [`judge`] makes one, so the verdict is that of these bytes.
#[derive(Debug)]
pub(crate) struct JudgedBatch {
    batch: Batch,
    steps: Vec<Step>,
    finding: Finding,
    /// Every statement that would run, in order.
    shown: Vec<Shown>,
    /// The transaction state after it, when all of it succeeds.
    status_after: TransactionStatus,
    references: Vec<Reference>,
    /// It executes a portal that was bound before it.
    continues: bool,
    /// What it gives itself with `SET abeyance.reason`.
    reason: Option<String>,
    /// After this batch, text may be read otherwise until the server has reported its settings.
    reading_doubt: bool,
    /// It runs code that analysis does not see.
    unseen: bool,
    /// What it may change about the meaning of names.
    stirs: Stirs,
    /// See [`Self::wants_preceded`].
    wants_preceded: bool,
    /// What it would do, when its verdict rests on that.
    blast: Option<Box<Blast>>,
}

/// What a batch is judged against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) rules: &'a RuleSet,
    pub(crate) context: Context<'a>,
    /// What each statement would do, in order; missing or `None` where that is not known.
    pub(crate) blasts: &'a [Option<abeyance_policy::Blast>],
    pub(crate) ledger: &'a Ledger,
    pub(crate) limits: &'a Limits,
    pub(crate) status: TransactionStatus,
    /// The server may already read text otherwise than the session's settings say.
    pub(crate) reading_doubt: bool,
    /// What the session has been told.
    pub(crate) mark: Mark,
    /// Of the configuration that the rules are of.
    pub(crate) generation: u32,
}

impl JudgedBatch {
    /// What the batch would do, as far as judging had to find out.
    pub(crate) fn blast(&self) -> Option<&Blast> {
        self.blast.as_deref()
    }

    /// Keeps what judging found out, so that a reviewer sees what the verdict rests on.
    pub(crate) fn with_blast(self, blast: Blast) -> Self {
        Self {
            blast: Some(Box::new(blast)),
            ..self
        }
    }

    pub(crate) fn finding(&self) -> &Finding {
        &self.finding
    }

    /// Makes the finding more guarded; nothing ever makes it less so.
    pub(super) fn guard(&mut self, finding: Finding) {
        if finding.guard() > self.finding.guard() {
            self.finding = finding;
        }
    }

    /// Makes it wait for what ran before it in its transaction, too. What is refused stays refused; what waits by
    /// itself asks one route.
    pub(super) fn hold_at_commit(&mut self, mut held: Held) {
        match &mut self.finding {
            Finding::Refused(_) => return,
            Finding::Held(own) if own.route != held.route => {
                let routes = [own.route.as_str(), held.route.as_str()];
                self.finding = Finding::divided(&routes, held.place);
                return;
            }
            Finding::Held(own) => {
                for reason in own.reasons.drain(..) {
                    if !held.reasons.contains(&reason) {
                        held.reasons.push(reason);
                    }
                }
            }
            Finding::Allowed => {}
        }
        self.finding = Finding::Held(Box::new(held));
    }

    /// What it gives itself with `SET abeyance.reason`.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Its messages, one for each step and possibly more.
    pub(super) fn frames(&self) -> &[Frame] {
        self.batch.frames()
    }

    /// Every statement that would run, with its verdict.
    pub(crate) fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// For gateways that do not judge: what would wait passes.
    pub(crate) fn let_pass(&mut self) {
        if let Finding::Held(_) = self.finding {
            self.finding = Finding::Allowed;
        }
    }

    /// What its messages will do.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The rule with the smallest cap on rows among those that let its statements pass.
    pub(crate) fn rows_max(&self) -> Option<(&str, u64)> {
        let writing = self
            .shown
            .iter()
            .filter(|shown| shown.facts().is_some_and(super::bracket::changes_rows));
        let verdicts = writing.filter_map(Shown::verdict);
        verdicts
            .filter_map(|verdict| Some((verdict.rule.as_str(), verdict.rows_max?)))
            .min_by_key(|(_, rows)| *rows)
    }

    /// The transaction state after it, when all of it succeeds.
    pub(crate) fn status_after(&self) -> TransactionStatus {
        self.status_after
    }

    pub(crate) fn reading_doubt(&self) -> bool {
        self.reading_doubt
    }

    /// It runs code that may put other statements under names that are known.
    pub(crate) fn runs_unseen_code(&self) -> bool {
        self.unseen
    }

    /// It executes a portal that was bound before it, to values that are not in its bytes.
    pub(crate) fn continues(&self) -> bool {
        self.continues
    }

    /// What it may change about the meaning of names.
    pub(crate) fn stirs(&self) -> Stirs {
        self.stirs
    }

    /// A statement in it stands behind one that may change what its names stand for, and its text was not read so
    /// yet. It was judged as if it could mean anything; [`Reading::precede`] makes it clearer.
    pub(super) fn wants_preceded(&self) -> bool {
        self.wants_preceded
    }

    /// The parts, for `cleared` and for refusing.
    pub(super) fn into_parts(self) -> (Batch, Vec<Step>, Finding) {
        (self.batch, self.steps, self.finding)
    }
}

/// Judges a batch. `messages` are its decoded frames, `readings` those of its Query and Parse texts in order.
pub(crate) fn judge(
    batch: Batch,
    messages: Vec<FrontendMessage>,
    readings: Vec<Arc<Reading>>,
    situation: Situation<'_>,
) -> JudgedBatch {
    let mut walk = Walk::new(situation);
    let mut readings = readings.into_iter();
    for message in messages {
        if !walk.message(message, &mut readings) {
            break;
        }
    }
    walk.finish(batch)
}

#[cfg(test)]
mod tests;
