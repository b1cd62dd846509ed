//! Every bound of the approver, in one place.

use std::time::Duration;

use chrono::TimeDelta;

/// Holds that may wait for a decision at once.
pub const PENDING_MAX: u32 = 10_000;
/// A hold request as JSON.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Statements in one held batch.
pub const STATEMENTS_MAX: usize = 256;
/// A reviewer's or an agent's reason.
pub const REASON_CHARS_MAX: usize = 500;
/// Holds in one list.
pub const LIST_MAX: u32 = 500;
/// Events shown of one hold.
pub const EVENTS_SHOWN_MAX: u32 = 500;
/// Refused votes and claims written down for one hold; more are only logged.
pub const REFUSALS_RECORDED_MAX: u32 = 50;

/// Tries for a free hold id at each length.
pub const ID_TRIES: usize = 8;
/// Characters of a hold id: first tried, and most.
pub const ID_LENGTHS: std::ops::RangeInclusive<usize> = 4..=10;

/// Jobs that may wait for the store's writer.
pub const WRITE_QUEUE_MAX: usize = 4_096;
/// Jobs in one transaction of the writer.
pub const WRITE_BATCH_MAX: usize = 64;
/// Connections that read the store.
pub const READERS_MAX: u32 = 4;
/// How long connecting to the store's database may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one statement may take in the store's database.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// After other approvers could not be heard.
pub const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long the key of an opening that was given up is remembered: longer than any call is on its way.
pub const OPENINGS_CLOSED_KEPT: TimeDelta = TimeDelta::days(1);
/// Openings from inside this process that may be in doubt at once; more end with their holds' own time.
pub const OPENINGS_DOUBTED_MAX: usize = 256;
/// How long one of them is tried to be taken back.
pub const OPENINGS_DOUBTED_FOR: Duration = Duration::from_secs(60);
/// How long a locked store is waited for.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for the store altogether.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest sleep before time is looked at again, so that a clock that was set is noticed.
pub const REPAIR_EVERY: Duration = Duration::from_secs(30);
/// Holds one reconciler step ends at once.
pub const EXPIRE_BATCH: u32 = 200;

/// Overrides of schedules that are not over.
pub const OVERRIDES_MAX: u32 = 1_000;
/// Overrides made at once: two make a swap.
pub const OVERRIDE_SPANS_MAX: usize = 2;
/// People who stand in together.
pub const OVERRIDE_PEOPLE_MAX: usize = 16;
/// The longest override.
pub const OVERRIDE_MAX: TimeDelta = TimeDelta::days(92);
/// How often schedules are looked at for hand-overs.
pub const DUTY_EVERY: Duration = Duration::from_secs(10);
/// Notices handed out in one call.
pub const NOTICES_MAX: u32 = 100;

/// Instances that went away and are looked at in one go.
pub const INSTANCES_ENDED_MAX: u32 = 100;
/// How far this machine's clock may be from the store's before leases are not judged any more.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);
/// How long a card belongs to the worker that took it.
pub const CARD_LEASE: TimeDelta = TimeDelta::seconds(60);
/// Cards handed out in one call.
pub const CARDS_MAX: u32 = 100;
/// A vendor's error as kept in the store.
pub const CARD_ERROR_CHARS_MAX: usize = 300;

/// The longest long poll.
pub const POLL_MAX: Duration = Duration::from_secs(25);
/// How long any other request may take.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an answer about readiness is good for.
pub const READY_FOR: Duration = Duration::from_secs(1);
/// A request body of the API.
pub const API_BODY_MAX: usize = REQUEST_BYTES_MAX + 16 * 1024;
/// A form of the console.
pub const FORM_BODY_MAX: usize = 16 * 1024;
/// Time for a client's TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a request's head, counted from the end of the one before.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers of one request.
pub const HEADERS_MAX: usize = 64;
/// Connections served at once.
pub const CONNECTIONS_MAX: usize = 8_192;
/// How long open requests may take to end at shutdown.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the store may take to close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Console log-ins alive at once; the oldest goes first.
pub const SESSIONS_MAX: usize = 1_000;
/// A console log-in ends after this long.
pub const SESSION_LIFE: TimeDelta = TimeDelta::hours(12);
/// A console log-in ends when it was not used for this long.
pub const SESSION_IDLE: TimeDelta = TimeDelta::hours(2);
/// Failed log-ins from one address before it has to wait.
pub const LOGIN_FAILURES_MAX: u32 = 10;
/// How long it has to wait.
pub const LOGIN_PENALTY: TimeDelta = TimeDelta::minutes(1);
/// Addresses remembered for it.
pub const LOGIN_ADDRESSES_MAX: usize = 4_096;
/// Open live lists.
pub const LIVE_STREAMS_MAX: usize = 256;
/// Shapes of statements that are kept for trying out policies.
pub const STATEMENTS_LOGGED_MAX: u32 = 50_000;
/// How long a shape is kept after it was last seen.
pub const STATEMENTS_KEPT: TimeDelta = TimeDelta::days(90);
/// Grants that are tried for one new hold.
pub const GRANTS_TRIED_MAX: u32 = 20;
/// Holds that one decision may be on.
pub const BULK_MAX: usize = 100;
/// Waiting holds of one shape, the oldest, that are looked at for being alike.
pub const ALIKE_LOOKED_AT: u32 = 200;
/// By what a surface knows a request again.
pub const REQUEST_KEY_BYTES_MAX: usize = 256;
/// Holds found by one search.
pub const SEARCH_MAX: u32 = 50;
/// Shifts shown of one schedule.
pub const SHIFTS_SHOWN_MAX: usize = 8;
