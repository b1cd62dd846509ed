//! Whether the tables and columns that rules and protections name are there: `check-config --catalog` and `--live`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use abeyance_policy::{Seen, Unmatched};
use abeyance_sql::Catalog;

use super::catalog;
use crate::{
    args::CheckArgs,
    config::{self, Config, Target},
    exit::Failure,
    output,
};

/// Shows every pattern that matches nothing in the catalogs that were asked for.
///
/// # Errors
/// When there is one in all its targets, or a catalog cannot be had.
pub fn check(args: &CheckArgs, config: &Config, source: String) -> Result<(), Failure> {
    let path = &args.config.config;
    let mut catalogs = BTreeMap::new();
    let mut unreachable = Vec::new();
    if args.live {
        for target in &config.targets {
            match catalog::live(path, &target.name) {
                Ok(loaded) => {
                    catalogs.insert(target.name.clone(), loaded.sight.catalog);
                }
                Err(why) => unreachable.push(format!("target {}: {why}", target.name)),
            }
        }
    }
    for given in &args.catalog {
        let (named, file) = split(given, &config.targets);
        let catalog = Arc::new(catalog::read(&file)?);
        let target = match named {
            Some(name) => name,
            None => whose(&catalog, &file, &config.targets)?,
        };
        catalogs.insert(target, catalog);
    }
    if catalogs.is_empty() && unreachable.is_empty() {
        return Ok(());
    }
    let unmatched = unmatched(config, &catalogs);
    let wrong = shown(path, source, &unmatched);
    if wrong {
        return Err(Failure::Shown);
    }
    match unreachable.is_empty() {
        true => Ok(()),
        false => Err(Failure::Unavailable(unreachable.join("; "))),
    }
}

fn shown(path: &Path, source: String, unmatched: &[Unmatched]) -> bool {
    let report = config::patterns_report(path, source, unmatched);
    if !unmatched.is_empty() {
        output::remark(report.render().trim_end());
    }
    report.errors() > 0
}

fn unmatched(config: &Config, catalogs: &BTreeMap<String, Arc<Catalog>>) -> Vec<Unmatched> {
    let targets = config.targets.iter();
    let seen: Vec<Seen<'_>> = targets
        .map(|target| Seen {
            target: &target.name,
            environment: target.environment.as_deref(),
            catalog: catalogs.get(&target.name).map(|catalog| &**catalog),
        })
        .collect();
    config.rules.unmatched(&seen)
}

/// `clinic=clinic.json`, or the file alone.
fn split(given: &str, targets: &[Target]) -> (Option<String>, PathBuf) {
    let named = given
        .split_once('=')
        .filter(|(name, _)| targets.iter().any(|target| target.name == *name));
    match named {
        Some((name, file)) => (Some(name.to_owned()), PathBuf::from(file)),
        None => (None, PathBuf::from(given)),
    }
}

/// The target a catalog is of: the only one, or the only one of that database.
fn whose(catalog: &Catalog, file: &Path, targets: &[Target]) -> Result<String, Failure> {
    let same = |target: &&Target| targets.len() == 1 || target.database == catalog.database;
    let mut found = targets.iter().filter(same);
    match (found.next(), found.next()) {
        (Some(target), None) => Ok(target.name.clone()),
        _ => Err(Failure::Usage(format!(
            "say which target {0} is of: --catalog TARGET={0}",
            file.display()
        ))),
    }
}
