//! Open files: a session takes two, and the usual soft limit of 1024 ends at about 500 of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files a session keeps open: the client's socket and the target's.
const PER_SESSION: u64 = 2;
/// Everything else: listeners, the store, chat, the console's visitors.
const OTHERS: u64 = 512;

/// Raises the soft limit towards the hard one as far as `sessions_max` needs, and says so when
/// that is not enough.
pub fn allow_for(sessions_max: usize) {
    let wanted = (sessions_max as u64)
        .saturating_mul(PER_SESSION)
        .saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (
        limit.current.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    );
    if soft >= wanted {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted.min(hard)),
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted.min(hard),
        Err(_) => soft,
    };
    if now < wanted {
        tracing::info!(
            files = now,
            sessions = now.saturating_sub(OTHERS) / PER_SESSION,
            connections_max = sessions_max,
            "the limit of open files allows fewer sessions than connections_max; LimitNOFILE raises it"
        );
    }
}
