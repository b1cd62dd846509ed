//! Time and chance: the only place that reads the machine's clock and its random numbers.

use std::time::{Duration, UNIX_EPOCH};

/// Time since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "a stand-in for Slack's servers has the machine's clock; tests age things with `advance_expiry`"
)]
pub(crate) fn since_epoch() -> Duration {
    std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Whole seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> i64 {
    i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX)
}

/// Slack's way to write an instant: seconds, a dot, six digits.
pub(crate) fn slack_ts(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// `len` random characters out of `alphabet`.
pub(crate) fn random_of(alphabet: &[u8], len: usize) -> String {
    let mut bytes = vec![0_u8; len];
    // Without random numbers ids would collide and every answer after that would be a lie.
    if getrandom::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    bytes
        .iter()
        .map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]))
        .collect()
}

/// Upper-case letters and digits, as in Slack's ids.
pub(crate) fn random_id(len: usize) -> String {
    random_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", len)
}

/// Lower-case hexadecimal digits.
pub(crate) fn random_hex(len: usize) -> String {
    random_of(b"0123456789abcdef", len)
}
