//! Frontend messages from bytes.

use bytes::Bytes;

use super::{Bind, Execute, Format, FrontendMessage, FunctionCall, Parse, Query, Subject, tag};
use crate::postgres::{DecodeError, cursor::Cursor};

pub(super) fn body(tag: u8, body: Bytes) -> Result<FrontendMessage, DecodeError> {
    use FrontendMessage as M;
    Ok(match tag {
        tag::QUERY => M::Query(query(body)?),
        tag::PARSE => M::Parse(parse(body)?),
        tag::BIND => M::Bind(bind(body)?),
        tag::DESCRIBE => M::Describe(subject("Describe", body)?),
        tag::EXECUTE => M::Execute(execute(body)?),
        tag::CLOSE => M::Close(subject("Close", body)?),
        tag::SYNC => empty("Sync", body, M::Sync)?,
        tag::FLUSH => empty("Flush", body, M::Flush)?,
        tag::COPY_DATA => M::CopyData(body),
        tag::COPY_DONE => empty("CopyDone", body, M::CopyDone)?,
        tag::COPY_FAIL => {
            let mut cursor = Cursor::new("CopyFail", body);
            let reason = cursor.text("reason")?;
            cursor.finish()?;
            M::CopyFail { reason }
        }
        tag::FUNCTION_CALL => M::FunctionCall(function_call(body)?),
        tag::TERMINATE => empty("Terminate", body, M::Terminate)?,
        tag::AUTHENTICATION => M::Authentication(body),
        tag => return Err(DecodeError::UnknownTag { tag }),
    })
}

fn empty(
    message: &'static str,
    body: Bytes,
    value: FrontendMessage,
) -> Result<FrontendMessage, DecodeError> {
    Cursor::new(message, body).finish()?;
    Ok(value)
}

fn query(body: Bytes) -> Result<Query, DecodeError> {
    let mut cursor = Cursor::new("Query", body);
    let sql = cursor.text("statement")?;
    cursor.finish()?;
    Ok(Query { sql })
}

fn parse(body: Bytes) -> Result<Parse, DecodeError> {
    let mut cursor = Cursor::new("Parse", body);
    let name = cursor.text("statement name")?;
    let sql = cursor.text("statement")?;
    let count = cursor.count16("parameter types", 4)?;
    let param_oids = (0..count)
        .map(|_| cursor.uint32("parameter types"))
        .collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(Parse {
        name,
        sql,
        param_oids,
    })
}

fn bind(body: Bytes) -> Result<Bind, DecodeError> {
    let mut cursor = Cursor::new("Bind", body);
    let portal = cursor.text("portal name")?;
    let statement = cursor.text("statement name")?;
    let (param_formats, params) = values(&mut cursor)?;
    let result_formats = formats(&mut cursor, "result formats")?;
    cursor.finish()?;
    Ok(Bind {
        portal,
        statement,
        param_formats,
        params,
        result_formats,
    })
}

fn execute(body: Bytes) -> Result<Execute, DecodeError> {
    let mut cursor = Cursor::new("Execute", body);
    let portal = cursor.text("portal name")?;
    let rows_max = cursor.int32("row limit")?;
    cursor.finish()?;
    Ok(Execute { portal, rows_max })
}

fn subject(message: &'static str, body: Bytes) -> Result<Subject, DecodeError> {
    let mut cursor = Cursor::new(message, body);
    let kind = cursor.byte("kind")?;
    let name = cursor.text("name")?;
    cursor.finish()?;
    match kind {
        b'S' => Ok(Subject::Statement(name)),
        b'P' => Ok(Subject::Portal(name)),
        other => Err(cursor.bad_value("kind", other)),
    }
}

fn function_call(body: Bytes) -> Result<FunctionCall, DecodeError> {
    let mut cursor = Cursor::new("FunctionCall", body);
    let function_oid = cursor.uint32("function")?;
    let (arg_formats, args) = values(&mut cursor)?;
    let result_format = format(&mut cursor, "result format")?;
    cursor.finish()?;
    Ok(FunctionCall {
        function_oid,
        arg_formats,
        args,
        result_format,
    })
}

/// Formats, then values: the shape Bind and FunctionCall share.
fn values(cursor: &mut Cursor) -> Result<(Vec<Format>, Vec<Option<Bytes>>), DecodeError> {
    let formats = formats(cursor, "parameter formats")?;
    let count = cursor.count16("parameters", 4)?;
    if formats.len() > 1 && formats.len() != count {
        return Err(DecodeError::FormatCount {
            formats: formats.len(),
            params: count,
        });
    }
    let values = (0..count)
        .map(|_| cursor.value("parameters"))
        .collect::<Result<_, _>>()?;
    Ok((formats, values))
}

fn format(cursor: &mut Cursor, field: &'static str) -> Result<Format, DecodeError> {
    let code = cursor.int16(field)?;
    Format::from_code(code).ok_or_else(|| cursor.bad_value(field, code))
}

fn formats(cursor: &mut Cursor, field: &'static str) -> Result<Vec<Format>, DecodeError> {
    let count = cursor.count16(field, 2)?;
    (0..count).map(|_| format(cursor, field)).collect()
}
