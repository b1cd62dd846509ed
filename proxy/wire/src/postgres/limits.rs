//! Every bound of the protocol in one place. Where PostgreSQL has the same bound, its name is given.

use std::ops::RangeInclusive;

/// Longest startup packet, length word included (`MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_PACKET_BYTES_MAX: usize = 10_000;

/// Longest `p` message: passwords and SASL responses (`PG_MAX_AUTH_TOKEN_LENGTH`).
pub const AUTH_MESSAGE_BYTES_MAX: usize = 65_535;

/// Longest frontend message that carries no statement and no data (`PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;

/// Longest frontend message unless configured otherwise. PostgreSQL would take 1 GiB, but a
/// batch is judged whole, so the proxy has to hold it in memory.
pub const FRONTEND_MESSAGE_BYTES_MAX_DEFAULT: usize = 64 * 1024 * 1024;

/// Longest backend message that the proxy keeps whole: everything but rows and COPY data.
pub const BACKEND_CONTROL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest backend message that passes through in pieces (`MaxAllocSize`, plus its framing).
pub const BACKEND_BULK_BYTES_MAX: usize = 0x3fff_ffff + 5;

/// Most parameters in one Bind or Parse: their count is 16 bits wide.
pub const BIND_PARAMS_MAX: usize = 65_535;

/// Length of a cancel key: four bytes in protocol 3.0, up to 256 in 3.2.
pub const CANCEL_KEY_BYTES: RangeInclusive<usize> = 4..=256;

/// Longest text in one field of an error or notice that the proxy itself writes.
pub const ERROR_FIELD_BYTES_MAX: usize = 8 * 1024;

/// Most fields accepted in one error or notice; PostgreSQL has eighteen.
pub const ERROR_FIELDS_MAX: usize = 64;

/// Longest SCRAM message of either side; real ones are under 300 bytes.
pub const SCRAM_MESSAGE_BYTES_MAX: usize = 4_096;

/// Iteration counts accepted in a verifier or from a target. Below, a stolen exchange is cheap
/// to search; above, a hostile target could burn the proxy's processor.
pub const SCRAM_ITERATIONS: RangeInclusive<u32> = 4_096..=600_000;

/// Longest password accepted in any direction.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
