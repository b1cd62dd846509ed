//! Dependencies between the parts run one way. The map is docs/architecture.md; this keeps it true.

#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// What each part of the product may use of the others. A part that is not named here may not exist.
const MAY_USE: &[(&str, &[&str])] = &[
    ("abeyance-wire", &[]),
    ("abeyance-sql", &[]),
    ("abeyance-policy", &["abeyance-sql"]),
    ("abeyance-api", &[]),
    (
        "abeyance-gateway",
        &[
            "abeyance-wire",
            "abeyance-sql",
            "abeyance-policy",
            "abeyance-api",
        ],
    ),
    ("abeyance-holds", &["abeyance-api"]),
    ("abeyance-approver", &["abeyance-api", "abeyance-holds"]),
    ("abeyance-chat", &["abeyance-api"]),
    ("abeyance-slack", &["abeyance-chat", "abeyance-api"]),
    (
        "abeyance",
        &[
            "abeyance-wire",
            "abeyance-sql",
            "abeyance-policy",
            "abeyance-gateway",
            "abeyance-api",
            "abeyance-holds",
            "abeyance-approver",
            "abeyance-chat",
            "abeyance-slack",
        ],
    ),
];

/// Crates that try the product out. Nothing of the product may use them.
const TRIES: &[&str] = &[
    "abeyance-chaos",
    "abeyance-demo",
    "abeyance-e2e",
    "abeyance-slack-double",
];

/// Outside crates that only some parts may use directly.
const ONLY: &[(&str, &[&str])] = &[
    ("sqlx", &["abeyance-approver"]),
    ("pg_query", &["abeyance-sql"]),
    ("slack-morphism", &["abeyance-slack"]),
];

/// What the pure parts may never use: they know no time, no sockets and no store.
const PURE: &[&str] = &["abeyance-wire", "abeyance-policy", "abeyance-holds"];
const IMPURE: &[&str] = &["tokio", "axum", "reqwest", "sqlx", "hyper", "async-trait"];

/// Normal and build dependencies of each workspace crate, by name.
fn dependencies(kinds: &[Option<&str>]) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata starts");
    assert!(output.status.success(), "cargo metadata: {output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|dependency| kinds.contains(&dependency["kind"].as_str()))
                .map(|dependency| text(&dependency["name"]))
                .collect();
            (text(&package["name"]), used)
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

#[test]
fn parts_use_only_what_is_below_them() {
    let dependencies = dependencies(&[None, Some("build")]);
    let mut wrong = Vec::new();
    for (part, used) in &dependencies {
        if TRIES.contains(&part.as_str()) {
            continue;
        }
        let Some((_, may)) = MAY_USE.iter().find(|(name, _)| name == part) else {
            wrong.push(format!("{part} has no place in the map"));
            continue;
        };
        for other in used.iter().filter(|name| name.starts_with("abeyance")) {
            if !may.contains(&other.as_str()) {
                wrong.push(format!("{part} uses {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "against the map: {wrong:#?}");
    for (part, _) in MAY_USE {
        assert!(
            dependencies.contains_key(*part),
            "{part} is only in the map"
        );
    }
}

#[test]
fn outside_crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (part, used) in dependencies(&[None, Some("build")]) {
        if TRIES.contains(&part.as_str()) {
            continue;
        }
        for (outside, parts) in ONLY {
            if used.contains(*outside) && !parts.contains(&part.as_str()) {
                wrong.push(format!("{part} uses {outside}"));
            }
        }
        if PURE.contains(&part.as_str()) {
            let impure = IMPURE.iter().filter(|name| used.contains(**name));
            wrong.extend(impure.map(|name| format!("{part} is pure and uses {name}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A part may be tested against what tries it out, as long as the product does not hang on it.
#[test]
fn the_product_never_uses_what_tries_it_out() {
    let all = dependencies(&[None, Some("build")]);
    let wrong: Vec<_> = all
        .iter()
        .filter(|(part, _)| !TRIES.contains(&part.as_str()))
        .flat_map(|(part, used)| {
            let tried = TRIES.iter().filter(|name| used.contains(**name));
            tried.map(move |name| (part, name))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
