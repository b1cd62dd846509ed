//! States, numbers and times in words. One place, so that pages say the same thing the same way.

use std::time::Duration;

use abeyance_api::{
    Decision, Estimate, EstimateSource, GrantView, HoldState, HoldView, Outcome, Resolution,
    Surface, WithdrawReason,
    blast::{self, words::rows},
};
use abeyance_holds::{LapseCause, oncall::Zone};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// An instant for machines and for people.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Moment {
    iso: String,
    words: String,
    /// The same in UTC, where the words are those of another clock.
    utc: Option<String>,
}

impl From<DateTime<Utc>> for Moment {
    fn from(at: DateTime<Utc>) -> Self {
        Self {
            iso: at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            words: at.format("%-d %b %H:%M:%S UTC").to_string(),
            utc: None,
        }
    }
}

impl Moment {
    /// On the wall clock of a zone.
    pub(super) fn on_clock(at: DateTime<Utc>, zone: Zone) -> Self {
        Self {
            words: zone.words(at),
            utc: Some(at.format("%-d %b %Y %H:%M UTC").to_string()),
            ..Self::from(at)
        }
    }
}

/// A state and how much it matters: `wait`, `go`, `good`, `bad` or `still`.
pub(super) fn state(state: HoldState) -> (&'static str, &'static str) {
    match state {
        HoldState::Pending => ("Waiting", "wait"),
        HoldState::Approved => ("Approved", "go"),
        HoldState::Claimed => ("Running", "go"),
        HoldState::Denied => ("Denied", "bad"),
        HoldState::Expired => ("Expired", "still"),
        HoldState::Withdrawn => ("Withdrawn", "still"),
        HoldState::Lapsed => ("Lapsed", "still"),
        HoldState::Executed => ("Executed", "good"),
        HoldState::Failed => ("Failed", "bad"),
        HoldState::RolledBack => ("Rolled back", "still"),
    }
}

/// How many rows, and how that is known.
pub(super) fn estimate(estimate: &Estimate) -> (String, &'static str) {
    let how = match (estimate.rows, estimate.source) {
        (Some(_), source) if source != EstimateSource::Unknown => blast::words::known(source),
        _ => "treat it as if it were every row",
    };
    (blast::words::amount(estimate), how)
}

/// To the nearest: what was fifteen minutes a moment ago still is.
pub(super) fn seconds(span: TimeDelta) -> i64 {
    (span + TimeDelta::milliseconds(500)).num_seconds().max(0)
}

/// `4 min 12 s`, `5 min 00 s`: as wide while it counts down.
pub(super) fn span(span: TimeDelta) -> String {
    let seconds = seconds(span);
    match (
        seconds / 86_400,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    ) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s:02} s"),
        (0, h, m, _) => format!("{h} h {m:02} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

/// `0.4 ms`, `12 ms`, `3.4 s`: as cards say it.
fn elapsed(elapsed: Duration) -> String {
    let millis = elapsed.as_secs_f64() * 1000.0;
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 1000.0 {
        format!("{millis:.0} ms")
    } else if elapsed < Duration::from_secs(60) {
        format!("{:.1} s", elapsed.as_secs_f64())
    } else {
        span(TimeDelta::from_std(elapsed).unwrap_or_default())
    }
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Executed {
            rows: Some(number),
            elapsed: took,
            ..
        } => format!("Executed: {} in {}", rows(*number), elapsed(*took)),
        Outcome::Executed { elapsed: took, .. } => format!("Executed in {}", elapsed(*took)),
        Outcome::Failed {
            sqlstate,
            elapsed: took,
        } => format!(
            "The target refused it: SQLSTATE {sqlstate} after {}",
            elapsed(*took)
        ),
        Outcome::RolledBack { reason, .. } => format!("Rolled back: {reason}"),
        Outcome::Unknown { reason } => {
            format!("Not known whether it took effect: {reason}. Look at the target.")
        }
    }
}

/// A grant in a line.
pub(super) fn grant(grant: &GrantView) -> String {
    let used = format!("{} of {} used", grant.used, grant.uses);
    match (&grant.revoked, grant.active) {
        (_, true) => {
            let until = grant.expires_at.format("%H:%M UTC");
            format!("{} is active until {until}, {used}", grant.id)
        }
        (Some(revoked), _) => {
            let by = &revoked.by.display_name;
            format!("{} was revoked by {by}, {used}", grant.id)
        }
        (None, false) => format!("{} is over, {used}", grant.id),
    }
}

/// How a hold ended, or how far it has come, in a sentence.
pub(super) fn ending(hold: &HoldView) -> Option<String> {
    Some(kept(ended(hold)?, hold.request.manner.at_commit))
}

/// What was reviewed at its COMMIT ran; what did not happen is that it was kept.
pub(super) fn kept(said: String, at_commit: bool) -> String {
    if at_commit {
        said.replace("nothing ran", "everything was rolled back")
    } else {
        said
    }
}

fn ended(hold: &HoldView) -> Option<String> {
    if let Some(outcome) = &hold.outcome {
        return Some(self::outcome(outcome));
    }
    let sentence = match hold.resolution.as_ref()? {
        Resolution::Denied { vote } | Resolution::Approved { vote } => {
            let by = &vote.person.display_name;
            let said = vote.reason.as_ref().map(|reason| format!(": “{reason}”"));
            let what = match hold.state {
                HoldState::Lapsed => "approved it, but the session had gone; nothing ran",
                HoldState::Denied => "denied it",
                _ => "approved it",
            };
            format!("{by} {what}{}", said.unwrap_or_default())
        }
        Resolution::Nobody { why } => format!("Denied at once: {why}; nothing ran"),
        Resolution::Expired => "Nobody decided in time; nothing ran".to_owned(),
        Resolution::Withdrawn { reason } => {
            let reason = withdrawn(*reason);
            format!("Taken back: {reason}; nothing ran")
        }
    };
    Some(sentence)
}

pub(super) fn decided(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approved",
        Decision::Deny => "denied",
    }
}

pub(super) fn surface(surface: Surface) -> &'static str {
    match surface {
        Surface::Slack => "in Slack",
        Surface::Console => "in the console",
        Surface::Cli => "on the command line",
    }
}

pub(super) fn withdrawn(reason: WithdrawReason) -> &'static str {
    match reason {
        WithdrawReason::ClientGone => "the client's connection closed",
        WithdrawReason::ClientTerminated => "the client ended its session",
        WithdrawReason::ClientCancelled => "the client cancelled it",
        WithdrawReason::ClientOverflow => "the client sent too much behind it",
        WithdrawReason::TargetGone => "the target's connection closed",
        WithdrawReason::ProxyShutdown => "the proxy stopped",
        WithdrawReason::ProxyLost => "the proxy went away",
        WithdrawReason::MeaningChanged => "what it would do changed after it was shown",
        WithdrawReason::AnswerLost => "the proxy never got the answer to its opening",
        WithdrawReason::PolicyChanged => "the policy changed and does not let it through any more",
    }
}

pub(super) fn lapsed(cause: LapseCause) -> &'static str {
    match cause {
        LapseCause::NotClaimedInTime => "nobody took the permit in time",
        LapseCause::ClientGone => withdrawn(WithdrawReason::ClientGone),
        LapseCause::ClientTerminated => withdrawn(WithdrawReason::ClientTerminated),
        LapseCause::ClientCancelled => withdrawn(WithdrawReason::ClientCancelled),
        LapseCause::ClientOverflow => withdrawn(WithdrawReason::ClientOverflow),
        LapseCause::TargetGone => withdrawn(WithdrawReason::TargetGone),
        LapseCause::ProxyShutdown => withdrawn(WithdrawReason::ProxyShutdown),
        LapseCause::ProxyLost => withdrawn(WithdrawReason::ProxyLost),
        LapseCause::MeaningChanged => withdrawn(WithdrawReason::MeaningChanged),
        LapseCause::AnswerLost => withdrawn(WithdrawReason::AnswerLost),
        LapseCause::PolicyChanged => withdrawn(WithdrawReason::PolicyChanged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_on_the_clock_of_their_zone() {
        let shown = |zone: &str, at: &str| {
            let moment = Moment::on_clock(at.parse().unwrap(), zone.parse().unwrap());
            (moment.words, moment.utc.unwrap(), moment.iso)
        };
        let told =
            |words: &str, utc: &str, iso: &str| (words.to_owned(), utc.to_owned(), iso.to_owned());
        assert_eq!(
            shown("Europe/Berlin", "2026-11-30T08:00:00Z"),
            told(
                "Mon 30 Nov 09:00 CET",
                "30 Nov 2026 08:00 UTC",
                "2026-11-30T08:00:00Z"
            )
        );
        // Where a zone has no letters of its own, its offset stands for it.
        assert_eq!(
            shown("America/Sao_Paulo", "2026-12-31T23:30:00Z").0,
            "Thu 31 Dec 20:30 -03"
        );
        assert_eq!(
            shown("UTC", "2026-07-04T07:05:00Z").0,
            "Sat 4 Jul 07:05 UTC"
        );
    }

    #[test]
    fn numbers_and_spans_read_well() {
        assert_eq!(span(TimeDelta::seconds(9)), "9 s");
        assert_eq!(span(TimeDelta::seconds(252)), "4 min 12 s");
        assert_eq!(span(TimeDelta::seconds(3_720)), "1 h 02 min");
        assert_eq!(span(TimeDelta::milliseconds(899_993)), "15 min 00 s");
        assert_eq!(span(TimeDelta::milliseconds(1_499)), "1 s");
        assert_eq!(span(TimeDelta::seconds(-5)), "0 s");
        assert_eq!(elapsed(Duration::from_micros(5_640)), "5.6 ms");
        assert_eq!(elapsed(Duration::from_micros(34_700)), "35 ms");
        assert_eq!(elapsed(Duration::from_millis(3_400)), "3.4 s");
    }
}
