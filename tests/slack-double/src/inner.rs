//! What all handlers share: the world behind its lock, the signal that it changed, secrets, sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::server::Gate;
use crate::socket::Sockets;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Inner {
    world: Mutex<World>,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) tracker: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    pub(crate) gate: Arc<Gate>,
    pub(crate) sockets: Sockets,
    pub(crate) addr: SocketAddr,
    pub(crate) origin: String,
    pub(crate) bot_token: String,
    pub(crate) app_token: String,
    pub(crate) signing_secret: String,
    pub(crate) ack_limit: Duration,
}

impl Inner {
    pub(crate) fn new(config: crate::DoubleConfig, addr: SocketAddr, gate: Arc<Gate>) -> Self {
        Self {
            world: Mutex::new(World::new(&config)),
            changed: watch::channel(0).0,
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            gate,
            sockets: Sockets::default(),
            addr,
            origin: format!("http://{addr}"),
            bot_token: config.bot_token,
            app_token: config.app_token,
            signing_secret: config.signing_secret,
            ack_limit: config.ack_limit,
        }
    }

    /// To look. Never held across an await.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To change something; wakes whoever waits for a change.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let result = change(&mut self.world());
        self.touch();
        result
    }

    pub(crate) fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}
