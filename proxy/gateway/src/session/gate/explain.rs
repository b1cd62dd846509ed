//! Asks the target what it makes of a statement, on the session's own connection and without a trace.
//!
//! One bracket a question: opened, asked, rolled back, in one exchange. It is read-only and has no time bounds of its
//! own: EXPLAIN waits for what the statement itself would wait for, and a cancel request of the client ends it.

use abeyance_sql::postgres::plan::EXPLAIN_PREFIX;
use abeyance_wire::postgres::{
    BackendMessage, Bind, ErrorFields, FrontendMessage, Parse, SqlState, Subject,
    TransactionStatus, WireStr,
};
use bytes::Bytes;

use super::ask::{Ask, Words};
use crate::{
    error::{SessionError, TargetError},
    limits::PLAN_MESSAGE_BYTES_MAX,
    session::{
        Session,
        own::{OWN, close_own, own_execution, own_statement},
        standing::Unsynced,
    },
};

/// The name a client's text goes by on the target while it is asked about.
const ASKED: WireStr = WireStr::from_static("_abeyance_asked");

/// What the target says of a statement.
#[derive(Debug)]
pub(super) enum Reply {
    Plan(Bytes),
    /// In the words it would have for the statement itself.
    Refused(ErrorFields),
    /// It would not let itself be asked.
    Unasked,
}

/// What goes between the opening and the closing of a bracket.
enum Question {
    Statement(WireStr, Vec<u32>, Bind),
    /// The client's text is prepared, then explained for any values, if there is anything to explain.
    Prepared(Parse, Option<WireStr>),
}

/// What came back.
#[derive(Debug, Default)]
struct Told {
    /// Statements that were parsed, and run, before an error.
    parsed: usize,
    completed: usize,
    value: Option<Bytes>,
    error: Option<ErrorFields>,
}

impl Session {
    /// The target's plan of a statement.
    pub(super) async fn explain(&mut self, ask: &Ask) -> Result<Reply, SessionError> {
        match &ask.words {
            Words::Plain { sql, offset } => {
                let asked = self.explain_text(sql, Vec::new(), None).await?;
                Ok(shifted(asked, *offset))
            }
            Words::Prepared {
                sql,
                param_oids,
                bind,
            } => {
                let count = bind.params.len().max(param_oids.len());
                let any = vec!["NULL"; count].join(",");
                let explain = format!("{EXPLAIN_PREFIX}EXECUTE {}({any})", ASKED.to_string_lossy());
                let question = Question::Prepared(
                    parse(sql, param_oids)?,
                    Some(WireStr::from_text_lossy(&explain)),
                );
                let (prologue, told) = self.bracketed(question).await?;
                match told.error {
                    None => Ok(told.value.map_or(Reply::Unasked, Reply::Plan)),
                    Some(_) if told.completed < prologue => Ok(Reply::Unasked),
                    Some(fields) if told.parsed == prologue => {
                        Ok(Reply::Refused(named(fields, bind)))
                    }
                    // Planning failed, or no value is not a value it takes: ask with those that were given.
                    Some(_) => {
                        let oids = param_oids.clone();
                        let asked = self.explain_text(sql, oids, Some(bind)).await?;
                        Ok(match shifted(asked, 0) {
                            Reply::Refused(fields) => Reply::Refused(named(fields, bind)),
                            other => other,
                        })
                    }
                }
            }
        }
    }

    /// The target's error for a statement that it cannot even analyse. Nothing of it is planned or run.
    pub(super) async fn analysed_by_target(
        &mut self,
        ask: &Ask,
    ) -> Result<Option<ErrorFields>, SessionError> {
        let none = Vec::new();
        let (sql, oids, offset) = match &ask.words {
            Words::Plain { sql, offset } => (sql, &none, *offset),
            Words::Prepared {
                sql, param_oids, ..
            } => (sql, param_oids, 0),
        };
        let question = Question::Prepared(parse(sql, oids)?, None);
        let (prologue, told) = self.bracketed(question).await?;
        let fields = told.error.filter(|_| told.completed >= prologue);
        Ok(fields.map(|fields| moved(fields, 0, offset)))
    }

    async fn explain_text(
        &mut self,
        sql: &Bytes,
        param_oids: Vec<u32>,
        bound: Option<&Bind>,
    ) -> Result<Reply, SessionError> {
        let text = WireStr::new([EXPLAIN_PREFIX.as_bytes(), &sql[..]].concat())?;
        let bind = Bind {
            portal: OWN,
            statement: OWN,
            param_formats: bound.map_or_else(Vec::new, |bind| bind.param_formats.clone()),
            params: bound.map_or_else(Vec::new, |bind| bind.params.clone()),
            result_formats: Vec::new(),
        };
        let question = Question::Statement(text, param_oids, bind);
        let (prologue, told) = self.bracketed(question).await?;
        Ok(match told.error {
            None => told.value.map_or(Reply::Unasked, Reply::Plan),
            Some(_) if told.completed < prologue => Reply::Unasked,
            Some(fields) => Reply::Refused(fields),
        })
    }

    /// Puts a question inside a bracket of its own, and tells how many statements opened it.
    async fn bracketed(&mut self, question: Question) -> Result<(usize, Told), SessionError> {
        let before = self.standing.status;
        if before == TransactionStatus::Failed || self.standing.unsynced == Unsynced::Work {
            // Asking would end what the client has begun.
            return Err(SessionError::Internal("a question out of place"));
        }
        let inside = before == TransactionStatus::InTransaction;
        let (open, end): (&[&str], &[&str]) = if inside {
            (
                &[
                    "SAVEPOINT _abeyance",
                    "SET LOCAL transaction_read_only = on",
                ],
                &[
                    "ROLLBACK TO SAVEPOINT _abeyance",
                    "RELEASE SAVEPOINT _abeyance",
                ],
            )
        } else {
            // The cheapest that can be had, whatever the session's default is.
            (
                &["BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"],
                &["ROLLBACK"],
            )
        };
        let mut prologue = open.len();
        for sql in open {
            own_statement(&mut self.target, sql)?;
        }
        match question {
            Question::Statement(sql, oids, bind) => {
                own_execution(&mut self.target, sql, oids, bind)?;
            }
            Question::Prepared(parse, explain) => {
                if explain.is_some() {
                    let generic = "SET LOCAL plan_cache_mode = force_generic_plan";
                    own_statement(&mut self.target, generic)?;
                    prologue += 1;
                }
                self.target.write_own(&FrontendMessage::Parse(parse))?;
                if let Some(explain) = explain {
                    let explain = explain.to_string_lossy();
                    own_statement(&mut self.target, &explain)?;
                }
            }
        }
        self.target.write_sync();
        // Behind the Sync, so that it is done also after an error.
        close_own(&mut self.target)?;
        let asked = Subject::Statement(ASKED);
        self.target.write_own(&FrontendMessage::Close(asked))?;
        for sql in end {
            own_statement(&mut self.target, sql)?;
        }
        self.target.write_sync();
        self.target.flush().await?;
        let told = self.told().await?;
        self.told().await?;
        self.standing.unsynced = Unsynced::Nothing;
        if self.standing.status != before {
            return Err(TargetError::Protocol("a question changed the transaction").into());
        }
        Ok((prologue, told))
    }

    /// Reads one group of replies, as long as it takes: the client can cancel, the gateway can end.
    async fn told(&mut self) -> Result<Told, SessionError> {
        let mut told = Told::default();
        loop {
            // Every arm is cancel-safe: the socket fills its own buffer, the channel keeps what it has.
            let reply = tokio::select! {
                biased;
                reply = self.target.own_reply_within(PLAN_MESSAGE_BYTES_MAX) => reply?,
                Some(request) = self.slot.requests.recv() => {
                    self.forward_cancel(request);
                    continue;
                }
                () = &mut self.deadline => return Err(SessionError::Shutdown),
            };
            match reply {
                BackendMessage::ReadyForQuery(status) => {
                    // Not `Standing::ready`: portals of the client's transaction live on.
                    self.standing.status = status;
                    return Ok(told);
                }
                BackendMessage::ParseComplete => told.parsed += 1,
                BackendMessage::CommandComplete(_) => told.completed += 1,
                BackendMessage::DataRow(columns) => {
                    told.value = columns.into_iter().next().flatten();
                }
                reply => {
                    self.pass_own(&reply)?;
                    if let BackendMessage::ErrorResponse(fields) = reply {
                        told.error.get_or_insert(fields);
                    }
                }
            }
        }
    }
}

fn parse(sql: &Bytes, param_oids: &[u32]) -> Result<Parse, SessionError> {
    Ok(Parse {
        name: ASKED,
        sql: WireStr::new(sql.to_vec())?,
        param_oids: param_oids.to_vec(),
    })
}

/// An error about a text that had our words in front of it, as it would be about the client's.
fn shifted(reply: Reply, offset: usize) -> Reply {
    match reply {
        Reply::Refused(fields) => Reply::Refused(moved(fields, EXPLAIN_PREFIX.len(), offset)),
        Reply::Plan(_) | Reply::Unasked => reply,
    }
}

/// Takes `before` characters off the position an error gives, and adds `offset`.
fn moved(fields: ErrorFields, before: usize, offset: usize) -> ErrorFields {
    const POSITION: u8 = b'P';
    let Some(position) = fields.get(POSITION) else {
        return fields;
    };
    let position = position.to_string_lossy().parse::<usize>().ok();
    match position.and_then(|position| position.checked_sub(before)) {
        Some(position) if position > 0 => fields.position(position + offset),
        _ => fields.without(POSITION),
    }
}

/// Puts the client's names where the target's words have ours.
fn named(fields: ErrorFields, bind: &Bind) -> ErrorFields {
    const TEXTS: [u8; 2] = [b'M', b'W'];
    let unnamed = bind.portal.as_bytes().is_empty();
    let portal = bind.portal.to_string_lossy();
    let statement = format!("\"{}\"", bind.statement.to_string_lossy());
    let mut renamed = fields;
    for code in TEXTS {
        let Some(text) = renamed.get(code) else {
            continue;
        };
        let text = text.to_string_lossy();
        if !text.contains("_abeyance") {
            continue;
        }
        let portal = if unnamed {
            "unnamed portal".to_owned()
        } else {
            format!("portal \"{portal}\"")
        };
        let text = text
            .replace("portal \"_abeyance\"", &portal)
            .replace("\"_abeyance_asked\"", &statement)
            .replace("\"_abeyance\"", &statement);
        renamed = renamed.field(code, text);
    }
    renamed
}

/// The statement was not refused for what it is: it was cancelled, or waited too long, or lost to another.
pub(super) fn is_interruption(fields: &ErrorFields) -> bool {
    let state = fields.sqlstate();
    state.is_some_and(|state: SqlState| {
        let state = state.as_str();
        ["57", "55", "40", "53"]
            .iter()
            .any(|class| state.starts_with(class))
    })
}
