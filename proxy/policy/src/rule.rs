//! Rules as the configuration gives them, validated.

use std::collections::HashMap;

use abeyance_sql::{Predicate, StatementClass, all_kinds, classes_of_kind};

use sha2::{Digest as _, Sha256};

use crate::{Decision, table::TablePattern};

/// One rule: when everything in `matcher` holds, `decision` applies.
#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    pub matcher: Matcher,
    pub decision: Decision,
    /// Shown to the reviewer or, for a denial, to the client.
    pub message: Option<String>,
    /// A condition in CEL over facts and context, besides the matcher's.
    pub when: Option<String>,
    /// Of an *allow* rule: what it lets through may write this many rows, and is rolled back beyond.
    /// Of a *hold* rule: no approval lets more rows through.
    pub rows_max: Option<u64>,
    pub mode: Mode,
}

impl Rule {
    /// A rule that is enforced, without message, `when` or row cap.
    #[must_use]
    pub fn new(name: impl Into<String>, matcher: Matcher, decision: Decision) -> Self {
        Self {
            name: name.into(),
            matcher,
            decision,
            message: None,
            when: None,
            rows_max: None,
            mode: Mode::Enforce,
        }
    }
}

/// Whether a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Enforce,
    /// Judged and told, never decisive.
    Shadow,
}

/// Conditions, all of which must hold. An absent one always holds.
///
/// Among the conditions on the statement (`classes`, `kinds`, `tables`, `predicates`) an *allow*
/// rule must cover all that a statement is and touches; a *hold* or *deny* rule matches when any
/// of it is named. See [`crate::evaluate`].
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    pub agents: Option<Vec<String>>,
    pub targets: Option<Vec<String>>,
    pub environments: Option<Vec<String>>,
    pub classes: Option<Vec<StatementClass>>,
    /// Statement names such as `DELETE`, `ALTER TABLE`; case does not matter.
    pub kinds: Option<Vec<String>>,
    /// Relations read, written or altered: `patients`, `public.patients`, `audit.*`.
    pub tables: Option<Vec<String>>,
    pub predicates: Option<Vec<Predicate>>,
}

impl Matcher {
    /// No condition on the statement itself.
    pub(crate) fn takes_any_statement(&self) -> bool {
        self.classes.is_none()
            && self.kinds.is_none()
            && self.tables.is_none()
            && self.predicates.is_none()
    }

    fn takes_anything(&self) -> bool {
        self.takes_any_statement()
            && self.agents.is_none()
            && self.targets.is_none()
            && self.environments.is_none()
    }
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {index}: {message}")]
pub struct RuleError {
    /// Position in the list given, from 0.
    pub index: usize,
    /// The field at fault.
    pub field: &'static str,
    pub message: String,
    pub hint: String,
}

/// Rules that were checked together.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Of each rule, its table patterns.
    tables: Vec<Option<Vec<TablePattern>>>,
    default: Decision,
    version: String,
}

impl RuleSet {
    /// Checks the rules: names unique and not empty, lists not empty, statement names and table
    /// patterns known, no rule that can never decide.
    ///
    /// # Errors
    /// Every mistake found, not only the first.
    pub fn new(rules: Vec<Rule>, default: Decision) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        check_names(&rules, &mut errors);
        let mut tables = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let mut check = Check {
                index,
                errors: &mut errors,
            };
            check.lists(&rule.matcher);
            check.kinds(&rule.matcher);
            tables.push(check.tables(rule.matcher.tables.as_deref()));
            check.decision(&rule.decision);
        }
        check_reach(&rules, &mut errors);
        if errors.is_empty() {
            let version = version(&rules, &default);
            Ok(Self {
                rules,
                tables,
                default,
                version,
            })
        } else {
            errors.sort_by_key(|error| error.index);
            Err(errors)
        }
    }

    /// The rules in the order given.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Changes with anything that can change a verdict: 12 hex digits for records.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Some rule asks for [`crate::Blast`]: a verdict that is not *allow* may become weaker with it.
    #[must_use]
    pub fn needs_blast(&self) -> bool {
        false
    }

    /// Some rule asks for [`crate::Moment`]: no verdict may be kept for another run.
    #[must_use]
    pub fn needs_moment(&self) -> bool {
        false
    }

    /// What applies when no rule matches.
    #[must_use]
    pub fn default_decision(&self) -> &Decision {
        &self.default
    }

    pub(crate) fn with_tables(&self) -> impl Iterator<Item = (&Rule, Option<&[TablePattern]>)> {
        let tables = self.tables.iter().map(Option::as_deref);
        self.rules.iter().zip(tables)
    }
}

fn version(rules: &[Rule], default: &Decision) -> String {
    let digest = Sha256::digest(format!("{default:?} {rules:?}"));
    let digits = digest.iter().take(6).map(|byte| format!("{byte:02x}"));
    digits.collect()
}

fn check_names(rules: &[Rule], errors: &mut Vec<RuleError>) {
    let mut first = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        let mistake = if rule.name.trim().is_empty() {
            Some((
                "the name is empty".to_owned(),
                "give each rule a name; people see it on cards and in errors".to_owned(),
            ))
        } else if rule.name == "default" {
            Some((
                "the name `default` is taken".to_owned(),
                "verdicts that no rule gave carry it; choose another".to_owned(),
            ))
        } else {
            first.insert(rule.name.as_str(), index).map(|earlier| {
                (
                    format!("the name `{}` is used by rule {earlier} too", rule.name),
                    "names tell rules apart in the record; choose another".to_owned(),
                )
            })
        };
        if let Some((message, hint)) = mistake {
            errors.push(RuleError {
                index,
                field: "name",
                message,
                hint,
            });
        }
    }
}

/// A rule that another one always beats decides nothing.
fn check_reach(rules: &[Rule], errors: &mut Vec<RuleError>) {
    let strongest = rules
        .iter()
        .filter(|rule| rule.matcher.takes_anything())
        .max_by_key(|rule| rule.decision.guard());
    let Some(strongest) = strongest else { return };
    for (index, rule) in rules.iter().enumerate() {
        if rule.decision.guard() < strongest.decision.guard() {
            errors.push(RuleError {
                index,
                field: "verdict",
                message: format!(
                    "rule `{}` can never decide: rule `{}` has no condition and a stronger verdict",
                    rule.name, strongest.name
                ),
                hint: "deny beats hold beats allow, whatever the order; give the stronger rule conditions, \
                       or make it the default"
                    .to_owned(),
            });
        }
    }
}

struct Check<'a> {
    index: usize,
    errors: &'a mut Vec<RuleError>,
}

impl Check<'_> {
    fn mistake(&mut self, field: &'static str, message: String, hint: String) {
        self.errors.push(RuleError {
            index: self.index,
            field,
            message,
            hint,
        });
    }

    fn lists(&mut self, matcher: &Matcher) {
        let lengths = [
            ("agent", matcher.agents.as_ref().map(Vec::len)),
            ("target", matcher.targets.as_ref().map(Vec::len)),
            ("environment", matcher.environments.as_ref().map(Vec::len)),
            ("class", matcher.classes.as_ref().map(Vec::len)),
            ("kind", matcher.kinds.as_ref().map(Vec::len)),
            ("table", matcher.tables.as_ref().map(Vec::len)),
            ("predicate", matcher.predicates.as_ref().map(Vec::len)),
        ];
        for (field, length) in lengths {
            if length == Some(0) {
                self.mistake(
                    field,
                    "the list is empty, so the rule can never match".to_owned(),
                    "leave the condition out to match everything".to_owned(),
                );
            }
        }
        let names = [
            ("agent", &matcher.agents),
            ("target", &matcher.targets),
            ("environment", &matcher.environments),
        ];
        for (field, list) in names {
            if list.iter().flatten().any(|name| name.trim().is_empty()) {
                self.mistake(
                    field,
                    "a name in the list is empty".to_owned(),
                    "remove it or write the name".to_owned(),
                );
            }
        }
    }

    fn kinds(&mut self, matcher: &Matcher) {
        let Some(kinds) = &matcher.kinds else { return };
        let mut possible = Vec::new();
        for kind in kinds {
            match classes_of_kind(kind) {
                Some(classes) => possible.extend(classes),
                None => self.mistake(
                    "kind",
                    format!("there is no statement `{kind}`"),
                    suggest(kind),
                ),
            }
        }
        if let Some(classes) = &matcher.classes
            && !possible.is_empty()
            && !classes.is_empty()
            && !classes.iter().any(|class| possible.contains(class))
        {
            self.mistake(
                "kind",
                "no statement of these kinds is of these classes, so the rule can never match"
                    .to_owned(),
                "leave out `class`: `kind` says it more exactly".to_owned(),
            );
        }
    }

    fn tables(&mut self, patterns: Option<&[String]>) -> Option<Vec<TablePattern>> {
        let mut parsed = Vec::new();
        for pattern in patterns? {
            match pattern.parse() {
                Ok(pattern) => parsed.push(pattern),
                Err(error) => self.mistake(
                    "table",
                    format!("`{pattern}` is not a table pattern: {error}"),
                    "write `patients`, `public.patients`, `audit.*` or `lab_*`; names as the server stores them, \
                     without quotes"
                        .to_owned(),
                ),
            }
        }
        Some(parsed)
    }

    fn decision(&mut self, decision: &Decision) {
        if let Decision::Hold { route } = decision
            && route.trim().is_empty()
        {
            self.mistake(
                "route",
                "the verdict is hold, but no route is named".to_owned(),
                "name the [[route]] that is asked".to_owned(),
            );
        }
    }
}

/// The known statement name that is nearest.
fn suggest(kind: &str) -> String {
    let wanted = kind.trim().to_ascii_uppercase();
    let nearest = all_kinds()
        .map(|known| (distance(&wanted, &known.to_ascii_uppercase()), known))
        .min();
    match nearest {
        Some((distance, known)) if distance <= 1 + wanted.len() / 4 => {
            format!("did you mean `{known}`?")
        }
        _ => "statement names are those of the manual, such as DELETE, ALTER TABLE, COPY PROGRAM"
            .to_owned(),
    }
}

/// Edits between two words (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (column, across) in other.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or(usize::MAX - 1);
            let change = diagonal + usize::from(letter != *across);
            if let Some(cell) = row.get_mut(column) {
                *cell = left;
            }
            left = change.min(above + 1).min(left + 1);
            diagonal = above;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}
