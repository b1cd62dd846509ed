//! `policy test`: cases with what is expected of them, in TOML.
//!
//! Nothing is asked of a target: a test gives the same answer everywhere. Catalogs come from files.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use abeyance_gateway::{Agent, Limits, Rehearsal, Rehearsed, Stage, Target};
use abeyance_sql::{Catalog, Sight};
use serde::Deserialize;

use super::super::{catalog, explain::word};
use crate::{
    args::PolicyTestArgs,
    commands,
    config::{Role, plural},
    exit::Failure,
    output, wiring,
};

/// Largest file of cases.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    agent: String,
    target: String,
    sql: String,
    /// What ran on the connection before.
    #[serde(default)]
    session: Vec<String>,
    /// A dumped catalog; relative paths start at the folder of the cases.
    catalog: Option<PathBuf>,
    /// One verdict, or every one that is good.
    expect: Expected,
    mask: Option<bool>,
    rule: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    One(String),
    Any(Vec<String>),
    /// Told with the name of the case, which a parser would not know.
    Other(serde::de::IgnoredAny),
}

const VERDICTS: [&str; 3] = ["allow", "hold", "deny"];

impl Expected {
    fn words(&self) -> Vec<&str> {
        match self {
            Self::One(word) => vec![word],
            Self::Any(words) => words.iter().map(String::as_str).collect(),
            Self::Other(_) => Vec::new(),
        }
    }

    /// What is wrong with it.
    fn mistake(&self) -> Option<String> {
        let words = self.words();
        let wrong = words.iter().find(|word| !VERDICTS.contains(word));
        match wrong {
            Some(wrong) => Some(format!("expect is allow, hold or deny, not `{wrong}`")),
            None if words.is_empty() => {
                Some("expect is allow, hold or deny, or a list of them".to_owned())
            }
            None => None,
        }
    }
}

/// Runs every case of every file.
///
/// # Errors
/// When a file or a name in it is wrong, or a case is not as expected.
pub fn test(args: &PolicyTestArgs) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let limits = Limits::default();
    let rules = config.rules;
    let agents: Vec<Agent> = config.agents.into_iter().map(wiring::agent).collect();
    let targets: Vec<Target> = config.targets.into_iter().map(wiring::target).collect();
    let mut sights = Sights {
        args,
        known: HashMap::new(),
    };
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for file in &args.files {
        let cases = read(file)?;
        for case in &cases.cases {
            let missing = |what: &str, name: &str| {
                let (file, case) = (file.display(), &case.name);
                Failure::Usage(format!(
                    "{file}: case `{case}`: the configuration has no {what} called {name}"
                ))
            };
            let agent = agents.iter().find(|agent| agent.name == case.agent);
            let agent = agent.ok_or_else(|| missing("agent", &case.agent))?;
            let target = targets.iter().find(|target| target.name == case.target);
            let target = target.ok_or_else(|| missing("target", &case.target))?;
            let stage = Stage {
                rules: &rules,
                agent,
                target,
                limits: &limits,
            };
            let mut rehearsal = Rehearsal::new(stage, sights.of(case, file, target)?);
            for sql in &case.session {
                rehearsal.follow(sql.as_bytes());
            }
            let judged = rehearsal.judge(case.sql.as_bytes());
            let differences = differences(case, &judged);
            if differences.is_empty() {
                passed += 1;
                continue;
            }
            failed += 1;
            output::line(&format!("FAIL {}: {}", file.display(), case.name));
            for difference in differences {
                output::line(&difference);
            }
            for reason in &judged.reasons {
                output::line(&format!("    because: {reason}"));
            }
        }
    }
    output::line(&format!(
        "{} passed, {failed} failed",
        plural(passed, "case")
    ));
    if failed > 0 {
        return Err(Failure::Different);
    }
    Ok(())
}

fn read(file: &Path) -> Result<CaseFile, Failure> {
    let unreadable = |error: std::io::Error| Failure::Io(format!("{}: {error}", file.display()));
    if std::fs::metadata(file).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other(
            "it is larger than 16 MiB",
        )));
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let cases: CaseFile = toml::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    if cases.cases.is_empty() {
        return Err(Failure::Usage(format!(
            "{}: it has no [[case]]",
            file.display()
        )));
    }
    let wrong = cases.cases.iter().filter_map(|case| {
        let mistake = case.expect.mistake()?;
        Some(format!(
            "{}: case `{}`: {mistake}",
            file.display(),
            case.name
        ))
    });
    let wrong: Vec<String> = wrong.collect();
    if !wrong.is_empty() {
        return Err(Failure::Usage(wrong.join("\n")));
    }
    Ok(cases)
}

/// What is not as expected, as lines of a diff.
fn differences(case: &Case, judged: &Rehearsed) -> Vec<String> {
    let mut lines = Vec::new();
    let mut differ = |what: &str, expected: String, found: String| {
        lines.push(format!("  - {what}: {expected}"));
        lines.push(format!("  + {what}: {found}"));
    };
    let (expected, found) = (case.expect.words(), word(&judged.decision));
    if !expected.contains(&found) {
        differ(
            "verdict",
            expected.join(" or "),
            format!("{found} (rule {})", judged.rule),
        );
    }
    if let Some(mask) = case.mask.filter(|mask| *mask != judged.mask) {
        differ("mask", mask.to_string(), judged.mask.to_string());
    }
    if let Some(rule) = case.rule.as_ref().filter(|rule| **rule != judged.rule) {
        differ("rule", rule.clone(), judged.rule.clone());
    }
    lines
}

/// Catalogs, each read once.
struct Sights<'a> {
    args: &'a PolicyTestArgs,
    known: HashMap<PathBuf, Arc<Catalog>>,
}

impl Sights<'_> {
    fn of(&mut self, case: &Case, file: &Path, target: &Target) -> Result<Option<Sight>, Failure> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let named = case.catalog.as_ref().map(|named| folder.join(named));
        let Some(path) = named.or_else(|| self.args.catalog.clone()) else {
            return Ok(None);
        };
        let catalog = match self.known.get(&path) {
            Some(known) => Arc::clone(known),
            None => {
                let read = Arc::new(catalog::read(&path)?);
                self.known.insert(path, Arc::clone(&read));
                read
            }
        };
        Ok(Some(catalog::sight(catalog, target)))
    }
}
