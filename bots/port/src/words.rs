//! The words cards and answers are made of. Pure; plain text, escaped by whoever renders it.

use std::time::Duration;

use abeyance_api::{
    BulkOutcome, DecideError, Decision, HoldState, HoldView, Outcome, Resolution,
    TransactionContext, Vote, WithdrawReason,
};

use chrono::TimeDelta;

pub use abeyance_api::blast::words::{estimate, grouped, largest, rows, together as rows_together};

/// `0.4 ms`, `34 ms`, `1.2 s`, `3 min 5 s`.
#[must_use]
pub fn took(elapsed: Duration) -> String {
    let millis = elapsed.as_secs_f64() * 1000.0;
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 1000.0 {
        format!("{millis:.0} ms")
    } else if elapsed.as_secs() < 60 {
        format!("{:.1} s", elapsed.as_secs_f64())
    } else {
        format!(
            "{} min {} s",
            elapsed.as_secs() / 60,
            elapsed.as_secs() % 60
        )
    }
}

/// `12 s`, `4 min 12 s`, `15 min`, `3 h 20 min`, to the nearest second.
#[must_use]
pub fn span(span: TimeDelta) -> String {
    let seconds = (span + TimeDelta::milliseconds(500)).num_seconds().max(0);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Whether locks are held while the batch waits.
#[must_use]
pub fn transaction(view: &HoldView) -> String {
    match view.request.transaction {
        TransactionContext::Idle => "none open".to_owned(),
        TransactionContext::Open => {
            let wait = span(view.expires_at - view.created_at);
            format!("open; its locks stay held while this waits, {wait} at most")
        }
    }
}

/// Why a proxy took a hold back.
#[must_use]
pub fn withdrawn(reason: WithdrawReason) -> &'static str {
    match reason {
        WithdrawReason::ClientGone => "the client's connection closed",
        WithdrawReason::ClientTerminated => "the client ended its session",
        WithdrawReason::ClientCancelled => "the client cancelled it",
        WithdrawReason::ClientOverflow => "the client sent more behind it than may be kept",
        WithdrawReason::TargetGone => "the database closed its connection",
        WithdrawReason::ProxyShutdown => "the proxy was shut down",
        WithdrawReason::ProxyLost => "the proxy went away",
        WithdrawReason::MeaningChanged => "what it would do changed after it was shown",
        WithdrawReason::AnswerLost => "the proxy never got the answer to its opening",
        WithdrawReason::PolicyChanged => "the policy changed and does not let it through any more",
    }
}

/// One line about where the hold stands, without its expiry.
#[must_use]
pub fn status(view: &HoldView) -> String {
    let said = stands(view);
    if view.request.manner.at_commit {
        // It ran; what did not happen is that it was kept.
        return said.replace("nothing ran", "everything was rolled back");
    }
    said
}

fn stands(view: &HoldView) -> String {
    match view.state {
        HoldState::Pending => "Waiting for a decision".to_owned(),
        HoldState::Approved => format!("Approved{}; waiting for the agent to go on", by(view)),
        HoldState::Claimed => format!("Approved{}; running", by(view)),
        HoldState::Denied => match &view.resolution {
            Some(Resolution::Nobody { why }) => format!("Denied at once: {why}; nothing ran"),
            _ => format!("Denied{}; nothing ran", by(view)),
        },
        HoldState::Expired => "Expired: nobody decided in time; nothing ran".to_owned(),
        HoldState::Withdrawn => match &view.resolution {
            Some(Resolution::Withdrawn { reason }) => {
                format!("Withdrawn: {}; nothing ran", withdrawn(*reason))
            }
            _ => "Withdrawn; nothing ran".to_owned(),
        },
        HoldState::Lapsed => format!(
            "Approved{}, but the client had gone or may not run it any more; nothing ran",
            by(view)
        ),
        HoldState::Executed | HoldState::Failed | HoldState::RolledBack => ended(view),
    }
}

fn ended(view: &HoldView) -> String {
    let by = by(view);
    match &view.outcome {
        Some(Outcome::Executed {
            rows: Some(count),
            elapsed,
            ..
        }) => {
            format!("Approved{by}; ran: {} in {}", rows(*count), took(*elapsed))
        }
        Some(Outcome::Executed {
            rows: None,
            tags,
            elapsed,
        }) => {
            let tags = if tags.is_empty() {
                "done".to_owned()
            } else {
                tags.join(", ")
            };
            format!("Approved{by}; ran: {tags} in {}", took(*elapsed))
        }
        Some(Outcome::Failed { sqlstate, elapsed }) => format!(
            "Approved{by}; failed with SQLSTATE {sqlstate} after {}; the database refused it",
            took(*elapsed)
        ),
        Some(Outcome::RolledBack { reason, elapsed }) => {
            format!(
                "Approved{by}; rolled back after {}: {reason}; nothing was kept",
                took(*elapsed)
            )
        }
        Some(Outcome::Unknown { reason }) => format!(
            "Approved{by}; outcome unknown: {reason}. It may or may not have taken effect: check the database"
        ),
        None => match view.state {
            HoldState::Executed => format!("Approved{by}; ran"),
            HoldState::RolledBack => format!("Approved{by}; rolled back"),
            _ => format!("Approved{by}; failed"),
        },
    }
}

fn by(view: &HoldView) -> String {
    let Some(vote) = deciding_vote(view) else {
        return String::new();
    };
    let name = &vote.person.display_name;
    match &vote.by_grant {
        Some(grant) => format!(" by {name} under {grant}"),
        None if vote.break_glass => format!(" ALONE by {name}, who broke the glass"),
        None => format!(" by {name}"),
    }
}

/// The vote that resolved the hold.
#[must_use]
pub fn deciding_vote(view: &HoldView) -> Option<&Vote> {
    match &view.resolution {
        Some(Resolution::Approved { vote } | Resolution::Denied { vote }) => Some(vote),
        Some(Resolution::Nobody { .. }) => None,
        Some(Resolution::Expired | Resolution::Withdrawn { .. }) | None => view.votes.last(),
    }
}

/// What a person reads after a click that did not count.
#[must_use]
pub fn refusal(hold: &str, wanted: Decision, error: &DecideError) -> String {
    let verb = match wanted {
        Decision::Approve => "approval",
        Decision::Deny => "denial",
    };
    match error {
        DecideError::AlreadyResolved { state, by } => {
            let by = by
                .as_deref()
                .map(|name| format!(" by {name}"))
                .unwrap_or_default();
            format!(
                "{hold} is already {}{by}. Your {verb} was not needed.",
                state_word(*state)
            )
        }
        other => format!("Your {verb} of {hold} did not count: {other}."),
    }
}

/// What somebody reads who decided several holds at once; nothing when the cards say it all.
#[must_use]
pub fn together(wanted: Decision, outcomes: &[BulkOutcome]) -> Option<String> {
    let counted = outcomes.iter().filter_map(|one| one.result.as_ref().ok());
    let waiting = counted
        .clone()
        .filter(|view| view.state == HoldState::Pending)
        .count();
    let refused: Vec<String> = outcomes
        .iter()
        .filter_map(|one| Some((&one.hold, one.result.as_ref().err()?)))
        .map(|(hold, error)| refusal(hold.as_str(), wanted, error))
        .collect();
    let mut said = Vec::new();
    if waiting > 0 {
        said.push(format!(
            "Your vote is counted on {} of {}; others are still asked.",
            counted.count(),
            outcomes.len()
        ));
    } else if !refused.is_empty() {
        let (done, all) = (counted.count(), outcomes.len());
        said.push(format!("{done} of {all} are decided."));
    }
    said.extend(refused);
    (!said.is_empty()).then(|| said.join(" "))
}

/// What somebody reads who said that they look.
#[must_use]
pub fn looking(view: &HoldView) -> String {
    let id = &view.id;
    match &view.asking.next {
        Some(next) => format!(
            "Noted: you look at {id}. This is no vote. {} is asked at {} UTC if nobody has decided by then; \
             the hold itself ends at {} UTC as before.",
            next.who,
            next.at.format("%H:%M:%S"),
            view.expires_at.format("%H:%M:%S")
        ),
        None => format!(
            "Noted: you look at {id}. This is no vote; nobody else is asked, and it ends at {} UTC as before.",
            view.expires_at.format("%H:%M:%S")
        ),
    }
}

/// What somebody reads whose look did not count.
#[must_use]
pub fn no_look(hold: &str, error: &DecideError) -> String {
    match error {
        DecideError::AlreadyResolved { state, by } => {
            let by = by
                .as_deref()
                .map(|name| format!(" by {name}"))
                .unwrap_or_default();
            format!(
                "{hold} is already {}{by}; there is nothing left to look at.",
                state_word(*state)
            )
        }
        other => format!("{hold} goes on as before: {other}."),
    }
}

/// A state as it reads after "is already".
#[must_use]
pub fn state_word(state: HoldState) -> &'static str {
    match state {
        HoldState::Pending => "waiting",
        HoldState::Approved | HoldState::Claimed => "approved",
        HoldState::Denied => "denied",
        HoldState::Expired => "expired",
        HoldState::Withdrawn => "withdrawn",
        HoldState::Lapsed => "lapsed (approved, but the client had gone)",
        HoldState::Executed => "approved and run",
        HoldState::Failed => "approved and run, and failed",
        HoldState::RolledBack => "approved and run, and rolled back",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        let cases = [
            (0, "0 rows"),
            (1, "1 row"),
            (999, "999 rows"),
            (1240, "1,240 rows"),
            (10_000_000, "10,000,000 rows"),
        ];
        for (count, want) in cases {
            assert_eq!(rows(count), want);
        }
        let cases = [
            (899_993, "15 min"),
            (869_400, "14 min 29 s"),
            (400, "0 s"),
            (-5_000, "0 s"),
            (7_200_000, "2 h"),
            (12_000_000, "3 h 20 min"),
        ];
        for (millis, want) in cases {
            assert_eq!(span(TimeDelta::milliseconds(millis)), want);
        }
        let cases = [
            (400, "0.4 ms"),
            (34_200, "34 ms"),
            (1_234_000, "1.2 s"),
            (185_000_000, "3 min 5 s"),
        ];
        for (micros, want) in cases {
            assert_eq!(took(Duration::from_micros(micros)), want);
        }
    }
}
