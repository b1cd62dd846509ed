//! What resolution says of statements: `cargo run -p abeyance-sql --example columns -- CATALOG.json < statements`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example that prints a table"
)]

use std::{io::BufRead, sync::Arc};

use abeyance_sql::{Catalog, ReadOptions, Sight, analyse};

fn main() {
    let path = std::env::args().nth(1);
    let sight = path.map(|path| {
        let catalog = Arc::new(Catalog::from_json(&std::fs::read(path).unwrap()).unwrap());
        Sight {
            search_path: catalog.search_path.clone().into(),
            catalog,
            vouched: Arc::default(),
        }
    });
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        println!("{line}");
        let options = ReadOptions {
            sight: sight.clone(),
            ..ReadOptions::default()
        };
        for facts in analyse(line.as_bytes(), options).statements {
            let columns: Vec<String> = facts.columns.iter().map(ToString::to_string).collect();
            let known = if facts.columns_known { "" } else { " ..." };
            println!("    {} columns {}{known}", facts.kind, columns.join(" "));
            for doubt in &facts.doubts {
                println!("    doubt: {doubt}");
            }
            if !facts.keyed_by.is_empty() || facts.rows_max.is_some() {
                println!(
                    "    keyed by {:?} rows {:?}",
                    facts.keyed_by, facts.rows_max
                );
            }
            if let Some(catalog) = facts.catalog {
                let names = |set: &std::collections::BTreeSet<abeyance_sql::RelationName>| {
                    set.iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                println!(
                    "    reads [{}] writes [{}] through [{}] foreign [{}] cascades [{}] one_row {} kinds {:?}",
                    names(&catalog.reads),
                    names(&catalog.writes),
                    names(&catalog.through),
                    names(&catalog.foreign),
                    names(&catalog.cascades),
                    catalog.one_row,
                    facts.kinds
                );
                for line in catalog
                    .triggers
                    .iter()
                    .chain(&catalog.routines)
                    .chain(&catalog.missing)
                {
                    println!("    + {line}");
                }
            }
        }
    }
}
