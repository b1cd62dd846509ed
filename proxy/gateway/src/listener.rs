//! Accepts connections and sees each one through: greeting, authentication, target, session, end.
//!
//! A panic or an error in one connection ends that connection, is logged once, and goes no further.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use abeyance_api::SessionId;
use abeyance_wire::postgres::ErrorFields;
use futures::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use crate::{
    Gateway,
    error::{Culprit, SessionError, internal_error},
    establish::{Begun, Caller, establish},
    exchange::client_send_error,
    io::{Link, tune},
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
    let caller = Caller {
        id: SessionId(Uuid::now_v7()),
        address,
    };
    let span = tracing::info_span!(
        "session",
        id = %caller.id,
        client.addr = %address,
        protocol = "postgresql",
        agent = Empty,
        target = Empty,
    );
    let gateway = gateway.clone();
    let tasks = gateway.tasks.clone();
    tasks.spawn(
        async move {
            connection(&gateway, stream, caller).await;
            drop(room);
        }
        .instrument(span),
    );
}

async fn connection(gateway: &Arc<Gateway>, stream: TcpStream, caller: Caller) {
    // Boxed: what start-up needs is given back before the session begins.
    let begun = Box::pin(begin_session(gateway, stream, caller)).await;
    let Some((mut session, _room)) = begun else {
        return;
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
async fn begin_session(gateway: &Arc<Gateway>, stream: TcpStream, caller: Caller) -> Option<Begun> {
    let mut link = None;
    let begun = AssertUnwindSafe(async {
        // Both arms may be dropped: nothing has been promised to anybody yet.
        tokio::select! {
            begun = establish(gateway, stream, caller, &mut link) => begun,
            () = gateway.shutdown.cancelled() => Err(SessionError::Shutdown),
        }
    })
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

fn log(error: &SessionError) {
    let kind = error.kind();
    match error.culprit() {
        Culprit::Proxy => tracing::error!(kind, %error, "connection ended"),
        Culprit::Target => tracing::warn!(kind, %error, "connection ended"),
        Culprit::Client | Culprit::Nobody => tracing::info!(kind, %error, "connection ended"),
    }
}
