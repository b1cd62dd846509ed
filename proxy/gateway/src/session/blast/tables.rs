//! Rows of whole tables, rows that foreign keys take along, and tables that are written anew.

use std::collections::{BTreeMap, BTreeSet};

use abeyance_api::{
    Estimate, EstimateSource,
    blast::{Cascade, CascadeAction, Rewrite},
};
use abeyance_sql::{self as sql, postgres::counting::Matching};

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
    async fn table_rows(
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
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {} LIMIT {}) AS abeyance_counted",
            relation.name.quoted(),
            COUNT_MAX + 1
        );
        let answer = self.ask(budget, Question::of_session(&sql, &[])).await?;
        let most = u64::from(COUNT_MAX);
        Ok(match answer.ok().as_deref().and_then(number) {
            Some(counted) if counted <= most => Estimate::exact(counted),
            Some(_) => match near.rows(table).map(whole) {
                Some(rows) if rows > most => Estimate::estimated(rows),
                _ => Estimate::more_than(most),
            },
            None => by_statistics(),
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
                && subject.countable();
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
                let rows = rows.unwrap_or_else(|| by_average(near, &gone, hit));
                if hit.action == CascadeAction::Delete {
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
        let sql = cascade::count(&scene.near, root, matching, &found.hits, hit, COUNT_MAX + 1);
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
        let impact = &subject.facts.impact;
        if impact.rewrite == sql::Rewrite::No {
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
        let certain = impact.rewrite == sql::Rewrite::Yes;
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
fn tops(near: &Neighbours, tables: &BTreeSet<Oid>) -> Vec<Oid> {
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
pub(super) fn sum(parts: &[Estimate]) -> Estimate {
    if let [only] = parts {
        return only.clone();
    }
    let known = |part: &Estimate| part.rows.filter(|_| part.source != EstimateSource::Unknown);
    let total = parts.iter().filter_map(known).fold(0, u64::saturating_add);
    let mut notes: Vec<&str> = parts.iter().filter_map(|p| p.note.as_deref()).collect();
    notes.dedup();
    let has = |source| parts.iter().any(|part| part.source == source);
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
    } else if has(EstimateSource::Bounded) {
        Estimate::more_than(total)
    } else if has(EstimateSource::Estimated) {
        Estimate::estimated(total)
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
