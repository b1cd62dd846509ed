//! Slack: a Block Kit card for every hold, and clicks and slash commands by HTTP or by Socket Mode.
//!
//! [`SlackBot`] is all the rest of the program sees. Outgoing calls go through slack-morphism; incoming
//! payloads are read by hand, because models that refuse what they do not know would lose clicks. Knows no SQL, no
//! store and no policy; who may decide is the server's to say (invariant 9). Shows only what arrived redacted
//! (invariant 7), escaped so that nothing an agent wrote can notify, link or pass for the card
//! itself. Every call, buffer and wait is bounded in `limits` (invariant 10).

mod answer;
mod api;
mod blocks;
mod bot;
mod clicks;
mod commands;
mod complaints;
mod config;
mod error;
mod form;
mod identity;
mod limits;
mod payload;
mod port;
mod reception;
mod signature;
mod socket;
mod text;
mod webhook;

#[cfg(test)]
#[allow(dead_code, reason = "the tests beside this crate use the rest of it")]
#[path = "../tests/support/mod.rs"]
mod support;

pub use api::SlackIdentity;
pub use bot::SlackBot;
pub use config::{SlackConfig, SlackMode};
pub use error::{CallError, SlackError, advice};
