//! The double against what is known of Slack.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod interactions;
mod oracles;
mod socket_mode;
mod support;
mod trouble;
mod web_api;
