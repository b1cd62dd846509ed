//! The installation under trial: proxy and approver as two processes, a target, a chat, and networks in between.

use std::sync::Arc;

use abeyance_e2e::{
    Abeyance, Config, Database, Postgres, RawClient,
    postgres::{PASSWORD, User},
    world::{Mode, connect_slack, slack_for},
};
use abeyance_slack_double::SlackDouble;
use anyhow::Result;
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

/// One installation.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: nobody loses a server it still talks to.
    pub proxy: Mutex<Abeyance>,
    pub approver: Mutex<Abeyance>,
    pub slack: Arc<SlackDouble>,
    pub to_approver: Relay,
    pub to_target: Relay,
    pub database: Database,
    /// `host:port`; the same after a restart.
    proxy_address: String,
    pub approver_url: String,
    _postgres: Arc<Postgres>,
}

impl Stack {
    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start() -> Result<Self> {
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
        let slack = slack_for(&mut config, Mode::Socket).await?;
        let approver = Abeyance::approver_only(&config).await?;
        connect_slack(&slack, Mode::Socket, &approver).await?;
        let approver_url = approver.approver_url()?;
        let upstream = approver_url.trim_start_matches("http://").to_owned();
        let to_approver = Relay::to(upstream).await?;
        let target = format!("127.0.0.1:{}", postgres.port());
        let to_target = Relay::to(target.clone()).await?;
        config.replace_in_targets(&target, &to_target.address());
        let url = format!("http://{}", to_approver.address());
        let proxy = Abeyance::proxy_only(&config, &url).await?;
        Ok(Self {
            proxy_address: proxy.proxy()?.to_owned(),
            proxy: Mutex::new(proxy),
            approver: Mutex::new(approver),
            slack,
            to_approver,
            to_target,
            database,
            approver_url,
            _postgres: postgres,
        })
    }

    /// A session through the proxy.
    ///
    /// # Errors
    /// When the log-in fails.
    pub async fn client(&self) -> Result<RawClient> {
        let user = User::Scram.name();
        RawClient::log_in(&self.proxy_address, user, &self.database.name, PASSWORD).await
    }
}
