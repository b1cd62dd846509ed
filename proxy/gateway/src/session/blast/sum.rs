//! Joins what is known of each statement into one blast radius.
//!
//! Pure. The whole is as well known as its least known part: what is unknown of one statement is
//! unknown of the batch.

use std::collections::{BTreeMap, BTreeSet};

use abeyance_api::{
    Blast, Estimate,
    blast::{Access, Cascade, Lock, Rewrite, Undo},
};

use super::{
    locks::{self, InTheWay, Locks},
    part::Part,
    subject::Subject,
    tables,
};

/// Most entries of each list that travel to reviewers.
const LIST_MAX: usize = 48;

/// What all probes found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) parts: Vec<Part>,
    pub(super) in_the_way: Option<InTheWay>,
    notes: Vec<String>,
}

impl Found {
    /// Nothing could be asked.
    pub(super) fn unasked(subjects: &[Subject], why: &str) -> Self {
        let part = |subject| {
            let mut part = Part::of(subject);
            part.rows = Estimate::unknown(why);
            part.access = Access::Unknown;
            part
        };
        Self {
            parts: subjects.iter().map(part).collect(),
            in_the_way: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The strongest lock on each relation; `None` when a part is not known.
    pub(super) fn locks(&self) -> Option<Locks> {
        locks_of(&self.parts)
    }
}

fn locks_of(parts: &[Part]) -> Option<Locks> {
    let mut all = Locks::new();
    for part in parts {
        for (relation, mode) in part.locks.as_ref()? {
            let strongest = all.entry(*relation).or_insert(*mode);
            *strongest = (*strongest).max(*mode);
        }
    }
    Some(all)
}

/// The whole batch. `left_out`: so many statements were not looked at.
pub(super) fn of(found: &Found, left_out: usize) -> Blast {
    joined(&found.parts, found, left_out)
}

/// Each statement by itself, in the order they were looked at. Who is in the way is in the way of all.
pub(super) fn each(found: &Found) -> impl Iterator<Item = Blast> {
    let parts = found.parts.iter();
    parts.map(|part| joined(std::slice::from_ref(part), found, 0))
}

fn joined(parts: &[Part], found: &Found, left_out: usize) -> Blast {
    let mut rows: Vec<Estimate> = parts.iter().map(|part| part.rows.clone()).collect();
    if left_out > 0 {
        rows.push(Estimate::unknown(format!(
            "{left_out} more statements were not looked at"
        )));
    }
    let whole = left_out == 0;
    let rows = if rows.is_empty() {
        Estimate::exact(0)
    } else {
        tables::sum(&rows)
    };
    let names: BTreeMap<_, _> = parts.iter().flat_map(|part| &part.names).collect();
    let locks = locks_of(parts).filter(|_| whole);
    let mut notes: Vec<String> = Vec::new();
    let all = parts.iter().flat_map(|part| &part.notes);
    for note in all.chain(&found.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    let mut cut = |list: Vec<String>, what: &str| {
        let more = list.len().saturating_sub(LIST_MAX);
        if more > 0 {
            notes.push(format!("{more} more {what} are not listed"));
        }
        list.into_iter().take(LIST_MAX).collect::<Vec<_>>()
    };
    let joined = |of: fn(&Part) -> Option<&BTreeSet<String>>| -> Option<Vec<String>> {
        let sets: Option<Vec<_>> = parts.iter().map(of).collect();
        let all: BTreeSet<&String> = sets?.into_iter().flatten().collect();
        whole.then(|| all.into_iter().cloned().collect())
    };
    let triggers = joined(|part| part.triggers.as_ref()).map(|list| cut(list, "triggers"));
    let views = joined(|part| part.views.as_ref()).map(|list| cut(list, "views"));
    let locks = locks.map(|locks| {
        let mut locks: Vec<(&_, &_)> = locks.iter().collect();
        locks.sort_by(|a, b| b.1.cmp(a.1));
        let listed = locks.iter().take(LIST_MAX).map(|(relation, mode)| Lock {
            relation: names
                .get(relation)
                .map_or_else(String::new, |n| (*n).clone()),
            mode: locks::name(**mode).to_owned(),
        });
        listed.collect()
    });
    let worst = |of: fn(&Part) -> bool| parts.iter().any(of);
    let transactional = if worst(|part| part.transactional == Some(false)) {
        Some(false)
    } else if worst(|part| part.transactional.is_none()) || !whole {
        None
    } else {
        Some(true)
    };
    let sizes = parts.iter().filter_map(|part| part.rewrite_bytes);
    Blast {
        rows,
        cascades: cascades(parts).filter(|_| whole),
        triggers,
        locks,
        blocks_now: found.in_the_way.filter(|_| whole).map(|way| way.all),
        waits_for: found.in_the_way.filter(|_| whole).map(|way| way.holding),
        rewrite: parts
            .iter()
            .map(|part| part.rewrite)
            .chain((!whole).then_some(Rewrite::Unknown))
            .max()
            .unwrap_or(Rewrite::No),
        rewrite_bytes: sizes.reduce(u64::saturating_add),
        access: parts
            .iter()
            .map(|part| part.access)
            .chain((!whole).then_some(Access::Unknown))
            .max()
            .unwrap_or(Access::NotApplicable),
        undo: parts
            .iter()
            .map(|part| part.undo)
            .chain((!whole).then_some(Undo::Unknown))
            .max()
            .unwrap_or(Undo::Nothing),
        transactional,
        views,
        rows_cap: None,
        notes,
    }
}

/// Each table and action once; `None` when a part is not known.
fn cascades(parts: &[Part]) -> Option<Vec<Cascade>> {
    let mut all: Vec<Cascade> = Vec::new();
    for cascade in parts
        .iter()
        .map(|part| part.cascades.as_ref())
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .flatten()
    {
        let same = |known: &&mut Cascade| {
            known.relation == cascade.relation && known.action == cascade.action
        };
        match all.iter_mut().find(same) {
            Some(known) => known.rows = tables::sum(&[known.rows.clone(), cascade.rows.clone()]),
            None => all.push(cascade.clone()),
        }
    }
    all.truncate(LIST_MAX);
    Some(all)
}
