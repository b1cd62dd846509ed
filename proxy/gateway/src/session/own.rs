//! What the gateway itself runs on a session's connection: estimates, cross-checks, the session's own view of
//! the catalog.
//!
//! Nothing may remain of it. Statements and portals of ours go by one reserved name, so that the client's
//! unnamed ones stay as they are; a [`Frame`] is read-only, short, and rolled back. Texts are of our own making, except
//! for what is explained. Refuses to know what is asked, and why.

use std::time::Duration;

use abeyance_wire::postgres::{
    BackendMessage, Bind, EncodeError, Execute, FrontendMessage, Parse, Subject, TransactionStatus,
    WireStr,
};
use bytes::Bytes;

use super::{Session, standing::Unsynced, target::TargetSide};
use crate::error::{SessionError, TargetError};

/// The name our own statements, portals and savepoints go by on the target.
pub(super) const OWN: WireStr = WireStr::from_static("_abeyance");

/// What a group of our own statements came to.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The first column of the last row.
    pub(super) value: Option<Bytes>,
    /// Of the first error.
    pub(super) sqlstate: Option<String>,
}

/// Why nothing can be asked on the session's connection now, in words for reviewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unasked(pub(super) &'static str);

/// A read-only bracket around statements of ours, outside or inside the client's transaction.
#[derive(Debug)]
#[must_use = "a frame that is not closed leaves the target in a transaction of ours"]
pub(super) struct Frame {
    inside: bool,
    before: TransactionStatus,
}

impl Session {
    /// Makes sure that something can be asked now without a trace; ends a group that only named things.
    ///
    /// Boundless in time: the caller bounds it, and a timeout ends the session.
    pub(super) async fn may_ask(&mut self) -> Result<Result<(), Unasked>, SessionError> {
        match self.standing.unsynced {
            Unsynced::Work => {
                return Ok(Err(Unasked("not asked: messages before it wait for Sync")));
            }
            Unsynced::Names => {
                // Drivers prepare with Flush. Nothing was begun, so a Sync of our own ends nothing.
                self.own_group().await?;
                self.standing.unsynced = Unsynced::Nothing;
            }
            Unsynced::Nothing => {}
        }
        match self.standing.status {
            TransactionStatus::Failed => Ok(Err(Unasked("not asked: the transaction has failed"))),
            TransactionStatus::Idle => Ok(Ok(())),
            TransactionStatus::InTransaction if self.standing.snapshot_taken => Ok(Ok(())),
            TransactionStatus::InTransaction => Ok(if self.reads_committed().await? {
                Ok(())
            } else {
                Err(Unasked(
                    "not asked: it would fix the transaction's snapshot early",
                ))
            }),
        }
    }

    /// Queues the opening of a read-only bracket, with its time bounds. To be called when [`Self::may_ask`] says so.
    pub(super) fn frame_open(&mut self, time: Duration) -> Result<Frame, SessionError> {
        let before = self.standing.status;
        let inside = before == TransactionStatus::InTransaction;
        let begin: &[&str] = if inside {
            &[
                "SAVEPOINT _abeyance",
                "SET LOCAL transaction_read_only = on",
            ]
        } else {
            &["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
        };
        for sql in begin {
            own_statement(&mut self.target, sql)?;
        }
        own_statement(&mut self.target, &set_timeout("statement_timeout", time))?;
        own_statement(&mut self.target, &set_timeout("lock_timeout", time / 2))?;
        Ok(Frame { inside, before })
    }

    /// Rolls a bracket back, also after an error in it, and makes sure that the transaction is what it was.
    pub(super) async fn frame_close(&mut self, frame: Frame) -> Result<(), SessionError> {
        // Left over when something failed before they were closed.
        close_own(&mut self.target)?;
        let end: &[&str] = if frame.inside {
            &[
                "ROLLBACK TO SAVEPOINT _abeyance",
                "RELEASE SAVEPOINT _abeyance",
            ]
        } else {
            &["ROLLBACK"]
        };
        for sql in end {
            own_statement(&mut self.target, sql)?;
        }
        self.own_group().await?;
        if self.standing.status != frame.before {
            return Err(TargetError::Protocol("a probe changed the transaction").into());
        }
        Ok(())
    }

    /// Whether each statement of the open transaction has a snapshot of its own. SHOW takes none.
    pub(super) async fn reads_committed(&mut self) -> Result<bool, SessionError> {
        own_statement(&mut self.target, "SHOW transaction_isolation")?;
        let answer = self.own_group().await?;
        Ok(answer.value.as_deref() == Some(b"read committed"))
    }

    /// Ends a group of our own statements and reads its replies. Notices are dropped.
    pub(super) async fn own_group(&mut self) -> Result<Answer, SessionError> {
        self.own_group_within(abeyance_wire::postgres::limits::BACKEND_CONTROL_BYTES_MAX)
            .await
    }

    /// The same with replies of at most `bytes_max`; a longer one ends the session.
    pub(super) async fn own_group_within(
        &mut self,
        bytes_max: usize,
    ) -> Result<Answer, SessionError> {
        self.target.write_sync();
        self.target.flush().await?;
        let mut answer = Answer::default();
        loop {
            match self.target.own_reply_within(bytes_max).await? {
                BackendMessage::ReadyForQuery(status) => {
                    // Not `Standing::ready`: portals of the client's transaction live on.
                    self.standing.status = status;
                    return Ok(answer);
                }
                BackendMessage::DataRow(columns) => {
                    answer.value = columns.into_iter().next().flatten();
                }
                reply => {
                    if let BackendMessage::ErrorResponse(fields) = &reply {
                        let state = fields.sqlstate();
                        let state = state.map(|state| state.as_str().to_owned());
                        answer.sqlstate = answer.sqlstate.take().or(state);
                    }
                    self.pass_own(&reply)?;
                }
            }
        }
    }
}

/// A bound in time that ends with the transaction or savepoint.
pub(super) fn set_timeout(name: &str, time: Duration) -> String {
    format!("SET LOCAL {name} = '{}ms'", time.as_millis().max(1))
}

/// Queues a statement of the gateway's own making: prepared, run and closed by name.
pub(super) fn own_statement(target: &mut TargetSide, sql: &str) -> Result<(), EncodeError> {
    let bind = Bind {
        portal: OWN,
        statement: OWN,
        param_formats: Vec::new(),
        params: Vec::new(),
        result_formats: Vec::new(),
    };
    own_execution(target, WireStr::from_text_lossy(sql), Vec::new(), bind)
}

/// Queues a statement with its values. `bind` is to name [`OWN`] on both sides.
pub(super) fn own_execution(
    target: &mut TargetSide,
    sql: WireStr,
    param_oids: Vec<u32>,
    bind: Bind,
) -> Result<(), EncodeError> {
    let parse = Parse {
        name: OWN,
        sql,
        param_oids,
    };
    let execute = Execute {
        portal: OWN,
        rows_max: 0,
    };
    target.write_own(&FrontendMessage::Parse(parse))?;
    target.write_own(&FrontendMessage::Bind(bind))?;
    target.write_own(&FrontendMessage::Execute(execute))?;
    close_own(target)
}

/// Queues the closing of our own portal and statement.
pub(super) fn close_own(target: &mut TargetSide) -> Result<(), EncodeError> {
    target.write_own(&FrontendMessage::Close(Subject::Portal(OWN)))?;
    target.write_own(&FrontendMessage::Close(Subject::Statement(OWN)))
}
