//! Backend messages to bytes.

use bytes::{BufMut, BytesMut};

use super::{Authentication, BackendMessage, CopyShape, FieldDescription};
use crate::postgres::{EncodeError, put};

/// Appends the body; the caller wrote the header. Errors and notices encode themselves.
pub(super) fn body(message: &BackendMessage, out: &mut BytesMut) -> Result<(), EncodeError> {
    use BackendMessage as M;
    match message {
        M::Authentication(request) => authentication(request, out),
        M::BackendKeyData { process_id, key } => {
            out.put_u32(*process_id);
            out.put_slice(key.as_bytes());
        }
        M::ParameterStatus { name, value } => {
            put::text(out, name.as_bytes());
            put::text(out, value.as_bytes());
        }
        M::ReadyForQuery(status) => out.put_u8(status.as_byte()),
        M::RowDescription(fields) => return row_description(fields, out),
        M::DataRow(values) => {
            put::count16(out, "columns", values.len())?;
            for value in values {
                put::value(out, "column", value.as_deref())?;
            }
        }
        M::CommandComplete(tag) => put::text(out, tag.as_bytes()),
        M::ErrorResponse(_)
        | M::NoticeResponse(_)
        | M::EmptyQueryResponse
        | M::ParseComplete
        | M::BindComplete
        | M::CloseComplete
        | M::NoData
        | M::PortalSuspended
        | M::CopyDone => {}
        M::CopyInResponse(shape) | M::CopyOutResponse(shape) | M::CopyBothResponse(shape) => {
            return copy_shape(shape, out);
        }
        M::CopyData(data) => out.put_slice(data),
        M::ParameterDescription(oids) => {
            put::count16(out, "parameter types", oids.len())?;
            oids.iter().for_each(|oid| out.put_u32(*oid));
        }
        M::NotificationResponse {
            process_id,
            channel,
            payload,
        } => {
            out.put_u32(*process_id);
            put::text(out, channel.as_bytes());
            put::text(out, payload.as_bytes());
        }
        M::FunctionCallResponse(value) => return put::value(out, "result", value.as_deref()),
        M::NegotiateProtocolVersion {
            newest,
            unknown_options,
        } => {
            out.put_u32(newest.to_word());
            let count = u16::try_from(unknown_options.len()).map_err(|_| EncodeError::TooLong {
                field: "options",
                len: unknown_options.len(),
                max: usize::from(u16::MAX),
            })?;
            out.put_u32(u32::from(count));
            for option in unknown_options {
                put::text(out, option.as_bytes());
            }
        }
    }
    Ok(())
}

fn authentication(request: &Authentication, out: &mut BytesMut) {
    match request {
        Authentication::Ok => out.put_u32(0),
        Authentication::CleartextPassword => out.put_u32(3),
        Authentication::Md5Password { salt } => {
            out.put_u32(5);
            out.put_slice(salt);
        }
        Authentication::Sasl { mechanisms } => {
            out.put_u32(10);
            for mechanism in mechanisms {
                put::text(out, mechanism.as_bytes());
            }
            out.put_u8(0);
        }
        Authentication::SaslContinue(data) => {
            out.put_u32(11);
            out.put_slice(data);
        }
        Authentication::SaslFinal(data) => {
            out.put_u32(12);
            out.put_slice(data);
        }
        Authentication::Unsupported { code, data } => {
            out.put_u32(*code);
            out.put_slice(data);
        }
    }
}

fn row_description(fields: &[FieldDescription], out: &mut BytesMut) -> Result<(), EncodeError> {
    put::count16(out, "fields", fields.len())?;
    for field in fields {
        put::text(out, field.name.as_bytes());
        out.put_u32(field.table_oid);
        out.put_i16(field.column);
        out.put_u32(field.type_oid);
        out.put_i16(field.type_size);
        out.put_i32(field.type_modifier);
        out.put_i16(field.format.code());
    }
    Ok(())
}

fn copy_shape(shape: &CopyShape, out: &mut BytesMut) -> Result<(), EncodeError> {
    // The overall format is one byte here and the same code as the 16-bit ones.
    out.put_u8(u8::from(shape.overall.code() == 1));
    put::count16(out, "column formats", shape.columns.len())?;
    for format in &shape.columns {
        out.put_i16(format.code());
    }
    Ok(())
}
