//! Every bound of the data path, named, in one place (invariant 10).
//!
//! Knows numbers only. What happens at a bound is said where the bound is used.

use std::time::Duration;

/// The bounds of a gateway. `Default` gives the shipped values.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Sessions at once; one more gets 53300.
    pub connections_max: usize,
    /// Connections that are still starting up or only carry a cancel request, on top of the sessions.
    pub handshakes_max: usize,
    /// From accept to the end of authentication.
    pub startup_timeout: Duration,
    /// Connecting, TLS and authentication with a target.
    pub connect_timeout: Duration,
    /// The largest single message of a client, in bytes.
    pub message_bytes_max: usize,
    /// The largest batch, in bytes: nothing of it is forwarded before it is whole.
    pub batch_bytes_max: usize,
    /// Messages in one batch.
    pub batch_messages_max: usize,
    /// Longest query string that is parsed, in bytes; longer ones are opaque.
    pub statement_bytes_max: usize,
    /// What a client may send behind a held batch, in bytes; more ends the session with 54000.
    pub buffered_while_held_bytes_max: usize,
    /// What is read ahead from a client while its batch runs, in bytes; then its socket is left alone.
    pub read_ahead_bytes_max: usize,
    /// What waits for a slow reader, in bytes, before the other side is left alone.
    pub outbox_bytes_max: usize,
    /// Named prepared statements in one session.
    pub prepared_max: usize,
    /// Portals and cursors in one session.
    pub portals_max: usize,
    /// Readings expected to be kept for reuse; sizes the cache.
    pub reading_cache_entries: usize,
    /// Memory for readings that are kept for reuse, over all sessions, in bytes.
    pub reading_cache_bytes: u64,
    /// Reading a target's catalog, with the connection it is read over.
    pub catalog_timeout: Duration,
    /// How long a statement waits for the catalog before it is judged without one.
    pub catalog_wait: Duration,
    /// Catalogs that one session alone sees (its temporary relations, its uncommitted definitions), over all
    /// sessions, in bytes as they came from the target.
    pub private_catalog_bytes: usize,
    /// An approval that was given for an estimate covers this many times the rows.
    pub rows_tolerance: f64,
    /// One question about what a held batch would do.
    pub probe_timeout: Duration,
    /// All questions about one held batch.
    pub probe_budget: Duration,
    /// What the gateway itself asks of a target (settling a refused transaction, cancel requests).
    pub exchange_timeout: Duration,
    /// Opening a hold.
    pub hold_open_timeout: Duration,
    /// Claiming a permit.
    pub claim_timeout: Duration,
    /// Reporting an outcome, with all retries.
    pub report_timeout: Duration,
    /// How long past its expiry a hold is waited for before the approver counts as gone.
    pub expiry_grace: Duration,
    /// Between two notices to a waiting client.
    pub notice_interval: Duration,
    /// From the wish to shut down to closing sessions that still work.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        Self {
            connections_max: 10_000,
            handshakes_max: 512,
            startup_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            message_bytes_max: 16 * MIB,
            batch_bytes_max: 16 * MIB,
            batch_messages_max: 65_536,
            statement_bytes_max: MIB,
            buffered_while_held_bytes_max: MIB,
            read_ahead_bytes_max: 64 * KIB,
            outbox_bytes_max: 256 * KIB,
            prepared_max: 4096,
            portals_max: 1024,
            reading_cache_entries: 4096,
            reading_cache_bytes: 16 * MIB as u64,
            catalog_timeout: Duration::from_secs(30),
            catalog_wait: Duration::from_secs(5),
            private_catalog_bytes: 256 * MIB,
            rows_tolerance: 2.0,
            probe_timeout: Duration::from_secs(1),
            probe_budget: Duration::from_secs(4),
            exchange_timeout: Duration::from_secs(10),
            hold_open_timeout: Duration::from_secs(10),
            claim_timeout: Duration::from_secs(10),
            report_timeout: Duration::from_secs(60),
            expiry_grace: Duration::from_secs(5),
            notice_interval: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// The longest `SET abeyance.reason` that travels to reviewers, in characters.
pub(crate) const REASON_CHARS_MAX: usize = 500;
/// The longest `application_name` that travels to reviewers, in characters.
pub(crate) const APPLICATION_NAME_CHARS_MAX: usize = 64;
/// The longest query text whose reading is kept for reuse, in bytes.
pub(crate) const CACHED_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Frames at least this long are handed on without being copied.
pub(crate) const COPY_THRESHOLD_BYTES: usize = 16 * 1024;
/// The smallest and largest read from a socket.
pub(crate) const READ_BYTES_MIN: usize = 4 * 1024;
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;
/// Sessions that ask targets at once what a batch would do; others wait for their turn.
pub(crate) const PROBES_MAX: usize = 32;
/// The longest message in which a target gives a plan, in bytes; a longer one ends the session.
pub(crate) const PLAN_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Shapes of statements that are remembered as checked by the second gate, over all sessions.
pub(crate) const SHAPES_MAX: usize = 16_384;
/// How long a checked shape is remembered when no catalog tells of changes, in seconds.
pub(crate) const SHAPE_SECONDS_MAX: i64 = 60;
/// The longest catalog that is read, in bytes of JSON.
pub(crate) const CATALOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest catalog that is parsed on a thread that serves sessions.
pub(crate) const CATALOG_PARSED_INLINE_BYTES_MAX: usize = 64 * 1024;
/// Different search paths for which readings of one catalog are shared between sessions.
pub(crate) const CATALOG_VIEWS_MAX: usize = 64;
/// Between two refreshes because statements name what a catalog does not have.
pub(crate) const CATALOG_MISSING_INTERVAL: Duration = Duration::from_secs(1);
/// Between two attempts to read a catalog that cannot be read, at first and at most.
pub(crate) const CATALOG_RETRY: [Duration; 2] =
    [Duration::from_millis(500), Duration::from_secs(30)];
/// How long a catalog that cannot be checked any more is still used, in polls.
pub(crate) const CATALOG_UNCHECKED_POLLS_MAX: u32 = 3;
/// How long not to check a catalog again because of code that was not read, in times of what a check took.
pub(crate) const CATALOG_REST: u32 = 10;
/// How long a target's catalog is kept true after its last session.
pub(crate) const CATALOG_LINGER: Duration = Duration::from_secs(5);
/// Cancel requests that wait for one session.
pub(crate) const CANCELS_WAITING_MAX: usize = 4;
