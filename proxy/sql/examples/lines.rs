//! Reads query strings from standard input and prints their facts, one JSON line each.
//!
//! `cargo run --release -p abeyance-sql --example lines [-- --catalog FILE]`. A record is one byte,
//! `1` or `0` for `standard_conforming_strings`, then the query string, then NUL. Each is answered before the next
//! is read, so a script can ask one at a time. A record that begins with `c` has a catalog for those that follow;
//! alone it takes it away. With `--load-sql` it prints how a catalog is loaded instead.

#![allow(clippy::print_stdout, reason = "an example that prints")]

use std::{
    error::Error,
    io::{self, BufRead as _, Write as _},
    time::Instant,
};

use abeyance_sql::{
    Catalog, ReadOptions, Sight, analyse,
    catalog::{LOAD_BEGIN_SQL, LOAD_END_SQL, LOAD_SQL},
};

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "--load-sql") {
        println!(
            "{}",
            serde_json::json!([LOAD_BEGIN_SQL, LOAD_SQL, LOAD_END_SQL])
        );
        return Ok(());
    }
    let mut sight = match catalog_file() {
        Some(path) => Some(sight(&std::fs::read(path)?)?),
        None => None,
    };
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut record = Vec::new();
    loop {
        record.clear();
        if input.read_until(0, &mut record)? == 0 {
            return Ok(());
        }
        let record = record.strip_suffix(b"\0").unwrap_or(&record);
        let (flag, sql) = record.split_first().unwrap_or((&b'1', &[]));
        if *flag == b'c' {
            sight = if sql.is_empty() {
                None
            } else {
                Some(self::sight(sql)?)
            };
            continue;
        }
        let options = ReadOptions {
            standard_conforming_strings: *flag != b'0',
            sight: sight.clone(),
            ..ReadOptions::default()
        };
        let started = Instant::now();
        let analysis = analyse(sql, options);
        let micros = started.elapsed().as_micros();
        let statements = serde_json::to_value(&analysis.statements)?;
        writeln!(
            output,
            "{}",
            serde_json::json!({ "micros": micros, "statements": statements })
        )?;
        output.flush()?;
    }
}

fn catalog_file() -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--catalog");
    arguments.nth(1)
}

fn sight(json: &[u8]) -> Result<Sight, Box<dyn Error>> {
    let catalog = Catalog::from_json(json)?;
    Ok(Sight {
        search_path: catalog.search_path.clone().into(),
        catalog: catalog.into(),
        vouched: std::sync::Arc::default(),
    })
}
