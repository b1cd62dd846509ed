//! From an accepted socket to a start-up message: encryption requests, cancel requests, version.
//!
//! Knows nothing of agents and targets. Carries one old lesson: bytes that arrive before TLS never enter
//! the encrypted session (CVE-2021-23214); whatever is buffered behind an SSLRequest is refused.

use abeyance_wire::postgres::{
    CancelRequest, ProtocolVersion, StartupMessage, StartupPacket, split_startup,
};
use tokio::net::TcpStream;

use crate::{
    ClientTls,
    error::SessionError,
    exchange::{client_flush, client_send},
    io::{Link, Stream},
    tls::ALPN,
};

/// What a connection turned out to be.
#[derive(Debug)]
pub(crate) enum Greeting {
    /// Not a session: somebody wants another session's statement cancelled.
    Cancel(CancelRequest),
    Session(Opening),
}

/// A client that said who it is, not yet believed.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) message: StartupMessage,
    pub(crate) version: ProtocolVersion,
    /// Whether the connection is encrypted.
    pub(crate) tls: bool,
}

/// Reads up to and including the start-up message. The link comes back even on errors, so that the client can be told.
pub(crate) async fn greet(
    stream: TcpStream,
    tls: Option<&ClientTls>,
) -> (Option<Link>, Result<Greeting, SessionError>) {
    let mut link = match begins_with_tls(&stream, tls).await {
        Ok(Some(tls)) => match accept_tls(stream, tls, true).await {
            Ok(link) => link,
            Err(error) => return (None, Err(error)),
        },
        Ok(None) => Link::new(Stream::Plain(stream)),
        Err(error) => return (None, Err(error)),
    };
    loop {
        let step = match next_packet(&mut link).await {
            Ok(packet) => packet,
            Err(error) => return (Some(link), Err(error)),
        };
        match step {
            StartupPacket::SslRequest => {
                let offered = tls.filter(|_| !is_encrypted(&link));
                let answer: &[u8] = if offered.is_some() { b"S" } else { b"N" };
                link.outbox.encode(|out| out.extend_from_slice(answer));
                if let Err(error) = client_flush(&mut link).await {
                    return (None, Err(error));
                }
                if let Some(tls) = offered {
                    let Stream::Plain(stream) = link.into_stream() else {
                        return (None, Err(SessionError::Internal("TLS inside TLS")));
                    };
                    link = match accept_tls(stream, tls, false).await {
                        Ok(link) => link,
                        Err(error) => return (None, Err(error)),
                    };
                }
            }
            StartupPacket::GssEncRequest => {
                link.outbox.encode(|out| out.extend_from_slice(b"N"));
                if let Err(error) = client_flush(&mut link).await {
                    return (None, Err(error));
                }
            }
            StartupPacket::Cancel(cancel) => return (Some(link), Ok(Greeting::Cancel(cancel))),
            StartupPacket::Startup(message) => {
                let opened = open(&mut link, message, tls);
                return (Some(link), opened.map(Greeting::Session));
            }
        }
    }
}

async fn next_packet(link: &mut Link) -> Result<StartupPacket, SessionError> {
    loop {
        if let Some(packet) = split_startup(&mut link.input)? {
            return Ok(packet);
        }
        if link.fill().await.map_err(SessionError::ClientIo)? == 0 {
            return Err(SessionError::ClientGone);
        }
    }
}

/// Settles the version, and refuses what the proxy does not carry at all.
fn open(
    link: &mut Link,
    message: StartupMessage,
    tls: Option<&ClientTls>,
) -> Result<Opening, SessionError> {
    let encrypted = is_encrypted(link);
    if !encrypted && tls.is_some_and(|tls| tls.required) {
        return Err(SessionError::TlsRequired);
    }
    let negotiated = message.negotiate();
    if let Some(reply) = &negotiated.reply {
        client_send(link, reply)?;
    }
    Ok(Opening {
        version: negotiated.version,
        message,
        tls: encrypted,
    })
}

fn is_encrypted(link: &Link) -> bool {
    !matches!(link.stream(), Stream::Plain(_))
}

/// Whether the client begins with TLS at once (`sslnegotiation=direct`).
async fn begins_with_tls<'a>(
    stream: &TcpStream,
    tls: Option<&'a ClientTls>,
) -> Result<Option<&'a ClientTls>, SessionError> {
    let Some(tls) = tls else {
        return Ok(None);
    };
    let mut first = [0_u8; 1];
    let peeked = stream.peek(&mut first).await;
    if peeked.map_err(SessionError::ClientIo)? == 0 {
        return Err(SessionError::ClientGone);
    }
    Ok(abeyance_wire::postgres::startup::is_direct_tls(&first).then_some(tls))
}

async fn accept_tls(
    stream: TcpStream,
    tls: &ClientTls,
    direct: bool,
) -> Result<Link, SessionError> {
    let accepted = tls.acceptor.accept(stream).await;
    let stream = accepted.map_err(SessionError::TlsHandshake)?;
    if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(SessionError::TlsHandshake(std::io::Error::other(
            "TLS without SSLRequest needs ALPN \"postgresql\"",
        )));
    }
    Ok(Link::new(Stream::ClientTls(Box::new(stream))))
}
