//! Whether changes of type write a table anew: what columns are is looked up, the rules are [`abeyance_sql`]'s.

use abeyance_api::blast::{Rewrite, Undo};
use abeyance_sql::{
    self as sql,
    postgres::retype::{Retypes, Types},
};
use serde_json::json;

use super::{
    super::Session,
    ask::{Budget, Question},
    look::Scene,
    neighbours::Oid,
    part::Part,
};
use crate::error::SessionError;

const TYPES_SQL: &str = include_str!("types.sql");
/// What each type's name stands for in this session, in order. No operator: the session's search_path is in force.
const RESOLVE_SQL: &str = "SELECT pg_catalog.json_agg(pg_catalog.to_regtype(name)::pg_catalog.oid::pg_catalog.int8 \
     ORDER BY place) FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) \
     WITH ORDINALITY AS given(name, place)";

impl Session {
    /// Settles whether `retypes` write the table anew. What is not found out stays possible.
    pub(super) async fn probe_types(
        &mut self,
        budget: Budget,
        retypes: &Retypes,
        scene: &Scene,
        part: &mut Part,
    ) -> Result<(), SessionError> {
        let mut roots = scene.roots.iter();
        let (Some(table), None) = (roots.next(), roots.next()) else {
            return Ok(());
        };
        let Some(types) = self.types(budget, retypes, *table).await? else {
            return Ok(());
        };
        let each = retypes.columns.iter().zip(&types);
        part.rewrites = each
            .map(|(column, types)| {
                types
                    .as_ref()
                    .map_or(sql::Rewrite::Possible, |types| column.rewrites(types))
            })
            .fold(retypes.others, sql::Rewrite::max);
        if part.rewrites == sql::Rewrite::No {
            part.rewrite = Rewrite::No;
            if !retypes.others_lose {
                part.undo = Undo::Counterpart;
            }
        }
        Ok(())
    }

    async fn types(
        &mut self,
        budget: Budget,
        retypes: &Retypes,
        table: Oid,
    ) -> Result<Option<Vec<Option<Types>>>, SessionError> {
        let names: Vec<&str> = retypes.columns.iter().map(|c| c.to.as_str()).collect();
        let question = Question::of_session(RESOLVE_SQL, &[&json!(names).to_string()]);
        let Ok(answer) = self.ask(budget, question).await? else {
            return Ok(None);
        };
        let Ok(oids) = serde_json::from_slice::<Vec<Option<Oid>>>(&answer) else {
            return Ok(None);
        };
        let pairs: Vec<_> = retypes
            .columns
            .iter()
            .map(|c| &c.column)
            .zip(oids)
            .collect();
        let (table, pairs) = (table.to_string(), json!(pairs).to_string());
        let question = Question::of_catalog(TYPES_SQL, &[&table, &pairs]);
        let answer = self.ask(budget, question).await?.ok();
        let types = answer.and_then(|answer| serde_json::from_slice::<Vec<_>>(&answer).ok());
        Ok(types.filter(|types| types.len() == retypes.columns.len()))
    }
}
