//! Where names lead, and what definitions mean once read; both made once for a catalog.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use super::{Catalog, QualifiedName, meaning::Mark};
use crate::{facts::Definitions, postgres::Expanded};

/// Positions in the catalog's lists are `u32`, in the order of those lists.
#[derive(Debug)]
pub(crate) struct Index {
    relations: HashMap<Box<str>, Vec<u32>>,
    by_oid: HashMap<u32, u32>,
    routines: HashMap<Box<str>, Vec<u32>>,
    operators: HashMap<Box<str>, Vec<u32>>,
    types: HashMap<Box<str>, Vec<u32>>,
    /// Casts by the name of their target type.
    casts: HashMap<Box<str>, Vec<u32>>,
    /// Relations with these parents.
    children: HashMap<u32, Vec<u32>>,
    /// Foreign keys that refer to a relation: the relation they are on, and which of its keys.
    referring: HashMap<u32, Vec<(u32, u32)>>,
    /// Casts between types that are the server's own, which may come in anywhere.
    pub(crate) casts_anywhere: Vec<u32>,
    /// Implicit casts, and those on assignment, that run code of users.
    pub(crate) casts_implicit: Vec<u32>,
    /// Every implicit cast, whatever it runs.
    pub(crate) casts_unwritten: Vec<u32>,
    /// Types of the server's own that code of users compares.
    pub(crate) compared: Vec<u32>,
    pub(crate) any_temporary: bool,
    /// Names that have to be written in quotes, of whatever kind.
    quoted: HashSet<Box<str>>,
    /// Views by relation.
    pub(crate) views: Vec<OnceLock<Arc<Expanded>>>,
    /// What runs when rows of a relation are read.
    pub(crate) readings: Vec<OnceLock<Arc<Expanded>>>,
    /// What runs when rows of a relation are written.
    pub(crate) writings: Vec<OnceLock<Arc<Expanded>>>,
    /// What runs when values of a type are made.
    pub(crate) makings: Vec<OnceLock<Arc<Expanded>>>,
    /// Definitions of relations, routines and types.
    pub(super) relation_marks: Vec<OnceLock<Mark>>,
    pub(super) routine_marks: Vec<OnceLock<Mark>>,
    pub(super) type_marks: Vec<OnceLock<Mark>>,
    /// Of everything there is.
    pub(super) all_definitions: OnceLock<Definitions>,
}

impl Index {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let by_oid: HashMap<u32, u32> = numbered(&catalog.relations)
            .map(|(at, relation)| (relation.oid, at))
            .collect();
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut referring: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
        for (at, relation) in numbered(&catalog.relations) {
            for parent in relation.parents.iter().filter_map(|oid| by_oid.get(oid)) {
                children.entry(*parent).or_default().push(at);
            }
            for (key, foreign) in numbered(&relation.foreign_keys) {
                if let Some(to) = by_oid.get(&foreign.references) {
                    referring.entry(*to).or_default().push((at, key));
                }
            }
        }
        let own = |name: &QualifiedName| name.schema == "pg_catalog";
        let runs = |at: &u32| {
            catalog
                .casts
                .get(*at as usize)
                .is_some_and(|cast| cast.function.is_some() && !cast.built_in)
        };
        let implicit = numbered(&catalog.casts).filter(|(_, cast)| cast.context != 'e');
        let (anywhere, implicit): (Vec<u32>, Vec<u32>) =
            implicit.map(|(at, _)| at).filter(runs).partition(|at| {
                catalog
                    .casts
                    .get(*at as usize)
                    .is_some_and(|cast| own(&cast.source) && own(&cast.target))
            });
        let empty = |count: usize| (0..count).map(|_| OnceLock::new()).collect();
        let unmarked = |count: usize| (0..count).map(|_| OnceLock::new()).collect();
        Self {
            relations: by_name(&catalog.relations, |relation| &relation.name.name),
            routines: by_name(&catalog.routines, |routine| &routine.name.name),
            operators: by_name(&catalog.operators, |operator| &operator.name.name),
            types: by_name(&catalog.types, |of| &of.name.name),
            casts: by_name(&catalog.casts, |cast| &cast.target.name),
            by_oid,
            children,
            referring,
            casts_anywhere: anywhere,
            casts_implicit: implicit,
            quoted: quoted_names(catalog),
            casts_unwritten: numbered(&catalog.casts)
                .filter(|(_, cast)| cast.context == 'i')
                .map(|(at, _)| at)
                .collect(),
            compared: numbered(&catalog.types)
                .filter(|(_, of)| own(&of.name) && !of.on_compare.is_empty())
                .map(|(at, _)| at)
                .collect(),
            any_temporary: catalog.relations.iter().any(|relation| relation.temporary),
            views: empty(catalog.relations.len()),
            readings: empty(catalog.relations.len()),
            writings: empty(catalog.relations.len()),
            makings: empty(catalog.types.len()),
            relation_marks: unmarked(catalog.relations.len()),
            routine_marks: unmarked(catalog.routines.len()),
            type_marks: unmarked(catalog.types.len()),
            all_definitions: OnceLock::new(),
        }
    }

    /// Something in the catalog has this name, and is written in quotes.
    pub(crate) fn has_quoted(&self, name: &str) -> bool {
        self.quoted.contains(name)
    }

    pub(crate) fn relations(&self, name: &str) -> &[u32] {
        found(&self.relations, name)
    }

    pub(crate) fn routines(&self, name: &str) -> &[u32] {
        found(&self.routines, name)
    }

    pub(crate) fn operators(&self, name: &str) -> &[u32] {
        found(&self.operators, name)
    }

    pub(crate) fn types(&self, name: &str) -> &[u32] {
        found(&self.types, name)
    }

    pub(crate) fn casts(&self, target: &str) -> &[u32] {
        found(&self.casts, target)
    }

    pub(crate) fn by_oid(&self, oid: u32) -> Option<u32> {
        self.by_oid.get(&oid).copied()
    }

    pub(crate) fn children(&self, relation: u32) -> &[u32] {
        self.children.get(&relation).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn referring(&self, relation: u32) -> &[(u32, u32)] {
        self.referring.get(&relation).map_or(&[], Vec::as_slice)
    }
}

fn quoted_names(catalog: &Catalog) -> HashSet<Box<str>> {
    let relations = catalog.relations.iter();
    let columns = relations
        .clone()
        .flat_map(|relation| &relation.columns)
        .map(|column| column.name.as_str());
    let qualified = relations
        .map(|relation| &relation.name)
        .chain(catalog.routines.iter().map(|routine| &routine.name))
        .chain(catalog.types.iter().map(|of| &of.name))
        .flat_map(|name| [name.schema.as_str(), name.name.as_str()]);
    let plain = |name: &&str| {
        let small = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        name.bytes().next().is_some_and(small)
            && name
                .bytes()
                .all(|byte| small(byte) || byte.is_ascii_digit())
    };
    let all = columns.chain(qualified);
    all.filter(|name| !plain(name)).map(Box::from).collect()
}

fn numbered<T>(list: &[T]) -> impl Iterator<Item = (u32, &T)> {
    (0..).zip(list)
}

fn by_name<T>(list: &[T], name: impl Fn(&T) -> &str) -> HashMap<Box<str>, Vec<u32>> {
    let mut map: HashMap<Box<str>, Vec<u32>> = HashMap::with_capacity(list.len());
    for (at, item) in numbered(list) {
        map.entry(name(item).into()).or_default().push(at);
    }
    map
}

fn found<'a>(map: &'a HashMap<Box<str>, Vec<u32>>, name: &str) -> &'a [u32] {
    map.get(name).map_or(&[], Vec::as_slice)
}
