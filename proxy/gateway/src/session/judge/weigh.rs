//! Joins the verdicts of a batch's statements into one finding.

use std::{borrow::Borrow, sync::Arc};

use abeyance_policy::{Asked, Decision, Verdict, asked};
use abeyance_sql::StatementFacts;
use abeyance_wire::postgres::{ErrorFields, SqlState, TransactionStatus};
use bytes::Bytes;

use super::finding::{Finding, Held, Place, Refused};
use crate::session::{
    ledger::{Bound, Prepared},
    reading::Reading,
};

/// What the verdicts so far come to.
#[derive(Debug, Default)]
pub(super) struct Weighed {
    refused: Option<Refused>,
    held: Vec<(Verdict, Place)>,
    /// Every statement so far that would run.
    statements: Vec<Shown>,
}

impl Weighed {
    /// The first refusal stands.
    pub(super) fn refuse(&mut self, fields: ErrorFields, place: Place) {
        self.refused.get_or_insert(Refused { fields, place });
    }

    /// Statements so far.
    pub(super) fn count(&self) -> usize {
        self.statements.len()
    }

    /// A statement reviewers may get to see.
    pub(super) fn show(&mut self, statement: Shown) {
        self.statements.push(statement);
    }

    /// Takes the verdict of one statement that would run at `place`.
    pub(super) fn take(&mut self, verdict: Verdict, facts: &StatementFacts, place: Place) {
        match &verdict.decision {
            Decision::Allow => {}
            Decision::Deny => self.refuse(denied(facts, &verdict), place),
            Decision::Hold { .. } => self.held.push((verdict, place)),
        }
    }

    /// What it comes to, with the reason the batch itself gives, and every statement that would run.
    pub(super) fn finding(self, reason: Option<String>) -> (Finding, Vec<Shown>) {
        let finding = match self.refused {
            Some(refused) => Finding::Refused(refused),
            None => hold(&self.held, &self.statements, reason),
        };
        (finding, self.statements)
    }
}

/// A statement that would run: for the reviewer should there be one, and for the record.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(super) what: What,
    pub(super) verdict: Given,
    pub(super) bound: Option<Arc<Bound>>,
}

#[derive(Debug)]
pub(super) enum What {
    Of(Arc<Prepared>, usize),
    Resolved(Box<StatementFacts>),
}

/// Where the verdict of a statement is.
#[derive(Debug)]
pub(super) enum Given {
    /// In its reading: nothing of the session enters it.
    Read,
    Here(Box<Verdict>),
    /// Nowhere: the server refuses the statement whatever it is.
    Nowhere,
}

impl Shown {
    pub(crate) fn facts(&self) -> Option<&StatementFacts> {
        match &self.what {
            What::Of(prepared, index) => prepared.facts().get(*index),
            What::Resolved(facts) => Some(facts),
        }
    }

    /// Its own text, where that is what runs: not of a reference to another statement.
    pub(crate) fn text(&self) -> Option<Bytes> {
        match &self.what {
            What::Of(prepared, index) => {
                let facts = prepared.facts().get(*index)?;
                Some(prepared.reading.text_of(facts))
            }
            What::Resolved(_) => None,
        }
    }

    /// The values it is bound to.
    pub(crate) fn bound(&self) -> Option<&Arc<Bound>> {
        self.bound.as_ref()
    }

    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        match (&self.verdict, &self.what) {
            (Given::Here(verdict), _) => Some(verdict),
            (Given::Read, What::Of(prepared, index)) => {
                let index = prepared.index.unwrap_or(*index);
                prepared.reading.verdicts.get(index)
            }
            (Given::Read, What::Resolved(_)) | (Given::Nowhere, _) => None,
        }
    }

    /// The reading that holds its facts and its verdict, and its place there.
    pub(crate) fn as_read(&self) -> Option<(&Arc<Reading>, usize)> {
        match (&self.verdict, &self.what) {
            (Given::Read, What::Of(prepared, index)) => {
                Some((&prepared.reading, prepared.index.unwrap_or(*index)))
            }
            _ => None,
        }
    }
}

/// What the verdicts that ask for a hold come to.
fn hold(held: &[(Verdict, Place)], statements: &[Shown], reason: Option<String>) -> Finding {
    let place = held.first().map(|(_, place)| *place);
    let place = place.unwrap_or(Place {
        status: TransactionStatus::Idle,
        extended: false,
    });
    let joint = match asked(held.iter().map(|(verdict, _)| verdict)) {
        Asked::Nobody => return Finding::Allowed,
        Asked::Several(routes) => return Finding::divided(&routes, place),
        Asked::One(joint) => joint,
    };
    let facts = statements.iter().filter_map(Shown::facts).cloned();
    let mut facts: Vec<StatementFacts> = facts.collect();
    // It is kept for as long as the batch waits.
    facts.shrink_to_fit();
    Finding::Held(Box::new(Held {
        rule: joint.rule,
        route: joint.route,
        reasons: joint.reasons,
        statements: facts,
        place,
        reason,
        review: joint.review,
        at_commit: false,
    }))
}

impl Finding {
    /// One hold asks one route: a batch that would need several is refused.
    pub(in crate::session) fn divided<S: Borrow<str>>(routes: &[S], place: Place) -> Self {
        let fields = ErrorFields::error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "the statements of this batch need the approval of different reviewers",
        )
        .detail(format!("Routes: {}.", routes.join(", ")))
        .hint("Send the statements one by one.");
        Self::Refused(Refused { fields, place })
    }

    /// A rule denies one of its statements.
    pub(in crate::session) fn denied(
        facts: &StatementFacts,
        verdict: &Verdict,
        place: Place,
    ) -> Self {
        let fields = denied(facts, verdict);
        Self::Refused(Refused { fields, place })
    }
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
