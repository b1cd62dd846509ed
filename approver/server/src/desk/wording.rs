//! Whom a hold asks, in words that stay with it.

use abeyance_api::HoldRequest;
use abeyance_holds::escalation::in_words;

use crate::{Route, roster::Roster};

/// Who is asked, in words: `route dba (2 reviewers; 2 people have to agree)`, and its steps where it has any.
pub(super) fn asked(roster: &Roster, route: &Route, request: &HoldRequest) -> String {
    let mut parts = Vec::new();
    if route.plan.is_empty() || !route.reviewers.is_empty() {
        let eligible = roster.eligible_count(route, &request.agent);
        let plural = if eligible == 1 { "" } else { "s" };
        parts.push(format!("{eligible} reviewer{plural}"));
    }
    for (index, step) in route.plan.steps().iter().enumerate() {
        let who = in_words(&step.who);
        parts.push(match (index, step.after_seconds) {
            (0, 0) => who,
            (_, after) => format!("then {who} after {}", in_time(after)),
        });
    }
    if route.quorum.seats() > 1 {
        parts.push(format!("{} have to agree", route.quorum));
    }
    format!("route {} ({})", route.name, parts.join("; "))
}

/// `5 min`, `90 s`
fn in_time(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (minutes, 0) if minutes > 0 => format!("{minutes} min"),
        _ => format!("{seconds} s"),
    }
}
