//! Wire protocols as bytes in and bytes out.
//!
//! Knows framing, messages and authentication exchanges. Deliberately knows nothing of sockets,
//! runtimes, clocks, configuration or policy: every function takes bytes and returns bytes or a
//! typed refusal. Carries invariant 10 of the design (everything is bounded and named): a length
//! is checked before anything of that length is kept.

#![deny(clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod postgres;
