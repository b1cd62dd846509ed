//! Sends a piece or statements of our own, and sorts what comes back: passed on, swallowed or kept.

use abeyance_wire::postgres::{
    BackendMessage, TransactionStatus,
    backend::{CommandTag, tag},
};
use bytes::Bytes;

use super::{Command, Run, floor, pieces::Piece};
use crate::{
    error::{SessionError, TargetError},
    session::{
        Session,
        own::{close_own, own_statement},
        relay::Event,
        standing::Unsynced,
        tracker::{Progress, error_of},
        veil::veil,
    },
};

/// How statements of our own ended.
#[derive(Debug, Default)]
pub(super) struct OwnEnd {
    /// The first ErrorResponse, whole.
    pub(super) error: Option<Bytes>,
    pub(super) sqlstate: Option<String>,
}

/// What to do with a frame of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Swallow,
    Keep,
}

/// Where the exchange of a piece stands.
#[derive(Debug, Default)]
struct Piecewise {
    translated: bool,
    /// It may read COPY data, so its Sync goes out behind that.
    copies: bool,
    /// Its last reply, or an error, came.
    answered: bool,
    ready: Option<TransactionStatus>,
    tag: Option<CommandTag>,
}

impl Session {
    /// Runs statements of our own as one group. Notices pass on to the client: a COMMIT may run triggers.
    pub(super) async fn own(
        &mut self,
        texts: &[&str],
        permitted: bool,
    ) -> Result<OwnEnd, SessionError> {
        for text in texts {
            own_statement(&mut self.target, text)?;
        }
        let end = self.own_replies(permitted).await?;
        if end.error.is_some() {
            // What failed was not closed, and its name is needed again.
            close_own(&mut self.target)?;
            self.own_replies(permitted).await?;
        }
        Ok(end)
    }

    async fn own_replies(&mut self, permitted: bool) -> Result<OwnEnd, SessionError> {
        self.target.write_sync();
        let mut end = OwnEnd::default();
        loop {
            if self.relay_event(false, permitted).await? == Event::Replies
                && self.take_own(&mut end)?
            {
                return Ok(end);
            }
        }
    }

    /// Takes replies to statements of our own; true when ReadyForQuery came.
    fn take_own(&mut self, end: &mut OwnEnd) -> Result<bool, SessionError> {
        let mut pass = Vec::new();
        let (mut ready, mut fatal) = (None, false);
        let veils = self.target.veils();
        let mut walk = self.target.walk();
        for seen in &mut walk {
            let seen = seen.map_err(|error| TargetError::Malformed(error.to_string()))?;
            match seen.tag {
                tag::NOTICE_RESPONSE | tag::NOTIFICATION_RESPONSE => {
                    pass.push(seen.start..seen.end());
                }
                tag::PARAMETER_STATUS => {
                    self.standing.parameter(seen.body())?;
                    if !self.brackets.lifting {
                        let told = Bytes::copy_from_slice(seen.raw);
                        self.brackets.settings.push(told);
                    }
                }
                tag::ERROR_RESPONSE => {
                    let (ends, sqlstate) = error_of(seen.body())?;
                    if ends {
                        fatal = true;
                        pass.push(seen.start..seen.end());
                    } else if end.error.is_none() {
                        let mut error = seen.raw.to_vec();
                        if veils {
                            veil(&mut error);
                        }
                        end.error = Some(error.into());
                        end.sqlstate = Some(sqlstate);
                    }
                }
                tag::READY_FOR_QUERY => {
                    ready = Some(status_of(seen.body())?);
                    break;
                }
                _ => {}
            }
        }
        let passed = walk.forwardable();
        let bytes = self.target.take(passed);
        for range in pass {
            self.tell(bytes.slice(range));
        }
        if fatal {
            // The target's own last words are enough.
            return Err(SessionError::TargetEnded);
        }
        if let Some(status) = ready {
            self.standing.status = status;
            self.standing.unsynced = Unsynced::Nothing;
        }
        Ok(ready.is_some())
    }

    /// Sends a piece and sees it through to ReadyForQuery, which the client does not get. Gives the command's tag.
    pub(super) async fn exchange(
        &mut self,
        run: &mut Run,
        piece: Piece,
        command: Option<&Command>,
    ) -> Result<Option<CommandTag>, SessionError> {
        let mut at = Piecewise {
            translated: piece.translated,
            copies: command.is_some_and(|command| command.copies),
            ..Piecewise::default()
        };
        self.target.write_piece(piece);
        if at.copies {
            self.target.write_flush();
        } else {
            self.target.write_sync();
        }
        loop {
            let copying = run.tracker.copying_in();
            if copying {
                self.pump_copy(&mut run.tracker)?;
                if !run.tracker.copying_in() {
                    self.target.write_sync();
                    at.copies = false;
                }
            }
            let event = self
                .relay_event(run.tracker.copying_in(), run.permitted)
                .await?;
            if event == Event::Replies {
                self.take_replies(run, &mut at)?;
            }
            if at.copies && at.answered {
                self.target.write_sync();
                at.copies = false;
            }
            if let Some(status) = at.ready {
                self.standing.status = status;
                self.standing.unsynced = Unsynced::Nothing;
                // The server has reported all its settings.
                self.standing.reading_doubt = false;
                return Ok(at.tag);
            }
        }
    }

    fn take_replies(&mut self, run: &mut Run, at: &mut Piecewise) -> Result<(), SessionError> {
        let mut cuts = Vec::new();
        let (mut kept, mut hinted) = (None, None);
        let mut walk = self.target.walk();
        for seen in &mut walk {
            let seen = seen.map_err(|error| TargetError::Malformed(error.to_string()))?;
            if seen.tag == tag::ERROR_RESPONSE && run.floor && !run.permitted {
                hinted = floor::hinted(seen.body()).map(|error| (seen.start, error));
            }
            let fate = match seen.tag {
                tag::READY_FOR_QUERY => {
                    at.ready = Some(status_of(seen.body())?);
                    Fate::Swallow
                }
                tag::PARAMETER_STATUS => {
                    self.standing.parameter(seen.body())?;
                    let told = Bytes::copy_from_slice(seen.raw);
                    self.brackets.settings.push(told);
                    Fate::Swallow
                }
                tag::PARSE_COMPLETE | tag::BIND_COMPLETE | tag::NO_DATA if at.translated => {
                    Fate::Swallow
                }
                _ => {
                    let progress = run.tracker.reply(
                        seen.tag,
                        seen.body(),
                        &mut self.ledger,
                        &mut self.standing,
                    )?;
                    if progress == Progress::CopyIn && !at.copies {
                        // Its Sync is already on its way: what the server makes of it could not be known.
                        return Err(
                            TargetError::Protocol("COPY began where none was expected").into()
                        );
                    }
                    at.fate(seen.tag, seen.body(), run)?
                }
            };
            let replaced = hinted.as_ref().is_some_and(|(at, _)| *at == seen.start);
            if fate != Fate::Pass || replaced {
                cuts.push(seen.start..seen.end());
            }
            if fate == Fate::Keep {
                kept = Some(seen.start..seen.end());
            }
            if at.ready.is_some() {
                break;
            }
        }
        let passed = walk.forwardable();
        let bytes = self.target.take(passed);
        let mut from = 0;
        for cut in cuts {
            self.tell(bytes.slice(from..cut.start));
            if let Some((_, error)) = hinted.take_if(|(at, _)| *at == cut.start) {
                self.tell(error);
            }
            from = cut.end;
        }
        self.tell(bytes.slice(from..));
        if let Some(kept) = kept {
            run.withheld = Some(bytes.slice(kept));
        }
        if run.tracker.fatal() {
            // The target's own last words are enough.
            return Err(SessionError::TargetEnded);
        }
        Ok(())
    }
}

impl Piecewise {
    /// What becomes of a reply to the client's own messages.
    fn fate(&mut self, seen: u8, body: &[u8], run: &mut Run) -> Result<Fate, TargetError> {
        match seen {
            tag::ERROR_RESPONSE => {
                self.answered = true;
                run.failed = true;
                run.withheld = None;
                Ok(Fate::Pass)
            }
            tag::COMMAND_COMPLETE => {
                self.answered = true;
                let message = BackendMessage::decode_parts(seen, body)
                    .map_err(|error| TargetError::Malformed(error.to_string()))?;
                if let BackendMessage::CommandComplete(tag) = message {
                    self.tag = Some(tag);
                }
                Ok(Fate::Keep)
            }
            tag::EMPTY_QUERY_RESPONSE | tag::PORTAL_SUSPENDED => {
                self.answered = true;
                Ok(Fate::Keep)
            }
            _ => Ok(Fate::Pass),
        }
    }
}

fn status_of(body: &[u8]) -> Result<TransactionStatus, TargetError> {
    let status = body.first().copied().and_then(TransactionStatus::from_byte);
    status.ok_or(TargetError::Protocol("an unknown transaction status"))
}
