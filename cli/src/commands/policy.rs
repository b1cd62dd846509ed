//! `policy test`, `policy backtest`, `policy shadow`: what a policy makes of statements that are written down.

mod backtest;
mod cases;
mod shadow;

pub use backtest::{backtest, span};
pub use cases::test;
pub use shadow::shadow;
