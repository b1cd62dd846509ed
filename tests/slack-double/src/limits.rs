//! Rate limits: a bucket a method and token, and one a channel for `chat.postMessage`.
//! Slack publishes tiers "per minute"; a bucket that holds a minute's worth is the most generous reading of that.

use std::collections::HashMap;
use std::time::Duration;

/// Slack says "about one a second, short bursts allowed".
const POST_BURST: f64 = 5.0;

/// The limit of a method.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tier {
    /// Calls a minute.
    PerMinute(u32),
    /// One a second and channel.
    PerChannel,
}

pub(crate) fn tier(method: &str) -> Tier {
    match method {
        "chat.postMessage" => Tier::PerChannel,
        // Tier 1 says "1+"; reconnecting clients are given some room.
        "apps.connections.open" => Tier::PerMinute(10),
        "usergroups.list" | "usergroups.users.list" | "usergroups.users.update" => {
            Tier::PerMinute(20)
        }
        "chat.postEphemeral" | "views.open" | "views.update" | "views.push" | "users.info" => {
            Tier::PerMinute(100)
        }
        "auth.test" => Tier::PerMinute(300),
        _ => Tier::PerMinute(50),
    }
}

#[derive(Debug, Default)]
pub(crate) struct Limiter {
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Duration,
}

impl Limiter {
    /// Takes one call, or says after how many seconds to come again.
    pub(crate) fn take(
        &mut self,
        token: &str,
        method: &str,
        channel: &str,
        now: Duration,
    ) -> Result<(), u64> {
        let (key, capacity, per_second) = match tier(method) {
            Tier::PerMinute(calls) => (
                format!("{token} {method}"),
                f64::from(calls),
                f64::from(calls) / 60.0,
            ),
            Tier::PerChannel => (format!("{token} {method} {channel}"), POST_BURST, 1.0),
        };
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            left: capacity,
            filled: now,
        });
        let passed = now.saturating_sub(bucket.filled).as_secs_f64();
        bucket.left = (bucket.left + passed * per_second).min(capacity);
        bucket.filled = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let wait = Duration::from_secs_f64((1.0 - bucket.left) / per_second);
        Err(wait.as_secs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_a_second_and_channel_after_the_burst() {
        let mut limiter = Limiter::default();
        let mut take = |channel, secs| {
            limiter.take("t", "chat.postMessage", channel, Duration::from_secs(secs))
        };
        for _ in 0..5 {
            assert_eq!(take("a", 100), Ok(()));
        }
        assert_eq!(take("a", 100), Err(2));
        assert_eq!(take("b", 100), Ok(()));
        assert_eq!(take("a", 101), Ok(()));
        assert_eq!(take("a", 101), Err(2));
    }

    #[test]
    fn tiers_are_per_method() {
        let mut limiter = Limiter::default();
        let now = Duration::from_secs(100);
        for _ in 0..20 {
            assert_eq!(limiter.take("t", "usergroups.list", "", now), Ok(()));
        }
        assert!(limiter.take("t", "usergroups.list", "", now).is_err());
        assert_eq!(limiter.take("t", "users.info", "", now), Ok(()));
    }
}
