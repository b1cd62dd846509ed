//! `*` and `name.*`: the columns they stand for, in order, and what touching all of them touches.

use super::{
    COLUMNS_MAX, Item, Level, Open, OutColumn, Parts, Resolver, Shape, Touch, Tree, Ty,
    scope::find_item,
};

impl Resolver<'_> {
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

    pub(super) fn spread(&mut self, level: &Level, tree: &Tree, shape: &mut Shape) {
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

    pub(super) fn spread_item(&mut self, item: &Item, shape: &mut Shape) {
        let of = self.shape_of(item);
        if self.step(2 * of.columns.len() + 4 * of.open.len()) {
            shape.columns.extend(of.columns.iter().cloned());
            shape.open.extend(of.open.iter().cloned());
        } else {
            shape.open.insert(Open::Values);
        }
        shape.pending |= of.pending;
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

    pub(super) fn touch_row(
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
}
