//! What running a statement would do, as far as its facts and a catalog tell: nothing is asked of a target, so rows are
//! those of its statistics, and who waits for a lock now is not known.

use abeyance_api::{Estimate, blast::Blast};
use abeyance_sql::{Catalog, Predicate, RelationName, StatementFacts};
use serde_json::{Value, json};

/// The blast radius of a batch.
pub fn of(statements: &[&StatementFacts], catalog: Option<&Catalog>) -> Blast {
    let [facts] = statements else {
        return Blast::unknown(match statements.len() {
            0 => "nothing would run".to_owned(),
            several => format!("not estimated: {several} statements"),
        });
    };
    let mut blast = Blast::of_rows(rows(facts, catalog));
    if let Some(known) = &facts.catalog {
        blast.triggers = Some(known.triggers.iter().cloned().collect());
    }
    blast.notes.push(
        "from the text and the catalog alone: nothing was asked of the target for this statement"
            .to_owned(),
    );
    blast
}

/// For a line nothing was judged of.
pub fn unknown(why: &str) -> Value {
    serde_json::to_value(Blast::unknown(why)).unwrap_or_else(|_| json!({}))
}

fn rows(facts: &StatementFacts, catalog: Option<&Catalog>) -> Estimate {
    if facts.catalog.as_ref().is_some_and(|known| known.one_row) {
        let mut one = Estimate::at_most(1);
        one.note = Some("a whole key is given".to_owned());
        return one;
    }
    if let (Some(rows), true) = (facts.rows_max, facts.kind == "INSERT") {
        return Estimate::at_most(rows);
    }
    let whole = matches!(facts.predicate, Predicate::Missing | Predicate::Tautology)
        || facts.kind == "TRUNCATE";
    let Some(catalog) = catalog else {
        return Estimate::unknown("not known without the target's catalog");
    };
    if !whole {
        return Estimate::unknown("not asked: only the target's planner could estimate it");
    }
    let sizes: Option<Vec<f64>> = facts
        .writes
        .iter()
        .map(|name| size(name, catalog))
        .collect();
    match sizes {
        Some(sizes) if !sizes.is_empty() => {
            Estimate::estimated(sizes.iter().sum::<f64>().max(0.0) as u64)
        }
        _ => Estimate::unknown("the target has no statistics of what is written"),
    }
}

fn size(name: &RelationName, catalog: &Catalog) -> Option<f64> {
    let mut found = catalog.relations.iter().filter(|relation| {
        let schema = name.schema.as_ref();
        relation.name.name == name.name
            && schema.is_none_or(|schema| relation.name.schema == *schema)
    });
    let relation = found.next()?;
    relation.rows.filter(|_| found.next().is_none())
}
