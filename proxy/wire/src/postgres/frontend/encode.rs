//! Frontend messages to bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Bind, Format, FrontendMessage, FunctionCall, Parse, Subject};
use crate::postgres::{EncodeError, put};

/// Appends the body; the caller wrote the header.
pub(super) fn body(message: &FrontendMessage, out: &mut BytesMut) -> Result<(), EncodeError> {
    use FrontendMessage as M;
    match message {
        M::Query(query) => {
            put::text(out, query.sql.as_bytes());
            Ok(())
        }
        M::Parse(message) => parse(message, out),
        M::Bind(message) => bind(message, out),
        M::Describe(about) | M::Close(about) => {
            subject(about, out);
            Ok(())
        }
        M::Execute(execute) => {
            put::text(out, execute.portal.as_bytes());
            out.put_i32(execute.rows_max);
            Ok(())
        }
        M::Sync | M::Flush | M::CopyDone | M::Terminate => Ok(()),
        M::CopyData(data) | M::Authentication(data) => {
            out.put_slice(data);
            Ok(())
        }
        M::CopyFail { reason } => {
            put::text(out, reason.as_bytes());
            Ok(())
        }
        M::FunctionCall(call) => function_call(call, out),
    }
}

fn parse(parse: &Parse, out: &mut BytesMut) -> Result<(), EncodeError> {
    put::text(out, parse.name.as_bytes());
    put::text(out, parse.sql.as_bytes());
    put::count16(out, "parameter types", parse.param_oids.len())?;
    for oid in &parse.param_oids {
        out.put_u32(*oid);
    }
    Ok(())
}

fn bind(bind: &Bind, out: &mut BytesMut) -> Result<(), EncodeError> {
    put::text(out, bind.portal.as_bytes());
    put::text(out, bind.statement.as_bytes());
    formats("parameter formats", &bind.param_formats, out)?;
    values("parameters", &bind.params, out)?;
    formats("result formats", &bind.result_formats, out)
}

fn subject(subject: &Subject, out: &mut BytesMut) {
    let (kind, name) = match subject {
        Subject::Statement(name) => (b'S', name),
        Subject::Portal(name) => (b'P', name),
    };
    out.put_u8(kind);
    put::text(out, name.as_bytes());
}

fn function_call(call: &FunctionCall, out: &mut BytesMut) -> Result<(), EncodeError> {
    out.put_u32(call.function_oid);
    formats("argument formats", &call.arg_formats, out)?;
    values("arguments", &call.args, out)?;
    out.put_i16(call.result_format.code());
    Ok(())
}

fn values(
    field: &'static str,
    values: &[Option<Bytes>],
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    put::count16(out, field, values.len())?;
    values
        .iter()
        .try_for_each(|value| put::value(out, field, value.as_deref()))
}

fn formats(field: &'static str, formats: &[Format], out: &mut BytesMut) -> Result<(), EncodeError> {
    put::count16(out, field, formats.len())?;
    for format in formats {
        out.put_i16(format.code());
    }
    Ok(())
}
