//! What all sessions share, and the life of the whole: serve, then shut down in order.

use std::sync::Arc;

use abeyance_api::{Clock, HoldDesk};
use abeyance_policy::RuleSet;
use abeyance_wire::postgres::{EntropyError, scram::MockSecret};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Agent, ClientTls, GatewayConfig, Limits, Target,
    cancel::CancelRegistry,
    catalog::PatternWatch,
    limits::PROBES_MAX,
    listener,
    session::{ReadingCache, Shapes},
    snapshot::{Current, Snapshot},
    statements::StatementLog,
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
    /// Who may connect to what, and by which rules.
    pub(crate) current: Current,
    /// Which patterns of the rules match nothing.
    pub(crate) patterns: Arc<PatternWatch>,
    /// Statements pass whatever they are: in tests of the read-only floor alone.
    pub(crate) unjudged: Option<Unjudged>,
    pub(crate) limits: Limits,
    pub(crate) desk: Arc<dyn HoldDesk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) readings: ReadingCache,
    /// Statements the second gate has asked targets about.
    pub(crate) shapes: Shapes,
    /// What was judged since the approver was last told.
    pub(crate) statements: StatementLog,
    pub(crate) cancels: Arc<CancelRegistry>,
    /// What unknown agents are checked against.
    pub(crate) mock: MockSecret,
    /// Sockets that are served in any way.
    pub(crate) connections: Arc<Semaphore>,
    /// Sessions past their start-up message.
    pub(crate) sessions: Arc<Semaphore>,
    /// Room, in KiB, for catalogs that one session alone sees.
    pub(crate) private_catalogs: Arc<Semaphore>,
    /// Sessions that ask targets what a batch would do.
    pub(crate) probes: Semaphore,
    /// One task a connection.
    pub(crate) tasks: TaskTracker,
    /// What goes on beside sessions: reports, withdrawals, cancel requests.
    pub(crate) background: TaskTracker,
    /// Idle sessions end.
    pub(crate) shutdown: CancellationToken,
    /// All sessions end.
    pub(crate) deadline: CancellationToken,
}

/// How a gateway under test fails to judge.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "unjudged"),
    expect(dead_code, reason = "only tests make one")
)]
pub enum Unjudged {
    /// Statements are analysed, and every verdict is *allow*.
    Allowed,
    /// Nothing is analysed either: each text is one statement of which nothing is known.
    Blind,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
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
        Self::build(config, desk, clock, None).map(Arc::new)
    }

    /// A gateway that judges nothing, to test what holds all the same.
    ///
    /// # Errors
    /// When the system gives no randomness.
    #[cfg(feature = "unjudged")]
    #[doc(hidden)]
    pub fn unjudged(
        config: GatewayConfig,
        desk: Arc<dyn HoldDesk>,
        clock: Arc<dyn Clock>,
        how: Unjudged,
    ) -> Result<Arc<Self>, GatewayError> {
        Self::build(config, desk, clock, Some(how)).map(Arc::new)
    }

    fn build(
        config: GatewayConfig,
        desk: Arc<dyn HoldDesk>,
        clock: Arc<dyn Clock>,
        unjudged: Option<Unjudged>,
    ) -> Result<Self, GatewayError> {
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
        Ok(Self {
            client_tls,
            unjudged,
            patterns: Arc::new(PatternWatch::new(&targets, &rules)),
            current: Current::new(Snapshot::new(targets, agents, rules)),
            desk,
            clock,
            readings: ReadingCache::new(&limits),
            shapes: Shapes::new(),
            statements: StatementLog::default(),
            cancels: Arc::default(),
            mock,
            connections: Arc::new(Semaphore::new(
                limits.connections_max + limits.handshakes_max,
            )),
            sessions: Arc::new(Semaphore::new(limits.connections_max)),
            private_catalogs: Arc::new(Semaphore::new(limits.private_catalog_bytes / 1024)),
            probes: Semaphore::new(PROBES_MAX),
            tasks: TaskTracker::new(),
            background: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            deadline: CancellationToken::new(),
            limits,
        })
    }

    /// Serves until `shutdown` is cancelled, then until every session has ended: idle ones at once, the rest
    /// within the grace. Held batches are withdrawn, outcomes are reported.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        let gateway = Arc::clone(&self);
        self.background
            .spawn(async move { gateway.statements_keep().await });
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
        self.statements_flush().await;
        self.background.close();
        let last = self.limits.report_timeout;
        if timeout(last, self.background.wait()).await.is_err() {
            tracing::error!(tasks = self.background.len(), "reports would not end");
        }
    }

    /// Puts other agents, rules and labels of targets in place of the present ones. Sessions use them from their next
    /// batch on; those of an agent that may not be there any more end. Targets keep their addresses and credentials:
    /// a target that is new here is for new sessions only.
    pub fn reload(&self, targets: Vec<Target>, agents: Vec<Agent>, rules: RuleSet) {
        self.patterns.reloaded(&targets, &rules);
        self.current.replace(targets, agents, rules);
    }
}
