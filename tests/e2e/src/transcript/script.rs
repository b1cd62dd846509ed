//! Reading transcripts: lines to blocks, blocks to bytes.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;
use serde_json::Value;

/// A file, in order.
#[derive(Debug, Clone)]
pub struct Transcript {
    pub name: String,
    pub blocks: Vec<Block>,
}

/// What is sent together, and what answers it.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Comments and empty lines before it, kept when the file is rewritten.
    pub preface: Vec<String>,
    /// The connection; the first one when empty.
    pub connection: Option<String>,
    pub acts: Vec<Act>,
    pub sends: Vec<Send>,
    pub until: Option<(String, usize)>,
    pub replies: Vec<String>,
    /// Line number of its first line.
    pub line: usize,
    source: Vec<String>,
}

/// Something done besides talking.
#[derive(Debug, Clone)]
pub enum Act {
    /// `! running "text"`: waits until the database runs a statement with this text.
    Running(String),
    /// `! cancel`: CancelRequest for this connection.
    Cancel,
    /// `! approve`, `! deny "reason"`: decides the one pending hold.
    Approve,
    Deny(String),
    /// `! ran "text"`, `! never-ran "text"`: what the target was asked.
    Ran(String),
    NeverRan(String),
    /// `! admin "SQL"`: run by the administrator, past the proxy.
    Admin(String),
}

/// A message to send.
#[derive(Debug, Clone)]
pub enum Send {
    /// `> Startup 196608 {"application_name": "x"}`; the run adds user, database and password.
    Startup(i32, Vec<(String, String)>),
    /// Bytes, and whether they earn a ReadyForQuery.
    Bytes(Vec<u8>, bool),
}

impl Transcript {
    /// Reads a file.
    ///
    /// # Errors
    /// Naming the line that cannot be understood.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut blocks: Vec<Block> = Vec::new();
        let mut block = Block::default();
        for (index, line) in text.lines().enumerate() {
            let at = || format!("{}:{}: {line}", path.display(), index + 1);
            let answered = !block.replies.is_empty();
            match line.split_at_checked(2) {
                Some(("< ", reply)) => {
                    block.replies.push(reply.to_owned());
                    continue;
                }
                _ if answered => blocks.push(std::mem::take(&mut block)),
                _ => {}
            }
            match line.split_at_checked(2) {
                Some(("> ", sent)) => block.sends.push(send(sent).with_context(at)?),
                Some(("! ", act)) => block.acts.push(self::act(act).with_context(at)?),
                Some(("? ", rest)) => block.until = Some(until(rest).with_context(at)?),
                Some(("@ ", name)) => block.connection = Some(name.trim().to_owned()),
                _ if line.is_empty() || line.starts_with('#') => {
                    if !block.sends.is_empty() || !block.acts.is_empty() {
                        blocks.push(std::mem::take(&mut block));
                    }
                    block.preface.push(line.to_owned());
                    continue;
                }
                _ => bail!("not a line of a transcript: {}", at()),
            }
            if block.source.is_empty() {
                block.line = index + 1;
            }
            block.source.push(line.to_owned());
        }
        blocks.push(block);
        Ok(Self { name, blocks })
    }

    /// The file again, with other replies.
    #[must_use]
    pub fn with_replies(&self, replies: &[Vec<String>]) -> String {
        let mut lines = Vec::new();
        for (block, replies) in self.blocks.iter().zip(replies) {
            lines.extend(block.preface.iter().cloned());
            lines.extend(block.source.iter().cloned());
            lines.extend(replies.iter().map(|reply| format!("< {reply}")));
        }
        lines.join("\n") + "\n"
    }
}

impl Block {
    /// Whether anything has to be read after sending.
    #[must_use]
    pub fn last_reply(&self) -> Option<(String, usize)> {
        if let Some(until) = &self.until {
            return Some(until.clone());
        }
        let earned = self
            .sends
            .iter()
            .filter(|send| matches!(send, Send::Startup(..) | Send::Bytes(_, true)))
            .count();
        (earned > 0).then(|| ("ReadyForQuery".to_owned(), earned))
    }
}

fn until(rest: &str) -> Result<(String, usize)> {
    let mut words = rest.split_whitespace();
    let (Some("until"), Some(name)) = (words.next(), words.next()) else {
        bail!("expected: ? until NAME [TIMES]")
    };
    Ok((name.to_owned(), words.next().unwrap_or("1").parse()?))
}

fn act(text: &str) -> Result<Act> {
    let (verb, mut arguments) = words(text)?;
    Ok(match verb {
        "running" => Act::Running(text_of(arguments.next())?),
        "cancel" => Act::Cancel,
        "approve" => Act::Approve,
        "deny" => Act::Deny(text_of(arguments.next())?),
        "ran" => Act::Ran(text_of(arguments.next())?),
        "never-ran" => Act::NeverRan(text_of(arguments.next())?),
        "admin" => Act::Admin(text_of(arguments.next())?),
        other => bail!("no such act: {other}"),
    })
}

fn words(text: &str) -> Result<(&str, impl Iterator<Item = Value>)> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let values: Vec<Value> = serde_json::Deserializer::from_str(rest)
        .into_iter()
        .collect::<Result<_, _>>()?;
    Ok((verb, values.into_iter()))
}

fn text_of(value: Option<Value>) -> Result<String> {
    match value.context("an argument is missing")? {
        Value::String(text) => Ok(text),
        // A long text without a long line.
        Value::Object(map) => {
            let part = map
                .get("repeat")
                .and_then(Value::as_str)
                .context("repeat")?;
            let times = map.get("times").and_then(Value::as_u64).context("times")?;
            let text = |key| map.get(key).and_then(Value::as_str).unwrap_or_default();
            Ok(format!(
                "{}{}{}",
                text("before"),
                part.repeat(usize::try_from(times)?),
                text("after")
            ))
        }
        other => bail!("expected a text, not {other}"),
    }
}

fn number_of(value: Option<&Value>) -> Result<i32> {
    let number = value.and_then(Value::as_i64);
    let number = number.context("expected a number")?;
    Ok(i32::try_from(number)?)
}

fn send(text: &str) -> Result<Send> {
    let (name, mut arguments) = words(text)?;
    let mut bytes = BytesMut::new();
    let mut earns = false;
    match name {
        "Startup" => return startup(arguments),
        "Query" => {
            frontend::query(&text_of(arguments.next())?, &mut bytes)?;
            earns = true;
        }
        "Parse" => {
            let (statement, query) = (text_of(arguments.next())?, text_of(arguments.next())?);
            let types = numbers(arguments.next())?;
            frontend::parse(
                &statement,
                &query,
                types.iter().map(|oid| oid.cast_unsigned()),
                &mut bytes,
            )?;
        }
        "Bind" => bind(arguments, &mut bytes)?,
        "Describe" | "Close" => {
            let kind = *text_of(arguments.next())?
                .as_bytes()
                .first()
                .context("S or P")?;
            let target = text_of(arguments.next())?;
            let write = if name == "Close" {
                frontend::close
            } else {
                frontend::describe
            };
            write(kind, &target, &mut bytes)?;
        }
        "Execute" => frontend::execute(
            &text_of(arguments.next())?,
            number_of(arguments.next().as_ref()).unwrap_or(0),
            &mut bytes,
        )?,
        "Sync" => {
            frontend::sync(&mut bytes);
            earns = true;
        }
        "Flush" => frontend::flush(&mut bytes),
        "Terminate" => frontend::terminate(&mut bytes),
        "CopyData" => frontend::CopyData::new(std::io::Cursor::new(
            text_of(arguments.next())?.into_bytes(),
        ))?
        .write(&mut bytes),
        "CopyDone" => frontend::copy_done(&mut bytes),
        "CopyFail" => frontend::copy_fail(&text_of(arguments.next())?, &mut bytes)?,
        "Raw" => bytes.extend(hex::decode(text_of(arguments.next())?)?),
        "FunctionCall" => {
            bytes.extend(crate::raw::message(
                b'F',
                &hex::decode(text_of(arguments.next())?)?,
            ));
            earns = true;
        }
        other => bail!("no such message: {other}"),
    }
    Ok(Send::Bytes(bytes.to_vec(), earns))
}

fn startup(mut arguments: impl Iterator<Item = Value>) -> Result<Send> {
    let version = number_of(arguments.next().as_ref())?;
    let mut parameters = Vec::new();
    if let Some(Value::Object(map)) = arguments.next() {
        for (name, value) in map {
            parameters.push((name, text_of(Some(value))?));
        }
    }
    Ok(Send::Startup(version, parameters))
}

fn numbers(value: Option<Value>) -> Result<Vec<i32>> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let list = value.as_array().context("expected a list of numbers")?;
    list.iter().map(|number| number_of(Some(number))).collect()
}

/// `> Bind "portal" "statement" ["a", null, {"repeat": "x", "times": 9}] [result formats]`
fn bind(mut arguments: impl Iterator<Item = Value>, into: &mut BytesMut) -> Result<()> {
    let (portal, statement) = (text_of(arguments.next())?, text_of(arguments.next())?);
    let values = arguments.next().unwrap_or(Value::Array(Vec::new()));
    let formats = numbers(arguments.next())?;
    let mut body = BytesMut::new();
    for name in [portal, statement] {
        body.put_slice(name.as_bytes());
        body.put_u8(0);
    }
    body.put_i16(0);
    let values = values.as_array().context("expected a list of values")?;
    body.put_i16(i16::try_from(values.len())?);
    for value in values {
        if value.is_null() {
            body.put_i32(-1);
            continue;
        }
        let text = text_of(Some(value.clone()))?;
        body.put_i32(i32::try_from(text.len())?);
        body.put_slice(text.as_bytes());
    }
    body.put_i16(i16::try_from(formats.len())?);
    for format in formats {
        body.put_i16(i16::try_from(format)?);
    }
    into.extend(crate::raw::message(b'B', &body));
    Ok(())
}
