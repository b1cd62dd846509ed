//! What goes with objects that are dropped, by what the target's catalog says depends on them.
//!
//! Names are shown as they are everywhere: one that could hold a value has a stand-in (invariant 7).

use std::collections::{BTreeMap, BTreeSet};

use abeyance_api::Estimate;
use abeyance_sql::{RelationName, TableLock, shown};
use serde::Deserialize;
use serde_json::json;

use super::{
    super::Session,
    ask::{Budget, Question, Unanswered},
    look::{Scene, written},
    neighbours::{Name, Oid},
    part::Part,
    subject::Subject,
    tables,
};
use crate::error::SessionError;

const DROPPED_SQL: &str = include_str!("dropped.sql");
/// Objects that are named on a card; of more the number is given.
const NAMED_MAX: usize = 12;

/// What a DROP names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Relations,
    Schemas,
    Types,
}

impl Named {
    /// `None` for statements that drop nothing, or what nothing is looked up for.
    pub(super) fn by(kind: &str) -> Option<Self> {
        match kind.strip_prefix("DROP ")? {
            "TABLE" | "VIEW" | "MATERIALIZED VIEW" | "SEQUENCE" | "FOREIGN TABLE" => {
                Some(Self::Relations)
            }
            "SCHEMA" => Some(Self::Schemas),
            "TYPE" | "DOMAIN" => Some(Self::Types),
            _ => None,
        }
    }

    const fn catalog(self) -> &'static str {
        match self {
            Self::Relations => "pg_catalog.pg_class",
            Self::Schemas => "pg_catalog.pg_namespace",
            Self::Types => "pg_catalog.pg_type",
        }
    }

    /// What each name stands for in this session, in order. No operator: the session's search_path is in force.
    fn resolving(self) -> String {
        let to = match self {
            Self::Relations => "to_regclass",
            Self::Schemas => "to_regnamespace",
            Self::Types => "to_regtype",
        };
        format!(
            "SELECT pg_catalog.json_agg(pg_catalog.{to}(name)::pg_catalog.oid::pg_catalog.int8 ORDER BY place) \
             FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) WITH ORDINALITY AS given(name, place)"
        )
    }
}

/// The answer to `dropped.sql`.
#[derive(Debug, Default, Deserialize)]
struct Dropped {
    /// Tables that go as a whole, the named ones among them.
    tables: Option<BTreeSet<Oid>>,
    objects: Option<Vec<Object>>,
    cut: bool,
}

#[derive(Debug, Deserialize)]
struct Object {
    what: String,
    schema: String,
    name: String,
    /// The relation it is a part of.
    of: Option<String>,
    /// It goes only where CASCADE is written.
    forced: bool,
}

impl Object {
    fn words(&self) -> String {
        let named = |name: &str| Name {
            schema: self.schema.clone(),
            name: name.to_owned(),
        };
        match &self.of {
            Some(of) => format!(
                "{} {} of {}",
                self.what,
                shown(&self.name),
                named(of).words()
            ),
            None => format!("{} {}", self.what, named(&self.name).words()),
        }
    }

    fn is_view(&self) -> bool {
        matches!(self.what.as_str(), "view" | "materialized view")
    }
}

impl Session {
    /// Says what goes with what is dropped; of schemas and types also how many rows.
    pub(super) async fn probe_dropped(
        &mut self,
        budget: Budget,
        subject: &Subject,
        scene: &Scene,
        part: &mut Part,
    ) -> Result<(), SessionError> {
        let Some(named) = Named::by(&subject.facts.kind) else {
            return Ok(());
        };
        let found = match self.dropped(budget, named, subject, scene).await? {
            Ok(found) => found,
            Err(why) => {
                part.notes
                    .push(format!("what goes with it: {}", why.words()));
                return Ok(());
            }
        };
        let objects = found.objects.as_deref().unwrap_or_default();
        part.notes
            .extend(words(objects, subject.facts.impact.cascades));
        if found.cut {
            part.notes
                .push("more depends on it than was looked at".to_owned());
        }
        let views: BTreeSet<String> = objects
            .iter()
            .filter(|object| object.is_view())
            .map(|object| {
                object
                    .words()
                    .trim_start_matches(&*object.what)
                    .trim()
                    .to_owned()
            })
            .collect();
        part.views.get_or_insert_default().extend(views);
        if named != Named::Relations {
            let tables = found.tables.unwrap_or_default();
            let columns = objects.iter().any(|object| object.what == "column");
            self.dropped_rows(budget, &tables, part).await?;
            if columns {
                part.rows = Estimate::unknown("columns of other tables go with it");
            }
        }
        Ok(())
    }

    /// Rows of all tables that go, and their locks.
    async fn dropped_rows(
        &mut self,
        budget: Budget,
        tables: &BTreeSet<Oid>,
        part: &mut Part,
    ) -> Result<(), SessionError> {
        let near = match self.neighbours(budget, tables, false).await? {
            Ok(near) => near,
            Err(why) => {
                part.rows = Estimate::unknown(format!("its tables: {}", why.words()));
                return Ok(());
            }
        };
        let mut rows = Vec::new();
        for table in tables::tops(&near, tables) {
            rows.push(self.table_rows(budget, &near, table).await?);
        }
        part.rows = if rows.is_empty() {
            Estimate::exact(0)
        } else {
            tables::sum(&rows)
        };
        part.expected = part.rows.rows;
        part.cascades = Some(Vec::new());
        part.triggers = Some(BTreeSet::new());
        part.names = tables.iter().map(|oid| (*oid, near.words(*oid))).collect();
        let locks: BTreeMap<Oid, TableLock> = tables
            .iter()
            .map(|oid| (*oid, TableLock::AccessExclusive))
            .collect();
        part.locks = Some(locks);
        Ok(())
    }

    async fn dropped(
        &mut self,
        budget: Budget,
        named: Named,
        subject: &Subject,
        scene: &Scene,
    ) -> Result<Result<Dropped, Unanswered>, SessionError> {
        let oids: Vec<Oid> = if named == Named::Relations {
            scene.roots.iter().copied().collect()
        } else {
            let names: Vec<String> = subject
                .facts
                .alters
                .iter()
                .map(|name| text(named, name))
                .collect();
            let question = Question::of_session(&named.resolving(), &[&json!(names).to_string()]);
            let answer = match self.ask(budget, question).await? {
                Ok(answer) => answer,
                Err(why) => return Ok(Err(why)),
            };
            match serde_json::from_slice::<Vec<Option<Oid>>>(&answer) {
                Ok(oids) => oids.into_iter().flatten().collect(),
                Err(_) => return Ok(Err(Unanswered::Nothing)),
            }
        };
        if oids.is_empty() {
            return Ok(Ok(Dropped::default()));
        }
        let roots: Vec<_> = oids
            .iter()
            .map(|oid| json!([named.catalog(), oid]))
            .collect();
        let question = Question::of_catalog(DROPPED_SQL, &[&json!(roots).to_string()]);
        Ok(match self.ask(budget, question).await? {
            Ok(answer) => serde_json::from_slice(&answer).map_err(|_| Unanswered::Nothing),
            Err(why) => Err(why),
        })
    }
}

/// A name as the server reads it; a schema's is one word.
fn text(named: Named, name: &RelationName) -> String {
    match named {
        Named::Schemas => super::neighbours::quoted(&name.name),
        Named::Relations | Named::Types => written(name),
    }
}

/// What goes along, or what stands in the way where CASCADE is not written.
fn words(objects: &[Object], cascades: bool) -> Option<String> {
    let counted: Vec<String> = objects
        .iter()
        .filter(|object| object.forced)
        .map(Object::words)
        .collect();
    if counted.is_empty() {
        return None;
    }
    let more = counted.len().saturating_sub(NAMED_MAX);
    let mut list = counted
        .into_iter()
        .take(NAMED_MAX)
        .collect::<Vec<_>>()
        .join(", ");
    if more > 0 {
        list = format!("{list} and {more} more");
    }
    Some(if cascades {
        format!("drops along: {list}")
    } else {
        format!("the server refuses it without CASCADE: {list} would go along")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_along_is_named() {
        let json = br#"{"tables": [1], "cut": false, "objects": [
            {"what": "view", "schema": "public", "name": "v", "of": null, "forced": true},
            {"what": "sequence", "schema": "public", "name": "t_id_seq", "of": null, "forced": false},
            {"what": "foreign key", "schema": "other", "name": "u_fkey", "of": "u", "forced": true}]}"#;
        let found: Dropped = serde_json::from_slice(json).unwrap();
        let objects = found.objects.unwrap();
        assert_eq!(
            words(&objects, true).as_deref(),
            Some("drops along: view v, foreign key u_fkey of other.u")
        );
        let refused = words(&objects[..1], false).unwrap();
        assert!(refused.starts_with("the server refuses it without CASCADE: view v"));
        assert_eq!(words(&objects[1..2], true), None);
        assert_eq!(Named::by("DROP TABLE"), Some(Named::Relations));
        assert_eq!(Named::by("DROP OWNED"), None);
        assert_eq!(Named::by("TRUNCATE"), None);
    }
}
