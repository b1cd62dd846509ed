//! What everything a statement reaches is defined as, in one digest: when a definition changes, the digest does, and
//! what changes elsewhere leaves it alone.
//!
//! Followed are views, rules, triggers, defaults, checks, policies, domains and the bodies of routines. A body is not
//! read as a program: every word of it that is the name of a relation or routine counts as reached. So more may be
//! reached than runs; what a body puts together from pieces is not seen.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Catalog, Column, ForeignKey, Index, QualifiedName, RewriteRule, Trigger};
use crate::{facts::Definitions, postgres::TypeKey};

/// Most things one statement may reach before the whole catalog counts as reached.
const REACH_MAX: usize = 2_000;

/// Something that has a definition, by its position in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Thing {
    Relation(u32),
    Routine(u32),
    Type(u32),
}

/// The definition of one thing, and what it leads to.
#[derive(Debug)]
pub(crate) struct Mark {
    digest: [u8; 32],
    leads: Box<[Thing]>,
}

impl Catalog {
    /// The digest of all that is reached from here.
    pub(crate) fn definitions(&self, from: BTreeSet<Thing>) -> Definitions {
        let mut left: Vec<Thing> = from.iter().copied().collect();
        let mut reached = from;
        while let Some(thing) = left.pop() {
            let Some(mark) = self.mark(thing) else {
                continue;
            };
            left.extend(mark.leads.iter().filter(|to| reached.insert(**to)));
            if reached.len() > REACH_MAX {
                return *self.index().all_definitions.get_or_init(|| self.all());
            }
        }
        self.sum(reached.into_iter())
    }

    fn all(&self) -> Definitions {
        let count = |length: usize| 0..u32::try_from(length).unwrap_or(u32::MAX);
        let relations = count(self.relations.len()).map(Thing::Relation);
        let routines = count(self.routines.len()).map(Thing::Routine);
        let types = count(self.types.len()).map(Thing::Type);
        self.sum(relations.chain(routines).chain(types))
    }

    /// The same whatever order things have in the catalog.
    fn sum(&self, things: impl Iterator<Item = Thing>) -> Definitions {
        let marks = things.filter_map(|thing| self.mark(thing));
        let mut digests: Vec<[u8; 32]> = marks.map(|mark| mark.digest).collect();
        digests.sort_unstable();
        let mut hasher = Sha256::new();
        digests.iter().for_each(|digest| hasher.update(digest));
        Definitions(hasher.finalize().into())
    }

    fn mark(&self, thing: Thing) -> Option<&Mark> {
        let index = self.index();
        match thing {
            Thing::Relation(at) => {
                let cell = index.relation_marks.get(at as usize)?;
                Some(cell.get_or_init(|| self.mark_relation(index, at)))
            }
            Thing::Routine(at) => {
                let cell = index.routine_marks.get(at as usize)?;
                Some(cell.get_or_init(|| self.mark_routine(index, at)))
            }
            Thing::Type(at) => {
                let cell = index.type_marks.get(at as usize)?;
                Some(cell.get_or_init(|| self.mark_type(index, at)))
            }
        }
    }

    fn mark_relation(&self, index: &Index, at: u32) -> Mark {
        let Some(relation) = self.relations.get(at as usize) else {
            return Mark::nothing();
        };
        // A session's own schema has another number in each.
        let schema = match relation.temporary {
            true => "pg_temp",
            false => relation.name.schema.as_str(),
        };
        let mut leads = Leads::of(self, index);
        let conditions = relation
            .triggers
            .iter()
            .filter_map(|one| one.conditional.as_ref());
        let rules = relation.rules.iter().map(|rule| &rule.definition);
        let texts = relation.definition.iter().chain(rules).chain(conditions);
        let texts = texts.chain(&relation.on_read).chain(&relation.on_write);
        texts.for_each(|text| leads.words(text));
        let fired = relation.triggers.iter().map(|trigger| &trigger.function);
        let compares = relation.on_compare.iter().chain(&relation.on_scan);
        fired.chain(compares).for_each(|name| leads.routine(name));
        for column in &relation.columns {
            leads.of_type(&column.type_name);
        }
        let defined = DefinedRelation {
            schema,
            name: &relation.name.name,
            kind: relation.kind,
            owner: &relation.owner,
            columns: &relation.columns,
            definition: relation.definition.as_deref(),
            rules: &relation.rules,
            triggers: &relation.triggers,
            parents: &relation.parents,
            foreign_keys: &relation.foreign_keys,
            row_security: relation.row_security,
            on_read: relation.on_read.iter().collect(),
            on_write: relation.on_write.iter().collect(),
            detail: relation.detail.as_deref(),
        };
        leads.mark(&("relation", defined))
    }

    fn mark_routine(&self, index: &Index, at: u32) -> Mark {
        let Some(routine) = self.routines.get(at as usize) else {
            return Mark::nothing();
        };
        let mut leads = Leads::of(self, index);
        routine.mentions.iter().for_each(|name| leads.word(name));
        leads.mark(&("routine", &routine.name, &routine.arguments, routine))
    }

    fn mark_type(&self, index: &Index, at: u32) -> Mark {
        let Some(of) = self.types.get(at as usize) else {
            return Mark::nothing();
        };
        let mut leads = Leads::of(self, index);
        of.on_make.iter().for_each(|text| leads.words(text));
        of.on_compare.iter().for_each(|name| leads.routine(name));
        match &of.kind {
            super::TypeKind::Domain { over: of }
            | super::TypeKind::Range { of }
            | super::TypeKind::Array { of } => leads.of_type(of),
            super::TypeKind::Composite { columns } => {
                columns
                    .iter()
                    .for_each(|column| leads.of_type(&column.type_name));
            }
            super::TypeKind::Enum | super::TypeKind::Base => {}
        }
        let checks: BTreeSet<&String> = of.on_make.iter().collect();
        leads.mark(&("type", &of.name, &of.kind, checks, &of.on_compare))
    }

    /// Keeps of each routine's text its digest and the names in it. The text may be long, and is nobody's business.
    pub(super) fn digest_sources(&mut self) {
        let relations = self.relations.iter().map(|one| &one.name.name);
        let routines = self.routines.iter().map(|one| &one.name.name);
        let types = self.types.iter().map(|one| &one.name.name);
        let known: HashSet<String> = relations.chain(routines).chain(types).cloned().collect();
        let odd: Vec<&String> = known.iter().filter(|name| !is_word(name)).collect();
        for routine in &mut self.routines {
            let Some(source) = routine.source.take() else {
                continue;
            };
            routine.digest = hex::encode(Sha256::digest(source.as_bytes()));
            let mut mentions: BTreeSet<String> = BTreeSet::new();
            for word in words(&source) {
                let folded = word.to_ascii_lowercase();
                mentions.extend([folded.as_str(), word].into_iter().filter_map(|word| {
                    let known = known.get(word)?;
                    Some(known.clone())
                }));
            }
            let quoted = odd.iter().filter(|name| source.contains(name.as_str()));
            mentions.extend(quoted.map(|name| (*name).clone()));
            mentions.remove(&routine.name.name);
            routine.mentions = mentions.into_iter().collect();
        }
    }
}

/// What of a relation decides what statements on it do. No sizes: they change by themselves.
#[derive(Serialize)]
struct DefinedRelation<'c> {
    schema: &'c str,
    name: &'c str,
    kind: super::RelationKind,
    owner: &'c str,
    columns: &'c [Column],
    definition: Option<&'c str>,
    rules: &'c [RewriteRule],
    triggers: &'c [Trigger],
    parents: &'c [u32],
    foreign_keys: &'c [ForeignKey],
    row_security: bool,
    on_read: BTreeSet<&'c String>,
    on_write: BTreeSet<&'c String>,
    detail: Option<&'c str>,
}

impl Mark {
    fn nothing() -> Self {
        Self {
            digest: [0; 32],
            leads: Box::default(),
        }
    }
}

/// Gathers what a definition leads to.
struct Leads<'c> {
    catalog: &'c Catalog,
    index: &'c Index,
    to: BTreeSet<Thing>,
}

impl<'c> Leads<'c> {
    fn of(catalog: &'c Catalog, index: &'c Index) -> Self {
        Self {
            catalog,
            index,
            to: BTreeSet::new(),
        }
    }

    fn words(&mut self, text: &str) {
        for word in words(text) {
            self.word(word);
            if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
                self.word(&word.to_ascii_lowercase());
            }
        }
        // A name in quotes is written as it is.
        for quoted in text
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|name| !is_word(name))
        {
            self.word(quoted);
        }
    }

    fn word(&mut self, word: &str) {
        let relations = self.index.relations(word).iter().copied();
        self.to.extend(relations.map(Thing::Relation));
        let routines = self.index.routines(word).iter().copied();
        self.to.extend(routines.map(Thing::Routine));
        let types = self.index.types(word).iter().copied();
        self.to.extend(types.map(Thing::Type));
    }

    fn routine(&mut self, name: &QualifiedName) {
        let named = |at: &u32| self.catalog.routines.get(*at as usize).map(|one| &one.name);
        let routines = self.index.routines(&name.name).iter().copied();
        let routines = routines.filter(|at| named(at) == Some(name));
        self.to.extend(routines.map(Thing::Routine));
    }

    fn of_type(&mut self, name: &QualifiedName) {
        let types = self.index.types(&name.name).iter().copied();
        self.to.extend(types.map(Thing::Type));
    }

    fn mark(self, definition: &impl Serialize) -> Mark {
        // Plain data always has a JSON form.
        let json = serde_json::to_vec(definition).unwrap_or_default();
        Mark {
            digest: Sha256::digest(json).into(),
            leads: self.to.into_iter().collect(),
        }
    }
}

impl From<TypeKey> for Thing {
    fn from(key: TypeKey) -> Self {
        match key {
            TypeKey::Row(at) => Self::Relation(at),
            TypeKey::Type(at) => Self::Type(at),
        }
    }
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn is_word(name: &str) -> bool {
    name.chars().all(in_word)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !in_word(c)).filter(|word| !word.is_empty())
}
