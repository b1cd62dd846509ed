use super::*;

const CLINIC: &[u8] = include_bytes!("../../tests/clinic_catalog.json");

#[test]
fn what_the_query_gave_is_read() {
    let catalog = Catalog::from_json(CLINIC).expect("a catalog");
    let named = |name: &str| {
        catalog
            .relations
            .iter()
            .find(|relation| relation.name.name == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(catalog.search_path, ["pg_catalog", "public"]);
    assert_eq!(named("patients").triggers.len(), 1);
    assert_eq!(named("patients_archive").parents, [named("patients").oid]);
    assert_eq!(
        named("cleanup").rules.first().map(|rule| rule.instead),
        Some(true)
    );
    assert_eq!(named("lab_results").unique_keys, [["id", "taken_on"]]);
    let visits = &named("billing").foreign_keys;
    assert!(
        visits
            .iter()
            .all(|key| key.on_delete == ForeignKeyAction::Cascade)
    );
    assert!(
        named("patients")
            .on_read
            .iter()
            .any(|policy| policy == "true")
    );
}

/// The clinic with some functions that call one another, given as a target gives them.
fn with_functions(bodies: &[(&str, &str)]) -> serde_json::Value {
    let mut catalog: serde_json::Value = serde_json::from_slice(CLINIC).expect("JSON");
    let routines = catalog["routines"].as_array_mut().expect("a list");
    let like = routines
        .iter()
        .find(|one| one["name"]["name"] == "visit_count")
        .expect("a function")
        .clone();
    for (name, body) in bodies {
        let mut routine = like.clone();
        routine["name"]["name"] = (*name).into();
        routine["source"] = (*body).into();
        routines.retain(|one| one["name"]["name"] != *name);
        routines.push(routine);
    }
    catalog
}

fn definitions(catalog: &serde_json::Value, sql: &str) -> crate::facts::Definitions {
    let json = serde_json::to_vec(catalog).expect("JSON");
    let catalog = Catalog::from_json(&json).expect("a catalog");
    let sight = Sight {
        search_path: catalog.search_path.clone().into(),
        catalog: Arc::new(catalog),
        vouched: Arc::default(),
    };
    let options = crate::ReadOptions {
        sight: Some(sight),
        ..crate::ReadOptions::default()
    };
    let read = crate::analyse(sql.as_bytes(), options);
    let facts = read.statements.first().and_then(|one| one.catalog.as_ref());
    facts.expect("facts of a catalog").definitions
}

#[test]
fn what_is_reached_has_another_digest_when_it_is_defined_otherwise() {
    let deep = "SELECT visit_count($1)";
    let base = [
        ("visit_count", "SELECT helper($1) + 1"),
        (
            "helper",
            "BEGIN PERFORM Far_Away(1); DELETE FROM ROOMS; END",
        ),
        ("far_away", "SELECT 1"),
        ("never_called", "SELECT 1"),
    ];
    let changed = |name: &str, body: &'static str| {
        let other = base.map(|(one, was)| (one, if one == name { body } else { was }));
        with_functions(&other)
    };
    let before = with_functions(&base);
    let same =
        |after: &serde_json::Value, sql: &str| definitions(&before, sql) == definitions(after, sql);
    // The body that is called, the one it calls, and the one that one calls.
    for name in ["visit_count", "helper", "far_away"] {
        assert!(!same(&changed(name, "SELECT 2"), deep), "{name}");
        assert!(
            same(&changed(name, "SELECT 2"), "SELECT * FROM billing"),
            "{name}"
        );
    }
    assert!(same(&changed("never_called", "SELECT 2"), deep));

    let edited = |relation: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        let mut after = before.clone();
        let relations = after["relations"].as_array_mut().expect("a list");
        let one = relations
            .iter_mut()
            .find(|one| one["name"]["name"] == relation);
        edit(one.expect("a relation"));
        after
    };
    // A table that a body names, a view's query, a trigger, a policy, what belongs to which column.
    let in_body = edited("rooms", &|one| one["detail"] = "other".into());
    assert!(!same(&in_body, deep));
    let view = edited("rooms_v", &|one| {
        one["definition"] = " SELECT room, floor FROM public.rooms LIMIT 1".into();
    });
    assert!(!same(&view, "SELECT room FROM rooms_v"));
    assert!(same(&view, "SELECT room FROM rooms"));
    let trigger = edited("billing", &|one| one["triggers"] = serde_json::json!([]));
    assert!(!same(&trigger, "DELETE FROM billing WHERE id = 1"));
    assert!(
        !same(&trigger, "DELETE FROM patients WHERE id = 1"),
        "by a cascade"
    );
    let policy = edited("patients", &|one| {
        one["on_read"] = serde_json::json!(["helper(1) > 0"]);
    });
    assert!(!same(&policy, "SELECT name FROM patients"));
    // Its size is no definition.
    let grown = edited("rooms", &|one| one["rows"] = 1e6.into());
    assert!(same(&grown, "DELETE FROM rooms WHERE floor = 1"));
}

#[test]
fn texts_of_routines_are_not_kept() {
    let json = serde_json::to_vec(&with_functions(&[(
        "visit_count",
        "SELECT 'secret', helper()",
    )]));
    let catalog = Catalog::from_json(&json.expect("JSON")).expect("a catalog");
    let kept = serde_json::to_string(&catalog).expect("JSON");
    assert!(!kept.contains("secret"));
    // What is left of them says the same when it is read back.
    let again = Catalog::from_json(kept.as_bytes()).expect("a catalog");
    let digest = |catalog: &Catalog| {
        let found = catalog
            .routines
            .iter()
            .find(|one| one.name.name == "visit_count");
        found.map(|one| (one.digest.clone(), one.mentions.clone()))
    };
    assert_eq!(digest(&catalog), digest(&again));
    assert!(digest(&again).is_some_and(|(digest, _)| digest.len() == 64));
}
