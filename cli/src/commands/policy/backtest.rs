//! `policy backtest`: what another policy would have made of the statements the approver's log has.
//!
//! Facts are judged as they were recorded: no text is read again, no catalog asked.

use std::{path::Path, time::Duration};

use abeyance_api::{Clock as _, StatementRecord, SystemClock};
use abeyance_approver::statements_logged;
use abeyance_gateway::context;
use abeyance_policy::{Verdict, evaluate};
use abeyance_sql::StatementFacts;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::super::explain::word;
use crate::{
    args::{BacktestArgs, ExplainFormat, LogSince},
    commands,
    config::{self, Role},
    exit::Failure,
    output, wiring,
};

/// Text of one example, in characters.
const EXAMPLE_CHARS_MAX: usize = 100;

/// A shape of statements the new policy decides otherwise.
struct Change {
    record: StatementRecord,
    verdict: Verdict,
}

/// Judges what was recorded by another configuration.
///
/// # Errors
/// When the configuration or the store cannot be read, or anything would be decided otherwise.
pub fn backtest(args: &BacktestArgs) -> Result<(), Failure> {
    let records = logged(&args.config.config, &args.log)?;
    let config = commands::load(&args.config.config, Role::Judge)?;
    let rules = config.rules;
    let agents: Vec<_> = config.agents.into_iter().map(wiring::agent).collect();
    let targets: Vec<_> = config.targets.into_iter().map(wiring::target).collect();
    let (mut judged, mut unjudged, mut changes) = (0_u64, 0_u64, Vec::new());
    for record in records {
        let agent = agents.iter().find(|agent| agent.name == record.agent);
        let target = targets.iter().find(|target| target.name == record.target);
        let facts: Option<StatementFacts> = serde_json::from_str(&record.facts).ok();
        let (Some(agent), Some(target), Some(facts)) = (agent, target, facts) else {
            unjudged += record.count;
            continue;
        };
        judged += record.count;
        let verdict = evaluate(&rules, &facts, context(agent, target));
        if word(&verdict.decision) != record.decision {
            changes.push(Change { record, verdict });
        }
    }
    changes.sort_by_key(|change| (change.group(), std::cmp::Reverse(change.record.count)));
    match args.format {
        ExplainFormat::Json => {
            for change in &changes {
                output::line(&change.json().to_string());
            }
        }
        ExplainFormat::Text => {
            for change in &changes {
                output::line(&change.line());
            }
        }
    }
    let count = |group| -> u64 {
        let of_group = changes.iter().filter(|change| change.group() == group);
        of_group.map(|change| change.record.count).sum()
    };
    output::remark(&format!(
        "{judged} statements judged by policy {}: {} newly denied, {} newly held, {} newly passed; {unjudged} not judged \
         (their agent or target is not in this configuration, or their facts are of another version)",
        rules.version(),
        count(Group::Denied),
        count(Group::Held),
        count(Group::Passed),
    ));
    if changes.is_empty() {
        Ok(())
    } else {
        Err(Failure::Different)
    }
}

/// How a change is told, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Denied,
    Held,
    Passed,
}

impl Change {
    fn group(&self) -> Group {
        match word(&self.verdict.decision) {
            "deny" => Group::Denied,
            "hold" => Group::Held,
            _ => Group::Passed,
        }
    }

    fn line(&self) -> String {
        let Self { record, verdict } = self;
        format!(
            "{:>8}x {} -> {}  {} at {}: rule {} -> {}  {}",
            record.count,
            record.decision,
            word(&verdict.decision),
            record.agent,
            record.target,
            record.rule,
            verdict.rule,
            example(&record.text),
        )
    }

    fn json(&self) -> Value {
        let Self { record, verdict } = self;
        json!({
            "change": match self.group() {
                Group::Denied => "newly_denied",
                Group::Held => "newly_held",
                Group::Passed => "newly_passed",
            },
            "agent": record.agent,
            "target": record.target,
            "count": record.count,
            "before": { "verdict": record.decision, "rule": record.rule, "policy": record.policy_version },
            "after": { "verdict": word(&verdict.decision), "rule": verdict.rule, "reasons": verdict.reasons },
            "fingerprint": record.fingerprint,
            "text": record.text,
            "first_seen": record.first_seen,
            "last_seen": record.last_seen,
        })
    }
}

/// A statement's text in a line.
pub(super) fn example(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= EXAMPLE_CHARS_MAX {
        return line;
    }
    line.chars().take(EXAMPLE_CHARS_MAX).chain(['…']).collect()
}

/// The log's records since a while ago.
pub(super) fn logged(config: &Path, log: &LogSince) -> Result<Vec<StatementRecord>, Failure> {
    let store = match &log.store {
        Some(given) => config::store_given(given)
            .map_err(|error| Failure::Usage(format!("--store: {error}")))?,
        None => config::store_of(config)
            .map_err(|error| Failure::Usage(format!("{error}; or give --store")))?,
    };
    let since = TimeDelta::from_std(log.since).unwrap_or(TimeDelta::MAX);
    let now = SystemClock.now();
    let since = now.checked_sub_signed(since).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::Unavailable(error.to_string()))?;
    runtime
        .block_on(statements_logged(&store, since))
        .map_err(|error| Failure::Io(error.to_string()))
}

/// Reads `7d`, `12h`.
pub fn span(text: &str) -> Result<Duration, String> {
    let weeks = text.trim().strip_suffix('w');
    let days = weeks.and_then(|weeks| weeks.parse::<u64>().ok()?.checked_mul(7));
    let days = days.map(|days| format!("{days}d"));
    config::duration(days.as_deref().unwrap_or(text))
        .ok_or_else(|| "give a time span such as 1w, 7d or 12h".to_owned())
}
