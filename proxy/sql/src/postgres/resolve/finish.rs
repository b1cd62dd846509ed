//! From what was gathered to facts, by name.

use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Names, Resolver, Touch};
use crate::{
    CatalogFacts, ColumnName, RelationName,
    catalog::{Routine, Thing, Trigger},
    facts::shown,
};

/// What resolution adds to a statement's facts.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub columns: BTreeSet<ColumnName>,
    pub columns_known: bool,
    pub doubts: BTreeSet<String>,
    pub catalog: Option<CatalogFacts>,
    pub kinds: BTreeSet<String>,
    pub classes: BTreeSet<crate::StatementClass>,
    pub writes: BTreeSet<RelationName>,
    pub functions: BTreeSet<crate::FunctionName>,
    /// A definition it goes through depends on what only the session has.
    pub positioned: bool,
}

impl Resolver<'_> {
    /// Goes through the types of the columns that are touched. Doing it again adds nothing.
    pub(crate) fn settle(&mut self) {
        self.touched.sort_unstable();
        self.touched.dedup();
        let touched = std::mem::take(&mut self.touched);
        for touch in &touched {
            if let Touch::Column {
                relation, column, ..
            } = touch
            {
                self.column_type(*relation, *column);
            }
        }
        self.touched = touched;
    }

    pub(crate) fn finish(mut self) -> Resolved {
        self.settle();
        let touched = std::mem::take(&mut self.touched);
        let mut reached = self
            .names
            .map(|names| self.reached(names))
            .unwrap_or_default();
        let run = self.judge_code();
        reached.extend(run.iter().copied().map(Thing::Routine));
        let columns = self.named_columns(&touched);
        let catalog = self.names.map(|names| self.facts(names, &run, reached));
        let positioned = self.seen.positioned;
        Resolved {
            columns,
            columns_known: !self.columns_unknown,
            doubts: self.doubts,
            catalog,
            kinds: self.rules.kinds,
            classes: self.rules.classes,
            writes: self.rules.writes,
            functions: self.rules.functions,
            positioned,
        }
    }

    /// Columns by name: with those of the same name above and below in inheritance.
    fn named_columns(&mut self, touched: &[Touch]) -> BTreeSet<ColumnName> {
        let mut columns = BTreeSet::new();
        let mut kin: BTreeMap<(u32, bool), Vec<u32>> = BTreeMap::new();
        for touch in touched {
            let (relation, column, only) = match touch {
                Touch::Named(name) => {
                    columns.insert(ColumnName::clone(name));
                    continue;
                }
                Touch::Column {
                    relation,
                    column,
                    only,
                } => (*relation, *column, *only),
            };
            let Some(names) = self.names else { continue };
            let Some(name) = names.column(relation, column).map(|column| &column.name) else {
                continue;
            };
            let family = match kin.get(&(relation, only)) {
                Some(family) => family,
                None => {
                    let family = self.family(relation, only);
                    kin.entry((relation, only)).or_insert(family)
                }
            };
            let has = |at: &u32| *at == relation || names.column_named(*at, name).is_some();
            for at in family.iter().copied().filter(has) {
                columns.insert(ColumnName {
                    relation: names.name_of(at),
                    name: name.clone(),
                });
            }
        }
        columns
    }

    /// A relation, its ancestors, and unless `only` its descendants.
    fn family(&mut self, relation: u32, only: bool) -> Vec<u32> {
        let mut family = vec![relation];
        let mut next = 0;
        while let Some(names) = self.names
            && let Some(at) = family.get(next).copied()
        {
            next += 1;
            let parents = names.relation(at).map_or(&[][..], |one| &one.parents);
            for parent in parents.iter().filter_map(|oid| names.index.by_oid(*oid)) {
                if !family.contains(&parent) {
                    family.push(parent);
                }
            }
        }
        if !only {
            family.extend(self.descendants(relation));
        }
        family
    }

    /// Everything with a definition that the statement leads to at once; the catalog knows what that leads to.
    fn reached(&self, names: Names<'_>) -> BTreeSet<Thing> {
        let seen = &self.seen;
        let relations = [
            &seen.reads,
            &seen.writes,
            &seen.through,
            &seen.foreign,
            &seen.cascades,
        ];
        let relations = relations.into_iter().flatten().copied();
        let fired = seen.triggers.iter().map(|(relation, _)| *relation);
        let mut reached: BTreeSet<Thing> = relations.chain(fired).map(Thing::Relation).collect();
        reached.extend(self.in_play.iter().copied().map(Thing::from));
        for code in &self.code {
            match code {
                Code::Call { routines, .. } => {
                    reached.extend(routines.iter().copied().map(Thing::Routine));
                }
                Code::Operator { operators, .. } => {
                    let used = operators.iter().filter_map(|at| names.operator(*at));
                    let called = used.flat_map(|one| names.routines_named(&one.function));
                    reached.extend(called.map(Thing::Routine));
                }
                Code::Base(at) | Code::Compare(at) => {
                    reached.insert(Thing::Type(*at));
                }
                Code::Scan(at) => {
                    reached.insert(Thing::Relation(*at));
                }
                // What of these runs is known when they have been judged.
                Code::Cast(_) | Code::Assignment => {}
            }
        }
        reached
    }

    fn facts(
        &self,
        names: Names<'_>,
        run: &BTreeSet<u32>,
        reached: BTreeSet<Thing>,
    ) -> CatalogFacts {
        let seen = &self.seen;
        let named = |list: &BTreeSet<u32>| -> BTreeSet<RelationName> {
            list.iter().filter_map(|at| names.name_of(*at)).collect()
        };
        let triggers = seen.triggers.iter().filter_map(|(relation, trigger)| {
            let on = names.name_of(*relation)?;
            Some(trigger_line(names.trigger(*relation, *trigger)?, &on))
        });
        CatalogFacts {
            missing: seen.missing.clone(),
            reads: named(&seen.reads),
            writes: named(&seen.writes),
            through: named(&seen.through),
            foreign: named(&seen.foreign),
            cascades: named(&seen.cascades),
            triggers: triggers.collect(),
            routines: run
                .iter()
                .filter_map(|at| names.routine(*at))
                .map(routine_line)
                .collect(),
            one_row: false,
            definitions: names.catalog.definitions(reached),
        }
    }
}

fn trigger_line(trigger: &Trigger, on: &RelationName) -> String {
    let function = RelationName::from(&trigger.function);
    format!("{} on {on}: {function}()", shown(&trigger.name))
}

fn routine_line(routine: &Routine) -> String {
    let name = RelationName::from(&routine.name);
    let volatility = match routine.volatility {
        'i' => "immutable",
        's' => "stable",
        _ => "volatile",
    };
    let definer = if routine.security_definer {
        ", security definer"
    } else {
        ""
    };
    let untrusted = if routine.trusted { "" } else { ", untrusted" };
    format!(
        "{name} ({volatility}{definer}, {}{untrusted}, owner {})",
        shown(&routine.language),
        shown(&routine.owner)
    )
}
