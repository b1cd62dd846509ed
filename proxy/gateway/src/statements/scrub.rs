//! Facts without any name that could be a value: agents can quote whatever they like.

use std::collections::BTreeSet;

use abeyance_sql::{
    ColumnName, FunctionName, OpaqueReason, RelationName, SessionEffect, StatementFacts, shown,
};

/// The facts as they may be kept.
pub(super) fn facts(facts: &StatementFacts) -> StatementFacts {
    let mut clean = facts.clone();
    for relations in [&mut clean.reads, &mut clean.writes, &mut clean.alters] {
        each(relations, relation);
    }
    for functions in [&mut clean.functions, &mut clean.operators, &mut clean.casts] {
        each(functions, |f| FunctionName {
            schema: f.schema.as_deref().map(name),
            // Operators are signs, and signs are no values.
            name: if f.name.chars().all(|c| c.is_ascii_punctuation()) {
                f.name.clone()
            } else {
                name(&f.name)
            },
        });
    }
    each(&mut clean.columns, |column| ColumnName {
        relation: column.relation.as_ref().map(relation),
        name: name(&column.name),
    });
    each(&mut clean.keyed_by, |column| name(column));
    clean.refers_to = clean.refers_to.as_deref().map(name);
    clean.defines = clean.defines.as_deref().map(name);
    if let SessionEffect::Set { parameter, .. } = &mut clean.session {
        *parameter = dotted(parameter);
    }
    if let Some(OpaqueReason::UnknownReference { name: found }) = &mut clean.opaque {
        *found = name(found);
    }
    if let Some(catalog) = &mut clean.catalog {
        each(&mut catalog.missing, |missing| dotted(missing));
    }
    clean
}

fn each<T: Ord>(names: &mut BTreeSet<T>, clean: impl Fn(&T) -> T) {
    *names = names.iter().map(clean).collect();
}

fn relation(relation: &RelationName) -> RelationName {
    RelationName {
        schema: relation.schema.as_deref().map(name),
        name: name(&relation.name),
    }
}

fn dotted(text: &str) -> String {
    text.split('.').map(shown).collect::<Vec<_>>().join(".")
}

fn name(text: &str) -> String {
    shown(text).to_owned()
}

#[cfg(test)]
mod tests {
    use abeyance_sql::{ReadOptions, analyse};

    use super::*;

    #[test]
    fn what_looks_like_a_value_is_not_kept() {
        const MARK: &str = "123-45-6789";
        for sql in [
            "SELECT \"123-45-6789\", f.\"123-45-6789\" FROM \"123-45-6789\".\"123-45-6789\" f",
            "SELECT \"123-45-6789\"('123-45-6789') WHERE x = '123-45-6789'",
            "UPDATE t SET \"123-45-6789\" = 1 WHERE \"123-45-6789\" = '123-45-6789'",
            "PREPARE \"123-45-6789\" AS SELECT 1",
            "EXECUTE \"123-45-6789\"",
            "SET \"a.123-45-6789\" = '123-45-6789'",
            "SELECT 1::\"123-45-6789\"",
            "CREATE TABLE \"123-45-6789\" (\"123-45-6789\" text DEFAULT '123-45-6789')",
            "DO '123-45-6789'",
            "SELEC '123-45-6789'",
        ] {
            for statement in analyse(sql.as_bytes(), ReadOptions::default()).statements {
                let kept = serde_json::to_string(&facts(&statement)).unwrap();
                assert!(!kept.contains(MARK), "{sql}: {kept}");
            }
        }
    }

    #[test]
    fn ordinary_facts_are_kept_as_they_are() {
        let sql = "SELECT lower(name) FROM public.patients WHERE id = 7 AND born < '1980-01-01'";
        for statement in analyse(sql.as_bytes(), ReadOptions::default()).statements {
            let kept = serde_json::to_value(facts(&statement)).unwrap();
            assert_eq!(kept, serde_json::to_value(&statement).unwrap());
        }
    }
}
