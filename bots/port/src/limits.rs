//! Every bound of this crate, by name.

use std::time::Duration;

/// Channels that are written to at the same time. Inside a channel, one card after another.
pub const LANES_MAX: usize = 8;

/// Cards taken from the desk and not delivered yet.
pub const QUEUED_MAX: usize = 128;

/// The same for one channel, so that a flooded channel leaves room for the others. Small, because a card
/// waits here with the state it had when it was taken.
pub const QUEUED_IN_CHANNEL_MAX: usize = 16;

/// How fast a flooded channel is expected to drain: cards above its share are handed back, each to return
/// this much later than the one before.
pub const DRAIN_EVERY: Duration = Duration::from_secs(1);

/// The longest a card of a flooded channel is handed back for.
pub const HANDED_BACK_MAX: Duration = Duration::from_secs(240);

/// A card that waited longer than this is left to the desk, which hands it out again. With a
/// delivery's usual time it stays below the desk's lease of 60 s.
pub const QUEUED_AGE_MAX: Duration = Duration::from_secs(30);

/// Notices delivered at the same time.
pub const NOTICES_AT_ONCE: u32 = 8;

/// How long to sleep when no signal comes. Repairs lost signals.
pub const REPAIR_EVERY: Duration = Duration::from_secs(2);

/// One call of a [`crate::ChatPort`], whatever the vendor does inside it.
pub const PORT_CALL_MAX: Duration = Duration::from_secs(30);

/// One call of the desk.
pub const DESK_CALL_MAX: Duration = Duration::from_secs(15);

/// How long cards are still brought up to date once everything else has stopped.
pub const LAST_WORDS_MAX: Duration = Duration::from_secs(3);

/// First and longest pause after a delivery that failed.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The longest `Retry-After` that is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Failures in a row after which a card of a hold that is over is given up.
pub const FAILURES_MAX: u32 = 30;

/// How long deliveries that have begun may take to end at shutdown.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// Reviewers named on a card; the rest are counted.
pub const REVIEWERS_SHOWN: usize = 8;

/// Relations named on a card; the rest are counted.
pub const RELATIONS_SHOWN: usize = 6;

/// Statement kinds named in a title; the rest are counted.
pub const KINDS_SHOWN: usize = 3;

/// Reasons shown on a card; the rest are counted.
pub const REASONS_SHOWN: usize = 5;

/// What may be typed after a command.
pub const COMMAND_CHARS_MAX: usize = 2_000;

/// A name in a command.
pub const COMMAND_NAME_CHARS_MAX: usize = 128;

/// People one command puts on call.
pub const COMMAND_PEOPLE_MAX: usize = 16;

/// A reason, as the approver takes it.
pub const REASON_CHARS_MAX: usize = 500;

/// What is repeated of a word that was not understood.
pub const WORD_SHOWN_CHARS: usize = 40;

/// How long a command may take altogether.
pub const COMMAND_MAX: Duration = Duration::from_secs(20);

/// How far an audit looks back when nothing is said, and at most.
pub const AUDIT_HOURS: u32 = 24;
pub const AUDIT_HOURS_MAX: u32 = 92 * 24;

/// Holds in one answer; the rest are counted.
pub const HOLDS_LISTED: u32 = 15;

/// Lines of a record in one answer.
pub const RECORD_LINES_SHOWN: usize = 30;

/// Schedules in one answer.
pub const SCHEDULES_SHOWN: usize = 12;

/// Overrides in one answer.
pub const OVERRIDES_SHOWN: usize = 20;

/// Grants in one answer.
pub const GRANTS_LISTED: usize = 10;
