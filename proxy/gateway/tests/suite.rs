//! A gateway between a scripted client and a scripted target.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where it fails"
)]

mod flow;
mod holds;
mod never_without_permit;
mod protocol;
mod second_gate;
mod support;
