//! The read-only floor: what the target itself enforces for an agent with `access = "read_only"`.
//!
//! Holds whatever analysis made of a statement. Each runs as a single command inside a READ ONLY transaction whose
//! snapshot is already taken: from then on PostgreSQL refuses to make it read-write, by any statement, setting or
//! function. Few things change the database and are not refused there (large objects before PostgreSQL 16): all of them
//! need a transaction id, so a transaction that has one is rolled back instead of committed.
//!
//! Does not keep away what never is part of a transaction: files and programs of the server, other connections
//! (dblink, foreign servers), NOTIFY, advisory locks, signals to other sessions.

use abeyance_policy::Access;
use abeyance_sql::{StatementClass, StatementFacts};
use abeyance_wire::postgres::{
    BackendMessage, ErrorFields, Severity, SqlState, TransactionStatus, backend::tag,
};
use bytes::{Bytes, BytesMut};

use super::{
    Command, Run,
    control::{Control, Kind, Modes, Opening, kind_of, refusal},
    pieces::{self, Piece},
};
use crate::{
    error::{SessionError, TargetError},
    session::{
        Session,
        judge::{Held, JudgedBatch, Step},
    },
};

/// Takes the transaction's snapshot.
pub(super) const SNAPSHOT: &str = "SELECT 1";

/// Fails unless the transaction has written nothing and COMMIT will not run anything either: a cursor WITH
/// HOLD is executed by COMMIT. Every name is qualified: nothing a session defines can take their place.
pub(super) const CLEAN: &str = "SELECT 1 OPERATOR(pg_catalog./) CASE WHEN \
    pg_catalog.txid_current_if_assigned() IS NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_cursors c \
    WHERE c.is_holdable AND c.creation_time OPERATOR(pg_catalog.>=) pg_catalog.transaction_timestamp()) \
    THEN 1 ELSE 0 END";

/// How [`CLEAN`] fails.
pub(super) const DIRTY_STATE: &str = "22012";

const LIFT: &str = "SET default_transaction_read_only = off";
const LOWER: &str = "SET default_transaction_read_only = on";

impl Session {
    /// Whether the agent's access is read-only.
    pub(in crate::session) fn floored(&self) -> bool {
        self.identity.agent.access == Access::ReadOnly
    }

    /// Ends a session whose floor is not in force: the agent's access has changed, or something lifted it.
    pub(super) fn check_floor(&self) -> Result<(), SessionError> {
        let lifted = self.standing.read_only == Some(false);
        if !self.floored() || !lifted || self.brackets.lifting {
            return Ok(());
        }
        Err(SessionError::Refused(
            ErrorFields::fatal(
                SqlState::READ_ONLY_TRANSACTION,
                "terminating connection: this agent's access is read-only, and the session is not",
            )
            .detail("default_transaction_read_only is off on the target.")
            .hint("Connect again."),
        ))
    }

    /// Fixes the open transaction as it is: PostgreSQL lets no transaction with a snapshot become read-write.
    pub(super) async fn take_snapshot(&mut self, permitted: bool) -> Result<(), SessionError> {
        let end = self.own(&[SNAPSHOT], permitted).await?;
        match end.error {
            None => Ok(()),
            Some(_) => Err(TargetError::Protocol("a snapshot could not be taken").into()),
        }
    }

    /// Why a held batch cannot be run even when it is approved; `None` when it can.
    pub(in crate::session) fn floor_objects(
        &self,
        judged: &JudgedBatch,
        held: &Held,
    ) -> Option<ErrorFields> {
        if !self.floored() || !held.statements.iter().any(lifts) {
            return None;
        }
        let controls = judged.steps().iter().any(|step| match step {
            Step::Query { reading } => {
                let mut facts = reading.facts.iter();
                facts.any(|facts| is_control(&reading.text_of(facts)))
            }
            Step::Execute { prepared, .. } => is_control(&prepared.text()),
            _ => false,
        });
        let inside = self.client_status() != TransactionStatus::Idle;
        // Something sent alone and outside of a transaction is what would lift the floor itself.
        let what = if inside || held.statements.len() > 1 {
            "a write cannot be approved inside a transaction"
        } else {
            "this cannot be changed, nor approved"
        };
        (controls || inside).then(|| refusal(what))
    }

    /// Follows a client's transaction command with canonical text of ours.
    pub(super) async fn control(
        &mut self,
        run: &mut Run,
        control: Control,
    ) -> Result<(), SessionError> {
        let status = self.standing.status;
        let fresh = self.brackets.fresh.take();
        if self.brackets.open.is_some() {
            return self.control_outside(run, control).await;
        }
        match (control, status) {
            (Control::SetTransaction(_), TransactionStatus::Idle) => self.set_outside(run),
            (Control::SetTransaction(modes), TransactionStatus::InTransaction)
                if fresh.is_some() =>
            {
                // Nothing ran in it yet: begun anew, because its snapshot is taken already.
                self.roll_back(run.permitted).await?;
                let modes = modes.or(&fresh.unwrap_or_default());
                let begin = Control::Begin(Opening::Begin, modes.clone()).text();
                let end = self.own(&[&begin, SNAPSHOT], run.permitted).await?;
                if end.error.is_some() {
                    return Err(TargetError::Protocol("a transaction could not be begun").into());
                }
                self.brackets.fresh = Some(modes);
                self.complete(run, "SET")
            }
            (Control::Begin(opening, modes), TransactionStatus::Idle) => {
                self.forward(run, &Control::Begin(opening, modes.clone()))
                    .await?;
                if self.standing.status == TransactionStatus::InTransaction {
                    self.take_snapshot(run.permitted).await?;
                    self.brackets.fresh = Some(modes);
                }
                Ok(())
            }
            (Control::Commit { chain }, TransactionStatus::InTransaction) => {
                let end = self.own(&[CLEAN], run.permitted).await?;
                if end.sqlstate.as_deref() == Some(DIRTY_STATE) {
                    self.roll_back(run.permitted).await?;
                    run.undone = Some(
                        "it wrote under the read-only floor; everything was rolled back".to_owned(),
                    );
                    return self.fail(run, &wrote()).await;
                }
                // Any other error has failed the transaction: COMMIT then says ROLLBACK by itself.
                self.forward_chained(run, &Control::Commit { chain }, chain)
                    .await
            }
            (control @ (Control::Commit { chain } | Control::Rollback { chain }), _) => {
                self.forward_chained(run, &control, chain).await
            }
            (control, _) => self.forward(run, &control).await,
        }
    }

    /// A transaction command while a transaction of ours stands for none: the client is outside of one.
    async fn control_outside(
        &mut self,
        run: &mut Run,
        control: Control,
    ) -> Result<(), SessionError> {
        match control {
            Control::Begin(opening, modes) if modes.is_default() => {
                // Ours becomes the client's: read-only, its snapshot taken.
                self.brackets.open = None;
                self.complete(run, opening.as_str())
            }
            Control::Begin(..) | Control::DiscardAll => {
                self.end_bracket(run).await?;
                if run.failed {
                    return Ok(());
                }
                Box::pin(self.control(run, control)).await
            }
            Control::Commit { chain: false } => {
                self.end_bracket(run).await?;
                if run.failed {
                    return Ok(());
                }
                self.warn("there is no transaction in progress");
                self.complete(run, "COMMIT")
            }
            Control::Rollback { chain: false } => {
                self.roll_back(run.permitted).await?;
                self.warn("there is no transaction in progress");
                self.complete(run, "ROLLBACK")
            }
            Control::SetTransaction(_) => self.set_outside(run),
            Control::Commit { .. }
            | Control::Rollback { .. }
            | Control::Savepoint(_)
            | Control::Release(_)
            | Control::RollbackTo(_) => {
                let fields = ErrorFields::error(
                    SqlState::NO_ACTIVE_TRANSACTION,
                    "this command can only be used in transaction blocks",
                );
                self.fail(run, &fields).await
            }
        }
    }

    /// SET TRANSACTION where there is none comes to nothing.
    fn set_outside(&mut self, run: &mut Run) -> Result<(), SessionError> {
        self.warn("SET TRANSACTION can only be used in transaction blocks");
        self.complete(run, "SET")
    }

    /// The server's warning at commands that need a transaction.
    fn warn(&mut self, message: &str) {
        let state = SqlState::NO_ACTIVE_TRANSACTION;
        let fields = ErrorFields::new(Severity::Warning, state, message);
        if !self.client_lost {
            self.client.outbox.encode(|out| fields.encode_notice(out));
        }
    }

    async fn forward(&mut self, run: &mut Run, control: &Control) -> Result<(), SessionError> {
        let piece = pieces::own(&control.text())?;
        self.exchange(run, piece, None).await?;
        if self.standing.status == TransactionStatus::Idle {
            self.standing
                .ready(TransactionStatus::Idle, &mut self.ledger);
        }
        Ok(())
    }

    async fn forward_chained(
        &mut self,
        run: &mut Run,
        control: &Control,
        chain: bool,
    ) -> Result<(), SessionError> {
        self.forward(run, control).await?;
        if chain && self.standing.status == TransactionStatus::InTransaction {
            self.take_snapshot(run.permitted).await?;
            self.brackets.fresh = Some(Modes::default());
        }
        Ok(())
    }

    /// An approved statement that cannot run in a transaction: the floor is lifted around it alone.
    pub(super) async fn run_alone(
        &mut self,
        run: &mut Run,
        piece: Piece,
        command: Option<&Command>,
    ) -> Result<(), SessionError> {
        self.brackets.lifting = true;
        let end = self.own(&[LIFT], run.permitted).await?;
        if end.error.is_some() {
            return Err(TargetError::Protocol("the floor could not be lifted").into());
        }
        self.exchange(run, piece, command).await?;
        if self.standing.status != TransactionStatus::Idle {
            return Err(TargetError::Protocol("a statement on its own began a transaction").into());
        }
        let end = self.own(&[LOWER], run.permitted).await?;
        if end.error.is_some() {
            return Err(TargetError::Protocol("the floor could not be put back").into());
        }
        self.brackets.lifting = false;
        Ok(())
    }
}

/// Whether an approved statement is to run read-write: anything but a plain read.
pub(crate) fn lifts(facts: &StatementFacts) -> bool {
    let reads = |class: &StatementClass| *class == StatementClass::Read;
    !facts.is_certain() || !facts.classes.iter().all(reads)
}

/// What ended in a rollback although every statement succeeded.
pub(super) fn wrote() -> ErrorFields {
    ErrorFields::error(
        SqlState::READ_ONLY_TRANSACTION,
        "the transaction changed the database and was rolled back: this agent's access is read-only",
    )
    .detail("It has a transaction id, or a cursor WITH HOLD.")
    .hint("Send a write on its own, outside of a transaction: it is held for approval. Cursors WITH HOLD are not for read-only agents, and temporary tables need an approval.")
}

/// The target's own refusal of a write, with what to do about it; `None` for any other error.
pub(super) fn hinted(body: &[u8]) -> Option<Bytes> {
    let BackendMessage::ErrorResponse(fields) =
        BackendMessage::decode_parts(tag::ERROR_RESPONSE, body).ok()?
    else {
        return None;
    };
    let refused = fields.sqlstate() == Some(SqlState::READ_ONLY_TRANSACTION);
    let bare = fields.get(b'H').is_none();
    (refused && bare).then(|| {
        let mut error = BytesMut::new();
        fields.hint(HINT).encode_error(&mut error);
        error.freeze()
    })
}

const HINT: &str = "This agent's access is read-only, also where a rule allows the write. Where a rule holds it, people \
    are asked, and an approved write runs: ask the owner of the proxy's policy.";

fn is_control(text: &[u8]) -> bool {
    kind_of(text) != Kind::Plain
}
