//! A gateway between a scripted client and a scripted target, with a desk the test decides for.

pub mod client;
pub mod desk;
pub mod target;

use std::{net::SocketAddr, sync::Arc};

use abeyance_api::SystemClock;
use abeyance_gateway::{Agent, Gateway, GatewayConfig, Limits, Target, UpstreamTls};
use abeyance_policy::{Decision, Matcher, Rule, RuleSet};
use abeyance_sql::StatementClass;
use abeyance_wire::postgres::scram::ScramVerifier;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::{client::Client, desk::Desk, target::FakeTarget};

pub const PASSWORD: &str = "bot's password";

/// A running gateway and everything around it.
pub struct Fixture {
    pub address: SocketAddr,
    pub desk: Arc<Desk>,
    pub target: FakeTarget,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<()>,
}

impl Fixture {
    /// DELETE is held, TRUNCATE is denied, the rest of what analysis vouches for passes.
    pub async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let target = FakeTarget::start().await;
        let desk = Arc::new(Desk::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway =
            Gateway::new(config(&target, limits), desk.clone(), Arc::new(SystemClock)).unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::task::spawn(gateway.serve(listener, shutdown.clone()));
        Self {
            address,
            desk,
            target,
            shutdown,
            served,
        }
    }

    /// A client that is logged in, and its target session.
    pub async fn connect(&self) -> (Client, target::TargetSession) {
        let (client, session) = tokio::join!(Client::login(self.address), self.target.accept());
        (client, session)
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.unwrap();
    }
}

fn config(target: &FakeTarget, limits: Limits) -> GatewayConfig {
    let rule = |name: &str, kind: &[&str], decision| {
        let matcher = Matcher {
            kinds: Some(kind.iter().map(ToString::to_string).collect()),
            ..Matcher::default()
        };
        Rule::new(name, matcher, decision)
    };
    let hold = Decision::Hold {
        route: "dba".to_owned(),
    };
    let vouched = Rule {
        matcher: Matcher {
            classes: Some(vec![
                StatementClass::Read,
                StatementClass::Write,
                StatementClass::Transaction,
                StatementClass::Session,
                StatementClass::SessionRisk,
                StatementClass::Copy,
            ]),
            ..Matcher::default()
        },
        ..rule("vouched", &[], Decision::Allow)
    };
    let vouched = Rule {
        matcher: Matcher {
            kinds: None,
            ..vouched.matcher
        },
        ..vouched
    };
    let rules = vec![
        rule("deletes-are-asked", &["DELETE"], hold.clone()),
        rule("no-truncate", &["TRUNCATE"], Decision::Deny),
        vouched,
    ];
    GatewayConfig {
        client_tls: None,
        targets: vec![Target {
            name: "clinic".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: target.port(),
            database: "clinic_db".to_owned(),
            user: "app".to_owned(),
            password: None,
            tls: UpstreamTls::disable(),
            environment: None,
            vouched_functions: Arc::default(),
            catalog_poll: None,
            sessions_max: None,
        }],
        agents: vec![Agent {
            name: "bot".to_owned(),
            owner: None,
            actor: None,
            access: abeyance_policy::Access::ReadWrite,
            targets: vec!["clinic".to_owned()],
            verifier: ScramVerifier::generate(PASSWORD).unwrap(),
            sessions_max: None,
        }],
        rules: RuleSet::new(rules, hold).unwrap(),
        limits,
    }
}
