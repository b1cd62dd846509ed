//! Statement facts, redaction and fingerprints.
//!
//! Knows SQL and nothing else: no I/O, no clock, no policy, no catalog of a live target.
//! Carries invariant 1 (what cannot be understood is opaque, never passed over) and the SQL half
//! of invariant 7 (redacted text holds no character of a literal).

pub mod catalog;
mod facts;
mod impact;
mod kinds;
pub mod postgres;

pub use catalog::{Catalog, Sight};
pub use facts::{
    Analysis, CatalogFacts, ColumnName, FunctionName, OpaqueReason, Predicate, RelationName,
    SessionEffect, StatementClass, StatementFacts, TransactionEffect, UnknownName, shown,
};
pub use impact::{Impact, Reach, Rewrite, TableLock, Undo};
pub use kinds::{all_kinds, classes_of_kind};
pub use postgres::{Pending, ReadOptions, analyse, analyse_async};
