//! `explain`: judges statements as the proxy would, without a session, a hold or a byte sent for them.
//!
//! The judging is the gateway's own, by [`Rehearsal`]; here it is put into lines. Never stops in the middle of its
//! input: a line that cannot be read gets a line that says so.

mod blast;
mod judgement;
mod lines;
mod text;

pub use judgement::word;

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use abeyance_gateway::{Agent, Limits, Rehearsal, Stage, Target};
use abeyance_policy::{RuleSet, Seen, Unmatched};
use serde_json::Value;

use self::{
    judgement::{Judgement, Matched},
    lines::{Case, Dialect, Lines, Read},
};
use super::{
    catalog::{self, Sighted},
    stage::{Chosen, choose},
};
use crate::{
    args::{ExplainArgs, ExplainFormat},
    commands,
    config::Role,
    exit::Failure,
    output,
};

/// Judges what was asked for.
///
/// # Errors
/// When the configuration is wrong, the agent or target is not in it, a file cannot be read, or some line of the
/// input was not a statement (after all the others were judged).
pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let labels: Vec<(String, Option<String>)> = config
        .targets
        .iter()
        .map(|target| (target.name.clone(), target.environment.clone()))
        .collect();
    let Chosen {
        rules,
        agent,
        target,
    } = choose(config, args.agent.as_deref(), args.target.as_deref())?;
    let sighted = catalog::sighted(&args.sight, &args.config.config, &target)?;
    if let Some(note) = &sighted.note {
        output::remark(&format!("abeyance: {note}"));
    }
    let warnings = warnings(&rules, &labels, &target, &sighted);
    let judge = Judge {
        warnings,
        rules,
        agent,
        target,
        limits: Limits::default(),
        sighted,
        format: args.format,
    };
    match (&args.sql, &args.jsonl) {
        (Some(sql), _) => {
            let case = Case {
                id: Value::Null,
                dialect: Dialect::PostgreSql,
                sql: sql.clone().into_bytes(),
                session: args
                    .session
                    .iter()
                    .cloned()
                    .map(String::into_bytes)
                    .collect(),
            };
            judge.show(&judge.judge(&case), None);
            judge.warn();
            Ok(())
        }
        (None, Some(file)) => {
            let read = judge.lines(open(file)?);
            judge.warn();
            read
        }
        (None, None) => Err(Failure::Usage("give --sql or --jsonl".to_owned())),
    }
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file);
    let opened = opened.map_err(|error| Failure::Io(format!("{}: {error}", file.display())))?;
    Ok(Box::new(BufReader::new(opened)))
}

/// Patterns of the policy that match nothing in the target's catalog: what they were meant for was judged without
/// them.
fn warnings(
    rules: &RuleSet,
    labels: &[(String, Option<String>)],
    target: &Target,
    sighted: &Sighted,
) -> Vec<String> {
    let sight = sighted.sight.as_ref();
    let seen: Vec<Seen<'_>> = labels
        .iter()
        .map(|(name, environment)| Seen {
            target: name,
            environment: environment.as_deref(),
            catalog: sight
                .filter(|_| *name == target.name)
                .map(|sight| &*sight.catalog),
        })
        .collect();
    let found = rules.unmatched(&seen);
    let one = |one: &Unmatched| format!("{one} ({})", one.hint());
    found.iter().map(one).collect()
}

/// Everything a judgement is made with.
struct Judge {
    /// About the policy, whatever the statement.
    warnings: Vec<String>,
    rules: RuleSet,
    agent: Agent,
    target: Target,
    limits: Limits,
    sighted: Sighted,
    format: ExplainFormat,
}

impl Judge {
    fn lines(&self, input: Box<dyn BufRead>) -> Result<(), Failure> {
        let mut unreadable = 0_usize;
        let mut lines = Lines::new(input);
        while let Some(read) = lines.next() {
            let line = lines.line();
            match read {
                Read::Case(case) => self.show(&self.judge(&case), Some((&case.id, line))),
                Read::Bad { id, why } => {
                    unreadable += 1;
                    let reason = format!("line {line} of the input is not a statement: {why}");
                    let judgement = Judgement::not_judged(id.clone(), reason);
                    self.show(&judgement, Some((&id, line)));
                }
                Read::Broken(error) => {
                    return Err(Failure::Io(format!("the input cannot be read: {error}")));
                }
            }
        }
        if unreadable == 0 {
            return Ok(());
        }
        Err(Failure::Data(format!(
            "{unreadable} lines of the input were not statements; each has a line with verdict `deny`"
        )))
    }

    fn judge(&self, case: &Case) -> Judgement {
        if case.dialect == Dialect::MySql {
            let reason = "MySQL is not carried yet: the proxy speaks to PostgreSQL only";
            return Judgement::not_judged(case.id.clone(), reason.to_owned());
        }
        let mut rehearsal = Rehearsal::new(self.stage(), self.sighted.sight.clone());
        for sql in &case.session {
            rehearsal.follow(sql);
        }
        let judged = rehearsal.judge(&case.sql);
        let matching = judged
            .statements
            .iter()
            .map(|(facts, _)| {
                let rules = rehearsal.matching(facts).into_iter();
                rules.map(Matched::from).collect()
            })
            .collect();
        Judgement::new(case.id.clone(), judged, matching, &self.sighted)
    }

    fn stage(&self) -> Stage<'_> {
        Stage {
            rules: &self.rules,
            agent: &self.agent,
            target: &self.target,
            limits: &self.limits,
        }
    }

    /// For people: once, after everything else.
    fn warn(&self) {
        if self.format == ExplainFormat::Text {
            for warning in &self.warnings {
                output::line(&format!("warning: {warning}"));
            }
        }
    }

    /// `of`: the id it was given, and its line of the input.
    fn show(&self, judgement: &Judgement, of: Option<(&Value, usize)>) {
        match self.format {
            ExplainFormat::Json => {
                let mut json = judgement.json();
                if let (Some(object), false) = (json.as_object_mut(), self.warnings.is_empty()) {
                    object.insert("warnings".to_owned(), self.warnings.clone().into());
                }
                output::line(&json.to_string());
            }
            ExplainFormat::Text => {
                if let Some((id, line)) = of {
                    output::line(&format!("== {}", text::id(id, line)));
                }
                output::line(text::judgement(judgement).trim_end());
            }
        }
    }
}
