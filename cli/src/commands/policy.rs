//! `policy test`: what a policy makes of statements that are written down.

mod cases;

pub use cases::test;
