//! Whether a rule matches a statement. An *allow* rule must cover all of it for sure; a *hold* or
//! *deny* rule matches when it names any of it, or may.

use abeyance_sql::StatementClass;

use crate::{Context, Decision, case::Case, ruleset::Ready, truth::Truth, when::Env};

/// Whether the rule's conditions hold, as far as is known.
pub(crate) fn truth(ready: &Ready, case: Case<'_>) -> Truth {
    let matched = without_when(ready, case);
    match &ready.when {
        Some(when) if matched != Truth::False => matched.and(when.eval(&Env::new(case))),
        _ => matched,
    }
}

/// Whether the rule's conditions other than `when` hold.
pub(crate) fn without_when(ready: &Ready, case: Case<'_>) -> Truth {
    let matcher = &ready.rule.matcher;
    if !concerns(
        case.context,
        matcher.agents.as_deref(),
        matcher.targets.as_deref(),
        matcher.environments.as_deref(),
    ) {
        return Truth::False;
    }
    if ready.rule.decision != Decision::Allow {
        return touches(ready, case);
    }
    if ready.rule.rows_max.is_some() && !case.facts.impact.transactional {
        // What cannot be rolled back cannot be capped.
        return Truth::False;
    }
    if matcher.takes_any_statement() && ready.when.is_none() {
        return Truth::True;
    }
    covers(ready, case)
}

/// Whether a rule with that truth counts.
pub(crate) fn counts(decision: &Decision, truth: Truth) -> bool {
    match decision {
        Decision::Allow => truth == Truth::True,
        Decision::Hold { .. } | Decision::Deny => truth != Truth::False,
    }
}

/// Whether a rule for these agents, targets and environments is about this one.
pub(crate) fn concerns(
    context: &Context<'_>,
    agents: Option<&[String]>,
    targets: Option<&[String]>,
    environments: Option<&[String]>,
) -> bool {
    let named = |list: Option<&[String]>, name: Option<&str>| {
        list.is_none_or(|list| name.is_some_and(|name| list.iter().any(|listed| listed == name)))
    };
    named(agents, Some(context.agent))
        && named(targets, Some(context.target))
        && named(environments, context.environment)
}

/// Everything the statement is and touches is named.
fn covers(ready: &Ready, case: Case<'_>) -> Truth {
    let (matcher, facts) = (&ready.rule.matcher, case.facts);
    let unsure = |class: &StatementClass| {
        matches!(class, StatementClass::Opaque | StatementClass::Unvouched)
    };
    let classes = match &matcher.classes {
        Some(named) => facts.classes.iter().all(|class| named.contains(class)),
        None => !facts.classes.iter().any(unsure),
    };
    let narrow = matcher.kinds.is_some()
        || ready.tables.is_some()
        || ready.columns.is_some()
        || matcher.predicates.is_some();
    let unsure_by_name = || {
        !narrow
            && matcher
                .classes
                .as_ref()
                .is_some_and(|named| named.iter().any(unsure))
    };
    if !classes || !(facts.is_certain() || unsure_by_name()) {
        return Truth::False;
    }
    let kinds = matcher
        .kinds
        .as_ref()
        .is_none_or(|named| facts.kinds.iter().all(|kind| has_kind(named, kind)));
    let predicates = matcher
        .predicates
        .as_ref()
        .is_none_or(|named| named.contains(&facts.predicate));
    if !kinds || !predicates {
        return Truth::False;
    }
    let tables = ready.tables.as_ref().map_or(Truth::True, |patterns| {
        if case.tables().next().is_none() {
            return Truth::False;
        }
        let each = case.tables().map(|(relation, _)| {
            Truth::any(
                patterns.iter().map(|pattern| pattern.matches(relation)),
                true,
            )
        });
        Truth::all(each, case.tables_complete())
    });
    let columns = ready.columns.as_ref().map_or(Truth::True, |patterns| {
        if facts.columns.is_empty() {
            return Truth::False;
        }
        let each = facts.columns.iter().map(|column| {
            let named = Truth::any(patterns.iter().map(|pattern| pattern.matches(column)), true);
            // `p.*` is more than one column: only `table.*` covers it.
            if column.name == "*" {
                let whole = patterns
                    .iter()
                    .filter(|pattern| pattern.takes_all_columns());
                named.and(Truth::any(
                    whole.map(|pattern| pattern.matches(column)),
                    true,
                ))
            } else {
                named
            }
        });
        Truth::all(each, facts.columns_known && case.tables_complete())
    });
    tables.and(columns)
}

/// Some of what the statement is and touches is named, or may be.
fn touches(ready: &Ready, case: Case<'_>) -> Truth {
    let (matcher, facts) = (&ready.rule.matcher, case.facts);
    let classes = matcher
        .classes
        .as_ref()
        .is_none_or(|named| facts.classes.iter().any(|class| named.contains(class)));
    let kinds = matcher
        .kinds
        .as_ref()
        .is_none_or(|named| facts.kinds.iter().any(|kind| has_kind(named, kind)));
    if !classes || !kinds {
        return Truth::False;
    }
    let predicates = match &matcher.predicates {
        Some(_) if !case.text_complete() => Truth::Unknown,
        Some(named) => named.contains(&facts.predicate).into(),
        None => Truth::True,
    };
    let tables = ready.tables.as_ref().map_or(Truth::True, |patterns| {
        let each = case
            .tables()
            .flat_map(|(relation, _)| patterns.iter().map(|pattern| pattern.matches(relation)));
        Truth::any(each, case.tables_complete())
    });
    let columns = ready
        .columns
        .as_ref()
        .map_or(Truth::True, |patterns| case.exposes(patterns).truth);
    predicates.and(tables).and(columns)
}

fn has_kind(named: &[String], kind: &str) -> bool {
    named.iter().any(|name| name.eq_ignore_ascii_case(kind))
}

/// What a rule that counts only by doubt would have had to know.
pub(crate) fn unknown(ready: &Ready, case: Case<'_>) -> Vec<&'static str> {
    let mut names = Vec::new();
    let alone = |keep: fn(&Ready) -> Ready| touches(&keep(ready), case) == Truth::Unknown;
    if ready.tables.is_some()
        && alone(|ready| ready.only(|rule, whole| rule.tables = whole.tables.clone()))
    {
        names.push("table");
    }
    if ready.columns.is_some()
        && alone(|ready| ready.only(|rule, whole| rule.columns = whole.columns.clone()))
    {
        names.push("column");
    }
    if ready.rule.matcher.predicates.is_some() && !case.text_complete() {
        names.push("predicate");
    }
    if let Some(when) = &ready.when {
        let env = Env::tracing(case);
        if when.eval(&env) == Truth::Unknown {
            names.extend(env.into_unknown());
        }
    }
    names
}
