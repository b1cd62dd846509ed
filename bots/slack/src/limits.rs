//! Every bound of this crate, by name. Slack's own limits carry Slack's name for the thing.

use std::time::Duration;

/// A webhook body. Slack's largest interaction payloads stay far below.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a webhook body may take to arrive.
pub const BODY_READ_MAX: Duration = Duration::from_secs(3);
/// Webhooks that are read and verified at the same time.
pub const WEBHOOKS_MAX: usize = 64;
/// How far a request's timestamp may be from our clock, either way.
pub const TIMESTAMP_WINDOW_SECS: i64 = 300;
/// Verified signatures remembered against replays. Only Slack can fill this.
pub const REPLAY_ENTRIES_MAX: usize = 20_000;

/// Clicks and commands worked on at the same time.
pub const CLICKS_MAX: usize = 128;
/// Slack shows an error when it has no answer after 3 s: a form's answer must be on its way by then.
pub const SUBMISSION_ANSWER_MAX: Duration = Duration::from_millis(2000);
/// A trigger to open a form lives 3 s from the click.
pub const FORM_OPEN_MAX: Duration = Duration::from_millis(2500);
/// Looking at the hold before a form is opened. Past this the form opens unseen.
pub const FORM_LOOK_MAX: Duration = Duration::from_millis(700);
/// Asking Slack who we are, when a click comes before that is known.
pub const IDENTITY_MAX: Duration = Duration::from_millis(1500);
/// The approver's answer to a decision.
pub const DECIDE_MAX: Duration = Duration::from_secs(10);
/// The approver's answer to a decision of several holds.
pub const BULK_DECIDE_MAX: Duration = Duration::from_secs(30);
/// Holds that are decided together, as the approver takes them.
pub const ALIKE_MAX: usize = 100;
/// What the list of them says together, however many they are.
pub const ALIKE_TEXT_MAX: usize = 10_000;
/// Slack: blocks of a message.
pub const BLOCKS_MAX: usize = 50;
/// Fields of a slash command; Slack sends about fifteen.
pub const COMMAND_FIELDS_MAX: usize = 64;
/// One line of an answer to a command.
pub const ITEM_MAX: usize = 1400;

/// People whose direct messages' channel is remembered.
pub const PLACES_MAX: usize = 4_096;
/// Clocks differ: look this much further back than our own time.
pub const CLOCKS_DIFFER_SECS: i64 = 120;

/// One call of Slack's Web API.
pub const CALL_MAX: Duration = Duration::from_secs(10);
/// A TCP connection to Slack.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);
/// TCP keepalive of connections to Slack.
pub const KEEPALIVE: Duration = Duration::from_secs(30);
/// What to wait when Slack says 429 without saying how long.
pub const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(10);
/// Pages of history read when looking for a card.
pub const HISTORY_PAGES_MAX: usize = 5;
/// Messages a page.
pub const HISTORY_PAGE: u16 = 200;

/// The same advice is logged at most this often.
pub const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// Different complaints remembered.
pub const COMPLAINTS_MAX: usize = 256;

/// One Socket Mode message.
pub const SOCKET_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Envelope ids remembered, so that a redelivered click is worked on once.
pub const SOCKET_ENVELOPES_MAX: usize = 4096;
/// Acknowledgements waiting to be written.
pub const SOCKET_ACKS_MAX: usize = 64;
/// Slack says hello at once.
pub const SOCKET_HELLO_MAX: Duration = Duration::from_secs(15);
/// How often we ping.
pub const SOCKET_PING_EVERY: Duration = Duration::from_secs(20);
/// A socket that was silent this long is dead.
pub const SOCKET_SILENCE_MAX: Duration = Duration::from_secs(60);
/// A write that takes longer means the socket is dead.
pub const SOCKET_WRITE_MAX: Duration = Duration::from_secs(5);
/// How long a socket that Slack asked us to replace is still read.
pub const SOCKET_DRAIN_MAX: Duration = Duration::from_secs(30);
/// First and longest wait before connecting again.
pub const SOCKET_BACKOFF_FIRST: Duration = Duration::from_millis(500);
pub const SOCKET_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How long clicks that have begun may take to end at shutdown.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// Slack: text of a section.
pub const SECTION_TEXT_MAX: usize = 3000;
/// Slack: fields of a section.
pub const FIELDS_MAX: usize = 10;
/// Slack: text of a header.
pub const HEADER_TEXT_MAX: usize = 150;
/// Slack: label of a button.
pub const BUTTON_TEXT_MAX: usize = 75;
/// Slack: text of a confirmation dialog.
pub const CONFIRM_TEXT_MAX: usize = 300;
/// Measured: about 13,000 characters of block text can fail as a whole.
pub const BLOCK_TEXT_TOTAL_MAX: usize = 12_000;

/// Ours: what a fact may take of a card.
pub const FACT_MAX: usize = 320;
/// Ours: where the hold stands.
pub const STATUS_MAX: usize = 600;
/// Ours: who is asked.
pub const ASKED_MAX: usize = 800;
/// Ours: one name in a fact.
pub const NAME_MAX: usize = 100;
/// Ours: one reason why a statement was held.
pub const WHY_MAX: usize = 300;

/// What a batch would do, together.
pub(crate) const EFFECTS_MAX: usize = 1200;
/// Ours: the agent's or the reviewer's own words; the contract allows 500 characters, and escaping makes more of them.
pub const WORDS_MAX: usize = 800;
/// Ours: the notification text.
pub const FALLBACK_MAX: usize = 600;
/// A reviewer's reason.
pub const REASON_CHARS_MAX: usize = 500;
