//! Accepts connections and sees each one through: greeting, authentication, target, session, end.
//!
//! A panic or an error in one connection ends that connection, is logged once, and goes no further.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use abeyance_api::SessionId;
use abeyance_wire::postgres::{
    BackendMessage, ErrorFields, TransactionStatus, backend::encode_ready,
};
use futures::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use crate::{
    Gateway,
    auth::authenticate,
    error::{Culprit, SessionError, TargetError, internal_error},
    exchange::{client_send, client_send_error},
    io::{Link, tune},
    limits::APPLICATION_NAME_CHARS_MAX,
    session::{Identity, Parts, Session},
    startup::{Greeting, Opening, greet},
    upstream::{Connected, connect, settings},
};

/// How long to leave the listener alone after the system refused a socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `shutdown`.
pub(crate) async fn accept(
    gateway: &Arc<Gateway>,
    listener: &TcpListener,
    shutdown: &CancellationToken,
) {
    loop {
        // Both arms are cancel-safe.
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => begin(gateway, stream, address),
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin(gateway: &Arc<Gateway>, stream: TcpStream, address: SocketAddr) {
    let Ok(room) = gateway.connections.clone().try_acquire_owned() else {
        // Not even a start-up message is read: the socket closes.
        tracing::warn!(client.addr = %address, "too many connections are starting up");
        return;
    };
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "socket options");
    }
    let id = SessionId(Uuid::now_v7());
    let span = tracing::info_span!(
        "session",
        %id,
        client.addr = %address,
        protocol = "postgresql",
        agent = Empty,
        target = Empty,
    );
    let gateway = gateway.clone();
    let tasks = gateway.tasks.clone();
    tasks.spawn(
        async move {
            // Boxed by stage: a held session keeps only what it needs.
            Box::pin(connection(gateway, stream, address, id)).await;
            drop(room);
        }
        .instrument(span),
    );
}

async fn connection(gateway: Arc<Gateway>, stream: TcpStream, address: SocketAddr, id: SessionId) {
    let (mut session, _room) = match begin_session(&gateway, stream, address, id).await {
        Some(begun) => begun,
        None => return,
    };
    let ran = AssertUnwindSafe(session.run()).catch_unwind().await;
    let last_words = match ran {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            log(&error);
            error.client_fields()
        }
        Err(_panic) => {
            tracing::error!("a session panicked");
            Some(internal_error())
        }
    };
    session.end(last_words.as_ref()).await;
    tracing::debug!("session ended");
}

/// Start-up and authentication. Errors are told to the client here.
async fn begin_session(
    gateway: &Arc<Gateway>,
    stream: TcpStream,
    address: SocketAddr,
    id: SessionId,
) -> Option<(Box<Session>, OwnedSemaphorePermit)> {
    let mut link = None;
    let begun = AssertUnwindSafe(start(gateway, stream, address, id, &mut link))
        .catch_unwind()
        .await;
    let fields = match begun {
        Ok(Ok(session)) => return session,
        Ok(Err(error)) => {
            log(&error);
            error.client_fields()
        }
        Err(_panic) => {
            tracing::error!("a connection panicked while starting up");
            Some(internal_error())
        }
    };
    if let (Some(mut link), Some(fields)) = (link, fields) {
        dismiss(gateway, &mut link, &fields).await;
    }
    None
}

/// Tells a client why it is not served.
async fn dismiss(gateway: &Gateway, link: &mut Link, fields: &ErrorFields) {
    client_send_error(link, fields);
    let farewell = async {
        // A client that is gone needs no farewell.
        let _ = link.flush().await;
        link.close().await;
    };
    let _ = timeout(gateway.limits.exchange_timeout, farewell).await;
}

/// `link` holds the client's link whenever the client can be told of an error.
async fn start(
    gateway: &Arc<Gateway>,
    stream: TcpStream,
    address: SocketAddr,
    id: SessionId,
    link: &mut Option<Link>,
) -> Result<Option<(Box<Session>, OwnedSemaphorePermit)>, SessionError> {
    let limit = gateway.limits.startup_timeout;
    let deadline = tokio::time::Instant::now() + limit;
    let in_time = |elapsed| -> SessionError {
        let _: tokio::time::error::Elapsed = elapsed;
        SessionError::StartupTimeout
    };
    let (greeted, greeting) =
        tokio::time::timeout_at(deadline, greet(stream, gateway.client_tls.as_ref()))
            .await
            .map_err(in_time)?;
    *link = greeted;
    let opening = match greeting? {
        Greeting::Cancel(request) => {
            let patience = gateway.limits.exchange_timeout;
            gateway.cancels.deliver(&request, patience).await;
            return Ok(None);
        }
        Greeting::Session(opening) => opening,
    };
    let client = link.as_mut().ok_or(SessionError::Internal("no link"))?;
    let max = gateway.limits.connections_max;
    let room = gateway
        .sessions
        .clone()
        .try_acquire_owned()
        .map_err(|_| SessionError::TooManySessions { max })?;
    let settings = settings(&opening.message)?;
    let agent = tokio::time::timeout_at(deadline, prove(gateway, client, &opening))
        .await
        .map_err(in_time)??;
    Span::current().record("agent", agent.name.as_str());

    let database = opening.message.database();
    let Some((upstream, scope)) = gateway.target(&agent, database) else {
        return Err(SessionError::NoSuchTarget {
            user: agent.name.clone(),
            database: database.to_owned(),
        });
    };
    let target = upstream.target.clone();
    Span::current().record("target", target.name.as_str());
    let connected = timeout(gateway.limits.connect_timeout, connect(upstream, &settings))
        .await
        .map_err(|_| TargetError::Timeout)??;
    let slot = gateway.cancels.enter(opening.version)?;
    welcome(client, &connected, slot.process_id, &slot.key)?;
    let identity = Identity {
        id,
        agent,
        target,
        scope,
        client_addr: address.to_string(),
        application_name: settings.application_name.as_deref().and_then(shown),
        started_at: gateway.clock.now(),
    };
    tracing::info!(tls = opening.tls, "session started");
    let client = link.take().ok_or(SessionError::Internal("no link"))?;
    let session = Box::new(Session::new(Parts {
        gateway: gateway.clone(),
        identity,
        client,
        connected,
        slot,
        reason: settings.reason,
    }));
    Ok(Some((session, room)))
}

async fn prove(
    gateway: &Gateway,
    link: &mut Link,
    opening: &Opening,
) -> Result<Arc<crate::Agent>, SessionError> {
    let user = opening.message.user();
    let end_point = gateway
        .client_tls
        .as_ref()
        .filter(|_| opening.tls)
        .and_then(|tls| tls.end_point.as_deref());
    let agent = authenticate(link, user, gateway.agent(user), &gateway.mock, end_point).await?;
    Ok(agent.into_agent())
}

/// What a server says before the first query, with the proxy's own cancel key.
fn welcome(
    client: &mut Link,
    connected: &Connected,
    process_id: u32,
    key: &abeyance_wire::postgres::CancelKey,
) -> Result<(), SessionError> {
    for (name, value) in &connected.parameters {
        let message = BackendMessage::ParameterStatus {
            name: name.clone(),
            value: value.clone(),
        };
        client_send(client, &message)?;
    }
    for notice in &connected.notices {
        client.outbox.encode(|out| notice.encode_notice(out));
    }
    let message = BackendMessage::BackendKeyData {
        process_id,
        key: key.clone(),
    };
    client_send(client, &message)?;
    client
        .outbox
        .encode(|out| encode_ready(TransactionStatus::Idle, out));
    Ok(())
}

/// A name a client gave itself, fit to be shown.
fn shown(name: &str) -> Option<String> {
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(APPLICATION_NAME_CHARS_MAX)
        .collect();
    (!name.trim().is_empty()).then_some(name)
}

fn log(error: &SessionError) {
    let kind = error.kind();
    match error.culprit() {
        Culprit::Proxy => tracing::error!(kind, %error, "connection ended"),
        Culprit::Target => tracing::warn!(kind, %error, "connection ended"),
        Culprit::Client | Culprit::Nobody => tracing::info!(kind, %error, "connection ended"),
    }
}
