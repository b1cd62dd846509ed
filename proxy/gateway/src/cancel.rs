//! Cancel requests: from a client's key to the session it belongs to, and from there to the target.
//!
//! The keys are the proxy's own: a client never learns the target's. A request is handed to the
//! session, which alone knows whether its batch is held (then the hold is withdrawn) or running (then
//! the target is asked).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use abeyance_wire::postgres::{CancelKey, CancelRequest, EntropyError, ProtocolVersion};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Target, error::TargetError, io::Link, limits::CANCELS_WAITING_MAX, upstream::open_socket,
};

/// A request on its way to a session. Dropping it tells the asker that it was dealt with.
pub(crate) type Cancel = oneshot::Sender<()>;

/// All sessions that can be cancelled.
#[derive(Debug, Default)]
pub(crate) struct CancelRegistry {
    sessions: Mutex<HashMap<u32, Entry>>,
    next: AtomicU32,
}

#[derive(Debug)]
struct Entry {
    key: CancelKey,
    session: mpsc::Sender<Cancel>,
}

/// A session's place in the registry; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct CancelSlot {
    registry: Arc<CancelRegistry>,
    pub(crate) process_id: u32,
    pub(crate) key: CancelKey,
    pub(crate) requests: mpsc::Receiver<Cancel>,
}

impl CancelRegistry {
    /// Makes a key for a new session.
    pub(crate) fn enter(
        self: &Arc<Self>,
        version: ProtocolVersion,
    ) -> Result<CancelSlot, EntropyError> {
        let key = CancelKey::random(version)?;
        let (session, requests) = mpsc::channel(CANCELS_WAITING_MAX);
        let mut sessions = self.lock();
        let process_id = loop {
            // Positive as an i32: some clients show it as a process id.
            let candidate = self.next.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff;
            if candidate != 0 && !sessions.contains_key(&candidate) {
                break candidate;
            }
        };
        let entry = Entry {
            key: key.clone(),
            session,
        };
        sessions.insert(process_id, entry);
        drop(sessions);
        Ok(CancelSlot {
            registry: self.clone(),
            process_id,
            key,
            requests,
        })
    }

    /// Hands a request to its session and waits until it was dealt with, or for `patience`.
    /// A wrong key is answered like a right one: with silence.
    pub(crate) async fn deliver(&self, request: &CancelRequest, patience: Duration) {
        let session = {
            let sessions = self.lock();
            sessions
                .get(&request.process_id)
                .filter(|entry| entry.key == request.key)
                .map(|entry| entry.session.clone())
        };
        let Some(session) = session else {
            tracing::debug!("cancel request with an unknown key");
            return;
        };
        let (dealt_with, wait) = oneshot::channel();
        if session.try_send(dealt_with).is_ok() {
            let _ = tokio::time::timeout(patience, wait).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CancelSlot {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.process_id);
    }
}

/// Asks the target to cancel what runs on a connection, over TLS when the target uses it.
/// The caller bounds the time.
pub(crate) async fn cancel_upstream(
    target: &Target,
    process_id: u32,
    key: &CancelKey,
) -> Result<(), TargetError> {
    let mut link = Link::new(open_socket(target).await?);
    let request = CancelRequest {
        process_id,
        key: key.clone(),
    };
    link.outbox.encode(|out| request.encode(out));
    link.flush().await.map_err(TargetError::Io)?;
    // The target closes the connection once the signal is on its way.
    while link.fill().await.map_err(TargetError::Io)? > 0 {
        link.input.clear();
    }
    Ok(())
}
