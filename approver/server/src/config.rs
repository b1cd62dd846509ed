//! What the approver is told: plain, already parsed values. Knows no file format.

pub(crate) mod joined;
mod terms;

use std::{collections::HashSet, fmt, str::FromStr, time::Duration};

use abeyance_api::{PersonId, PersonRef};
use abeyance_holds::{
    escalation::{Plan, Who},
    oncall::Schedule,
    quorum::Quorum,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use joined::{JOINT, ROUTES_MAX, SEATS_OF};
pub use terms::{BreakGlassRule, Grants, RouteTerms};

pub use crate::store::{PostgresStore, StoreLocation, StoreTls};

/// Everything [`crate::Approver::open`] needs.
#[derive(Debug, Clone)]
pub struct ApproverConfig {
    pub store: StoreLocation,
    /// How long a proxy that says nothing is believed to live.
    pub proxy_lease: Duration,
    /// How people reach the console, without a trailing slash.
    pub console_url: Option<String>,
    /// Who may use the HTTP API. Empty: nobody.
    pub tokens: Vec<ApiToken>,
    pub people: Vec<Person>,
    pub groups: Vec<Group>,
    pub schedules: Vec<OncallSchedule>,
    pub routes: Vec<Route>,
    /// Proxy and approver share this process: whoever waited before a restart is gone.
    pub single_process: bool,
}

/// A bearer token of the HTTP API.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// Shown in the log.
    pub name: String,
    pub secret: SecretString,
    pub scope: TokenScope,
}

/// What a token is good for. A proxy can never decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenScope {
    /// Open, wait for, claim, withdraw and report holds.
    Proxy,
    /// Look at holds, decide on behalf of people the bot authenticated, deliver cards.
    Bot,
}

/// Somebody who may be asked.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: PersonId,
    pub display_name: String,
    /// Their Slack user id.
    pub slack: Option<String>,
    /// Lets them log in to the console.
    pub console_token_hash: Option<TokenHash>,
}

impl Person {
    /// The person as cards and errors show them.
    #[must_use]
    pub fn to_ref(&self) -> PersonRef {
        PersonRef {
            id: self.id.clone(),
            display_name: self.display_name.clone(),
            slack: self.slack.clone(),
        }
    }
}

/// People under one name.
#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    pub people: Vec<PersonId>,
}

/// Who is on call, and who is told when that changes.
#[derive(Debug, Clone)]
pub struct OncallSchedule {
    pub schedule: Schedule,
    /// Who may be put on call besides those who have turns.
    pub stand_ins: Vec<PersonId>,
    /// The Slack channel where hand-overs are announced.
    pub announce: Option<String>,
    /// The Slack user group that follows whoever is on call.
    pub slack_group: Option<String>,
}

impl OncallSchedule {
    /// Everybody who can ever be on call by it, and who may make overrides of it. Names may come more than once.
    pub fn people(&self) -> impl Iterator<Item = &PersonId> {
        let layers = self.schedule.layers().iter();
        let turns = layers.flat_map(|layer| layer.turns.iter().flatten());
        turns.chain(&self.stand_ins)
    }
}

/// Who is asked and how.
#[derive(Debug, Clone)]
pub struct Route {
    pub name: String,
    /// Everybody who may always decide.
    pub reviewers: Vec<PersonId>,
    /// How many of them have to approve; people as they are now.
    pub quorum: Quorum,
    /// Whom it asks one after another; those may decide from then on.
    pub plan: Plan,
    /// How long a hold waits for a decision.
    pub timeout: Duration,
    /// Where its cards go.
    pub slack_channel: Option<String>,
    pub terms: RouteTerms,
}

/// SHA-256 of a token with at least 128 random bits; written `sha256:<64 hex digits>`.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes a token.
    #[must_use]
    pub fn of(token: &SecretString) -> Self {
        Self(Sha256::digest(token.expose_secret().as_bytes()).into())
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash([redacted])")
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl FromStr for TokenHash {
    type Err = InvalidTokenHash;
    fn from_str(text: &str) -> Result<Self, InvalidTokenHash> {
        let mut bytes = [0_u8; 32];
        let digits = text.strip_prefix("sha256:").ok_or(InvalidTokenHash)?;
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidTokenHash)?;
        Ok(Self(bytes))
    }
}

/// The text is no token hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected sha256: and 64 hex digits, as `abeyance person token` prints it")]
pub struct InvalidTokenHash;

/// A new console token (256 random bits) and the hash that goes into the configuration.
///
/// # Errors
/// When the operating system gives no randomness.
pub fn new_token() -> Result<(SecretString, TokenHash), getrandom::Error> {
    let token = SecretString::from(format!("abp_{}", random_hex()?));
    let hash = TokenHash::of(&token);
    Ok((token, hash))
}

/// 256 random bits as hex.
pub(crate) fn random_hex() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Two people, routes or tokens that cannot be told apart, or a route that asks nobody known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("two {what} are called {name}")]
    Duplicate { what: &'static str, name: String },
    #[error("route {route} names {person}, who is nobody in the roster")]
    UnknownReviewer { route: String, person: PersonId },
    #[error("{one} and {other} have the same {what}: one person would count as two")]
    Shared {
        what: &'static str,
        one: PersonId,
        other: PersonId,
    },
    #[error("route {route} asks {who}, which there is not")]
    UnknownStep { route: String, who: String },
    #[error("route {route} has a timeout of zero or more than 30 days")]
    Timeout { route: String },
    #[error("route {route} needs {quorum} to approve, and has not so many")]
    Quorum { route: String, quorum: String },
    #[error("route {route} needs {denials} people to deny, and has not so many")]
    Denials { route: String, denials: u32 },
    #[error("route {route}: nobody is in the break-glass group {group}")]
    BreakGlass { route: String, group: String },
    #[error("API token {name} is empty or shorter than {min} characters")]
    WeakToken { name: String, min: usize },
}

/// Shortest API token.
const TOKEN_CHARS_MIN: usize = 16;
/// Longest wait of a route.
const ROUTE_TIMEOUT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

impl ApproverConfig {
    /// What the types cannot say. Every mistake is reported, not only the first.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        let lower = |name: &str| name.to_ascii_lowercase();
        duplicates(
            &mut found,
            "people",
            self.people.iter().map(|p| lower(p.id.as_str())),
        );
        duplicates(
            &mut found,
            "routes",
            self.routes.iter().map(|r| r.name.clone()),
        );
        self.shared_identities(&mut found);
        for route in &self.routes {
            let known = |id: &PersonId| self.people.iter().any(|person| person.id == *id);
            found.extend(route.reviewers.iter().filter(|id| !known(id)).map(|id| {
                ConfigError::UnknownReviewer {
                    route: route.name.clone(),
                    person: id.clone(),
                }
            }));
            found.extend(self.unknown_steps(route));
            let everybody = self.everybody(route);
            let quorum = route.quorum.with_more(&everybody);
            if !quorum.is_met_by(&everybody) {
                found.push(ConfigError::Quorum {
                    route: route.name.clone(),
                    quorum: route.quorum.to_string(),
                });
            }
            route
                .terms
                .mistakes(&route.name, everybody.len(), &mut found);
            if route.timeout.is_zero() || route.timeout > ROUTE_TIMEOUT_MAX {
                found.push(ConfigError::Timeout {
                    route: route.name.clone(),
                });
            }
        }
        for token in &self.tokens {
            if token.secret.expose_secret().chars().count() < TOKEN_CHARS_MIN {
                found.push(ConfigError::WeakToken {
                    name: token.name.clone(),
                    min: TOKEN_CHARS_MIN,
                });
            }
        }
        found
    }

    fn unknown_steps(&self, route: &Route) -> impl Iterator<Item = ConfigError> {
        let unknown = |who: &&Who| match who {
            Who::Person(id) => !self.people.iter().any(|person| person.id == *id),
            Who::Group(name) => !self.groups.iter().any(|group| group.name == *name),
            Who::Schedule(name) => !self.schedules.iter().any(|s| s.schedule.name() == name),
            Who::Channel(_) => false,
        };
        route
            .plan
            .whoever()
            .filter(unknown)
            .map(|who| ConfigError::UnknownStep {
                route: route.name.clone(),
                who: who.to_string(),
            })
    }

    /// Everybody who could ever decide a hold of a route.
    fn everybody(&self, route: &Route) -> Vec<PersonId> {
        let mut everybody = route.reviewers.clone();
        for who in route.plan.whoever() {
            match who {
                Who::Person(id) => everybody.push(id.clone()),
                Who::Group(name) => {
                    let groups = self.groups.iter().filter(|group| group.name == *name);
                    everybody.extend(groups.flat_map(|group| group.people.clone()));
                }
                Who::Schedule(name) => {
                    let named = self.schedules.iter().filter(|s| s.schedule.name() == name);
                    everybody.extend(named.flat_map(OncallSchedule::people).cloned());
                }
                Who::Channel(_) => {}
            }
        }
        everybody
    }

    fn shared_identities(&self, found: &mut Vec<ConfigError>) {
        for (at, one) in self.people.iter().enumerate() {
            for other in self.people.iter().skip(at + 1) {
                let mut shared = |what| {
                    found.push(ConfigError::Shared {
                        what,
                        one: one.id.clone(),
                        other: other.id.clone(),
                    });
                };
                if one.slack.is_some() && one.slack == other.slack {
                    shared("Slack user id");
                }
                if let (Some(a), Some(b)) = (one.console_token_hash, other.console_token_hash)
                    && a.matches(&b)
                {
                    shared("console token");
                }
            }
        }
    }
}

fn duplicates(
    found: &mut Vec<ConfigError>,
    what: &'static str,
    names: impl Iterator<Item = String>,
) {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            found.push(ConfigError::Duplicate { what, name });
        }
    }
}
