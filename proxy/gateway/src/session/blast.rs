//! Finds out what a batch would do, on the session's own connection to the target.
//!
//! The connection is the session's so that search_path, role, temporary tables and uncommitted rows are those of the
//! batch. Nothing may remain of a probe: all of them run in one read-only frame that is rolled back, each behind a
//! savepoint and within its own time. Of the client's text only two things run: EXPLAIN of it, and queries that
//! count rows by its own predicate, where analysis vouches for everything in it. What a probe finds holds names and
//! numbers, never a literal (invariant 7); one that fails or takes too long leaves unknown, never zero.

mod ask;
mod cascade;
mod dropped;
mod locks;
mod look;
mod neighbours;
mod part;
mod rows;
mod subject;
mod sum;
mod tables;
mod types;

use std::sync::Arc;

use abeyance_api::Blast;
use abeyance_sql::StatementFacts;
use abeyance_wire::postgres::TransactionStatus;
use tokio::time::{Instant, timeout};

pub(super) use self::tables::sum as rows_summed;
use self::{
    ask::Budget,
    look::Kept,
    part::Part,
    subject::{Subject, subjects},
};
use super::{
    Session,
    judge::{Finding, JudgedBatch, Shown},
    own::Unasked,
};
use crate::error::{SessionError, TargetError};

/// What a batch would do.
#[derive(Debug)]
pub(super) struct Radius {
    pub(super) whole: Blast,
    /// What each of its statements would do, in order; `None` where that was not asked.
    pub(super) each: Vec<Option<Blast>>,
}

impl Session {
    /// What the batch would do. Bounded in time; a target that does not answer ends the session.
    pub(super) async fn blast(&mut self, judged: &JudgedBatch) -> Result<Blast, SessionError> {
        let Finding::Held(held) = judged.finding() else {
            return Err(SessionError::Internal("a batch was probed without a hold"));
        };
        if let Some(blast) = judged.blast() {
            return Ok(blast.clone());
        }
        let radius = self.blast_of(judged.shown(), &held.statements).await?;
        Ok(radius.whole)
    }

    /// What statements would do, held or not.
    pub(super) async fn blast_of(
        &mut self,
        shown: &[Shown],
        statements: &[StatementFacts],
    ) -> Result<Radius, SessionError> {
        let conforming = self.standing.conforming_strings;
        let chosen = subjects(shown, statements, conforming).await;
        let parts = self.probe_in_turn(&chosen.subjects).await?;
        let mut each: Vec<Option<Blast>> = shown.iter().map(|_| None).collect();
        for (subject, blast) in chosen.subjects.iter().zip(sum::each(&parts)) {
            if let Some(place) = each.get_mut(subject.place) {
                *place = Some(blast);
            }
        }
        Ok(Radius {
            whole: sum::of(&parts, chosen.left_out),
            each,
        })
    }

    /// Probes when it is this session's turn: many at once would only slow each other, and the target, down.
    async fn probe_in_turn(&mut self, subjects: &[Subject]) -> Result<sum::Found, SessionError> {
        let gateway = Arc::clone(&self.gateway);
        let limits = &gateway.limits;
        let turn = timeout(limits.exchange_timeout, gateway.probes.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let why = "not asked: too many others were asking";
            return Ok(sum::Found::unasked(subjects, why));
        };
        let limit = limits.exchange_timeout + limits.probe_budget;
        timeout(limit, self.probe(subjects))
            .await
            .map_err(|_| TargetError::Timeout)?
    }

    async fn probe(&mut self, subjects: &[Subject]) -> Result<sum::Found, SessionError> {
        if let Err(Unasked(why)) = self.may_ask().await? {
            return Ok(sum::Found::unasked(subjects, why));
        }
        let inside = self.standing.status == TransactionStatus::InTransaction;
        let limits = &self.gateway.limits;
        let budget = Budget {
            each: limits.probe_timeout,
            until: Instant::now() + limits.probe_budget,
        };
        let frame = self.frame_open(limits.probe_timeout)?;
        self.own_group().await?;
        let mut kept = Kept::default();
        let mut found = sum::Found::default();
        for subject in subjects {
            let part = self.part(budget, &mut kept, subject, &found.parts).await?;
            found.parts.push(part);
        }
        self.probe_locks(budget, &mut found).await?;
        if inside {
            self.probe_waiting(budget, &mut found).await?;
        }
        self.frame_close(frame).await?;
        Ok(found)
    }

    /// Everything about one statement except who is in its way.
    async fn part(
        &mut self,
        budget: Budget,
        kept: &mut Kept,
        subject: &Subject,
        before: &[Part],
    ) -> Result<Part, SessionError> {
        let mut part = Part::of(subject);
        if let Some(why) = subject.unknowable() {
            part.know_nothing(why);
            return Ok(part);
        }
        let plan = self.probe_plan(budget, subject, &mut part).await?;
        let scene = match self.scene(budget, kept, subject, plan.as_ref()).await? {
            Ok(scene) => scene,
            Err(why) => {
                part.hide(&why);
                part.rows_by_plan(subject, plan.as_ref());
                return Ok(part);
            }
        };
        part.surround(subject, plan.as_ref(), &scene);
        part.undisturbed = part.is_apart(plan.as_ref(), &scene, before);
        if let Some(retypes) = &subject.retypes {
            self.probe_types(budget, retypes, &scene, &mut part).await?;
        }
        self.probe_rows(budget, subject, plan.as_ref(), &scene, &mut part)
            .await?;
        self.probe_dropped(budget, subject, &scene, &mut part)
            .await?;
        self.probe_rewrite(budget, subject, &scene, &mut part)
            .await?;
        Ok(part)
    }
}
