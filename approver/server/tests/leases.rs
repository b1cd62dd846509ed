//! Proxies that go away: their holds end when their lease does, and never before.
//!
//! A lease is time that passes: what proves that a proxy is gone is an approver that looked for the whole of it, by the
//! machine's own steady clock, while proxies beat over real connections and the store's clock agrees. A clock of the
//! test's could move no part of that without the others. So a lease is short here, nothing waits but for a lease,
//! and each test waits for what a lease brings about.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::support::{self, PROXY_TOKEN, approve, binding, config, open};
use abeyance_api::{
    Clock, DecisionDesk as _, HoldDesk, HoldId, HoldState, Outcome, Resolution, SystemClock,
    WithdrawReason,
    client::{HttpDesk, HttpDeskConfig},
};
use abeyance_approver::{Approver, ApproverConfig, serve};
use chrono::{DateTime, Utc};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_millis(600);

/// An approver that serves and reconciles.
struct Running {
    approver: Approver,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

fn shared(folder: &TempDir) -> ApproverConfig {
    let mut config = config(folder);
    config.single_process = false;
    config.proxy_lease = LEASE;
    config
}

/// The machine's clock, so much later.
#[derive(Debug)]
struct Later(Duration);

impl Clock for Later {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }
}

async fn run(config: ApproverConfig) -> Running {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    run_at(config, listener, Later(Duration::ZERO)).await
}

async fn run_at(config: ApproverConfig, listener: TcpListener, clock: Later) -> Running {
    let approver = Approver::open(config, Arc::new(clock)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let router = approver.router();
    let stopped = stop.clone();
    tasks.spawn(async move { serve(listener, router, None, stopped).await.unwrap() });
    let (reconciler, stopped) = (approver.clone(), stop.clone());
    tasks.spawn(async move { reconciler.run(stopped).await });
    Running {
        approver,
        address,
        stop,
        tasks,
    }
}

impl Running {
    async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.approver.close().await;
    }
}

/// A proxy's way to approvers at these addresses.
fn desk(addresses: &[SocketAddr]) -> HttpDesk {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let urls = addresses.iter().map(|address| format!("http://{address}"));
    HttpDesk::new(HttpDeskConfig {
        urls: urls.collect(),
        token: PROXY_TOKEN.into(),
        ca_pem: None,
        client_identity_pem: None,
    })
    .unwrap()
}

async fn until(approver: &Approver, id: &HoldId, state: HoldState) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let view = approver.hold_view(id).await.unwrap();
        if view.state == state {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{view:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn holds_of_a_proxy_that_went_away_are_over() {
    let folder = tempfile::tempdir().unwrap();
    let running = run(shared(&folder)).await;
    let (alive, dead) = (desk(&[running.address]), desk(&[running.address]));
    let kept = open(&alive).await;
    let (waiting, approved, claimed) = (open(&dead).await, open(&dead).await, open(&dead).await);
    // A ticket waits for its agent, which may come back by another proxy.
    let mut ticket = support::request();
    ticket.manner.ticket = true;
    ticket.binding = binding("ticket");
    let ticket = dead.hold_open(ticket).await.unwrap().id;
    approve(&running.approver, &approved).await;
    approve(&running.approver, &claimed).await;
    dead.hold_claim(&claimed, binding("batch")).await.unwrap();
    drop(dead);

    let wait = alive.hold_wait(&waiting).await.unwrap();
    let reason = WithdrawReason::ProxyLost;
    assert_eq!(wait, Resolution::Withdrawn { reason });
    until(&running.approver, &approved, HoldState::Lapsed).await;
    until(&running.approver, &claimed, HoldState::Failed).await;
    until(&running.approver, &ticket, HoldState::Pending).await;
    let view = running.approver.hold_view(&claimed).await.unwrap();
    assert!(
        matches!(view.outcome, Some(Outcome::Unknown { reason }) if reason.contains("went away"))
    );
    // Nobody gets a permit any more.
    assert!(alive.hold_claim(&approved, binding("batch")).await.is_err());
    until(&running.approver, &kept, HoldState::Pending).await;
    let audit = running.approver.audit_verify().await.unwrap();
    assert_eq!(audit.broken_at, None);
    running.stop().await;
}

#[tokio::test]
async fn a_proxy_keeps_its_holds_when_its_approver_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(shared(&folder)).await;
    let address = first.address;
    let (proxy, dead) = (desk(&[address]), desk(&[address]));
    let (id, forsaken) = (open(&proxy).await, open(&dead).await);
    drop(dead);
    first.stop().await;
    // Away for longer than the lease: that says nothing about the proxy.
    let listener = TcpListener::bind(address).await.unwrap();
    let second = run_at(shared(&folder), listener, Later(LEASE * 2)).await;
    let mut waiting = JoinSet::new();
    let waiter = proxy.clone();
    let held = id.clone();
    waiting.spawn(async move { waiter.hold_wait(&held).await });
    // Leases were judged again, by an approver that had looked for a whole one.
    until(&second.approver, &forsaken, HoldState::Withdrawn).await;
    approve(&second.approver, &id).await;
    let resolution = waiting.join_next().await.unwrap().unwrap().unwrap();
    assert!(matches!(resolution, Resolution::Approved { .. }));
    proxy.hold_claim(&id, binding("batch")).await.unwrap();
    second.stop().await;
}
