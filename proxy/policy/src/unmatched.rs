//! Patterns that name nothing a target has: a misspelt protection must never silently protect nothing.
//!
//! Pure: catalogs are arguments. Packs name what a database may have, so theirs are left alone.

use std::{collections::BTreeSet, fmt};

use abeyance_sql::Catalog;

use crate::{
    Entry, RuleSet,
    pattern::{ColumnPattern, TablePattern, glob},
    suggest,
};

/// Most patterns of one look that get the nearest name: finding it compares with every name there is.
const NEAREST_MAX: usize = 32;
/// Columns that every table has and no catalog lists.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// A target, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub target: &'a str,
    pub environment: Option<&'a str>,
    /// `None` where it was not read.
    pub catalog: Option<&'a Catalog>,
}

/// A pattern that matches nothing in any of the catalogs that were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    pub entry: Entry,
    /// Of the rule or protection.
    pub name: String,
    /// The key it is written under.
    pub field: &'static str,
    /// Its place in that list, from 0.
    pub index: usize,
    pub pattern: String,
    /// The targets it is for whose catalogs were looked at; never empty.
    pub targets: Vec<String>,
    /// The targets it is for whose catalogs were not.
    pub unread: Vec<String>,
    /// A pattern like it that matches something.
    pub nearest: Option<String>,
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entry, protects) = match self.entry {
            Entry::Protection(_) => ("[[protect]]", true),
            Entry::Rule(_) | Entry::Policy => ("[[rule]]", false),
        };
        let what = if self.field == "table" {
            "relation"
        } else {
            "column"
        };
        let targets = suggest::listed(self.targets.iter().map(String::as_str));
        let word = if self.targets.len() == 1 {
            "target"
        } else {
            "targets"
        };
        write!(
            f,
            "{entry} `{}`: the pattern `{}` matches no {what} of {word} {targets}",
            self.name, self.pattern
        )?;
        if protects {
            f.write_str(", so it protects nothing")?;
        }
        Ok(())
    }
}

impl Unmatched {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let mut hint = match &self.nearest {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write names as the server stores them: in lower case, unless they were created in quotes"
                .to_owned(),
        };
        if !self.unread.is_empty() {
            let unread = suggest::listed(self.unread.iter().map(String::as_str));
            hint.push_str(&format!("; not looked at: {unread}"));
        }
        hint
    }
}

impl RuleSet {
    /// The patterns of rules and protections that match nothing in any catalog of the targets they are for. One that
    /// is for several targets is fine when any of them has it.
    #[must_use]
    pub fn unmatched(&self, targets: &[Seen<'_>]) -> Vec<Unmatched> {
        let mut look = Look {
            targets,
            found: Vec::new(),
        };
        for (index, ready) in self.rules.iter().take(self.own_rules).enumerate() {
            let matcher = &ready.rule.matcher;
            let place = Place {
                entry: Entry::Rule(index),
                name: &ready.rule.name,
                targets: matcher.targets.as_deref(),
                environments: matcher.environments.as_deref(),
            };
            look.list(
                place,
                "table",
                matcher.tables.as_deref(),
                ready.tables.as_deref(),
            );
            look.list(
                place,
                "column",
                matcher.columns.as_deref(),
                ready.columns.as_deref(),
            );
        }
        let protections = self.protections.iter().take(self.own_protections);
        for (index, ready) in protections.enumerate() {
            let protection = &ready.protection;
            let place = Place {
                entry: Entry::Protection(index),
                name: &protection.name,
                targets: protection.targets.as_deref(),
                environments: protection.environments.as_deref(),
            };
            let written = Some(protection.columns.as_slice());
            look.list(place, "columns", written, Some(&ready.columns));
        }
        look.found
    }
}

/// Whose patterns they are.
#[derive(Clone, Copy)]
struct Place<'a> {
    entry: Entry,
    name: &'a str,
    targets: Option<&'a [String]>,
    environments: Option<&'a [String]>,
}

impl Place<'_> {
    fn concerns(&self, seen: &Seen<'_>) -> bool {
        let named = |list: Option<&[String]>, name: Option<&str>| {
            list.is_none_or(|list| name.is_some_and(|name| list.iter().any(|one| one == name)))
        };
        named(self.targets, Some(seen.target)) && named(self.environments, seen.environment)
    }
}

struct Look<'a> {
    targets: &'a [Seen<'a>],
    found: Vec<Unmatched>,
}

impl Look<'_> {
    fn list<P: Pattern>(
        &mut self,
        place: Place<'_>,
        field: &'static str,
        written: Option<&[String]>,
        patterns: Option<&[P]>,
    ) {
        let written = written.unwrap_or_default().iter();
        let patterns = patterns.unwrap_or_default().iter();
        for (index, (written, pattern)) in written.zip(patterns).enumerate() {
            if pattern.is_servers() {
                continue;
            }
            let concerned = self.targets.iter().filter(|seen| place.concerns(seen));
            let (read, unread): (Vec<&Seen<'_>>, Vec<&Seen<'_>>) =
                concerned.partition(|s| s.catalog.is_some());
            let catalogs: Vec<&Catalog> = read.iter().filter_map(|seen| seen.catalog).collect();
            if catalogs.is_empty() || catalogs.iter().any(|catalog| pattern.is_in(catalog)) {
                continue;
            }
            let names = |seen: Vec<&Seen<'_>>| seen.iter().map(|s| s.target.to_owned()).collect();
            let nearest = (self.found.len() < NEAREST_MAX)
                .then(|| nearest(written, pattern, &catalogs))
                .flatten();
            self.found.push(Unmatched {
                entry: place.entry,
                name: place.name.to_owned(),
                field,
                index,
                pattern: written.clone(),
                targets: names(read),
                unread: names(unread),
                nearest,
            });
        }
    }
}

/// What both kinds of patterns can be asked.
trait Pattern {
    /// It may mean the server's own relations, which no catalog lists.
    fn is_servers(&self) -> bool;
    fn is_in(&self, catalog: &Catalog) -> bool;
    /// The names that there are, in the shape of this pattern.
    fn alike(&self, catalog: &Catalog, take: &mut dyn FnMut(String));
}

impl Pattern for TablePattern {
    fn is_servers(&self) -> bool {
        let own = |schema: &str| {
            let servers = ["pg_catalog", "information_schema"];
            servers.iter().any(|name| glob(schema, name))
        };
        self.schema()
            .map_or_else(|| self.name().starts_with("pg_"), own)
    }

    fn is_in(&self, catalog: &Catalog) -> bool {
        let mut relations = catalog.relations.iter();
        relations.any(|relation| self.names(&relation.name.schema, &relation.name.name))
    }

    fn alike(&self, catalog: &Catalog, take: &mut dyn FnMut(String)) {
        for relation in &catalog.relations {
            take(self.shaped(&relation.name.schema, &relation.name.name));
        }
    }
}

impl Pattern for ColumnPattern {
    fn is_servers(&self) -> bool {
        // Without a schema, columns of the server's own relations are never meant.
        self.table().schema().is_some() && self.table().is_servers()
    }

    fn is_in(&self, catalog: &Catalog) -> bool {
        let mut relations = catalog.relations.iter();
        relations.any(|relation| {
            let own = relation.columns.iter().map(|column| column.name.as_str());
            self.table()
                .names(&relation.name.schema, &relation.name.name)
                && own
                    .chain(SYSTEM_COLUMNS)
                    .any(|column| glob(self.column(), column))
        })
    }

    fn alike(&self, catalog: &Catalog, take: &mut dyn FnMut(String)) {
        for relation in &catalog.relations {
            let table = self
                .table()
                .shaped(&relation.name.schema, &relation.name.name);
            for column in &relation.columns {
                take(format!("{table}.{}", shaped(self.column(), &column.name)));
            }
        }
    }
}

impl TablePattern {
    fn names(&self, schema: &str, name: &str) -> bool {
        glob(self.name(), name) && self.schema().is_none_or(|pattern| glob(pattern, schema))
    }

    fn shaped(&self, schema: &str, name: &str) -> String {
        let name = shaped(self.name(), name);
        match self.schema() {
            Some(pattern) => format!("{}.{name}", shaped(pattern, schema)),
            None => name.to_owned(),
        }
    }
}

/// A part of a pattern that is right stays as it is written.
fn shaped<'a>(part: &'a str, name: &'a str) -> &'a str {
    if glob(part, name) { part } else { name }
}

fn nearest(written: &str, pattern: &impl Pattern, catalogs: &[&Catalog]) -> Option<String> {
    // Others are too far away whatever their letters.
    let near = 1 + written.len() / 4;
    let mut names = BTreeSet::new();
    for catalog in catalogs {
        pattern.alike(catalog, &mut |name| {
            if name.len().abs_diff(written.len()) <= near {
                names.insert(name);
            }
        });
    }
    suggest::nearest(written, names.iter().map(String::as_str)).map(str::to_owned)
}
