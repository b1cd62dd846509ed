//! What holds between the parts of a configuration: names are unique, references lead
//! somewhere, and every hold that can happen has somebody who may approve it (invariant 4).

use std::collections::HashMap;

use abeyance_api::PersonId;
use abeyance_approver::{JOINT, SEATS_OF, escalation::Who, quorum::Quorum};
use abeyance_policy::Decision;

use super::{
    datapath::{AgentEntry, TargetEntry},
    decision::{PersonEntry, RouteEntry},
    group::{GroupEntry, Wanted, members},
    model::Role,
    policy::{PolicyEntry, ProtectionEntry, RuleEntry},
    problem::{Problems, Span},
    schedule::ScheduleEntry,
    section::At,
    steps, suggest,
};

/// Everything that was read, right or wrong.
#[derive(Debug)]
pub struct Parts {
    pub role: Role,
    pub targets: Vec<TargetEntry>,
    pub agents: Vec<AgentEntry>,
    pub people: Vec<PersonEntry>,
    pub groups: Vec<GroupEntry>,
    pub schedules: Vec<ScheduleEntry>,
    pub routes: Vec<RouteEntry>,
    pub policy: Option<PolicyEntry>,
    pub rules: Vec<RuleEntry>,
    pub protections: Vec<ProtectionEntry>,
    pub slack: bool,
    /// Some entry of this kind could not be read, so references may lead to it.
    pub people_lost: bool,
    pub groups_lost: bool,
    pub schedules_lost: bool,
    pub routes_lost: bool,
    pub targets_lost: bool,
    pub agents_lost: bool,
}

/// Checks the parts against each other.
pub fn cross_check(parts: &Parts, problems: &Problems) {
    unique(parts, problems);
    references(parts, problems);
    reviewers_can_decide(parts, problems);
    enough_may_approve(parts, problems);
    enough_for_both(parts, problems);
}

fn unique(parts: &Parts, problems: &Problems) {
    let targets = parts.targets.iter().map(|entry| entry.name.clone());
    let agents = parts.agents.iter().map(|entry| entry.name.clone());
    let people = parts.people.iter().map(|entry| name_of(&entry.id));
    let routes = parts.routes.iter().map(|entry| entry.name.clone());
    let groups = parts.groups.iter().map(|entry| entry.name.clone());
    distinct("a [[group]]", groups, problems);
    for group in &parts.groups {
        if group.name.value.starts_with(SEATS_OF) {
            problems.error(
                &group.name.span,
                format!("a group's name does not begin with `{SEATS_OF}`"),
                "so are the seats of routes called that are asked together; name it otherwise",
            );
        }
    }
    for route in &parts.routes {
        if route.name.value.contains(JOINT) {
            problems.error(
                &route.name.span,
                format!("a route's name has no `{JOINT}`"),
                "it stands between routes that are asked together; use `-` or `_`",
            );
        }
    }
    let schedules = parts.schedules.iter().map(|entry| entry.name.clone());
    distinct("a [[schedule]]", schedules, problems);
    let slack = parts.people.iter().filter_map(|entry| entry.slack.clone());
    distinct("a [[target]]", targets, problems);
    distinct("an [[agent]]", agents, problems);
    distinct("a [[person]]", people, problems);
    distinct("a [[route]]", routes, problems);
    distinct("the Slack id of a [[person]]", slack, problems);
}

fn name_of(id: &At<PersonId>) -> At<String> {
    At {
        span: id.span.clone(),
        value: id.value.as_str().to_owned(),
    }
}

fn distinct(what: &str, names: impl Iterator<Item = At<String>>, problems: &Problems) {
    let mut seen = HashMap::new();
    for name in names {
        if seen.insert(name.value.clone(), ()).is_some() {
            problems.error(
                &name.span,
                format!("`{}` is already {what}", name.value),
                "give each its own",
            );
        }
    }
}

fn references(parts: &Parts, problems: &Problems) {
    let targets: Vec<&str> = names(parts.targets.iter().map(|entry| &entry.name));
    let agents: Vec<&str> = names(parts.agents.iter().map(|entry| &entry.name));
    let mut people: Vec<&str> = parts.people.iter().map(|e| e.id.value.as_str()).collect();
    people.dedup();
    let routes: Vec<&str> = names(parts.routes.iter().map(|entry| &entry.name));
    let mut environments: Vec<&str> = parts
        .targets
        .iter()
        .filter_map(|entry| entry.environment.as_deref())
        .collect();
    environments.dedup();
    // A proxy on its own may leave people and routes to the approver's file.
    let elsewhere = |list: &[&str]| parts.role == Role::Proxy && list.is_empty();
    let known_targets = Known::new("[[target]]", &targets, parts.targets_lost);
    let known_agents = Known::new("[[agent]]", &agents, parts.agents_lost);
    let known_people = Known::new(
        "[[person]]",
        &people,
        parts.people_lost || elsewhere(&people),
    );
    let known_routes = Known::new(
        "[[route]]",
        &routes,
        parts.routes_lost || elsewhere(&routes),
    );
    let known_environments = Known::new("environment", &environments, parts.targets_lost);

    for agent in &parts.agents {
        known_targets.check_all(&agent.targets, problems);
        if let Some(owner) = &agent.owner {
            known_people.check(&name_of(owner), problems);
        }
    }
    let groups: Vec<&str> = names(parts.groups.iter().map(|entry| &entry.name));
    let known_groups = Known::new("[[group]]", &groups, parts.groups_lost);
    for group in &parts.groups {
        for person in &group.people {
            known_people.check(&name_of(person), problems);
        }
    }
    for entry in &parts.schedules {
        for person in entry.people.iter().chain(&entry.stand_ins) {
            known_people.check(&name_of(person), problems);
        }
    }
    let schedules: Vec<&str> = names(parts.schedules.iter().map(|entry| &entry.name));
    let known_schedules = Known::new("[[schedule]]", &schedules, parts.schedules_lost);
    for who in parts.routes.iter().flat_map(|route| route.steps.asks()) {
        let at = |name: &str| At {
            span: who.span.clone(),
            value: name.to_owned(),
        };
        match &who.value {
            Who::Person(person) if !people.contains(&person.as_str()) => {
                step_person(
                    person,
                    &who.span,
                    &known_people,
                    (&groups, &schedules),
                    problems,
                );
            }
            Who::Group(group) => known_groups.check(&at(group), problems),
            Who::Schedule(schedule) => known_schedules.check(&at(schedule), problems),
            Who::Person(_) | Who::Channel(_) => {}
        }
    }
    for route in &parts.routes {
        for reviewer in &route.reviewers {
            known_people.check(&name_of(reviewer), problems);
        }
        known_groups.check_all(&route.groups, problems);
        if let Some(group) = &route.terms.break_glass {
            known_groups.check(group, problems);
        }
        for group in route.wanted.iter().flat_map(Wanted::groups) {
            known_groups.check(group, problems);
        }
    }
    if let Some(route) = parts
        .policy
        .as_ref()
        .and_then(|policy| policy.route.as_ref())
    {
        known_routes.check(route, problems);
    }
    for rule in &parts.rules {
        if let Some(route) = &rule.route {
            known_routes.check(route, problems);
        }
        known_agents.check_all(&rule.agents, problems);
        known_targets.check_all(&rule.targets, problems);
        known_environments.check_all(&rule.environments, problems);
    }
    for protection in &parts.protections {
        if let Some(route) = &protection.route {
            known_routes.check(route, problems);
        }
        known_agents.check_all(&protection.agents, problems);
        known_targets.check_all(&protection.targets, problems);
        known_environments.check_all(&protection.environments, problems);
    }
}

/// Forgetting to say `group:` or `schedule:` is the likeliest mistake.
fn step_person(
    person: &PersonId,
    span: &Span,
    known: &Known<'_>,
    (groups, schedules): (&[&str], &[&str]),
    problems: &Problems,
) {
    let name = person.as_str();
    let kind = match (groups.contains(&name), schedules.contains(&name)) {
        (true, _) => "group",
        (false, true) => "schedule",
        (false, false) => {
            let reference = At {
                span: span.clone(),
                value: name.to_owned(),
            };
            return known.check(&reference, problems);
        }
    };
    problems.absent(
        span,
        format!("there is no [[person]] called `{name}`"),
        format!("did you mean `{kind}:{name}`?"),
    );
}

fn names<'a>(names: impl Iterator<Item = &'a At<String>>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.map(|name| name.value.as_str()).collect();
    names.dedup();
    names
}

/// The names a reference may lead to.
struct Known<'a> {
    what: &'a str,
    names: &'a [&'a str],
    incomplete: bool,
}

impl<'a> Known<'a> {
    fn new(what: &'a str, names: &'a [&'a str], incomplete: bool) -> Self {
        Self {
            what,
            names,
            incomplete,
        }
    }

    fn check(&self, reference: &At<String>, problems: &Problems) {
        if self.names.contains(&reference.value.as_str()) {
            return;
        }
        let near = suggest::nearest(&reference.value, self.names.iter().copied());
        if self.incomplete && near.is_none() {
            return;
        }
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.names.is_empty() => format!("there is no {} at all", self.what),
            None => format!("there is {}", suggest::one_of(self.names)),
        };
        problems.absent(
            &reference.span,
            format!("there is no {} called `{}`", self.what, reference.value),
            hint,
        );
    }

    fn check_all(&self, references: &[At<String>], problems: &Problems) {
        for reference in references {
            self.check(reference, problems);
        }
    }
}

/// Every reviewer has a surface to decide on, and every route that names a channel a Slack.
fn reviewers_can_decide(parts: &Parts, problems: &Problems) {
    for route in &parts.routes {
        if let (Some(channel), false) = (&route.slack_channel, parts.slack) {
            problems.absent(
                &channel.span,
                format!(
                    "route `{}` posts to Slack, and there is no [slack]",
                    route.name.value
                ),
                "add [slack], or take `slack_channel` out and let reviewers use the console",
            );
        }
    }
    slack_is_there(parts, problems);
    let routed = parts.routes.iter().flat_map(|route| &route.reviewers);
    let grouped = parts.groups.iter().flat_map(|group| &group.people);
    let on_call = parts.schedules.iter();
    let on_call = on_call.flat_map(|entry| entry.people.iter().chain(&entry.stand_ins));
    let stepped: Vec<At<PersonId>> = parts
        .routes
        .iter()
        .flat_map(|route| route.steps.asks())
        .filter_map(|who| match &who.value {
            Who::Person(person) => Some(At {
                span: who.span.clone(),
                value: person.clone(),
            }),
            Who::Group(_) | Who::Schedule(_) | Who::Channel(_) => None,
        })
        .collect();
    let mut seen = Vec::new();
    for reviewer in routed.chain(grouped).chain(on_call).chain(&stepped) {
        if !seen.contains(&&reviewer.value) {
            seen.push(&reviewer.value);
            let person = parts.people.iter().find(|p| p.id.value == reviewer.value);
            if person.is_some_and(|person| !person.can_decide) {
                problems.absent(
                    &reviewer.span,
                    format!("`{}` has no way to decide", reviewer.value),
                    format!(
                        "give [[person]] `{0}` a `slack` id, or a `console_token_hash` (`abeyance person token {0}`)",
                        reviewer.value
                    ),
                );
            }
        }
    }
}

/// What only Slack can do needs a [slack].
fn slack_is_there(parts: &Parts, problems: &Problems) {
    if parts.slack {
        return;
    }
    let asks = parts.routes.iter().flat_map(|route| route.steps.asks());
    let channels = asks.filter(|who| matches!(who.value, Who::Channel(_)));
    let channels = channels.map(|who| (&who.span, "a step asks a Slack channel"));
    let announced = parts
        .schedules
        .iter()
        .filter_map(|entry| entry.announce.as_ref());
    let announced = announced.map(|at| (&at.span, "hand-overs are announced in Slack"));
    let synced = parts
        .schedules
        .iter()
        .filter_map(|entry| entry.slack_group.as_ref());
    let synced = synced.map(|at| (&at.span, "a Slack user group follows a schedule"));
    let broken = parts.routes.iter();
    let broken = broken.filter_map(|route| route.terms.break_glass_channel.as_ref());
    let broken = broken.map(|at| (&at.span, "breaking the glass is told to a Slack channel"));
    for (span, what) in channels.chain(announced).chain(synced).chain(broken) {
        problems.absent(
            span,
            format!("{what}, and there is no [slack]"),
            "add [slack], or leave it out",
        );
    }
}

/// Steps that ask nobody who could decide only lose time.
fn steps_ask_deciders(parts: &Parts, route: &RouteEntry, problems: &Problems) {
    let always = route.asks(&parts.groups);
    let parted = route
        .wanted
        .as_ref()
        .filter(|w| matches!(w, Wanted::Parts(_)));
    let seated: Vec<PersonId> = parted
        .map(|wanted| {
            wanted
                .groups()
                .flat_map(|group| members(&parts.groups, &group.value))
        })
        .into_iter()
        .flatten()
        .collect();
    for step in &route.steps.steps {
        let only_channels = step
            .ask
            .iter()
            .all(|who| matches!(who.value, Who::Channel(_)));
        let reached: Vec<PersonId> = step
            .ask
            .iter()
            .flat_map(|who| steps::reach(&who.value, &parts.groups, &parts.schedules))
            .collect();
        let Some(first) = step.ask.first() else {
            continue;
        };
        if only_channels && always.is_empty() {
            problems.error(
                &first.span,
                format!(
                    "nobody in that channel could decide for route `{}`",
                    route.name.value
                ),
                "only its `reviewers` and those its steps ask decide: name `reviewers`",
            );
        } else if parted.is_some()
            && !reached.is_empty()
            && !reached.iter().any(|person| seated.contains(person))
        {
            problems.error(
                &first.span,
                format!(
                    "nobody this step asks has a seat in the quorum of route `{}`",
                    route.name.value
                ),
                "name people of the groups that `quorum` speaks of",
            );
        }
    }
}

/// For every agent and every route its statements can take, enough people have to be there
/// besides its owner and its actor.
fn enough_may_approve(parts: &Parts, problems: &Problems) {
    for route in &parts.routes {
        steps_ask_deciders(parts, route, problems);
        let asked = route.everybody(&parts.groups, &parts.schedules);
        let quorum = route.quorum(&asked, &parts.groups);
        let Some(quorum) = quorum.filter(|_| !asked.is_empty() && !route.steps.lost) else {
            continue;
        };
        if !quorum.is_met_by(&asked) {
            problems.absent(
                &route.name.span,
                format!(
                    "route `{}` needs {quorum} to approve, and has not so many",
                    route.name.value
                ),
                "one person fills one seat: name more people, or lower `quorum`",
            );
            continue;
        }
        for agent in &parts.agents {
            let may = |person: &&PersonId| {
                let owner = agent.owner.as_ref().map(|owner| &owner.value);
                owner != Some(person) && agent.actor.as_deref() != Some(person.as_str())
            };
            let enough = quorum.is_met_by(asked.iter().filter(may));
            if enough || !reaches(parts, agent, &route.name.value) {
                continue;
            }
            let (message, hint) = if quorum.seats() == 1 {
                (
                    "nobody could approve".to_owned(),
                    "its owner and its actor never decide: add a reviewer who is neither",
                )
            } else {
                (
                    format!("{quorum} have to agree, and could not, to"),
                    "its owner and its actor never decide: add reviewers who are neither",
                )
            };
            problems.absent(
                &route.name.span,
                format!(
                    "{message} what agent `{}` sends to route `{}`",
                    agent.name.value, route.name.value
                ),
                hint,
            );
        }
    }
}

/// What a rule holds and a protection too is asked of both routes: there have to be people enough for both at once.
fn enough_for_both(parts: &Parts, problems: &Problems) {
    let quorum = |name: &str| {
        let route = parts.routes.iter().find(|route| route.name.value == name)?;
        let asked = route.everybody(&parts.groups, &parts.schedules);
        let quorum = route.quorum(&asked, &parts.groups)?;
        (!route.steps.lost && quorum.is_met_by(&asked)).then_some(quorum)
    };
    for entry in &parts.protections {
        let policy_route = parts
            .policy
            .as_ref()
            .and_then(|policy| policy.route.as_ref());
        let policy_route = policy_route.map(|route| route.value.as_str());
        let Some(asked_too) = entry.protection.route.as_deref().or(policy_route) else {
            continue;
        };
        let mut rules = parts.rules.iter().map(|entry| &entry.rule);
        let held = rules.find_map(|rule| match &rule.decision {
            Decision::Hold { route } if route != asked_too => {
                let (one, other) = (quorum(route)?, quorum(asked_too)?);
                let parts = one.parts().iter().chain(other.parts()).cloned();
                let both = Quorum::new(parts.collect()).ok();
                let met = both.is_some_and(|both| both.is_met_by(&both.people()));
                (!met).then_some((&rule.name, route))
            }
            _ => None,
        });
        if let Some((rule, route)) = held {
            problems.error(
                &entry.span,
                format!(
                    "what rule `{rule}` holds and `{}` protects asks the routes `{route}` and `{asked_too}` at once, and there are not so many people",
                    entry.protection.name
                ),
                "one person fills one seat: name more people, or give both the same route",
            );
        }
    }
}

/// Whether a statement of this agent can be held by this route.
fn reaches(parts: &Parts, agent: &AgentEntry, route: &str) -> bool {
    let by = |decision: &Decision| matches!(decision, Decision::Hold { route: by } if by == route);
    let named = |agents: Option<&Vec<String>>| {
        agents.is_none_or(|agents| agents.contains(&agent.name.value))
    };
    let policy = parts.policy.as_ref();
    let policy_route = policy.and_then(|policy| policy.route.as_ref());
    let policy_route = policy_route.map(|route| route.value.as_str());
    policy.is_some_and(|policy| {
        by(&policy.default)
            || policy_route == Some(route) && policy.packs.iter().any(|pack| pack.holds())
    }) || parts
        .rules
        .iter()
        .any(|entry| by(&entry.rule.decision) && named(entry.rule.matcher.agents.as_ref()))
        || parts.protections.iter().any(|entry| {
            let protection = &entry.protection;
            protection.route.as_deref().or(policy_route) == Some(route)
                && named(protection.agents.as_ref())
        })
}
