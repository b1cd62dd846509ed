//! What a column's name leads to among what is in scope: columns, whole rows, and calls written as columns. Errs
//! towards more: what may be meant is touched.

use super::{
    Item, Level, Open, Parts, Resolver, Shape, Source, Touch, Ty, TypeKey,
    scope::{find_item, named},
};
use crate::{ColumnName, RelationName, facts::shown, postgres::builtin};

/// Whether an item has a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Has {
    Yes(Ty),
    Maybe,
    No,
}

const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

impl Resolver<'_> {
    /// Everything a column reference leads to, and its type.
    pub(crate) fn column(&mut self, parts: &Parts<'_>, into: &mut Vec<Touch>) -> Ty {
        let items: usize = self.levels.iter().map(|level| level.items.len()).sum();
        if !self.step(items / 8) || self.is_spent() {
            return Ty::Unknown;
        }
        match *parts.names() {
            [] => Ty::Unknown,
            [name] => self.unqualified(name, into),
            [relation, name] => self.qualified(None, relation, name, into),
            [.., schema, relation, name] => self.qualified(Some(schema), relation, name, into),
        }
    }

    fn unqualified(&mut self, name: &str, into: &mut Vec<Touch>) -> Ty {
        let levels = std::mem::take(&mut self.levels);
        let mut found = None;
        let mut maybes = 0;
        let before = into.len();
        for level in levels.iter().rev().filter(|level| !level.hidden) {
            for item in &level.items {
                match self.has(item, name, into) {
                    Has::Yes(ty) => {
                        found = Some(if found.is_none() { ty } else { Ty::Unknown });
                    }
                    Has::Maybe => maybes += 1,
                    Has::No => {}
                }
            }
            if found.is_some() {
                break;
            }
        }
        let ty = if let Some(ty) = found {
            // What was only possible in inner scopes stays possible.
            if maybes == 0 { ty } else { Ty::Unknown }
        } else {
            if maybes > 1 && !self.sighted() {
                into.truncate(before);
                into.push(unknown_relation(name));
                self.columns_unknown = true;
            }
            let row = self.row_named(&levels, name, into);
            if row.is_none() && maybes == 0 {
                self.no_such_column(&levels, None, name, into);
            }
            row.unwrap_or(Ty::Unknown)
        };
        self.levels = levels;
        ty
    }

    /// A name that stands for an item's whole row.
    pub(super) fn row_named(
        &mut self,
        levels: &[Level],
        name: &str,
        into: &mut Vec<Touch>,
    ) -> Option<Ty> {
        let item = find_item(levels, None, name)?;
        Some(self.whole_row(item, into))
    }

    /// All of an item's columns.
    pub(crate) fn whole_row(&mut self, item: &Item, into: &mut Vec<Touch>) -> Ty {
        match &item.source {
            Source::Table { relation, only } => {
                self.all_columns(*relation, *only, into);
                self.in_play.insert(TypeKey::Row(*relation));
                Ty::User(TypeKey::Row(*relation))
            }
            Source::Shape(shape) => {
                for column in &shape.columns {
                    if self.step(1 + column.from.len()) {
                        into.extend_from_slice(&column.from);
                    }
                }
                for open in &shape.open {
                    self.rest_of(open, into);
                }
                match shape.view {
                    Some(view) => {
                        self.in_play.insert(TypeKey::Row(view));
                        Ty::User(TypeKey::Row(view))
                    }
                    None => Ty::Unknown,
                }
            }
        }
    }

    pub(crate) fn all_columns(&mut self, relation: u32, only: bool, into: &mut Vec<Touch>) {
        let count = self
            .names
            .and_then(|names| names.relation(relation))
            .map_or(0, |relation| relation.columns.len());
        if self.step(count) {
            let columns = 0..u16::try_from(count).unwrap_or(u16::MAX);
            into.extend(columns.map(|column| Touch::Column {
                relation,
                column,
                only,
            }));
        }
    }

    fn qualified(
        &mut self,
        schema: Option<&str>,
        relation: &str,
        name: &str,
        into: &mut Vec<Touch>,
    ) -> Ty {
        let levels = std::mem::take(&mut self.levels);
        let ty = match find_item(&levels, schema, relation) {
            Some(item) => self.column_of(item, name, into),
            None => {
                self.no_such_column(&levels, Some((schema, relation)), name, into);
                Ty::Unknown
            }
        };
        self.levels = levels;
        ty
    }

    /// `item.name`: a column, or a call of `name(item)`.
    pub(crate) fn column_of(&mut self, item: &Item, name: &str, into: &mut Vec<Touch>) -> Ty {
        match self.has(item, name, into) {
            Has::Yes(ty) => return ty,
            Has::Maybe => {
                let Source::Shape(shape) = &item.source else {
                    return Ty::Unknown;
                };
                if self.sighted() && shape.function {
                    // A function's whole row is its value, which any function may take.
                    self.may_call(&item.name, name, false);
                } else if self.sighted() && !shape.columns.is_empty() && self.is_call(name) {
                    self.whole_row(item, into);
                    self.may_call(&item.name, name, true);
                } else if !self.sighted() && !shape.columns.is_empty() && shape.is_listed() {
                    // A column the server names, or a call.
                    self.row_call(item, name, into);
                }
            }
            Has::No if self.sighted() => {
                self.whole_row(item, into);
                self.may_call(&item.name, name, true);
            }
            // A subquery's columns are known without a catalog too.
            Has::No => self.row_call(item, name, into),
        }
        Ty::Unknown
    }

    /// Without a catalog: a call that takes a subquery's row.
    fn row_call(&mut self, item: &Item, name: &str, into: &mut Vec<Touch>) {
        self.whole_row(item, into);
        if !builtin::is_function(None, name) {
            self.doubt(format!(
                "{}.{} may be a call of {}()",
                shown(&item.name),
                shown(name),
                shown(name)
            ));
        }
    }

    /// Looks for a column, and adds what it carries.
    pub(crate) fn has(&mut self, item: &Item, name: &str, into: &mut Vec<Touch>) -> Has {
        match &item.source {
            Source::Table { relation, only } => {
                let (relation, only) = (*relation, *only);
                let Some(names) = self.names else {
                    return Has::Maybe;
                };
                if let Some(column) = names.column_named(relation, name) {
                    self.step(usize::from(column) / 8 + 1);
                    into.push(Touch::Column {
                        relation,
                        column,
                        only,
                    });
                    return Has::Yes(Ty::Column { relation, column });
                }
                self.step(
                    names
                        .relation(relation)
                        .map_or(1, |one| one.columns.len() / 8 + 1),
                );
                if SYSTEM_COLUMNS.contains(&name) {
                    return Has::Yes(Ty::Unknown);
                }
                Has::No
            }
            Source::Shape(shape) => self.has_in(shape, name, into),
        }
    }

    pub(super) fn has_in(&mut self, shape: &Shape, name: &str, into: &mut Vec<Touch>) -> Has {
        self.step(shape.columns.len() / 8 + 1);
        let mut found = None;
        for column in shape.columns.iter().filter(|column| column.name == name) {
            if self.step(column.from.len()) {
                into.extend_from_slice(&column.from);
            }
            found = Some(if found.is_none() {
                column.ty
            } else {
                Ty::Unknown
            });
        }
        if let Some(ty) = found {
            return Has::Yes(ty);
        }
        for open in &shape.open {
            if let Open::Relation(relation) = open {
                into.push(named(Some(relation.clone()), name));
            }
        }
        if shape.pending || !shape.open.is_empty() {
            Has::Maybe
        } else {
            Has::No
        }
    }

    pub(super) fn no_such_column(
        &mut self,
        levels: &[Level],
        qualifier: Option<(Option<&str>, &str)>,
        name: &str,
        into: &mut Vec<Touch>,
    ) {
        let relation = qualifier.map(|(schema, relation)| RelationName {
            schema: schema.map(str::to_owned),
            name: relation.to_owned(),
        });
        self.columns_unknown = true;
        // An expression of a definition stands for a relation that is not in any FROM.
        if self.sighted() && !levels.is_empty() {
            let column = ColumnName {
                relation,
                name: name.to_owned(),
            };
            self.lacks(column.to_string());
            self.doubt(format!(
                "names {column}, which the catalog does not have here"
            ));
        } else {
            into.push(named(relation, name));
        }
    }

    /// Notes a column that is used by name.
    pub(crate) fn use_column(&mut self, parts: &Parts<'_>) -> Ty {
        if parts.star {
            self.touch_star(parts);
            return Ty::Unknown;
        }
        let mut touched = std::mem::take(&mut self.touched);
        let ty = self.column(parts, &mut touched);
        self.touched = touched;
        self.step(1);
        self.thin();
        ty
    }

    /// Notes `(item).name`.
    pub(crate) fn use_field(&mut self, item: &Item, name: &str) -> Ty {
        let mut touched = std::mem::take(&mut self.touched);
        let ty = self.column_of(item, name, &mut touched);
        self.touched = touched;
        ty
    }

    /// There is a function of this name that may take a row.
    fn is_call(&self, name: &str) -> bool {
        builtin::is_function(None, name) || self.has_routine(name)
    }

    /// Touches what a name leads to, if it leads anywhere.
    pub(crate) fn touch_if_any(&mut self, parts: &Parts<'_>) {
        let [name] = *parts.names() else { return };
        let levels = std::mem::take(&mut self.levels);
        let mut touched = Vec::new();
        for level in levels.iter().rev().filter(|level| !level.hidden) {
            for item in &level.items {
                self.has(item, name, &mut touched);
            }
        }
        self.levels = levels;
        self.touch_all(&touched);
    }

    /// A column of this name can be seen from here.
    pub(crate) fn sees_column(&mut self, parts: &Parts<'_>) -> bool {
        let [name] = *parts.names() else { return false };
        let levels = std::mem::take(&mut self.levels);
        let mut scratch = Vec::new();
        let mut items = levels
            .iter()
            .rev()
            .filter(|level| !level.hidden)
            .flat_map(|level| &level.items);
        let sees = items.any(|item| matches!(self.has(item, name, &mut scratch), Has::Yes(_)));
        self.levels = levels;
        sees
    }

    /// `of.name` may be a call of `name(of)`.
    pub(crate) fn may_call(&mut self, of: &str, name: &str, row: bool) {
        self.call_as_cast(None, name, Ty::Unknown);
        self.compares_own();
        let candidates: Vec<u32> = self.names.map_or_else(Vec::new, |names| {
            names.routines(None, name, Some(1)).collect()
        });
        let harmless =
            builtin::is_function(None, name) || (!row && (builtin::is_output_column(name)));
        if !candidates.is_empty() {
            self.code.push(super::Code::Call {
                name: name.to_owned(),
                harmless,
                routines: candidates,
            });
        } else if !harmless && row {
            let column = format!("{}.{}", shown(of), shown(name));
            self.doubt(format!(
                "names {column}, which the catalog does not have here"
            ));
            self.lacks(column);
            self.columns_unknown = true;
        } else if !harmless {
            self.doubt(format!(
                "{}.{} may be a call of {}()",
                shown(of),
                shown(name),
                shown(name)
            ));
        }
    }
}

fn unknown_relation(name: &str) -> Touch {
    named(None, name)
}
