//! What is in scope while a query is walked: FROM items and common table expressions.

use std::sync::Arc;

use pg_query::{Node, NodeEnum as N};

use super::{Resolver, Shape, Touch};
use crate::{ColumnName, RelationName, postgres::walk::text};

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

    /// The item a name of one part stands for as a row: `(p).ssn`.
    pub(crate) fn row_item(&self, parts: &Parts<'_>) -> Option<Item> {
        let [name] = *parts.names() else { return None };
        if parts.star {
            return None;
        }
        find_item(&self.levels, None, name).cloned()
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
}

/// The innermost item that goes by a name and can be seen.
pub(super) fn find_item<'l>(
    levels: &'l [Level],
    schema: Option<&str>,
    name: &str,
) -> Option<&'l Item> {
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
