//! The one connection a session has to its target.
//!
//! Knows the target's address and credential; clients never see either. What may be written to it
//! is decided in `session::sender`: nothing else writes after start-up.

mod auth;
mod connect;
mod params;

pub(crate) use connect::{Connected, Login, connect, open_socket};
pub(crate) use params::{Settings, settings};
