//! An approver behind its real router on loopback, and clients of it.

use std::{net::SocketAddr, sync::Arc};

use abeyance_api::client::{HttpDesk, HttpDeskConfig};
use abeyance_approver::{Approver, serve};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

pub struct Served {
    pub approver: Approver,
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
    _stop: DropGuard,
    _folder: TempDir,
}

pub async fn serving(
    approver: Approver,
    folder: TempDir,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Served {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (router, until) = (approver.router(), stop.clone());
    tasks.spawn(async move { serve(listener, router, tls, until).await.unwrap() });
    Served {
        approver,
        address,
        _tasks: tasks,
        _stop: stop.drop_guard(),
        _folder: folder,
    }
}

/// Each is a proxy of its own.
pub fn desk(address: SocketAddr, token: &str) -> HttpDesk {
    HttpDesk::new(HttpDeskConfig {
        urls: vec![format!("http://{address}")],
        token: token.into(),
        ca_pem: None,
        client_identity_pem: None,
    })
    .unwrap()
}
