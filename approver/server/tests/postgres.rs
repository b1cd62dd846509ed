//! The same tests as beside this file, with PostgreSQL as the store.

#![allow(
    clippy::duplicate_mod,
    reason = "each of them brings its own support, as it does alone"
)]

#[path = "cards.rs"]
mod cards;
#[path = "console.rs"]
mod console;
#[path = "crash.rs"]
mod crash;
#[path = "escalation.rs"]
mod escalation;
#[path = "http.rs"]
mod http;
#[path = "joined.rs"]
mod joined;
#[path = "leases.rs"]
mod leases;
#[path = "life.rs"]
mod life;
#[path = "record.rs"]
mod record;
