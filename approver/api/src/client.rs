//! The approver over HTTP.
//!
//! Every call is bounded in time. A call whose answer was lost is repeated under the id of its
//! first try, so that the approver finds what it did then: no second hold, no second permit. An opening that
//! gets no answer at all is taken back under that id. A vote is repeated only when it certainly did not arrive. Whatever cannot be cleared up is
//! [`DeskError::Unavailable`], and nothing runs (invariant 4).

mod alive;
mod calls;
mod openings;
mod transport;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use reqwest::{Certificate, Identity, Url, redirect};
use secrecy::SecretString;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::DeskError;

/// Every bound of the client, in one place.
pub mod limits {
    use std::time::Duration;

    /// Time to reach the approver.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// Time for one try of a call.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
    /// Tries of one call, and at least two at each address.
    pub const TRIES: u32 = 4;
    /// The pause before the second try; doubles with each further one.
    pub const RETRY_PAUSE: Duration = Duration::from_millis(100);
    /// What one long poll asks the approver to wait.
    pub const POLL: Duration = Duration::from_secs(25);
    /// What a long poll may take beyond that.
    pub const POLL_MARGIN: Duration = Duration::from_secs(10);
    /// How long a waiter puts up with an approver that does not answer.
    pub const AWAY_MAX: Duration = Duration::from_secs(60);
    /// The pause between two signs of life until the approver has said how often it wants one.
    pub const BEAT: Duration = Duration::from_secs(5);
    /// The bounds of that pause.
    pub const BEAT_MIN: Duration = Duration::from_millis(100);
    pub const BEAT_MAX: Duration = Duration::from_secs(60);
    /// The longest pause between two tries of a waiter.
    pub const AWAY_PAUSE_MAX: Duration = Duration::from_secs(3);
    /// The largest answer that is read.
    pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
    /// Openings in doubt that are remembered until an approver has taken them back.
    pub const DOUBTED_MAX: usize = 1024;
    /// How long one is tried to be taken back: by then the approver has ended the hold by time.
    pub const DOUBTED_FOR: Duration = Duration::from_secs(15 * 60);
    /// How long an unused connection is kept.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
}

/// Where the approver is and how to get in.
#[derive(Debug, Clone)]
pub struct HttpDeskConfig {
    /// `https://approver.internal:8443`, or `http://` to a loopback address. Several: approvers on one store; one that
    /// cannot be reached is left for the next.
    pub urls: Vec<String>,
    pub token: SecretString,
    /// Trust certificates of this CA instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// This machine's own certificate and key in one PEM file, when the approver asks for one.
    pub client_identity_pem: Option<Vec<u8>>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpDeskError {
    #[error("approver url {url} cannot be used: {why}")]
    Url { url: String, why: &'static str },
    #[error("no approver url is given")]
    NoUrl,
    #[error("the approver's CA file holds no usable certificate; it must be PEM")]
    Ca,
    #[error("the client certificate file must hold a certificate and its key, as PEM")]
    Identity,
    #[error("no HTTP client: {0}")]
    Client(reqwest::Error),
}

/// The three desks over HTTP. Clones share their connections.
///
/// Needs the process's default rustls provider (`ring`) for `https`.
#[derive(Clone)]
pub struct HttpDesk(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    bases: Vec<Url>,
    /// Counts on whenever an address did not answer; which one is used follows from it.
    turn: AtomicUsize,
    /// As whom this process opens holds and keeps a lease.
    proxy: Uuid,
    beating: AtomicBool,
    token: SecretString,
    doubted: openings::Doubted,
    /// Claims that go on when their caller has gone.
    tasks: TaskTracker,
}

impl fmt::Debug for HttpDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDesk")
            .field("urls", &self.0.bases)
            .finish_non_exhaustive()
    }
}

impl HttpDesk {
    /// Prepares the client; connects only when called.
    ///
    /// # Errors
    /// [`HttpDeskError`] says which value cannot be used.
    pub fn new(config: HttpDeskConfig) -> Result<Self, HttpDeskError> {
        let bases = config.urls.iter().map(|url| base_url(url));
        let bases: Vec<Url> = bases.collect::<Result<_, _>>()?;
        if bases.is_empty() {
            return Err(HttpDeskError::NoUrl);
        }
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .pool_idle_timeout(limits::IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .user_agent(concat!("abeyance/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &config.ca_pem {
            let authorities = Certificate::from_pem_bundle(pem).map_err(|_| HttpDeskError::Ca)?;
            if authorities.is_empty() {
                return Err(HttpDeskError::Ca);
            }
            builder = builder.tls_built_in_root_certs(false);
            for authority in authorities {
                builder = builder.add_root_certificate(authority);
            }
        }
        if let Some(pem) = &config.client_identity_pem {
            let identity = Identity::from_pem(pem).map_err(|_| HttpDeskError::Identity)?;
            builder = builder.identity(identity);
        }
        Ok(Self(Arc::new(Inner {
            client: builder.build().map_err(HttpDeskError::Client)?,
            bases,
            turn: AtomicUsize::new(0),
            proxy: Uuid::new_v4(),
            beating: AtomicBool::new(false),
            token: config.token,
            doubted: openings::Doubted::default(),
            tasks: TaskTracker::new(),
        })))
    }
}

/// The token travels in every request: in the clear it may go to this machine alone.
fn base_url(text: &str) -> Result<Url, HttpDeskError> {
    let refuse = |why| HttpDeskError::Url {
        url: text.to_owned(),
        why,
    };
    let schemes = "it must begin with https://, or http:// on this machine";
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| refuse(schemes))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it holds a password; use the token"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has a query or a fragment"));
    }
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if is_loopback(host) => Ok(url),
        ("http", Some(_)) => Err(refuse(
            "plain http would send the token in the clear; use https",
        )),
        _ => Err(refuse(schemes)),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// How a failed call ends for its caller.
fn unavailable(detail: impl Into<String>) -> DeskError {
    DeskError::Unavailable {
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_never_leaves_the_machine_in_the_clear() {
        for good in [
            "https://approver.internal:8443",
            "http://127.0.0.1:8080/",
            "http://[::1]:80",
        ] {
            assert!(base_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://approver.internal",
            "ftp://127.0.0.1",
            "approver:8443",
            "https://user:secret@approver",
            "https://approver/?a=b",
            "",
        ] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
        // Told what to write, whatever a parser makes of what was forgotten.
        for bare in ["approver:8443", "127.0.0.1:8080", ""] {
            let told = base_url(bare).unwrap_err().to_string();
            assert!(told.contains("must begin with https://"), "{told}");
        }
    }
}
