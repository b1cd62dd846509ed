//! Looks things up in the target's catalog: what names stand for, what hangs on them, who uses them, how large
//! they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use abeyance_sql::{RelationName, postgres::plan::Explained};

use super::{
    super::Session,
    ask::{Budget, Question, Unanswered},
    locks,
    neighbours::{Neighbours, Oid, quoted},
    subject::Subject,
    sum::Found,
};
use crate::error::SessionError;

const NEIGHBOURS_SQL: &str = include_str!("neighbours.sql");
const LOCKS_SQL: &str = include_str!("locks.sql");
/// What each name stands for in this session, in order. No operator: the session's search_path is in force.
const RESOLVE_SQL: &str = "SELECT pg_catalog.json_agg(pg_catalog.to_regclass(name)::pg_catalog.oid::pg_catalog.int8 \
     ORDER BY place) FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) \
     WITH ORDINALITY AS given(name, place)";
/// Whether a relation and what it is made of have no rules but those of views, and no triggers that stand in for them.
const PLAIN_VIEW_SQL: &str = "WITH RECURSIVE part(oid) AS (SELECT $1::int8::oid UNION SELECT d.refobjid FROM part p \
     JOIN pg_rewrite r ON r.ev_class = p.oid JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid \
     AND d.refclassid = 'pg_class'::regclass) SELECT NOT EXISTS (SELECT FROM part p JOIN pg_rewrite r ON r.ev_class = p.oid \
     WHERE r.rulename <> '_RETURN') AND NOT EXISTS (SELECT FROM part p JOIN pg_trigger t ON t.tgrelid = p.oid WHERE t.tgtype & 64 <> 0)";
/// Other sessions that wait for what this one has locked.
const WAITING_SQL: &str = "SELECT count(*) FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) AS w \
     WHERE pg_backend_pid() = ANY (pg_blocking_pids(w.pid))";
/// Bytes of tables with their indexes.
const SIZE_SQL: &str =
    "SELECT sum(pg_total_relation_size(x::oid)) FROM json_array_elements_text($1::json) AS x";

/// What was found out for one statement and holds for the next.
#[derive(Debug, Default)]
pub(super) struct Kept {
    oids: BTreeMap<RelationName, Option<Oid>>,
    near: BTreeMap<(BTreeSet<Oid>, bool), Arc<Neighbours>>,
}

/// The relations a statement is about, and what hangs on them.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) roots: BTreeSet<Oid>,
    /// What is done to each root, as the triggers that fire for it.
    pub(super) events: BTreeMap<Oid, i32>,
    pub(super) near: Arc<Neighbours>,
    /// The relation the text names as written, when it is one of those.
    pub(super) target: Option<Oid>,
    /// The text names a view, and no rule or trigger of it changes what is done.
    pub(super) through_view: bool,
}

impl Session {
    /// What the statement is about; in words why that is not known.
    pub(super) async fn scene(
        &mut self,
        budget: Budget,
        kept: &mut Kept,
        subject: &Subject,
        plan: Option<&Explained>,
    ) -> Result<Result<Scene, String>, SessionError> {
        let names = subject.relations(plan);
        let target = subject.touched.as_ref().and_then(|t| t.target.clone());
        let asked: BTreeSet<RelationName> = names.iter().cloned().chain(target.clone()).collect();
        if let Err(why) = self.resolve(budget, kept, &asked).await? {
            return Ok(Err(format!("what its names stand for: {}", why.words())));
        }
        let oid = |name: &RelationName| kept.oids.get(name).copied().flatten();
        let roots: BTreeSet<Oid> = names.iter().filter_map(oid).collect();
        let target = target.as_ref().and_then(oid);
        let mut events = BTreeMap::new();
        for name in &names {
            if let Some(oid) = oid(name) {
                *events.entry(oid).or_default() |= subject.events(plan, name);
            }
        }
        let key = (roots.clone(), subject.facts.kind == "TRUNCATE");
        let near = match kept.near.get(&key) {
            Some(near) => Arc::clone(near),
            None => match self.neighbours(budget, &key.0, key.1).await? {
                Ok(near) => {
                    let near = Arc::new(near);
                    kept.near.insert(key, Arc::clone(&near));
                    near
                }
                Err(why) => {
                    return Ok(Err(format!("foreign keys and triggers: {}", why.words())));
                }
            },
        };
        let through_view = match target.filter(|target| !roots.contains(target)) {
            Some(view) => self.is_plain_view(budget, view).await?,
            None => false,
        };
        Ok(Ok(Scene {
            target: target.filter(|target| roots.contains(target)),
            through_view,
            roots,
            events,
            near,
        }))
    }

    async fn is_plain_view(&mut self, budget: Budget, view: Oid) -> Result<bool, SessionError> {
        let question = Question::of_catalog(PLAIN_VIEW_SQL, &[&view.to_string()]);
        let answer = self.ask(budget, question).await?;
        Ok(answer.is_ok_and(|answer| &answer[..] == b"t"))
    }

    async fn resolve(
        &mut self,
        budget: Budget,
        kept: &mut Kept,
        names: &BTreeSet<RelationName>,
    ) -> Result<Result<(), Unanswered>, SessionError> {
        let unknown: Vec<&RelationName> = names
            .iter()
            .filter(|name| !kept.oids.contains_key(*name))
            .collect();
        if unknown.is_empty() {
            return Ok(Ok(()));
        }
        let given: Vec<String> = unknown.iter().map(|name| written(name)).collect();
        let question = Question::of_session(RESOLVE_SQL, &[&json(&given)]);
        let answer = match self.ask(budget, question).await? {
            Ok(answer) => answer,
            Err(why) => return Ok(Err(why)),
        };
        let Ok(oids) = serde_json::from_slice::<Vec<Option<Oid>>>(&answer) else {
            return Ok(Err(Unanswered::Nothing));
        };
        let found = unknown.into_iter().cloned().zip(oids);
        kept.oids.extend(found);
        Ok(Ok(()))
    }

    /// What hangs on relations; `along`: also by foreign keys that do nothing.
    pub(super) async fn neighbours(
        &mut self,
        budget: Budget,
        roots: &BTreeSet<Oid>,
        along: bool,
    ) -> Result<Result<Neighbours, Unanswered>, SessionError> {
        if roots.is_empty() {
            return Ok(Ok(Neighbours::default()));
        }
        let along = if along { "t" } else { "f" };
        let question = Question::of_catalog(NEIGHBOURS_SQL, &[&listed(roots), along]);
        Ok(match self.ask(budget, question).await? {
            Ok(answer) => Neighbours::from_json(&answer).ok_or(Unanswered::Nothing),
            Err(why) => Err(why),
        })
    }

    /// Who uses now what the batch would lock.
    pub(super) async fn probe_locks(
        &mut self,
        budget: Budget,
        found: &mut Found,
    ) -> Result<(), SessionError> {
        let Some(locks) = found.locks() else {
            return Ok(());
        };
        let oids: BTreeSet<Oid> = locks.keys().copied().collect();
        let answer = if oids.is_empty() {
            Ok(b"[]".as_slice().into())
        } else {
            let question = Question::of_catalog(LOCKS_SQL, &[&listed(&oids)]);
            self.ask(budget, question).await?
        };
        match answer {
            Ok(answer) => found.in_the_way = locks::in_the_way(&answer, &locks),
            Err(why) => found.note(format!("sessions in the way: {}", why.words())),
        }
        Ok(())
    }

    /// Whether others wait already for the transaction that is open.
    pub(super) async fn probe_waiting(
        &mut self,
        budget: Budget,
        found: &mut Found,
    ) -> Result<(), SessionError> {
        let question = Question::of_catalog(WAITING_SQL, &[]);
        if let Ok(answer) = self.ask(budget, question).await? {
            match number(&answer) {
                Some(0) | None => {}
                Some(1) => found.note("1 session waits for this transaction already".to_owned()),
                Some(more) => {
                    found.note(format!("{more} sessions wait for this transaction already"));
                }
            }
        }
        Ok(())
    }

    /// Bytes of these tables with their indexes.
    pub(super) async fn size(
        &mut self,
        budget: Budget,
        tables: &BTreeSet<Oid>,
    ) -> Result<Option<u64>, SessionError> {
        let question = Question::of_catalog(SIZE_SQL, &[&listed(tables)]);
        let answer = self.ask(budget, question).await?;
        Ok(answer.ok().as_deref().and_then(number))
    }
}

/// A number a query gave as text.
pub(super) fn number(answer: &[u8]) -> Option<u64> {
    std::str::from_utf8(answer).ok()?.parse().ok()
}

fn listed(oids: &BTreeSet<Oid>) -> String {
    let oids: Vec<String> = oids.iter().map(ToString::to_string).collect();
    json(&oids)
}

fn json(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// A name as the server reads it.
pub(super) fn written(name: &RelationName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.name)),
        None => quoted(&name.name),
    }
}
