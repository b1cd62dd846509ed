//! Who is logged in. Sessions live in memory: a restart logs everybody out, and holds wait on.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use abeyance_api::PersonId;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};
use chrono::{DateTime, Utc};
use minijinja::context;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::guard;
use crate::{
    Approver,
    config::{Person, random_hex},
    limits,
};

/// Sessions by the hash of their cookie, and who failed to log in lately.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: Mutex<HashMap<[u8; 32], Session>>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone)]
struct Session {
    person: PersonId,
    csrf: String,
    begun: DateTime<Utc>,
    used: DateTime<Utc>,
}

impl Session {
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        now > self.begun + limits::SESSION_LIFE || now > self.used + limits::SESSION_IDLE
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: DateTime<Utc>,
}

impl Sessions {
    /// Begins a session; returns the cookie's value.
    pub(super) fn begin(
        &self,
        person: &PersonId,
        now: DateTime<Utc>,
    ) -> Result<String, getrandom::Error> {
        let cookie = random_hex()?;
        let session = Session {
            person: person.clone(),
            csrf: random_hex()?,
            begun: now,
            used: now,
        };
        let mut live = lock(&self.live);
        live.retain(|_, session| !session.is_over(now));
        if live.len() >= limits::SESSIONS_MAX {
            let oldest = live.iter().min_by_key(|(_, session)| session.used);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                live.remove(&key);
            }
        }
        live.insert(key(&cookie), session);
        Ok(cookie)
    }

    fn resume(&self, cookie: &str, now: DateTime<Utc>) -> Option<Session> {
        let mut live = lock(&self.live);
        let key = key(cookie);
        let session = live.get_mut(&key)?;
        if session.is_over(now) {
            live.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// Whether the session goes on, without counting as use.
    pub(super) fn is_live(&self, cookie: &str, now: DateTime<Utc>) -> bool {
        lock(&self.live)
            .get(&key(cookie))
            .is_some_and(|session| !session.is_over(now))
    }

    pub(super) fn end(&self, cookie: &str) {
        lock(&self.live).remove(&key(cookie));
    }

    /// Whether this address failed so often that it has to wait.
    pub(super) fn must_wait(&self, from: IpAddr, now: DateTime<Utc>) -> bool {
        lock(&self.failures).get(&from).is_some_and(|failures| {
            failures.count >= limits::LOGIN_FAILURES_MAX
                && now < failures.last + limits::LOGIN_PENALTY
        })
    }

    pub(super) fn failed(&self, from: IpAddr, now: DateTime<Utc>) {
        let mut failures = lock(&self.failures);
        failures.retain(|_, failures| now < failures.last + limits::LOGIN_PENALTY);
        if failures.len() >= limits::LOGIN_ADDRESSES_MAX && !failures.contains_key(&from) {
            return;
        }
        let entry = failures.entry(from).or_insert(Failures {
            count: 0,
            last: now,
        });
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
    }
}

fn key(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Proof that a request comes from a logged-in person who is in the roster now.
#[derive(Debug, Clone)]
pub(super) struct LoggedIn {
    pub(super) person: Person,
    pub(super) csrf: String,
    pub(super) cookie: String,
}

impl LoggedIn {
    /// Whether a form was made by one of this session's pages.
    pub(super) fn made(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }
}

impl FromRequestParts<Approver> for LoggedIn {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, app: &Approver) -> Result<Self, Response> {
        let cookie = cookie_of(&parts.headers, app);
        let now = app.0.clock.now();
        let logged_in = cookie.as_deref().and_then(|cookie| {
            let session = app.0.sessions.resume(cookie, now)?;
            let person = app.roster().person(&session.person)?.clone();
            Some(Self {
                person,
                csrf: session.csrf,
                cookie: cookie.to_owned(),
            })
        });
        logged_in.ok_or_else(|| send_to_login(parts, app))
    }
}

/// A strict cookie stays at home when somebody follows a link from a chat: such a request is sent
/// once more by a page of ours, and then the cookie comes along.
fn send_to_login(parts: &Parts, app: &Approver) -> Response {
    let path = parts.uri.path();
    if path == "/live" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if parts.method != axum::http::Method::GET {
        let values = context! {
            title => "Your log-in has ended",
            text => "Nothing was decided. Log in again and repeat.",
        };
        return app
            .0
            .pages
            .render(StatusCode::UNAUTHORIZED, "message.html", values);
    }
    if guard::is_cross_site(&parts.headers) {
        let values = context! { path };
        return app.0.pages.render(StatusCode::OK, "bounce.html", values);
    }
    Redirect::to(&format!("/login?next={path}")).into_response()
}

/// `__Host-` binds the cookie to this origin; browsers take it over https alone.
fn cookie_name(app: &Approver) -> &'static str {
    if guard::is_https(app) {
        "__Host-abeyance"
    } else {
        "abeyance"
    }
}

fn cookie_of(headers: &HeaderMap, app: &Approver) -> Option<String> {
    let name = cookie_name(app);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

/// The header that logs a browser in with `value`, or out with `None`.
pub(super) fn set_cookie(app: &Approver, value: Option<&str>) -> Option<HeaderValue> {
    let secure = if guard::is_https(app) { "; Secure" } else { "" };
    let life = value.map_or(0, |_| limits::SESSION_LIFE.num_seconds());
    let text = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}",
        cookie_name(app),
        value.unwrap_or_default(),
    );
    HeaderValue::from_str(&text).ok()
}
