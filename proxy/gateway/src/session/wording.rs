//! What a waiting client reads: notices, and one error for each way a hold can end.
//!
//! Each says what happened, by which rule and whom, and what to do next. Nothing ran in any of them.

use std::time::Duration;

use abeyance_api::{DeskError, HoldReceipt, Vote};
use abeyance_wire::postgres::{ErrorFields, SqlState};

/// A hold as its client is told of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Story<'a> {
    pub(super) receipt: &'a HoldReceipt,
    pub(super) rule: &'a str,
    pub(super) reasons: &'a [String],
    /// It is a COMMIT that waits: what it would keep has run.
    pub(super) at_commit: bool,
}

impl Story<'_> {
    /// Tells a client that it waits, for whom and for how long.
    pub(super) fn notice(&self, left: Duration) -> ErrorFields {
        let HoldReceipt {
            id,
            expires_at,
            asked,
            console_url,
            ..
        } = self.receipt;
        let whereabouts = console_url
            .as_ref()
            .map(|url| format!("See {url}. "))
            .unwrap_or_default();
        ErrorFields::notice(format!("{id} is held: waiting for {asked}"))
            .detail(format!(
                "{} Expires in {}, at {}.",
                self.why(),
                span(left),
                expires_at.format("%Y-%m-%d %H:%M:%S UTC")
            ))
            .hint(format!("{whereabouts}{}", self.meanwhile()))
    }

    fn meanwhile(&self) -> &'static str {
        if self.at_commit {
            "The transaction is kept once it is approved, and rolled back otherwise; its locks stay taken meanwhile."
        } else {
            "Nothing has run. Once approved it runs on this connection; cancel to withdraw it."
        }
    }

    /// Approved, but the rules that let the transaction run are others now.
    pub(super) fn rules_changed(&self) -> ErrorFields {
        self.error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "was approved, but the rules changed while the transaction was open",
            "What ran was let run by other rules.",
            "Nothing ran. Run the transaction again under the new rules.",
        )
    }

    /// Tells a client, in one line, that it still waits.
    pub(super) fn reminder(&self, left: Duration) -> ErrorFields {
        let HoldReceipt { id, asked, .. } = self.receipt;
        ErrorFields::notice(format!(
            "{id} is still held: waiting for {asked}; expires in {}",
            span(left)
        ))
    }

    pub(super) fn denied(&self, vote: &Vote) -> ErrorFields {
        let reviewer = &vote.person.display_name;
        let reason = vote
            .reason
            .as_ref()
            .map(|reason| format!(" Reason: {reason}"))
            .unwrap_or_default();
        self.error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            &format!("was denied by {reviewer}"),
            &format!("Reviewer: {reviewer}.{reason}"),
            "Nothing ran. Change the statement or talk to the reviewer before sending it again.",
        )
    }

    pub(super) fn expired(&self) -> ErrorFields {
        self.error(
            SqlState::QUERY_CANCELED,
            "expired: nobody decided in time",
            &format!("Asked: {}.", self.receipt.asked),
            "Nothing ran. Send the statement again when a reviewer is available.",
        )
    }

    /// The answer of a hold that nobody waits for.
    pub(super) fn ticket(&self, left: Duration) -> ErrorFields {
        let HoldReceipt {
            asked, console_url, ..
        } = self.receipt;
        let whereabouts = console_url
            .as_ref()
            .map(|url| format!("See {url}. "))
            .unwrap_or_default();
        self.error(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            &format!("is held: waiting for {asked}"),
            &format!("Expires in {}.", span(left)),
            &format!(
                "{whereabouts}Nothing has run. Send the very same statement again: it runs once it is approved."
            ),
        )
    }

    pub(super) fn nobody(&self, why: &str) -> ErrorFields {
        self.error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            &format!("was denied at once: {why}"),
            &format!("Asked: {}.", self.receipt.asked),
            "Nothing ran. Have somebody take the shift (`abeyance oncall override add`) or change the route, then send the statement again.",
        )
    }

    pub(super) fn withdrawn(&self) -> ErrorFields {
        self.error(
            SqlState::QUERY_CANCELED,
            "was withdrawn",
            "It was taken back before anybody decided.",
            "Nothing ran. Send the statement again if it is still wanted.",
        )
    }

    pub(super) fn cancelled(&self) -> ErrorFields {
        self.error(
            SqlState::QUERY_CANCELED,
            "was cancelled: the client asked for it",
            "The hold is withdrawn.",
            "Nothing ran. Send the statement again if it is still wanted.",
        )
    }

    pub(super) fn overdue(&self) -> ErrorFields {
        self.error(
            SqlState::CANNOT_CONNECT_NOW,
            "got no answer: the approver is silent past the hold's expiry",
            "The proxy stopped waiting on its own.",
            "Nothing ran. Tell the people who run the approver, then send the statement again.",
        )
    }

    pub(super) fn unreachable(&self, error: &DeskError) -> ErrorFields {
        self.error(
            SqlState::CANNOT_CONNECT_NOW,
            "got no decision: the approver cannot be reached",
            &format!("{error}."),
            "Nothing ran. Send the statement again once the approver is back.",
        )
    }

    /// Approved, but the permit could not be had.
    pub(super) fn not_claimed(&self, error: &DeskError) -> ErrorFields {
        self.error(
            SqlState::CANNOT_CONNECT_NOW,
            "was approved, but the approval could not be claimed",
            &format!("{error}."),
            "Nothing ran. Send the statement again; it will be asked about anew.",
        )
    }

    /// Approved, but newer rules deny it.
    pub(super) fn ruled_out(&self, refusal: &ErrorFields) -> ErrorFields {
        self.error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "was approved, but rules that changed meanwhile refuse it",
            &format!("Now: {}.", refusal.message()),
            "Nothing ran. Ask the owner of the proxy's policy.",
        )
    }

    /// Approved, but newer rules ask other people.
    pub(super) fn rerouted(&self, rule: &str, route: &str) -> ErrorFields {
        self.error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "was approved, but rules that changed meanwhile ask other reviewers",
            &format!("Now: rule {rule}, route {route}."),
            "Nothing ran. Send the statement again; it will be asked about anew.",
        )
    }

    /// Approved, but the target's definitions make another thing of it.
    pub(super) fn meant_otherwise(&self) -> ErrorFields {
        self.error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "was approved, but what it would do has changed meanwhile",
            "Definitions on the target, or what is known of them, are not those that were shown.",
            "Nothing ran. Send the statement again; it will be asked about anew.",
        )
    }

    /// Approved, but people who may not approve for this agent were not known as such.
    pub(super) fn owned_otherwise(&self) -> ErrorFields {
        self.error(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "was approved, but the agent's owner or actor has changed meanwhile",
            "They never approve for their own agent, and the reviewers were asked without the new ones in mind.",
            "Nothing ran. Send the statement again; it will be asked about anew.",
        )
    }

    fn error(&self, state: SqlState, what: &str, detail: &str, hint: &str) -> ErrorFields {
        let id = &self.receipt.id;
        let hint = if self.at_commit {
            hint.replace(
                "Nothing ran.",
                "The whole transaction was rolled back; nothing was kept.",
            )
        } else {
            hint.to_owned()
        };
        ErrorFields::error(state, format!("{id} {what}"))
            .detail(format!("Hold: {id}. {} {detail}", self.why()))
            .hint(hint)
    }

    fn why(&self) -> String {
        why(self.rule, self.reasons)
    }
}

/// The answer when no hold could be opened.
pub(super) fn not_opened(rule: &str, error: &DeskError) -> ErrorFields {
    if let DeskError::InTransaction { route } = error {
        return ErrorFields::error(
            SqlState::ACTIVE_SQL_TRANSACTION,
            "the statement needs approval, and nobody is asked while a transaction is open",
        )
        .detail(format!(
            "{} Route {route} asks nobody then: the locks would stay taken while it waits.",
            why(rule, &[])
        ))
        .hint("Nothing ran. Roll back, and send the statement by itself.");
    }
    let refused = matches!(error, DeskError::Refused { .. });
    let (message, hint) = if refused {
        (
            "the statement needs approval, and the approver refuses to ask for it",
            "Nothing ran. The people who run the approver have to mend the route.",
        )
    } else {
        (
            "the statement needs approval, and the approver cannot be reached",
            "Nothing ran. Send the statement again once the approver is back.",
        )
    };
    ErrorFields::error(SqlState::CANNOT_CONNECT_NOW, message)
        .detail(format!("{} {error}.", why(rule, &[])))
        .hint(hint)
}

fn why(rule: &str, reasons: &[String]) -> String {
    if reasons.is_empty() {
        format!("Rule: {rule}.")
    } else {
        format!("Rule: {rule} ({}).", reasons.join("; "))
    }
}

/// A time span for people: `4m 30s`. To the nearest second: what was fifteen minutes a moment ago still is.
fn span(left: Duration) -> String {
    let seconds = left.saturating_add(Duration::from_millis(500)).as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_to_the_nearest_second() {
        for (millis, want) in [
            (899_993, "15m"),
            (900_000, "15m"),
            (869_400, "14m 29s"),
            (1_499, "1s"),
            (400, "0s"),
            (7_200_000, "2h"),
            (3_659_600, "1h 1m"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), want, "{millis}");
        }
    }
}
