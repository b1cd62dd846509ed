//! Who a client is: SCRAM-SHA-256 and, over TLS, SCRAM-SHA-256-PLUS.
//!
//! An unknown agent goes through the same motions as a known one and gets the same 28P01. The
//! result is a [`VerifiedAgent`], which only this file can make.

use std::sync::Arc;

use abeyance_wire::postgres::{
    Authentication, BackendMessage, SaslInitialResponse, frontend,
    limits::AUTH_MESSAGE_BYTES_MAX,
    scram::{ChannelBinding, Credential, MockSecret, Nonce, ScramError, ScramServer},
};
use abeyance_wire::postgres::{ErrorFields, Frame, SqlState};

use crate::{
    Agent,
    error::SessionError,
    exchange::{client_flush, client_frame, client_send},
    io::Link,
};

/// An agent that has proved it knows its password.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedAgent(Arc<Agent>);

impl VerifiedAgent {
    pub(crate) fn into_agent(self) -> Arc<Agent> {
        self.0
    }
}

/// Runs the exchange and queues AuthenticationOk.
pub(crate) async fn authenticate(
    link: &mut Link,
    user: &str,
    agent: Option<&Arc<Agent>>,
    mock: &MockSecret,
    end_point: Option<&[u8]>,
) -> Result<VerifiedAgent, SessionError> {
    let failed = |cause: ScramError| SessionError::Authentication {
        user: user.to_owned(),
        cause,
    };
    let credential = match agent {
        Some(agent) => Credential::Known(agent.verifier.clone()),
        None => mock.credential(user),
    };
    let binding = end_point.map_or(ChannelBinding::None, |hash| {
        ChannelBinding::TlsServerEndPoint(hash.to_vec())
    });
    let server = ScramServer::new(user, credential, binding, Nonce::random()?);
    send(link, server.offer()).await?;

    let first = SaslInitialResponse::decode(answer(link).await?.body())?;
    let (server, reply) = server.client_first(&first).map_err(failed)?;
    send(link, reply).await?;

    let last = answer(link).await?.body();
    let (proof, reply) = server.client_final(&last).map_err(failed)?;
    let agent = agent
        .filter(|agent| agent.name == proof.user())
        .ok_or(SessionError::Internal("a proof for somebody else"))?;
    client_send(link, &BackendMessage::Authentication(reply))?;
    client_send(link, &BackendMessage::Authentication(Authentication::Ok))?;
    Ok(VerifiedAgent(agent.clone()))
}

async fn send(link: &mut Link, message: Authentication) -> Result<(), SessionError> {
    client_send(link, &BackendMessage::Authentication(message))?;
    client_flush(link).await
}

async fn answer(link: &mut Link) -> Result<Frame, SessionError> {
    let frame = client_frame(link, AUTH_MESSAGE_BYTES_MAX).await?;
    if frame.tag() == frontend::tag::AUTHENTICATION {
        return Ok(frame);
    }
    Err(SessionError::Refused(ErrorFields::fatal(
        SqlState::PROTOCOL_VIOLATION,
        format!(
            "expected SASL response, got message type {}",
            char::from(frame.tag()).escape_default()
        ),
    )))
}
