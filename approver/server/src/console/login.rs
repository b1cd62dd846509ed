//! Log-in with a person's token. The token itself is kept nowhere: its hash is in the configuration.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    Extension, Form,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use minijinja::context;
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    guard::{self, SameOrigin},
    session::{LoggedIn, set_cookie},
};
use crate::{Approver, Peer, config::TokenHash};

#[derive(Debug, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

pub(super) async fn form(State(app): State<Approver>, Query(query): Query<Next>) -> Response {
    page(&app, StatusCode::OK, &query.next, None)
}

#[derive(Deserialize)]
pub(super) struct LoginForm {
    token: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn submit(
    _: SameOrigin,
    State(app): State<Approver>,
    peer: Option<Extension<Peer>>,
    Form(form): Form<LoginForm>,
) -> Response {
    let from = peer.map_or(
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        |Extension(Peer(peer))| peer.ip(),
    );
    let now = app.0.clock.now();
    if app.0.sessions.must_wait(from, now) {
        let text = "Too many failed log-ins from this address. Wait a minute, then try again.";
        return page(&app, StatusCode::TOO_MANY_REQUESTS, &form.next, Some(text));
    }
    let presented = SecretString::from(form.token.trim());
    let roster = app.roster();
    let Some(person) = roster.person_by_token(&TokenHash::of(&presented)) else {
        app.0.sessions.failed(from, now);
        tracing::warn!(client.addr = %from, "a console log-in failed");
        let text = "That token is nobody's. A platform engineer can make a new one: \
                    abeyance person token <name>";
        return page(&app, StatusCode::UNAUTHORIZED, &form.next, Some(text));
    };
    let cookie = app.0.sessions.begin(&person.id, now).ok();
    let Some(cookie) = cookie.and_then(|cookie| set_cookie(&app, Some(&cookie))) else {
        let text = "No session could be made; try again.";
        return page(
            &app,
            StatusCode::SERVICE_UNAVAILABLE,
            &form.next,
            Some(text),
        );
    };
    tracing::info!(person = %person.id, client.addr = %from, "logged in to the console");
    (
        [(header::SET_COOKIE, cookie)],
        Redirect::to(local(&form.next)),
    )
        .into_response()
}

#[derive(Deserialize)]
pub(super) struct LeaveForm {
    csrf: String,
}

pub(super) async fn leave(
    _: SameOrigin,
    caller: LoggedIn,
    State(app): State<Approver>,
    Form(form): Form<LeaveForm>,
) -> Response {
    if !caller.made(&form.csrf) {
        return guard::refusal(&app);
    }
    app.0.sessions.end(&caller.cookie);
    match set_cookie(&app, None) {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response(),
        None => Redirect::to("/login").into_response(),
    }
}

fn page(app: &Approver, status: StatusCode, next: &str, error: Option<&str>) -> Response {
    let values = context! { next => local(next), error };
    app.0.pages.render(status, "login.html", values)
}

/// A path of ours; anything else leads to the list.
fn local(next: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte);
    if next.starts_with('/') && !next.starts_with("//") && next.bytes().all(plain) {
        next
    } else {
        "/holds"
    }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn log_in_leads_nowhere_else() {
        assert_eq!(local("/holds/HLD-7K3Q"), "/holds/HLD-7K3Q");
        for bad in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil",
            "/a?b",
            "holds",
        ] {
            assert_eq!(local(bad), "/holds");
        }
    }
}
