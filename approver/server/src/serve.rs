//! The listener: plain HTTP/1.1 or TLS, with client certificates when a client CA is given.
//!
//! Every connection is bounded in time until its request head is there, connections are bounded in
//! number, and shutdown lets open requests end. HTTP/1.1 alone: a long poll then never
//! shares a connection with a call that must not wait behind it.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Approver, limits};

/// The address a request came from, as the listener saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub SocketAddr);

/// Tells handlers that wait (long polls, live pages) that the listener stops.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stopping(pub(crate) CancellationToken);

impl Stopping {
    /// Returns when waiting makes no more sense. Cancel-safe.
    pub(crate) async fn told(stopping: Option<Extension<Self>>, approver: &Approver) {
        let Extension(Self(listener)) = stopping.unwrap_or_default();
        // Both arms are cancel-safe.
        tokio::select! {
            () = listener.cancelled() => {}
            () = approver.0.stopping.cancelled() => {}
        }
    }
}

/// A certificate, key or CA that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("no usable certificate in the {0} file; it must be PEM")]
    Certificate(&'static str),
    #[error("no usable private key; it must be PEM (PKCS#8, PKCS#1 or SEC1), without a passphrase")]
    Key,
    #[error("certificate and key cannot be used: {0}")]
    Refused(#[from] rustls::Error),
    #[error("the client CA cannot be used: {0}")]
    ClientCa(#[from] rustls::server::VerifierBuilderError),
}

/// TLS for [`serve`]. With `client_ca_pem`, only clients with a certificate of that CA get in.
///
/// # Errors
/// [`TlsError`] says which file is wrong.
pub fn tls_server_config(
    cert_pem: &[u8],
    key_pem: &[u8],
    client_ca_pem: Option<&[u8]>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(cert_pem).ok_or(TlsError::Certificate("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::Key)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match client_ca_pem {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem).ok_or(TlsError::Certificate("client CA"))? {
                roots.add(certificate)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()?;
    Some(chain).filter(|chain| !chain.is_empty())
}

/// Serves `router` until `shutdown`, then lets open requests end within a bound.
///
/// # Errors
/// When the listener itself breaks.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let acceptor = tls.map(TlsAcceptor::from);
    let slots = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let tasks = TaskTracker::new();
    let cut_off = CancellationToken::new();
    let router = router.layer(Extension(Stopping(shutdown.clone())));
    loop {
        // All arms are cancel-safe.
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, peer, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let connection = Connection {
            router: router.clone().layer(Extension(Peer(peer))),
            acceptor: acceptor.clone(),
            watcher: graceful.watcher(),
        };
        let cut_off = cut_off.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = connection.run(stream) => {}
                () = cut_off.cancelled() => {}
            }
            drop(slot);
        });
    }
    drop(listener);
    tasks.close();
    let drained = async {
        graceful.shutdown().await;
        tasks.wait().await;
    };
    if tokio::time::timeout(limits::DRAIN_TIMEOUT, drained)
        .await
        .is_err()
    {
        cut_off.cancel();
        tasks.wait().await;
    }
    Ok(())
}

/// After an accept that failed for lack of something.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots
        .clone()
        .acquire_owned()
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

/// Errors of one connection, or of a full file table: the listener itself is fine.
fn is_passing(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
        || matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::Interrupted
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::OutOfMemory
        )
}

struct Connection {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let Some(acceptor) = self.acceptor.clone() else {
            return self.requests(stream).await;
        };
        match tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.requests(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn requests<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HEAD_TIMEOUT)
            .max_headers(limits::HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router));
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}
