//! What the session knows of its server side between batches.

use abeyance_wire::postgres::{BackendMessage, TransactionStatus, backend::tag};

use super::{judge::Step, ledger::Ledger, ticket::Context};
use crate::error::TargetError;

/// Transaction, lexer and reason, as the server last reported them.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) status: TransactionStatus,
    pub(crate) unsynced: Unsynced,
    pub(crate) conforming_strings: bool,
    pub(crate) utf8: bool,
    /// Settings that decide how text is read may have changed since the last ReadyForQuery.
    pub(crate) reading_doubt: bool,
    /// The target's version, as it reports it: 15.
    pub(crate) server_major: Option<u32>,
    /// `default_transaction_read_only`, where the server reports it (PostgreSQL 14).
    pub(crate) read_only: Option<bool>,
    /// The open transaction has taken a snapshot: asking for anything cannot fix it any more.
    pub(crate) snapshot_taken: bool,
    /// What the agent gave with `SET abeyance.reason`.
    pub(crate) reason: Option<String>,
    /// `SET abeyance.on_hold = 'ticket'`: holds answer at once.
    pub(crate) ticket: bool,
    /// What the session was told, for tickets.
    pub(crate) context: Context,
}

/// What went upstream since the last ReadyForQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsynced {
    Nothing,
    /// Statements were named and described, and none of them begun.
    Names,
    /// Something may have run.
    Work,
}

impl Unsynced {
    /// What a batch of these steps amounts to.
    pub(crate) fn by(steps: &[Step]) -> Self {
        let step = |step: &Step| match step {
            Step::Flush | Step::Sync => Self::Nothing,
            Step::Parse { .. } | Step::Describe | Step::CloseStatement { .. } => Self::Names,
            Step::Query { .. }
            | Step::Bind { .. }
            | Step::Execute { .. }
            | Step::ClosePortal { .. } => Self::Work,
        };
        steps.iter().map(step).max().unwrap_or(Self::Nothing)
    }
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            status: TransactionStatus::Idle,
            unsynced: Unsynced::Nothing,
            conforming_strings: true,
            utf8: true,
            reading_doubt: false,
            server_major: None,
            read_only: None,
            snapshot_taken: false,
            reason: None,
            ticket: false,
            context: Context::default(),
        }
    }
}

impl Standing {
    /// The transaction state, as far as the server's word goes. Once messages went out without Sync, a
    /// failed transaction may have been ended by them: then nothing may be let through because the server would refuse it.
    pub(crate) fn status_known(&self) -> TransactionStatus {
        match self.status {
            TransactionStatus::Failed if self.is_unsynced() => TransactionStatus::InTransaction,
            status => status,
        }
    }

    /// An implicit transaction is open on the server.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced != Unsynced::Nothing
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
            b"server_version" => self.server_major = major(value),
            b"default_transaction_read_only" => self.read_only = Some(value == b"on"),
            b"client_encoding" => self.utf8 = value == b"UTF8",
            _ => {}
        }
    }

    /// ReadyForQuery came: the server has reported all its settings.
    pub(crate) fn ready(&mut self, status: TransactionStatus, ledger: &mut Ledger) {
        self.status = status;
        self.unsynced = Unsynced::Nothing;
        self.reading_doubt = false;
        if status == TransactionStatus::Idle {
            self.snapshot_taken = false;
            self.context.transaction_ended();
            ledger.transaction_ended();
        }
    }
}

/// The first number of a version: `15.20 (Debian 15.20-1)`, `18beta1`.
fn major(version: &[u8]) -> Option<u32> {
    let digits = version.iter().take_while(|byte| byte.is_ascii_digit());
    let digits: String = digits.take(6).map(|byte| char::from(*byte)).collect();
    digits.parse().ok()
}
