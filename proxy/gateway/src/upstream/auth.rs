//! Proving to the target that the proxy is who it says: trust, cleartext over TLS, md5, SCRAM.

use abeyance_wire::postgres::WireStr;
use abeyance_wire::postgres::{
    Authentication, BackendMessage, EncodeError, PasswordMessage,
    frontend::encode_sasl_response,
    limits::AUTH_MESSAGE_BYTES_MAX,
    md5::md5_password,
    scram::{ChannelBinding, Nonce, ScramClient, tls_server_end_point},
};
use secrecy::ExposeSecret;

use super::connect::{Login, rejected};
use crate::{
    Target,
    error::TargetError,
    exchange::target_message,
    io::{Link, Stream},
};

/// Answers whatever the target asks until it says Ok.
pub(super) async fn authenticate(link: &mut Link, login: Login<'_>) -> Result<(), TargetError> {
    let target = login.target;
    match next(link).await? {
        Authentication::Ok => return Ok(()),
        Authentication::CleartextPassword => {
            if matches!(link.stream(), Stream::Plain(_)) {
                return Err(TargetError::NeedsTls("a password in clear"));
            }
            send_password(link, PasswordMessage::new(password(target)?))?;
        }
        Authentication::Md5Password { salt } => {
            let answer = md5_password(&target.user, password(target)?, salt);
            send_password(link, answer)?;
        }
        Authentication::Sasl { mechanisms } => scram(link, login, &mechanisms).await?,
        Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => {
            return Err(TargetError::Protocol("SASL out of turn"));
        }
        Authentication::Unsupported { code, .. } => return Err(TargetError::Method(code)),
    }
    flush(link).await?;
    match next(link).await? {
        Authentication::Ok => Ok(()),
        _ => Err(TargetError::Protocol("authentication without an end")),
    }
}

async fn scram(
    link: &mut Link,
    login: Login<'_>,
    mechanisms: &[WireStr],
) -> Result<(), TargetError> {
    let nonce = Nonce::random().map_err(|_| TargetError::Protocol("no randomness"))?;
    let password = login.scram.cloned().ok_or(TargetError::NeedsPassword)?;
    let client = ScramClient::with_password(password, binding(link), nonce);
    let (client, first) = client.choose(mechanisms).map_err(TargetError::Scram)?;
    link.outbox
        .encode(|out| first.encode(out))
        .map_err(malformed)?;
    flush(link).await?;

    let Authentication::SaslContinue(challenge) = next(link).await? else {
        return Err(TargetError::Protocol("SASL without a challenge"));
    };
    let (client, response) = client
        .server_first(&challenge)
        .map_err(TargetError::Scram)?;
    link.outbox
        .encode(|out| encode_sasl_response(&response, out))
        .map_err(malformed)?;
    flush(link).await?;

    let Authentication::SaslFinal(signature) = next(link).await? else {
        return Err(TargetError::Protocol("SASL without an end"));
    };
    let _server_knows_the_password = client
        .server_final(&signature)
        .map_err(TargetError::Scram)?;
    Ok(())
}

/// Ties the exchange to the TLS connection when there is one.
fn binding(link: &Link) -> ChannelBinding {
    let Stream::UpstreamTls(stream) = link.stream() else {
        return ChannelBinding::None;
    };
    let certificates = stream.get_ref().1.peer_certificates();
    certificates
        .and_then(<[_]>::first)
        .and_then(|leaf| tls_server_end_point(leaf))
        .map_or(ChannelBinding::None, ChannelBinding::TlsServerEndPoint)
}

fn password(target: &Target) -> Result<&str, TargetError> {
    target
        .password
        .as_ref()
        .map(ExposeSecret::expose_secret)
        .ok_or(TargetError::NeedsPassword)
}

fn send_password(
    link: &mut Link,
    message: Result<PasswordMessage, EncodeError>,
) -> Result<(), TargetError> {
    let message = message.map_err(malformed)?;
    link.outbox
        .encode(|out| message.encode(out))
        .map_err(malformed)
}

fn malformed(error: EncodeError) -> TargetError {
    TargetError::Malformed(error.to_string())
}

async fn flush(link: &mut Link) -> Result<(), TargetError> {
    link.flush().await.map_err(TargetError::Io)
}

async fn next(link: &mut Link) -> Result<Authentication, TargetError> {
    loop {
        match target_message(link, AUTH_MESSAGE_BYTES_MAX).await? {
            BackendMessage::Authentication(message) => return Ok(message),
            BackendMessage::ErrorResponse(fields) => return Err(rejected(&fields)),
            BackendMessage::NoticeResponse(_) | BackendMessage::NegotiateProtocolVersion { .. } => {
            }
            _ => return Err(TargetError::Protocol("an unexpected message at log-in")),
        }
    }
}
