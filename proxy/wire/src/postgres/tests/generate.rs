//! Random valid messages.

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};

use crate::postgres::{
    Authentication, BackendMessage, Bind, CancelKey, ErrorFields, Execute, Format, FrontendMessage,
    FunctionCall, Parse, ProtocolVersion, Query, SqlState, Subject, TransactionStatus, WireStr,
    backend::{CommandTag, CopyShape, FieldDescription},
};

fn text() -> impl Strategy<Value = WireStr> {
    vec(1_u8.., 0..12).prop_map(|bytes| WireStr::new(bytes).unwrap())
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn values() -> impl Strategy<Value = Vec<Option<Bytes>>> {
    vec(option::of(bytes()), 0..5)
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::Binary)]
}

fn formats() -> impl Strategy<Value = Vec<Format>> {
    vec(format(), 0..5)
}

/// Formats that go with this many values: none, one or each.
fn fitting(count: usize) -> impl Strategy<Value = Vec<Format>> {
    prop_oneof![
        Just(Vec::new()),
        vec(format(), 1),
        vec(format(), count..=count)
    ]
}

fn formatted_values() -> impl Strategy<Value = (Vec<Format>, Vec<Option<Bytes>>)> {
    values().prop_flat_map(|values| (fitting(values.len()), Just(values)))
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        text().prop_map(Subject::Statement),
        text().prop_map(Subject::Portal)
    ]
}

fn bind() -> impl Strategy<Value = Bind> {
    (text(), text(), formatted_values(), formats()).prop_map(
        |(portal, statement, (param_formats, params), result_formats)| Bind {
            portal,
            statement,
            param_formats,
            params,
            result_formats,
        },
    )
}

fn function_call() -> impl Strategy<Value = FunctionCall> {
    (any::<u32>(), formatted_values(), format()).prop_map(
        |(function_oid, (arg_formats, args), result_format)| FunctionCall {
            function_oid,
            arg_formats,
            args,
            result_format,
        },
    )
}

pub(super) fn frontend() -> impl Strategy<Value = FrontendMessage> {
    use FrontendMessage as M;
    prop_oneof![
        text().prop_map(|sql| M::Query(Query { sql })),
        (text(), text(), vec(any::<u32>(), 0..5)).prop_map(|(name, sql, param_oids)| M::Parse(
            Parse {
                name,
                sql,
                param_oids
            }
        )),
        bind().prop_map(M::Bind),
        subject().prop_map(M::Describe),
        subject().prop_map(M::Close),
        (text(), any::<i32>())
            .prop_map(|(portal, rows_max)| M::Execute(Execute { portal, rows_max })),
        bytes().prop_map(M::CopyData),
        text().prop_map(|reason| M::CopyFail { reason }),
        function_call().prop_map(M::FunctionCall),
        bytes().prop_map(M::Authentication),
        prop::sample::select(vec![M::Sync, M::Flush, M::CopyDone, M::Terminate]),
    ]
}

fn field() -> impl Strategy<Value = FieldDescription> {
    (
        text(),
        any::<(u32, i16, u32)>(),
        any::<(i16, i32)>(),
        format(),
    )
        .prop_map(
            |(name, (table_oid, column, type_oid), (type_size, type_modifier), format)| {
                FieldDescription {
                    name,
                    table_oid,
                    column,
                    type_oid,
                    type_size,
                    type_modifier,
                    format,
                }
            },
        )
}

fn error_fields() -> impl Strategy<Value = ErrorFields> {
    (
        ".{0,12}",
        option::of(".{0,12}"),
        vec((b'a'..=b'z', ".{0,8}"), 0..3),
    )
        .prop_map(|(message, hint, others)| {
            let mut fields = ErrorFields::error(SqlState::INTERNAL_ERROR, message);
            if let Some(hint) = hint {
                fields = fields.hint(hint);
            }
            others
                .into_iter()
                .fold(fields, |fields, (code, text)| fields.field(code, text))
        })
}

fn name() -> impl Strategy<Value = WireStr> {
    text().prop_filter("an empty name ends the list", |name| !name.is_empty())
}

fn authentication() -> impl Strategy<Value = Authentication> {
    prop_oneof![
        Just(Authentication::Ok),
        Just(Authentication::CleartextPassword),
        any::<[u8; 4]>().prop_map(|salt| Authentication::Md5Password { salt }),
        vec(name(), 0..3).prop_map(|mechanisms| Authentication::Sasl { mechanisms }),
        bytes().prop_map(Authentication::SaslContinue),
        bytes().prop_map(Authentication::SaslFinal),
        (prop::sample::select(vec![2_u32, 6, 7, 8, 9, 77]), bytes())
            .prop_map(|(code, data)| Authentication::Unsupported { code, data }),
    ]
}

fn copy_shape() -> impl Strategy<Value = CopyShape> {
    (format(), formats()).prop_map(|(overall, columns)| CopyShape { overall, columns })
}

fn session_message() -> impl Strategy<Value = BackendMessage> {
    use BackendMessage as M;
    prop_oneof![
        authentication().prop_map(M::Authentication),
        (any::<u32>(), vec(any::<u8>(), 4..=256)).prop_map(|(process_id, key)| {
            let key = CancelKey::new(&key).unwrap();
            M::BackendKeyData { process_id, key }
        }),
        (text(), text()).prop_map(|(name, value)| M::ParameterStatus { name, value }),
        prop::sample::select(vec![
            TransactionStatus::Idle,
            TransactionStatus::InTransaction,
            TransactionStatus::Failed
        ])
        .prop_map(M::ReadyForQuery),
        error_fields().prop_map(M::ErrorResponse),
        error_fields().prop_map(M::NoticeResponse),
        (any::<u32>(), text(), text()).prop_map(|(process_id, channel, payload)| {
            M::NotificationResponse {
                process_id,
                channel,
                payload,
            }
        }),
        (any::<(u16, u16)>(), vec(text(), 0..3)).prop_map(|((major, minor), unknown_options)| {
            M::NegotiateProtocolVersion {
                newest: ProtocolVersion { major, minor },
                unknown_options,
            }
        }),
    ]
}

fn result_message() -> impl Strategy<Value = BackendMessage> {
    use BackendMessage as M;
    prop_oneof![
        vec(field(), 0..4).prop_map(M::RowDescription),
        values().prop_map(M::DataRow),
        text().prop_map(|tag| M::CommandComplete(CommandTag::new(tag))),
        copy_shape().prop_map(M::CopyInResponse),
        copy_shape().prop_map(M::CopyOutResponse),
        copy_shape().prop_map(M::CopyBothResponse),
        bytes().prop_map(M::CopyData),
        vec(any::<u32>(), 0..4).prop_map(M::ParameterDescription),
        option::of(bytes()).prop_map(M::FunctionCallResponse),
        prop::sample::select(vec![
            M::EmptyQueryResponse,
            M::ParseComplete,
            M::BindComplete,
            M::CloseComplete,
            M::NoData,
            M::PortalSuspended,
            M::CopyDone
        ]),
    ]
}

pub(super) fn backend() -> impl Strategy<Value = BackendMessage> {
    prop_oneof![session_message(), result_message()]
}
