//! Approvals that are more than one vote on one hold: grants, broken glass, several holds at once.
//!
//! Each is authorised here, now, by the roster of this moment (invariant 9), and each hold gets its own record.

use abeyance_api::{
    BindingDigest, BulkDecision, BulkOutcome, DecideError, Decision, DecisionDesk as _,
    DecisionRequest, DeskError, GrantDesk, GrantRevocation, GrantView, HoldRequest, Offers,
    PersonRef,
};
use abeyance_holds::{BreakGlass, Event, Roster, alike::may_join, eligible};
use async_trait::async_trait;

use crate::{
    Approver, limits,
    store::{HoldRecord, NewVote, RevokedGrant},
};

impl Approver {
    /// The vote of somebody who approves alone, as one of the route's break-glass group.
    pub(crate) fn glass_vote(
        &self,
        person: PersonRef,
        record: &HoldRecord,
        request: &DecisionRequest,
        reason: Option<String>,
        known: Option<BindingDigest>,
    ) -> Result<NewVote, DecideError> {
        if request.decision == Decision::Deny || request.grant.is_some() {
            return invalid("breaking the glass approves this one hold, and nothing else");
        }
        let roster = self.roster();
        let route = roster.route(&record.hold.route);
        let rule = route
            .as_deref()
            .and_then(|route| route.terms.break_glass.as_ref());
        let glass = BreakGlass {
            person,
            members: rule.map(|rule| rule.people.clone()).unwrap_or_default(),
            reason,
            surface: request.surface,
        };
        let channel = rule.and_then(|rule| rule.slack_channel.clone());
        Ok(NewVote {
            hold: record.id.clone(),
            event: Event::BreakGlass(glass),
            request: known,
            channel,
        })
    }

    /// What besides a plain vote there is for reviewers.
    pub(crate) fn offers(&self, record: &HoldRecord) -> Offers {
        let terms = &record.hold.terms;
        let grantable = terms.grantable;
        Offers {
            break_glass: self.may_break_glass(&record.hold.route, &record.request),
            grant_minutes: grantable.map_or(0, |grantable| grantable.minutes_max),
            denials: terms.denials.get(),
            alike: 0,
        }
    }

    fn may_break_glass(&self, route: &str, request: &HoldRequest) -> Vec<PersonRef> {
        let roster = self.roster();
        let route = roster.route(route);
        let rule = route
            .as_deref()
            .and_then(|route| route.terms.break_glass.as_ref());
        let Some(rule) = rule else {
            return Vec::new();
        };
        let members = Roster {
            reviewers: &rule.people,
        };
        let (owner, actor) = (request.agent.owner.as_ref(), request.agent.actor.as_deref());
        let people = rule.people.iter();
        let people = people.filter_map(|id| Some(roster.person(id)?.to_ref()));
        people
            .filter(|person| eligible(person, members, owner, actor).is_ok())
            .collect()
    }

    /// Decides holds of one shape, agent and target, one after another.
    pub(crate) async fn decide_alike(
        &self,
        request: BulkDecision,
    ) -> Result<Vec<BulkOutcome>, DecideError> {
        let count = request.holds.len();
        if count == 0 || count > limits::BULK_MAX {
            return invalid(&format!("name 1 to {} holds at once", limits::BULK_MAX));
        }
        self.all_alike(&request).await?;
        let mut outcomes = Vec::with_capacity(count);
        for hold in request.holds {
            let one = DecisionRequest {
                hold: hold.clone(),
                claimant: request.claimant.clone(),
                decision: request.decision,
                reason: request.reason.clone(),
                surface: request.surface,
                break_glass: false,
                grant: None,
                key: request.key.clone(),
            };
            let result = self.hold_decide(one).await.map(Box::new);
            outcomes.push(BulkOutcome { hold, result });
        }
        Ok(outcomes)
    }

    /// Before any is decided: one that is not there, or is not like the first, is a slip.
    async fn all_alike(&self, request: &BulkDecision) -> Result<(), DecideError> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in &request.holds {
            match self.0.store.hold(id).await? {
                Some(record) => found.push((id, record.request)),
                None => missing.push(id.as_str()),
            }
        }
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return invalid(&format!("there is no hold {missing}; nothing was decided"));
        }
        let Some(((_, first), others)) = found.split_first() else {
            return Ok(());
        };
        match others.iter().find(|(_, one)| !may_join(first, one)) {
            None => Ok(()),
            Some((id, _)) => invalid(&format!(
                "{id} is not like the first: only holds of one shape, agent and target that do no more than it are \
                 decided together; nothing was decided"
            )),
        }
    }
}

#[async_trait]
impl GrantDesk for Approver {
    async fn grants(&self, active_only: bool) -> Result<Vec<GrantView>, DeskError> {
        let now = self.0.clock.now();
        let grants = self.0.store.grants(active_only, now).await?;
        Ok(grants.iter().map(|grant| grant.view(now)).collect())
    }

    /// Whoever may decide on the route may end its grants, and so may the agent's owner: that is no approval.
    async fn grant_revoke(&self, revocation: GrantRevocation) -> Result<GrantView, DecideError> {
        let reason = crate::desk::required_reason(revocation.reason)?;
        let roster = self.roster();
        let Some(person) = roster.claimant(&revocation.claimant) else {
            return Err(DecideError::UnknownPerson);
        };
        let person = person.to_ref();
        let id = revocation.id;
        let hold = id.hold().map_err(|_| DecideError::NotFound)?;
        let record = self
            .0
            .store
            .hold(&hold)
            .await?
            .ok_or(DecideError::NotFound)?;
        let reviewers = roster.renewed(&record.hold);
        let route = roster.route(&record.hold.route);
        let glass = route
            .as_deref()
            .and_then(|route| route.terms.break_glass.as_ref());
        let may = reviewers.people().contains(&person.id)
            || record.hold.owner.as_ref() == Some(&person.id)
            || record
                .hold
                .votes
                .iter()
                .any(|vote| vote.person.id == person.id)
            || glass.is_some_and(|rule| rule.people.contains(&person.id));
        if !may {
            return Err(DecideError::NotAReviewer {
                route: record.hold.route,
            });
        }
        let now = self.0.clock.now();
        let store = &self.0.store;
        match store
            .grant_revoke(&id, person.clone(), Some(reason), now)
            .await?
        {
            RevokedGrant::Done(grant) => {
                tracing::info!(grant = %id, person = %person.id, "a grant was revoked");
                Ok(grant.view(now))
            }
            RevokedGrant::Over => invalid(&format!("{id} is over already")),
            RevokedGrant::NotFound => Err(DecideError::NotFound),
        }
    }
}

fn invalid<T>(detail: &str) -> Result<T, DecideError> {
    Err(DecideError::Invalid {
        detail: detail.to_owned(),
    })
}
