//! Reads `[policy]`, `[[rule]]` and `[[protect]]`.

use abeyance_policy::{
    Decision, Entry, Matcher, Mode, Pack, Policy, Protection, Review, Rule, RuleError, RuleSet,
};
use abeyance_sql::{Predicate, StatementClass};

use super::{
    problem::{self, Problems, Span},
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
    span: Span,
    /// Where each key stands, for what the rule set says about it.
    keys: Vec<(&'static str, Span)>,
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
    keys: Vec<(&'static str, Span)>,
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
