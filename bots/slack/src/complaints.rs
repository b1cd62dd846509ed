//! Says the same thing to the log at most once a minute.

use std::{collections::HashMap, sync::Mutex};

use tokio::time::Instant;

use crate::{CallError, limits};

#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<HashMap<String, Instant>>);

impl Complaints {
    /// Logs why a call did not work. An ERROR means that a person must do something; what
    /// mends itself is a WARN.
    pub fn call_failed(&self, error: &CallError, channel: Option<&str>) {
        let topic = format!("{} {}", error.topic(), channel.unwrap_or_default());
        if !self.fresh(topic) {
            return;
        }
        let channel = channel.unwrap_or("-");
        if error.needs_a_person() {
            tracing::error!(channel, "{error}");
        } else {
            tracing::warn!(channel, "{error}");
        }
    }

    /// Whether the topic was not mentioned lately. Notes that it now was.
    pub fn fresh(&self, topic: String) -> bool {
        let now = Instant::now();
        let mut said = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if said
            .get(&topic)
            .is_some_and(|at| now - *at < limits::COMPLAIN_EVERY)
        {
            return false;
        }
        if said.len() >= limits::COMPLAINTS_MAX {
            said.retain(|_, at| now - *at < limits::COMPLAIN_EVERY);
        }
        if said.len() < limits::COMPLAINTS_MAX {
            said.insert(topic, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn repeats_itself_only_after_a_minute_and_remembers_a_bounded_number() {
        let complaints = Complaints::default();
        assert!(complaints.fresh("a".to_owned()));
        assert!(!complaints.fresh("a".to_owned()));
        assert!(complaints.fresh("b".to_owned()));
        tokio::time::advance(limits::COMPLAIN_EVERY).await;
        assert!(complaints.fresh("a".to_owned()));
        for n in 0..10_000 {
            complaints.fresh(n.to_string());
        }
        assert!(complaints.0.lock().unwrap().len() <= limits::COMPLAINTS_MAX);
    }
}
