//! The web console: a logged-in person looks at holds and decides. Plain pages that work without
//! scripts; one small script keeps them live.
//!
//! Knows holds only as views. What a person may do is decided by the desk, at the time of the
//! click (invariant 9); shows redacted text only (invariant 7).

mod alike;
mod assets;
mod effects;
mod grants;
mod guard;
mod live;
mod login;
mod oncall;
mod pages;
mod session;
mod sql;
mod timeline;
mod views;
mod words;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, header},
    middleware,
    routing::{get, post},
};
use tower::ServiceBuilder;

pub(crate) use assets::Pages;
pub(crate) use session::Sessions;
pub(crate) use timeline::record_lines;

use crate::{
    Approver,
    http::{header_layer, within},
    limits,
};

/// No inline script or style, nothing from elsewhere, no framing.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn router(approver: Approver) -> Router {
    let pages = Router::new()
        .route("/", get(pages::home))
        .route("/login", get(login::form).post(login::submit))
        .route("/logout", post(login::leave))
        .route("/holds", get(pages::waiting))
        .route("/history", get(pages::history))
        .route("/find", get(pages::find))
        .route("/holds/{id}", get(pages::hold))
        .route("/holds/{id}/decision", post(pages::decide).get(pages::back))
        .route("/holds/{id}/look", post(pages::look).get(pages::back))
        .route("/oncall", get(oncall::list))
        .route("/oncall/overrides", post(oncall::add))
        .route("/oncall/overrides/{id}/remove", post(oncall::remove))
        .route("/grants", get(grants::list))
        .route("/grants/{id}/revoke", post(grants::revoke))
        .layer(within(limits::HTTP_TIMEOUT));
    let streams = Router::new().route("/live", get(live::stream));
    let headers = ServiceBuilder::new()
        .layer(header_layer(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(header_layer(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_layer(header::X_FRAME_OPTIONS, "DENY"))
        .layer(header_layer(header::REFERRER_POLICY, "no-referrer"))
        .layer(header_layer(
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ))
        .layer(header_layer(header::CACHE_CONTROL, "no-store"))
        .layer(middleware::from_fn_with_state(
            approver.clone(),
            guard::strict_transport,
        ))
        .layer(DefaultBodyLimit::max(limits::FORM_BODY_MAX));
    pages
        .merge(streams)
        .merge(assets::router())
        .fallback(pages::no_such_page)
        .layer(headers)
        .with_state(approver)
}
