//! Built-in rules to start from, as readable TOML.

use std::fmt;

use abeyance_sql::{Predicate, StatementClass};
use serde::{Deserialize, Serialize};

use crate::{
    Decision, Matcher, Protection, Rule, check,
    ruleset::{Ready, ReadyProtection},
};

/// A set of rules that ships with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pack {
    /// Everything passes; every other rule and protection becomes a shadow.
    Observe,
    /// Reads and writes of single rows pass, what leaves the proxy's view is denied, the default takes the rest.
    GuardWrites,
    /// Columns that look like those of a clinic are protected.
    Phi,
}

impl Pack {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Observe, Self::GuardWrites, Self::Phi];

    /// As configuration names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::GuardWrites => "guard-writes",
            Self::Phi => "phi",
        }
    }

    /// The pack of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|pack| pack.as_str() == name)
    }

    /// Its rules, as they are shipped.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Observe => include_str!("../packs/observe.toml"),
            Self::GuardWrites => include_str!("../packs/guard-writes.toml"),
            Self::Phi => include_str!("../packs/phi.toml"),
        }
    }

    /// Whether some of its rules ask somebody, so that they need a route.
    #[must_use]
    pub const fn holds(self) -> bool {
        matches!(self, Self::Phi)
    }

    /// Its rules and protections, which ask by `route`.
    pub(crate) fn parts(self, route: Option<&str>) -> PackParts {
        self.read(route.unwrap_or_default())
            .unwrap_or_else(|mistake| {
                // A test reads every pack; one that cannot be read must not loosen anything.
                debug_assert!(false, "{self}: {mistake}");
                PackParts {
                    rules: vec![everything_denied(self)],
                    protections: Vec::new(),
                }
            })
    }

    fn read(self, route: &str) -> Result<PackParts, String> {
        let file: File = toml::from_str(self.source()).map_err(|error| error.to_string())?;
        let mut errors = Vec::new();
        let mut parts = PackParts::default();
        for rule in file.rule {
            let rule = rule.into_rule(self, route)?;
            parts.rules.push(check::rule(0, &rule, &mut errors));
        }
        for one in file.protect {
            let protection = Protection {
                name: format!("{self}/{}", one.name),
                columns: one.columns,
                route: Some(route.to_owned()),
                agents: None,
                targets: None,
                environments: None,
            };
            let ready = check::protection(0, &protection, Some("-"), &mut errors);
            parts.protections.push(ready);
        }
        errors.retain(|error| error.field != "route" || !route.is_empty());
        match errors.first() {
            Some(error) => Err(format!("{error} ({})", error.hint)),
            None => Ok(parts),
        }
    }
}

impl fmt::Display for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a pack adds.
#[derive(Debug, Default)]
pub(crate) struct PackParts {
    pub(crate) rules: Vec<Ready>,
    pub(crate) protections: Vec<ReadyProtection>,
}

fn everything_denied(pack: Pack) -> Ready {
    let name = format!("{pack}/unreadable");
    Ready {
        rule: Rule::new(name, Matcher::default(), Decision::Deny),
        tables: None,
        columns: None,
        when: None,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<FileRule>,
    #[serde(default)]
    protect: Vec<FileProtection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileProtection {
    name: String,
    columns: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    name: String,
    verdict: Word,
    message: Option<String>,
    class: Option<Vec<StatementClass>>,
    kind: Option<Vec<String>>,
    table: Option<Vec<String>>,
    column: Option<Vec<String>>,
    predicate: Option<Vec<Predicate>>,
    when: Option<String>,
    rows_max: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Allow,
    Hold,
    Deny,
}

impl FileRule {
    fn into_rule(self, pack: Pack, route: &str) -> Result<Rule, String> {
        let decision = match self.verdict {
            Word::Allow => Decision::Allow,
            Word::Hold if pack.holds() => Decision::Hold {
                route: route.to_owned(),
            },
            Word::Hold => return Err(format!("`{}` holds, and `Pack::holds` says no", self.name)),
            Word::Deny => Decision::Deny,
        };
        let matcher = Matcher {
            classes: self.class,
            kinds: self.kind,
            tables: self.table,
            columns: self.column,
            predicates: self.predicate,
            ..Matcher::default()
        };
        Ok(Rule {
            message: self.message,
            when: self.when,
            rows_max: self.rows_max,
            ..Rule::new(format!("{pack}/{}", self.name), matcher, decision)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pack_can_be_read() {
        for pack in Pack::ALL {
            let parts = pack.read("dba").unwrap();
            assert!(!parts.rules.is_empty() || !parts.protections.is_empty());
            assert_eq!(Pack::named(pack.as_str()), Some(*pack));
        }
    }
}
