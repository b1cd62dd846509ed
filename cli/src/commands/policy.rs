//! `policy test`, `policy backtest`, `policy shadow`: what a policy makes of statements that are written down.

mod backtest;
mod cases;

pub use backtest::{backtest, shadow, span};
pub use cases::test;
