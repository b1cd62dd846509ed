//! Reads `[policy]` and `[[rule]]`.

use abeyance_policy::{Decision, Matcher, Mode, Rule, RuleError, RuleSet};
use abeyance_sql::{Predicate, StatementClass};

use super::{
    problem::{Problems, Span},
    section::{At, Section},
};

/// The `[policy]` table.
#[derive(Debug)]
pub struct PolicyEntry {
    pub default: Decision,
    /// Where the default's route is written.
    pub route: Option<At<String>>,
}

/// A rule with the places its parts are written at.
#[derive(Debug)]
pub struct RuleEntry {
    pub rule: Rule,
    pub span: Span,
    pub route: Option<At<String>>,
    pub agents: Vec<At<String>>,
    pub targets: Vec<At<String>>,
    pub environments: Vec<At<String>>,
    /// Where each key stands, for what the rule set says about it.
    keys: Vec<(&'static str, Span)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Allow,
    Hold,
    Deny,
}

const VERDICTS: [(&str, Word); 3] = [
    ("allow", Word::Allow),
    ("hold", Word::Hold),
    ("deny", Word::Deny),
];

/// The keys of a rule that the rule set may find fault with, by the names it calls them.
const KEYS: [&str; 10] = [
    "name",
    "agent",
    "target",
    "environment",
    "class",
    "kind",
    "table",
    "predicate",
    "verdict",
    "message",
];

/// Reads `[policy]`.
pub fn policy(section: Section<'_>) -> Option<PolicyEntry> {
    if !section.has("default") {
        section.missing("default", "\"hold\"");
    }
    let word = section.choice("default", &VERDICTS);
    let route = section.string("route");
    let default = decision(&section, word.as_ref(), route.as_ref());
    section.finish();
    Some(PolicyEntry {
        default: default?,
        route,
    })
}

/// A verdict with its route: `hold` needs one, the others take none.
fn decision(
    section: &Section<'_>,
    word: Option<&At<Word>>,
    route: Option<&At<String>>,
) -> Option<Decision> {
    match (word?.value, route) {
        (Word::Allow, None) => Some(Decision::Allow),
        (Word::Deny, None) => Some(Decision::Deny),
        (Word::Hold, Some(route)) => Some(Decision::Hold {
            route: route.value.clone(),
        }),
        (Word::Hold, None) => {
            if !section.has("route") {
                section.missing("route", "\"dba\"");
            }
            None
        }
        (Word::Allow | Word::Deny, Some(route)) => {
            section.problems.error(
                &route.span,
                format!(
                    "`route` in {} has no effect: only `hold` asks somebody",
                    section.name()
                ),
                "remove it, or use the verdict `hold`",
            );
            None
        }
    }
}

/// Reads one `[[rule]]`.
pub fn rule(section: Section<'_>) -> Option<RuleEntry> {
    let name = section.require_string("name", "\"reads-pass\"");
    if !section.has("verdict") {
        section.missing("verdict", "\"hold\"");
    }
    let word = section.choice("verdict", &VERDICTS);
    let route = section.string("route");
    let decision = decision(&section, word.as_ref(), route.as_ref());
    let agents = section.strings("agent");
    let targets = section.strings("target");
    let environments = section.strings("environment");
    let classes = section.choices("class", &words(StatementClass::ALL, StatementClass::as_str));
    let kinds = section.strings("kind");
    let tables = section.strings("table");
    let predicates = section.choices("predicate", &words(Predicate::ALL, Predicate::as_str));
    let message = section.string("message").map(|at| at.value);
    let keys = keys(&section);
    let span = section.span().clone();
    section.finish();
    Some(RuleEntry {
        rule: Rule {
            name: name?.value,
            matcher: Matcher {
                agents: plain(agents.as_ref()),
                targets: plain(targets.as_ref()),
                environments: plain(environments.as_ref()),
                classes,
                kinds: plain(kinds.as_ref()),
                tables: plain(tables.as_ref()),
                predicates,
            },
            decision: decision?,
            message,
            when: None,
            rows_max: None,
            mode: Mode::Enforce,
        },
        span,
        route,
        agents: agents.unwrap_or_default(),
        targets: targets.unwrap_or_default(),
        environments: environments.unwrap_or_default(),
        keys,
    })
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|one| (word(*one), *one)).collect()
}

fn plain(list: Option<&Vec<At<String>>>) -> Option<Vec<String>> {
    list.map(|list| list.iter().map(|at| at.value.clone()).collect())
}

fn keys(section: &Section<'_>) -> Vec<(&'static str, Span)> {
    KEYS.into_iter()
        .filter(|key| section.has(key))
        .map(|key| (key, section.key_span(key)))
        .collect()
}

/// Checks the rules together and puts each finding where its key is written.
pub fn rule_set(entries: &[RuleEntry], default: Decision, problems: &Problems) -> Option<RuleSet> {
    let rules = entries.iter().map(|entry| entry.rule.clone()).collect();
    match RuleSet::new(rules, default) {
        Ok(set) => Some(set),
        Err(errors) => {
            for error in &errors {
                place(error, entries, problems);
            }
            None
        }
    }
}

fn place(error: &RuleError, entries: &[RuleEntry], problems: &Problems) {
    let Some(entry) = entries.get(error.index) else {
        problems.error(&(0..0), error.message.clone(), error.hint.clone());
        return;
    };
    let span = entry
        .keys
        .iter()
        .find(|(field, _)| *field == error.field)
        .map_or(&entry.span, |(_, span)| span);
    problems.error(
        span,
        format!("[[rule]] `{}`: {}", entry.rule.name, error.message),
        error.hint.clone(),
    );
}
