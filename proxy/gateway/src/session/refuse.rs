//! Answers a batch that does not run, and leaves the transaction as PostgreSQL would (invariant 6).
//!
//! Inside a transaction block the target's transaction is really put into the failed state, by a
//! statement of our own that can only be a syntax error; outside one the target hears nothing.

use abeyance_wire::postgres::{
    BackendMessage, ErrorFields, FrontendMessage, Parse, TransactionStatus, WireStr,
    backend::encode_ready, frontend::tag,
};

use super::{
    Session,
    judge::{Finding, JudgedBatch, Place, Step},
    own::own_statement,
};
use crate::{
    error::{SessionError, TargetError},
    exchange::{client_send, client_send_error},
};

/// A refused group whose Sync is still to come, or to be answered.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) place: Place,
    /// What failed, in words that are no SQL: `HLD-7K3Q was not approved`.
    pub(super) what: String,
}

impl Session {
    /// Refuses a batch that was judged so.
    pub(super) async fn refuse_judged(&mut self, judged: JudgedBatch) -> Result<(), SessionError> {
        let (batch, steps, finding) = judged.into_parts();
        let Finding::Refused(refused) = finding else {
            return Err(SessionError::Internal(
                "a batch was refused without a reason",
            ));
        };
        tracing::info!(
            sqlstate = refused
                .fields
                .sqlstate()
                .map(|state| state.as_str().to_owned()),
            "refused"
        );
        let unsettled = Unsettled {
            place: refused.place,
            what: "the statement was not allowed".to_owned(),
        };
        self.refuse(batch.ending(), &steps, &refused.fields, unsettled)
            .await
    }

    /// Tells the client, and settles the transaction now or at its Sync.
    pub(super) async fn refuse(
        &mut self,
        ending: u8,
        steps: &[Step],
        fields: &ErrorFields,
        unsettled: Unsettled,
    ) -> Result<(), SessionError> {
        client_send_error(&mut self.client, fields);
        let extended = unsettled.place.extended;
        if !extended {
            self.ledger.unnamed_drop();
        }
        let reparsed = |step: &Step| matches!(step, Step::Parse { name, .. } if name.is_empty());
        if steps.iter().any(reparsed) {
            self.ledger.statement_drop(b"");
        }
        // What follows up to Sync is skipped, a Query that ended the group too.
        if extended && ending != tag::SYNC {
            self.collector.skip_to_sync();
            self.unsettled = Some(unsettled);
            return Ok(());
        }
        self.settle(unsettled).await
    }

    /// Brings the target's transaction into the state a failed statement would have left, and reports it.
    pub(super) async fn settle(&mut self, unsettled: Unsettled) -> Result<(), SessionError> {
        self.abandon_bracket().await?;
        let began = unsettled.place.status == TransactionStatus::InTransaction
            && self.standing.status == TransactionStatus::Idle
            && !self.standing.is_unsynced();
        let clean = self.standing.status != TransactionStatus::InTransaction
            && !self.standing.is_unsynced()
            && !began;
        if !clean {
            let limit = self.gateway.limits.exchange_timeout;
            tokio::time::timeout(limit, self.fail_transaction(began, &unsettled.what))
                .await
                .map_err(|_| TargetError::Timeout)??;
        }
        let status = self.standing.status;
        self.client.outbox.encode(|out| encode_ready(status, out));
        Ok(())
    }

    /// Sends the target something that can only fail.
    pub(super) async fn fail_transaction(
        &mut self,
        begin: bool,
        what: &str,
    ) -> Result<(), SessionError> {
        if begin {
            let begin = if self.floored() {
                "BEGIN READ ONLY"
            } else {
                "BEGIN"
            };
            own_statement(&mut self.target, begin)?;
        }
        self.target.write_own(&FrontendMessage::Parse(Parse {
            name: WireStr::from_static("_abeyance"),
            sql: WireStr::from_text_lossy(&format!("abeyance: {what}")),
            param_oids: Vec::new(),
        }))?;
        self.target.write_sync();
        self.target.flush().await?;
        loop {
            match self.target.own_reply().await? {
                BackendMessage::ReadyForQuery(status) => {
                    self.standing.ready(status, &mut self.ledger);
                    return Ok(());
                }
                reply => self.pass_own(&reply)?,
            }
        }
    }

    /// Passes on what is the client's business among replies to statements of our own; drops the rest.
    pub(super) fn pass_own(&mut self, reply: &BackendMessage) -> Result<(), SessionError> {
        match reply {
            BackendMessage::ParameterStatus { name, value } => {
                self.standing.setting(name.as_bytes(), value.as_bytes());
                client_send(&mut self.client, reply)
            }
            BackendMessage::NotificationResponse { .. } => client_send(&mut self.client, reply),
            BackendMessage::ErrorResponse(fields)
                if matches!(
                    fields.severity(),
                    Some(
                        abeyance_wire::postgres::Severity::Fatal
                            | abeyance_wire::postgres::Severity::Panic
                    )
                ) =>
            {
                client_send(&mut self.client, reply)?;
                Err(SessionError::TargetEnded)
            }
            _ => Ok(()),
        }
    }
}
