//! `abeyance-chaos --trials N --seed S`: prints the report; exit code 1 when a promise was broken.

#![allow(clippy::print_stdout, reason = "a command that reports")]

use std::process::ExitCode;

use abeyance_chaos::{Settings, run};
use anyhow::Result;
use clap::Parser;

/// Random faults against a whole installation.
#[derive(Debug, Parser)]
struct Args {
    /// How many trials.
    #[arg(long, default_value_t = 500)]
    trials: u64,
    /// The seed of the first; random when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Installations at once.
    #[arg(long, default_value_t = 6)]
    stacks: usize,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let report = run(Settings {
        trials: args.trials,
        seed,
        stacks: args.stacks,
    })
    .await?;
    println!("{report}");
    Ok(ExitCode::from(u8::from(!report.violations.is_empty())))
}
