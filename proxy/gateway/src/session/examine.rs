//! Takes a batch from bytes to its verdict: texts are read with what the session's names mean now, and everything is
//! judged whole (invariants 1 and 3).
//!
//! What `judge` needs to be pure is gathered here: readings, cached or new; prepared statements read again when what they
//! mean may have changed; texts read once more for their place behind others in a batch.

use std::sync::Arc;

use abeyance_policy::{Blast, Context};
use abeyance_sql::{Sight, StatementClass, StatementFacts, postgres::ReadOptions};
use abeyance_wire::postgres::FrontendMessage;
use bytes::Bytes;

use super::{
    Session,
    batch::Batch,
    judge::{JudgedBatch, Situation, judge},
    reading::{Lookup, Reading, Stamp},
};
use crate::{catalog::View, error::SessionError};

/// Prepared statements that are read again without letting others run.
const RENEWED_AT_ONCE: usize = 64;
/// How often a batch is read again because the catalog changes while it is read.
const LOOKS_MAX: usize = 3;

impl Session {
    /// Judges a batch with what is known now.
    pub(super) async fn judge(&mut self, batch: Batch) -> Result<JudgedBatch, SessionError> {
        let mut judged = self.examine(batch, &[]).await?;
        if self.wants_blast(&judged) {
            judged = self.examine_with_blast(judged).await?;
        }
        if self.gateway.unjudged.is_some() {
            judged.let_pass();
        }
        Ok(judged)
    }

    /// Judges a batch; `blasts`: what each of its statements would do, as far as that is known.
    pub(super) async fn examine(
        &mut self,
        batch: Batch,
        blasts: &[Option<Blast>],
    ) -> Result<JudgedBatch, SessionError> {
        let messages = decoded(&batch)?;
        let mut readings = self.readings(&messages).await?;
        let missing = readings.iter().any(|reading| reading.missing);
        if missing && self.sight.is_shared() && self.look_for_missing().await? {
            readings = self.readings(&messages).await?;
        }
        let count = statements(&messages, &readings);
        let judged = judge(batch, messages, readings, self.situation(count, blasts));
        if !judged.wants_preceded() {
            return Ok(judged);
        }
        let (batch, _, _) = judged.into_parts();
        let messages = decoded(&batch)?;
        let readings = self.readings(&messages).await?;
        let known: Vec<Arc<Reading>> = self.ledger.readings().cloned().collect();
        self.read_preceded(readings.iter().chain(&known)).await;
        Ok(judge(
            batch,
            messages,
            readings,
            self.situation(count, blasts),
        ))
    }

    fn situation<'a>(&'a self, count: u64, blasts: &'a [Option<Blast>]) -> Situation<'a> {
        let rules = &self.snapshot.rules;
        Situation {
            rules,
            context: Context {
                moment: rules.needs_moment().then(|| self.moment(count)),
                ..self.identity.context()
            },
            blasts,
            ledger: &self.ledger,
            limits: &self.gateway.limits,
            status: self.client_status(),
            reading_doubt: self.standing.reading_doubt || !self.standing.utf8,
            mark: self.standing.context.mark(),
            generation: self.identity.scope.generation,
        }
    }

    /// The readings of a batch's texts in order, and of every prepared statement, with what names mean now.
    async fn readings(
        &mut self,
        messages: &[FrontendMessage],
    ) -> Result<Vec<Arc<Reading>>, SessionError> {
        for _ in 0..LOOKS_MAX {
            self.look().await?;
            if let Some(readings) = self.read_all(messages).await {
                return Ok(readings);
            }
            // The catalog has become another one in between.
            self.sight.forget();
        }
        self.sight.lose(View::unreadable());
        let readings = self.read_all(messages).await;
        readings.ok_or(SessionError::Internal("a view that is none"))
    }

    /// `None` when the view is gone.
    async fn read_all(&mut self, messages: &[FrontendMessage]) -> Option<Vec<Arc<Reading>>> {
        let conforming = self.standing.conforming_strings;
        let mut readings = Vec::new();
        for message in messages {
            let text = match message {
                FrontendMessage::Query(query) => &query.sql,
                FrontendMessage::Parse(parse) => &parse.sql,
                _ => continue,
            };
            readings.push(self.read_now(text.as_bytes(), conforming).await?);
        }
        self.renew_prepared().await?;
        Some(readings)
    }

    /// Reads the statements the session has prepared again, when their names may stand for something else now: the
    /// server plans them anew by what its catalog says when they run.
    async fn renew_prepared(&mut self) -> Option<()> {
        let stamp = self.stamp(self.standing.conforming_strings, self.sight.number());
        if self.ledger.is_current(stamp) {
            return Some(());
        }
        for (count, (name, old)) in self.ledger.outdated(stamp).into_iter().enumerate() {
            let reading = self.read_now(&old.text, old.stamp.conforming).await?;
            self.ledger.statement_renew(&name, reading);
            if count % RENEWED_AT_ONCE == RENEWED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.ledger.renewed(stamp);
        Some(())
    }

    /// Reads texts as they are behind something that changes what names stand for.
    async fn read_preceded(&self, readings: impl Iterator<Item = &Arc<Reading>>) {
        let view = View::preceded();
        for reading in readings {
            if reading.preceded().is_none() && !reading.stamp.opaque {
                let conforming = reading.stamp.conforming;
                let lookup = self.lookup(&reading.text, conforming, view.number);
                let preceded = match self.gateway.readings.find(lookup) {
                    Some(known) => known,
                    None => self.read_with(lookup, &view).await,
                };
                reading.precede(preceded);
            }
        }
    }

    fn stamp(&self, conforming: bool, view: u64) -> Stamp {
        Stamp {
            generation: self.identity.scope.generation,
            view,
            conforming,
            opaque: false,
        }
    }

    fn lookup<'a>(&self, text: &'a [u8], conforming: bool, view: u64) -> Lookup<'a> {
        Lookup {
            scope: self.identity.scope,
            view,
            conforming,
            text,
        }
    }

    /// Reads one query string with what names mean now, or finds the reading that was made before. `None` when the view
    /// is gone.
    async fn read_now(&self, text: &[u8], conforming: bool) -> Option<Arc<Reading>> {
        let lookup = self.lookup(text, conforming, self.sight.number());
        if self.sight.is_shared()
            && let Some(known) = self.gateway.readings.find(lookup)
        {
            return Some(known);
        }
        let view = self.sight.view()?;
        Some(self.read_with(lookup, &view).await)
    }

    /// What was read before, read with another view.
    pub(super) async fn read_again(&self, known: &Reading, view: &View) -> Arc<Reading> {
        let lookup = self.lookup(&known.text, known.stamp.conforming, view.number);
        match self.gateway.readings.find(lookup) {
            Some(reading) => reading,
            None => self.read_with(lookup, view).await,
        }
    }

    /// Reads one query string, and keeps the reading for others who have the same view.
    async fn read_with(&self, lookup: Lookup<'_>, view: &View) -> Arc<Reading> {
        let sight = view.seen.as_ref().map(|(catalog, search_path)| Sight {
            catalog: Arc::clone(catalog),
            search_path: Arc::clone(search_path),
            vouched: Arc::clone(&self.identity.target.vouched_functions),
        });
        let options = ReadOptions {
            bytes_max: self.gateway.limits.statement_bytes_max,
            standard_conforming_strings: lookup.conforming,
            sight,
        };
        let bytes = Bytes::copy_from_slice(lookup.text);
        let mut analysis = abeyance_sql::analyse_async(lookup.text, options).await;
        if let Some(why) = view.blind {
            for facts in &mut analysis.statements {
                doubt(facts, why);
            }
        }
        let reading = Arc::new(Reading::stamped(
            bytes,
            analysis,
            self.stamp(lookup.conforming, view.number),
            &self.snapshot.rules,
            self.identity.context(),
        ));
        if view.shared {
            self.gateway.readings.keep(lookup, reading.clone());
        }
        reading
    }
}

/// Statements that a batch would run.
fn statements(messages: &[FrontendMessage], readings: &[Arc<Reading>]) -> u64 {
    let executed = messages
        .iter()
        .filter(|message| matches!(message, FrontendMessage::Execute(_)))
        .count();
    let simple = messages
        .iter()
        .any(|message| matches!(message, FrontendMessage::Query(_)));
    let written = readings.iter().map(|reading| reading.facts.len()).sum();
    let count: usize = if simple { written } else { executed };
    count as u64
}

fn decoded(batch: &Batch) -> Result<Vec<FrontendMessage>, SessionError> {
    let decode = |frame| Ok(FrontendMessage::decode(frame)?);
    batch.frames().iter().map(decode).collect()
}

/// Says of a statement that what its names stand for is not known, if it has any.
fn doubt(facts: &mut StatementFacts, why: &str) {
    let nameless = facts.relations().next().is_none()
        && facts.functions.is_empty()
        && facts.operators.is_empty()
        && facts.casts.is_empty();
    if nameless {
        return;
    }
    facts.doubts.insert(why.to_owned());
    facts.classes.insert(StatementClass::Unvouched);
    facts.explainable = false;
}
