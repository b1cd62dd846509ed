//! Cuts a cleared batch into pieces that run one command each.
//!
//! A Query becomes one Parse, Bind, Describe and Execute for each of its statements: with Parse the server
//! itself refuses a text of several commands, whatever analysis took it for. Groups of the extended protocol
//! are cut behind each Execute. A piece comes from a [`Cleared`] only (invariant 2).

use std::collections::VecDeque;

use abeyance_wire::postgres::{
    Bind, EncodeError, Execute, Frame, FrontendMessage, Parse, Subject, WireStr,
};
use bytes::{Bytes, BytesMut};

use super::{
    cap::changes,
    control::{Kind, kind_of},
    words::{Word, words},
    written::question,
};
use crate::session::{cleared::Cleared, judge::Step, reading::Reading};

/// Messages that run one command at most. Only the target's side looks inside.
#[derive(Debug)]
pub(crate) struct Piece {
    messages: Vec<Bytes>,
    /// Part of a Query: its replies are told in the words of the simple protocol.
    pub(super) translated: bool,
    pub(super) command: Option<Command>,
}

/// The command a piece runs.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) kind: Kind,
    /// Its tag may count changed rows even if it says SELECT or COPY.
    pub(super) changes: bool,
    /// What the target is asked for the rows it changes, where its tag does not tell.
    pub(super) question: Option<String>,
    /// It is a SHOW: the transaction is as new as before.
    pub(super) shows: bool,
    /// Data may flow from the client while it runs.
    pub(super) copies: bool,
    /// It is an EXECUTE, of what was given a name.
    names: bool,
    /// It may stop before all rows have come: then no tag tells what it did.
    pub(super) part: bool,
    /// The portal it executes, if that was opened before this piece.
    pub(super) resumes: Option<Box<[u8]>>,
}

impl Command {
    fn of(text: &[u8], facts: Option<&abeyance_sql::StatementFacts>) -> Self {
        let first = words(text).into_iter().next();
        let is = |word: &str| matches!(&first, Some(Word::Plain(first)) if first == word);
        Self {
            kind: kind_of(text),
            changes: changes(facts),
            question: match &first {
                Some(Word::Plain(first)) => question(first, facts),
                _ => question("", facts),
            },
            shows: is("show"),
            copies: is("copy"),
            names: is("execute"),
            part: false,
            resumes: None,
        }
    }

    /// It may make what ran before it last.
    pub(super) fn may_end(&self) -> bool {
        self.kind != Kind::Plain || self.names
    }

    /// The same for an Execute, whose rows may be limited.
    fn executed(mut self, frame: &Frame, facts: Option<&abeyance_sql::StatementFacts>) -> Self {
        self.part = !frame.raw().ends_with(&NO_LIMIT);
        if self.part && self.changes && self.question.is_none() {
            self.question = question("", facts);
        }
        self
    }
}

/// How an Execute of all rows ends.
const NO_LIMIT: [u8; 4] = [0; 4];

impl Piece {
    /// For the writer.
    pub(crate) fn into_messages(self) -> Vec<Bytes> {
        self.messages
    }
}

/// The pieces of a batch, and what its messages are expected to do.
///
/// `floor`: transaction commands are not forwarded.
pub(super) fn cut(
    cleared: Cleared,
    floor: bool,
) -> Result<(VecDeque<Piece>, Vec<Step>), EncodeError> {
    let (frames, steps) = cleared.into_parts();
    let mut pieces = VecDeque::new();
    let mut open = Vec::new();
    let mut bound: Vec<&[u8]> = Vec::new();
    let close = |open: &mut Vec<Bytes>, pieces: &mut VecDeque<Piece>, command| {
        if !open.is_empty() {
            let messages = std::mem::take(open);
            pieces.push_back(Piece {
                messages,
                translated: false,
                command,
            });
        }
    };
    for (frame, step) in frames.into_iter().zip(&steps) {
        match step {
            Step::Query { reading } => {
                close(&mut open, &mut pieces, None);
                query(reading, &mut pieces)?;
            }
            Step::Execute { portal, prepared } => {
                let facts = prepared.facts().first();
                let opened = std::mem::take(&mut bound);
                let command = Command {
                    resumes: (!opened.contains(&&**portal)).then(|| portal.clone()),
                    ..Command::of(&prepared.text(), facts).executed(&frame, facts)
                };
                // A command that is not forwarded leaves its Bind to itself.
                if floor && matches!(command.kind, Kind::Control(_)) {
                    close(&mut open, &mut pieces, None);
                }
                open.push(Frame::into_raw(frame));
                close(&mut open, &mut pieces, Some(command));
            }
            Step::Sync | Step::Flush => {}
            Step::Bind { portal, .. } => {
                bound.push(portal);
                open.push(frame.into_raw());
            }
            Step::Parse { .. }
            | Step::Describe
            | Step::CloseStatement { .. }
            | Step::ClosePortal { .. } => open.push(frame.into_raw()),
        }
    }
    close(&mut open, &mut pieces, None);
    Ok((pieces, steps))
}

fn query(reading: &Reading, pieces: &mut VecDeque<Piece>) -> Result<(), EncodeError> {
    let single = reading.facts.len() <= 1;
    if single {
        // As it came, so that positions in errors are those of the client's text.
        let command = Command::of(&reading.text, reading.facts.first());
        pieces.push_back(statement(reading.text.clone(), command)?);
        return Ok(());
    }
    for facts in &reading.facts {
        let text = reading.text_of(facts);
        let command = Command::of(&text, Some(facts));
        pieces.push_back(statement(text, command)?);
    }
    Ok(())
}

/// The messages that run a text as one command, by the unnamed statement and portal, as a Query does.
fn statement(text: Bytes, command: Command) -> Result<Piece, EncodeError> {
    Ok(Piece {
        messages: vec![run_text(WireStr::new(text)?)?],
        translated: true,
        command: Some(command),
    })
}

/// The same for a text of our own.
pub(super) fn own(text: &str) -> Result<Piece, EncodeError> {
    Ok(Piece {
        messages: vec![run_text(WireStr::from_text_lossy(text))?],
        translated: true,
        command: None,
    })
}

fn run_text(sql: WireStr) -> Result<Bytes, EncodeError> {
    let none = WireStr::default;
    let mut out = BytesMut::new();
    for message in [
        FrontendMessage::Parse(Parse {
            name: none(),
            sql,
            param_oids: Vec::new(),
        }),
        FrontendMessage::Bind(Bind {
            portal: none(),
            statement: none(),
            param_formats: Vec::new(),
            params: Vec::new(),
            result_formats: Vec::new(),
        }),
        FrontendMessage::Describe(Subject::Portal(none())),
        FrontendMessage::Execute(Execute {
            portal: none(),
            rows_max: 0,
        }),
    ] {
        message.encode(&mut out)?;
    }
    Ok(out.freeze())
}
