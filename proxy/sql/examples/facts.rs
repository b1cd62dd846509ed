//! Prints the facts of the statements on the command line, one JSON document each.

#![allow(clippy::print_stdout, reason = "an example that prints")]

use abeyance_sql::{ReadOptions, analyse};

fn main() {
    for sql in std::env::args().skip(1) {
        for facts in analyse(sql.as_bytes(), ReadOptions::default()).statements {
            match serde_json::to_string(&facts) {
                Ok(line) => println!("{line}\n{}", facts.redacted),
                Err(error) => println!("{error}"),
            }
        }
    }
}
