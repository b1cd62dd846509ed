//! Reading and writing relations: what the server really touches behind a name.

use std::collections::BTreeSet;

use super::{Expanded, Found, Item, Open, Resolver, Shape, Source, Touch};
use crate::{
    RelationName,
    catalog::{ForeignKeyAction, Relation, RelationKind},
};
use std::sync::Arc;

/// What is done to a relation's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Event {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Event {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
        }
    }
}

/// Most relations below one parent that are listed.
const DESCENDANTS_MAX: usize = 4_096;

impl Resolver<'_> {
    /// Brings a relation of FROM into scope, and goes through what reading it does.
    pub(crate) fn read_relation(&mut self, name: &RelationName, only: bool) -> Source {
        let found = match self.names {
            Some(names) => names.find_relation(name.schema.as_deref(), &name.name),
            None => Found::System,
        };
        match found {
            Found::Relation(at) => self.read_at(at, only),
            Found::System => Source::Shape(Arc::new(open(name))),
            Found::Missing => {
                self.missing_relation(name);
                Source::Shape(Arc::new(open(name)))
            }
        }
    }

    fn missing_relation(&mut self, name: &RelationName) {
        self.columns_unknown = true;
        self.lacks(name.to_string());
        self.doubt(format!("names {name}, which the catalog does not have"));
    }

    pub(crate) fn read_at(&mut self, at: u32, only: bool) -> Source {
        let Some((names, relation)) = self
            .names
            .and_then(|names| Some((names, names.relation(at)?)))
        else {
            return Source::Shape(Arc::default());
        };
        self.seen.reads.insert(at);
        match relation.kind {
            RelationKind::View => {
                self.seen.reads.remove(&at);
                self.seen.through.insert(at);
                let expanded = self.view(at);
                self.absorb(&expanded);
                return Source::Shape(Arc::clone(&expanded.shape));
            }
            RelationKind::MaterializedView => {
                self.seen.through.insert(at);
                // Only the lineage: nothing of the definition runs.
                let expanded = self.view(at);
                self.columns_unknown |= expanded.columns_unknown;
                self.needs_room |= expanded.opaque.is_some() && self.needs_room;
                let mut shape = Shape::clone(&expanded.shape);
                for (column, out) in (0..).zip(&mut shape.columns) {
                    out.from.push(Touch::Column {
                        relation: at,
                        column,
                        only,
                    });
                }
                return Source::Shape(Arc::new(shape));
            }
            RelationKind::Foreign => {
                self.seen.foreign.insert(at);
            }
            _ => {}
        }
        self.reading(at, relation);
        if !only {
            for child in self.descendants(at) {
                self.seen.reads.insert(child);
                let Some(relation) = names.relation(child) else {
                    continue;
                };
                if relation.kind == RelationKind::Foreign {
                    self.seen.foreign.insert(child);
                }
                self.reading(child, relation);
            }
        }
        Source::Table { relation: at, only }
    }

    /// What runs for each row that is read.
    fn reading(&mut self, at: u32, relation: &Relation) {
        self.scanning(at, relation);
        if !relation.on_write.is_empty() {
            // Predicates of indexes and checks are worked out when a query is planned, as far as they can be.
            let planned = self.on_write(at);
            self.code.extend(planned.fixed.iter().cloned());
        }
        if !relation.on_read.is_empty() {
            let expanded = self.on_read(at);
            self.absorb(&expanded);
        }
    }

    /// What finds rows, and their places.
    fn scanning(&mut self, at: u32, relation: &Relation) {
        if !relation.on_scan.is_empty() {
            self.code.push(super::Code::Scan(at));
        }
    }

    /// Children, theirs, and so on.
    pub(crate) fn descendants(&mut self, of: u32) -> Vec<u32> {
        let Some(names) = self.names else {
            return Vec::new();
        };
        let mut all: Vec<u32> = names.index.children(of).to_vec();
        if all.is_empty() {
            return all;
        }
        let mut known: BTreeSet<u32> = all.iter().copied().collect();
        let mut next = 0;
        while let Some(child) = all.get(next).copied() {
            next += 1;
            let below = names.index.children(child).iter().copied();
            all.extend(below.filter(|one| known.insert(*one)));
            if all.len() > DESCENDANTS_MAX {
                self.columns_unknown = true;
                self.doubt("reaches too many partitions to list".to_owned());
                break;
            }
        }
        self.step(all.len());
        all
    }

    /// The written relation as a FROM item, and what writing does. `columns` are those an UPDATE
    /// sets; `None` for all.
    pub(crate) fn write_relation(&mut self, name: &RelationName) -> (Option<u32>, Source) {
        let Some(names) = self.names else {
            return (None, Source::Shape(Arc::new(open(name))));
        };
        match names.find_relation(name.schema.as_deref(), &name.name) {
            Found::System => (None, Source::Shape(Arc::new(open(name)))),
            Found::Missing => {
                self.missing_relation(name);
                (None, Source::Shape(Arc::new(open(name))))
            }
            Found::Relation(at) => {
                let view = names
                    .relation(at)
                    .is_some_and(|relation| relation.kind == RelationKind::View);
                if view {
                    self.seen.through.insert(at);
                    let expanded = self.view(at);
                    self.absorb(&expanded);
                    return (Some(at), Source::Shape(Arc::clone(&expanded.shape)));
                }
                let relation = at;
                (
                    Some(at),
                    Source::Table {
                        relation,
                        only: false,
                    },
                )
            }
        }
    }

    /// Follows one event on a relation: rules, triggers, children, foreign keys.
    pub(crate) fn event(
        &mut self,
        at: u32,
        event: Event,
        only: bool,
        set: Option<&BTreeSet<String>>,
    ) {
        if !self.first_time(at, event, set) {
            return;
        }
        let Some((names, relation)) = self
            .names
            .and_then(|names| Some((names, names.relation(at)?)))
        else {
            return;
        };
        if self.rules(at, relation, event) {
            return;
        }
        match relation.kind {
            RelationKind::View => return self.write_through(at, relation, event, set),
            RelationKind::Foreign => {
                self.seen.foreign.insert(at);
            }
            _ => {}
        }
        self.seen.writes.insert(at);
        self.rows_change(at, relation, event, set);
        if only && event != Event::Insert {
            return;
        }
        // An INSERT goes to a partition, never to a child by inheritance.
        if event == Event::Insert && relation.kind != RelationKind::Partitioned {
            return;
        }
        for child in self.descendants(at) {
            if let Some(relation) = names.relation(child) {
                self.seen.writes.insert(child);
                if relation.kind == RelationKind::Foreign {
                    self.seen.foreign.insert(child);
                }
                self.rows_change(child, relation, event, set);
            }
        }
    }

    /// Whether this event, with these columns, was not followed yet.
    fn first_time(&mut self, at: u32, event: Event, set: Option<&BTreeSet<String>>) -> bool {
        if !self.step(8) {
            return false;
        }
        let all = BTreeSet::from(["*".to_owned()]);
        let set = set.unwrap_or(&all);
        let known = self.followed.get(&(at, event));
        if known.is_some_and(|known| known.contains("*") || set.is_subset(known)) {
            return false;
        }
        let known = self.followed.entry((at, event)).or_default();
        known.extend(set.iter().cloned());
        true
    }

    /// Triggers, expressions and foreign keys of one table.
    fn rows_change(
        &mut self,
        at: u32,
        relation: &Relation,
        event: Event,
        set: Option<&BTreeSet<String>>,
    ) {
        self.fires(at, relation, event);
        self.scanning(at, relation);
        let stores = matches!(event, Event::Insert | Event::Update);
        if !relation.on_write.is_empty() && (stores || relation.row_security) {
            let expanded = self.on_write(at);
            self.absorb(&expanded);
        }
        if event == Event::Delete || event == Event::Update {
            self.reading(at, relation);
            self.follow_keys(at, event, set);
        }
    }

    /// Triggers of one relation, with the conditions they have. True when there is one.
    fn fires(&mut self, at: u32, relation: &Relation, event: Event) -> bool {
        let mut any = false;
        for (number, trigger) in (0..).zip(&relation.triggers) {
            if trigger.enabled && trigger.events.iter().any(|one| one == event.as_str()) {
                any = true;
                self.seen.triggers.insert((at, number));
                if let Some(definition) = &trigger.conditional {
                    let expanded = self.condition(at, definition);
                    self.absorb(&expanded);
                }
            }
        }
        any
    }

    /// Foreign keys that refer to a table, whose rows go or change.
    fn follow_keys(&mut self, at: u32, event: Event, set: Option<&BTreeSet<String>>) {
        use ForeignKeyAction as Action;
        let Some(names) = self.names else { return };
        for (table, key) in names.index.referring(at) {
            let Some(relation) = names.relation(*table) else {
                continue;
            };
            let Some(key) = relation.foreign_keys.get(*key as usize) else {
                continue;
            };
            let action = match event {
                Event::Delete => key.on_delete,
                _ => key.on_update,
            };
            let touched = event == Event::Delete
                || set.is_none_or(|set| {
                    set.contains("*") || key.referenced_columns.iter().any(|one| set.contains(one))
                });
            let then = match action {
                Action::NoAction | Action::Restrict => continue,
                _ if !touched => continue,
                Action::Cascade if event == Event::Delete => Event::Delete,
                Action::Cascade | Action::SetNull | Action::SetDefault => Event::Update,
            };
            self.cascade(*table, then, Some(&key.columns));
        }
    }

    fn cascade(&mut self, table: u32, event: Event, columns: Option<&[String]>) {
        let Some((names, relation)) = self
            .names
            .and_then(|names| Some((names, names.relation(table)?)))
        else {
            return;
        };
        let set: Option<BTreeSet<String>> = match event {
            Event::Update => columns.map(|columns| columns.iter().cloned().collect()),
            _ => None,
        };
        self.seen.cascades.insert(table);
        if !self.first_time(table, event, set.as_ref()) {
            return;
        }
        if relation.kind == RelationKind::Foreign {
            self.seen.foreign.insert(table);
        }
        self.rules(table, relation, event);
        self.rows_change(table, relation, event, set.as_ref());
        for child in self.descendants(table) {
            if let Some(relation) = names.relation(child) {
                self.seen.cascades.insert(child);
                self.rows_change(child, relation, event, set.as_ref());
            }
        }
    }

    /// TRUNCATE ... CASCADE empties every table that refers to these.
    pub(crate) fn truncate(&mut self, at: u32, only: bool, cascades: bool) {
        self.event(at, Event::Truncate, only, None);
        if !cascades {
            return;
        }
        let mut emptied = vec![at];
        emptied.extend(self.descendants(at));
        let Some(names) = self.names else { return };
        let mut next = 0;
        while let Some(table) = emptied.get(next).copied() {
            next += 1;
            for (referring, _) in names.index.referring(table) {
                if emptied.contains(referring) || !self.step(emptied.len()) {
                    continue;
                }
                self.seen.cascades.insert(*referring);
                if let Some(relation) = names.relation(*referring) {
                    self.rows_change(*referring, relation, Event::Truncate, None);
                }
                emptied.push(*referring);
                emptied.extend(self.descendants(*referring));
            }
        }
    }

    /// Rules of the rewrite system for this event. True when they take the event's place.
    fn rules(&mut self, at: u32, relation: &Relation, event: Event) -> bool {
        let mut instead = false;
        for (number, rule) in relation.rules.iter().enumerate() {
            if rule.event != event.as_str() {
                continue;
            }
            self.seen.through.insert(at);
            let expanded = self.rule(at, number, &rule.definition);
            self.take_rule(&expanded);
            instead |= rule.instead && !expanded.kinds.contains(CONDITIONAL);
        }
        instead
    }

    fn take_rule(&mut self, expanded: &Expanded) {
        self.absorb(expanded);
        let kinds = expanded.kinds.iter().filter(|kind| *kind != CONDITIONAL);
        self.rules.kinds.extend(kinds.cloned());
        self.rules.classes.extend(&expanded.classes);
        self.rules.writes.extend(expanded.writes.iter().cloned());
        self.rules
            .functions
            .extend(expanded.functions.iter().cloned());
    }

    /// A view that is written: by triggers, or through to its table.
    fn write_through(
        &mut self,
        at: u32,
        relation: &Relation,
        event: Event,
        set: Option<&BTreeSet<String>>,
    ) {
        self.seen.through.insert(at);
        let by_trigger = self.fires(at, relation, event);
        if matches!(event, Event::Insert | Event::Update) && !relation.on_write.is_empty() {
            // Columns of a view can have defaults.
            let expanded = self.on_write(at);
            self.absorb(&expanded);
        }
        let expanded = self.view(at);
        self.absorb(&expanded);
        if by_trigger {
            return;
        }
        // The server allows it only for a view of one relation. Columns keep their lineage.
        let bases = expanded.seen.bases.clone();
        if bases.is_empty() {
            self.doubt("writes a view of which the table is not known".to_owned());
        }
        let set = set.map(|set| self.base_columns(&expanded.shape, set));
        for base in bases {
            self.event(base, event, false, set.as_ref());
        }
    }

    /// The names of the table's columns behind a view's.
    fn base_columns(&self, shape: &Shape, set: &BTreeSet<String>) -> BTreeSet<String> {
        let columns = shape.columns.iter();
        let columns = columns.filter(|column| set.contains("*") || set.contains(&column.name));
        let from = columns.flat_map(|column| &column.from);
        from.filter_map(|touch| match touch {
            Touch::Column {
                relation, column, ..
            } => Some(self.names?.column(*relation, *column)?.name.clone()),
            Touch::Named(_) => None,
        })
        .collect()
    }

    /// An INSERT stores into the table that is named, or into partitions.
    pub(crate) fn inserts(&self, item: &mut Item) {
        if let Source::Table { relation, only } = &mut item.source {
            let relation = self.names.and_then(|names| names.relation(*relation));
            *only = relation.is_some_and(|one| one.kind != RelationKind::Partitioned);
        }
    }

    /// A materialised view is made anew: its query runs.
    pub(crate) fn refresh(&mut self, at: u32) {
        self.seen.writes.insert(at);
        let expanded = self.view(at);
        self.absorb(&expanded);
    }

    /// Values for every column come from outside.
    pub(crate) fn stores_all(&mut self, at: u32) {
        let columns = self.names.and_then(|names| names.relation(at));
        let count = columns.map_or(0, |relation| relation.columns.len());
        for column in 0..u16::try_from(count).unwrap_or(u16::MAX) {
            self.stores(at, column);
        }
    }

    /// The statement is explained: what it would write is only looked at.
    pub(crate) fn only_planned(&mut self) {
        let writes = std::mem::take(&mut self.seen.writes);
        self.seen.reads.extend(writes);
        self.seen.cascades.clear();
        self.seen.triggers.clear();
        let rules = std::mem::take(&mut self.rules);
        self.rules.functions = rules.functions;
    }

    /// A query is kept, not run: its names count, what it would do does not.
    pub(crate) fn stores_query(&mut self, query: Self) {
        self.touch_all(&query.touched);
        self.columns_unknown |= query.columns_unknown;
        self.needs_room |= query.needs_room;
        self.seen.reads.extend(query.seen.reads);
        self.seen.reads.extend(query.seen.writes);
        self.seen.through.extend(query.seen.through);
        self.seen.foreign.extend(query.seen.foreign);
    }

    /// The item a written relation is to its own clauses.
    pub(crate) fn target_item(name: &str, schema: Option<&str>, source: Source) -> Item {
        Item {
            name: name.to_owned(),
            schema: schema.map(str::to_owned),
            source,
        }
    }
}

/// Marks a rule that has a condition, so that the event itself happens too.
pub(super) const CONDITIONAL: &str = "?";

/// A relation whose columns are not known.
fn open(name: &RelationName) -> Shape {
    Shape {
        open: BTreeSet::from([Open::Relation(name.clone())]),
        ..Shape::default()
    }
}
