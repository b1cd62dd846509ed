//! Opening a hold: what a proxy asks becomes a record, or is refused.

use abeyance_api::{DeskError, HoldReceipt, HoldRequest, TransactionContext};
use abeyance_holds::escalation::in_words;
use chrono::TimeDelta;
use uuid::Uuid;

use super::refused;
use crate::{
    Approver, Route, escalate, limits,
    overrides::exceptions,
    roster::Roster,
    store::{Coverable, HoldRecord, Instance, NewRecord, Opened},
};

impl Approver {
    /// Opens a hold once per `key`: a caller that lost the answer repeats the call with the same key.
    pub(crate) async fn hold_open_once(
        &self,
        request: HoldRequest,
        key: Uuid,
        instance: Option<Instance>,
    ) -> Result<HoldReceipt, DeskError> {
        let mut new = self.new_record(request, key).await?;
        // A ticket waits for its agent, not for a proxy.
        let waits = instance.filter(|_| !new.request.manner.ticket);
        new.instance = waits.map(|instance| (instance, self.lease_end()));
        let now = self.0.clock.now();
        let record = match self.0.store.hold_open(new, now).await? {
            Opened::New(record) => {
                tracing::info!(hold = %record.id, route = %record.hold.route,
                    agent = %record.request.agent.name, target = %record.request.target.name, "hold opened");
                if let Err(error) = escalate::escalate(self, &record.id).await {
                    tracing::warn!(hold = %record.id, %error, "its first step comes late");
                }
                record
            }
            Opened::Again(record) => record,
            Opened::Closed => {
                return refused("the opening was taken back before it arrived".to_owned());
            }
            Opened::Crowded => {
                return refused(format!(
                    "{} holds are waiting already; decide some first",
                    limits::PENDING_MAX
                ));
            }
        };
        let again = record.request.manner.ticket || record.hold.terms.by_grant.is_some();
        Ok(HoldReceipt {
            rows_cap: carried_cap(&record),
            resolution: record.hold.resolution.clone().filter(|_| again),
            console_url: self.console_link(&record.id),
            id: record.id,
            expires_at: record.hold.expires_at,
            asked: record.asked,
        })
    }

    async fn new_record(&self, request: HoldRequest, key: Uuid) -> Result<NewRecord, DeskError> {
        check_request(&request)?;
        let roster = self.roster();
        let Some(route) = roster.route(&request.route) else {
            return refused(format!(
                "there is no route {}; add it to the approver's configuration",
                request.route
            ));
        };
        // At its COMMIT a transaction is asked about because it is open.
        let open = request.transaction == TransactionContext::Open && !request.manner.at_commit;
        if open && route.terms.refuse_in_transaction {
            let route = route.name.clone();
            return Err(DeskError::InTransaction { route });
        }
        let timeout = route.terms.timeout(route.timeout, &request);
        let timeout = TimeDelta::from_std(timeout).map_err(|_| DeskError::Refused {
            detail: format!("the timeout of route {} is too long", route.name),
        })?;
        let now = self.0.clock.now();
        let span = (now, now + timeout);
        let exceptions = exceptions(&self.0.store, &roster, now).await?;
        let of = |schedule: &str| exceptions.of(schedule);
        if !roster.quorum_reachable(&route, &request.agent, span, of) {
            return refused(format!(
                "route {} needs {} to approve, and has not so many who may for agent {}: its owner \
                 and its actor never do; add reviewers",
                route.name, route.quorum, request.agent.name
            ));
        }
        let asked = asked(&roster, &route, &request);
        let mut new = NewRecord {
            request_key: key,
            asked,
            plan: route.plan.clone(),
            terms: route.terms.of(&request),
            coverable: Coverable {
                quorum: route.quorum.clone(),
                grantable: route.terms.grants(&request),
                known: roster.everybody(),
            },
            quorum: route.quorum.clone(),
            expires_at: now + timeout,
            slack_channels: roster.channels(&route.name),
            first: None,
            instance: None,
            request,
        };
        new.first = escalate::first(&roster, &exceptions, &new, now);
        Ok(new)
    }
}

/// The cap on rows of an approval that was given earlier: a ticket's, or its grant's.
fn carried_cap(record: &HoldRecord) -> Option<u64> {
    let ticket = record.request.blast.rows_cap;
    let ticket = ticket.filter(|_| record.request.manner.ticket);
    let granted = record.hold.terms.by_grant.as_ref();
    let granted = granted.and_then(|used| used.rows_cap);
    ticket.into_iter().chain(granted).min()
}

/// Who is asked, in words: `route dba (2 reviewers; 2 people have to agree)`, and its steps where it has any.
fn asked(roster: &Roster, route: &Route, request: &HoldRequest) -> String {
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

/// Proxies bound what they send; a request past these bounds is a defect or an attack.
fn check_request(request: &HoldRequest) -> Result<(), DeskError> {
    let count = request.statements.len();
    if count == 0 || count > limits::STATEMENTS_MAX {
        return refused(format!(
            "a held batch has 1 to {} statements, this one has {count}",
            limits::STATEMENTS_MAX
        ));
    }
    let agent_reason = request.agent_reason.as_deref().unwrap_or_default();
    if agent_reason.chars().count() > limits::REASON_CHARS_MAX {
        return refused(format!(
            "the agent's reason is longer than {} characters",
            limits::REASON_CHARS_MAX
        ));
    }
    let bytes = serde_json::to_vec(request).map_or(usize::MAX, |json| json.len());
    if bytes > limits::REQUEST_BYTES_MAX {
        return refused(format!(
            "the batch is too large to be shown to a reviewer ({bytes} bytes, at most {})",
            limits::REQUEST_BYTES_MAX
        ));
    }
    Ok(())
}
