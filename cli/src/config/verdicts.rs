//! Checks the rules together, and puts what the rule set says of them where it is written.

use abeyance_policy::{Decision, Entry, Policy, RuleError, RuleSet};

use super::{
    policy::{PolicyEntry, ProtectionEntry, RuleEntry},
    problem::{self, Problems, Span},
    section::At,
};

/// Everything the file says about verdicts.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    /// Absent in an approver's file, or after a mistake.
    pub policy: Option<&'a PolicyEntry>,
    pub rules: &'a [RuleEntry],
    pub protections: &'a [ProtectionEntry],
}

/// Checks the rules together and puts each finding where its key is written. `source` is the file.
pub fn rule_set(entries: Entries<'_>, problems: &Problems, source: &str) -> Option<RuleSet> {
    let policy = entries.policy;
    // An approver judges nothing; and after a mistake in [policy] the rules are still checked.
    let default = policy.map_or(Decision::Deny, |policy| policy.default.clone());
    let route = policy.and_then(|policy| policy.route.as_ref());
    let rules = entries.rules.iter().map(|entry| entry.rule.clone());
    let protections = entries.protections.iter();
    let policy = Policy {
        rules: rules.collect(),
        protections: protections.map(|entry| entry.protection.clone()).collect(),
        packs: policy.map_or_else(Vec::new, |policy| policy.packs.clone()),
        route: route.map(|route| route.value.clone()),
        plain_tables: policy.map_or_else(Vec::new, |policy| policy.plain_tables.clone()),
        ..Policy::new(default)
    };
    route_is_used(&policy, route, problems);
    match RuleSet::build(policy) {
        Ok(set) => {
            for remark in set.remarks() {
                let (span, message) = placed(remark, entries, source);
                problems.warning(&span, message, remark.hint.clone());
            }
            Some(set)
        }
        Err(errors) => {
            for error in &errors {
                let (span, message) = placed(error, entries, source);
                problems.error(&span, message, error.hint.clone());
            }
            None
        }
    }
}

/// A route that nobody is asked by is a slip.
fn route_is_used(policy: &Policy, route: Option<&At<String>>, problems: &Problems) {
    let used = matches!(policy.default, Decision::Hold { .. })
        || policy.packs.iter().any(|pack| pack.holds())
        || policy.protections.iter().any(|one| one.route.is_none());
    if let (Some(route), false) = (route, used) {
        problems.error(
            &route.span,
            "`route` in [policy] has no effect: neither the default, nor a pack, nor a [[protect]] asks by it",
            "remove it, or use the verdict `hold`",
        );
    }
}

/// Where a finding stands in the file, and what it says there.
fn placed(error: &RuleError, entries: Entries<'_>, source: &str) -> (Span, String) {
    let unplaced = || (0..0, error.message.clone());
    let (name, whole, keys, when) = match error.entry {
        Entry::Rule(index) => match entries.rules.get(index) {
            Some(entry) => (
                format!("[[rule]] `{}`", entry.rule.name),
                &entry.span,
                &entry.keys,
                entry.when.as_ref(),
            ),
            None => return unplaced(),
        },
        Entry::Protection(index) => match entries.protections.get(index) {
            Some(entry) => (
                format!("[[protect]] `{}`", entry.protection.name),
                &entry.span,
                &entry.keys,
                None,
            ),
            None => return unplaced(),
        },
        Entry::Policy => match entries.policy {
            Some(entry) => ("[policy]".to_owned(), &entry.span, &entry.keys, None),
            None => return unplaced(),
        },
    };
    let key = keys.iter().find(|(field, _)| *field == error.field);
    let within = when
        .filter(|_| error.field == "when")
        .and_then(|when| within(when, error.within.as_ref()?, source));
    let column = match &within {
        Some((_, column)) => format!(" at column {column} of `when`"),
        None => String::new(),
    };
    let span = match (&within, key) {
        (Some((span, _)), _) | (None, Some((_, span))) => span,
        (None, None) => whole,
    };
    let other = error.other.and_then(|other| written_at(other, entries));
    let other = other.map_or_else(String::new, |span| {
        format!(" (see line {})", problem::line_of(source, span))
    });
    (
        span.clone(),
        format!("{name}{column}: {}{other}", error.message),
    )
}

/// Where the name of a rule or protection stands.
fn written_at<'a>(entry: Entry, entries: Entries<'a>) -> Option<&'a Span> {
    let (whole, keys) = match entry {
        Entry::Rule(index) => {
            let entry = entries.rules.get(index)?;
            (&entry.span, &entry.keys)
        }
        Entry::Protection(index) => {
            let entry = entries.protections.get(index)?;
            (&entry.span, &entry.keys)
        }
        Entry::Policy => {
            let entry = entries.policy?;
            (&entry.span, &entry.keys)
        }
    };
    let name = keys.iter().find(|(key, _)| *key == "name");
    Some(name.map_or(whole, |(_, span)| span))
}

/// Where a part of a condition stands in the file, when the file spells it as it is, and its
/// column in the condition, from 1.
pub fn within(when: &At<String>, part: &Span, source: &str) -> Option<(Span, usize)> {
    let column = when.value.get(..part.start)?.chars().count() + 1;
    let written = source.get(when.span.clone())?;
    let Some(start) = written.find(&when.value) else {
        return Some((when.span.clone(), column));
    };
    let start = when.span.start + start;
    Some((start + part.start..start + part.end, column))
}
