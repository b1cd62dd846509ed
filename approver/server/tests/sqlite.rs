//! An approver on a scratch store, which is a SQLite file.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where it fails"
)]

mod calls;
mod cards;
mod console;
mod copy;
mod crash;
mod escalation;
mod grants;
mod http;
mod joined;
mod leases;
mod life;
mod oncall;
mod record;
mod startup;
mod support;
