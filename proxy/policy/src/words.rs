//! Reasons of verdicts, in words for people. No literal is ever among them: names are shown only as
//! far as they look like names (invariant 7).

use abeyance_sql::{
    Predicate, Reach, Rewrite, SessionEffect, StatementClass, StatementFacts, Undo, shown,
};

use crate::{
    Decision, Mode, RuleSet,
    case::Case,
    exposure::{Because, Exposure},
    matching,
    ruleset::{Ready, ReadyProtection},
    truth::Truth,
    when::Env,
};

/// Names listed in one reason.
const LISTED_MAX: usize = 8;
/// Rules that nearly let a statement pass and are told.
const NEAR_MISSES_MAX: usize = 3;

/// Why protections hold the statement: one reason for each column it surely touches, and one for
/// each kind of doubt.
pub(crate) fn exposed(found: &[(&ReadyProtection, Exposure<'_>)], case: Case<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    for because in [
        None,
        Some(Because::ColumnsNotKnown),
        Some(Because::Ambiguous),
        Some(Because::NotResolved),
        Some(Because::NotUnderstood),
    ] {
        let some = || {
            found
                .iter()
                .filter(|(_, exposure)| exposure.because == because)
        };
        if some().next().is_none() {
            continue;
        }
        let names = listed(some().map(|(one, _)| one.protection.name.clone()));
        let columns = some().flat_map(|(_, exposure)| &exposure.columns);
        let columns = listed(columns.map(ToString::to_string));
        reasons.push(exposure(because, &names, &columns, case));
    }
    reasons
}

fn exposure(because: Option<Because>, names: &str, columns: &str, case: Case<'_>) -> String {
    let catalog = if case.facts.catalog.is_none() {
        "; without the catalog this could not be known"
    } else {
        ""
    };
    match because {
        None => format!(
            "touches protected columns ({names}), and results are not masked yet: {columns}"
        ),
        Some(Because::NotUnderstood) => {
            format!(
                "may touch protected columns ({names}): not everything it does could be understood"
            )
        }
        Some(Because::NotResolved) => {
            let relations = listed(case.facts.relations().map(ToString::to_string));
            format!("may lead to protected columns ({names}) through {relations}{catalog}")
        }
        Some(Because::ColumnsNotKnown) => {
            format!(
                "may touch protected columns ({names}): which columns it reads is not clear{catalog}"
            )
        }
        Some(Because::Ambiguous) => {
            format!("may touch protected columns ({names}): {columns}{catalog}")
        }
    }
}

/// Why a rule counts although not all it asks for is known.
pub(crate) fn doubted(ready: &Ready, case: Case<'_>) -> Option<String> {
    let unknown = matching::unknown(ready, case);
    if unknown.is_empty() {
        return None;
    }
    let names = unknown.iter().map(|name| (*name).to_owned());
    let catalog = if case.resolved {
        ""
    } else {
        ", without the catalog"
    };
    Some(format!(
        "counts for this rule because it could not be known{catalog}: {}",
        listed(names)
    ))
}

/// Which allow rules would let the statement pass, but for one part of their condition.
pub(crate) fn near_misses(rules: &RuleSet, case: Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for ready in &rules.rules {
        let Some(when) = &ready.when else { continue };
        let enforced = ready.rule.mode == Mode::Enforce;
        if !enforced || ready.rule.decision != Decision::Allow || found.len() >= NEAR_MISSES_MAX {
            continue;
        }
        if matching::without_when(ready, case) == Truth::False {
            continue;
        }
        if let Some((part, truth)) = when.first_untrue(&Env::new(case)) {
            let how = match truth {
                Truth::Unknown if !case.resolved => "which could not be known without the catalog",
                Truth::Unknown => "which could not be known",
                Truth::False | Truth::True => "which is not so",
            };
            found.push(format!(
                "`{}` lets it pass when {part}, {how}",
                ready.rule.name
            ));
        }
    }
    found
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    names.dedup();
    let more = names.len().saturating_sub(LISTED_MAX);
    names.truncate(LISTED_MAX);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// What a reviewer should know of the statement, worst first.
pub(crate) fn words(facts: &StatementFacts) -> Vec<String> {
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
