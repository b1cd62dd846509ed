//! The bot against a server that speaks Slack.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where it fails"
)]

mod attacks;
mod commands;
mod double;
mod forged;
#[path = "support/rig.rs"]
mod rig;
mod silence;
mod support;
mod webhook;
