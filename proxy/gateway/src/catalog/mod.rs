//! What a target's catalog says, kept for all sessions that use the target.
//!
//! `load` reads a catalog over a connection of the gateway's own, `keeper` is the one task a target that
//! keeps it true while there are sessions, `cache` is what sessions ask, `view` what a statement is read with.
//! Refuses to know statements and verdicts; of a session it knows only that it is there. A catalog that may
//! be out of date is not handed out (invariant 4): sessions then judge without one, and say so.

mod cache;
mod keeper;
mod load;
mod patterns;
mod view;

pub(crate) use self::{
    cache::{Current, Draft, Presence, TargetCatalog},
    keeper::Keeper,
    load::{DIGEST_SQL, bounded, parse},
    patterns::PatternWatch,
    view::{Shared, View},
};
pub use load::{CatalogUnavailable, LoadedCatalog, load_catalog};
