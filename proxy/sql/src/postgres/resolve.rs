//! What names stand for: scopes while the tree is walked, and the catalog where there is one.
//!
//! The walk visits the tree and tells a [`Resolver`] what comes into scope and which names are
//! used; the resolver answers with base columns and gathers what running the statement touches.
//! Errs towards more: a column that may be touched is touched, a name that may be a call is one.
//! Knows nothing of policy. Carries invariant 1 for everything a name can hide.

mod code;
mod definition;
mod effect;
mod finish;
mod join;
mod judging;
mod lookup;
mod names;
mod scope;
mod shape;
mod star;
mod types;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{ColumnName, OpaqueReason, RelationName, StatementClass};
pub(super) use effect::Event;
pub(super) use names::{Found, Names};
pub(super) use scope::{Item, Level, Parts, Source, Tree};
pub(super) use shape::{Open, OutColumn, Shape, figured_name};
pub(super) use types::Ty;
pub(crate) use types::TypeKey;

/// Steps one statement may take: names compared, columns carried, relations gone through.
const WORK_MAX: usize = 100_000;
/// Times the common table expressions of one statement are gone through again for recursion.
const PASSES_MAX: usize = 48;
/// Most doubts, and most missing names, that are told one by one.
const WORDS_MAX: usize = 64;
/// Most columns a query can give; the server's own limit is 1664.
const COLUMNS_MAX: usize = 1_664;

/// A column that is touched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touch {
    /// Positions in the catalog; `only` for `ONLY table`.
    Column {
        relation: u32,
        column: u16,
        only: bool,
    },
    /// As written, or of a relation of the system.
    Named(Arc<ColumnName>),
}

/// What a definition means: a view, a rule, a policy, a default, a check.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expanded {
    /// What a query gives, column by column.
    pub shape: Arc<Shape>,
    pub touched: Vec<Touch>,
    pub columns_unknown: bool,
    pub seen: Seen,
    pub doubts: BTreeSet<String>,
    pub code: Vec<Code>,
    /// Of it, what the planner runs whenever the relation is in a query.
    pub fixed: Vec<Code>,
    pub in_play: BTreeSet<TypeKey>,
    pub kinds: BTreeSet<String>,
    pub classes: BTreeSet<StatementClass>,
    pub writes: BTreeSet<RelationName>,
    pub functions: BTreeSet<crate::FunctionName>,
    pub opaque: Option<OpaqueReason>,
    /// It could not be read on this stack.
    pub needs_room: bool,
}

/// What is gone through, by position in the catalog.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub missing: BTreeSet<String>,
    pub reads: BTreeSet<u32>,
    pub writes: BTreeSet<u32>,
    pub through: BTreeSet<u32>,
    pub foreign: BTreeSet<u32>,
    pub cascades: BTreeSet<u32>,
    /// Of a view's query: the relations of its FROM, which writes go to.
    pub bases: BTreeSet<u32>,
    /// Relation and trigger of it.
    pub triggers: BTreeSet<(u32, u32)>,
    /// A definition depends on where a cursor, a sequence or the like stands in the session.
    pub positioned: bool,
}

impl Seen {
    fn extend(&mut self, other: &Self) {
        self.missing.extend(other.missing.iter().cloned());
        self.reads.extend(&other.reads);
        self.writes.extend(&other.writes);
        self.through.extend(&other.through);
        self.foreign.extend(&other.foreign);
        self.cascades.extend(&other.cascades);
        self.triggers.extend(&other.triggers);
        self.positioned |= other.positioned;
    }
}

/// Code of a user's that may run; whether it counts is known only when all types in play are,
/// and who vouches for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// A call by this name. `harmless` when the server's own routine of that name is.
    Call {
        name: String,
        harmless: bool,
        routines: Vec<u32>,
    },
    Operator {
        name: String,
        harmless: bool,
        operators: Vec<u32>,
    },
    /// A cast that is written.
    Cast(Vec<u32>),
    /// Values are stored, so casts on assignment come in too.
    Assignment,
    /// A type with code of its own.
    Base(u32),
    /// A type whose values are compared by code of a user's.
    Compare(u32),
    /// A relation whose index or partitions are searched by code of a user's.
    Scan(u32),
}

/// How deep definitions may still be gone into on this stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub left: usize,
    /// There is a deeper stack to go to.
    pub more_elsewhere: bool,
}

#[derive(Debug)]
pub(super) struct Resolver<'c> {
    pub names: Option<Names<'c>>,
    levels: Vec<Level>,
    touched: Vec<Touch>,
    pub columns_unknown: bool,
    pub seen: Seen,
    pub doubts: BTreeSet<String>,
    code: Vec<Code>,
    /// Calls of immutable routines with constants alone.
    fixed: Vec<Code>,
    in_play: BTreeSet<TypeKey>,
    /// Rule actions run as if written: their kinds, classes and writes.
    pub rules: Expanded,
    room: Room,
    /// It takes a deeper stack to answer.
    pub needs_room: bool,
    /// Definitions that are being gone through.
    expanding: Vec<u32>,
    /// Writes already followed, so that cascades in circles end.
    followed: BTreeMap<(u32, Event), BTreeSet<String>>,
    /// Values of expressions are carried by the columns they make: in definitions.
    pub carries_expressions: bool,
    work: usize,
    passes: usize,
    /// A common table expression was used before it was known.
    pub recursed: bool,
}

impl<'c> Resolver<'c> {
    pub(super) fn new(names: Option<Names<'c>>, room: Room) -> Self {
        Self {
            names,
            levels: Vec::new(),
            touched: Vec::new(),
            columns_unknown: false,
            seen: Seen::default(),
            doubts: BTreeSet::new(),
            code: Vec::new(),
            fixed: Vec::new(),
            in_play: BTreeSet::new(),
            rules: Expanded::default(),
            room,
            needs_room: false,
            expanding: Vec::new(),
            followed: BTreeMap::new(),
            carries_expressions: false,
            work: 0,
            passes: 0,
            recursed: false,
        }
    }

    /// For a statement inside: the same catalog, nothing gathered.
    pub(super) fn fresh(&self) -> Self {
        let mut fresh = Self::new(self.names, self.room);
        fresh.expanding.clone_from(&self.expanding);
        fresh
    }

    pub(super) fn sighted(&self) -> bool {
        self.names.is_some()
    }

    pub(super) fn doubt(&mut self, words: String) {
        if self.doubts.len() < WORDS_MAX {
            self.doubts.insert(words);
        }
    }

    /// Notes a name that is written and that the catalog does not have.
    pub(super) fn lacks(&mut self, name: String) {
        if self.seen.missing.len() < WORDS_MAX {
            self.seen.missing.insert(name);
        }
    }

    /// There were too many steps: more would change nothing.
    fn is_spent(&self) -> bool {
        self.work > WORK_MAX
    }

    /// Counts steps; false when there were too many, and what was gathered is not all.
    fn step(&mut self, steps: usize) -> bool {
        self.work = self.work.saturating_add(steps);
        if self.work <= WORK_MAX {
            return true;
        }
        self.columns_unknown = true;
        if self.sighted() {
            self.doubt("has too many names to look up".to_owned());
        }
        false
    }

    /// Whether recursion may be followed once more.
    pub(super) fn pass(&mut self) -> bool {
        self.passes += 1;
        if self.passes > PASSES_MAX {
            self.columns_unknown = true;
            if self.sighted() {
                self.doubt("has recursion that is too deep to follow".to_owned());
            }
        }
        self.passes <= PASSES_MAX
    }

    pub(super) fn touch_all(&mut self, touches: &[Touch]) {
        if self.step(touches.len()) {
            self.touched.extend_from_slice(touches);
            self.thin();
        }
    }

    /// Keeps what is gathered in bounds.
    fn thin(&mut self) {
        if self.touched.len() > 4096 && self.touched.len().is_power_of_two() {
            self.touched.sort_unstable();
            self.touched.dedup();
        }
    }

    /// What was touched since; for columns that carry an expression's value.
    pub(super) fn take_touched(&mut self) -> Vec<Touch> {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn put_touched(&mut self, touched: Vec<Touch>) {
        self.touched = touched;
    }

    /// Takes over what a definition does besides giving columns.
    pub(super) fn absorb(&mut self, expanded: &Expanded) {
        self.touch_all(&expanded.touched);
        self.columns_unknown |= expanded.columns_unknown;
        self.seen.extend(&expanded.seen);
        self.doubts.extend(expanded.doubts.iter().cloned());
        self.code.extend(expanded.code.iter().cloned());
        self.in_play.extend(&expanded.in_play);
        if let Some(reason) = &expanded.opaque {
            self.doubt(format!("goes through a definition of which {reason}"));
        }
    }
}
