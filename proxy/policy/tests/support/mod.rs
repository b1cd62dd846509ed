//! The clinic: its policy in `deploy/clinic.toml`, read as the configuration does as far as this crate
//! knows, and its catalog.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::sync::{Arc, LazyLock};

use abeyance_policy::{Decision, Matcher, Pack, Policy, Protection, Rule, RuleSet};
use abeyance_sql::{Catalog, Sight};
use serde::Deserialize;

const CLINIC: &str = include_str!("../../../../deploy/clinic.toml");

const CATALOG: &str = include_str!("../../../sql/tests/clinic_catalog.json");

/// The clinic's catalog as a new session sees it.
pub static SIGHT: LazyLock<Sight> = LazyLock::new(|| {
    let catalog = Catalog::from_json(CATALOG.as_bytes()).unwrap();
    Sight {
        search_path: catalog.search_path.clone().into(),
        catalog: Arc::new(catalog),
        vouched: Arc::default(),
    }
});

#[derive(Deserialize)]
struct File {
    policy: FilePolicy,
    #[serde(default)]
    rule: Vec<FileRule>,
    #[serde(default)]
    protect: Vec<FileProtection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePolicy {
    default: String,
    route: String,
    packs: Vec<String>,
    plain_tables: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    name: String,
    verdict: String,
    route: Option<String>,
    message: Option<String>,
    class: Option<Vec<abeyance_sql::StatementClass>>,
    kind: Option<Vec<String>>,
    when: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileProtection {
    name: String,
    columns: Vec<String>,
}

/// The policy of the clinic.
pub fn clinic() -> RuleSet {
    RuleSet::build(policy(CLINIC)).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn policy(source: &str) -> Policy {
    let file: File = toml::from_str(source).unwrap_or_else(|error| panic!("{error}"));
    let decision = |word: &str, route: Option<&String>| match word {
        "allow" => Decision::Allow,
        "deny" => Decision::Deny,
        _ => Decision::Hold {
            route: route.unwrap_or(&file.policy.route).clone(),
        },
    };
    let rules = file.rule.iter().map(|rule| Rule {
        message: rule.message.clone(),
        when: rule.when.clone(),
        ..Rule::new(
            &rule.name,
            Matcher {
                classes: rule.class.clone(),
                kinds: rule.kind.clone(),
                ..Matcher::default()
            },
            decision(&rule.verdict, rule.route.as_ref()),
        )
    });
    let protections = file.protect.iter().map(|one| Protection {
        name: one.name.clone(),
        columns: one.columns.clone(),
        route: None,
        agents: None,
        targets: None,
        environments: None,
    });
    let packs = file.policy.packs.iter();
    Policy {
        rules: rules.collect(),
        protections: protections.collect(),
        packs: packs.filter_map(|name| Pack::named(name)).collect(),
        plain_tables: file.policy.plain_tables.clone(),
        ..Policy::new(decision(&file.policy.default, None))
    }
}
