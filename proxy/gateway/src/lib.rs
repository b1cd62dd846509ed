//! The data path: sessions between clients and targets.
//!
//! The only part that talks to clients and targets. A client connects with its normal PostgreSQL
//! driver; each batch it sends is judged whole, then forwarded, refused, or held on the open
//! connection until a reviewer has decided. Reaches the approver through `abeyance_api` alone; knows no
//! store, no chat, no configuration file.
//!
//! Carries invariants 1 (nothing runs unjudged), 2 (a held statement runs only with its permit), 3 (judged
//! whole before the first byte), 4 (any doubt denies), 6 (transaction state stays true) and its share of 7 and 10.

mod auth;
mod cancel;
mod catalog;
mod config;
mod error;
mod establish;
mod exchange;
mod gateway;
mod io;
mod limits;
mod listener;
mod session;
mod snapshot;
mod startup;
mod statements;
mod tls;
mod upstream;

pub use catalog::{CatalogUnavailable, LoadedCatalog, load_catalog};
pub use config::{Agent, GatewayConfig, Target};
#[cfg(feature = "unjudged")]
#[doc(hidden)]
pub use gateway::Unjudged;
pub use gateway::{Gateway, GatewayError};
pub use limits::Limits;
pub use session::{PROXY, Rehearsal, Rehearsed, Stage, context};
pub use tls::{ClientTls, TlsConfigError, UpstreamTls};
