//! Finds what is wrong with single rules and protections, and makes them ready.

use std::collections::HashMap;

use abeyance_sql::{all_kinds, classes_of_kind};

use crate::{
    Decision, Entry, Matcher, Mode, Pack, Policy, Protection, Rule, RuleError,
    pattern::{ColumnPattern, TablePattern},
    ruleset::{Ready, ReadyProtection},
    suggest,
    when::When,
};

/// What only the policy as a whole can get wrong: names, packs and their route.
pub(crate) fn policy(policy: &Policy, errors: &mut Vec<RuleError>) {
    names(policy, errors);
    let mut mistake = |field, message: String, hint: &str| {
        errors.push(RuleError {
            entry: Entry::Policy,
            other: None,
            field,
            within: None,
            message,
            hint: hint.to_owned(),
        });
    };
    for (index, pack) in policy.packs.iter().enumerate() {
        if policy
            .packs
            .iter()
            .take(index)
            .any(|earlier| earlier == pack)
        {
            mistake(
                "packs",
                format!("the pack `{pack}` is named twice"),
                "once is enough",
            );
        }
        if pack.holds() && policy.route.is_none() {
            mistake(
                "route",
                format!("the pack `{pack}` holds statements, and no route is named"),
                "name the [[route]] that is asked",
            );
        }
    }
    if policy.packs.contains(&Pack::GuardWrites)
        && policy.default == Decision::Allow
        && !policy.packs.contains(&Pack::Observe)
    {
        mistake(
            "default",
            "the pack `guard-writes` lists what passes, and the default `allow` lets the rest through too"
                .to_owned(),
            "use default = \"hold\" or \"deny\"",
        );
    }
}

/// Names tell rules and protections apart in records.
fn names(policy: &Policy, errors: &mut Vec<RuleError>) {
    let rules = policy.rules.iter().enumerate();
    let rules = rules.map(|(index, rule)| (Entry::Rule(index), &rule.name));
    let protections = policy.protections.iter().enumerate();
    let protections = protections.map(|(index, one)| (Entry::Protection(index), &one.name));
    let mut taken = HashMap::new();
    for (entry, name) in rules.chain(protections) {
        let pack = name
            .split_once('/')
            .filter(|(pack, _)| Pack::named(pack).is_some());
        let mut other = None;
        let (message, hint) = if name.trim().is_empty() {
            (
                "the name is empty".to_owned(),
                "give each rule a name; people see it on cards and in errors",
            )
        } else if name == "default" {
            (
                "the name `default` is taken".to_owned(),
                "verdicts that no rule gave carry it; choose another",
            )
        } else if let Some((pack, _)) = pack {
            (
                format!("the name begins as the rules of the pack `{pack}` do"),
                "choose another, so that records tell them apart",
            )
        } else if let Some(earlier) = taken.insert(name, entry) {
            other = Some(earlier);
            let earlier = match earlier {
                Entry::Rule(_) => "a rule",
                Entry::Protection(_) => "a protection",
                Entry::Policy => "the policy",
            };
            (
                format!("the name `{name}` is used by {earlier} already"),
                "names tell rules apart in the record; choose another",
            )
        } else {
            continue;
        };
        errors.push(RuleError {
            entry,
            other,
            field: "name",
            within: None,
            message,
            hint: hint.to_owned(),
        });
    }
}

/// Checks one rule.
pub(crate) fn rule(index: usize, rule: &Rule, errors: &mut Vec<RuleError>) -> Ready {
    let mut check = Check {
        entry: Entry::Rule(index),
        errors,
    };
    let matcher = &rule.matcher;
    check.lists(matcher);
    check.kinds(matcher);
    check.route(&rule.decision);
    check.rows_max(rule);
    Ready {
        tables: check.tables("table", matcher.tables.as_deref()),
        columns: check.columns("column", matcher.columns.as_deref()),
        when: rule.when.as_deref().and_then(|when| check.when(when)),
        rule: rule.clone(),
    }
}

/// Checks one protection. `route` is the policy's.
pub(crate) fn protection(
    index: usize,
    protection: &Protection,
    route: Option<&str>,
    errors: &mut Vec<RuleError>,
) -> ReadyProtection {
    let mut check = Check {
        entry: Entry::Protection(index),
        errors,
    };
    let columns = Some(protection.columns.as_slice());
    check.list("columns", columns.map(<[_]>::len));
    check.names("agent", &protection.agents);
    check.names("target", &protection.targets);
    check.names("environment", &protection.environments);
    let route = protection.route.as_deref().or(route).unwrap_or_default();
    let decision = Decision::Hold {
        route: route.to_owned(),
    };
    check.route(&decision);
    ReadyProtection {
        columns: check.columns("columns", columns).unwrap_or_default(),
        protection: protection.clone(),
        decision,
        mode: Mode::Enforce,
    }
}

/// Checks the relations that are taken at their word.
pub(crate) fn plain_tables(patterns: &[String], errors: &mut Vec<RuleError>) -> Vec<TablePattern> {
    let mut check = Check {
        entry: Entry::Policy,
        errors,
    };
    check
        .tables("plain_tables", Some(patterns))
        .unwrap_or_default()
}

struct Check<'a> {
    entry: Entry,
    errors: &'a mut Vec<RuleError>,
}

impl Check<'_> {
    fn mistake(&mut self, field: &'static str, message: String, hint: impl Into<String>) {
        self.errors.push(RuleError {
            entry: self.entry,
            other: None,
            field,
            within: None,
            message,
            hint: hint.into(),
        });
    }

    fn list(&mut self, field: &'static str, length: Option<usize>) {
        if length == Some(0) {
            self.mistake(
                field,
                "the list is empty, so the rule can never match".to_owned(),
                "leave the condition out to match everything",
            );
        }
    }

    fn names(&mut self, field: &'static str, list: &Option<Vec<String>>) {
        self.list(field, list.as_ref().map(Vec::len));
        if list.iter().flatten().any(|name| name.trim().is_empty()) {
            self.mistake(
                field,
                "a name in the list is empty".to_owned(),
                "remove it or write the name",
            );
        }
    }

    fn lists(&mut self, matcher: &Matcher) {
        self.names("agent", &matcher.agents);
        self.names("target", &matcher.targets);
        self.names("environment", &matcher.environments);
        for (field, length) in [
            ("class", matcher.classes.as_ref().map(Vec::len)),
            ("kind", matcher.kinds.as_ref().map(Vec::len)),
            ("table", matcher.tables.as_ref().map(Vec::len)),
            ("column", matcher.columns.as_ref().map(Vec::len)),
            ("predicate", matcher.predicates.as_ref().map(Vec::len)),
        ] {
            self.list(field, length);
        }
    }

    fn kinds(&mut self, matcher: &Matcher) {
        let Some(kinds) = &matcher.kinds else { return };
        let mut possible = Vec::new();
        for kind in kinds {
            match classes_of_kind(kind) {
                Some(classes) => possible.extend(classes),
                None => {
                    let known: Vec<String> = all_kinds().collect();
                    let near = suggest::nearest(kind, known.iter().map(String::as_str));
                    let hint = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "statement names are those of the manual, such as DELETE, ALTER TABLE, COPY PROGRAM"
                            .to_owned(),
                    };
                    self.mistake("kind", format!("there is no statement `{kind}`"), hint);
                }
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
                "leave out `class`: `kind` says it more exactly",
            );
        }
    }

    fn tables(
        &mut self,
        field: &'static str,
        patterns: Option<&[String]>,
    ) -> Option<Vec<TablePattern>> {
        let mut parsed = Vec::new();
        for pattern in patterns? {
            match pattern.parse() {
                Ok(pattern) => parsed.push(pattern),
                Err(error) => self.mistake(
                    field,
                    format!("`{pattern}` is not a table pattern: {error}"),
                    "write `patients`, `public.patients`, `audit.*` or `lab_*`; names as the server stores them, \
                     without quotes",
                ),
            }
        }
        Some(parsed)
    }

    fn columns(
        &mut self,
        field: &'static str,
        patterns: Option<&[String]>,
    ) -> Option<Vec<ColumnPattern>> {
        let mut parsed = Vec::new();
        for pattern in patterns? {
            match pattern.parse() {
                Ok(pattern) => parsed.push(pattern),
                Err(error) => self.mistake(
                    field,
                    format!("`{pattern}` is not a column pattern: {error}"),
                    "write `patients.ssn`, `*.ssn` or `public.patients.*`; names as the server stores them, \
                     without quotes",
                ),
            }
        }
        Some(parsed)
    }

    fn when(&mut self, source: &str) -> Option<When> {
        match When::compile(source) {
            Ok(when) => Some(when),
            Err(found) => {
                for error in found {
                    self.errors.push(RuleError {
                        entry: self.entry,
                        other: None,
                        field: "when",
                        within: error.span,
                        message: error.message,
                        hint: error.hint,
                    });
                }
                None
            }
        }
    }

    fn route(&mut self, decision: &Decision) {
        if let Decision::Hold { route } = decision
            && route.trim().is_empty()
        {
            self.mistake(
                "route",
                "the verdict is hold, but no route is named".to_owned(),
                "name the [[route]] that is asked",
            );
        }
    }

    fn rows_max(&mut self, rule: &Rule) {
        match (&rule.decision, rule.rows_max) {
            (Decision::Deny, Some(_)) => self.mistake(
                "rows_max",
                "what is denied writes no rows".to_owned(),
                "remove it, or use the verdict `allow` or `hold`",
            ),
            (Decision::Allow | Decision::Hold { .. }, Some(0)) => self.mistake(
                "rows_max",
                "nothing could be written".to_owned(),
                "use the verdict `deny`, or a larger number",
            ),
            _ => {}
        }
    }
}
