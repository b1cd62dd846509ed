//! Socket Mode: clicks and commands over a websocket that we open.
//!
//! slack-morphism opens the address; its own listener is not used, because it acknowledges what it could not
//! parse, so that a click is lost without a trace. Here an envelope is acknowledged when its payload
//! was understood, and only then.

use std::{sync::Arc, time::Duration};

use abeyance_chat::backoff;
use secrecy::SecretString;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::protocol::WebSocketConfig,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

use crate::{
    CallError, api::SlackApi, bot::Inbox, complaints::Complaints, config::Addresses, limits,
};

mod connection;
mod envelope;

use connection::{Connection, Ended};
use envelope::Seen;

type Stream = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

pub(crate) struct Socket {
    pub api: Arc<SlackApi>,
    pub app_token: SecretString,
    pub inbox: Inbox,
    pub complaints: Arc<Complaints>,
    pub addresses: Addresses,
    pub tls: Arc<rustls::ClientConfig>,
}

impl Socket {
    /// Keeps one connection open, two while Slack has one replaced, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let seen = Arc::new(Seen::default());
        let mut connections: JoinSet<Ended> = JoinSet::new();
        let mut failures = 0_u32;
        while !shutdown.is_cancelled() {
            let replace = CancellationToken::new();
            let opened = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                opened = self.open() => opened,
            };
            let lived = match opened {
                Ok(stream) => {
                    let connection = Connection {
                        inbox: self.inbox.clone(),
                        seen: Arc::clone(&seen),
                        complaints: Arc::clone(&self.complaints),
                        replace: replace.clone(),
                        shutdown: shutdown.clone(),
                    };
                    let begun = Instant::now();
                    connections.spawn(Box::pin(connection.run(stream)));
                    until_replaced(&mut connections, &replace, &shutdown).await;
                    begun.elapsed()
                }
                Err(error) => {
                    self.complaints.call_failed(&error, None);
                    Duration::ZERO
                }
            };
            // A connection that lived earns a quick successor; one that did not must not hammer Slack.
            failures = if lived >= limits::SOCKET_BACKOFF_MAX {
                0
            } else {
                failures + 1
            };
            let quick = replace.is_cancelled() && failures <= 3;
            let wait = if quick {
                Duration::ZERO
            } else {
                backoff(
                    failures,
                    limits::SOCKET_BACKOFF_FIRST,
                    limits::SOCKET_BACKOFF_MAX,
                )
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = sleep(wait) => {}
            }
        }
        drain(connections).await;
    }

    async fn open(&self) -> Result<Stream, CallError> {
        const METHOD: &str = "socket mode";
        let unclear = |what| CallError::Unclear {
            method: METHOD,
            what,
        };
        let address = self.api.connections_open(&self.app_token).await?;
        // Never logged: it carries a ticket.
        let url = Url::parse(&address).map_err(|_| unclear("Slack gave no address"))?;
        if !self.addresses.trusts_socket(&url) {
            return Err(unclear("Slack gave an address outside of Slack"));
        }
        let connector = match url.scheme() {
            "wss" => Connector::Rustls(Arc::clone(&self.tls)),
            _ => Connector::Plain,
        };
        let connecting =
            connect_async_tls_with_config(url.as_str(), Some(bounds()), true, Some(connector));
        match timeout(limits::CALL_MAX, connecting).await {
            Ok(Ok((stream, _))) => Ok(stream),
            Ok(Err(_)) => Err(CallError::Unreachable { method: METHOD }),
            Err(_) => Err(unclear("no connection in time")),
        }
    }
}

fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(limits::SOCKET_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(limits::SOCKET_MESSAGE_BYTES_MAX))
}

/// Waits until the newest connection wants a successor. Older ones end in their own time.
async fn until_replaced(
    connections: &mut JoinSet<Ended>,
    replace: &CancellationToken,
    shutdown: &CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = replace.cancelled() => return,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    warn!(%error, "a Socket Mode connection ended abnormally");
                    return;
                }
            }
        }
    }
}

async fn drain(mut connections: JoinSet<Ended>) {
    let all = async { while connections.join_next().await.is_some() {} };
    // Dropping the set ends whatever is left.
    let _ = timeout(limits::SOCKET_WRITE_MAX, all).await;
}

#[cfg(test)]
mod tests;
