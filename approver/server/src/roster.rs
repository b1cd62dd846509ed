//! Who is who, and who is asked. A lookup over the configuration; decides nothing.

use std::borrow::Cow;

use abeyance_api::{AgentIdentity, Claimant, DecideError, Named, PersonId, PersonRef, nearest};
use abeyance_holds::{
    Hold, Roster as RouteRoster, eligible,
    escalation::Who,
    oncall::{Exception, shifts},
    quorum::Quorum,
    quorum_possible,
};
use chrono::{DateTime, Utc};

use crate::config::{
    ApproverConfig, Group, JOINT, OncallSchedule, Person, ROUTES_MAX, Route, TokenHash,
    joined::seats_of,
};

/// Whom a step asked, and who that was.
struct Reached<'a> {
    who: &'a [Who],
    people: Vec<PersonId>,
}

#[derive(Debug)]
pub(crate) struct Roster {
    people: Vec<Person>,
    groups: Vec<Group>,
    schedules: Vec<OncallSchedule>,
    routes: Vec<Route>,
}

impl Roster {
    pub(crate) fn new(config: &ApproverConfig) -> Self {
        Self {
            people: config.people.clone(),
            groups: config.groups.clone(),
            schedules: config.schedules.clone(),
            routes: config.routes.clone(),
        }
    }

    /// A route, or several that are asked together: `dba+privacy`.
    pub(crate) fn route(&self, name: &str) -> Option<Cow<'_, Route>> {
        let routes = self.routes_of(name)?;
        match routes[..] {
            [route] => Some(Cow::Borrowed(route)),
            _ => Route::joined(name, &routes).map(Cow::Owned),
        }
    }

    /// Where the cards of a route go.
    pub(crate) fn channels(&self, name: &str) -> Vec<String> {
        let mut channels = Vec::new();
        for route in self.routes_of(name).unwrap_or_default() {
            if let Some(channel) = route
                .slack_channel
                .as_ref()
                .filter(|c| !channels.contains(*c))
            {
                channels.push(channel.clone());
            }
        }
        channels
    }

    fn routes_of(&self, name: &str) -> Option<Vec<&Route>> {
        let one = |name: &str| self.routes.iter().find(|route| route.name == name);
        let names = name.split(JOINT).take(ROUTES_MAX + 1);
        let routes: Option<Vec<&Route>> = names.map(one).collect();
        routes.filter(|routes| routes.len() <= ROUTES_MAX)
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

    /// Whom somebody means.
    ///
    /// # Errors
    /// When there is nobody of that name.
    pub(crate) fn named(&self, named: &Named) -> Result<&Person, DecideError> {
        let (found, detail) = match named {
            Named::Name { name } => {
                let known = self.people.iter().map(|person| person.id.as_str());
                let what = format!("there is nobody called {name}");
                let found = self.people.iter().find(|person| person.id.as_str() == name);
                (found, hinted(&what, name, known))
            }
            Named::Slack { user } => {
                let person = |person: &&Person| person.slack.as_deref() == Some(user.as_str());
                let detail = format!("nobody of the configuration is {user} in Slack");
                (self.people.iter().find(person), detail)
            }
        };
        found.ok_or(DecideError::Invalid { detail })
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

    /// A hold's seats with the people its route has for them at this moment, and with those who were asked;
    /// nobody when the route or the group is gone.
    pub(crate) fn renewed(&self, hold: &Hold) -> Quorum {
        let Some(route) = self.route(&hold.route) else {
            return hold.quorum.with_people(|_| Vec::new());
        };
        let asked: Vec<Reached<'_>> = hold
            .escalation
            .asked()
            .iter()
            .map(|step| Reached {
                who: hold.escalation.plan().who(step.step),
                people: step.people.iter().map(|one| one.id.clone()).collect(),
            })
            .collect();
        self.seats(&hold.quorum, &route, &asked)
    }

    /// The seats of a quorum with the people its route has for them, and with those who were asked besides. Among routes
    /// that are asked together, whoever was asked for one takes no seat of another.
    fn seats(&self, quorum: &Quorum, route: &Route, asked: &[Reached<'_>]) -> Quorum {
        quorum.with_people(|group| {
            let Some(group) = group else {
                let asked: Vec<PersonId> =
                    asked.iter().flat_map(|one| one.people.clone()).collect();
                return with_more(&route.reviewers, &asked);
            };
            let one = seats_of(group);
            if let Some(one) = one.and_then(|name| self.routes.iter().find(|r| r.name == name)) {
                let mut own = Vec::new();
                for step in asked {
                    let people = step.people.iter();
                    own.extend(people.filter(|id| self.came_by(one, step.who, id)).cloned());
                }
                return with_more(&one.reviewers, &own);
            }
            let parts = route.quorum.parts().iter();
            let same = parts.filter(|part| part.group.as_deref() == Some(group));
            same.flat_map(|part| part.people.clone()).collect()
        })
    }

    /// Whether a step that asked `who` came to this person by the route's own plan, and by nothing else.
    fn came_by(&self, route: &Route, who: &[Who], person: &PersonId) -> bool {
        let own = |who: &&Who| route.plan.whoever().any(|own| own == *who);
        let names = |who: &Who| match who {
            Who::Person(id) => id == person,
            Who::Group(name) => self.group(name).contains(person),
            Who::Schedule(name) => self
                .schedule(name)
                .is_some_and(|schedule| schedule.people().any(|id| id == person)),
            Who::Channel(_) => false,
        };
        who.iter().filter(own).any(names) && !who.iter().filter(|who| !own(who)).any(names)
    }

    /// Everybody who may decide a hold now: its route's reviewers, and whomever a step asked, until the hold ends.
    #[expect(clippy::unused_self, reason = "beside its sisters")]
    fn deciders(&self, route: &Route, hold: &Hold) -> Vec<PersonId> {
        let asked: Vec<PersonId> = hold.escalation.people().map(|one| one.id.clone()).collect();
        with_more(&route.reviewers, &asked)
    }

    /// The same, as cards name them; those who are in no roster any more are left out.
    pub(crate) fn reviewers(&self, hold: &Hold) -> Vec<PersonRef> {
        let Some(route) = self.route(&hold.route) else {
            return Vec::new();
        };
        let deciders = self.deciders(&route, hold);
        self.people
            .iter()
            .filter(|person| deciders.contains(&person.id))
            .map(Person::to_ref)
            .collect()
    }

    /// Whether those who may decide now could fill the quorum of a hold.
    pub(crate) fn enough(&self, hold: &Hold, agent: &AgentIdentity) -> bool {
        let people: Vec<PersonRef> = self.people.iter().map(Person::to_ref).collect();
        let (owner, actor) = (agent.owner.as_ref(), agent.actor.as_deref());
        quorum_possible(&people, &self.renewed(hold), owner, actor)
    }

    /// Everybody a step comes to at a moment.
    pub(crate) fn on_step<'a>(
        &self,
        who: &[Who],
        at: DateTime<Utc>,
        exceptions: impl Fn(&str) -> &'a [Exception],
    ) -> Vec<PersonId> {
        let mut people = Vec::new();
        for who in who {
            match who {
                Who::Person(id) => people.push(id.clone()),
                Who::Group(name) => people.extend(self.group(name).iter().cloned()),
                Who::Schedule(name) => {
                    let schedule = self.schedule(name);
                    let duty = schedule.map(|s| s.schedule.on_duty(at, exceptions(name)));
                    people.extend(duty.into_iter().flat_map(|duty| duty.people));
                }
                Who::Channel(_) => {}
            }
        }
        people
    }

    /// Those of them who are in the roster and may decide for `agent`, each once.
    pub(crate) fn eligible_of(&self, ids: &[PersonId], agent: &AgentIdentity) -> Vec<PersonRef> {
        let roster = RouteRoster { reviewers: ids };
        let (owner, actor) = (agent.owner.as_ref(), agent.actor.as_deref());
        let people = self.people.iter().map(Person::to_ref);
        people
            .filter(|person| eligible(person, roster, owner, actor).is_ok())
            .collect()
    }

    fn group(&self, name: &str) -> &[PersonId] {
        let group = self.groups.iter().find(|group| group.name == name);
        group.map_or(&[], |group| &group.people)
    }

    pub(crate) fn everybody(&self) -> Vec<PersonId> {
        self.people.iter().map(|person| person.id.clone()).collect()
    }

    pub(crate) fn schedules(&self) -> &[OncallSchedule] {
        &self.schedules
    }

    pub(crate) fn schedule(&self, name: &str) -> Option<&OncallSchedule> {
        self.schedules.iter().find(|s| s.schedule.name() == name)
    }

    /// The same, or what to do about it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn schedule_named(&self, name: &str) -> Result<&OncallSchedule, DecideError> {
        let known = self.schedules.iter().map(|given| given.schedule.name());
        self.schedule(name).ok_or_else(|| DecideError::Invalid {
            detail: hinted(&format!("there is no schedule {name}"), name, known),
        })
    }

    /// Whether enough people could ever approve a hold of `agent` that waits in a span, whoever has the
    /// shifts meanwhile. Nobody at all is another matter: that is found out step by step, and written down.
    pub(crate) fn quorum_reachable<'a>(
        &self,
        route: &Route,
        agent: &AgentIdentity,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        exceptions: impl Fn(&str) -> &'a [Exception],
    ) -> bool {
        let mut everybody = route.reviewers.clone();
        let mut reached = Vec::new();
        for who in route.plan.whoever() {
            let people: Vec<PersonId> = match who {
                Who::Schedule(name) => {
                    let schedule = self.schedule(name);
                    let ahead =
                        schedule.map(|s| shifts(&s.schedule, exceptions(name), from, until));
                    let ahead = ahead.into_iter().flatten();
                    ahead.flat_map(|shift| shift.duty.people).collect()
                }
                Who::Person(_) | Who::Group(_) | Who::Channel(_) => {
                    self.on_step(std::slice::from_ref(who), from, &exceptions)
                }
            };
            everybody.extend(people.iter().cloned());
            let who = std::slice::from_ref(who);
            reached.push(Reached { who, people });
        }
        let eligible = self.eligible_of(&everybody, agent);
        let (owner, actor) = (agent.owner.as_ref(), agent.actor.as_deref());
        let quorum = self.seats(&route.quorum, route, &reached);
        let alone = eligible.is_empty() && !route.plan.is_empty();
        alone || quorum_possible(&eligible, &quorum, owner, actor)
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

/// The first ones, and of the others those who are not among them.
fn with_more(people: &[PersonId], more: &[PersonId]) -> Vec<PersonId> {
    let mut all = people.to_vec();
    for person in more {
        if !all.contains(person) {
            all.push(person.clone());
        }
    }
    all
}

/// With what was meant, when that is clear.
fn hinted<'a>(what: &str, given: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(given, known) {
        Some(near) => format!("{what}; did you mean {near}?"),
        None => format!("{what} in the configuration"),
    }
}
