//! What judging costs, by twenty rules with conditions: `cargo run --release -p abeyance-policy --example cost`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "prints figures, or says why it cannot"
)]

use std::{hint::black_box, time::Instant};

use abeyance_policy::{Context, Decision, Matcher, Rule, RuleSet, evaluate};
use abeyance_sql::{ReadOptions, analyse};

const CONDITIONS: [&str; 5] = [
    "statement.kind == \"DELETE\" && blast.rows > 100",
    "statement.one_row && size(statement.cascades) == 0",
    "tables.exists(t, t.name == \"patients\" && t.access == \"write\")",
    "statement.functions.exists(f, f in [\"pg_sleep\", \"dblink\"])",
    "agent.name == \"other\" || target.environment == \"staging\"",
];
const STATEMENTS: [&str; 2] = [
    "SELECT abalance FROM pgbench_accounts WHERE aid = 1",
    "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = 1",
];
const ROUNDS: u32 = 20_000;

fn main() {
    let conditions = CONDITIONS.iter().cycle().take(20).enumerate();
    let rules = conditions.map(|(number, condition)| {
        let hold = Decision::Hold {
            route: "dba".to_owned(),
        };
        Rule {
            when: Some(format!("{condition} && agent.name != \"n{number}\"")),
            ..Rule::new(format!("r{number}"), Matcher::default(), hold)
        }
    });
    let rules = RuleSet::new(rules.collect(), Decision::Allow).unwrap();
    for sql in STATEMENTS {
        let facts = analyse(sql.as_bytes(), ReadOptions::default())
            .statements
            .remove(0);
        let context = Context {
            environment: Some("production"),
            ..Context::new("bot", "clinic")
        };
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(evaluate(&rules, black_box(&facts), context));
        }
        println!("{:?} for each statement: {sql}", started.elapsed() / ROUNDS);
    }
}
