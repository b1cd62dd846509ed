//! Judging statements.

use abeyance_sql::{StatementClass, StatementFacts};
use serde::Serialize;

use crate::{
    Context, Mode, Review, RuleSet,
    case::Case,
    exposure::Exposure,
    matching as conditions,
    ruleset::{Ready, ReadyProtection},
    truth::Truth,
    words,
};

/// What happens to a statement, from least to most guarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Decision {
    Allow,
    Hold { route: String },
    Deny,
}

impl Decision {
    /// How guarded: 0 allow, 1 hold, 2 deny.
    #[must_use]
    pub fn guard(&self) -> u8 {
        match self {
            Self::Allow => 0,
            Self::Hold { .. } => 1,
            Self::Deny => 2,
        }
    }
}

/// Between the names of routes that are all asked: `dba+privacy`.
const JOINT: char = '+';

/// Both decisions at once, the more guarded of two unequal ones; of two holds, every route of both is asked.
fn both(one: &Decision, other: &Decision) -> Decision {
    let (Decision::Hold { route }, Decision::Hold { route: more }) = (one, other) else {
        return if other.guard() > one.guard() {
            other.clone()
        } else {
            one.clone()
        };
    };
    let mut routes: Vec<&str> = route.split(JOINT).collect();
    for name in more.split(JOINT) {
        if !routes.contains(&name) {
            routes.push(name);
        }
    }
    let route = routes.join(&JOINT.to_string());
    Decision::Hold { route }
}

/// A decision with the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub decision: Decision,
    /// The rule's name; `default` when none matched.
    pub rule: String,
    /// For people, one line each; no literals.
    pub reasons: Vec<String>,
    /// It touches a protected column, or may: what it returns would have to be masked. Never with *allow*.
    pub mask: bool,
    /// What it may write at most; beyond, it is rolled back.
    pub rows_max: Option<u64>,
    /// What a hold is about; `Commit` only when every rule that asks says so.
    pub review: Review,
    /// What rules in shadow mode would have done: each rule that matches, with its decision.
    pub shadow: Vec<(String, Decision)>,
}

impl Verdict {
    /// Allowed, for a reason that is no rule.
    #[must_use]
    pub fn allowed(because: impl Into<String>) -> Self {
        Self::plain(Decision::Allow, because.into(), Vec::new())
    }

    fn plain(decision: Decision, rule: String, reasons: Vec<String>) -> Self {
        Self {
            decision,
            rule,
            reasons,
            mask: false,
            rows_max: None,
            review: Review::Statement,
            shadow: Vec::new(),
        }
    }
}

/// Judges one statement: deny beats hold beats allow among the rules that match; of equals, the
/// first in order.
///
/// Doubt never makes a statement less guarded:
/// - Conditions are three-valued. What facts, catalog, moment or blast radius do not tell is unknown, and
///   an unknown condition counts as true for *hold* and *deny* rules and for protections, and as false
///   for *allow* rules. So a verdict of *allow* without a moment or a blast radius stands with any.
/// - An *allow* rule with conditions on the statement must name every class the statement is of (so
///   `unvouched` or `opaque` by name), every kind, every relation and every column. With a
///   condition on kinds, tables, columns or predicates it never lets a statement through that is not
///   fully known.
/// - A *hold* or *deny* rule matches when any of them is named, or may be.
/// - Where only doubt makes rules match, the default counts beside them.
/// - A default of *allow* does not reach statements that are not fully known: they are denied.
/// - Whatever allows it, a statement that touches a protected column, or may, is held. Where a rule holds it as well,
///   both are asked: the rule's route, and the protections'.
#[must_use]
pub fn evaluate(rules: &RuleSet, facts: &StatementFacts, context: Context<'_>) -> Verdict {
    let case = Case::new(facts, &context, &rules.plain_tables);
    let mut shadow = Vec::new();
    let mut best: Option<(&Ready, Truth)> = None;
    let mut some_rule_for_sure = false;
    let mut rows_max: Option<u64> = None;
    let mut review = Review::Statement;
    for ready in &rules.rules {
        let rule = &ready.rule;
        let truth = conditions::truth(ready, case);
        if !conditions::counts(&rule.decision, truth) {
            continue;
        }
        if rule.mode == Mode::Shadow {
            shadow.push((rule.name.clone(), rule.decision.clone()));
            continue;
        }
        some_rule_for_sure |= truth == Truth::True;
        let guard = rule.decision.guard();
        match best.map(|(best, _)| guard.cmp(&best.rule.decision.guard())) {
            Some(std::cmp::Ordering::Less) => continue,
            Some(std::cmp::Ordering::Equal) => {
                rows_max = smaller(rows_max, rule.rows_max);
                if rule.review == Review::Statement {
                    review = Review::Statement;
                }
            }
            None | Some(std::cmp::Ordering::Greater) => {
                best = Some((ready, truth));
                rows_max = rule.rows_max;
                review = rule.review;
            }
        }
    }
    let exposed = exposed(rules, case, &mut shadow);
    let mut verdict = match best {
        Some((ready, truth)) => by_rule(ready, truth, case),
        None => by_default(rules, case),
    };
    if best.is_some() && !some_rule_for_sure {
        // Perhaps no rule matches at all, and the default is the more guarded.
        let otherwise = by_default(rules, case);
        if otherwise.decision.guard() > verdict.decision.guard() {
            verdict = otherwise;
            rows_max = None;
            review = Review::Statement;
        }
    }
    hold_exposed(&mut verdict, &exposed, best.is_some());
    verdict.mask = !exposed.is_empty();
    let reasons = words::exposed(&exposed, case);
    // After the rule's own message, before what the statement does.
    let at = usize::from(!verdict.reasons.is_empty()).min(verdict.reasons.len());
    verdict.reasons.splice(at..at, reasons);
    verdict.reasons.truncate(REASONS_MAX);
    verdict.rows_max = rows_max.filter(|_| may_write(facts));
    // What was read cannot be taken back.
    let held = matches!(verdict.decision, Decision::Hold { .. });
    if held && exposed.is_empty() && best.is_some() {
        verdict.review = review;
    }
    verdict.shadow = shadow;
    verdict
}

fn smaller(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// Only what may write needs a cap.
fn may_write(facts: &StatementFacts) -> bool {
    let harmless = |class: &StatementClass| {
        matches!(
            class,
            StatementClass::Read | StatementClass::Session | StatementClass::Transaction
        )
    };
    !facts.classes.iter().all(harmless)
}

/// The protections that the statement touches, or may. Those in shadow mode are only told.
fn exposed<'r, 'f>(
    rules: &'r RuleSet,
    case: Case<'f>,
    shadow: &mut Vec<(String, Decision)>,
) -> Vec<(&'r ReadyProtection, Exposure<'f>)> {
    let mut found = Vec::new();
    for one in &rules.protections {
        let protection = &one.protection;
        if !conditions::concerns(
            case.context,
            protection.agents.as_deref(),
            protection.targets.as_deref(),
            protection.environments.as_deref(),
        ) {
            continue;
        }
        let exposure = case.exposes(&one.columns);
        if exposure.truth == Truth::False {
            continue;
        }
        match one.mode {
            Mode::Shadow => shadow.push((protection.name.clone(), one.decision.clone())),
            Mode::Enforce => found.push((one, exposure)),
        }
    }
    found
}

/// Holds what touches protections, by the route of each. What a rule holds keeps that rule and its route besides; the
/// rest is held by the first of them.
fn hold_exposed(
    verdict: &mut Verdict,
    exposed: &[(&ReadyProtection, Exposure<'_>)],
    by_a_rule: bool,
) {
    let Some((first, _)) = exposed.first() else {
        return;
    };
    if verdict.decision == Decision::Deny {
        return;
    }
    if !by_a_rule || verdict.decision == Decision::Allow {
        verdict.decision = first.decision.clone();
        verdict.rule.clone_from(&first.protection.name);
        verdict.reasons.clear();
    }
    for (one, _) in exposed {
        verdict.decision = both(&verdict.decision, &one.decision);
    }
}

fn by_rule(ready: &Ready, truth: Truth, case: Case<'_>) -> Verdict {
    let rule = &ready.rule;
    let mut reasons: Vec<String> = rule.message.iter().cloned().collect();
    if rule.decision != Decision::Allow {
        if truth == Truth::Unknown {
            reasons.extend(words::doubted(ready, case));
        }
        reasons.extend(words::words(case.facts));
    }
    Verdict::plain(rule.decision.clone(), rule.name.clone(), reasons)
}

/// A rule or protection that counts for a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'a> {
    /// The name of the rule or protection.
    pub name: &'a str,
    pub decision: &'a Decision,
    /// Not all of its conditions are known to hold.
    pub doubt: bool,
    /// What would have had to be known, as far as it has a name.
    pub unknown: Vec<&'static str>,
    /// It is told, and decides nothing.
    pub shadow: bool,
    /// It is a protection of columns.
    pub protection: bool,
}

/// Every rule that counts for the statement, in the order given, and every protection; the verdict is
/// that of the most guarded one that is not a shadow.
#[must_use]
pub fn matches<'r>(
    rules: &'r RuleSet,
    facts: &StatementFacts,
    context: Context<'_>,
) -> Vec<Match<'r>> {
    let case = Case::new(facts, &context, &rules.plain_tables);
    let of_rules = rules.rules.iter().filter_map(|ready| {
        let truth = conditions::truth(ready, case);
        conditions::counts(&ready.rule.decision, truth).then_some(Match {
            name: &ready.rule.name,
            decision: &ready.rule.decision,
            doubt: truth == Truth::Unknown,
            unknown: match truth {
                Truth::Unknown => conditions::unknown(ready, case),
                Truth::True | Truth::False => Vec::new(),
            },
            shadow: ready.rule.mode == Mode::Shadow,
            protection: false,
        })
    });
    let of_protections = rules.protections.iter().filter_map(|one| {
        let protection = &one.protection;
        let concerns = conditions::concerns(
            case.context,
            protection.agents.as_deref(),
            protection.targets.as_deref(),
            protection.environments.as_deref(),
        );
        let truth = if concerns {
            case.exposes(&one.columns).truth
        } else {
            Truth::False
        };
        (truth != Truth::False).then_some(Match {
            name: &protection.name,
            decision: &one.decision,
            doubt: truth == Truth::Unknown,
            unknown: Vec::new(),
            shadow: one.mode == Mode::Shadow,
            protection: true,
        })
    });
    of_rules.chain(of_protections).collect()
}

/// Most reasons given for one verdict.
const REASONS_MAX: usize = 20;

fn by_default(rules: &RuleSet, case: Case<'_>) -> Verdict {
    let default = rules.default_decision();
    let mut reasons = Vec::new();
    let decision = if *default == Decision::Allow && !case.facts.is_certain() {
        reasons.push(
            "no rule matches, and the default `allow` does not reach statements that are not fully known; \
             a rule that names the class `unvouched` or `opaque` can decide them"
                .to_owned(),
        );
        Decision::Deny
    } else {
        if *default != Decision::Allow {
            reasons.push("no rule matches it; this is the default".to_owned());
            reasons.extend(words::near_misses(rules, case));
        }
        default.clone()
    };
    if decision != Decision::Allow {
        reasons.extend(words::words(case.facts));
    }
    Verdict::plain(decision, "default".to_owned(), reasons)
}
