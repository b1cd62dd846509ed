//! Several routes asked as one: a statement that one route's people judge for what it changes, and another's for
//! what it shows.
//!
//! Each route keeps its seats and who may sit there; one person fills one seat. Of everything else the more guarded counts.

use std::cmp::Reverse;

use abeyance_holds::{
    escalation::{Plan, Step, Who},
    quorum::{Part, Quorum},
};
use chrono::TimeDelta;

use super::{BreakGlassRule, Grants, Route, RouteTerms};

/// Between the names of routes that are asked together; no route's own name has it.
pub const JOINT: char = '+';

/// Most routes that are asked about one hold.
pub const ROUTES_MAX: usize = 8;

/// How the seats of one of several routes are called; no group's own name begins so.
pub const SEATS_OF: &str = "route ";

/// The route whose people a part's seats are for, when it is one of several.
pub(crate) fn seats_of(group: &str) -> Option<&str> {
    group.strip_prefix(SEATS_OF)
}

impl Route {
    /// All of them as one; `None` when their seats or steps are more than one hold can have.
    pub(crate) fn joined(name: &str, routes: &[&Self]) -> Option<Self> {
        let (first, _) = routes.split_first()?;
        let mut reviewers = Vec::new();
        for person in routes.iter().flat_map(|route| &route.reviewers) {
            if !reviewers.contains(person) {
                reviewers.push(person.clone());
            }
        }
        let parts = routes.iter().flat_map(|route| {
            route.quorum.parts().iter().map(|part| Part {
                group: part
                    .group
                    .clone()
                    .or_else(|| Some(format!("{SEATS_OF}{}", route.name))),
                ..part.clone()
            })
        });
        let timeout = routes.iter().map(|route| route.timeout).min()?;
        Some(Self {
            name: name.to_owned(),
            reviewers,
            quorum: Quorum::new(parts.collect()).ok()?,
            plan: plan(routes, TimeDelta::from_std(timeout).ok()?)?,
            timeout,
            slack_channel: routes.iter().find_map(|route| route.slack_channel.clone()),
            terms: terms(&first.terms, routes),
        })
    }
}

/// The steps of all, each at its own moment; those that come after the shortest wait are never asked.
fn plan(routes: &[&Route], timeout: TimeDelta) -> Option<Plan> {
    let mut steps: Vec<(u64, Step)> = Vec::new();
    let mut fallback: Vec<Who> = Vec::new();
    for route in routes {
        let mut at = 0_u64;
        for step in route.plan.steps() {
            at = at.saturating_add(u64::from(step.after_seconds));
            steps.push((at, step.clone()));
        }
        let last = route.plan.who(route.plan.steps().len());
        fallback.extend(last.iter().cloned());
    }
    let ends = u64::try_from(timeout.num_seconds()).unwrap_or(0);
    steps.retain(|(at, _)| *at < ends);
    steps.sort_by_key(|(at, _)| *at);
    if steps.is_empty() {
        return Some(Plan::default());
    }
    let mut before = 0;
    for (at, step) in &mut steps {
        step.after_seconds = u32::try_from(*at - before).ok()?;
        before = *at;
    }
    let steps = steps.into_iter().map(|(_, step)| step).collect();
    Plan::new(steps, fallback, timeout).ok()
}

fn terms(first: &RouteTerms, routes: &[&Route]) -> RouteTerms {
    let all = || routes.iter().map(|route| &route.terms);
    RouteTerms {
        timeout_in_transaction: all()
            .map(|terms| terms.timeout_in_transaction)
            .min()
            .unwrap_or(first.timeout_in_transaction),
        refuse_in_transaction: all().any(|terms| terms.refuse_in_transaction),
        denials: all()
            .map(|terms| terms.denials)
            .min()
            .unwrap_or(first.denials),
        ticket_life: all()
            .map(|terms| terms.ticket_life)
            .min()
            .unwrap_or(first.ticket_life),
        grants: all()
            .map(|terms| terms.grants)
            .max_by_key(|grants| Reverse(permissive(*grants)))
            .unwrap_or(Grants::Never),
        grant_minutes_max: all()
            .map(|terms| terms.grant_minutes_max)
            .min()
            .unwrap_or_default(),
        break_glass: glass(routes),
    }
}

fn permissive(grants: Grants) -> u8 {
    match grants {
        Grants::Never => 0,
        Grants::Rows => 1,
        Grants::Any => 2,
    }
}

/// Only a group that may break the glass of every route.
fn glass(routes: &[&Route]) -> Option<BreakGlassRule> {
    let (first, others) = routes.split_first()?;
    let rule = first.terms.break_glass.as_ref()?;
    let same = |route: &&Route| {
        let other = route.terms.break_glass.as_ref();
        other.is_some_and(|other| other.group == rule.group)
    };
    others.iter().all(same).then(|| rule.clone())
}
