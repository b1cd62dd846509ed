//! Takes a batch from bytes to its verdict: texts are read with what the session's names mean now, and everything is
//! judged whole (invariants 1 and 3).
//!
//! What `judge` needs to be pure is gathered here: readings, cached or new; prepared statements read again when what they
//! mean may have changed; texts read once more for their place behind others in a batch.

use std::sync::Arc;

use abeyance_sql::{Sight, StatementClass, StatementFacts, postgres::ReadOptions};
use abeyance_wire::postgres::FrontendMessage;
use bytes::Bytes;

use super::{
    Session,
    batch::Batch,
    judge::{JudgedBatch, Situation, judge},
    reading::{Lookup, Reading, Stamp},
};
use crate::{catalog::View, error::SessionError, gateway::Unjudged};

/// Prepared statements that are read again without letting others run.
const RENEWED_AT_ONCE: usize = 64;

impl Session {
    /// Judges a batch with what is known now.
    pub(super) async fn judge(&mut self, batch: Batch) -> Result<JudgedBatch, SessionError> {
        let mut judged = self.examine(batch).await?;
        if self.gateway.unjudged.is_some() {
            judged.let_pass();
        }
        Ok(judged)
    }

    async fn examine(&mut self, batch: Batch) -> Result<JudgedBatch, SessionError> {
        self.look().await?;
        let (messages, mut readings) = self.read_all(&batch).await?;
        let missing = readings.iter().any(|reading| reading.missing);
        if missing && self.sight.view().shared && self.look_for_missing().await? {
            readings = self.read_all(&batch).await?.1;
        }
        self.renew_prepared().await;
        let judged = judge(batch, messages, readings.clone(), self.situation());
        if !judged.wants_preceded() {
            return Ok(judged);
        }
        let known: Vec<Arc<Reading>> = self.ledger.readings().cloned().collect();
        self.read_preceded(readings.iter().chain(&known)).await;
        let (batch, _, _) = judged.into_parts();
        let messages = decoded(&batch)?;
        Ok(judge(batch, messages, readings, self.situation()))
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            rules: &self.snapshot.rules,
            context: self.identity.context(),
            ledger: &self.ledger,
            limits: &self.gateway.limits,
            status: self.client_status(),
            reading_doubt: self.standing.reading_doubt || !self.standing.utf8,
        }
    }

    /// The batch's messages, and the readings of its texts in order.
    async fn read_all(
        &self,
        batch: &Batch,
    ) -> Result<(Vec<FrontendMessage>, Vec<Arc<Reading>>), SessionError> {
        let messages = decoded(batch)?;
        let mut readings = Vec::new();
        for message in &messages {
            let text = match message {
                FrontendMessage::Query(query) => &query.sql,
                FrontendMessage::Parse(parse) => &parse.sql,
                _ => continue,
            };
            let conforming = self.standing.conforming_strings;
            let view = self.sight.view();
            readings.push(self.read(text.as_bytes(), conforming, view).await);
        }
        Ok((messages, readings))
    }

    /// Reads the statements the session has prepared again, when their names may stand for something else now: the
    /// server plans them anew by what its catalog says when they run.
    async fn renew_prepared(&mut self) {
        let stamp = self.stamp(self.standing.conforming_strings, self.sight.view());
        if self.ledger.is_current(stamp) {
            return;
        }
        for (count, (name, old)) in self.ledger.outdated(stamp).into_iter().enumerate() {
            let view = self.sight.view();
            let reading = self.read(&old.text, old.stamp.conforming, view).await;
            self.ledger.statement_renew(&name, reading);
            if count % RENEWED_AT_ONCE == RENEWED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.ledger.renewed(stamp);
    }

    /// Reads texts as they are behind something that changes what names stand for.
    async fn read_preceded(&self, readings: impl Iterator<Item = &Arc<Reading>>) {
        let view = View::preceded();
        for reading in readings {
            if reading.preceded().is_none() && !reading.stamp.opaque {
                let conforming = reading.stamp.conforming;
                let preceded = self.read(&reading.text, conforming, &view).await;
                reading.precede(preceded);
            }
        }
    }

    fn stamp(&self, conforming: bool, view: &View) -> Stamp {
        Stamp {
            generation: self.identity.scope.generation,
            view: view.number,
            conforming,
            opaque: false,
        }
    }

    /// Reads one query string, or finds the reading that was made before.
    async fn read(&self, text: &[u8], conforming: bool, view: &View) -> Arc<Reading> {
        if self.gateway.unjudged == Some(Unjudged::Blind) {
            let context = self.identity.context();
            return Arc::new(Reading::opaque(text, &self.snapshot.rules, context));
        }
        let lookup = Lookup {
            scope: self.identity.scope,
            view: view.number,
            conforming,
            text,
        };
        if view.shared
            && let Some(known) = self.gateway.readings.find(lookup)
        {
            return known;
        }
        let sight = view.seen.as_ref().map(|(catalog, search_path)| Sight {
            catalog: Arc::clone(catalog),
            search_path: Arc::clone(search_path),
            vouched: Arc::clone(&self.identity.target.vouched_functions),
        });
        let options = ReadOptions {
            bytes_max: self.gateway.limits.statement_bytes_max,
            standard_conforming_strings: conforming,
            sight,
        };
        let bytes = Bytes::copy_from_slice(text);
        let mut analysis = abeyance_sql::analyse_async(text, options).await;
        if let Some(why) = view.blind {
            for facts in &mut analysis.statements {
                doubt(facts, why);
            }
        }
        let reading = Arc::new(Reading::stamped(
            bytes,
            analysis,
            self.stamp(conforming, view),
            &self.snapshot.rules,
            self.identity.context(),
        ));
        if view.shared {
            self.gateway.readings.keep(lookup, reading.clone());
        }
        reading
    }
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
