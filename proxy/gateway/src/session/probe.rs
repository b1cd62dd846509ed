//! Estimates what a held statement would touch, on the session's own connection to the target.
//!
//! The connection is the session's so that search_path, role, temporary tables and uncommitted rows are those of the
//! statement. Nothing may remain of a probe: it is read-only, short, rolled back, and named so that the client's
//! unnamed statement and portal stay as they are. Of the plan only row counts are read: conditions hold
//! literals (invariant 7). A failed probe is unknown, never zero.

use abeyance_api::{Estimate, EstimateSource};
use abeyance_wire::postgres::{Bind, EncodeError, WireStr};
use serde_json::Value;

use super::{
    Session,
    judge::{Culprit, Held},
    own::{Answer, OWN, Unasked, own_execution},
    target::TargetSide,
};
use crate::{
    error::{SessionError, TargetError},
    limits::PLAN_BYTES_MAX,
};

impl Session {
    /// How many rows the batch would touch, by the target's planner.
    pub(super) async fn estimate(&mut self, held: &Held) -> Result<Estimate, SessionError> {
        let culprit = match explainable(held) {
            Ok(culprit) => culprit,
            Err(note) => return Ok(Estimate::unknown(note)),
        };
        let limit = self.gateway.limits.exchange_timeout;
        tokio::time::timeout(limit, self.probe(culprit))
            .await
            .map_err(|_| TargetError::Timeout)?
    }

    async fn probe(&mut self, culprit: &Culprit) -> Result<Estimate, SessionError> {
        if let Err(Unasked(note)) = self.may_ask().await? {
            return Ok(Estimate::unknown(note));
        }
        let frame = self.frame_open(self.gateway.limits.probe_timeout)?;
        explain(&mut self.target, culprit)?;
        let answer = self.own_group().await?;
        self.frame_close(frame).await?;
        Ok(estimate_of(answer))
    }
}

/// The statement to explain, or why there is none.
fn explainable(held: &Held) -> Result<&Culprit, &'static str> {
    let culprit = held
        .culprit
        .as_ref()
        .ok_or("not asked: several statements need approval")?;
    if !culprit.explainable {
        return Err("not asked: the statement cannot be explained without running code");
    }
    if culprit.preceded {
        return Err("not asked: statements before it in the same batch may change what it does");
    }
    Ok(culprit)
}

/// Queues EXPLAIN of the statement, with the values the client bound.
fn explain(target: &mut TargetSide, culprit: &Culprit) -> Result<(), EncodeError> {
    let sql = WireStr::new([b"EXPLAIN (FORMAT JSON) ", &culprit.text[..]].concat())?;
    let (oids, bound) = match &culprit.bound {
        Some((oids, bind)) => (oids.clone(), Some(bind)),
        None => (Vec::new(), None),
    };
    let bind = Bind {
        portal: OWN,
        statement: OWN,
        param_formats: bound.map_or_else(Vec::new, |bind| bind.param_formats.clone()),
        params: bound.map_or_else(Vec::new, |bind| bind.params.clone()),
        result_formats: Vec::new(),
    };
    own_execution(target, sql, oids, bind)
}

fn estimate_of(answer: Answer) -> Estimate {
    if let Some(sqlstate) = answer.sqlstate {
        return Estimate::unknown(format!("EXPLAIN failed with SQLSTATE {sqlstate}"));
    }
    let plan = answer.value.filter(|plan| plan.len() <= PLAN_BYTES_MAX);
    let plan: Option<Value> = plan.and_then(|plan| serde_json::from_slice(&plan).ok());
    match plan.as_ref().and_then(rows_of) {
        Some(rows) => Estimate {
            rows: Some(rows),
            source: EstimateSource::Estimated,
            note: None,
        },
        None => Estimate::unknown("EXPLAIN gave no row count"),
    }
}

/// Rows that are changed, or for a read rows that are returned. A ModifyTable node itself says 0: its input
/// counts.
fn rows_of(explained: &Value) -> Option<u64> {
    let top = explained.get(0)?.get("Plan")?;
    match changed(top) {
        Some(rows) => Some(rows),
        None => planned(top),
    }
}

fn changed(node: &Value) -> Option<u64> {
    let children = node.get("Plans").and_then(Value::as_array);
    let children = children.map_or(&[][..], Vec::as_slice);
    let own = (node.get("Node Type").and_then(Value::as_str) == Some("ModifyTable")).then(|| {
        let inputs = children.iter().filter(|child| {
            let relationship = child.get("Parent Relationship").and_then(Value::as_str);
            matches!(relationship, Some("Outer" | "Member"))
        });
        inputs.filter_map(planned).fold(0, u64::saturating_add)
    });
    children
        .iter()
        .filter_map(changed)
        .chain(own)
        .reduce(u64::saturating_add)
}

fn planned(node: &Value) -> Option<u64> {
    let rows = node.get("Plan Rows")?;
    rows.as_u64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_come_from_below_modify_table() {
        let delete = json!([{"Plan": {"Node Type": "ModifyTable", "Plan Rows": 0, "Plans": [
            {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Plan Rows": 12},
            {"Node Type": "Seq Scan", "Parent Relationship": "InitPlan", "Plan Rows": 900},
        ]}}]);
        assert_eq!(rows_of(&delete), Some(12));
    }

    #[test]
    fn a_write_inside_a_read_counts() {
        let cte = json!([{"Plan": {"Node Type": "CTE Scan", "Plan Rows": 5, "Plans": [
            {"Node Type": "ModifyTable", "Parent Relationship": "InitPlan", "Plan Rows": 7, "Plans": [
                {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Plan Rows": 7}]},
        ]}}]);
        assert_eq!(rows_of(&cte), Some(7));
    }

    #[test]
    fn a_read_says_what_it_returns() {
        let read = json!([{"Plan": {"Node Type": "Seq Scan", "Plan Rows": 40}}]);
        assert_eq!(rows_of(&read), Some(40));
        assert_eq!(rows_of(&json!({})), None);
    }

    #[test]
    fn a_failure_is_unknown_and_says_no_more_than_a_state() {
        let answer = Answer {
            value: None,
            sqlstate: Some("42703".to_owned()),
        };
        let estimate = estimate_of(answer);
        assert_eq!(estimate.rows, None);
        assert_eq!(estimate.source, EstimateSource::Unknown);
    }
}
