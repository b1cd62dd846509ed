//! What is in scope while a query is walked: FROM items, common table expressions, and what a
//! column's name leads to among them.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{Node, NodeEnum as N, protobuf as pb};

use super::{COLUMNS_MAX, Resolver, Touch, Ty, TypeKey};
use crate::{
    ColumnName, RelationName,
    facts::shown,
    postgres::{builtin, walk::text},
};

/// One query's own names.
#[derive(Debug, Default)]
pub(crate) struct Level {
    pub items: Vec<Item>,
    pub trees: Vec<Tree>,
    pub ctes: Vec<(String, Arc<Shape>)>,
    /// Its items cannot be seen from where the walk is: in a subquery of FROM without LATERAL.
    pub hidden: bool,
}

/// Something in FROM, by the name it goes by.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub name: String,
    pub schema: Option<String>,
    pub source: Source,
}

#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A table of the catalog, by position.
    Table {
        relation: u32,
        only: bool,
    },
    Shape(Arc<Shape>),
}

/// What a query or relation gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub columns: Vec<OutColumn>,
    /// There may be more columns, of these.
    pub open: BTreeSet<Open>,
    /// Not known yet, in the midst of recursion.
    pub pending: bool,
    /// It is a function's result, whose whole row may be a single value.
    pub function: bool,
    /// The view it is.
    pub view: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutColumn {
    pub name: String,
    pub from: Vec<Touch>,
    pub ty: Ty,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Open {
    /// A relation whose columns are not known.
    Relation(RelationName),
    /// Values that are counted where they come from, any number of them.
    Values,
    /// Columns that are listed, but whose names only the server can tell.
    Unnamed,
}

/// How FROM is put together: what `*` stands for.
#[derive(Debug)]
pub(crate) enum Tree {
    Item(usize),
    /// Two sides, and the columns USING or NATURAL makes one of.
    Join(Box<Tree>, Box<Tree>, Vec<String>),
}

/// A column reference's parts as written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    names: [&'a str; 4],
    count: usize,
    pub star: bool,
}

impl<'a> Parts<'a> {
    /// `None` for what is no plain list of names.
    pub(crate) fn of(fields: &'a [Node]) -> Option<Self> {
        let mut parts = Self {
            names: [""; 4],
            count: 0,
            star: false,
        };
        for field in fields {
            match &field.node {
                Some(N::AStar(_)) => parts.star = true,
                _ => {
                    let name = text(field)?;
                    match parts.names.get_mut(parts.count) {
                        Some(place) => {
                            *place = name;
                            parts.count += 1;
                        }
                        // The server refuses more; the last ones are what counts.
                        None => {
                            parts.names.rotate_left(1);
                            parts.names[3] = name;
                        }
                    }
                }
            }
        }
        Some(parts)
    }

    pub(crate) fn names(&self) -> &[&'a str] {
        self.names.get(..self.count).unwrap_or_default()
    }
}

/// Whether an item has a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Has {
    Yes(Ty),
    Maybe,
    No,
}

const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

impl Shape {
    /// Every column is listed, in its place.
    pub(crate) fn is_listed(&self) -> bool {
        self.open.iter().all(|open| *open == Open::Unnamed)
    }

    /// The same columns under other names, the first ones first.
    pub(crate) fn renamed<'n>(mut self, names: impl Iterator<Item = &'n str>) -> Self {
        let listed = self.is_listed();
        let anywhere = (!listed).then(|| self.carries_all());
        let mut count = 0;
        for (position, name) in names.enumerate() {
            count = position + 1;
            if self.columns.len() < count {
                self.columns.push(OutColumn {
                    name: String::new(),
                    from: Vec::new(),
                    ty: Ty::Unknown,
                });
            }
            if let Some(column) = self.columns.get_mut(position) {
                name.clone_into(&mut column.name);
                if let Some(anywhere) = &anywhere {
                    // Which column this is cannot be told.
                    column.from.clone_from(anywhere);
                    column.ty = Ty::Unknown;
                }
            }
        }
        if listed && count >= self.columns.len() {
            self.open.clear();
        }
        self
    }

    fn carries_all(&self) -> Vec<Touch> {
        let mut all: Vec<Touch> = self
            .columns
            .iter()
            .flat_map(|column| column.from.iter().cloned())
            .collect();
        for open in &self.open {
            if let Open::Relation(relation) = open {
                all.push(named(Some(relation.clone()), "*"));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Resolver<'_> {
    pub(crate) fn enter(&mut self) {
        self.levels.push(Level::default());
    }

    pub(crate) fn leave(&mut self) {
        self.levels.pop();
    }

    pub(crate) fn level(&mut self) -> Option<&mut Level> {
        self.levels.last_mut()
    }

    pub(crate) fn bring(&mut self, item: Item) -> Tree {
        let Some(level) = self.levels.last_mut() else {
            return Tree::Item(0);
        };
        level.items.push(item);
        Tree::Item(level.items.len() - 1)
    }

    pub(crate) fn cte(&self, name: &str) -> Option<&Arc<Shape>> {
        let levels = self.levels.iter().rev();
        let mut ctes = levels.flat_map(|level| level.ctes.iter().rev());
        ctes.find(|(known, _)| known == name)
            .map(|(_, shape)| shape)
    }

    /// Sets whether the items of this query can be seen; gives what it was.
    pub(crate) fn hide(&mut self, hidden: bool) -> bool {
        self.levels
            .last_mut()
            .is_some_and(|level| std::mem::replace(&mut level.hidden, hidden))
    }

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
    fn row_named(&mut self, levels: &[Level], name: &str, into: &mut Vec<Touch>) -> Option<Ty> {
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

    fn rest_of(&mut self, open: &Open, into: &mut Vec<Touch>) {
        if let Open::Relation(relation) = open {
            self.columns_unknown |= !self.sighted();
            into.push(named(Some(relation.clone()), "*"));
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

    fn has_in(&mut self, shape: &Shape, name: &str, into: &mut Vec<Touch>) -> Has {
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

    fn no_such_column(
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

    /// The item a name of one part stands for as a row: `(p).ssn`.
    pub(crate) fn row_item(&self, parts: &Parts<'_>) -> Option<Item> {
        let [name] = *parts.names() else { return None };
        if parts.star {
            return None;
        }
        find_item(&self.levels, None, name).cloned()
    }

    /// What `*` or `name.*` stands for, column by column.
    pub(crate) fn star(&mut self, parts: &Parts<'_>) -> Shape {
        let levels = std::mem::take(&mut self.levels);
        let mut shape = Shape::default();
        match *parts.names() {
            [] => match levels.last() {
                Some(level) => {
                    for tree in &level.trees {
                        self.spread(level, tree, &mut shape);
                    }
                }
                None => self.columns_unknown = true,
            },
            [relation] => self.spread_named(&levels, None, relation, &mut shape),
            [.., schema, relation] => {
                self.spread_named(&levels, Some(schema), relation, &mut shape);
            }
        }
        self.levels = levels;
        if shape.columns.len() > COLUMNS_MAX {
            shape.columns.truncate(COLUMNS_MAX);
            self.step(usize::MAX);
        }
        shape
    }

    fn spread_named(
        &mut self,
        levels: &[Level],
        schema: Option<&str>,
        relation: &str,
        shape: &mut Shape,
    ) {
        match find_item(levels, schema, relation) {
            Some(item) => self.spread_item(item, shape),
            None => {
                let mut touched = Vec::new();
                self.no_such_column(levels, Some((schema, relation)), "*", &mut touched);
                self.touch_all(&touched);
                shape.open.insert(Open::Values);
            }
        }
    }

    fn spread(&mut self, level: &Level, tree: &Tree, shape: &mut Shape) {
        match tree {
            Tree::Item(at) => {
                if let Some(item) = level.items.get(*at) {
                    self.spread_item(item, shape);
                }
            }
            Tree::Join(left, right, merged) => {
                let mut sides = [Shape::default(), Shape::default()];
                let [one, other] = &mut sides;
                self.spread(level, left, one);
                self.spread(level, right, other);
                for name in merged {
                    let mut from = Vec::new();
                    for side in &sides {
                        self.has_in(side, name, &mut from);
                    }
                    shape.columns.push(OutColumn {
                        name: name.clone(),
                        from,
                        ty: Ty::Unknown,
                    });
                }
                for side in sides {
                    let rest = side.columns.into_iter();
                    shape
                        .columns
                        .extend(rest.filter(|column| !merged.contains(&column.name)));
                    shape.open.extend(side.open);
                    shape.pending |= side.pending;
                }
            }
        }
    }

    fn spread_item(&mut self, item: &Item, shape: &mut Shape) {
        let of = self.shape_of(item);
        if self.step(2 * of.columns.len() + 4 * of.open.len()) {
            shape.columns.extend(of.columns.iter().cloned());
            shape.open.extend(of.open.iter().cloned());
        } else {
            shape.open.insert(Open::Values);
        }
        shape.pending |= of.pending;
    }

    /// An item's columns one by one.
    pub(crate) fn shape_of(&mut self, item: &Item) -> Arc<Shape> {
        match &item.source {
            Source::Shape(shape) => Arc::clone(shape),
            Source::Table { relation, only } => {
                let (relation, only) = (*relation, *only);
                let known = self.names.and_then(|names| names.relation(relation));
                let columns = known.map_or(&[][..], |relation| &relation.columns);
                self.step(columns.len());
                let columns = (0..).zip(columns).map(|(column, known)| OutColumn {
                    name: known.name.clone(),
                    from: vec![Touch::Column {
                        relation,
                        column,
                        only,
                    }],
                    ty: Ty::Column { relation, column },
                });
                Arc::new(Shape {
                    columns: columns.collect(),
                    ..Shape::default()
                })
            }
        }
    }

    /// Touches everything `*` or `name.*` stands for.
    pub(crate) fn touch_star(&mut self, parts: &Parts<'_>) {
        if self.is_spent() {
            return;
        }
        let levels = std::mem::take(&mut self.levels);
        let mut touched = std::mem::take(&mut self.touched);
        match *parts.names() {
            [] => {
                let items = levels.last().map_or(&[][..], |level| &level.items);
                for item in items {
                    self.whole_row(item, &mut touched);
                }
                self.columns_unknown |= levels.is_empty();
            }
            [relation] => self.touch_row(&levels, None, relation, &mut touched),
            [.., schema, relation] => self.touch_row(&levels, Some(schema), relation, &mut touched),
        }
        self.touched = touched;
        self.levels = levels;
    }

    fn touch_row(
        &mut self,
        levels: &[Level],
        schema: Option<&str>,
        relation: &str,
        into: &mut Vec<Touch>,
    ) {
        match find_item(levels, schema, relation) {
            Some(item) => {
                self.whole_row(item, into);
            }
            None => self.no_such_column(levels, Some((schema, relation)), "*", into),
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

    /// There is a function of this name that may take a row.
    fn is_call(&self, name: &str) -> bool {
        builtin::is_function(None, name) || self.has_routine(name)
    }

    /// Touches all of a query's columns.
    pub(crate) fn touch_shape(&mut self, shape: &Shape) {
        for column in &shape.columns {
            self.touch_all(&column.from);
        }
        let mut rest = Vec::new();
        for open in &shape.open {
            self.rest_of(open, &mut rest);
        }
        self.touch_all(&rest);
    }

    /// Touches a query's columns of this name.
    pub(crate) fn touch_output(&mut self, shape: &Shape, parts: &Parts<'_>) {
        let [name] = *parts.names() else { return };
        for column in shape.columns.iter().filter(|column| column.name == name) {
            self.touch_all(&column.from);
        }
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

    /// The schema of a relation that is found by its name alone.
    pub(crate) fn schema_of(&self, source: &Source) -> Option<String> {
        let relation = match source {
            Source::Table { relation, .. } => *relation,
            Source::Shape(shape) => shape.view?,
        };
        let relation = self.names?.relation(relation)?;
        Some(relation.name.schema.clone())
    }

    /// How many items the open query has.
    pub(crate) fn items(&self) -> usize {
        self.levels.last().map_or(0, |level| level.items.len())
    }

    /// The columns a NATURAL JOIN compares.
    pub(crate) fn common_columns(&mut self, left: &Tree, right: &Tree) -> Vec<String> {
        let Some(level) = self.levels.pop() else {
            return Vec::new();
        };
        let mut sides = [Shape::default(), Shape::default()];
        let [one, other] = &mut sides;
        self.spread(&level, left, one);
        self.spread(&level, right, other);
        self.levels.push(level);
        if !one.is_listed() || !other.is_listed() {
            // Which columns are compared cannot be told.
            let (one, other) = (one.clone(), other.clone());
            self.touch_shape(&one);
            self.touch_shape(&other);
            self.columns_unknown = true;
        }
        let [one, other] = sides;
        let steps = one.columns.len().saturating_mul(other.columns.len());
        if !self.step(steps) {
            return Vec::new();
        }
        let names = one.columns.into_iter().map(|column| column.name);
        names
            .filter(|name| other.columns.iter().any(|column| column.name == *name))
            .collect()
    }

    /// Notes a column of every item since `start`.
    pub(crate) fn use_since(&mut self, start: usize, name: &str) {
        if !self.step(self.items() / 8) {
            return;
        }
        let Some(level) = self.levels.pop() else {
            return;
        };
        let mut touched = std::mem::take(&mut self.touched);
        for item in level.items.get(start..).unwrap_or_default() {
            self.has(item, name, &mut touched);
        }
        self.touched = touched;
        self.levels.push(level);
    }

    /// Notes a column of one item.
    pub(crate) fn use_of(&mut self, item: &Item, name: &str) {
        let mut touched = std::mem::take(&mut self.touched);
        if self.has(item, name, &mut touched) == Has::No {
            let levels = std::mem::take(&mut self.levels);
            let qualifier = Some((None, item.name.as_str()));
            self.no_such_column(&levels, qualifier, name, &mut touched);
            self.levels = levels;
        }
        self.touched = touched;
    }

    /// Notes `(item).name`.
    pub(crate) fn use_field(&mut self, item: &Item, name: &str) -> Ty {
        let mut touched = std::mem::take(&mut self.touched);
        let ty = self.column_of(item, name, &mut touched);
        self.touched = touched;
        ty
    }

    /// `JOIN ... USING (...) AS name`: the columns that became one.
    pub(crate) fn bring_merged(&mut self, name: &str, start: usize, merged: &[String]) {
        let Some(level) = self.levels.pop() else {
            return;
        };
        let mut shape = Shape::default();
        for column in merged {
            let mut from = Vec::new();
            for item in level.items.get(start..).unwrap_or_default() {
                self.has(item, column, &mut from);
            }
            shape.columns.push(OutColumn {
                name: column.clone(),
                from,
                ty: Ty::Unknown,
            });
        }
        self.levels.push(level);
        self.bring(Item {
            name: name.to_owned(),
            schema: None,
            source: Source::Shape(Arc::new(shape)),
        });
    }

    /// A join with an alias hides what it joins.
    pub(crate) fn close_join(
        &mut self,
        tree: &Tree,
        start: usize,
        item: impl FnOnce(Shape) -> Item,
    ) -> Tree {
        let Some(mut level) = self.levels.pop() else {
            return Tree::Item(0);
        };
        let mut shape = Shape::default();
        self.spread(&level, tree, &mut shape);
        level.items.truncate(start);
        self.levels.push(level);
        self.bring(item(shape))
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

/// The innermost item that goes by a name and can be seen.
fn find_item<'l>(levels: &'l [Level], schema: Option<&str>, name: &str) -> Option<&'l Item> {
    let seen = levels.iter().rev().filter(|level| !level.hidden);
    let mut items = seen.flat_map(|level| &level.items);
    items.find(|item| {
        item.name == name
            && schema.is_none_or(|schema| item.schema.as_deref().is_none_or(|own| own == schema))
    })
}

pub(crate) fn named(relation: Option<RelationName>, name: &str) -> Touch {
    Touch::Named(Arc::new(ColumnName {
        relation,
        name: name.to_owned(),
    }))
}

fn unknown_relation(name: &str) -> Touch {
    named(None, name)
}

/// The name a column gets that has none written: as the server names it.
pub(crate) fn figured_name(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        N::ColumnRef(column) => text(column.fields.last()?),
        N::FuncCall(call) => text(call.funcname.last()?),
        N::AIndirection(node) => node
            .indirection
            .iter()
            .rev()
            .find_map(text)
            .or_else(|| figured_name(node.arg.as_deref()?)),
        N::TypeCast(cast) => figured_name(cast.arg.as_deref()?)
            .or_else(|| text(cast.type_name.as_ref()?.names.last()?)),
        N::CollateClause(node) => figured_name(node.arg.as_deref()?),
        N::CaseExpr(node) => node
            .defresult
            .as_deref()
            .and_then(figured_name)
            .or(Some("case")),
        N::AExpr(node) if node.kind == pb::AExprKind::AexprNullif as i32 => Some("nullif"),
        N::AArrayExpr(_) => Some("array"),
        N::RowExpr(_) => Some("row"),
        N::CoalesceExpr(_) => Some("coalesce"),
        N::GroupingFunc(_) => Some("grouping"),
        N::MergeSupportFunc(_) => Some("merge_action"),
        _ => None,
    }
}
