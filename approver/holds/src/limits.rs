//! Every bound of the hold machine, in one place.

use chrono::TimeDelta;

/// How long an approval may wait for its claim. The session that waits claims at once; this leaves
/// room for a proxy on another machine to reconnect.
pub const APPROVAL_LIFE: TimeDelta = TimeDelta::minutes(2);

/// How far the clock may run backwards between two steps of one hold before
/// approvals and claims are refused.
pub const CLOCK_STEP_BACK_MAX: TimeDelta = TimeDelta::seconds(5);

/// How long a batch may run before its outcome counts as unknown. Long, since statements may be.
pub const REPORT_WAIT: TimeDelta = TimeDelta::hours(24);

/// How long the approval of a ticket waits for its agent, when the route does not say.
pub const TICKET_LIFE: TimeDelta = TimeDelta::minutes(15);

/// The longest grant.
pub const GRANT_MINUTES_MAX: u32 = 60;
/// How often a grant may be used.
pub const GRANT_USES_MAX: u32 = 100;
