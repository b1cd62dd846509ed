//! What all sessions share, and the life of the whole: serve, then shut down in order.

use std::{collections::HashMap, sync::Arc};

use abeyance_api::{Clock, HoldDesk};
use abeyance_policy::RuleSet;
use abeyance_wire::postgres::{
    EntropyError,
    scram::{MockSecret, ScramPassword},
};
use secrecy::ExposeSecret;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Agent, ClientTls, GatewayConfig, Limits, Target,
    cancel::CancelRegistry,
    listener,
    session::{ReadingCache, Scope},
};

/// A gateway cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("the system gives no randomness: {0}")]
    Entropy(#[from] EntropyError),
}

/// Everything sessions share. Made once by [`Gateway::new`], used by [`Gateway::serve`].
pub struct Gateway {
    pub(crate) client_tls: Option<ClientTls>,
    targets: HashMap<String, Upstream>,
    agents: HashMap<String, (u32, Arc<Agent>)>,
    pub(crate) rules: RuleSet,
    pub(crate) limits: Limits,
    pub(crate) desk: Arc<dyn HoldDesk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) readings: ReadingCache,
    pub(crate) cancels: Arc<CancelRegistry>,
    /// What unknown agents are checked against.
    pub(crate) mock: MockSecret,
    /// Sockets that are served in any way.
    pub(crate) connections: Arc<Semaphore>,
    /// Sessions past their start-up message.
    pub(crate) sessions: Arc<Semaphore>,
    /// One task a connection.
    pub(crate) tasks: TaskTracker,
    /// What goes on beside sessions: reports, withdrawals, cancel requests.
    pub(crate) background: TaskTracker,
    /// Idle sessions end.
    pub(crate) shutdown: CancellationToken,
    /// All sessions end.
    pub(crate) deadline: CancellationToken,
}

/// A target with what is worked out once for it.
pub(crate) struct Upstream {
    index: u32,
    pub(crate) target: Arc<Target>,
    /// Its password, with the keys that follow from it: only the first login pays for them.
    pub(crate) scram: Option<Arc<ScramPassword>>,
}

impl Upstream {
    fn new(index: u32, target: Target) -> Self {
        let password = target.password.as_ref();
        Self {
            index,
            scram: password.map(|password| Arc::new(ScramPassword::new(password.expose_secret()))),
            target: Arc::new(target),
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("targets", &self.targets.len())
            .field("agents", &self.agents.len())
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Sets a gateway up; nothing is opened yet.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        config: GatewayConfig,
        desk: Arc<dyn HoldDesk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, GatewayError> {
        let GatewayConfig {
            client_tls,
            targets,
            agents,
            rules,
            limits,
        } = config;
        // From the verifiers: what an unknown name is answered does not change at a restart.
        let mock = match MockSecret::from_verifiers(agents.iter().map(|agent| &agent.verifier)) {
            Some(mock) => mock,
            None => MockSecret::random()?,
        };
        Ok(Arc::new(Self {
            client_tls,
            targets: (0..)
                .zip(targets)
                .map(|(index, target)| (target.name.clone(), Upstream::new(index, target)))
                .collect(),
            agents: (0..)
                .zip(agents)
                .map(|(index, agent)| (agent.name.clone(), (index, Arc::new(agent))))
                .collect(),
            rules,
            desk,
            clock,
            readings: ReadingCache::new(&limits),
            cancels: Arc::default(),
            mock,
            connections: Arc::new(Semaphore::new(
                limits.connections_max + limits.handshakes_max,
            )),
            sessions: Arc::new(Semaphore::new(limits.connections_max)),
            tasks: TaskTracker::new(),
            background: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            deadline: CancellationToken::new(),
            limits,
        }))
    }

    /// Serves until `shutdown` is cancelled, then until every session has ended: idle ones at once, the rest
    /// within the grace. Held batches are withdrawn, outcomes are reported.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        listener::accept(&self, &listener, &shutdown).await;
        drop(listener);
        tracing::info!(sessions = self.tasks.len(), "no longer accepting");
        self.shutdown.cancel();
        self.tasks.close();
        if timeout(self.limits.shutdown_grace, self.tasks.wait())
            .await
            .is_err()
        {
            self.deadline.cancel();
            let last = self.limits.exchange_timeout;
            if timeout(last, self.tasks.wait()).await.is_err() {
                tracing::error!(sessions = self.tasks.len(), "sessions would not end");
            }
        }
        self.background.close();
        let last = self.limits.report_timeout;
        if timeout(last, self.background.wait()).await.is_err() {
            tracing::error!(tasks = self.background.len(), "reports would not end");
        }
    }

    /// An agent by the name a client gives.
    pub(crate) fn agent(&self, name: &str) -> Option<&Arc<Agent>> {
        self.agents.get(name).map(|(_, agent)| agent)
    }

    /// A target an agent may use, and the scope its readings are kept under.
    pub(crate) fn target(&self, agent: &Agent, name: &str) -> Option<(&Upstream, Scope)> {
        let allowed = agent.targets.iter().any(|target| target == name);
        let upstream = self.targets.get(name).filter(|_| allowed)?;
        let (agent_index, _) = self.agents.get(&agent.name)?;
        Some((
            upstream,
            Scope {
                agent: *agent_index,
                target: upstream.index,
            },
        ))
    }
}
