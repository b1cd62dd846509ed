//! The installation under trial: proxy and approver as two processes, a target, a chat, and networks in between.

use std::sync::Arc;

use abeyance_e2e::{
    Abeyance, Config, Database, PATIENCE, Postgres, RawClient,
    postgres::{PASSWORD, User},
    world::{Mode, slack_for},
};
use abeyance_slack_double::SlackDouble;
use anyhow::Result;
use futures::future::try_join_all;
use tokio::sync::Mutex;

use crate::relay::Relay;

/// Statements on `one` need one approval, on `two` those of two people; everybody may read.
const POLICY: &str = r#"
[[route]]
name = "pair"
reviewers = ["ann", "bob", "cy"]
quorum = 2
timeout = "HOLD_TIMEOUT"
slack_channel = "C0DBA0001"

[policy]
default = "hold"
route = "dba"

[[rule]]
name = "reads-pass"
class = ["read", "session", "transaction"]
verdict = "allow"

[[rule]]
name = "two-agree"
table = ["two"]
verdict = "hold"
route = "pair"
"#;

/// How long a hold waits, in seconds.
pub const HOLD_TIMEOUT: u64 = 4;

/// A proxy, and its networks.
#[derive(Debug)]
pub struct Proxy {
    pub process: Mutex<Abeyance>,
    /// To each approver.
    pub to_approvers: Vec<Relay>,
    pub to_target: Relay,
    /// `host:port`; the same after a restart.
    address: String,
}

/// An approver.
#[derive(Debug)]
pub struct Approver {
    pub process: Mutex<Abeyance>,
    /// The same after a restart.
    pub url: String,
}

/// How many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// One proxy, one approver, a file.
    One,
    /// Two of each, and a database as their store.
    Two,
}

/// How long a proxy that is silent counts as alive, in seconds. Longer than any fault but its death.
const LEASE: u64 = 5;

/// One installation.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: nobody loses a server it still talks to.
    proxies: Vec<Proxy>,
    approvers: Vec<Approver>,
    pub slack: Arc<SlackDouble>,
    pub database: Database,
    pub store: Option<Mutex<Postgres>>,
    _postgres: Arc<Postgres>,
}

impl Stack {
    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(size: Size) -> Result<Self> {
        let postgres = Postgres::start().await?;
        let database = postgres.database().await?;
        let admin = database.admin().await?;
        admin
            .batch_execute(
                "CREATE TABLE one (run bigint GENERATED ALWAYS AS IDENTITY, marker text NOT NULL);
                 CREATE TABLE two (run bigint GENERATED ALWAYS AS IDENTITY, marker text NOT NULL);
                 GRANT ALL ON one, two TO PUBLIC;",
            )
            .await?;
        let mut config = Config::for_database(&database);
        config.policy = POLICY.replace("HOLD_TIMEOUT", &format!("{HOLD_TIMEOUT}s"));
        config.timeout = format!("{HOLD_TIMEOUT}s");
        config.log = "info".to_owned();
        config.approver_lines = format!("proxy_lease = \"{LEASE}s\"\n");
        let slack = slack_for(&mut config, Mode::Socket).await?;
        let (store, count) = match size {
            Size::One => (None, 1),
            Size::Two => {
                let store = Postgres::launch().await?;
                config.store_in(&store).await?;
                (Some(Mutex::new(store)), 2)
            }
        };
        let mut approvers = Vec::new();
        for _ in 0..count {
            let process = Abeyance::approver_only(&config).await?;
            approvers.push(Approver {
                url: process.approver_url()?,
                process: Mutex::new(process),
            });
        }
        slack.wait_for_socket(count, PATIENCE).await?;
        let target = format!("127.0.0.1:{}", postgres.port());
        let mut proxies = Vec::new();
        for _ in 0..count {
            proxies.push(Proxy::start(&config, &target, &approvers).await?);
        }
        Ok(Self {
            proxies,
            approvers,
            slack,
            database,
            store,
            _postgres: postgres,
        })
    }

    /// One of the proxies, counted round.
    ///
    /// # Panics
    /// Never: there is at least one.
    #[must_use]
    pub fn proxy(&self, which: usize) -> &Proxy {
        &self.proxies[which % self.proxies.len()]
    }

    /// One of the approvers, counted round.
    ///
    /// # Panics
    /// Never: there is at least one.
    #[must_use]
    pub fn approver(&self, which: usize) -> &Approver {
        &self.approvers[which % self.approvers.len()]
    }

    /// A session through one of the proxies.
    ///
    /// # Errors
    /// When the log-in fails.
    pub async fn client(&self, which: usize) -> Result<RawClient> {
        let (user, address) = (User::Scram.name(), &self.proxy(which).address);
        RawClient::log_in(address, user, &self.database.name, PASSWORD).await
    }
}

impl Proxy {
    async fn start(config: &Config, target: &str, approvers: &[Approver]) -> Result<Self> {
        let upstreams = approvers.iter().map(|approver| {
            let url = approver.url.trim_start_matches("http://");
            Relay::to(url.to_owned())
        });
        let to_approvers = try_join_all(upstreams).await?;
        let to_target = Relay::to(target.to_owned()).await?;
        let mut config = config.clone();
        config.replace_in_targets(target, &to_target.address());
        let urls = to_approvers
            .iter()
            .map(|relay| format!("http://{}", relay.address()));
        let urls: Vec<_> = urls.collect();
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        let process = Abeyance::proxy_of(&config, &urls).await?;
        Ok(Self {
            address: process.proxy()?.to_owned(),
            process: Mutex::new(process),
            to_approvers,
            to_target,
        })
    }
}
