//! Real servers for end-to-end tests: PostgreSQL, `abeyance`, the Slack double, the drivers, a browser.
//!
//! Everything here runs for real and on loopback. The harness speaks the wire protocol with code the
//! product does not use, so that a mistake in the product's codec cannot hide from its own test.
//!
//! Knows no product internals: only the binary, its configuration file, its HTTP API and the wire.
//! Carries the observer's half of the invariants: [`Database::statements`] tells what reached the target.

pub mod abeyance;
mod approver;
pub mod config;
pub mod driver;
pub mod postgres;
mod process;
mod raw;
mod scram;
pub mod transcript;
mod wait;
mod workspace;
pub mod world;

pub use abeyance::Abeyance;
pub use approver::Approver;
pub use config::Config;
pub use driver::Driver;
pub use postgres::{Database, Postgres};
pub use process::{Lines, Process, scratch_dir};
pub use raw::{PROTOCOL_3_0, RawClient, Reply, message};
pub use scram::verifier;
pub use wait::{PATIENCE, eventually};
pub use workspace::{abeyance_binary, build_dir, root};
pub use world::World;
