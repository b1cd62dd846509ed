//! What hangs on the relations of a statement: children, foreign keys, triggers, views.
//!
//! Pure: reads the answer to `neighbours.sql` and walks it. Names that could hold a value are shown with a
//! stand-in (invariant 7).

use std::collections::{BTreeMap, BTreeSet};

use abeyance_sql::{RelationName, shown};
use serde::Deserialize;

/// Most relations that are followed; `neighbours.sql` stops there too.
pub(super) const RELATIONS_MAX: usize = 400;

/// With fewer rows than this it makes no difference how they are found.
const SMALL_ROWS: f64 = 1000.0;

pub(super) type Oid = u32;

/// The answer, with its relations by oid.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    pub(super) relations: BTreeMap<Oid, Relation>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) triggers: Vec<Trigger>,
    pub(super) views: Vec<Name>,
    /// There is more than was followed.
    pub(super) cut: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Name {
    pub(super) schema: String,
    pub(super) name: String,
}

impl Name {
    /// For reviewers: without the schema most things are in.
    pub(super) fn words(&self) -> String {
        match self.schema.as_str() {
            "public" => shown(&self.name).to_owned(),
            schema => format!("{}.{}", shown(schema), shown(&self.name)),
        }
    }

    /// For queries.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Relation {
    pub(super) oid: Oid,
    #[serde(flatten)]
    pub(super) name: Name,
    /// As `pg_class.relkind`.
    pub(super) kind: char,
    /// By the last ANALYZE or VACUUM; `None` before the first.
    pub(super) rows: Option<f64>,
    /// What it has rules for, as `pg_rewrite.ev_type`.
    pub(super) rules: Option<Vec<char>>,
    pub(super) row_security: bool,
    /// It has policies that are not for every command.
    pub(super) policies_differ: bool,
    pub(super) parents: Option<Vec<Oid>>,
}

impl Relation {
    /// Has rows of its own.
    pub(super) fn stores(&self) -> bool {
        matches!(self.kind, 'r' | 'm' | 't')
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.kind, 'r' | 'p')
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ForeignKey {
    pub(super) oid: Oid,
    /// The key of a partitioned table this one stands for; 0: none.
    pub(super) parent: Oid,
    pub(super) from: Oid,
    pub(super) to: Oid,
    /// As `pg_constraint.confdeltype`.
    pub(super) on_delete: char,
    pub(super) on_update: char,
    pub(super) columns: Vec<String>,
    pub(super) referenced: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Trigger {
    pub(super) relation: Oid,
    pub(super) name: String,
    /// As `pg_trigger.tgtype`.
    #[serde(rename = "type")]
    pub(super) flags: i32,
    pub(super) schema: String,
    pub(super) function: String,
    /// UPDATE OF these; `None`: any.
    pub(super) columns: Option<Vec<String>>,
}

/// Why a count of rows may not be what the server reports, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It reports that many at most.
    Fewer(&'static str),
    /// The same, where the statement has conditions.
    FewerOfSome(&'static str),
    Other(&'static str),
}

/// What makes a trigger fire, as bits of `tgtype`.
pub(super) mod fires {
    pub(in super::super) const ROW: i32 = 1;
    pub(in super::super) const BEFORE: i32 = 2;
    pub(in super::super) const INSERT: i32 = 4;
    pub(in super::super) const DELETE: i32 = 8;
    pub(in super::super) const UPDATE: i32 = 16;
    pub(in super::super) const TRUNCATE: i32 = 32;
    pub(in super::super) const INSTEAD: i32 = 64;
}

#[derive(Deserialize)]
struct Raw {
    relations: Option<Vec<Relation>>,
    reached: Option<Vec<Oid>>,
    foreign_keys: Option<Vec<ForeignKey>>,
    triggers: Option<Vec<Trigger>>,
    views: Option<Vec<Name>>,
}

impl Neighbours {
    pub(super) fn from_json(json: &[u8]) -> Option<Self> {
        let raw: Raw = serde_json::from_slice(json).ok()?;
        let relations = raw.relations.unwrap_or_default();
        Some(Self {
            relations: relations.into_iter().map(|r| (r.oid, r)).collect(),
            foreign_keys: raw.foreign_keys.unwrap_or_default(),
            triggers: raw.triggers.unwrap_or_default(),
            views: raw.views.unwrap_or_default(),
            cut: raw.reached.is_some_and(|oids| oids.len() >= RELATIONS_MAX),
        })
    }

    pub(super) fn words(&self, oid: Oid) -> String {
        self.relations
            .get(&oid)
            .map_or_else(|| "a table that is gone".to_owned(), |r| r.name.words())
    }

    /// A relation with everything below it: partitions and children.
    pub(super) fn family(&self, root: Oid) -> BTreeSet<Oid> {
        let mut family = BTreeSet::from([root]);
        loop {
            let more: Vec<Oid> = self
                .relations
                .values()
                .filter(|relation| !family.contains(&relation.oid))
                .filter(|relation| {
                    let parents = relation.parents.as_deref().unwrap_or_default();
                    parents.iter().any(|parent| family.contains(parent))
                })
                .map(|relation| relation.oid)
                .collect();
            if more.is_empty() {
                return family;
            }
            family.extend(more);
        }
    }

    /// It is known to have few rows.
    pub(super) fn is_small(&self, name: &RelationName) -> bool {
        let same = |relation: &&Relation| {
            relation.name.name == name.name
                && name
                    .schema
                    .as_ref()
                    .is_none_or(|schema| *schema == relation.name.schema)
        };
        let found = self.relations.values().find(same);
        found.is_some_and(|relation| relation.rows.is_some_and(|rows| rows < SMALL_ROWS))
    }

    /// Rows of a relation and everything below it by the last ANALYZE; `None` when one was never analysed.
    pub(super) fn rows(&self, root: Oid) -> Option<f64> {
        let family = self.family(root);
        let members = family.iter().filter_map(|oid| self.relations.get(oid));
        members
            .filter(|relation| relation.stores())
            .map(|relation| relation.rows)
            .sum()
    }

    /// Foreign keys that refer to a relation. The keys of partitions are those of their table.
    pub(super) fn referring(&self, to: Oid) -> Vec<&ForeignKey> {
        let family = self.family(to);
        let hits: Vec<&ForeignKey> = self
            .foreign_keys
            .iter()
            .filter(|key| family.contains(&key.to))
            .collect();
        let have: BTreeSet<Oid> = hits.iter().map(|key| key.oid).collect();
        hits.into_iter()
            .filter(|key| !have.contains(&key.parent))
            .collect()
    }

    /// Every relation whose rows TRUNCATE ... CASCADE of these would take along, with its family.
    pub(super) fn truncated_along(&self, roots: &BTreeSet<Oid>) -> BTreeSet<Oid> {
        let mut all: BTreeSet<Oid> = roots.iter().flat_map(|root| self.family(*root)).collect();
        loop {
            let more: BTreeSet<Oid> = self
                .foreign_keys
                .iter()
                .filter(|key| all.contains(&key.to) && !all.contains(&key.from))
                .flat_map(|key| self.family(key.from))
                .collect();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    /// Triggers that fire for an event on a relation or below it, in words. `sets`: the columns an UPDATE
    /// gives, where they are known.
    pub(super) fn fired(
        &self,
        root: Oid,
        event: i32,
        sets: Option<&BTreeSet<String>>,
    ) -> Vec<String> {
        let family = self.family(root);
        self.triggers
            .iter()
            .filter(|trigger| family.contains(&trigger.relation) && trigger.flags & event != 0)
            // Statement triggers fire for the table that is named.
            .filter(|trigger| trigger.flags & fires::ROW != 0 || trigger.relation == root)
            .filter(|trigger| match (&trigger.columns, sets) {
                (Some(of), Some(sets)) if event == fires::UPDATE => {
                    of.iter().any(|column| sets.contains(column))
                }
                _ => true,
            })
            .map(|trigger| self.trigger_words(trigger))
            .collect()
    }

    fn trigger_words(&self, trigger: &Trigger) -> String {
        let function = Name {
            schema: trigger.schema.clone(),
            name: trigger.function.clone(),
        };
        format!(
            "{} on {}: {}()",
            shown(&trigger.name),
            self.words(trigger.relation),
            function.words()
        )
    }

    /// What may make a count of rows differ from what the server reports.
    pub(super) fn inexact(&self, root: Oid, event: i32) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let before = fires::ROW | fires::BEFORE | event;
        let skips = |trigger: &Trigger| {
            let family = self.family(root);
            family.contains(&trigger.relation)
                && (trigger.flags & before == before || trigger.flags & fires::INSTEAD != 0)
        };
        if self.triggers.iter().any(skips) {
            doubts.push(Doubt::Fewer("a trigger may leave rows out"));
        }
        let root = self.relations.get(&root);
        if root.is_some_and(|relation| relation.row_security && relation.policies_differ) {
            doubts.push(Doubt::FewerOfSome("row security may leave rows out"));
        }
        let ruled = |relation: &Relation| {
            let rules = relation.rules.as_deref().unwrap_or_default();
            let of = |rule: &char| match rule {
                '2' => fires::UPDATE,
                '3' => fires::INSERT,
                '4' => fires::DELETE,
                _ => 0,
            };
            relation.is_table() && rules.iter().any(|rule| of(rule) & event != 0)
        };
        if root.is_some_and(ruled) {
            doubts.push(Doubt::Other("rules of the table change what is done"));
        }
        doubts
    }
}
