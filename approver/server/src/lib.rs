//! The decision path: keeps holds, asks people, and answers proxies.
//!
//! [`Approver`] implements the desks of `abeyance-api` over one store, serves them to
//! other machines as an HTTP API, and gives people a web console. Reconcilers close the gap between
//! stored state and what time and people want; a restart needs no code path of its own.
//!
//! Knows no SQL of agents beyond redacted text, no wire protocol, no chat vendor and no
//! configuration file. Carries invariant 4 (a store in doubt refuses), 5 (durable before
//! answered), 9 (people are looked up at the time of the click) and 10 ([`limits`]).

mod approver;
mod config;
mod console;
mod desk;
mod duty;
mod escalate;
mod grants;
mod http;
mod leases;
pub mod limits;
mod openings;
mod overrides;
mod reconcile;
mod record;
mod roster;
mod serve;
mod shifts;
mod signals;
mod store;

pub use abeyance_holds::{escalation, oncall, quorum};
pub use approver::Approver;
pub use config::{
    ApiToken, ApproverConfig, BreakGlassRule, ConfigError, Grants, Group, InvalidTokenHash, JOINT,
    OncallSchedule, Person, PostgresStore, ROUTES_MAX, Route, RouteTerms, SEATS_OF, StoreLocation,
    StoreTls, TokenHash, TokenScope, new_token,
};
pub use serve::{Peer, TlsError, serve, tls_server_config};
pub use store::{
    AuditReport, Copied, CopyError, HoldEvent, OpenError, StoreError, statements_logged, store_copy,
};
