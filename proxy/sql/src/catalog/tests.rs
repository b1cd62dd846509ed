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
