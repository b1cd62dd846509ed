//! Who is who, and who is asked. A lookup over the configuration; decides nothing.

use abeyance_api::{AgentIdentity, Claimant, PersonId, PersonRef};
use abeyance_holds::{Roster as RouteRoster, approvers_possible};

use crate::config::{ApproverConfig, Person, Route, TokenHash};

#[derive(Debug)]
pub(crate) struct Roster {
    people: Vec<Person>,
    routes: Vec<Route>,
}

impl Roster {
    pub(crate) fn new(config: &ApproverConfig) -> Self {
        Self {
            people: config.people.clone(),
            routes: config.routes.clone(),
        }
    }

    pub(crate) fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name == name)
    }

    pub(crate) fn person(&self, id: &PersonId) -> Option<&Person> {
        self.people.iter().find(|person| person.id == *id)
    }

    /// The person behind a claim that a surface has authenticated.
    pub(crate) fn claimant(&self, claimant: &Claimant) -> Option<&Person> {
        match claimant {
            Claimant::Slack { user } => self
                .people
                .iter()
                .find(|person| person.slack.as_deref() == Some(user.as_str())),
            Claimant::Person { id } => self.person(id),
        }
    }

    /// The person whose console token hashes to `presented`. Looks at everybody, whoever matches.
    pub(crate) fn person_by_token(&self, presented: &TokenHash) -> Option<&Person> {
        let mut found = None;
        for person in &self.people {
            if person
                .console_token_hash
                .is_some_and(|hash| hash.matches(presented))
            {
                found = Some(person);
            }
        }
        found
    }

    /// Who may be asked by `route` at this moment; nobody when the route is gone.
    pub(crate) fn reviewer_ids(&self, route: &str) -> Vec<PersonId> {
        self.route(route)
            .map(|route| route.reviewers.clone())
            .unwrap_or_default()
    }

    pub(crate) fn reviewers(&self, route: &str) -> Vec<PersonRef> {
        let Some(route) = self.route(route) else {
            return Vec::new();
        };
        self.people
            .iter()
            .filter(|person| route.reviewers.contains(&person.id))
            .map(Person::to_ref)
            .collect()
    }

    /// How many people could approve a hold of `agent` by `route`.
    pub(crate) fn approvers_possible(&self, route: &Route, agent: &AgentIdentity) -> usize {
        let people: Vec<PersonRef> = self.people.iter().map(Person::to_ref).collect();
        let roster = RouteRoster {
            reviewers: &route.reviewers,
        };
        approvers_possible(
            &people,
            roster,
            agent.owner.as_ref(),
            agent.actor.as_deref(),
        )
    }
}
