//! The same tests with PostgreSQL as the store, as far as the store matters.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where it fails"
)]

mod cards;
mod console;
mod crash;
mod escalation;
mod http;
mod joined;
mod leases;
mod life;
mod record;
mod support;
