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
