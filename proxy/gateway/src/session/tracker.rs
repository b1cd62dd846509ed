//! Follows the target's replies to one batch: which message is answered, what that did to names and
//! settings, and when the batch is over.
//!
//! Sans-I/O. A reply that does not fit is a protocol violation of the target and ends the session:
//! from then on nothing could be known of its state.

mod effects;

use std::{collections::VecDeque, sync::Arc};

use abeyance_wire::postgres::{BackendMessage, Severity, TransactionStatus, backend::tag};

use self::effects::Completed;
use super::{
    judge::Step,
    ledger::{Clearance, Ledger, Portal},
    outcome::Ran,
    reading::Reading,
    standing::Standing,
};
use crate::error::TargetError;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Running,
    /// The client's COPY data is wanted.
    CopyIn,
    /// ReadyForQuery came.
    Ready,
    /// Everything up to Flush was answered; no Sync yet.
    Flushed,
    /// An error came and no Sync was sent: the server skips to the next one.
    Failed,
}

/// Drivers send Execute right behind Bind, or behind the Describe in between.
const SOON: usize = 4;

/// The replies that are still to come.
#[derive(Debug)]
pub(crate) struct Tracker {
    steps: VecDeque<Step>,
    clearance: Clearance,
    /// Which statement of the Query at the front runs.
    statement: usize,
    copying_in: bool,
    failed: bool,
    ran: Ran,
}

impl Tracker {
    pub(crate) fn new(steps: Vec<Step>, clearance: Clearance) -> Self {
        Self {
            steps: steps.into(),
            clearance,
            statement: 0,
            copying_in: false,
            failed: false,
            ran: Ran::default(),
        }
    }

    /// Whether the target waits for COPY data now.
    pub(crate) fn copying_in(&self) -> bool {
        self.copying_in
    }

    /// An Execute is being answered.
    pub(crate) fn executes(&self) -> bool {
        matches!(self.steps.front(), Some(Step::Execute { .. }))
    }

    /// This portal is executed at once: by one of the next messages. A batch may have very many, so no more are looked at.
    fn executes_soon(&self, name: &[u8]) -> bool {
        let executes =
            |step: &Step| matches!(step, Step::Execute { portal, .. } if **portal == *name);
        self.steps.iter().take(SOON).any(executes)
    }

    /// The client has ended its COPY data.
    pub(crate) fn copy_ended(&mut self) {
        self.copying_in = false;
    }

    /// The target said that it ends the connection.
    pub(crate) fn fatal(&self) -> bool {
        self.ran.fatal
    }

    pub(crate) fn into_ran(self) -> Ran {
        self.ran
    }

    /// Takes one control message of the target.
    pub(crate) fn reply(
        &mut self,
        tag_seen: u8,
        body: &[u8],
        ledger: &mut Ledger,
        standing: &mut Standing,
    ) -> Result<Progress, TargetError> {
        match tag_seen {
            tag::NOTICE_RESPONSE | tag::NOTIFICATION_RESPONSE => return Ok(Progress::Running),
            tag::PARAMETER_STATUS => {
                standing.parameter(body)?;
                return Ok(Progress::Running);
            }
            tag::ERROR_RESPONSE => return self.error(body),
            tag::READY_FOR_QUERY => return self.ready(body, ledger, standing),
            tag::COPY_IN_RESPONSE => {
                self.copying_in = true;
                self.swallowed_by_copy();
                return Ok(Progress::CopyIn);
            }
            tag::COPY_BOTH_RESPONSE => return Err(TargetError::Protocol("replication began")),
            tag::COPY_OUT_RESPONSE | tag::COPY_DONE => return Ok(Progress::Running),
            _ => {}
        }
        if self.answered(tag_seen, body, ledger, standing)? {
            self.steps.pop_front();
            self.skip_flushes(ledger);
        }
        Ok(self.progress())
    }

    /// Takes a reply to the message at the front; true when that was its last.
    fn answered(
        &mut self,
        tag_seen: u8,
        body: &[u8],
        ledger: &mut Ledger,
        standing: &mut Standing,
    ) -> Result<bool, TargetError> {
        let Some(step) = self.steps.front() else {
            return Err(TargetError::Protocol("a reply to nothing"));
        };
        match (step, tag_seen) {
            (Step::Query { reading }, tag::COMMAND_COMPLETE) => {
                let reading = reading.clone();
                let statement = self.statement;
                self.statement += 1;
                self.completed(body, &reading, statement, ledger, standing);
                Ok(false)
            }
            (Step::Execute { portal, prepared }, tag::COMMAND_COMPLETE) => {
                ledger.portal_begun(portal);
                let prepared = prepared.clone();
                let statement = prepared.index.unwrap_or(0);
                self.completed(body, &prepared.reading, statement, ledger, standing);
                Ok(true)
            }
            (Step::Parse { name, prepared }, tag::PARSE_COMPLETE) => {
                ledger.statement_add(name, prepared.clone());
                Ok(true)
            }
            (
                Step::Bind {
                    portal,
                    prepared,
                    bound,
                },
                tag::BIND_COMPLETE,
            ) => {
                let (prepared, clearance) = (prepared.clone(), self.clearance.clone());
                let mut opened = Portal::opened(prepared, clearance, standing.context.mark());
                if !self.executes_soon(portal) {
                    opened.bound = bound.kept();
                }
                ledger.portal_add(portal, opened);
                Ok(true)
            }
            (Step::CloseStatement { name }, tag::CLOSE_COMPLETE) => {
                ledger.statement_drop(name);
                Ok(true)
            }
            (Step::ClosePortal { name }, tag::CLOSE_COMPLETE) => {
                ledger.portal_drop(name);
                Ok(true)
            }
            (Step::Query { .. }, tag::EMPTY_QUERY_RESPONSE | tag::ROW_DESCRIPTION)
            | (Step::Describe, tag::PARAMETER_DESCRIPTION)
            | (Step::Execute { .. }, tag::ROW_DESCRIPTION) => Ok(false),
            (Step::Execute { portal, .. }, tag::PORTAL_SUSPENDED) => {
                ledger.portal_begun(portal);
                Ok(true)
            }
            (Step::Describe, tag::ROW_DESCRIPTION | tag::NO_DATA)
            | (Step::Execute { .. }, tag::EMPTY_QUERY_RESPONSE) => Ok(true),
            _ => Err(TargetError::Protocol("a reply out of turn")),
        }
    }

    fn completed(
        &mut self,
        body: &[u8],
        reading: &Arc<Reading>,
        statement: usize,
        ledger: &mut Ledger,
        standing: &mut Standing,
    ) {
        self.copying_in = false;
        let completed = Completed {
            tag: self.ran.completed(body),
            reading,
            index: statement,
            clearance: &self.clearance,
        };
        completed.apply(ledger, standing);
    }

    /// Call once before the first reply: a Flush alone is answered by nothing.
    pub(crate) fn begin(&mut self, ledger: &mut Ledger) -> Progress {
        self.skip_flushes(ledger);
        self.progress()
    }

    /// Comes to the next message that is answered.
    fn skip_flushes(&mut self, ledger: &mut Ledger) {
        while matches!(self.steps.front(), Some(Step::Flush)) {
            self.steps.pop_front();
        }
        if matches!(self.steps.front(), Some(Step::Query { .. })) {
            ledger.unnamed_drop();
        }
    }

    /// Only ReadyForQuery is still to come.
    pub(crate) fn awaits_ready(&self) -> bool {
        matches!(self.steps.back(), Some(Step::Query { .. } | Step::Sync))
    }

    pub(crate) fn progress(&self) -> Progress {
        match (self.steps.is_empty(), self.failed) {
            (false, _) => Progress::Running,
            (true, false) => Progress::Flushed,
            (true, true) => Progress::Failed,
        }
    }

    fn error(&mut self, body: &[u8]) -> Result<Progress, TargetError> {
        self.copying_in = false;
        self.ran.failed(body)?;
        if self.ran.fatal || matches!(self.steps.front(), Some(Step::Query { .. } | Step::Sync)) {
            return Ok(Progress::Running);
        }
        // The server now skips everything up to Sync.
        self.failed = true;
        while let Some(step) = self.steps.front() {
            if matches!(step, Step::Sync) {
                break;
            }
            self.steps.pop_front();
        }
        Ok(self.progress())
    }

    fn ready(
        &mut self,
        body: &[u8],
        ledger: &mut Ledger,
        standing: &mut Standing,
    ) -> Result<Progress, TargetError> {
        let status = body.first().copied().and_then(TransactionStatus::from_byte);
        let status = status.ok_or(TargetError::Protocol("an unknown transaction status"))?;
        match self.steps.pop_front() {
            Some(Step::Query { .. } | Step::Sync) if self.steps.is_empty() => {
                standing.ready(status, ledger);
                Ok(Progress::Ready)
            }
            _ => Err(TargetError::Protocol("ReadyForQuery out of turn")),
        }
    }

    /// While the server reads COPY data it drops Flush and Sync unseen.
    fn swallowed_by_copy(&mut self) {
        if !matches!(self.steps.front(), Some(Step::Execute { .. })) {
            return;
        }
        while matches!(self.steps.get(1), Some(Step::Flush | Step::Sync)) {
            self.steps.remove(1);
        }
    }
}

/// Severity and SQLSTATE of an ErrorResponse.
pub(super) fn error_of(body: &[u8]) -> Result<(bool, String), TargetError> {
    let message = BackendMessage::decode_parts(tag::ERROR_RESPONSE, body)
        .map_err(|error| TargetError::Malformed(error.to_string()))?;
    let BackendMessage::ErrorResponse(fields) = message else {
        return Err(TargetError::Protocol("an error that is none"));
    };
    let fatal = matches!(fields.severity(), Some(Severity::Fatal | Severity::Panic));
    let state = fields
        .sqlstate()
        .map_or_else(|| "XX000".to_owned(), |state| state.as_str().to_owned());
    Ok((fatal, state))
}

#[cfg(test)]
mod tests;
