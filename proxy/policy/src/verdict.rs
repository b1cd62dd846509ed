//! Judging statements.

use abeyance_sql::{
    Predicate, Reach, Rewrite, SessionEffect, StatementClass, StatementFacts, Undo, shown,
};

use crate::{Context, Matcher, Rule, RuleSet, table::TablePattern};

/// What happens to a statement, from least to most guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            shadow: Vec::new(),
        }
    }
}

/// Judges one statement: deny beats hold beats allow among the rules that match; of equals, the
/// first in order.
///
/// Doubt never makes a statement less guarded:
/// - An *allow* rule with conditions on the statement must name every class the statement is of
///   (so `unvouched` or `opaque` by name), every kind and every relation. With a condition on
///   kinds, tables or predicates it never lets a statement through that is not fully known.
/// - A *hold* or *deny* rule matches when any of them is named. What cannot be known of an opaque
///   statement (its tables, its predicate) matches nothing; the default takes it.
/// - A default of *allow* does not reach statements that are not fully known: they are denied.
#[must_use]
pub fn evaluate(rules: &RuleSet, facts: &StatementFacts, context: Context<'_>) -> Verdict {
    let guard = |rule: &Rule| rule.decision.guard();
    let best = matching(rules, facts, context).reduce(|best, rule| {
        if guard(rule) > guard(best) {
            rule
        } else {
            best
        }
    });
    match best {
        Some(rule) => {
            let mut reasons: Vec<String> = rule.message.iter().cloned().collect();
            if rule.decision != Decision::Allow {
                reasons.extend(words(facts));
            }
            Verdict::plain(rule.decision.clone(), rule.name.clone(), reasons)
        }
        None => by_default(rules, facts),
    }
}

/// Every rule that matches the statement, in the order given; the verdict is the most guarded's.
pub fn matching<'a>(
    rules: &'a RuleSet,
    facts: &'a StatementFacts,
    context: Context<'a>,
) -> impl Iterator<Item = &'a Rule> {
    rules
        .with_tables()
        .filter(move |(rule, tables)| matches(rule, *tables, facts, context))
        .map(|(rule, _)| rule)
}

/// Judges a batch: the most guarded verdict of its statements, the first of equals. An empty
/// batch does nothing and is allowed.
///
/// The reasons are those of every statement that is as guarded, with its number in the batch.
#[must_use]
pub fn evaluate_batch(rules: &RuleSet, batch: &[StatementFacts], context: Context<'_>) -> Verdict {
    let verdicts: Vec<Verdict> = batch
        .iter()
        .map(|facts| evaluate(rules, facts, context))
        .collect();
    let guard = verdicts
        .iter()
        .map(|verdict| verdict.decision.guard())
        .max();
    let mut decisive = verdicts
        .iter()
        .enumerate()
        .filter(|(_, verdict)| Some(verdict.decision.guard()) == guard);
    let Some((first_index, first)) = decisive.next() else {
        return Verdict::allowed("default");
    };
    if batch.len() == 1 {
        return first.clone();
    }
    let mut reasons = Vec::new();
    for (index, verdict) in std::iter::once((first_index, first)).chain(decisive) {
        for reason in &verdict.reasons {
            if reasons.len() < REASONS_MAX {
                reasons.push(format!("statement {}: {reason}", index + 1));
            }
        }
    }
    Verdict {
        reasons,
        ..first.clone()
    }
}

/// Most reasons given for one verdict.
const REASONS_MAX: usize = 20;

fn by_default(rules: &RuleSet, facts: &StatementFacts) -> Verdict {
    let default = rules.default_decision();
    let mut reasons = Vec::new();
    let decision = if *default == Decision::Allow && !facts.is_certain() {
        reasons.push(
            "no rule matches, and the default `allow` does not reach statements that are not fully known; \
             a rule that names the class `unvouched` or `opaque` can decide them"
                .to_owned(),
        );
        Decision::Deny
    } else {
        if *default != Decision::Allow {
            reasons.push("no rule matches it; this is the default".to_owned());
        }
        default.clone()
    };
    if decision != Decision::Allow {
        reasons.extend(words(facts));
    }
    Verdict::plain(decision, "default".to_owned(), reasons)
}

fn matches(
    rule: &Rule,
    tables: Option<&[TablePattern]>,
    facts: &StatementFacts,
    context: Context<'_>,
) -> bool {
    let matcher = &rule.matcher;
    let environment = context.environment;
    if !names(&matcher.agents, context.agent)
        || !names(&matcher.targets, context.target)
        || !matcher.environments.as_ref().is_none_or(|list| {
            environment.is_some_and(|environment| list.iter().any(|name| name == environment))
        })
    {
        return false;
    }
    if matcher.takes_any_statement() {
        return true;
    }
    match rule.decision {
        Decision::Allow => covers(matcher, tables, facts),
        Decision::Hold { .. } | Decision::Deny => touches(matcher, tables, facts),
    }
}

fn names(list: &Option<Vec<String>>, name: &str) -> bool {
    list.as_ref()
        .is_none_or(|list| list.iter().any(|listed| listed == name))
}

/// Everything the statement is and touches is named.
fn covers(matcher: &Matcher, tables: Option<&[TablePattern]>, facts: &StatementFacts) -> bool {
    let narrow = matcher.kinds.is_some() || tables.is_some() || matcher.predicates.is_some();
    let unsure = |class: &StatementClass| {
        matches!(class, StatementClass::Opaque | StatementClass::Unvouched)
    };
    let classes = match &matcher.classes {
        Some(named) => facts.classes.iter().all(|class| named.contains(class)),
        None => !facts.classes.iter().any(unsure),
    };
    let known = facts.is_certain()
        || !narrow
            && matcher
                .classes
                .as_ref()
                .is_some_and(|named| named.iter().any(unsure));
    let kinds = matcher
        .kinds
        .as_ref()
        .is_none_or(|named| facts.kinds.iter().all(|kind| has_kind(named, kind)));
    let tables = tables.is_none_or(|patterns| {
        facts.relations().next().is_some()
            && facts.relations().all(|relation| {
                patterns
                    .iter()
                    .any(|pattern| pattern.surely_matches(relation))
            })
    });
    let predicates = matcher
        .predicates
        .as_ref()
        .is_none_or(|named| named.contains(&facts.predicate));
    classes && known && kinds && tables && predicates
}

/// Some of what the statement is and touches is named.
fn touches(matcher: &Matcher, tables: Option<&[TablePattern]>, facts: &StatementFacts) -> bool {
    let classes = matcher
        .classes
        .as_ref()
        .is_none_or(|named| facts.classes.iter().any(|class| named.contains(class)));
    let kinds = matcher
        .kinds
        .as_ref()
        .is_none_or(|named| facts.kinds.iter().any(|kind| has_kind(named, kind)));
    let tables = tables.is_none_or(|patterns| {
        facts
            .relations()
            .any(|relation| patterns.iter().any(|pattern| pattern.may_match(relation)))
    });
    let predicates = matcher
        .predicates
        .as_ref()
        .is_none_or(|named| named.contains(&facts.predicate));
    classes && kinds && tables && predicates
}

fn has_kind(named: &[String], kind: &str) -> bool {
    named.iter().any(|name| name.eq_ignore_ascii_case(kind))
}

/// What a reviewer should know of the statement, worst first.
fn words(facts: &StatementFacts) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(reason) = &facts.opaque {
        words.push(format!("could not be fully understood: {reason}"));
    }
    words.extend(facts.doubts.iter().cloned());
    let list = |relations: &std::collections::BTreeSet<_>| {
        let names: Vec<String> = relations
            .iter()
            .take(RELATIONS_SHOWN)
            .map(ToString::to_string)
            .collect();
        let more = relations.len().saturating_sub(RELATIONS_SHOWN);
        match more {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    };
    if !facts.writes.is_empty() {
        let rows = match facts.predicate {
            Predicate::Missing => "every row of ",
            Predicate::Tautology => "every row (its condition is the same for all of them) of ",
            Predicate::NotApplicable | Predicate::Equality | Predicate::Range => "",
        };
        words.push(format!(
            "{} touches {rows}{}",
            facts.kind,
            list(&facts.writes)
        ));
    }
    if !facts.alters.is_empty() {
        words.push(format!("{} changes {}", facts.kind, list(&facts.alters)));
    }
    if facts.classes.contains(&StatementClass::SessionRisk) {
        words.push(match &facts.session {
            SessionEffect::Set { parameter, .. } if !parameter.is_empty() => {
                let parameter = parameter
                    .split('.')
                    .map(shown)
                    .collect::<Vec<_>>()
                    .join(".");
                format!("changes {parameter}, on which the judgement of later statements rests")
            }
            SessionEffect::Role => "changes the role that later statements run with".to_owned(),
            _ => "changes session state that the judgement of later statements rests on".to_owned(),
        });
    }
    words.extend(consequences(facts));
    words.dedup();
    words
}

/// What others would feel, and what is left to undo.
fn consequences(facts: &StatementFacts) -> Vec<String> {
    let impact = &facts.impact;
    let mut words = Vec::new();
    if impact.lock.blocks_reads() {
        words.push(
            "nobody else can read or write what it locks until its transaction ends".to_owned(),
        );
    } else if impact.lock.blocks_writes() {
        words.push("nobody else can write to what it locks until its transaction ends".to_owned());
    }
    match impact.rewrite {
        // TRUNCATE rewrites by leaving nothing, which is said already.
        Rewrite::Yes if facts.kind == "TRUNCATE" => {}
        Rewrite::Yes => words.push("writes the whole table anew".to_owned()),
        Rewrite::Possible if facts.opaque.is_none() && facts.doubts.is_empty() => {
            words.push("may write the whole table anew".to_owned());
        }
        Rewrite::Possible | Rewrite::No => {}
    }
    if impact.cascades {
        words.push("CASCADE: whatever depends on it goes too".to_owned());
    }
    for reach in &impact.reach {
        words.push(
            match reach {
                Reach::ServerFile => "reads or writes files of the database server",
                Reach::Program => "runs programs or loads libraries on the database server",
                Reach::Network => "opens connections that do not pass this proxy",
                Reach::OtherSessions => "reaches other sessions or the whole server",
            }
            .to_owned(),
        );
    }
    if impact.undo == Undo::Never {
        words.push("cannot be undone, not even by ROLLBACK".to_owned());
    }
    words
}

/// Relations named in one reason.
const RELATIONS_SHOWN: usize = 5;
