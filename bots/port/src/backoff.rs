//! How long to wait after a failure: doubling, bounded, and spread so that many do not return at once.

use std::time::Duration;

/// `first * 2^failures`, at most `max`, then shortened by up to a quarter at random.
#[must_use]
pub fn backoff(failures: u32, first: Duration, max: Duration) -> Duration {
    let factor = 2_u32.saturating_pow(failures.min(16));
    let full = first.saturating_mul(factor).min(max);
    full - full.mul_f64(f64::from(random_byte()) / 255.0 / 4.0)
}

/// No randomness only costs the spread.
fn random_byte() -> u8 {
    let mut byte = [0_u8];
    getrandom::fill(&mut byte).map_or(128, |()| byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stays_inside_its_bounds() {
        let (first, max) = (Duration::from_secs(1), Duration::from_secs(60));
        for failures in 0..70 {
            let full = first
                .saturating_mul(2_u32.saturating_pow(failures.min(16)))
                .min(max);
            for _ in 0..50 {
                let wait = backoff(failures, first, max);
                assert!(
                    wait <= full && wait >= full.mul_f64(0.74),
                    "{failures}: {wait:?}"
                );
            }
        }
    }
}
