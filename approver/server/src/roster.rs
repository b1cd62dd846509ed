//! Who is who, and who is asked. A lookup over the configuration; decides nothing.

use abeyance_api::{AgentIdentity, Claimant, PersonId, PersonRef};
use abeyance_holds::{Roster as RouteRoster, eligible, quorum::Quorum, quorum_possible};

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

    /// A hold's seats with the people its route has for them at this moment; nobody when the route
    /// or the group is gone.
    pub(crate) fn renewed(&self, route: &str, quorum: &Quorum) -> Quorum {
        let route = self.route(route);
        quorum.with_people(|group| {
            let Some(route) = route else {
                return Vec::new();
            };
            match group {
                None => route.reviewers.clone(),
                Some(group) => {
                    let parts = route.quorum.parts().iter();
                    let same = parts.filter(|part| part.group.as_deref() == Some(group));
                    same.flat_map(|part| part.people.clone()).collect()
                }
            }
        })
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

    /// Whether enough people could approve a hold of `agent` by `route`.
    pub(crate) fn quorum_possible(&self, route: &Route, agent: &AgentIdentity) -> bool {
        let people: Vec<PersonRef> = self.people.iter().map(Person::to_ref).collect();
        let (owner, actor) = (agent.owner.as_ref(), agent.actor.as_deref());
        quorum_possible(&people, &route.quorum, owner, actor)
    }

    /// How many of a route's people may decide for `agent`.
    pub(crate) fn eligible_count(&self, route: &Route, agent: &AgentIdentity) -> usize {
        let roster = RouteRoster {
            reviewers: &route.reviewers,
        };
        let (owner, actor) = (agent.owner.as_ref(), agent.actor.as_deref());
        let people = self.people.iter().map(Person::to_ref);
        people
            .filter(|person| eligible(person, roster, owner, actor).is_ok())
            .count()
    }
}
