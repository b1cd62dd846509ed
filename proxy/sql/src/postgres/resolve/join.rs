//! Joins: columns that USING and NATURAL make one of, and joins that go by a name.

use std::sync::Arc;

use super::{Item, OutColumn, Resolver, Shape, Source, Tree, Ty, lookup::Has};

impl Resolver<'_> {
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
}
