//! Backend messages from bytes. As strict as the frontend side.

use bytes::Bytes;

use super::{
    Authentication, BackendMessage, CommandTag, CopyShape, FieldDescription, TransactionStatus, tag,
};
use crate::postgres::{
    CancelKey, DecodeError, ErrorFields, Format, ProtocolVersion, WireStr, cursor::Cursor,
};

pub(super) fn body(tag: u8, body: Bytes) -> Result<BackendMessage, DecodeError> {
    use BackendMessage as M;
    Ok(match tag {
        tag::AUTHENTICATION => M::Authentication(authentication(body)?),
        tag::BACKEND_KEY_DATA => backend_key_data(body)?,
        tag::PARAMETER_STATUS => parameter_status(body)?,
        tag::READY_FOR_QUERY => M::ReadyForQuery(ready_for_query(body)?),
        tag::ERROR_RESPONSE => M::ErrorResponse(ErrorFields::decode("ErrorResponse", body)?),
        tag::NOTICE_RESPONSE => M::NoticeResponse(ErrorFields::decode("NoticeResponse", body)?),
        tag::ROW_DESCRIPTION => M::RowDescription(row_description(body)?),
        tag::DATA_ROW => M::DataRow(data_row(body)?),
        tag::COMMAND_COMPLETE => M::CommandComplete(command_complete(body)?),
        tag::EMPTY_QUERY_RESPONSE => bare("EmptyQueryResponse", body, M::EmptyQueryResponse)?,
        tag::PARSE_COMPLETE => bare("ParseComplete", body, M::ParseComplete)?,
        tag::BIND_COMPLETE => bare("BindComplete", body, M::BindComplete)?,
        tag::CLOSE_COMPLETE => bare("CloseComplete", body, M::CloseComplete)?,
        tag::NO_DATA => bare("NoData", body, M::NoData)?,
        tag::PORTAL_SUSPENDED => bare("PortalSuspended", body, M::PortalSuspended)?,
        tag::COPY_IN_RESPONSE => M::CopyInResponse(copy_shape("CopyInResponse", body)?),
        tag::COPY_OUT_RESPONSE => M::CopyOutResponse(copy_shape("CopyOutResponse", body)?),
        tag::COPY_BOTH_RESPONSE => M::CopyBothResponse(copy_shape("CopyBothResponse", body)?),
        tag::COPY_DATA => M::CopyData(body),
        tag::COPY_DONE => bare("CopyDone", body, M::CopyDone)?,
        tag::PARAMETER_DESCRIPTION => M::ParameterDescription(parameter_description(body)?),
        tag::NOTIFICATION_RESPONSE => notification(body)?,
        tag::FUNCTION_CALL_RESPONSE => M::FunctionCallResponse(function_call_response(body)?),
        tag::NEGOTIATE_PROTOCOL_VERSION => negotiate_protocol_version(body)?,
        tag => return Err(DecodeError::UnknownTag { tag }),
    })
}

fn bare(
    message: &'static str,
    body: Bytes,
    value: BackendMessage,
) -> Result<BackendMessage, DecodeError> {
    Cursor::new(message, body).finish()?;
    Ok(value)
}

fn authentication(body: Bytes) -> Result<Authentication, DecodeError> {
    let mut cursor = Cursor::new("Authentication", body);
    let request = match cursor.uint32("request code")? {
        0 => Authentication::Ok,
        3 => Authentication::CleartextPassword,
        5 => {
            let salt = cursor.uint32("salt")?.to_be_bytes();
            Authentication::Md5Password { salt }
        }
        10 => Authentication::Sasl {
            mechanisms: mechanisms(&mut cursor)?,
        },
        11 => Authentication::SaslContinue(cursor.rest()),
        12 => Authentication::SaslFinal(cursor.rest()),
        code => Authentication::Unsupported {
            code,
            data: cursor.rest(),
        },
    };
    cursor.finish()?;
    Ok(request)
}

/// Names up to an empty one.
fn mechanisms(cursor: &mut Cursor) -> Result<Vec<WireStr>, DecodeError> {
    let mut names = Vec::new();
    loop {
        let name = cursor.text("SASL mechanisms")?;
        if name.is_empty() {
            return Ok(names);
        }
        names.push(name);
    }
}

fn backend_key_data(body: Bytes) -> Result<BackendMessage, DecodeError> {
    let mut cursor = Cursor::new("BackendKeyData", body);
    let process_id = cursor.uint32("process id")?;
    let secret = cursor.rest();
    let key = CancelKey::new(&secret).map_err(|_| {
        cursor.bad_length(
            "cancel key",
            i64::try_from(secret.len()).unwrap_or(i64::MAX),
        )
    })?;
    Ok(BackendMessage::BackendKeyData { process_id, key })
}

fn parameter_status(body: Bytes) -> Result<BackendMessage, DecodeError> {
    let mut cursor = Cursor::new("ParameterStatus", body);
    let name = cursor.text("name")?;
    let value = cursor.text("value")?;
    cursor.finish()?;
    Ok(BackendMessage::ParameterStatus { name, value })
}

fn ready_for_query(body: Bytes) -> Result<TransactionStatus, DecodeError> {
    let mut cursor = Cursor::new("ReadyForQuery", body);
    let byte = cursor.byte("transaction status")?;
    cursor.finish()?;
    TransactionStatus::from_byte(byte).ok_or_else(|| cursor.bad_value("transaction status", byte))
}

fn row_description(body: Bytes) -> Result<Vec<FieldDescription>, DecodeError> {
    let mut cursor = Cursor::new("RowDescription", body);
    let count = cursor.count16("fields", 19)?;
    let fields = (0..count)
        .map(|_| field(&mut cursor))
        .collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(fields)
}

fn field(cursor: &mut Cursor) -> Result<FieldDescription, DecodeError> {
    Ok(FieldDescription {
        name: cursor.text("field name")?,
        table_oid: cursor.uint32("table")?,
        column: cursor.int16("column")?,
        type_oid: cursor.uint32("type")?,
        type_size: cursor.int16("type size")?,
        type_modifier: cursor.int32("type modifier")?,
        format: {
            let code = cursor.int16("format")?;
            Format::from_code(code).ok_or_else(|| cursor.bad_value("format", code))?
        },
    })
}

fn data_row(body: Bytes) -> Result<Vec<Option<Bytes>>, DecodeError> {
    let mut cursor = Cursor::new("DataRow", body);
    let count = cursor.count16("columns", 4)?;
    let values = (0..count)
        .map(|_| cursor.value("columns"))
        .collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(values)
}

fn command_complete(body: Bytes) -> Result<CommandTag, DecodeError> {
    let mut cursor = Cursor::new("CommandComplete", body);
    let text = cursor.text("command tag")?;
    cursor.finish()?;
    Ok(CommandTag::new(text))
}

fn copy_shape(message: &'static str, body: Bytes) -> Result<CopyShape, DecodeError> {
    let mut cursor = Cursor::new(message, body);
    let code = cursor.byte("overall format")?;
    let overall = Format::from_code(i16::from(code))
        .ok_or_else(|| cursor.bad_value("overall format", code))?;
    let count = cursor.count16("column formats", 2)?;
    let columns = (0..count)
        .map(|_| {
            let code = cursor.int16("column formats")?;
            Format::from_code(code).ok_or_else(|| cursor.bad_value("column format", code))
        })
        .collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(CopyShape { overall, columns })
}

fn parameter_description(body: Bytes) -> Result<Vec<u32>, DecodeError> {
    let mut cursor = Cursor::new("ParameterDescription", body);
    let count = cursor.count16("parameter types", 4)?;
    let oids = (0..count)
        .map(|_| cursor.uint32("parameter types"))
        .collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(oids)
}

fn notification(body: Bytes) -> Result<BackendMessage, DecodeError> {
    let mut cursor = Cursor::new("NotificationResponse", body);
    let process_id = cursor.uint32("process id")?;
    let channel = cursor.text("channel")?;
    let payload = cursor.text("payload")?;
    cursor.finish()?;
    Ok(BackendMessage::NotificationResponse {
        process_id,
        channel,
        payload,
    })
}

fn function_call_response(body: Bytes) -> Result<Option<Bytes>, DecodeError> {
    let mut cursor = Cursor::new("FunctionCallResponse", body);
    let value = cursor.value("result")?;
    cursor.finish()?;
    Ok(value)
}

fn negotiate_protocol_version(body: Bytes) -> Result<BackendMessage, DecodeError> {
    let mut cursor = Cursor::new("NegotiateProtocolVersion", body);
    let newest = ProtocolVersion::from_word(cursor.uint32("version")?);
    let count = cursor.int32("options")?;
    let count = usize::try_from(count).map_err(|_| cursor.bad_length("options", count))?;
    if count > cursor.remaining() {
        return Err(DecodeError::Truncated {
            message: "NegotiateProtocolVersion",
            field: "options",
        });
    }
    let unknown_options = (0..count)
        .map(|_| cursor.text("options"))
        .collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(BackendMessage::NegotiateProtocolVersion {
        newest,
        unknown_options,
    })
}
