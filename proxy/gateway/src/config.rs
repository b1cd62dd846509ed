//! What a gateway is configured with: plain values that were validated where they were read.
//!
//! Refuses to know files, environment variables and TOML. Passwords stay in `secrecy` types.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use abeyance_api::PersonId;
use abeyance_policy::{Access, RuleSet};
use abeyance_sql::FunctionName;
use abeyance_wire::postgres::scram::ScramVerifier;
use secrecy::SecretString;

use crate::{ClientTls, Limits, UpstreamTls};

/// Everything a [`crate::Gateway`] needs to know.
#[derive(Debug)]
pub struct GatewayConfig {
    /// Absent: clients are answered `N` when they ask for TLS.
    pub client_tls: Option<ClientTls>,
    /// Names are unique; of two equal ones the last counts.
    pub targets: Vec<Target>,
    /// Names are unique; of two equal ones the last counts.
    pub agents: Vec<Agent>,
    pub rules: RuleSet,
    pub limits: Limits,
}

/// A database behind the proxy.
#[derive(Debug)]
pub struct Target {
    /// What clients give as the database name.
    pub name: String,
    /// A host name or address; also the name its certificate is checked against.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    /// Absent: only `trust` works.
    pub password: Option<SecretString>,
    pub tls: UpstreamTls,
    /// A label such as `production`.
    pub environment: Option<String>,
    /// Routines that count as harmless built-ins.
    pub vouched_functions: Arc<BTreeSet<FunctionName>>,
    /// How often to look whether its catalog has changed. Absent: statements are judged by their text alone.
    pub catalog_poll: Option<Duration>,
    /// Sessions with it at once; `None` for no bound of its own.
    pub sessions_max: Option<usize>,
}

/// Whoever connects to the proxy.
#[derive(Debug)]
pub struct Agent {
    /// What clients give as the user name.
    pub name: String,
    pub owner: Option<PersonId>,
    pub actor: Option<String>,
    /// Read-only: the target itself refuses its writes, except for approved ones.
    pub access: Access,
    /// Names of the targets it may reach.
    pub targets: Vec<String>,
    pub verifier: ScramVerifier,
    /// Sessions of it at once; `None` for no bound of its own.
    pub sessions_max: Option<usize>,
}

impl Agent {
    /// Whether the same people may not approve for it.
    pub(crate) fn answers_to_the_same(&self, other: &Self) -> bool {
        (&self.owner, &self.actor) == (&other.owner, &other.actor)
    }
}
