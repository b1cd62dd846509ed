//! Runs a batch inside a transaction of the gateway's own, whose end is decided when the result is seen.
//!
//! Two things need it: a row cap (guarded execution) and the read-only floor. The batch goes out one command at a time;
//! what would tell the client that it succeeded is kept back until it is known to last. Own statements go by
//! reserved names and their replies are swallowed. The end that is shown is the server's own (invariant 6): a
//! COMMIT that fails is the client's error, rows already streamed stay streamed.
//!
//! Inside a client's own transaction no second one is needed: what must not last puts it into the failed state.

mod basis;
mod cap;
mod control;
mod exchange;
mod floor;
mod pieces;
mod words;
mod written;

use std::collections::VecDeque;

use abeyance_wire::postgres::{
    BackendMessage, ErrorFields, TransactionStatus, WireStr,
    backend::{CommandTag, encode_ready, tag},
};
use bytes::{Bytes, BytesMut};

pub(super) use self::basis::readings;
use self::{
    basis::Basis,
    cap::Tally,
    control::{Control, Kind, Modes},
    pieces::{Command, cut},
};
pub(crate) use self::{
    cap::{Cap, changes_rows},
    floor::lifts,
    pieces::Piece,
    written::{ALL_ROWS, COUNTING},
};
use super::{
    Session,
    cleared::Cleared,
    ledger::Clearance,
    outcome::Ran,
    relay::Broken,
    standing::Unsynced,
    tracker::{Progress, Tracker},
};
use crate::error::{SessionError, TargetError};

/// What a session knows of its brackets between batches.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    /// A transaction of ours is open: the client knows nothing of it.
    open: Option<Mode>,
    /// The cap of what runs until the next Sync.
    guard: Option<(Cap, Tally)>,
    /// Modes of a client's transaction in which nothing ran yet (floor only).
    fresh: Option<Modes>,
    /// Settings that were reported: the server tells them before ReadyForQuery.
    settings: Vec<Bytes>,
    /// Changes of `default_transaction_read_only` are our own doing now.
    lifting: bool,
}

/// What kind of transaction brackets a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// As the session's defaults have it.
    Default,
    ReadOnly,
    /// An approved write under the floor.
    ReadWrite,
}

/// What is known of the rows a piece changed, besides its tag.
#[derive(Debug, Clone, Copy)]
struct Counted {
    /// By the target's own counters, where they were asked.
    written: Option<u64>,
    /// It went on with a portal that was executed before.
    resumed: bool,
}

/// One batch on its way.
struct Run {
    tracker: Tracker,
    pieces: VecDeque<Piece>,
    mode: Mode,
    /// Under the read-only floor.
    floor: bool,
    /// Must not run inside a transaction: an approved VACUUM under the floor.
    alone: bool,
    permitted: bool,
    /// The last completion, until it is known to last.
    withheld: Option<Bytes>,
    /// An error was told: what is left of the batch does not run.
    failed: bool,
    undone: Option<String>,
    /// What has to stay as it was, so that the approval holds.
    basis: Option<Basis>,
}

impl Session {
    /// Whether a batch needs a bracket, or goes on in one.
    pub(super) fn needs_bracket(&self, cleared: &Cleared) -> bool {
        self.floored()
            || cleared.cap().is_some()
            || cleared.encloses() && !self.sight.is_blind()
            || self.brackets.open.is_some()
            || self.brackets.guard.is_some()
    }

    /// The transaction as the client has it: none while one of ours is open.
    pub(super) fn client_status(&self) -> TransactionStatus {
        if self.brackets.open.is_some() {
            return TransactionStatus::Idle;
        }
        self.standing.status_known()
    }

    /// Runs a batch to its end, as [`Session::relay`] does, one command at a time.
    pub(super) async fn relay_bracketed(&mut self, cleared: Cleared) -> Result<Ran, Broken> {
        let (mut run, unseen) = match self.run_of(cleared) {
            Ok(run) => run,
            Err(error) => {
                return Err(Broken {
                    error,
                    ran: Ran::default(),
                });
            }
        };
        let result = match self.run_pieces(&mut run).await {
            Ok(()) => self.finish(&mut run).await,
            Err(error) => Err(error),
        };
        if unseen {
            // Also when it failed: names are not given back by a rollback.
            self.ledger.suspect_all();
        }
        let mut ran = run.tracker.into_ran();
        ran.undone = run.undone;
        match result {
            Ok(()) => Ok(ran),
            Err(error) => Err(Broken { error, ran }),
        }
    }

    fn run_of(&mut self, cleared: Cleared) -> Result<(Run, bool), SessionError> {
        let clearance = cleared.clearance();
        let permitted = clearance != Clearance::Allowed;
        let floor = self.floored();
        self.standing.reading_doubt |= cleared.reading_doubt();
        let unseen = cleared.runs_unseen_code();
        if let Some(cap) = cleared.cap() {
            self.brackets.guard = Some((cap.clone(), Tally::default()));
        }
        let lifts = floor && permitted && cleared.writes();
        let alone = lifts && cleared.alone();
        let mode = match (floor, lifts) {
            (false, _) => Mode::Default,
            (true, false) => Mode::ReadOnly,
            (true, true) => Mode::ReadWrite,
        };
        let basis = Basis::of(&cleared, &self.ledger);
        let (pieces, steps) = cut(cleared, floor)?;
        let mut tracker = Tracker::new(steps, clearance);
        tracker.begin(&mut self.ledger);
        let run = Run {
            tracker,
            pieces,
            mode,
            floor,
            alone,
            permitted,
            withheld: None,
            failed: false,
            undone: None,
            basis,
        };
        Ok((run, unseen))
    }

    async fn run_pieces(&mut self, run: &mut Run) -> Result<(), SessionError> {
        self.check_floor()?;
        if run.mode == Mode::ReadWrite && self.brackets.open.is_some() {
            // What was read before it in the same group is over: the write has a transaction of its own.
            self.end_bracket(run).await?;
        }
        while !run.failed
            && let Some(piece) = run.pieces.pop_front()
        {
            if piece.command.as_ref().is_some_and(Command::may_end) {
                self.check_basis(run).await?;
                if run.failed {
                    break;
                }
            }
            self.release_withheld(run);
            self.run_piece(run, piece).await?;
            self.check_floor()?;
        }
        Ok(())
    }

    async fn run_piece(&mut self, run: &mut Run, mut piece: Piece) -> Result<(), SessionError> {
        let command = piece.command.take();
        let kind = command
            .as_ref()
            .map_or(&Kind::Plain, |command| &command.kind);
        if run.floor {
            match kind {
                Kind::Control(control) => {
                    let control = control.clone();
                    return self.control(run, control).await;
                }
                Kind::Refused(what) => {
                    let fields = control::refusal(what);
                    return self.fail(run, &fields).await;
                }
                Kind::Plain => {}
            }
            if command.as_ref().is_none_or(|command| !command.shows) {
                self.brackets.fresh = None;
            }
        }
        let begins = matches!(kind, Kind::Control(Control::Begin(..)));
        if run.alone {
            return self.run_alone(run, piece, command.as_ref()).await;
        }
        let own_begin = matches!(kind, Kind::Control(_) | Kind::Refused(_));
        if self.brackets.open.is_none()
            && self.standing.status == TransactionStatus::Idle
            && !own_begin
        {
            self.begin_bracket(run).await?;
        }
        let question = command
            .as_ref()
            .and_then(|command| command.question.as_deref());
        let question = question.filter(|_| self.brackets.guard.is_some());
        let before = match question {
            Some(question) => self.rows_written(question).await?,
            None => None,
        };
        let resumes = command
            .as_ref()
            .and_then(|command| command.resumes.as_deref());
        let resumed = resumes.is_some_and(|portal| self.ledger.is_begun(portal));
        if let Some(basis) = &mut run.basis {
            basis.begins();
        }
        let tag = self.exchange(run, piece, command.as_ref()).await?;
        let written = match (question, self.standing.status) {
            (Some(question), TransactionStatus::InTransaction) => {
                let after = self.rows_written(question).await?;
                after.map(|after| after.saturating_sub(before.unwrap_or(0)))
            }
            _ => None,
        };
        if begins && !run.failed {
            // As in a string of several statements: what came before belongs to the client's transaction.
            self.brackets.open = None;
        }
        let counted = Counted { written, resumed };
        self.judge_end(run, tag, command.as_ref(), counted).await
    }

    /// Looks at what a piece did, before anything else runs.
    async fn judge_end(
        &mut self,
        run: &mut Run,
        tag: Option<CommandTag>,
        command: Option<&Command>,
        Counted { written, resumed }: Counted,
    ) -> Result<(), SessionError> {
        let status = self.standing.status;
        if status == TransactionStatus::Idle && self.brackets.open.take().is_some() {
            // The command ended our transaction: a COMMIT in words that were not understood as one.
            self.standing.ready(status, &mut self.ledger);
        }
        let ends = tag.as_ref().is_some_and(ends_transaction);
        if run.floor && ends && status == TransactionStatus::InTransaction {
            // A chained transaction is read-only as its predecessor, but has no snapshot yet to keep it so.
            self.take_snapshot(run.permitted).await?;
        }
        let Some((cap, tally)) = &mut self.brackets.guard else {
            return Ok(());
        };
        let changes = command.is_none_or(|command| command.changes);
        let tagless = tag.is_none();
        let part = changes && command.is_some_and(|command| command.part) && !run.failed;
        match (tag, written) {
            // A write has done all its work when the first of its rows come.
            (_, written) if resumed => tally.add_counted(written.unwrap_or(0)),
            (Some(tag), written) => tally.add(&tag, changes, written),
            (None, Some(written)) if part => tally.add_counted(written),
            (None, _) => {}
        }
        let uncounted =
            (part && tagless && written.is_none() && !resumed).then(|| Tally::uncounted(cap));
        let Some((fields, line)) = uncounted.or_else(|| tally.exceeds(cap)) else {
            return Ok(());
        };
        tracing::warn!(reason = line, "over its row cap");
        run.undone = Some(line);
        self.fail(run, &fields).await
    }

    /// Tells the client an error of our own, and undoes what the batch did.
    async fn fail(&mut self, run: &mut Run, fields: &ErrorFields) -> Result<(), SessionError> {
        run.withheld = None;
        run.failed = true;
        let mut error = BytesMut::new();
        fields.encode_error(&mut error);
        let body = error.get(HEADER_BYTES..).unwrap_or_default().to_vec();
        run.tracker.reply(
            tag::ERROR_RESPONSE,
            &body,
            &mut self.ledger,
            &mut self.standing,
        )?;
        self.tell(error.freeze());
        if self.brackets.open.is_some() {
            self.roll_back(run.permitted).await
        } else if self.standing.status == TransactionStatus::InTransaction {
            self.fail_transaction(false, "the statement was rolled back")
                .await
        } else {
            Ok(())
        }
    }

    /// Ends what is to end with the batch, then tells the client how it went.
    async fn finish(&mut self, run: &mut Run) -> Result<(), SessionError> {
        let ends = run.tracker.awaits_ready();
        self.check_basis(run).await?;
        if self.brackets.open.is_some() && (ends || run.mode == Mode::ReadWrite) {
            self.end_bracket(run).await?;
        }
        self.check_floor()?;
        self.release_withheld(run);
        self.release_settings();
        if !ends {
            if run.failed || run.tracker.progress() == Progress::Failed {
                self.collector.skip_to_sync();
            }
            return Ok(());
        }
        self.brackets.guard = None;
        let status = self.standing.status;
        let ready = [status.as_byte()];
        run.tracker.reply(
            tag::READY_FOR_QUERY,
            &ready,
            &mut self.ledger,
            &mut self.standing,
        )?;
        if !self.client_lost {
            self.client.outbox.encode(|out| encode_ready(status, out));
        }
        Ok(())
    }

    /// Opens a transaction of our own. Nothing of the client's is forwarded before it is known to be open.
    async fn begin_bracket(&mut self, run: &Run) -> Result<(), SessionError> {
        if self.standing.unsynced == Unsynced::Names {
            // Drivers prepare with Flush. Nothing was begun, so a Sync of our own ends nothing.
            self.own(&[], run.permitted).await?;
        }
        let texts: &[&str] = match run.mode {
            Mode::Default => &["BEGIN"],
            Mode::ReadOnly => &["BEGIN READ ONLY", floor::SNAPSHOT],
            Mode::ReadWrite => &["BEGIN READ WRITE"],
        };
        let end = self.own(texts, run.permitted).await?;
        if end.error.is_some() || self.standing.status != TransactionStatus::InTransaction {
            return Err(TargetError::Protocol("a transaction could not be begun").into());
        }
        self.brackets.open = Some(run.mode);
        Ok(())
    }

    /// Commits our transaction, or rolls it back when it failed; a COMMIT that fails becomes the client's error.
    async fn end_bracket(&mut self, run: &mut Run) -> Result<(), SessionError> {
        if self.standing.status == TransactionStatus::Failed {
            return self.roll_back(run.permitted).await;
        }
        let texts: &[&str] = match self.brackets.open {
            Some(Mode::ReadOnly) => &[floor::CLEAN, "COMMIT"],
            _ => &["COMMIT"],
        };
        let end = self.own(texts, run.permitted).await?;
        let Some(error) = end.error else {
            self.brackets.open = None;
            self.standing.ready(self.standing.status, &mut self.ledger);
            return Ok(());
        };
        if self.standing.status != TransactionStatus::Idle {
            self.roll_back(run.permitted).await?;
        }
        self.brackets.open = None;
        let dirty = end.sqlstate.as_deref() == Some(floor::DIRTY_STATE);
        if dirty && run.floor {
            run.undone =
                Some("it wrote under the read-only floor; everything was rolled back".to_owned());
            return self.fail(run, &floor::wrote()).await;
        }
        run.withheld = None;
        run.failed = true;
        let body = error.get(HEADER_BYTES..).unwrap_or_default();
        run.tracker.reply(
            tag::ERROR_RESPONSE,
            body,
            &mut self.ledger,
            &mut self.standing,
        )?;
        self.tell(error);
        Ok(())
    }

    /// Rolls our transaction back.
    async fn roll_back(&mut self, permitted: bool) -> Result<(), SessionError> {
        self.own(&["ROLLBACK"], permitted).await?;
        if self.standing.status != TransactionStatus::Idle {
            return Err(TargetError::Protocol("a transaction could not be rolled back").into());
        }
        self.brackets.open = None;
        self.standing
            .ready(TransactionStatus::Idle, &mut self.ledger);
        Ok(())
    }

    /// Before a refusal is settled: a transaction of ours ends with the group it stood for.
    pub(super) async fn abandon_bracket(&mut self) -> Result<(), SessionError> {
        self.brackets.guard = None;
        if self.brackets.open.is_some() {
            self.roll_back(false).await?;
        }
        self.release_settings();
        Ok(())
    }

    /// A command that the client is told of without the server: keeps its completion back.
    fn complete(&mut self, run: &mut Run, done: &'static str) -> Result<(), SessionError> {
        let message = BackendMessage::CommandComplete(CommandTag::new(WireStr::from_static(done)));
        let mut out = BytesMut::new();
        message.encode(&mut out)?;
        let body = out.get(HEADER_BYTES..).unwrap_or_default().to_vec();
        run.tracker.reply(
            tag::COMMAND_COMPLETE,
            &body,
            &mut self.ledger,
            &mut self.standing,
        )?;
        run.withheld = Some(out.freeze());
        Ok(())
    }

    fn release_withheld(&mut self, run: &mut Run) {
        if let Some(kept) = run.withheld.take() {
            self.tell(kept);
        }
    }

    fn release_settings(&mut self) {
        for told in std::mem::take(&mut self.brackets.settings) {
            self.tell(told);
        }
    }

    fn tell(&mut self, bytes: Bytes) {
        if !self.client_lost {
            self.client.outbox.push(bytes);
        }
    }
}

/// Tag and length of a message.
const HEADER_BYTES: usize = 5;

/// The server says that a transaction came to its end; ROLLBACK TO says the same word.
fn ends_transaction(tag: &CommandTag) -> bool {
    matches!(tag.as_str(), "COMMIT" | "ROLLBACK" | "PREPARE TRANSACTION")
}
