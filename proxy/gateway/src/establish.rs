//! From an accepted socket to a session: greeting, authentication, target, welcome.
//!
//! The order of the steps is the order in which anything is spent on a client that is not yet known.

use std::{net::SocketAddr, sync::Arc};

use abeyance_api::SessionId;
use abeyance_wire::postgres::{
    BackendMessage, CancelKey, TransactionStatus, backend::encode_ready,
};
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};
use tracing::Span;

use crate::{
    Agent, Gateway,
    auth::authenticate,
    error::{SessionError, TargetError},
    exchange::client_send,
    io::Link,
    limits::APPLICATION_NAME_CHARS_MAX,
    session::{Identity, Parts, Session, TicketContext},
    startup::{Greeting, Opening, greet},
    upstream::{Connected, Settings, connect, settings},
};

/// Who is at the other end, as far as the socket tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) id: SessionId,
    pub(crate) address: SocketAddr,
}

/// A session, and its place among the sessions there may be.
pub(crate) type Begun = (Box<Session>, OwnedSemaphorePermit);

/// Sees a connection through its start; `None` when it only carried a cancel request. `link` holds the
/// client's link whenever the client can be told of an error.
pub(crate) async fn establish(
    gateway: &Arc<Gateway>,
    stream: TcpStream,
    caller: Caller,
    link: &mut Option<Link>,
) -> Result<Option<Begun>, SessionError> {
    let deadline = Instant::now() + gateway.limits.startup_timeout;
    let greeting = timeout_at(deadline, greet(stream, gateway.client_tls.as_ref())).await;
    let (greeted, greeting) = greeting.map_err(|_| SessionError::StartupTimeout)?;
    *link = greeted;
    let opening = match greeting? {
        Greeting::Cancel(request) => {
            let patience = gateway.limits.exchange_timeout;
            gateway.cancels.deliver(&request, patience).await;
            return Ok(None);
        }
        Greeting::Session(opening) => opening,
    };
    let max = gateway.limits.connections_max;
    let room = gateway.sessions.clone().try_acquire_owned();
    let room = room.map_err(|_| SessionError::TooManySessions { max })?;
    let mut settings = settings(&opening.message)?;
    let client = link.as_mut().ok_or(SessionError::Internal("no link"))?;
    let proved = timeout_at(deadline, prove(gateway, client, &opening)).await;
    let agent = proved.map_err(|_| SessionError::StartupTimeout)??;
    Span::current().record("agent", agent.name.as_str());

    if agent.access == abeyance_policy::Access::ReadOnly {
        settings.read_only();
    }
    let parts = attach(gateway, client, &opening, &settings, agent, caller).await?;
    let client = link.take().ok_or(SessionError::Internal("no link"))?;
    tracing::info!(tls = opening.tls, "session started");
    Ok(Some((
        Box::new(Session::new(gateway.clone(), client, parts)),
        room,
    )))
}

/// Finds and opens the target, and welcomes the client.
async fn attach(
    gateway: &Arc<Gateway>,
    client: &mut Link,
    opening: &Opening,
    settings: &Settings,
    agent: Arc<Agent>,
    caller: Caller,
) -> Result<Parts, SessionError> {
    let database = opening.message.database();
    let snapshot = gateway.current.get();
    let Some((upstream, scope)) = snapshot.target(&agent, database) else {
        return Err(SessionError::NoSuchTarget {
            user: agent.name.clone(),
            database: database.to_owned(),
        });
    };
    let seats = snapshot.seats(&agent.name, database);
    let seats = seats.map_err(SessionError::Full)?;
    Span::current().record("target", upstream.target.name.as_str());
    let target = upstream.target.clone();
    // Before the target is connected to: the catalog is there when the first statement comes.
    let catalog = upstream.catalog(gateway);
    let connected = timeout(
        gateway.limits.connect_timeout,
        connect(upstream.login(), settings),
    )
    .await;
    let connected = connected.map_err(|_| TargetError::Timeout)??;
    let slot = gateway.cancels.enter(opening.version)?;
    welcome(client, &connected, slot.process_id, &slot.key)?;
    Ok(Parts {
        identity: Identity {
            id: caller.id,
            agent,
            target,
            scope,
            client_addr: caller.address.to_string(),
            application_name: settings.application_name.as_deref().and_then(shown),
            started_at: gateway.clock.now(),
        },
        connected,
        slot,
        reason: settings.reason.clone(),
        ticket: settings.ticket,
        context: TicketContext::begun(&settings.forwarded),
        seats,
        catalog,
        snapshot,
    })
}

async fn prove(
    gateway: &Gateway,
    link: &mut Link,
    opening: &Opening,
) -> Result<Arc<Agent>, SessionError> {
    let user = opening.message.user();
    let end_point = gateway
        .client_tls
        .as_ref()
        .filter(|_| opening.tls)
        .and_then(|tls| tls.end_point.as_deref());
    let snapshot = gateway.current.get();
    let agent = authenticate(link, user, snapshot.agent(user), &gateway.mock, end_point).await?;
    Ok(agent.into_agent())
}

/// What a server says before the first query, with the proxy's own cancel key.
fn welcome(
    client: &mut Link,
    connected: &Connected,
    process_id: u32,
    key: &CancelKey,
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
