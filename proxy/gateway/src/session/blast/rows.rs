//! How many rows: the planner's guess first, then a count where it is cheap and safe.
//!
//! A count is the statement's own predicate asked of the target, bounded in rows and in time. It is only made
//! where analysis vouches for everything in the statement, nothing before it in the batch changes rows, and the
//! planner does not expect it to be dear.

use abeyance_api::{Estimate, EstimateSource};
use abeyance_sql::Predicate;
use abeyance_sql::postgres::{
    counting::{Amount, Matching},
    plan::{EXPLAIN_PREFIX, Explained},
};
use abeyance_wire::postgres::Format;

use super::{
    super::Session,
    ask::{Budget, Question, Unanswered},
    look::{Scene, number},
    neighbours::Doubt,
    part::Part,
    subject::{Before, Subject},
};
use crate::error::SessionError;

/// Rows that are counted one by one; of more it is only said that there are more.
pub(super) const COUNT_MAX: u32 = 100_000;
/// The planner's cost over which nothing is counted: some seconds of reading.
const COST_MAX: f64 = 1_000_000.0;
/// Of statements that stand behind others in their batch.
const MAY_CHANGE: &str = "statements before it in the same batch may change this";
/// The type of parameters a query of ours does not have; their value is NULL.
const TEXT_OID: u32 = 25;

impl Session {
    /// What the planner says; why it says nothing goes to the part.
    pub(super) async fn probe_plan(
        &mut self,
        budget: Budget,
        subject: &Subject,
        part: &mut Part,
    ) -> Result<Option<Explained>, SessionError> {
        let text = match (subject.unexplainable(), subject.planned()) {
            (None, Some(text)) => text,
            (why, _) => {
                part.rows = Estimate::unknown(why.unwrap_or("not asked"));
                return Ok(None);
            }
        };
        let mut question = Question::of_session(EXPLAIN_PREFIX, &[]);
        question.sql.extend_from_slice(text);
        if let Some(bound) = &subject.bound {
            question.param_oids.clone_from(&bound.param_oids);
            question.param_formats.clone_from(&bound.bind.param_formats);
            question.params.clone_from(&bound.bind.params);
        }
        let why = match self.ask(budget, question).await? {
            Ok(plan) => match Explained::from_json(&plan) {
                Ok(plan) => return Ok(Some(plan)),
                Err(error) => format!("EXPLAIN: {error}"),
            },
            Err(Unanswered::Nothing) => "EXPLAIN gave no plan".to_owned(),
            Err(why) => format!("EXPLAIN {}", why.words()),
        };
        part.rows = Estimate::unknown(why);
        Ok(None)
    }

    /// Rows of the statement itself, then those that foreign keys take along.
    pub(super) async fn probe_rows(
        &mut self,
        budget: Budget,
        subject: &Subject,
        plan: Option<&Explained>,
        scene: &Scene,
        part: &mut Part,
    ) -> Result<(), SessionError> {
        if subject.takes_tables(part.rewrites) {
            self.probe_tables(budget, subject, scene, part).await?;
            if subject.before == Before::Rows {
                part.doubt_counts();
            }
            return Ok(());
        }
        part.rows_by_plan(subject, plan);
        let Some(plan) = plan else {
            if subject.changes_no_rows() {
                (part.rows, part.expected) = (Estimate::exact(0), Some(0));
            }
            return Ok(());
        };
        let Some(touched) = &subject.touched else {
            return Ok(());
        };
        // Rules turn one write into others; then only the planner knows.
        let as_written = match touched.operation {
            None => plan.writes().next().is_none(),
            Some(operation) => {
                let writes: Vec<_> = plan.writes().collect();
                matches!(&writes[..], [only] if only.operation == operation)
                    && (scene.target.is_some() || scene.through_view)
            }
        };
        if !as_written {
            return Ok(());
        }
        match &touched.amount {
            Amount::Given(rows) => {
                part.rows = Estimate::exact(*rows);
                part.expected = Some(*rows);
            }
            Amount::Matching(matching) => {
                self.count_rows(budget, subject, plan, matching, part)
                    .await?;
            }
            Amount::Untold => {}
        }
        doubt_count(subject, scene, part);
        let Amount::Matching(matching) = &touched.amount else {
            return self.probe_along(budget, subject, scene, None, part).await;
        };
        self.probe_along(budget, subject, scene, Some(matching), part)
            .await
    }

    async fn count_rows(
        &mut self,
        budget: Budget,
        subject: &Subject,
        plan: &Explained,
        matching: &Matching,
        part: &mut Part,
    ) -> Result<(), SessionError> {
        if subject.before == Before::Rows && !part.undisturbed {
            part.rows.note = Some(MAY_CHANGE.to_owned());
        }
        if !subject.countable(part.undisturbed) {
            return Ok(());
        }
        if plan.cost() > COST_MAX {
            part.rows.note = Some("counting would take too long".to_owned());
            return Ok(());
        }
        let Some(question) = count_question(subject, matching, &matching.count(COUNT_MAX + 1))
        else {
            return Ok(());
        };
        match self.ask(budget, question).await? {
            Ok(answer) => {
                if let Some(counted) = number(&answer) {
                    self::counted(counted, part);
                }
            }
            Err(why) => part.rows.note = Some(format!("counting {}", why.words())),
        }
        Ok(())
    }
}

impl Part {
    /// Rows were counted that statements before this one in the batch may add to, or take from.
    fn doubt_counts(&mut self) {
        let along = self
            .cascades
            .iter_mut()
            .flatten()
            .map(|along| &mut along.rows);
        for rows in along.chain([&mut self.rows]) {
            if rows.source != EstimateSource::Unknown {
                rows.source = EstimateSource::Estimated;
                rows.note = Some(MAY_CHANGE.to_owned());
            }
        }
    }
}

/// Takes a count that stopped after [`COUNT_MAX`].
fn counted(counted: u64, part: &mut Part) {
    let most = u64::from(COUNT_MAX);
    let guess = part.expected;
    if counted <= most {
        (part.rows, part.expected) = (Estimate::exact(counted), Some(counted));
        return;
    }
    match guess.filter(|guess| *guess > most) {
        Some(guess) => {
            part.rows = Estimate::estimated(guess);
            let most = abeyance_api::blast::words::grouped(most);
            part.rows.note = Some(format!("more than {most} were counted"));
        }
        None => {
            part.rows = Estimate::more_than(most);
            part.expected = Some(counted);
        }
    }
}

/// Says what may make the server report other rows than were counted. A count that may be too high is a bound; one that
/// may be anything is no count.
fn doubt_count(subject: &Subject, scene: &Scene, part: &mut Part) {
    let mut doubts = Vec::new();
    for (root, events) in &scene.events {
        if scene.target == Some(*root) || scene.through_view {
            doubts.extend(scene.near.inexact(*root, *events));
        }
    }
    if let Some(touched) = &subject.touched {
        doubts.extend(touched.may_skip.map(Doubt::Fewer));
    }
    // Without conditions no row has to be visible to be changed.
    let everything = matches!(
        subject.facts.predicate,
        Predicate::Missing | Predicate::Tautology
    );
    for doubt in doubts {
        let (fewer, doubt) = match doubt {
            Doubt::Fewer(doubt) => (true, doubt),
            Doubt::FewerOfSome(doubt) => (!everything, doubt),
            Doubt::Other(doubt) => (false, doubt),
        };
        part.rows.source = match part.rows.source {
            EstimateSource::Exact | EstimateSource::AtMost if fewer => EstimateSource::AtMost,
            // A lower bound, or a count, of something else.
            EstimateSource::Exact | EstimateSource::AtMost | EstimateSource::Bounded => {
                EstimateSource::Estimated
            }
            other => other,
        };
        part.rows.note = Some(match part.rows.note.take() {
            Some(note) => format!("{note}; {doubt}"),
            None => doubt.to_owned(),
        });
    }
}

/// A query made from the statement's predicate, with the values the client bound. `None` where the server may
/// take a value for one of another type.
pub(super) fn count_question(
    subject: &Subject,
    matching: &Matching,
    sql: &str,
) -> Option<Question> {
    let mut question = Question::of_session(sql, &[]);
    let Some(bound) = &subject.bound else {
        return matching.params().is_empty().then_some(question);
    };
    for index in 0..bound.bind.params.len() {
        let number = u16::try_from(index + 1).ok()?;
        let given = bound.param_oids.get(index).copied().unwrap_or(0);
        if matching.params().contains(&number) {
            if given == 0 && matching.shares_params() {
                return None;
            }
            question.param_oids.push(given);
            question.param_formats.push(bound.bind.param_format(index));
            let value = bound.bind.params.get(index).cloned().flatten();
            question.params.push(value);
        } else {
            question.param_oids.push(TEXT_OID);
            question.param_formats.push(Format::Text);
            question.params.push(None);
        }
    }
    Some(question)
}
