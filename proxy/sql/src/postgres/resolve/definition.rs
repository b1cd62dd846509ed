//! Definitions the server keeps as SQL: views, rules, policies, defaults, checks. Read once for a
//! catalog, bounded in size and depth.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use pg_query::{Node, NodeEnum as N, protobuf as pb};

use super::{Expanded, Item, Open, Resolver, Room, Seen, Shape, Source, effect::CONDITIONAL};
use crate::{
    OpaqueReason, StatementClass,
    catalog::RelationKind,
    postgres::{bounds, walk},
};

/// Longest definition that is read.
const DEFINITION_BYTES_MAX: usize = 128 * 1024;
/// Most definitions one inside another.
const EXPANDING_MAX: usize = 24;

/// What a statement of a definition sees besides its own FROM.
pub(crate) enum Around {
    Nothing,
    /// The rows of a relation, by these names.
    Rows(u32, &'static [&'static str]),
    /// A value that has no relation: of a domain's check.
    Value,
}

impl Resolver<'_> {
    /// A view's query.
    pub(crate) fn view(&mut self, at: u32) -> Arc<Expanded> {
        let Some(names) = self.names else {
            return Arc::default();
        };
        let Some(relation) = names.relation(at) else {
            return Arc::default();
        };
        let Some(cell) = names.index.views.get(at as usize) else {
            return Arc::default();
        };
        let definition = relation.definition.as_deref().unwrap_or_default();
        self.remembered(cell, at, |resolver, room| {
            let mut expanded = resolver.expand(definition, &Around::Nothing, at, room)?;
            let mut shape = Shape::clone(&expanded.shape);
            if shape.columns.len() != relation.columns.len() || !shape.open.is_empty() {
                expanded.columns_unknown = true;
            }
            shape.open.clear();
            shape.columns.truncate(relation.columns.len());
            // The view may name them otherwise since it was made.
            for (out, known) in shape.columns.iter_mut().zip(&relation.columns) {
                out.name.clone_from(&known.name);
                out.from.sort_unstable();
                out.from.dedup();
            }
            for (column, known) in (0..).zip(&relation.columns) {
                let ty = super::Ty::Column {
                    relation: at,
                    column,
                };
                match shape.columns.get_mut(usize::from(column)) {
                    Some(out) => out.ty = ty,
                    None => shape.columns.push(super::OutColumn {
                        name: known.name.clone(),
                        from: Vec::new(),
                        ty,
                    }),
                }
            }
            shape.view = Some(at);
            expanded.shape = Arc::new(shape);
            Some(expanded)
        })
    }

    /// Row security policies of a table.
    pub(crate) fn on_read(&mut self, at: u32) -> Arc<Expanded> {
        self.expressions(at, true)
    }

    /// Defaults, checks, index expressions and policies of a table.
    pub(crate) fn on_write(&mut self, at: u32) -> Arc<Expanded> {
        self.expressions(at, false)
    }

    fn expressions(&mut self, at: u32, reading: bool) -> Arc<Expanded> {
        let Some(names) = self.names else {
            return Arc::default();
        };
        let Some(relation) = names.relation(at) else {
            return Arc::default();
        };
        let (cells, texts) = if reading {
            (&names.index.readings, &relation.on_read)
        } else {
            (&names.index.writings, &relation.on_write)
        };
        let Some(cell) = cells.get(at as usize) else {
            return Arc::default();
        };
        self.remembered(cell, at, |resolver, room| {
            let mut all = Expanded::default();
            for text in texts {
                let around = Around::Rows(at, &[]);
                let one = resolver.expand(&format!("SELECT {text}"), &around, at, room)?;
                all.take(&one);
                if !reading {
                    // A check looks at what is stored anyway; only a policy reads rows.
                    all.touched.clear();
                }
            }
            Some(all)
        })
    }

    /// Checks and defaults of a type.
    pub(crate) fn making(&mut self, at: u32) -> Arc<Expanded> {
        let Some(names) = self.names else {
            return Arc::default();
        };
        let (Some(of), Some(cell)) = (names.type_at(at), names.index.makings.get(at as usize))
        else {
            return Arc::default();
        };
        self.remembered(cell, u32::MAX, |resolver, room| {
            let mut all = Expanded::default();
            for text in &of.on_make {
                let text = format!("SELECT {text}");
                all.take(&resolver.expand(&text, &Around::Value, u32::MAX, room)?);
            }
            Some(all)
        })
    }

    /// A rule's actions, as statements of their own.
    pub(crate) fn rule(&mut self, at: u32, _number: usize, definition: &str) -> Arc<Expanded> {
        let room = self.room;
        let expanded = self.guarded(at, |resolver| {
            resolver.expand(definition, &Around::Rows(at, &["old", "new"]), at, room)
        });
        Arc::new(expanded)
    }

    /// The condition of a trigger. What it looks at is what is stored anyway.
    pub(crate) fn condition(&mut self, at: u32, definition: &str) -> Expanded {
        let room = self.room;
        let mut expanded = self.guarded(at, |resolver| {
            resolver.expand(definition, &Around::Rows(at, &["old", "new"]), at, room)
        });
        expanded.touched.clear();
        expanded
    }

    /// A definition's meaning, from memory or worked out now.
    fn remembered(
        &mut self,
        cell: &OnceLock<Arc<Expanded>>,
        at: u32,
        work: impl FnOnce(&mut Self, Room) -> Option<Expanded>,
    ) -> Arc<Expanded> {
        if let Some(known) = cell.get() {
            return Arc::clone(known);
        }
        let room = self.room;
        let before = self.needs_room;
        self.needs_room = false;
        let expanded = Arc::new(self.guarded(at, |resolver| work(resolver, room)));
        if !self.needs_room {
            drop(cell.set(Arc::clone(&expanded)));
        }
        self.needs_room |= before;
        expanded
    }

    /// Ends circles, and what is too deep to go into.
    fn guarded(&mut self, at: u32, work: impl FnOnce(&mut Self) -> Option<Expanded>) -> Expanded {
        let circle = at != u32::MAX && self.expanding.iter().filter(|one| **one == at).count() > 2;
        if circle || self.expanding.len() > EXPANDING_MAX {
            return unreadable("goes through definitions that are nested too deeply");
        }
        self.expanding.push(at);
        let expanded = work(self);
        self.expanding.pop();
        expanded.unwrap_or_else(|| unreadable("goes through a definition that cannot be read"))
    }

    /// Parses one definition and walks it with a resolver of its own. `None` when it cannot be.
    fn expand(&mut self, sql: &str, around: &Around, at: u32, room: Room) -> Option<Expanded> {
        let names = self.names?.for_definitions();
        if sql.len() > DEFINITION_BYTES_MAX || !self.step(sql.len() / 64) {
            return None;
        }
        let scanned = bounds::scan(sql, true).ok()?;
        let Some(left) = room.left.checked_sub(scanned.depth) else {
            self.needs_room |= room.more_elsewhere;
            return None;
        };
        let tree = pg_query::parse(sql, pg_query::ParserOptions::DEFAULT).ok()?;
        let tree = tree.protobuf;
        let [statement] = tree.stmts.as_slice() else {
            return None;
        };
        let mut resolver = Resolver::new(Some(names), Room { left, ..room });
        resolver.expanding.clone_from(&self.expanding);
        resolver.carries_expressions = true;
        resolver.surround(around);
        let statement = statement.stmt.as_ref()?.node.as_ref()?;
        let mut expanded = match statement {
            N::RuleStmt(rule) => walk::rule_meaning(rule, resolver),
            N::SelectStmt(select) => {
                let mut expanded = walk::query_meaning(select, resolver);
                if matches!(around, Around::Nothing) {
                    expanded.seen.bases = self.bases(select, names);
                }
                expanded
            }
            N::CreateTrigStmt(trigger) => {
                walk::query_meaning(&selecting(trigger.when_clause.as_deref()?), resolver)
            }
            _ => return None,
        };
        self.needs_room |= std::mem::take(&mut expanded.needs_room);
        let _ = at;
        expanded.touched.sort_unstable();
        expanded.touched.dedup();
        Some(expanded)
    }

    /// Puts into scope what a definition may speak of.
    fn surround(&mut self, around: &Around) {
        match around {
            Around::Nothing => {}
            Around::Value => {
                self.enter();
                self.bring(Item {
                    name: "value".to_owned(),
                    schema: None,
                    source: Source::Shape(Arc::new(Shape {
                        open: BTreeSet::from([Open::Values]),
                        ..Shape::default()
                    })),
                });
            }
            Around::Rows(at, aliases) => {
                self.enter();
                let Some(relation) = self.names.and_then(|names| names.relation(*at)) else {
                    return;
                };
                let source = match relation.kind {
                    RelationKind::View => Source::Shape(Arc::clone(&self.view(*at).shape)),
                    _ => Source::Table {
                        relation: *at,
                        only: false,
                    },
                };
                let own = [relation.name.name.as_str()];
                let aliases = if aliases.is_empty() {
                    &own[..]
                } else {
                    aliases
                };
                for alias in aliases {
                    self.bring(Item {
                        name: (*alias).to_owned(),
                        schema: None,
                        source: source.clone(),
                    });
                }
            }
        }
    }

    /// The relations of a view's FROM, which a write to it goes to.
    fn bases(
        &self,
        select: &pb::SelectStmt,
        names: super::Names<'_>,
    ) -> std::collections::BTreeSet<u32> {
        let [
            Node {
                node: Some(N::RangeVar(relation)),
            },
        ] = select.from_clause.as_slice()
        else {
            return std::collections::BTreeSet::new();
        };
        let schema = Some(relation.schemaname.as_str()).filter(|schema| !schema.is_empty());
        match names.find_relation(schema, &relation.relname) {
            super::Found::Relation(at) => [at].into(),
            super::Found::System | super::Found::Missing => std::collections::BTreeSet::new(),
        }
    }

    /// Everything gathered, as a definition's meaning.
    pub(crate) fn meaning(self, shape: Shape) -> Expanded {
        let Self {
            touched,
            columns_unknown,
            seen,
            doubts,
            code,
            fixed,
            in_play,
            needs_room,
            rules,
            ..
        } = self;
        Expanded {
            shape: Arc::new(shape),
            touched,
            columns_unknown,
            seen,
            doubts,
            code,
            fixed,
            in_play,
            needs_room,
            kinds: rules.kinds,
            classes: rules.classes,
            writes: rules.writes,
            functions: rules.functions,
            opaque: None,
        }
    }
}

impl Expanded {
    /// Joins what another definition does to this one.
    pub(crate) fn take(&mut self, other: &Self) {
        self.touched.extend_from_slice(&other.touched);
        self.columns_unknown |= other.columns_unknown;
        self.seen.extend(&other.seen);
        self.doubts.extend(other.doubts.iter().cloned());
        self.code.extend(other.code.iter().cloned());
        self.fixed.extend(other.fixed.iter().cloned());
        self.in_play.extend(&other.in_play);
        self.kinds.extend(other.kinds.iter().cloned());
        self.classes.extend(&other.classes);
        self.writes.extend(other.writes.iter().cloned());
        self.functions.extend(other.functions.iter().cloned());
        if self.opaque.is_none() {
            self.opaque.clone_from(&other.opaque);
        }
    }

    /// Marks a rule that applies only under a condition.
    pub(crate) fn conditional(&mut self) {
        self.kinds.insert(CONDITIONAL.to_owned());
    }

    pub(crate) fn is_a(&mut self, kind: &str, class: StatementClass) {
        self.kinds.insert(kind.to_owned());
        self.classes.insert(class);
    }

    pub(crate) fn refuses(&mut self, reason: OpaqueReason) {
        self.opaque.get_or_insert(reason);
    }
}

/// A query of one expression.
fn selecting(expression: &Node) -> pb::SelectStmt {
    let target = pb::ResTarget {
        val: Some(Box::new(expression.clone())),
        ..pb::ResTarget::default()
    };
    pb::SelectStmt {
        target_list: vec![Node {
            node: Some(N::ResTarget(Box::new(target))),
        }],
        ..pb::SelectStmt::default()
    }
}

fn unreadable(why: &str) -> Expanded {
    Expanded {
        columns_unknown: true,
        doubts: [why.to_owned()].into(),
        seen: Seen::default(),
        ..Expanded::default()
    }
}
