//! `explain`: judges statements by the rules without a database, a session or a hold.

use std::{fmt::Write as _, io::BufRead as _};

use abeyance_policy::{Context, Decision, Verdict, evaluate_batch};
use abeyance_sql::{ReadOptions, StatementFacts, analyse};
use serde::{Deserialize, Serialize};

use crate::{
    args::{ExplainArgs, ExplainFormat},
    commands,
    config::{Agent, Config, Role, Target},
    exit::Failure,
    output,
};

/// Longest line of `--lines`.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A judgement as `--format json` prints it, one object a line.
#[derive(Debug, Serialize)]
struct Judgement<'a> {
    id: Option<&'a serde_json::Value>,
    verdict: &'static str,
    /// What would be masked in the result; always empty until masking exists.
    mask: [&'a str; 0],
    rule: &'a str,
    reasons: &'a [String],
    facts: &'a [StatementFacts],
    /// What a probe would add; offline there is none.
    blast: Option<()>,
}

/// A line of `--lines`; other fields are somebody else's.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    id: Option<serde_json::Value>,
    sql: String,
}

/// Judges what was asked for.
///
/// # Errors
/// When the configuration is wrong, or the agent or target is not in it.
pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let agent = named(&config.agents, args.agent.as_deref(), "agent", |a| &a.name)?;
    let wanted = args.target.as_deref().or_else(|| default_target(agent));
    let target = named(&config.targets, wanted, "target", |target| &target.name)?;
    let context = Context {
        owner: agent.and_then(|agent| Some(agent.owner.as_ref()?.as_str())),
        actor: agent.and_then(|agent| agent.actor.as_deref()),
        database: target.map(|target| target.database.as_str()),
        environment: target.and_then(|target: &Target| target.environment.as_deref()),
        ..Context::new(
            agent.map_or("", |agent| agent.name.as_str()),
            target.map_or("", |target| target.name.as_str()),
        )
    };
    if let Some(sql) = &args.sql {
        output::line(&judge(&config, context, None, sql, args.format)?);
        return Ok(());
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Failure::Io(format!("standard input: {error}")))?;
        if line.len() > LINE_BYTES_MAX {
            return Err(Failure::Usage("a line is longer than 16 MiB".to_owned()));
        }
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&line)
            .map_err(|error| Failure::Usage(format!("not a JSON line with `sql`: {error}")))?;
        let id = line.id.as_ref();
        output::line(&judge(&config, context, id, &line.sql, args.format)?);
    }
    Ok(())
}

fn default_target(agent: Option<&Agent>) -> Option<&str> {
    agent?.targets.first().map(String::as_str)
}

/// The entry of that name, or the first one when no name was given.
fn named<'a, T>(
    all: &'a [T],
    name: Option<&str>,
    what: &str,
    name_of: impl Fn(&T) -> &String,
) -> Result<Option<&'a T>, Failure> {
    let Some(name) = name else {
        return Ok(all.first());
    };
    match all.iter().find(|entry| name_of(entry) == name) {
        Some(found) => Ok(Some(found)),
        None => Err(Failure::Usage(format!(
            "the configuration has no {what} called {name}"
        ))),
    }
}

fn judge(
    config: &Config,
    context: Context<'_>,
    id: Option<&serde_json::Value>,
    sql: &str,
    format: ExplainFormat,
) -> Result<String, Failure> {
    let facts = analyse(sql.as_bytes(), ReadOptions::default()).statements;
    let verdict = evaluate_batch(&config.rules, &facts, context);
    match format {
        ExplainFormat::Text => Ok(text(&verdict, &facts)),
        ExplainFormat::Json => serde_json::to_string(&Judgement {
            id,
            verdict: word(&verdict.decision),
            mask: [],
            rule: &verdict.rule,
            reasons: &verdict.reasons,
            facts: &facts,
            blast: None,
        })
        .map_err(|error| Failure::Internal(error.to_string())),
    }
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Hold { .. } => "hold",
        Decision::Deny => "deny",
    }
}

fn text(verdict: &Verdict, facts: &[StatementFacts]) -> String {
    let mut out = word(&verdict.decision).to_owned();
    if let Decision::Hold { route } = &verdict.decision {
        let _ = write!(out, " by route {route}");
    }
    let _ = writeln!(out, " (rule {})", verdict.rule);
    for reason in &verdict.reasons {
        let _ = writeln!(out, "  because: {reason}");
    }
    for facts in facts {
        let _ = writeln!(out, "  statement: {} ({})", facts.kind, facts.class);
        for (what, names) in [
            ("reads", &facts.reads),
            ("writes", &facts.writes),
            ("alters", &facts.alters),
        ] {
            let names: Vec<String> = names.iter().map(relation).collect();
            if !names.is_empty() {
                let _ = writeln!(out, "    {what}: {}", names.join(", "));
            }
        }
        for line in facts.redacted.lines() {
            let _ = writeln!(out, "    | {line}");
        }
    }
    out.trim_end().to_owned()
}

fn relation(name: &abeyance_sql::RelationName) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}
