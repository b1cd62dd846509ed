//! What the three witnesses say after a trial: the target's log and rows, the approver's holds, the clients.

use std::collections::HashMap;

use abeyance_e2e::{Approver, Database};
use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{people::Sent, stack::Stack, workload::Told};

/// One hold as the approver shows it.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: String,
    pub state: String,
    pub route: String,
    /// Who approved, and who denied.
    pub approved_by: Vec<String>,
    pub denied_by: Vec<String>,
}

/// Everything that is known of one statement.
#[derive(Debug, Clone)]
pub struct Account {
    pub marker: String,
    pub told: Told,
    /// How often the target was asked to run it.
    pub asked: usize,
    /// How many rows of it are there.
    pub rows: usize,
    pub holds: Vec<Held>,
    /// Votes that were sent for its holds.
    pub sent: Vec<Sent>,
}

/// Holds by their agent's reason.
pub type Holds = HashMap<String, Vec<Held>>;

/// Every hold.
///
/// # Errors
/// When the approver does not answer.
pub async fn holds(stack: &Stack) -> Result<Holds> {
    by_marker(&somebody(stack).holds().await?)
}

/// Those that wait.
///
/// # Errors
/// When the approver does not answer.
pub async fn waiting(stack: &Stack) -> Result<Holds> {
    by_marker(&somebody(stack).pending().await?)
}

fn somebody(stack: &Stack) -> Approver {
    let approver = stack.approver(fastrand::usize(..));
    Approver::new(&approver.url, "bob")
}

fn by_marker(shown: &[Value]) -> Result<Holds> {
    let mut by_marker = Holds::new();
    for hold in shown {
        let marker = hold["request"]["agent_reason"].as_str().unwrap_or_default();
        by_marker
            .entry(marker.to_owned())
            .or_default()
            .push(held(hold)?);
    }
    Ok(by_marker)
}

fn held(hold: &Value) -> Result<Held> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let by = |decision: &str| {
        let votes = hold["votes"].as_array().into_iter().flatten();
        votes
            .filter(|vote| vote["decision"] == decision)
            .filter_map(|vote| text(&vote["person"]["id"]))
            .collect()
    };
    Ok(Held {
        id: text(&hold["id"]).context("a hold's id")?,
        state: text(&hold["state"]).context("a hold's state")?,
        route: text(&hold["request"]["route"]).context("a hold's route")?,
        approved_by: by("approve"),
        denied_by: by("deny"),
    })
}

/// How often each statement was run, from what the target logged after so many lines, and how many rows it left, by
/// marker.
///
/// # Errors
/// When the target does not answer.
pub async fn executions(
    database: &Database,
    seed: &str,
    logged: usize,
) -> Result<HashMap<String, (usize, usize)>> {
    let mut ran: HashMap<_, (usize, usize)> = HashMap::new();
    for statement in database.statements_after(logged).await? {
        if let Some(marker) = marker_of(&statement, seed) {
            ran.entry(marker.to_owned()).or_default().0 += 1;
        }
    }
    let admin = database.admin().await?;
    for row in admin
        .query(
            "SELECT marker FROM one UNION ALL SELECT marker FROM two",
            &[],
        )
        .await?
    {
        ran.entry(row.try_get(0)?).or_default().1 += 1;
    }
    Ok(ran)
}

/// The marker of a trial in a statement that runs; asking for its plan runs nothing.
fn marker_of<'s>(statement: &'s str, seed: &str) -> Option<&'s str> {
    let (_, quoted) = statement
        .strip_prefix("INSERT INTO ")?
        .split_once("VALUES ('")?;
    let (marker, _) = quoted.split_once('\'')?;
    marker.starts_with(seed).then_some(marker)
}
