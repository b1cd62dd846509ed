//! The configuration: TOML in, a [`Config`] or every mistake out.
//!
//! Nothing falls back silently: an unknown key, an unknown name or a missing secret keeps the
//! program from starting (invariant 4), and all of them are shown at once. The reading is done by
//! hand over spanned values, because derived readers stop at the first mistake.

mod check;
mod datapath;
mod decision;
mod duration;
mod files;
mod group;
mod live;
mod mentions;
mod model;
mod patterns;
mod policy;
mod problem;
mod schedule;
mod section;
mod steps;
mod store;
mod suggest;
mod terms;
#[cfg(test)]
mod tests;
mod verdicts;

use std::path::{Path, PathBuf};

use abeyance_approver::StoreLocation;
use abeyance_policy::RuleSet;
use toml::de::DeTable;

pub use duration::parse as duration;
pub use files::Surroundings;
pub use live::Fixed;
pub use model::{
    Agent, Approver, Config, Person, Proxy, RemoteApprover, Role, Route, Slack, SlackMode, Target,
};
pub use patterns::report as patterns_report;
pub use problem::{Problems, Report, plural};
pub use suggest::hint;

use check::Parts;
use section::Section;

/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}; name the configuration with --config FILE or ABEYANCE_CONFIG", path = .path.display())]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    /// The file is wrong; the report says where.
    #[error("the configuration has {} mistakes", .0.errors())]
    Wrong(Report),
}

/// Reads and checks the file at `path` for a role, with the process environment.
///
/// # Errors
/// When the file cannot be read, or with every mistake in it.
pub fn load(path: &Path, role: Role) -> Result<(Config, Report), LoadError> {
    load_text(path, source(path)?, role)
}

/// The text of the file at `path`.
///
/// # Errors
/// When the file cannot be read.
pub fn source(path: &Path) -> Result<String, LoadError> {
    let unreadable = |error| LoadError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other("it is larger than 4 MiB")));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// As [`load`], with the text that was read from `path` before.
///
/// # Errors
/// With every mistake in it.
pub fn load_text(path: &Path, source: String, role: Role) -> Result<(Config, Report), LoadError> {
    let unreadable = |error| LoadError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let base = path.parent().filter(|base| !base.as_os_str().is_empty());
    let base = std::path::absolute(base.unwrap_or(Path::new("."))).map_err(unreadable)?;
    let around = Surroundings {
        base: &base,
        env: &|name| std::env::var(name).ok(),
        look: role != Role::Judge,
    };
    read(path, source, role, &around).map_err(LoadError::Wrong)
}

/// One target with its credentials, for looking at it: what else the file points at is left alone.
///
/// # Errors
/// Why it cannot be connected to, in one line.
pub fn connectable(path: &Path, name: &str) -> Result<Target, String> {
    let source = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let base = path.parent().filter(|base| !base.as_os_str().is_empty());
    let base = std::path::absolute(base.unwrap_or(Path::new("."))).map_err(|e| e.to_string())?;
    let around = Surroundings {
        base: &base,
        env: &|name| std::env::var(name).ok(),
        look: true,
    };
    let problems = Problems::default();
    let (document, _) = DeTable::parse_recoverable(&source);
    let root = Section::new("the file", 0..0, document.get_ref(), &problems);
    let sections = root.sections("target").into_iter();
    let named = sections.filter(|section| {
        let found = section
            .value("name")
            .and_then(|value| value.get_ref().as_str());
        found == Some(name)
    });
    // Entries of other targets are never looked at: their secrets may well be elsewhere.
    let target = named
        .last()
        .and_then(|s| datapath::target(s, &around, Role::Proxy)?.target);
    drop(root);
    drop(document);
    let report = problems.into_report(path.to_owned(), source);
    match (target, report.first()) {
        (Some(target), None) => Ok(target),
        (_, Some(problem)) => Err(problem),
        (None, None) => Err(format!("there is no target called {name}")),
    }
}

/// The approver's store: what else the file points at is left alone.
///
/// # Errors
/// Why there is none, in one line.
pub fn store_of(path: &Path) -> Result<StoreLocation, String> {
    let source = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let base = path.parent().filter(|base| !base.as_os_str().is_empty());
    store_in(source, path, base.unwrap_or(Path::new(".")))
}

/// The store as a command line gives it: the path of a file, or the table of a database in braces.
///
/// # Errors
/// What is wrong with the table.
pub fn store_given(text: &str) -> Result<StoreLocation, String> {
    if !text.trim_start().starts_with('{') {
        return Ok(StoreLocation::Sqlite(text.into()));
    }
    let source = format!("[approver]\nstore = {text}\n");
    store_in(source, Path::new("--store"), Path::new("."))
}

fn store_in(source: String, path: &Path, base: &Path) -> Result<StoreLocation, String> {
    let base = std::path::absolute(base).map_err(|error| error.to_string())?;
    let around = Surroundings {
        base: &base,
        env: &|name| std::env::var(name).ok(),
        look: true,
    };
    let problems = Problems::default();
    let (document, _) = DeTable::parse_recoverable(&source);
    let root = Section::new("the file", 0..0, document.get_ref(), &problems);
    let approver = root.section("approver", "[approver]");
    let store = approver.and_then(|section| store::store(&section, &around, Role::Approver));
    drop(root);
    drop(document);
    let report = problems.into_report(path.to_owned(), source);
    match (store, report.first()) {
        (Some(store), None) => Ok(store),
        (_, Some(problem)) => Err(problem),
        (None, None) => Err("the configuration names no store".to_owned()),
    }
}

/// Checks the text of a configuration.
///
/// # Errors
/// Every mistake in it.
pub fn read(
    path: &Path,
    source: String,
    role: Role,
    around: &Surroundings<'_>,
) -> Result<(Config, Report), Report> {
    let problems = Problems::default();
    let (document, syntax) = DeTable::parse_recoverable(&source);
    let root = Section::new("the file", 0..0, document.get_ref(), &problems);
    let config = whole(root, around, role, &source);
    problems.add_syntax(&source, &syntax);
    drop(document);
    let report = problems.into_report(path.to_owned(), source);
    match config {
        Some(config) if report.errors() == 0 => Ok((config, report)),
        _ => Err(report),
    }
}

fn whole(root: Section<'_>, around: &Surroundings<'_>, role: Role, source: &str) -> Option<Config> {
    let problems = root.problems;
    let table = |key, name: &str, needed: bool| {
        if needed && !root.has(key) {
            problems.absent(
                &(0..0),
                format!("the file has no {name}"),
                "docs/configuration.md shows a whole one",
            );
        }
        root.section(key, name)
    };
    let proxy = table("proxy", "[proxy]", role.proxies())
        .and_then(|section| datapath::proxy(section, around, role));
    let approver = table("approver", "[approver]", role.approves())
        .and_then(|section| decision::approver(section, around, role));
    let slack_section = table("slack", "[slack]", false);
    let has_slack = slack_section.is_some();
    let slack = slack_section.and_then(|section| decision::slack(section, around, role));
    let policy = table("policy", "[policy]", role.judges()).and_then(policy::policy);

    let (targets, targets_lost) = all(root.sections("target"), |s| {
        datapath::target(s, around, role)
    });
    let (agents, agents_lost) = all(root.sections("agent"), datapath::agent);
    let (people, people_lost) = all(root.sections("person"), decision::person);
    let (groups, groups_lost) = all(root.sections("group"), group::group);
    let (schedules, schedules_lost) = all(root.sections("schedule"), schedule::schedule);
    let (routes, routes_lost) = all(root.sections("route"), decision::route);
    let (rules, rules_lost) = all(root.sections("rule"), policy::rule);
    let (protections, protections_lost) = all(root.sections("protect"), policy::protection);
    let parts = Parts {
        role,
        targets,
        agents,
        people,
        groups,
        schedules,
        routes,
        policy,
        rules,
        protections,
        slack: has_slack,
        people_lost,
        groups_lost,
        schedules_lost,
        routes_lost,
        targets_lost,
        agents_lost,
    };
    some_of_each(&parts, &root);
    root.finish();
    check::cross_check(&parts, problems);
    let rules = rule_set(&parts, role, problems, source)?;
    let bytes_max = proxy
        .as_ref()
        .map_or_else(abeyance_gateway::Limits::default, |proxy| {
            proxy.limits.clone()
        })
        .statement_bytes_max;
    let tolerance = parts
        .policy
        .as_ref()
        .and_then(|policy| policy.rows_tolerance);
    if rules_lost || protections_lost {
        return None;
    }
    let targets = collect(parts.targets, |entry| entry.target)?;
    let agents = collect(parts.agents, datapath::AgentEntry::into_agent)?;
    let rules = rules.within(&surroundings(&targets, &agents, tolerance, bytes_max));
    Some(Config {
        proxy: proxy
            .filter(|_| role.proxies())
            .map(|proxy| tolerant(proxy, tolerance)),
        approver: approver.filter(|_| role.approves()),
        targets,
        agents,
        people: collect(parts.people, |entry| entry.person)?,
        routes: collect(parts.routes, |entry| entry.into_route(&parts.groups))?,
        groups: parts
            .groups
            .iter()
            .map(group::GroupEntry::to_group)
            .collect(),
        schedules: collect(parts.schedules, schedule::ScheduleEntry::into_schedule)?,
        slack: slack.filter(|_| role.approves()),
        rules,
    })
}

/// What else of the file verdicts rest on, besides the rules. The order of entries means nothing.
fn surroundings(
    targets: &[Target],
    agents: &[Agent],
    rows_tolerance: Option<f64>,
    statement_bytes_max: usize,
) -> String {
    let mut lines: Vec<String> = targets
        .iter()
        .map(|target| {
            let Target {
                name,
                database,
                environment,
                vouched_functions,
                ..
            } = target;
            format!("target {name:?} {database:?} {environment:?} {vouched_functions:?}")
        })
        .collect();
    lines.extend(agents.iter().map(|agent| {
        let Agent {
            name,
            owner,
            actor,
            access,
            targets,
            ..
        } = agent;
        let targets: std::collections::BTreeSet<&String> = targets.iter().collect();
        format!("agent {name:?} {owner:?} {actor:?} {access:?} {targets:?}")
    }));
    lines.sort();
    format!("{lines:?} {rows_tolerance:?} {statement_bytes_max}")
}

/// Caps on rows are written beside the rules, and held by sessions.
fn tolerant(mut proxy: Proxy, tolerance: Option<f64>) -> Proxy {
    if let Some(tolerance) = tolerance {
        proxy.limits.rows_tolerance = tolerance;
    }
    proxy
}

fn rule_set(parts: &Parts, role: Role, problems: &Problems, source: &str) -> Option<RuleSet> {
    let entries = verdicts::Entries {
        policy: parts.policy.as_ref(),
        rules: &parts.rules,
        protections: &parts.protections,
    };
    let rules = verdicts::rule_set(entries, problems, source);
    if let Some(rules) = &rules {
        mentions::check(rules.mentions(), parts, problems, source);
    }
    rules.filter(|_| parts.policy.is_some() || !role.judges())
}

/// Reads every entry; tells whether one was lost on the way.
fn all<'a, T>(
    sections: Vec<Section<'a>>,
    read: impl Fn(Section<'a>) -> Option<T>,
) -> (Vec<T>, bool) {
    let given = sections.len();
    let found: Vec<T> = sections.into_iter().filter_map(read).collect();
    let lost = found.len() < given;
    (found, lost)
}

fn collect<T, U>(entries: Vec<T>, into: impl Fn(T) -> Option<U>) -> Option<Vec<U>> {
    entries.into_iter().map(into).collect()
}

/// A proxy without targets or agents, or an approver without people or routes, serves nobody.
fn some_of_each(parts: &Parts, root: &Section<'_>) {
    let judges = parts.role.judges();
    let approves = parts.role.approves();
    for (key, needed, example) in [
        ("target", judges, "a database that clients may ask for"),
        ("agent", judges, "a client that may connect"),
        ("person", approves, "somebody who decides"),
        (
            "route",
            approves,
            "who is asked, and how long there is to answer",
        ),
    ] {
        if needed && !root.has(key) {
            root.problems.absent(
                &(0..0),
                format!("the file has no [[{key}]]"),
                format!("add at least one: {example}"),
            );
        }
    }
}
