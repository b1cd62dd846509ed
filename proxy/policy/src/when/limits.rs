//! What a condition may cost (invariant 10).

/// Bytes of one `when`.
pub(crate) const SOURCE_BYTES_MAX: usize = 4096;
/// Parts of one `when`.
pub(super) const NODES_MAX: usize = 300;
/// How deep `exists` and `all` may stand inside each other.
pub(super) const DEPTH_MAX: usize = 2;
/// Parts visited for one statement, elements of lists included; about a tenth of a millisecond.
pub(super) const STEPS_MAX: u32 = 20_000;
/// Levels of brackets and operators in one `when`.
pub(super) const NESTING_MAX: u16 = 48;
