//! Connecting: socket, TLS, start-up message, authentication, the settings the target reports.

use std::sync::Arc;

use abeyance_wire::postgres::{
    BackendMessage, CancelKey, ErrorFields, ProtocolVersion, StartupMessage, WireStr,
    limits::BACKEND_CONTROL_BYTES_MAX, scram::ScramPassword, startup::encode_ssl_request,
};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Settings, auth};
use crate::{
    Target,
    error::TargetError,
    exchange::target_message,
    io::{Link, Stream, tune},
};

/// A target that is ready for its first query.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) link: Link,
    /// What the target reported, in order: passed on to the client.
    pub(crate) parameters: Vec<(WireStr, WireStr)>,
    /// Notices the target sent while starting up.
    pub(crate) notices: Vec<ErrorFields>,
    /// With which a statement on this connection can be cancelled.
    pub(crate) cancel: Option<(u32, CancelKey)>,
}

/// A target with what its password was worked out to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) target: &'a Target,
    pub(crate) scram: Option<&'a Arc<ScramPassword>>,
}

/// Opens a connection to a target with the proxy's own credential. The caller bounds the time.
pub(crate) async fn connect(
    login: Login<'_>,
    settings: &Settings,
) -> Result<Connected, TargetError> {
    let target = login.target;
    let mut link = Link::new(open_socket(target).await?);
    let startup = settings.forwarded.iter().fold(
        StartupMessage::new(ProtocolVersion::V3_0, &target.user, &target.database)
            .with_parameter("client_encoding", "UTF8"),
        |message, (name, value)| message.with_parameter(name, value),
    );
    link.outbox
        .encode(|out| startup.encode(out))
        .map_err(|error| TargetError::Malformed(error.to_string()))?;
    link.flush().await.map_err(TargetError::Io)?;
    auth::authenticate(&mut link, login).await?;
    settle(link).await
}

/// A socket to the target, encrypted when its configuration says so.
pub(crate) async fn open_socket(target: &Target) -> Result<Stream, TargetError> {
    let mut tcp = TcpStream::connect((target.host.as_str(), target.port))
        .await
        .map_err(TargetError::Connect)?;
    tune(&tcp).map_err(TargetError::Connect)?;
    let Some(connector) = &target.tls.0 else {
        return Ok(Stream::Plain(tcp));
    };
    let name = ServerName::try_from(target.host.clone()).map_err(|_| TargetError::ServerName)?;
    let mut request = bytes::BytesMut::new();
    encode_ssl_request(&mut request);
    tcp.write_all(&request).await.map_err(TargetError::Io)?;
    // One byte exactly: whatever follows in clear must not be taken for part of the session.
    let mut answer = [0_u8; 1];
    tcp.read_exact(&mut answer).await.map_err(TargetError::Io)?;
    if answer != *b"S" {
        return Err(TargetError::NoTls);
    }
    let stream = connector
        .connect(name, tcp)
        .await
        .map_err(TargetError::Tls)?;
    Ok(Stream::UpstreamTls(Box::new(stream)))
}

/// Reads up to the first ReadyForQuery.
async fn settle(mut link: Link) -> Result<Connected, TargetError> {
    let mut parameters = Vec::new();
    let mut notices = Vec::new();
    let mut cancel = None;
    loop {
        match target_message(&mut link, BACKEND_CONTROL_BYTES_MAX).await? {
            BackendMessage::ParameterStatus { name, value } => parameters.push((name, value)),
            BackendMessage::BackendKeyData { process_id, key } => cancel = Some((process_id, key)),
            BackendMessage::NoticeResponse(fields) => notices.push(fields),
            BackendMessage::ErrorResponse(fields) => return Err(rejected(&fields)),
            BackendMessage::ReadyForQuery(_) => {
                return Ok(Connected {
                    link,
                    parameters,
                    notices,
                    cancel,
                });
            }
            BackendMessage::NegotiateProtocolVersion { .. } => {}
            _ => return Err(TargetError::Protocol("an unexpected message at start-up")),
        }
    }
}

/// The target's refusal, for the log.
pub(super) fn rejected(fields: &ErrorFields) -> TargetError {
    TargetError::Rejected {
        sqlstate: fields
            .sqlstate()
            .map_or_else(String::new, |state| state.as_str().to_owned()),
        message: fields.message().into_owned(),
    }
}
