//! Replies as text: everything a client could notice, without what differs from run to run.

use std::{fmt::Write as _, sync::LazyLock};

use anyhow::{Context, Result, bail, ensure};
use bytes::Buf;
use regex::Regex;
use sha2::{Digest, Sha256};

use crate::Reply;

/// Longer values are shown by length and hash.
const LONG: usize = 120;

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// For the eye, and equal on every server version.
    Brief,
    /// For comparing two runs: all that is the same through the proxy.
    Full,
}

/// The name of a reply, as the protocol manual spells it.
pub(super) fn name(reply: &Reply) -> &'static str {
    match reply.tag {
        b'1' => "ParseComplete",
        b'2' => "BindComplete",
        b'3' => "CloseComplete",
        b'A' => "NotificationResponse",
        b'C' => "CommandComplete",
        b'D' => "DataRow",
        b'E' => "ErrorResponse",
        b'G' => "CopyInResponse",
        b'H' => "CopyOutResponse",
        b'I' => "EmptyQueryResponse",
        b'K' => "BackendKeyData",
        b'N' => "NoticeResponse",
        b'R' => "Authentication",
        b'S' => "ParameterStatus",
        b'T' => "RowDescription",
        b'V' => "FunctionCallResponse",
        b'W' => "CopyBothResponse",
        b'Z' => "ReadyForQuery",
        b'c' => "CopyDone",
        b'd' => "CopyData",
        b'n' => "NoData",
        b's' => "PortalSuspended",
        b't' => "ParameterDescription",
        b'v' => "NegotiateProtocolVersion",
        _ => "Unknown",
    }
}

/// One reply on one line.
///
/// # Errors
/// When the reply is not well formed: that is a finding.
pub fn render(reply: &Reply, detail: Detail) -> Result<String> {
    let mut line = name(reply).to_owned();
    let mut body = reply.body.as_ref();
    let full = detail == Detail::Full;
    match reply.tag {
        b'C' => write!(line, " {}", quoted(cstr(&mut body)?))?,
        b'D' => data_row(&mut line, &mut body)?,
        b'E' | b'N' => {
            fields(&mut line, reply, full);
            body = &[];
        }
        b'T' => row_description(&mut line, &mut body, full)?,
        b'G' | b'H' => {
            let format = body.try_get_u8()?;
            let columns: Vec<u16> = (0..body.try_get_u16()?)
                .map(|_| body.try_get_u16())
                .collect::<Result<_, _>>()?;
            write!(line, " {format} {columns:?}")?;
        }
        b'K' => {
            write!(line, " {}", body.len())?;
            body = &[];
        }
        b'R' => authentication(&mut line, &mut body)?,
        b'S' => {
            let parameter = cstr(&mut body)?.to_vec();
            let value = cstr(&mut body)?;
            write!(line, " {}", String::from_utf8_lossy(&parameter))?;
            if full {
                write!(line, " {}", quoted(value))?;
            }
        }
        b'Z' => write!(line, " {}", char::from(body.try_get_u8()?))?,
        b'd' => {
            write!(line, " {}", quoted(body))?;
            body = &[];
        }
        b't' => {
            let types: Vec<u32> = (0..body.try_get_u16()?)
                .map(|_| body.try_get_u32())
                .collect::<Result<_, _>>()?;
            write!(line, " {types:?}")?;
        }
        b'v' => {
            write!(line, " {}", body.try_get_u32()? & 0xffff)?;
            for _ in 0..body.try_get_u32()? {
                write!(line, " {}", quoted(cstr(&mut body)?))?;
            }
        }
        b'A' => {
            body.try_get_u32()?;
            write!(
                line,
                " {} {}",
                quoted(cstr(&mut body)?),
                quoted(cstr(&mut body)?)
            )?;
        }
        b'V' => {
            write!(line, " {}", quoted(body))?;
            body = &[];
        }
        b'1' | b'2' | b'3' | b'I' | b'c' | b'n' | b's' => {}
        other => bail!("no reply has the tag {:?}", char::from(other)),
    }
    ensure!(body.is_empty(), "{line} has {} bytes too many", body.len());
    Ok(line)
}

/// A line without what differs from run to run (hold ids, times, ports), and without what analysis has to
/// say of a statement, which is tested where it is made.
#[must_use]
pub fn neutral(line: &str) -> String {
    static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let patterns = [
            (r"HLD-[0-9A-Z]{4,10}", "HLD-XXXX"),
            (
                r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d(:?\d\d)?| ?UTC)?",
                "<time>",
            ),
            (r"\b\d\d:\d\d:\d\d( UTC)?\b", "<time>"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
            (r"Expires in (\d+[dhms] ?)+", "Expires in <duration>"),
            (
                r"(this is the default|empties whole tables); .*?(\)?\. (?:Expires|Reviewer|The hold|Asked)|\.\x22)",
                "$1; <facts>$2",
            ),
            (r"clinic_[0-9a-f]{12}", "clinic"),
            (r"\b\d+(\.\d+)? (ms|seconds?|s)\b", "<duration>"),
        ];
        let compiled = patterns
            .into_iter()
            .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with)));
        compiled.collect()
    });
    let mut line = line.to_owned();
    for (pattern, with) in PATTERNS.iter() {
        line = pattern.replace_all(&line, *with).into_owned();
    }
    line
}

fn cstr<'a>(body: &mut &'a [u8]) -> Result<&'a [u8]> {
    let end = body
        .iter()
        .position(|byte| *byte == 0)
        .context("a string without its end")?;
    let (text, rest) = body.split_at(end);
    *body = &rest[1..];
    Ok(text)
}

fn quoted(bytes: &[u8]) -> String {
    if bytes.len() > LONG {
        return format!(
            "<{} bytes {}>",
            bytes.len(),
            hex::encode(&Sha256::digest(bytes)[..4])
        );
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::Value::from(text).to_string(),
        Err(_) => format!("<{}>", hex::encode(bytes)),
    }
}

fn data_row(line: &mut String, body: &mut &[u8]) -> Result<()> {
    for _ in 0..body.try_get_u16()? {
        match usize::try_from(body.try_get_i32()?) {
            Err(_) => line.push_str(" null"),
            Ok(length) => {
                let (value, rest) = body.split_at_checked(length).context("a short value")?;
                write!(line, " {}", quoted(value))?;
                *body = rest;
            }
        }
    }
    Ok(())
}

fn row_description(line: &mut String, body: &mut &[u8], full: bool) -> Result<()> {
    for _ in 0..body.try_get_u16()? {
        write!(line, " {}", quoted(cstr(body)?))?;
        let (table, column) = (body.try_get_u32()?, body.try_get_u16()?);
        write!(line, ":{}", body.try_get_u32()?)?;
        let (size, modifier) = (body.try_get_i16()?, body.try_get_i32()?);
        let format = body.try_get_u16()?;
        if format != 0 {
            line.push_str(":binary");
        }
        if full {
            // Tables made on the way have other OIDs in each run.
            let table = if table == 0 { "no table" } else { "a table" };
            write!(line, "({table} {column} {size} {modifier})")?;
        }
    }
    Ok(())
}

/// `ERROR 42601 "message"` and the other fields by name, without the place in the server's source: the
/// proxy answers for a name it does not know before the server could.
fn fields(line: &mut String, reply: &Reply, full: bool) {
    for letter in [b'S', b'C', b'M'] {
        let value = reply.field(letter).unwrap_or_default();
        let value = if letter == b'M' {
            quoted(value.as_bytes())
        } else {
            value
        };
        let _ = write!(line, " {value}");
    }
    for (letter, value) in reply.fields() {
        let name = match letter {
            b'D' => "detail",
            b'H' => "hint",
            b'P' => "position",
            b'p' => "internal_position",
            b'q' => "internal_query",
            b'W' => "where",
            b's' => "schema",
            b't' => "table",
            b'c' => "column",
            b'd' => "type",
            b'n' => "constraint",
            b'V' if full => "severity",
            _ => continue,
        };
        let value = serde_json::Value::from(value);
        let _ = write!(line, " {name}={value}");
    }
}

fn authentication(line: &mut String, body: &mut &[u8]) -> Result<()> {
    match body.try_get_u32()? {
        0 => line.push_str("Ok"),
        3 => line.push_str("CleartextPassword"),
        5 => {
            line.push_str("MD5Password");
            *body = &[];
        }
        10 => {
            line.push_str("SASL");
            let list = body.strip_suffix(&[0]).context("a list without its end")?;
            for mechanism in list
                .split(|byte| *byte == 0)
                .filter(|name| !name.is_empty())
            {
                write!(line, " {}", String::from_utf8_lossy(mechanism))?;
            }
            *body = &[];
        }
        11 => {
            line.push_str("SASLContinue");
            *body = &[];
        }
        12 => {
            line.push_str("SASLFinal");
            *body = &[];
        }
        other => write!(line, " {other}")?,
    }
    Ok(())
}
