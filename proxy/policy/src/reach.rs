//! Finds rules that can never decide: another rule always beats them, or says the same.

use crate::{Decision, Entry, Mode, RuleError, ruleset::Ready};

/// Compares every enforced rule with every other.
pub(crate) fn check(rules: &[Ready], errors: &mut Vec<RuleError>) {
    for (index, ready) in rules.iter().enumerate() {
        let enforced = |other: &&(usize, &Ready)| other.1.rule.mode == Mode::Enforce;
        if ready.rule.mode == Mode::Shadow {
            continue;
        }
        let others: Vec<(usize, &Ready)> = rules.iter().enumerate().collect();
        let beaten = others
            .iter()
            .filter(enforced)
            .find_map(|(other, stronger)| {
                Some((*other, beaten_by((index, ready), (*other, stronger))?))
            });
        if let Some((other, (field, message, hint))) = beaten {
            errors.push(RuleError {
                entry: Entry::Rule(index),
                other: Some(Entry::Rule(other)),
                field,
                within: None,
                message,
                hint: hint.to_owned(),
            });
        }
    }
}

/// Why `ready` decides nothing beside `other`.
fn beaten_by(
    (index, ready): (usize, &Ready),
    (other_index, other): (usize, &Ready),
) -> Option<(&'static str, String, &'static str)> {
    if index == other_index {
        return None;
    }
    let (own, theirs) = (ready.rule.decision.guard(), other.rule.decision.guard());
    let (name, other_name) = (&ready.rule.name, &other.rule.name);
    if other.takes_anything() && theirs > own {
        return Some((
            "verdict",
            format!(
                "rule `{name}` can never decide: rule `{other_name}` has no condition and a stronger verdict"
            ),
            "deny beats hold beats allow, whatever the order; give the stronger rule conditions, or make it the default",
        ));
    }
    let same = ready.rule.matcher == other.rule.matcher
        && ready.rule.when == other.rule.when
        && ready.rule.rows_max == other.rule.rows_max;
    if same && own == theirs && other_index < index {
        return Some((
            "name",
            format!("rule `{name}` has the conditions and the verdict of rule `{other_name}`"),
            "remove one of them",
        ));
    }
    if theirs > own && takes_all_of(other, ready) {
        return Some((
            "verdict",
            format!(
                "rule `{name}` can never decide: rule `{other_name}` matches whenever it does and has a stronger verdict"
            ),
            "deny beats hold beats allow, whatever the order; narrow the stronger rule",
        ));
    }
    None
}

/// Whenever `narrow` matches, `wide` does. Sound, not complete: what it does not see is reachable.
fn takes_all_of(wide: &Ready, narrow: &Ready) -> bool {
    fn list<T: PartialEq>(wide: Option<&Vec<T>>, narrow: Option<&Vec<T>>) -> bool {
        wide.is_none_or(|wide| {
            narrow.is_some_and(|narrow| narrow.iter().all(|one| wide.contains(one)))
        })
    }
    // The wider rule is a hold or deny rule: it matches as soon as one of its entries is named.
    debug_assert!(wide.rule.decision != Decision::Allow);
    let (wide_rule, narrow_rule) = (&wide.rule.matcher, &narrow.rule.matcher);
    list(wide_rule.agents.as_ref(), narrow_rule.agents.as_ref())
        && list(wide_rule.targets.as_ref(), narrow_rule.targets.as_ref())
        && list(
            wide_rule.environments.as_ref(),
            narrow_rule.environments.as_ref(),
        )
        && list(wide_rule.classes.as_ref(), narrow_rule.classes.as_ref())
        && list(wide_rule.kinds.as_ref(), narrow_rule.kinds.as_ref())
        && list(wide_rule.tables.as_ref(), narrow_rule.tables.as_ref())
        && list(wide_rule.columns.as_ref(), narrow_rule.columns.as_ref())
        && list(
            wide_rule.predicates.as_ref(),
            narrow_rule.predicates.as_ref(),
        )
        && (wide.rule.when.is_none() || wide.rule.when == narrow.rule.when)
}
