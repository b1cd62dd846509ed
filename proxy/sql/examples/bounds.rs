//! What the costliest texts cost: `cargo run --release -p abeyance-sql --example bounds [-- --catalog FILE] [NAME..]`.
//!
//! For each shape: the largest text under the default cap, and the largest that is still read, with the processor time that
//! analysis takes on the thread that does it. Exit code 1 when one takes longer than the promise.

#![allow(clippy::print_stdout, reason = "an example that prints a table")]

#[path = "../tests/hostile/mod.rs"]
mod hostile;

use std::{error::Error, process::ExitCode, time::Duration};

use abeyance_sql::{Analysis, Catalog, OpaqueReason, ReadOptions, Sight, analyse};
use hostile::{SHAPES, Shape};
use rustix::time::{ClockId, clock_gettime};

/// What no text may take.
const PROMISE: Duration = Duration::from_millis(50);
const CAP: usize = 1024 * 1024;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (options, names) = arguments()?;
    println!(
        "{:<50} {:>8} {:>8}  {:>8} {:>8}  ending",
        "shape", "bytes", "ms", "n read", "ms"
    );
    let mut worst = Duration::ZERO;
    let wanted =
        |shape: &&Shape| names.is_empty() || names.iter().any(|name| shape.name.contains(name));
    for shape in SHAPES.iter().filter(wanted) {
        let (most, text) = shape.filling(CAP);
        let (full, analysis) = measured(&text, &options);
        let ending = ending(&analysis);
        let read = largest_read(shape, most, &options);
        let (at_bound, _) = measured(&(shape.make)(read), &options);
        worst = worst.max(full).max(at_bound);
        let over = if full.max(at_bound) > PROMISE {
            "  OVER"
        } else {
            ""
        };
        println!(
            "{:<50} {:>8} {:>8.2}  {read:>8} {:>8.2}  {ending}{over}",
            shape.name,
            text.len(),
            millis(full),
            millis(at_bound)
        );
    }
    println!("worst: {:.2} ms", millis(worst));
    Ok(if worst > PROMISE {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn arguments() -> Result<(ReadOptions, Vec<String>), Box<dyn Error>> {
    let mut options = ReadOptions::default();
    let mut names = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--catalog" {
            let catalog =
                Catalog::from_json(&std::fs::read(arguments.next().unwrap_or_default())?)?;
            options.sight = Some(Sight {
                search_path: catalog.search_path.clone().into(),
                catalog: catalog.into(),
                vouched: std::sync::Arc::default(),
            });
        } else {
            names.push(argument);
        }
    }
    Ok((options, names))
}

/// Processor time of the whole process: nothing else runs in it. The least of three.
fn measured(text: &str, options: &ReadOptions) -> (Duration, Analysis) {
    let mut best = Duration::MAX;
    let mut last = Analysis {
        statements: Vec::new(),
    };
    for _ in 0..3 {
        let options = options.clone();
        let started = processor_time();
        last = analyse(text.as_bytes(), options);
        best = best.min(processor_time() - started);
    }
    (best, last)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}

/// The largest `n` up to `most` that is not over a bound.
fn largest_read(shape: &Shape, most: usize, options: &ReadOptions) -> usize {
    let is_read =
        |n: usize| !is_over_a_bound(&analyse((shape.make)(n).as_bytes(), options.clone()));
    let (mut read, mut refused) = (0, most + 1);
    // To one part in a hundred: the cost hardly differs.
    while refused - read > 1 + refused / 100 {
        let n = usize::midpoint(read, refused);
        if is_read(n) {
            read = n;
        } else {
            refused = n;
        }
    }
    read
}

fn is_over_a_bound(analysis: &Analysis) -> bool {
    let first = analysis
        .statements
        .first()
        .and_then(|facts| facts.opaque.as_ref());
    matches!(first, Some(OpaqueReason::TooLarge { .. }))
}

fn ending(analysis: &Analysis) -> String {
    let first = analysis
        .statements
        .first()
        .and_then(|facts| facts.opaque.as_ref());
    first.map_or_else(|| "read".to_owned(), ToString::to_string)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
