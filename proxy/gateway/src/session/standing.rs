//! What the session knows of its server side between batches.

use abeyance_wire::postgres::{BackendMessage, TransactionStatus, backend::tag};

use super::ledger::Ledger;
use crate::error::TargetError;

/// Transaction, lexer and reason, as the server last reported them.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) status: TransactionStatus,
    /// Messages went upstream since the last ReadyForQuery: an implicit transaction is open.
    pub(crate) unsynced: bool,
    pub(crate) conforming_strings: bool,
    pub(crate) utf8: bool,
    /// Settings that decide how text is read may have changed since the last ReadyForQuery.
    pub(crate) reading_doubt: bool,
    /// What the agent gave with `SET abeyance.reason`.
    pub(crate) reason: Option<String>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            status: TransactionStatus::Idle,
            unsynced: false,
            conforming_strings: true,
            utf8: true,
            reading_doubt: false,
            reason: None,
        }
    }
}

impl Standing {
    /// The transaction state, as far as the server's word goes. Once messages went out without Sync, a
    /// failed transaction may have been ended by them: then nothing may be let through because the server would refuse it.
    pub(crate) fn status_known(&self) -> TransactionStatus {
        match self.status {
            TransactionStatus::Failed if self.unsynced => TransactionStatus::InTransaction,
            status => status,
        }
    }

    /// Takes a ParameterStatus.
    pub(crate) fn parameter(&mut self, body: &[u8]) -> Result<(), TargetError> {
        let message = BackendMessage::decode_parts(tag::PARAMETER_STATUS, body)
            .map_err(|error| TargetError::Malformed(error.to_string()))?;
        if let BackendMessage::ParameterStatus { name, value } = message {
            self.setting(name.as_bytes(), value.as_bytes());
        }
        Ok(())
    }

    /// Takes a setting the server reports.
    pub(crate) fn setting(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"standard_conforming_strings" => self.conforming_strings = value == b"on",
            b"client_encoding" => self.utf8 = value == b"UTF8",
            _ => {}
        }
    }

    /// ReadyForQuery came: the server has reported all its settings.
    pub(crate) fn ready(&mut self, status: TransactionStatus, ledger: &mut Ledger) {
        self.status = status;
        self.unsynced = false;
        self.reading_doubt = false;
        if status == TransactionStatus::Idle {
            ledger.transaction_ended();
        }
    }
}
