//! Rows of whole tables, rows that foreign keys take along, and tables that are written anew.

use std::collections::{BTreeMap, BTreeSet};

use abeyance_api::{
    Estimate, EstimateSource,
    blast::{Cascade, CascadeAction, Rewrite},
};
use abeyance_sql::{
    self as sql,
    postgres::{
        counting::Matching,
        plan::{EXPLAIN_PREFIX, Explained},
    },
};

use super::{
    super::Session,
    ask::{Budget, Question},
    cascade::{self, Cascades, Hit},
    look::{Scene, number},
    neighbours::{Neighbours, Oid},
    part::Part,
    rows::{COUNT_MAX, count_question},
    subject::Subject,
};
use crate::error::SessionError;

/// How much of a table and its indexes is written anew in a second, in bytes: a modest disk.
const REWRITE_BYTES_PER_SECOND: u64 = 50 * 1024 * 1024;

impl Session {
    /// Rows of the tables that TRUNCATE, DROP or a rewrite takes as a whole.
    pub(super) async fn probe_tables(
        &mut self,
        budget: Budget,
        subject: &Subject,
        scene: &Scene,
        part: &mut Part,
    ) -> Result<(), SessionError> {
        let near = &*scene.near;
        let mut rows = Vec::new();
        for root in &scene.roots {
            rows.push(self.table_rows(budget, near, *root).await?);
        }
        let rows = if rows.is_empty() {
            Estimate::unknown("it names no table that is there")
        } else {
            sum(&rows)
        };
        part.expected = rows.rows;
        part.rows = rows;
        let truncates = subject.facts.kind == "TRUNCATE";
        if truncates && subject.facts.impact.cascades {
            let own: BTreeSet<Oid> = scene.roots.iter().flat_map(|r| near.family(*r)).collect();
            let all = near.truncated_along(&scene.roots);
            let along: BTreeSet<Oid> = all.difference(&own).copied().collect();
            let mut cascades = Vec::new();
            for table in tops(near, &along) {
                cascades.push(Cascade {
                    relation: near.words(table),
                    action: CascadeAction::Truncate,
                    rows: self.table_rows(budget, near, table).await?,
                });
            }
            part.cascades = Some(cascades);
        } else if truncates {
            let refused = near
                .foreign_keys
                .iter()
                .any(|key| scene.roots.contains(&key.to) && !scene.roots.contains(&key.from));
            if refused {
                part.notes
                    .push("the server refuses it: other tables refer to this one".to_owned());
            }
        }
        Ok(())
    }

    /// All rows of a table with everything below it: counted when few, else by its statistics.
    pub(super) async fn table_rows(
        &mut self,
        budget: Budget,
        near: &Neighbours,
        table: Oid,
    ) -> Result<Estimate, SessionError> {
        let Some(relation) = near.relations.get(&table) else {
            return Ok(Estimate::unknown("it is gone"));
        };
        let by_statistics = || match near.rows(table) {
            Some(rows) => Estimate::estimated(whole(rows)),
            None => Estimate::unknown("it was never analysed"),
        };
        // Row security hides rows from a count that the statement takes all the same.
        if relation.row_security || !matches!(relation.kind, 'r' | 'p' | 'm') {
            return Ok(by_statistics());
        }
        let name = relation.name.quoted();
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {name} LIMIT {}) AS abeyance_counted",
            COUNT_MAX + 1
        );
        let answer = self.ask(budget, Question::of_session(&sql, &[])).await?;
        let most = u64::from(COUNT_MAX);
        let counted = answer.ok().as_deref().and_then(number);
        if let Some(counted) = counted.filter(|counted| *counted <= most) {
            return Ok(Estimate::exact(counted));
        }
        // The planner knows how much a table has grown since its statistics were taken.
        let sql = format!("{EXPLAIN_PREFIX}SELECT 1 FROM {name}");
        let answer = self.ask(budget, Question::of_session(&sql, &[])).await?;
        let planned = answer
            .ok()
            .and_then(|plan| Explained::from_json(&plan).ok());
        let planned = planned
            .and_then(|plan| plan.rows())
            .map(Estimate::estimated);
        Ok(match planned.unwrap_or_else(by_statistics) {
            guess if counted.is_some() && guess.rows.is_none_or(|rows| rows <= most) => {
                Estimate::more_than(most)
            }
            guess => guess,
        })
    }

    /// Rows of other tables that go or change along.
    pub(super) async fn probe_along(
        &mut self,
        budget: Budget,
        subject: &Subject,
        scene: &Scene,
        matching: Option<&Matching>,
        part: &mut Part,
    ) -> Result<(), SessionError> {
        let near = &*scene.near;
        let along = std::mem::take(&mut part.along);
        let mut cascades = Vec::new();
        for (root, found) in &along {
            // Only of the table that is named are the rows known one by one.
            let exact = part.rows.source == EstimateSource::Exact
                && scene.target == Some(*root)
                && subject.countable(part.undisturbed);
            let matching = matching.filter(|_| exact);
            let written = part.expected.filter(|_| scene.roots.len() == 1);
            let mut gone = BTreeMap::from([(*root, written.map(|rows| (rows as f64, exact)))]);
            for hit in &found.hits {
                let rows = match matching.filter(|_| reached_exactly(near, &gone, hit)) {
                    Some(matching) => {
                        self.count_hit(budget, subject, scene, (*root, found, hit), matching)
                            .await?
                    }
                    None => None,
                };
                let itself = hit.table == *root && hit.action == CascadeAction::Delete;
                let rows = match rows {
                    // Those that the statement names are not taken along.
                    Some(mut rows) if itself => {
                        let named = part.rows.rows.unwrap_or_default();
                        rows.rows = rows.rows.map(|rows| rows.saturating_sub(named));
                        rows
                    }
                    Some(rows) => rows,
                    None if !hit.countable || !found.own.is_empty() => {
                        Estimate::unknown("rows refer to one another in a circle")
                    }
                    None => by_average(near, &gone, hit),
                };
                if hit.action == CascadeAction::Delete && !itself {
                    let exact = rows.source == EstimateSource::Exact;
                    gone.insert(hit.table, rows.rows.map(|rows| (rows as f64, exact)));
                }
                cascades.push(Cascade {
                    relation: near.words(hit.table),
                    action: hit.action,
                    rows,
                });
            }
        }
        part.along = along;
        part.cascades = Some(cascades);
        Ok(())
    }

    async fn count_hit(
        &mut self,
        budget: Budget,
        subject: &Subject,
        scene: &Scene,
        (root, found, hit): (Oid, &Cascades, &Hit),
        matching: &Matching,
    ) -> Result<Option<Estimate>, SessionError> {
        let table = scene.near.relations.get(&hit.table);
        if table.is_none_or(|table| table.row_security) {
            return Ok(None);
        }
        let sql = cascade::count(&scene.near, root, matching, found, hit, COUNT_MAX + 1);
        let Some(question) = sql.and_then(|sql| count_question(subject, matching, &sql)) else {
            return Ok(None);
        };
        let answer = self.ask(budget, question).await?;
        let counted = answer.ok().as_deref().and_then(number);
        Ok(counted.map(|rows| {
            if rows <= u64::from(COUNT_MAX) {
                Estimate::exact(rows)
            } else {
                Estimate::more_than(u64::from(COUNT_MAX))
            }
        }))
    }

    /// How much is written anew, and roughly how long that takes.
    pub(super) async fn probe_rewrite(
        &mut self,
        budget: Budget,
        subject: &Subject,
        scene: &Scene,
        part: &mut Part,
    ) -> Result<(), SessionError> {
        if part.rewrites == sql::Rewrite::No {
            return Ok(());
        }
        if subject.facts.kind == "TRUNCATE" {
            // New, empty files: nothing is copied.
            (part.rewrite, part.rewrite_bytes) = (Rewrite::Moments, Some(0));
            return Ok(());
        }
        if scene.roots.is_empty() {
            return Ok(());
        }
        let near = &scene.near;
        let tables = scene.roots.iter().flat_map(|root| near.family(*root));
        part.rewrite_bytes = self.size(budget, &tables.collect()).await?;
        let certain = part.rewrites == sql::Rewrite::Yes;
        if let Some(bytes) = part.rewrite_bytes.filter(|_| certain) {
            part.rewrite = duration(bytes);
        }
        Ok(())
    }
}

/// A rough class of how long writing so much takes.
fn duration(bytes: u64) -> Rewrite {
    match bytes / REWRITE_BYTES_PER_SECOND {
        0 => Rewrite::Moments,
        1..60 => Rewrite::Seconds,
        60..3_600 => Rewrite::Minutes,
        _ => Rewrite::Hours,
    }
}

/// All tables rows are lost from on the way to `hit` were counted to the end.
fn reached_exactly(
    near: &Neighbours,
    gone: &BTreeMap<Oid, Option<(f64, bool)>>,
    hit: &Hit,
) -> bool {
    hit.by.iter().all(|key| {
        let mut parents = gone
            .iter()
            .filter(|(p, _)| near.family(**p).contains(&key.to));
        parents.all(|(_, rows)| rows.is_some_and(|(_, exact)| exact))
    })
}

/// As many rows as refer to so many rows on average, by the statistics of both tables.
fn by_average(near: &Neighbours, gone: &BTreeMap<Oid, Option<(f64, bool)>>, hit: &Hit) -> Estimate {
    let unknown = |why: &str| Estimate::unknown(why);
    let Some(children) = near.rows(hit.table) else {
        return unknown("it was never analysed");
    };
    let mut most: f64 = 0.0;
    for key in &hit.by {
        let parent = gone
            .iter()
            .find(|(p, _)| near.family(**p).contains(&key.to));
        let Some((parent, Some((lost, _)))) = parent else {
            return unknown("it depends on rows that are not known");
        };
        let Some(all) = near.rows(*parent) else {
            return unknown("the table it refers to was never analysed");
        };
        let share = if all < 1.0 {
            1.0
        } else {
            (lost / all).min(1.0)
        };
        most = most.max(children * share);
    }
    let mut rows = Estimate::estimated(whole(most.ceil()));
    rows.note = Some("on average".to_owned());
    rows
}

/// The tables of a set that are below no other of it.
pub(super) fn tops(near: &Neighbours, tables: &BTreeSet<Oid>) -> Vec<Oid> {
    let below = |table: &Oid| {
        let relation = near.relations.get(table);
        let parents = relation.and_then(|relation| relation.parents.as_deref());
        parents
            .unwrap_or_default()
            .iter()
            .any(|p| tables.contains(p))
    };
    tables
        .iter()
        .filter(|table| !below(table))
        .copied()
        .collect()
}

/// Rows together; as well known as the least known of them.
pub(in crate::session) fn sum(parts: &[Estimate]) -> Estimate {
    if let [only] = parts {
        return only.clone();
    }
    let known = |part: &Estimate| part.rows.filter(|_| part.source != EstimateSource::Unknown);
    let total = parts.iter().filter_map(known).fold(0, u64::saturating_add);
    let mut notes: Vec<&str> = parts.iter().filter_map(|p| p.note.as_deref()).collect();
    notes.dedup();
    let has = |source: EstimateSource| parts.iter().any(|part| part.source == source);
    let mut rows = if parts.iter().any(|part| known(part).is_none()) {
        let mut rows = Estimate::unknown("");
        let rest =
            (total > 0).then(|| format!("{} elsewhere", abeyance_api::blast::words::rows(total)));
        rows.note = Some(
            notes
                .iter()
                .copied()
                .map(ToOwned::to_owned)
                .chain(rest)
                .collect::<Vec<_>>()
                .join("; "),
        );
        return rows;
    } else if has(EstimateSource::Estimated) {
        Estimate::estimated(total)
    } else if has(EstimateSource::Bounded) {
        // What may be nothing adds nothing to a lower bound.
        let certain = |part: &&Estimate| part.source != EstimateSource::AtMost;
        let rows = parts.iter().filter(certain).filter_map(known);
        Estimate::more_than(rows.fold(0, u64::saturating_add))
    } else if has(EstimateSource::AtMost) {
        Estimate::at_most(total)
    } else {
        Estimate::exact(total)
    };
    rows.note = (!notes.is_empty()).then(|| notes.join("; "));
    rows
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of rows as the server keeps it: never negative, and casts saturate"
)]
fn whole(rows: f64) -> u64 {
    rows as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_as_well_known_as_its_parts() {
        let (exact, most) = (Estimate::exact(5), Estimate::at_most(3));
        let (more, guess) = (Estimate::more_than(100), Estimate::estimated(40));
        let unknown = Estimate::unknown("no time");
        for (parts, want, source) in [
            (vec![&exact, &exact], Some(10), EstimateSource::Exact),
            (vec![&exact, &most], Some(8), EstimateSource::AtMost),
            (vec![&exact, &more], Some(105), EstimateSource::Bounded),
            (vec![&most, &more], Some(100), EstimateSource::Bounded),
            (vec![&guess, &more], Some(140), EstimateSource::Estimated),
            (vec![&exact, &unknown], None, EstimateSource::Unknown),
        ] {
            let parts: Vec<Estimate> = parts.into_iter().cloned().collect();
            let all = sum(&parts);
            assert_eq!((all.rows, all.source), (want, source), "{parts:?}");
        }
    }
}
