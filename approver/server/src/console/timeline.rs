//! A hold's history as people read it.

use abeyance_api::{Decision, RecordLine};
use abeyance_holds::{AuditEvent, ProxyCall, escalation};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::words::{self, Moment};
use crate::HoldEvent;

/// One line of the history.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    #[serde(skip)]
    when: DateTime<Utc>,
    at: Moment,
    /// `wait`, `go`, `good`, `bad` or `still`.
    tone: &'static str,
    text: String,
    /// Somebody's own words.
    quote: Option<String>,
}

pub(super) fn timeline(events: &[HoldEvent], at_commit: bool) -> Vec<Line> {
    let lines = events.iter().filter_map(line);
    lines
        .map(|line| Line {
            text: words::kept(line.text, at_commit),
            ..line
        })
        .collect()
}

/// The same for other surfaces.
pub(crate) fn record_lines(events: &[HoldEvent], at_commit: bool) -> Vec<RecordLine> {
    let lines = timeline(events, at_commit).into_iter();
    let lines = lines.map(|line| RecordLine {
        at: line.when,
        text: line.text,
        quote: line.quote,
    });
    lines.collect()
}

fn line(entry: &HoldEvent) -> Option<Line> {
    let (tone, text, quote) = match &entry.event {
        AuditEvent::Opened { route, quorum, .. } => {
            let people = if *quorum == 1 {
                String::new()
            } else {
                format!(", {quorum} people have to agree")
            };
            (
                "wait",
                format!("Held; route {route} was asked{people}"),
                None,
            )
        }
        AuditEvent::Voted {
            person,
            decision,
            reason,
            surface,
            changed,
            wish,
        } => {
            let tone = if *decision == Decision::Approve {
                "go"
            } else {
                "bad"
            };
            let again = if *changed { " on second thoughts" } else { "" };
            let text = format!(
                "{} {} {}{again}{}",
                person.display_name,
                words::decided(*decision),
                words::surface(*surface),
                wish.map(|wish| format!(", for {} minutes", wish.minutes))
                    .unwrap_or_default()
            );
            (tone, text, reason.clone())
        }
        // The vote that decided stands above these.
        AuditEvent::Denied { .. } => return None,
        AuditEvent::Approved { by } if by.len() == 1 => return None,
        AuditEvent::Approved { by } => ("go", format!("{} people agreed", by.len()), None),
        AuditEvent::GlassBroken {
            person,
            reason,
            surface,
        } => {
            let text = format!(
                "{} broke the glass {}: approved alone",
                person.display_name,
                words::surface(*surface)
            );
            ("bad", text, Some(reason.clone()))
        }
        AuditEvent::Granted { agreed } => {
            let text = format!(
                "The same shape may run for {} minutes, {} times",
                agreed.minutes, agreed.uses
            );
            ("go", text, None)
        }
        AuditEvent::GrantUsed { grant, left, .. } => {
            let text = format!("Nobody was asked: {grant} covers it, {left} uses left");
            ("go", text, None)
        }
        AuditEvent::GrantRevoked { grant, by, reason } => {
            let text = format!("{} revoked {grant}", by.display_name);
            ("bad", text, reason.clone())
        }
        AuditEvent::Asked {
            who,
            people,
            channels,
            ..
        } => {
            let who = escalation::in_words(who);
            if people.is_empty() && channels.is_empty() {
                let text = format!("{who}: there was nobody to ask; skipped");
                ("still", text, None)
            } else {
                let names: Vec<&str> = people.iter().map(|p| p.display_name.as_str()).collect();
                let text = match names.as_slice() {
                    [] => format!("Asked {who}"),
                    names => format!("Asked {who}: {}", names.join(", ")),
                };
                ("wait", text, None)
            }
        }
        AuditEvent::Looking {
            person, surface, ..
        } => {
            let surface = words::surface(*surface);
            let text = format!("{} looks, said {surface}", person.display_name);
            ("still", text, None)
        }
        AuditEvent::Nobody { why } => ("bad", format!("Denied at once: {why}"), None),
        AuditEvent::Expired => (
            "still",
            "Nobody decided in time; nothing ran".to_owned(),
            None,
        ),
        AuditEvent::Claimed { .. } => {
            let text = "The session took its permit; the batch is running";
            ("go", text.to_owned(), None)
        }
        AuditEvent::Withdrawn { reason } => {
            let text = format!("Withdrawn: {}; nothing ran", words::withdrawn(*reason));
            ("still", text, None)
        }
        AuditEvent::Lapsed { cause } => {
            let text = format!(
                "The approval lapsed: {}; nothing ran",
                words::lapsed(*cause)
            );
            ("still", text, None)
        }
        AuditEvent::Reported { outcome } => {
            let tone = match outcome {
                abeyance_api::Outcome::Executed { .. } => "good",
                abeyance_api::Outcome::RolledBack { .. } => "still",
                abeyance_api::Outcome::Failed { .. } | abeyance_api::Outcome::Unknown { .. } => {
                    "bad"
                }
            };
            (tone, words::outcome(outcome), None)
        }
        AuditEvent::ReportedLate { outcome } => {
            let text = format!("Heard late from its proxy: {}", words::outcome(outcome));
            ("still", text, None)
        }
        AuditEvent::VoteRefused {
            person,
            surface,
            why,
            ..
        } => {
            let text = format!(
                "{} tried to decide {} and was refused: {why}",
                person.display_name,
                words::surface(*surface)
            );
            ("bad", text, None)
        }
        AuditEvent::ClaimRefused { .. } => {
            let text = "A claim for another batch was refused; nothing ran";
            ("bad", text.to_owned(), None)
        }
        AuditEvent::ProxyRefused { call } => {
            let what = match call {
                ProxyCall::Claim => "use its approval",
                ProxyCall::Withdraw => "take it back",
                ProxyCall::Report => "report what came of it",
            };
            let text = format!("Another proxy than its own tried to {what} and was refused");
            ("bad", text, None)
        }
    };
    Some(Line {
        when: entry.at,
        at: entry.at.into(),
        tone,
        text,
        quote,
    })
}
