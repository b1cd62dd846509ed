//! The listener. Own accept loop, because two faults need the connection itself: cutting it after the work
//! was done but before a byte of the answer left, and refusing connections for a while on the same port.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// In the extensions of every request: cancel it and the connection is gone without an answer.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionCut(pub(crate) CancellationToken);

/// Stops and restarts the listener.
#[derive(Debug)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    /// Whether the listener has followed.
    listening: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            open: watch::channel(true).0,
            listening: watch::channel(true).0,
        }
    }

    /// Returns when the port refuses (or takes) connections.
    pub(crate) async fn set(&self, open: bool) {
        self.open.send_replace(open);
        let mut listening = self.listening.subscribe();
        let _ = listening.wait_for(|now| *now == open).await;
    }
}

/// Accepts until `shutdown`. Every connection ends with the gate or with shutdown.
pub(crate) async fn run(
    mut listener: TcpListener,
    addr: SocketAddr,
    app: Router,
    gate: std::sync::Arc<Gate>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
) {
    let mut open = gate.open.subscribe();
    loop {
        let generation = shutdown.child_token();
        loop {
            tokio::select! {
                // Every arm is cancel-safe: accept and watch lose nothing when dropped.
                () = shutdown.cancelled() => return,
                changed = open.wait_for(|open| !*open) => {
                    if changed.is_err() { return; }
                    break;
                }
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        tracker.spawn(serve(stream, app.clone(), generation.child_token()));
                    }
                }
            }
        }
        drop(listener);
        generation.cancel();
        gate.listening.send_replace(false);
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = open.wait_for(|open| *open) => if changed.is_err() { return; },
        }
        listener = loop {
            match TcpListener::bind(addr).await {
                Ok(listener) => break listener,
                Err(error) => {
                    tracing::warn!(%error, "the port is not free again yet");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            if shutdown.is_cancelled() {
                return;
            }
        };
        gate.listening.send_replace(true);
    }
}

async fn serve(stream: TcpStream, app: Router, cut: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let handle = ConnectionCut(cut.clone());
    let service = app.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(handle.clone());
        request
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::select! {
        () = cut.cancelled() => {}
        _ = connection => {}
    }
}
