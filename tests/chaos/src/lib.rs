//! Random work, random faults, and a checker that compares what everybody saw.
//!
//! A trial lets clients run statements that are held, has people decide about them, and meanwhile kills,
//! stops and cuts off parts of the installation. Afterwards three accounts have to agree: what the target
//! logged, what the approver wrote down, and what clients were told (invariants 2, 4, 5 and 9). Knows the
//! product only from outside: its binary, its API and the wire.

pub mod account;
pub mod checker;
pub mod faults;
pub mod people;
pub mod plan;
pub mod relay;
pub mod run;
pub mod stack;
pub mod workload;

pub use run::{Report, Settings, run};
