//! Says which patterns of the policy match nothing in the targets' catalogs: once a pattern and policy version.
//!
//! Looks whenever a catalog was read anew and whenever the policy changed. A misspelt protection protects nothing, and
//! nobody would notice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use abeyance_policy::{Entry, RuleSet, Seen, Unmatched};
use abeyance_sql::Catalog;

use super::cache::lock;
use crate::Target;

/// What is known of policy and catalogs.
#[derive(Debug)]
pub(crate) struct PatternWatch(Mutex<Watched>);

#[derive(Debug)]
struct Watched {
    rules: RuleSet,
    targets: BTreeMap<String, Known>,
    /// Of this version of the policy.
    said: BTreeSet<(Entry, &'static str, usize)>,
}

#[derive(Debug)]
struct Known {
    environment: Option<String>,
    catalog: Option<Arc<Catalog>>,
}

impl PatternWatch {
    pub(crate) fn new(targets: &[Target], rules: &RuleSet) -> Self {
        Self(Mutex::new(Watched {
            rules: rules.clone(),
            targets: known(targets, BTreeMap::new()),
            said: BTreeSet::new(),
        }))
    }

    /// The configuration has changed.
    pub(crate) fn reloaded(&self, targets: &[Target], rules: &RuleSet) {
        let mut watched = lock(&self.0);
        if watched.rules.version() != rules.version() {
            watched.said.clear();
        }
        watched.rules = rules.clone();
        let before = std::mem::take(&mut watched.targets);
        watched.targets = known(targets, before);
        watched.say();
    }

    /// A target's catalog was read anew.
    pub(crate) fn read(&self, target: &str, catalog: &Arc<Catalog>) {
        let mut watched = lock(&self.0);
        if let Some(known) = watched.targets.get_mut(target) {
            known.catalog = Some(Arc::clone(catalog));
            watched.say();
        }
    }
}

fn known(targets: &[Target], mut before: BTreeMap<String, Known>) -> BTreeMap<String, Known> {
    let targets = targets.iter();
    targets
        .map(|target| {
            let known = Known {
                environment: target.environment.clone(),
                catalog: before.remove(&target.name).and_then(|known| known.catalog),
            };
            (target.name.clone(), known)
        })
        .collect()
}

impl Watched {
    fn say(&mut self) {
        for unmatched in self.news() {
            tracing::warn!(
                target = unmatched.targets.join(", "),
                pattern = unmatched.pattern,
                policy = self.rules.version(),
                hint = unmatched.hint(),
                "{unmatched}"
            );
        }
    }

    /// What has not been said yet.
    fn news(&mut self) -> Vec<Unmatched> {
        let seen: Vec<Seen<'_>> = self
            .targets
            .iter()
            .map(|(target, known)| Seen {
                target,
                environment: known.environment.as_deref(),
                catalog: known.catalog.as_deref(),
            })
            .collect();
        let found = self.rules.unmatched(&seen).into_iter();
        found
            .filter(|one| self.said.insert((one.entry, one.field, one.index)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use abeyance_policy::{Decision, Policy, Protection};

    use super::*;

    fn rules(column: &str) -> RuleSet {
        RuleSet::build(Policy {
            protections: vec![Protection {
                name: "p".to_owned(),
                columns: vec![column.to_owned()],
                route: None,
                agents: None,
                targets: None,
                environments: None,
            }],
            ..Policy::new(Decision::Hold {
                route: "dba".to_owned(),
            })
        })
        .unwrap()
    }

    fn clinic() -> Arc<Catalog> {
        let json = include_bytes!("../../../sql/tests/clinic_catalog.json");
        Arc::new(Catalog::from_json(json).unwrap())
    }

    fn watched(column: &str, targets: &[&str]) -> Watched {
        let known = |target: &&str| {
            let known = Known {
                environment: None,
                catalog: None,
            };
            ((*target).to_owned(), known)
        };
        Watched {
            rules: rules(column),
            targets: targets.iter().map(known).collect(),
            said: BTreeSet::new(),
        }
    }

    #[test]
    fn a_misspelt_protection_is_said_once_when_the_catalog_is_there() {
        let mut watched = watched("patients.snn", &["clinic"]);
        assert_eq!(watched.news(), []);
        watched.targets.get_mut("clinic").unwrap().catalog = Some(clinic());
        let news = watched.news();
        assert_eq!(news.len(), 1);
        assert_eq!(news[0].nearest.as_deref(), Some("patients.ssn"));
        assert_eq!(watched.news(), []);
    }

    #[test]
    fn another_policy_is_looked_at_with_the_catalogs_that_are_known() {
        let target = |name: &str| Target {
            name: name.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 1,
            database: "clinic".to_owned(),
            user: "app".to_owned(),
            password: None,
            tls: crate::UpstreamTls::disable(),
            environment: None,
            vouched_functions: Arc::default(),
            catalog_poll: None,
            sessions_max: None,
        };
        let targets = [target("clinic")];
        let watch = PatternWatch::new(&targets, &rules("patients.ssn"));
        watch.read("clinic", &clinic());
        watch.read("nobody's", &clinic());
        let said = || lock(&watch.0).said.len();
        assert_eq!(said(), 0);
        watch.reloaded(&targets, &rules("patients.snn"));
        assert_eq!(said(), 1);
        watch.reloaded(&targets, &rules("patients.ssn"));
        assert_eq!(said(), 0);
        watch.read("clinic", &Arc::new(Catalog::default()));
        assert_eq!(said(), 1, "the catalog has changed");
    }
}
