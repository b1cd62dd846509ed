//! What is known of one statement: everything that needs no further question is worked out here.
//!
//! Pure. Starts from the worst (unknown) and is filled in by what the probes find.

use std::collections::{BTreeMap, BTreeSet};

use abeyance_api::{
    Estimate,
    blast::{Access, Cascade, Rewrite, Undo},
};
use abeyance_sql::{
    self as sql,
    postgres::plan::{Explained, Operation, ScanMethod},
};

use super::{
    cascade::{self, Cascades},
    locks::{self, Locks},
    look::Scene,
    neighbours::{Name, Neighbours, Oid, fires},
    subject::Subject,
};

/// One statement's share of the blast radius.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) rows: Estimate,
    /// The best single guess at its rows, also where counting stopped early.
    pub(super) expected: Option<u64>,
    pub(super) cascades: Option<Vec<Cascade>>,
    pub(super) triggers: Option<BTreeSet<String>>,
    pub(super) locks: Option<Locks>,
    /// Names of the locked relations.
    pub(super) names: BTreeMap<Oid, String>,
    /// Whether rows are written anew.
    pub(super) rewrites: sql::Rewrite,
    /// The same with how long that takes.
    pub(super) rewrite: Rewrite,
    pub(super) rewrite_bytes: Option<u64>,
    pub(super) access: Access,
    pub(super) undo: Undo,
    pub(super) transactional: Option<bool>,
    pub(super) views: Option<BTreeSet<String>>,
    pub(super) notes: Vec<String>,
    /// What foreign keys take along, by written table.
    pub(super) along: Vec<(Oid, Cascades)>,
    /// Tables whose rows it may change; `None`: any.
    pub(super) disturbs: Option<BTreeSet<Name>>,
    /// What is before it in the batch changes rows of none of its tables.
    pub(super) undisturbed: bool,
}

impl Part {
    /// As far as the text alone tells.
    pub(super) fn of(subject: &Subject) -> Self {
        let impact = &subject.facts.impact;
        Self {
            rows: Estimate::unknown("not asked"),
            expected: None,
            cascades: None,
            triggers: None,
            locks: None,
            names: BTreeMap::new(),
            rewrites: impact.rewrite,
            rewrite: match impact.rewrite {
                sql::Rewrite::No => Rewrite::No,
                sql::Rewrite::Possible | sql::Rewrite::Yes => Rewrite::Unknown,
            },
            rewrite_bytes: None,
            access: Access::NotApplicable,
            undo: match impact.undo {
                sql::Undo::Nothing => Undo::Nothing,
                sql::Undo::Counterpart => Undo::Counterpart,
                sql::Undo::UntilCommit => Undo::UntilCommit,
                sql::Undo::Never => Undo::Never,
                sql::Undo::Unknown => Undo::Unknown,
            },
            transactional: Some(impact.transactional),
            views: None,
            notes: Vec::new(),
            along: Vec::new(),
            disturbs: None,
            undisturbed: false,
        }
    }

    /// Nothing can be found out about it.
    pub(super) fn know_nothing(&mut self, why: &str) {
        self.rows = Estimate::unknown(why);
        self.rewrite = Rewrite::Unknown;
        self.access = Access::Unknown;
        self.undo = Undo::Unknown;
        self.transactional = self.transactional.filter(|transactional| *transactional);
    }

    /// What is around it could not be looked at.
    pub(super) fn hide(&mut self, why: &str) {
        self.access = Access::Unknown;
        self.notes.push(why.to_owned());
    }

    /// Rows as the planner sees them.
    pub(super) fn rows_by_plan(&mut self, subject: &Subject, plan: Option<&Explained>) {
        let Some(plan) = plan else { return };
        if !subject.facts.writes.is_empty() && plan.writes().next().is_none() {
            self.rows = Estimate::unknown("the target plans no change of rows");
            return;
        }
        if let Some(rows) = plan.rows() {
            self.rows = Estimate::estimated(rows);
            if plan
                .writes()
                .any(|write| write.operation == Operation::Merge)
            {
                self.rows.note = Some("MERGE may change fewer than it looks at".to_owned());
            }
            self.expected = Some(rows);
        }
    }

    /// Triggers, foreign keys, locks and views.
    pub(super) fn surround(&mut self, subject: &Subject, plan: Option<&Explained>, scene: &Scene) {
        let near = &*scene.near;
        if let Some(plan) = plan {
            self.access = access(plan, near);
        }
        for (root, events) in &scene.events {
            if events & fires::DELETE != 0 {
                self.along.push((*root, cascade::of_delete(near, *root)));
            }
            if events & fires::UPDATE != 0 {
                match subject.sets().filter(|_| scene.target == Some(*root)) {
                    Some(sets) => {
                        let found = cascade::of_update(near, *root, sets);
                        self.along.push((*root, found));
                    }
                    None if near
                        .referring(*root)
                        .iter()
                        .any(|key| changes(key.on_update)) =>
                    {
                        self.notes.push(format!(
                            "a change of keys of {} would change other tables too",
                            near.words(*root)
                        ));
                    }
                    None => {}
                }
            }
        }
        self.triggers = Some(triggers(subject, scene, &self.along));
        let found: Vec<&Cascades> = self.along.iter().map(|(_, found)| found).collect();
        let taken = locks::taken(&subject.facts, near, &scene.roots, &found);
        self.names = taken
            .keys()
            .map(|relation| (*relation, near.words(*relation)))
            .collect();
        // A lock on the whole database is not a list.
        let everything = scene.roots.is_empty()
            && subject.facts.impact.lock > abeyance_sql::TableLock::AccessShare;
        self.locks = (!everything).then_some(taken);
        self.views = Some(near.views.iter().map(Name::words).collect());
        if near.cut {
            self.notes
                .push("more tables hang on it than were looked at".to_owned());
        }
        self.disturbs = self.is_quiet(scene).then(|| self.changed(scene));
        self.note_refusals(near);
        if !everything || !scene.roots.is_empty() {
            self.cascades = Some(Vec::new());
        }
    }

    /// Tables whose rows it changes: its own, and those that foreign keys reach.
    fn changed(&self, scene: &Scene) -> BTreeSet<Name> {
        let hits = self.along.iter().flat_map(|(_, found)| &found.hits);
        let reached = hits.map(|hit| hit.table).chain(scene.roots.iter().copied());
        reached
            .flat_map(|table| scene.near.family(table))
            .filter_map(|table| scene.near.relations.get(&table))
            .map(|relation| relation.name.clone())
            .collect()
    }

    /// There is no more than that: triggers may do anything.
    fn is_quiet(&self, scene: &Scene) -> bool {
        self.triggers.as_ref().is_some_and(BTreeSet::is_empty)
            && !scene.near.cut
            && !self.along.iter().any(|(_, found)| found.cut)
    }

    /// Whether none of these changes rows that it reads, changes or takes along.
    pub(super) fn is_apart(
        &self,
        plan: Option<&Explained>,
        scene: &Scene,
        before: &[Part],
    ) -> bool {
        let Some(plan) = plan else { return false };
        let mut all = self.changed(scene);
        let written = plan.writes().flat_map(|write| &write.tables);
        for name in plan.scans().map(|scan| &scan.relation).chain(written) {
            let Some(schema) = name.schema.clone() else {
                return false;
            };
            all.insert(Name {
                schema,
                name: name.name.clone(),
            });
        }
        before.iter().all(|part| {
            let disturbed = part.disturbs.as_ref();
            disturbed.is_some_and(|disturbed| disturbed.is_disjoint(&all))
        })
    }

    fn note_refusals(&mut self, near: &Neighbours) {
        for (_, found) in &self.along {
            if found.cut {
                self.notes.push(
                    "the chain of foreign keys goes on further than was looked at".to_owned(),
                );
            }
            if !found.refused_by.is_empty() {
                let names: Vec<String> = found.refused_by.iter().map(|t| near.words(*t)).collect();
                self.notes.push(format!(
                    "the server refuses it while rows of {} refer to these",
                    names.join(", ")
                ));
            }
        }
    }
}

fn changes(action: char) -> bool {
    matches!(action, 'c' | 'n' | 'd')
}

/// Triggers of the written tables, and of those that foreign keys reach.
fn triggers(subject: &Subject, scene: &Scene, along: &[(Oid, Cascades)]) -> BTreeSet<String> {
    use abeyance_api::blast::CascadeAction as Action;
    let near = &scene.near;
    let mut fired = BTreeSet::new();
    for (root, events) in &scene.events {
        for event in [fires::INSERT, fires::UPDATE, fires::DELETE, fires::TRUNCATE] {
            if events & event == 0 {
                continue;
            }
            let sets = subject.sets().filter(|_| scene.target == Some(*root));
            let tables = match event {
                fires::TRUNCATE if subject.facts.impact.cascades => {
                    near.truncated_along(&scene.roots)
                }
                _ => BTreeSet::from([*root]),
            };
            for table in tables {
                fired.extend(near.fired(table, event, sets));
            }
        }
    }
    for hit in along.iter().flat_map(|(_, found)| &found.hits) {
        let (event, sets) = match hit.action {
            Action::Delete => (fires::DELETE, None),
            _ => {
                let columns = hit.by.iter().flat_map(|key| key.columns.iter().cloned());
                (fires::UPDATE, Some(columns.collect::<BTreeSet<String>>()))
            }
        };
        fired.extend(near.fired(hit.table, event, sets.as_ref()));
    }
    fired
}

/// How the target would find the rows. A table that is known to be small is as good as an index.
fn access(plan: &Explained, near: &Neighbours) -> Access {
    let written: BTreeSet<_> = plan.writes().flat_map(|write| &write.tables).collect();
    let looks = written.is_empty() || plan.writes().any(|w| w.operation != Operation::Insert);
    let mut found = Access::NotApplicable;
    for scan in plan.scans().filter(|_| looks) {
        let ours = written.is_empty() || written.contains(&scan.relation);
        if ours && scan.method == ScanMethod::Full && !near.is_small(&scan.relation) {
            return Access::FullScan;
        }
        found = Access::Index;
    }
    found
}
