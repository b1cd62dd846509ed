//! Asks one thing after another inside a read-only frame, each within its own time and all within a budget.
//!
//! A question that fails or takes too long leaves nothing behind and the next can still be asked: each stands
//! behind a savepoint, which also gives back the locks it took. Refuses to know what is asked.

use std::time::Duration;

use abeyance_wire::postgres::{Bind, Format, TransactionStatus, WireStr};
use bytes::Bytes;
use tokio::time::Instant;

use super::super::{
    Session,
    own::{OWN, close_own, own_execution, own_statement, set_timeout},
};
use crate::error::{SessionError, TargetError};

/// Longest answer, in bytes; a longer one ends the session.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// With less time than this left nothing is asked.
const WORTH_ASKING: Duration = Duration::from_millis(5);
/// How long a question waits for somebody else's lock.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(200);

/// A question with its values.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) sql: Vec<u8>,
    pub(super) param_oids: Vec<u32>,
    pub(super) param_formats: Vec<Format>,
    pub(super) params: Vec<Option<Bytes>>,
    /// Names mean what they mean to the server alone, not to the session.
    pub(super) catalog_only: bool,
}

impl Question {
    /// A query of our own about the catalog, with values as text.
    pub(super) fn of_catalog(sql: &str, params: &[&str]) -> Self {
        Self {
            catalog_only: true,
            ..Self::of_session(sql, params)
        }
    }

    /// A query of our own in which names mean what they mean to the session.
    pub(super) fn of_session(sql: &str, params: &[&str]) -> Self {
        Self {
            sql: sql.as_bytes().to_vec(),
            param_oids: Vec::new(),
            param_formats: Vec::new(),
            params: params
                .iter()
                .map(|param| Some(Bytes::copy_from_slice(param.as_bytes())))
                .collect(),
            catalog_only: false,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The server's SQLSTATE.
    Failed(String),
    OutOfTime,
    Nothing,
}

impl Unanswered {
    /// In words for reviewers, behind what was asked.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Failed(state) if state == "57014" => "took too long".to_owned(),
            Self::Failed(state) if state == "55P03" => {
                "another session holds a lock on it".to_owned()
            }
            Self::Failed(state) if state == "42501" => "the agent may not read it".to_owned(),
            Self::Failed(state) => format!("failed with SQLSTATE {state}"),
            Self::OutOfTime => "no time was left for it".to_owned(),
            Self::Nothing => "gave no answer".to_owned(),
        }
    }
}

/// What is left of the time for all questions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) each: Duration,
    pub(super) until: Instant,
}

impl Session {
    /// Asks inside the frame that is open. The inner error leaves the frame usable.
    pub(super) async fn ask(
        &mut self,
        budget: Budget,
        question: Question,
    ) -> Result<Result<Bytes, Unanswered>, SessionError> {
        let left = budget.until.saturating_duration_since(Instant::now());
        let time = budget.each.min(left);
        if time < WORTH_ASKING {
            return Ok(Err(Unanswered::OutOfTime));
        }
        let target = &mut self.target;
        own_statement(target, "SAVEPOINT _abeyance_probe")?;
        own_statement(target, &set_timeout("statement_timeout", time))?;
        let patience = time.min(LOCK_WAIT_MAX);
        own_statement(target, &set_timeout("lock_timeout", patience))?;
        if question.catalog_only {
            own_statement(target, "SET LOCAL search_path = pg_catalog, pg_temp")?;
        }
        let bind = Bind {
            portal: OWN,
            statement: OWN,
            param_formats: question.param_formats,
            params: question.params,
            result_formats: Vec::new(),
        };
        own_execution(
            target,
            WireStr::new(question.sql)?,
            question.param_oids,
            bind,
        )?;
        let answer = self.own_group_within(ANSWER_BYTES_MAX).await?;
        // Left over when something failed before they were closed.
        close_own(&mut self.target)?;
        own_statement(&mut self.target, "ROLLBACK TO SAVEPOINT _abeyance_probe")?;
        own_statement(&mut self.target, "RELEASE SAVEPOINT _abeyance_probe")?;
        let after = self.own_group().await?;
        if after.sqlstate.is_some() || self.standing.status != TransactionStatus::InTransaction {
            return Err(TargetError::Protocol("a probe could not be taken back").into());
        }
        Ok(match (answer.sqlstate, answer.value) {
            (Some(state), _) => Err(Unanswered::Failed(state)),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Unanswered::Nothing),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_said_without_the_servers_message() {
        for (state, want) in [
            ("57014", "took too long"),
            ("55P03", "another session holds a lock on it"),
            ("42P01", "failed with SQLSTATE 42P01"),
        ] {
            assert_eq!(Unanswered::Failed(state.to_owned()).words(), want);
        }
    }
}
