//! `serve`, `proxy` and `approver`: starts the parts, waits for a signal, and stops them in an order
//! in which each still finds what it needs: first the sessions, then chat, then the decision path.

use std::{future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use abeyance_api::{Clock, HoldDesk, SystemClock, client::HttpDesk};
use abeyance_approver::Approver;
use abeyance_gateway::Gateway;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    args::RunArgs,
    commands,
    config::{self, Config, Role},
    exit::Failure,
    files,
    ready::{self, Ready},
    reload::Reloader,
    wiring,
};

/// How long a part may take to stop on top of what it promises itself.
const STOP_SLACK: Duration = Duration::from_secs(5);
/// How long running clicks may take to finish.
const CHAT_STOP: Duration = Duration::from_secs(12);

/// Runs the parts of a role until a signal.
///
/// # Errors
/// When the configuration is wrong, a port or the store cannot be had, or a part fails.
pub fn run(args: &RunArgs, role: Role) -> Result<(), Failure> {
    let path = &args.config.config;
    let (config, source) = commands::load_with_source(path, role)?;
    if let Some(proxy) = &config.proxy {
        files::allow_for(proxy.limits.connections_max);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unavailable(format!("no threads to run on: {error}")))?;
    let outcome = runtime.block_on(async {
        let reloader = Reloader::new(path, role, source)?;
        run_parts(config, reloader, role, args.ready_file.as_deref()).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run_parts(
    config: Config,
    mut reloader: Reloader,
    role: Role,
    ready_file: Option<&Path>,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut parts = Parts::default();
    let proxy_listener = match &config.proxy {
        Some(proxy) => Some(bind("proxy", proxy.listen).await?),
        None => None,
    };
    let approver_listener = match &config.approver {
        Some(approver) => Some(bind("approver", approver.listen).await?),
        None => None,
    };
    let ready = Ready {
        pid: std::process::id(),
        proxy: address(proxy_listener.as_ref())?,
        approver: address(approver_listener.as_ref())?,
    };

    // Started last, stopped first: see `Parts::stop`.
    let mut desk: Option<Arc<dyn HoldDesk>> = None;
    let mut store = None;
    if let (Some(approver), Some(listener)) = (config.approver, approver_listener) {
        let running = DecisionPath {
            config: approver,
            people: config.people,
            asked: wiring::Asked {
                groups: config.groups,
                schedules: config.schedules,
                routes: config.routes,
            },
            slack: config.slack,
        };
        let approver = running.start(listener, role, &clock, &mut parts).await?;
        desk = Some(approver.hold_desk());
        reloader.approver(approver.clone());
        store = Some(approver);
    }
    if let (Some(mut proxy), Some(listener)) = (config.proxy, proxy_listener) {
        let desk = match (desk, proxy.approver.take()) {
            (Some(desk), _) => desk,
            (None, Some(remote)) => remote_desk(remote)?,
            (None, None) => return Err(Failure::Usage("no approver is configured".to_owned())),
        };
        let stop_within = proxy.limits.shutdown_grace + proxy.limits.exchange_timeout + STOP_SLACK;
        let version = config.rules.version().to_owned();
        let gateway = wiring::gateway(proxy, config.targets, config.agents, config.rules);
        let gateway = Gateway::new(gateway, desk, Arc::clone(&clock))
            .map_err(|error| Failure::Unavailable(error.to_string()))?;
        reloader.gateway(Arc::clone(&gateway), &version);
        tracing::info!(policy = version, "judging");
        parts.start("proxy", stop_within, |stop| gateway.serve(listener, stop));
    }

    parts.start("reloading", STOP_SLACK, |stop| reloader.run(stop));
    if let Some(path) = ready_file {
        ready::write(path, &ready)?;
    }
    tracing::info!(
        proxy = ready.proxy.map(tracing::field::display),
        approver = ready.approver.map(tracing::field::display),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    let failed = tokio::select! {
        // Cancel-safe: only tells that some part ended.
        () = parts.ended.cancelled() => true,
        // Cancel-safe: a signal is noted before it is awaited.
        () = signals.next() => false,
    };
    tracing::info!("stopping");
    let stopped = tokio::select! {
        // Not cancelled before the process ends.
        () = parts.stop() => Ok(()),
        () = signals.next() => Err(Failure::Internal("stopped at once by a second signal".to_owned())),
    };
    if let Some(approver) = store {
        approver.close().await;
    }
    stopped?;
    if failed {
        return Err(Failure::Internal(
            "a part ended on its own; see the log".to_owned(),
        ));
    }
    tracing::info!("stopped");
    Ok(())
}

fn address(listener: Option<&TcpListener>) -> Result<Option<SocketAddr>, Failure> {
    listener
        .map(TcpListener::local_addr)
        .transpose()
        .map_err(|error| Failure::Unavailable(error.to_string()))
}

async fn bind(part: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Unavailable(format!(
            "the {part} cannot listen at {address}: {error}; stop what listens there, or change `listen` in [{part}]"
        ))
    })
}

fn remote_desk(remote: config::RemoteApprover) -> Result<Arc<dyn HoldDesk>, Failure> {
    let desk = HttpDesk::new(wiring::remote(remote))
        .map_err(|error| Failure::Usage(format!("[proxy] approver: {error}")))?;
    Ok(Arc::new(desk))
}

/// What the decision path is started from.
struct DecisionPath {
    config: config::Approver,
    people: Vec<config::Person>,
    asked: wiring::Asked,
    slack: Option<config::Slack>,
}

impl DecisionPath {
    async fn start(
        self,
        listener: TcpListener,
        role: Role,
        clock: &Arc<dyn Clock>,
        parts: &mut Parts,
    ) -> Result<Approver, Failure> {
        let single_process = role == Role::Serve;
        let config = wiring::approver(&self.config, self.people, self.asked, single_process);
        let approver = Approver::open(config, Arc::clone(clock))
            .await
            .map_err(|error| Failure::Io(error.to_string()))?;
        let mut router = approver.router();
        let bot = self.slack.map(|slack| {
            wiring::slack(
                slack,
                &approver,
                Arc::clone(clock),
                self.config.console_url.clone(),
            )
        });
        let bot = bot
            .transpose()
            .map_err(|error| Failure::Usage(format!("[slack]: {error}")))?;
        if let Some(routes) = bot.as_ref().and_then(abeyance_slack::SlackBot::router) {
            router = router.merge(routes);
        }
        let reconciler = approver.clone();
        parts.start("reconcilers", STOP_SLACK, |stop| async move {
            reconciler.run(stop).await;
        });
        let tls = self.config.tls;
        parts.start("approver", STOP_SLACK, |stop| async move {
            if let Err(error) = abeyance_approver::serve(listener, router, tls, stop).await {
                tracing::error!(%error, "the approver's listener failed");
            }
        });
        if let Some(bot) = bot {
            parts.start(
                "slack",
                CHAT_STOP,
                |stop| async move { bot.run(stop).await },
            );
        }
        Ok(approver)
    }
}

/// The running parts, in the order they were started.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    tracker: TaskTracker,
    /// Some part ended, by itself or by panicking.
    ended: CancellationToken,
}

struct Part {
    name: &'static str,
    stop: CancellationToken,
    stop_within: Duration,
    task: JoinHandle<()>,
}

impl Parts {
    fn start<F>(
        &mut self,
        name: &'static str,
        stop_within: Duration,
        run: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let work = run(stop.clone());
        let ended = self.ended.clone().drop_guard();
        let task = self.tracker.spawn(async move {
            let _ended = ended;
            work.await;
        });
        self.parts.push(Part {
            name,
            stop,
            stop_within,
            task,
        });
    }

    /// Stops the parts, the last one first, and gives each its time.
    async fn stop(&mut self) {
        while let Some(mut part) = self.parts.pop() {
            part.stop.cancel();
            match tokio::time::timeout(part.stop_within, &mut part.task).await {
                Ok(Ok(())) => tracing::debug!(part = part.name, "part stopped"),
                Ok(Err(error)) => tracing::error!(part = part.name, %error, "part failed"),
                Err(_) => {
                    tracing::warn!(part = part.name, "part did not stop in time");
                    part.task.abort();
                }
            }
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::Unavailable(format!("signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            // Both are cancel-safe: a signal that was not received stays noted.
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
