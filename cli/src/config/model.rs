//! A configuration that was checked: what the parts are built from.
//!
//! Making one is [`super::load`]'s business alone; whoever holds one needs to check nothing again.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use abeyance_api::PersonId;
use abeyance_gateway::{ClientTls, Limits, UpstreamTls};
use abeyance_policy::{Access, RuleSet};
use abeyance_sql::FunctionName;
use abeyance_wire::postgres::scram::ScramVerifier;
use secrecy::{SecretSlice, SecretString};

/// Which parts the process runs, and so which parts of the file it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Proxy, approver and bots in one process.
    Serve,
    /// The data path alone; the approver is elsewhere.
    Proxy,
    /// The decision path and the bots alone.
    Approver,
    /// Nothing runs: the rules are tried out, and the file is read without looking at the
    /// environment or at the files it names.
    #[value(name = "none")]
    Judge,
}

impl Role {
    /// Whether this process talks to clients and targets.
    #[must_use]
    pub fn proxies(self) -> bool {
        matches!(self, Self::Serve | Self::Proxy)
    }

    /// Whether this process needs rules, and what they speak of.
    #[must_use]
    pub fn judges(self) -> bool {
        self.proxies() || self == Self::Judge
    }

    /// Whether this process decides.
    #[must_use]
    pub fn approves(self) -> bool {
        matches!(self, Self::Serve | Self::Approver)
    }
}

/// The whole file.
#[derive(Debug)]
pub struct Config {
    /// There when the role proxies.
    pub proxy: Option<Proxy>,
    /// There when the role approves.
    pub approver: Option<Approver>,
    pub targets: Vec<Target>,
    pub agents: Vec<Agent>,
    pub people: Vec<Person>,
    pub routes: Vec<Route>,
    pub groups: Vec<abeyance_approver::Group>,
    pub schedules: Vec<abeyance_approver::OncallSchedule>,
    pub slack: Option<Slack>,
    pub rules: RuleSet,
}

/// Where clients connect.
#[derive(Debug)]
pub struct Proxy {
    pub listen: SocketAddr,
    pub tls: Option<ClientTls>,
    /// Where the approver is, when it is not in this process.
    pub approver: Option<RemoteApprover>,
    pub limits: Limits,
}

/// An approver in another process, or several on one store.
#[derive(Debug)]
pub struct RemoteApprover {
    pub urls: Vec<String>,
    pub token: SecretString,
    pub ca_pem: Option<Vec<u8>>,
    /// Certificate and key in one file, for an approver that demands client certificates.
    pub identity_pem: Option<SecretSlice<u8>>,
}

/// A database behind the proxy.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Option<SecretString>,
    pub tls: UpstreamTls,
    pub environment: Option<String>,
    pub vouched_functions: BTreeSet<FunctionName>,
    pub catalog_poll: Duration,
    pub sessions_max: Option<usize>,
}

/// Who may connect.
#[derive(Debug)]
pub struct Agent {
    pub name: String,
    pub owner: Option<PersonId>,
    pub actor: Option<String>,
    pub access: Access,
    pub targets: Vec<String>,
    pub verifier: ScramVerifier,
    pub sessions_max: Option<usize>,
}

/// Where decisions are made.
#[derive(Debug)]
pub struct Approver {
    pub listen: SocketAddr,
    pub store: abeyance_approver::StoreLocation,
    pub proxy_lease: std::time::Duration,
    pub console_url: Option<String>,
    pub token: Option<SecretString>,
    pub tls: Option<std::sync::Arc<rustls::ServerConfig>>,
}

/// Somebody who decides or owns an agent.
#[derive(Debug)]
pub struct Person {
    pub id: PersonId,
    pub display_name: String,
    pub slack: Option<String>,
    pub console_token_hash: Option<abeyance_approver::TokenHash>,
}

/// Who is asked, and how long there is to answer.
#[derive(Debug)]
pub struct Route {
    pub name: String,
    /// Everybody who may always decide, each once.
    pub reviewers: Vec<PersonId>,
    pub quorum: abeyance_approver::quorum::Quorum,
    pub plan: abeyance_approver::escalation::Plan,
    pub timeout: Duration,
    pub slack_channel: Option<String>,
    pub terms: abeyance_approver::RouteTerms,
}

/// How to reach Slack.
#[derive(Debug)]
pub struct Slack {
    pub mode: SlackMode,
    pub bot_token: SecretString,
    /// Another address of the Web API, for tests.
    pub api_url: Option<String>,
}

/// How clicks come back.
#[derive(Debug)]
pub enum SlackMode {
    Socket { app_token: SecretString },
    Http { signing_secret: SecretString },
}
