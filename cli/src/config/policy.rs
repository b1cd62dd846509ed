//! Reads `[policy]`, `[[rule]]` and `[[protect]]`.

use abeyance_policy::{Decision, Matcher, Mode, Pack, Protection, Review, Rule};
use abeyance_sql::{Predicate, StatementClass};

use super::{
    problem::Span,
    section::{At, Section},
};

/// The `[policy]` table.
#[derive(Debug)]
pub struct PolicyEntry {
    pub default: Decision,
    /// Where the route is written.
    pub route: Option<At<String>>,
    pub packs: Vec<Pack>,
    pub plain_tables: Vec<String>,
    /// An approved write may change this many times the rows it was estimated for.
    pub rows_tolerance: Option<f64>,
    pub span: Span,
    /// Where each key stands, for what the rule set says about it.
    pub keys: Vec<(&'static str, Span)>,
}

/// A protection with the places its parts are written at.
#[derive(Debug)]
pub struct ProtectionEntry {
    pub protection: Protection,
    pub span: Span,
    pub route: Option<At<String>>,
    pub agents: Vec<At<String>>,
    pub targets: Vec<At<String>>,
    pub environments: Vec<At<String>>,
    pub keys: Vec<(&'static str, Span)>,
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
    /// The condition as the file spells it, for places inside it.
    pub when: Option<At<String>>,
    pub keys: Vec<(&'static str, Span)>,
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

const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow)];

/// The keys that the rule set may find fault with, by the names it calls them.
const KEYS: [&str; 18] = [
    "name",
    "columns",
    "column",
    "when",
    "rows_max",
    "route",
    "default",
    "packs",
    "plain_tables",
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

/// How far beyond its estimate an approved write may go.
const TOLERANCES: std::ops::RangeInclusive<f64> = 1.0..=1000.0;

/// Reads `[policy]`.
pub fn policy(section: Section<'_>) -> Option<PolicyEntry> {
    if !section.has("default") {
        section.missing("default", "\"hold\"");
    }
    let word = section.choice("default", &VERDICTS);
    let route = section.string("route");
    let packs = section.choices("packs", &words(Pack::ALL, Pack::as_str));
    let plain_tables = section.strings("plain_tables");
    let rows_tolerance = section.number("rows_tolerance", TOLERANCES);
    // Packs and protections ask by this route even when the default does not.
    let default = match word.as_ref().map(|word| word.value) {
        Some(Word::Allow) => Some(Decision::Allow),
        Some(Word::Deny) => Some(Decision::Deny),
        Some(Word::Hold) | None => decision(&section, word.as_ref(), route.as_ref()),
    };
    let (keys, span) = (keys(&section), section.span().clone());
    section.finish();
    Some(PolicyEntry {
        default: default?,
        route,
        packs: packs.unwrap_or_default(),
        plain_tables: plain(plain_tables.as_ref()).unwrap_or_default(),
        rows_tolerance,
        span,
        keys,
    })
}

/// Reads one `[[protect]]`.
pub fn protection(section: Section<'_>) -> Option<ProtectionEntry> {
    let name = section.require_string("name", "\"patients\"");
    let columns = section.strings("columns");
    if !section.has("columns") {
        section.missing("columns", "[\"patients.ssn\", \"*.email\"]");
    }
    let route = section.string("route");
    let agents = section.strings("agent");
    let targets = section.strings("target");
    let environments = section.strings("environment");
    capitals(&section, columns.as_ref());
    let (keys, span) = (keys(&section), section.span().clone());
    section.finish();
    Some(ProtectionEntry {
        protection: Protection {
            name: name?.value,
            columns: plain(columns.as_ref())?,
            route: route.as_ref().map(|route| route.value.clone()),
            agents: plain(agents.as_ref()),
            targets: plain(targets.as_ref()),
            environments: plain(environments.as_ref()),
        },
        span,
        route,
        agents: agents.unwrap_or_default(),
        targets: targets.unwrap_or_default(),
        environments: environments.unwrap_or_default(),
        keys,
    })
}

/// Servers store names in lower case, unless they were created in quotes: capitals mostly match nothing.
fn capitals(section: &Section<'_>, patterns: Option<&Vec<At<String>>>) {
    for pattern in patterns.into_iter().flatten() {
        let lower = pattern.value.to_lowercase();
        if lower != pattern.value {
            section.problems.warning(
                &pattern.span,
                format!("`{}` in {} has capitals", pattern.value, section.name()),
                format!(
                    "the server stores a name in lower case unless it was created in quotes: did you mean `{lower}`?"
                ),
            );
        }
    }
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

/// What stands for a verdict that could not be read, so that the rest of its rule is checked too: in shadow, where it is
/// compared with no other rule.
fn stand_in() -> Decision {
    Decision::Hold {
        route: "unread".to_owned(),
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
    let columns = section.strings("column");
    capitals(&section, tables.as_ref());
    capitals(&section, columns.as_ref());
    let predicates = section.choices("predicate", &words(Predicate::ALL, Predicate::as_str));
    let message = section.string("message").map(|at| at.value);
    let when = section.text("when");
    let rows_max = section.integer("rows_max", 1..=ROWS_MAX);
    let mode = section.choice("mode", &MODES);
    let review = review(&section, decision.as_ref());
    let keys = keys(&section);
    let span = section.span().clone();
    // A rule whose condition was lost would match more than it should.
    let lost = section.has("when") && when.is_none();
    section.finish();
    if lost {
        return None;
    }
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
                columns: plain(columns.as_ref()),
                predicates,
            },
            mode: match (&decision, mode) {
                (Some(_), Some(mode)) => mode.value,
                (Some(_), None) => Mode::Enforce,
                (None, _) => Mode::Shadow,
            },
            decision: decision.unwrap_or_else(stand_in),
            message,
            when: when.as_ref().map(|when| when.value.clone()),
            rows_max,
            review,
        },
        span,
        route,
        agents: agents.unwrap_or_default(),
        targets: targets.unwrap_or_default(),
        environments: environments.unwrap_or_default(),
        when,
        keys,
    })
}

const REVIEWS: [(&str, Review); 2] = [("statement", Review::Statement), ("commit", Review::Commit)];

/// What a hold is about; only `hold` asks about anything.
fn review(section: &Section<'_>, decision: Option<&Decision>) -> Review {
    let review = section.choice("review", &REVIEWS);
    if let (Some(review), Some(Decision::Allow | Decision::Deny)) = (&review, decision) {
        section.problems.error(
            &review.span,
            format!(
                "`review` in {} has no effect: only `hold` asks somebody",
                section.name()
            ),
            "remove it, or use the verdict `hold`",
        );
    }
    review.map_or(Review::Statement, |review| review.value)
}

/// More rows than any statement writes.
const ROWS_MAX: u64 = 1_000_000_000_000;

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
