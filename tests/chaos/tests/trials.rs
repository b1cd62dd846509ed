//! Faults at random moments of random work: nothing runs unapproved or twice, no decision is lost, nobody waits for ever.

use abeyance_chaos::{Settings, run};

/// Enough for every pair of faults to meet; `make chaos N=...` runs more.
const TRIALS: u64 = 500;

#[tokio::test(flavor = "multi_thread")]
async fn no_trial_breaks_a_promise() {
    let seed = match std::env::var("CHAOS_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    };
    println!("seed {seed}");
    let settings = Settings {
        trials: TRIALS,
        seed,
        stacks: 8,
    };
    let report = run(settings).await.unwrap();
    println!("{report}");
    assert!(report.violations.is_empty(), "seed {seed}: {report}");
}
