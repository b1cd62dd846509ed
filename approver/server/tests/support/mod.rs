//! An approver on a scratch store, with a roster of three people and two routes.

pub mod postgres;
pub mod served;

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use abeyance_api::{
    AgentIdentity, BindingDigest, Blast, Claimant, Decision, DecisionDesk, DecisionRequest,
    Estimate, HoldDesk, HoldId, HoldRequest, ManualClock, RedactedStatement, SessionId,
    SessionInfo, Surface, SystemClock, TargetInfo, TransactionContext,
};
use abeyance_approver::{
    ApiToken, Approver, ApproverConfig, Person, PostgresStore, Route, StoreLocation, StoreTls,
    TokenHash, TokenScope,
    escalation::Plan,
    quorum::{Part, Quorum},
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tempfile::TempDir;

pub const PROXY_TOKEN: &str = "proxy-token-for-tests";
pub const BOT_TOKEN: &str = "bot-token-for-tests";

pub struct Scratch {
    pub approver: Approver,
    pub clock: Arc<ManualClock>,
    pub folder: TempDir,
}

pub fn start() -> DateTime<Utc> {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

pub fn console_token(name: &str) -> SecretString {
    SecretString::from(format!("abp_console-token-of-{name}"))
}

/// One of each group.
fn parts(groups: &[(&str, &[&str])]) -> Quorum {
    let part = |(group, people): &(&str, &[&str])| Part {
        group: Some((*group).to_owned()),
        seats: NonZeroU32::MIN,
        people: people.iter().map(|id| id.parse().unwrap()).collect(),
    };
    Quorum::new(groups.iter().map(part).collect()).unwrap()
}

fn person(name: &str, display_name: &str) -> Person {
    Person {
        id: name.parse().unwrap(),
        display_name: display_name.to_owned(),
        slack: Some(format!("U0{}0001", name.to_uppercase())),
        console_token_hash: Some(TokenHash::of(&console_token(name))),
    }
}

/// Whether the store is shared: then nobody who starts knows that the others are gone.
pub fn shared_store() -> bool {
    module_path!().starts_with("postgres::")
}

/// A file in `folder`; in the tests that `postgres.rs` takes in, a database for that folder.
pub fn store_in(folder: &Path) -> StoreLocation {
    if shared_store() {
        StoreLocation::Postgres(database_of(folder))
    } else {
        folder.join("abeyance.db").into()
    }
}

/// The database that belongs to a folder, in whichever process; made when there is none yet.
fn database_of(folder: &Path) -> PostgresStore {
    let note = folder.join("database");
    let known = std::fs::read_to_string(&note).unwrap_or_else(|_| {
        let server = postgres::server();
        let known = format!("{} {}", server.port, server.database());
        std::fs::write(&note, &known).unwrap();
        known
    });
    let (port, name) = known.split_once(' ').unwrap();
    scratch_database(port.parse().unwrap(), name.to_owned())
}

pub fn scratch_database(port: u16, database: String) -> PostgresStore {
    PostgresStore {
        host: "127.0.0.1".to_owned(),
        port,
        user: "postgres".to_owned(),
        password: None,
        database,
        tls: StoreTls::Off,
        connections_max: 4,
    }
}

pub fn config(folder: &TempDir) -> ApproverConfig {
    config_on(store_in(folder.path()))
}

pub fn config_on(store: StoreLocation) -> ApproverConfig {
    let ids = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    ApproverConfig {
        store,
        console_url: Some("http://127.0.0.1:8080".to_owned()),
        tokens: vec![
            ApiToken {
                name: "proxy".to_owned(),
                secret: PROXY_TOKEN.into(),
                scope: TokenScope::Proxy,
            },
            ApiToken {
                name: "bot".to_owned(),
                secret: BOT_TOKEN.into(),
                scope: TokenScope::Bot,
            },
        ],
        people: vec![
            person("ann", "Ann"),
            person("bob", "Bob"),
            person("cho", "Cho"),
        ],
        groups: Vec::new(),
        schedules: Vec::new(),
        routes: vec![
            Route {
                name: "dba".to_owned(),
                reviewers: ids(&["ann", "bob"]),
                quorum: Quorum::of(NonZeroU32::MIN, ids(&["ann", "bob"])),
                plan: Plan::default(),
                timeout: Duration::from_secs(300),
                slack_channel: Some("C0DBA0001".to_owned()),
                terms: abeyance_approver::RouteTerms::default(),
            },
            Route {
                name: "quiet".to_owned(),
                reviewers: ids(&["ann"]),
                quorum: Quorum::of(NonZeroU32::MIN, ids(&["ann"])),
                plan: Plan::default(),
                timeout: Duration::from_secs(300),
                slack_channel: None,
                terms: abeyance_approver::RouteTerms::default(),
            },
            Route {
                name: "both".to_owned(),
                reviewers: ids(&["ann", "bob", "cho"]),
                quorum: parts(&[("dba", &["ann", "bob"]), ("privacy", &["bob", "cho"])]),
                plan: Plan::default(),
                timeout: Duration::from_secs(300),
                slack_channel: None,
                terms: abeyance_approver::RouteTerms::default(),
            },
        ],
        single_process: true,
        proxy_lease: Duration::from_secs(30),
    }
}

/// With a clock that stands still.
pub async fn scratch() -> Scratch {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(start()));
    let approver = Approver::open(config(&folder), clock.clone())
        .await
        .unwrap();
    Scratch {
        approver,
        clock,
        folder,
    }
}

/// With the machine's clock and a route that times out after `timeout`.
pub async fn live(timeout: Duration) -> (Approver, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    for route in &mut config.routes {
        route.timeout = timeout;
    }
    let approver = Approver::open(config, Arc::new(SystemClock)).await.unwrap();
    (approver, folder)
}

pub fn binding(of: &str) -> BindingDigest {
    BindingDigest::over([of.as_bytes()])
}

pub fn request() -> HoldRequest {
    HoldRequest {
        session: SessionInfo {
            id: SessionId(uuid::Uuid::now_v7()),
            client_addr: "10.1.2.3:50412".to_owned(),
            application_name: Some("billing-nightly".to_owned()),
            started_at: start(),
        },
        agent: AgentIdentity {
            name: "billing-bot".to_owned(),
            owner: Some("ann".parse().unwrap()),
            actor: None,
        },
        target: TargetInfo {
            name: "clinic".to_owned(),
            database: "clinic".to_owned(),
            environment: Some("production".to_owned()),
        },
        statements: vec![RedactedStatement {
            text: "DELETE FROM invoices WHERE paid_at < $1".to_owned(),
            kind: "DELETE".to_owned(),
            fingerprint: "a1b2c3d4".to_owned(),
            writes: vec!["public.invoices".to_owned()],
            reads: vec![],
        }],
        rule: "writes-are-asked".to_owned(),
        policy_version: "0123456789ab".to_owned(),
        reasons: vec!["deletes rows".to_owned()],
        route: "dba".to_owned(),
        blast: Blast::of_rows(Estimate::estimated(1_204)),
        transaction: TransactionContext::Idle,
        agent_reason: Some("monthly clean-up".to_owned()),
        manner: abeyance_api::Manner {
            shape: Some(binding("what it means")),
            ..abeyance_api::Manner::default()
        },
        binding: binding("batch"),
    }
}

pub async fn open(desk: &dyn HoldDesk) -> HoldId {
    desk.hold_open(request()).await.unwrap().id
}

pub fn decision(hold: &HoldId, who: &str, decision: Decision) -> DecisionRequest {
    DecisionRequest {
        hold: hold.clone(),
        claimant: Claimant::Person {
            id: who.parse().unwrap(),
        },
        decision,
        reason: Some("looked at it".to_owned()),
        surface: Surface::Console,
        break_glass: false,
        grant: None,
        key: None,
    }
}

pub async fn approve(desk: &dyn DecisionDesk, hold: &HoldId) {
    desk.hold_decide(decision(hold, "bob", Decision::Approve))
        .await
        .unwrap();
}
