//! The second gate: before a batch that analysis would let through is written, what the target's own planner makes
//! of it is compared with what was predicted (invariant 1).
//!
//! Analysis can be misled: by a catalog that is a moment old, by a name that resolves otherwise, by a mistake of its
//! own. The planner is what will run the statement. So each statement of a shape that was not seen yet is explained
//! on the session's own connection, in a read-only bracket that is rolled back; a write, relation, foreign table
//! or function that was not predicted makes the batch a held one. Verdicts only become more guarded here.
//!
//! A shape that was checked is not asked about again while the catalog stays what it was, and no other session has
//! definitions that it may commit while the statement waits for a lock. Waits are those of the
//! statement itself: EXPLAIN takes the locks that the statement would take, under the session's own timeouts, and
//! a cancel request reaches it. So nothing passes because the target was slow to answer, and nothing is held for it.

mod ask;
mod explain;
mod mistake;
mod shapes;

use std::{collections::BTreeSet, sync::Arc};

use abeyance_api::Clock;
use abeyance_policy::{Decision, Review, Verdict, evaluate};
use abeyance_sql::{
    StatementFacts,
    postgres::plan::{Explained, Surprise, enlightened, unvouched},
};
use abeyance_wire::postgres::ErrorFields;

pub(super) use self::ask::has_plan;
pub(crate) use self::shapes::Shapes;
use self::{
    ask::{Ask, Words, asks},
    explain::{Reply, is_interruption},
    shapes::lasts_until,
};
use super::{
    Session,
    judge::{Finding, Held, JudgedBatch, Refused, Shown, Step},
};
use crate::error::SessionError;

/// The rule a batch is held by when the target would do what was not predicted.
const RULE: &str = "second-gate";

/// What asking about one statement came to.
#[derive(Debug)]
enum Checked {
    Passed(Scope),
    Guarded(Finding),
}

/// For what else it holds that a statement passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Every statement of its shape.
    Shape,
    /// The same text.
    Text,
    /// Nothing.
    Once,
}

impl Session {
    /// Checks a judged batch, and makes its finding more guarded where the target contradicts.
    pub(super) async fn second_gate(
        &mut self,
        judged: &mut JudgedBatch,
    ) -> Result<(), SessionError> {
        match judged.finding() {
            Finding::Allowed if self.is_checked(judged) && !self.sight.others_define() => Ok(()),
            Finding::Allowed => Box::pin(self.compare(judged)).await,
            Finding::Held(_) => Box::pin(self.mistake(judged)).await,
            Finding::Refused(_) => Ok(()),
        }
    }

    /// The way every statement goes that ran before: a flag for each text in the batch.
    fn is_checked(&self, judged: &JudgedBatch) -> bool {
        let now = || self.gateway.clock.now().timestamp();
        judged.steps().iter().all(|step| match step {
            Step::Query { reading } => reading.is_checked(now),
            Step::Bind { prepared, .. } => {
                prepared.index.is_none() && prepared.reading.is_checked(now)
            }
            Step::Parse { .. }
            | Step::Describe
            | Step::Execute { .. }
            | Step::CloseStatement { .. }
            | Step::ClosePortal { .. }
            | Step::Flush
            | Step::Sync => true,
        })
    }

    /// Asks about every statement of a batch that has a plan, unless its shape was asked about before.
    async fn compare(&mut self, judged: &mut JudgedBatch) -> Result<(), SessionError> {
        let gateway = Arc::clone(&self.gateway);
        let clock = gateway.clock.as_ref();
        let asks = asks(judged, &self.ledger, &self.standing)?;
        let mut passed = Vec::with_capacity(asks.len());
        let mut finding: Option<Finding> = None;
        for ask in &asks {
            let shape = gateway.shapes.of(self.identity.scope, ask);
            if gateway.shapes.knows(shape, clock) && !self.sight.others_define() {
                passed.push(ask);
                continue;
            }
            match self.check(judged, ask).await? {
                Checked::Passed(Scope::Shape) => {
                    gateway.shapes.remember(shape, ask, clock);
                    passed.push(ask);
                }
                Checked::Passed(Scope::Text) if matches!(ask.words, Words::Plain { .. }) => {
                    passed.push(ask);
                }
                Checked::Passed(_) => {}
                Checked::Guarded(other) => {
                    finding = Some(stricter(finding, other));
                    if matches!(finding, Some(Finding::Refused(_))) {
                        break;
                    }
                }
            }
        }
        match finding {
            Some(finding) => judged.guard(finding),
            None => mark(&passed, clock),
        }
        Ok(())
    }

    async fn check(&mut self, judged: &JudgedBatch, ask: &Ask) -> Result<Checked, SessionError> {
        if let Some(obstacle) = ask.obstacle {
            return Ok(self.unasked(judged, ask, obstacle));
        }
        let explained = match self.explain(ask).await? {
            Reply::Plan(plan) => Explained::from_json(&plan),
            Reply::Refused(fields) => return Ok(self.refused_by_target(ask, fields)),
            Reply::Unasked => {
                return Ok(self.unasked(judged, ask, "the target does not let it be explained"));
            }
        };
        let explained = match explained {
            Ok(explained) => explained,
            Err(error) => {
                tracing::warn!(%error, "a plan cannot be read");
                return Ok(self.unasked(judged, ask, "the target's plan of it cannot be read"));
            }
        };
        let surprises = explained.surprises(&ask.facts);
        if surprises.is_empty() {
            return Ok(Checked::Passed(if explained.pruned() {
                Scope::Text
            } else {
                Scope::Shape
            }));
        }
        let facts = enlightened(&ask.facts, &surprises);
        let verdict = self.verdict_of(&facts, &surprises);
        tracing::warn!(
            rule = verdict.rule,
            fingerprint = facts.fingerprint,
            "the target would do what was not predicted"
        );
        if verdict.decision == Decision::Allow {
            return Ok(Checked::Passed(Scope::Shape));
        }
        Ok(Checked::Guarded(finding(judged, ask, &facts, verdict)))
    }

    /// The verdict of a statement that would do what was not predicted: that of the rules on what is known now, and
    /// at least the policy's default. Without a catalog nobody could predict which tables are behind a name: then
    /// the rules alone decide on those.
    fn verdict_of(&self, facts: &StatementFacts, surprises: &BTreeSet<Surprise>) -> Verdict {
        let rules = &self.snapshot.rules;
        let verdict = evaluate(rules, facts, self.identity.context());
        let foreseeable =
            |surprise: &Surprise| facts.catalog.is_some() || !matches!(surprise, Surprise::Read(_));
        let default = rules.default_decision();
        let guarded =
            default.guard() > verdict.decision.guard() && surprises.iter().any(foreseeable);
        let told = |surprise: &Surprise| format!("{surprise}, which analysis did not predict");
        let mut reasons: Vec<String> = surprises.iter().take(SURPRISES_SHOWN).map(told).collect();
        reasons.extend(verdict.reasons.iter().cloned());
        Verdict {
            decision: if guarded {
                default.clone()
            } else {
                verdict.decision.clone()
            },
            rule: if guarded {
                RULE.to_owned()
            } else {
                verdict.rule.clone()
            },
            reasons,
            ..verdict
        }
    }

    /// The statement could not be asked about: it runs when the policy lets through what is not fully known.
    fn unasked(&self, judged: &JudgedBatch, ask: &Ask, why: &str) -> Checked {
        let mut facts = ask.facts.clone();
        let words = format!("could not be compared with the target's plan: {why}");
        unvouched(&mut facts, words);
        let verdict = evaluate(&self.snapshot.rules, &facts, self.identity.context());
        if verdict.decision == Decision::Allow {
            return Checked::Passed(Scope::Once);
        }
        tracing::info!(
            rule = verdict.rule,
            why,
            "not compared with the target's plan"
        );
        Checked::Guarded(finding(judged, ask, &facts, verdict))
    }

    /// The target refuses to plan it, so it would fail. The client gets the target's own words; the batch is not
    /// written, so that nothing depends on it failing a second time.
    fn refused_by_target(&self, ask: &Ask, fields: ErrorFields) -> Checked {
        let mut facts = ask.facts.clone();
        unvouched(&mut facts, "the target refuses to plan it".to_owned());
        let verdict = evaluate(&self.snapshot.rules, &facts, self.identity.context());
        if verdict.decision == Decision::Allow && !is_interruption(&fields) {
            // Allowed whatever it is: the target answers, after the results of what comes before.
            return Checked::Passed(Scope::Once);
        }
        let place = ask.place;
        Checked::Guarded(Finding::Refused(Refused { fields, place }))
    }
}

/// Surprises named in the reasons of one hold.
const SURPRISES_SHOWN: usize = 5;

/// Flags the texts all of whose statements passed, so that they are not looked at again.
fn mark(passed: &[&Ask], clock: &dyn Clock) {
    for ask in passed {
        let reading = &ask.reading;
        let planned = || reading.facts.iter().filter(|facts| ask::has_plan(facts));
        // What a name stands for is not in the text.
        let refers = planned().any(|facts| facts.refers_to.is_some());
        let here = passed
            .iter()
            .filter(|other| Arc::ptr_eq(&other.reading, reading));
        let spans: BTreeSet<usize> = here.map(|ask| ask.facts.span.start).collect();
        if !refers && spans.len() == planned().count() {
            reading.mark_checked(lasts_until(&ask.facts, clock));
        }
    }
}

/// A batch that is held, or refused, for what the target says of one statement.
fn finding(judged: &JudgedBatch, ask: &Ask, facts: &StatementFacts, verdict: Verdict) -> Finding {
    let Decision::Hold { route } = verdict.decision.clone() else {
        return Finding::denied(facts, &verdict, ask.place);
    };
    let shown = judged.shown().iter().filter_map(Shown::facts);
    let known =
        |shown: &StatementFacts| shown.span == facts.span && shown.fingerprint == facts.fingerprint;
    Finding::Held(Box::new(Held {
        rule: verdict.rule,
        route,
        reasons: verdict.reasons,
        statements: shown
            .map(|shown| {
                if known(shown) {
                    facts.clone()
                } else {
                    shown.clone()
                }
            })
            .collect(),
        place: ask.place,
        reason: judged.reason().map(str::to_owned),
        review: verdict.review,
        at_commit: false,
    }))
}

/// The stricter of two findings. Two holds become one when the same people are asked.
fn stricter(first: Option<Finding>, second: Finding) -> Finding {
    match (first, second) {
        (Some(Finding::Held(mut held)), Finding::Held(other)) => {
            if held.route != other.route {
                return Finding::divided(&[held.route.as_str(), other.route.as_str()], held.place);
            }
            let new = other
                .reasons
                .into_iter()
                .filter(|reason| !held.reasons.contains(reason));
            let new: Vec<String> = new.collect();
            held.reasons.extend(new);
            if other.review == Review::Statement {
                held.review = Review::Statement;
            }
            Finding::Held(held)
        }
        (Some(refused @ Finding::Refused(_)), _) => refused,
        (None | Some(_), second) => second,
    }
}
