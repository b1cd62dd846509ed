//! Pages, style and script, embedded in the binary.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::Approver;

const STYLE: &str = include_str!("../../../../templates/console/console.css");
const SCRIPT: &str = include_str!("../../../../templates/console/console.js");
const ICON: &str = include_str!("../../../../templates/console/icon.svg");

const TEMPLATES: [(&str, &str); 10] = [
    (
        "base.html",
        include_str!("../../../../templates/console/base.html"),
    ),
    (
        "bounce.html",
        include_str!("../../../../templates/console/bounce.html"),
    ),
    (
        "grants.html",
        include_str!("../../../../templates/console/grants.html"),
    ),
    (
        "oncall.html",
        include_str!("../../../../templates/console/oncall.html"),
    ),
    (
        "history.html",
        include_str!("../../../../templates/console/history.html"),
    ),
    (
        "hold.html",
        include_str!("../../../../templates/console/hold.html"),
    ),
    (
        "login.html",
        include_str!("../../../../templates/console/login.html"),
    ),
    (
        "message.html",
        include_str!("../../../../templates/console/message.html"),
    ),
    (
        "parts.html",
        include_str!("../../../../templates/console/parts.html"),
    ),
    (
        "waiting.html",
        include_str!("../../../../templates/console/waiting.html"),
    ),
];

/// The pages. Everything put into them is escaped; a missing value is an error.
#[derive(Debug)]
pub(crate) struct Pages(Environment<'static>);

impl Pages {
    /// A page that cannot be read is found at start, never by a reviewer.
    pub(crate) fn new() -> Result<Self, minijinja::Error> {
        let mut pages = Environment::new();
        pages.set_undefined_behavior(UndefinedBehavior::Strict);
        pages.set_trim_blocks(true);
        pages.set_lstrip_blocks(true);
        for (name, source) in TEMPLATES {
            pages.add_template(name, source)?;
        }
        pages.add_global("assets", ASSETS_VERSION.as_str());
        Ok(Self(pages))
    }

    pub(super) fn render(
        &self,
        status: StatusCode,
        name: &str,
        values: impl Serialize,
    ) -> Response {
        let page = self
            .0
            .get_template(name)
            .and_then(|template| template.render(values));
        match page {
            Ok(page) => (status, Html(page)).into_response(),
            Err(error) => {
                tracing::error!(%error, page = name, "a console page could not be made");
                let text = "This page could not be made. The approver's log says why.\n";
                (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
            }
        }
    }
}

/// Changes with the assets, so that browsers may keep them for ever.
static ASSETS_VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new()
        .chain_update(STYLE)
        .chain_update(SCRIPT)
        .chain_update(ICON)
        .finalize();
    hex::encode(digest).chars().take(12).collect()
});

pub(super) fn router() -> Router<Approver> {
    Router::new()
        .route(
            "/static/console.css",
            get(|| async { asset("text/css; charset=utf-8", STYLE) }),
        )
        .route(
            "/static/console.js",
            get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }),
        )
        .route(
            "/static/icon.svg",
            get(|| async { asset("image/svg+xml", ICON) }),
        )
        .route(
            "/favicon.ico",
            get(|| async { asset("image/svg+xml", ICON) }),
        )
}

fn asset(kind: &'static str, body: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, body)
}
