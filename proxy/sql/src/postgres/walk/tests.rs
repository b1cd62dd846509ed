//! The walk against the whole tree: no call, operator, type or relation is passed over.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// What a walk without any knowledge of node types finds in the serialised tree.
#[derive(Debug, Default)]
struct Found {
    functions: BTreeSet<String>,
    relations: BTreeSet<String>,
    cte_names: BTreeSet<String>,
}

impl Found {
    fn look(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.look(item)),
            Value::Object(fields) => {
                if fields.contains_key("agg_star") {
                    let parts = fields["funcname"].as_array().unwrap();
                    let last = &parts.last().unwrap()["node"]["String"]["sval"];
                    self.functions.insert(last.as_str().unwrap().to_owned());
                }
                if let Some(name) = fields.get("relname") {
                    self.relations.insert(name.as_str().unwrap().to_owned());
                }
                if let Some(name) = fields.get("ctename") {
                    self.cte_names.insert(name.as_str().unwrap().to_owned());
                }
                fields.values().for_each(|field| self.look(field));
            }
            _ => {}
        }
    }
}

fn statements() -> Vec<String> {
    let table = include_str!("../../../tests/facts_table.txt");
    let table = table.lines().filter_map(|line| line.split_once(" => "));
    let corpus = include_str!("../../../../../tests/corpus/open.jsonl");
    let corpus = corpus.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        row["sql"].as_str().unwrap().to_owned()
    });
    table.map(|(sql, _)| sql.to_owned()).chain(corpus).collect()
}

#[test]
fn nothing_in_the_tree_is_passed_over() {
    // Some of the trees are deep.
    let deep = std::thread::Builder::new().stack_size(256 * 1024 * 1024);
    deep.spawn(compare_all).unwrap().join().unwrap();
}

fn compare_all() {
    let mut compared = 0;
    for sql in statements() {
        let Ok(tree) = pg_query::parse(&sql, 0) else {
            continue;
        };
        for statement in &tree.protobuf.stmts {
            let node = statement.stmt.as_ref().unwrap().node.as_ref().unwrap();
            let mut found = Found::default();
            found.look(&serde_json::to_value(node).unwrap());
            let facts = facts_of(
                node,
                Resolver::new(
                    None,
                    Room {
                        left: 0,
                        more_elsewhere: false,
                    },
                ),
            )
            .unwrap();
            let functions: BTreeSet<_> = facts.functions.iter().map(|f| f.name.as_str()).collect();
            for function in &found.functions {
                assert!(
                    functions.contains(function.as_str()),
                    "{sql}: calls {function}"
                );
            }
            let relations: BTreeSet<_> = facts.relations().map(|r| r.name.as_str()).collect();
            for relation in &found.relations {
                assert!(
                    relations.contains(relation.as_str())
                        || found.cte_names.contains(relation)
                        || is_alias_or_new_name(node, relation),
                    "{sql}: names {relation}, facts name {relations:?}"
                );
            }
            compared += 1;
        }
    }
    assert!(compared > 400, "{compared}");
}

/// FOR UPDATE OF names an alias; SET CONSTRAINTS names constraints.
fn is_alias_or_new_name(statement: &NodeEnum, name: &str) -> bool {
    match statement {
        NodeEnum::ConstraintsSetStmt(_) => true,
        NodeEnum::SelectStmt(select) => select.locking_clause.iter().any(|clause| {
            serde_json::to_string(clause)
                .unwrap()
                .contains(&format!("\"{name}\""))
        }),
        _ => false,
    }
}
