//! The page at `/`: channels and messages as a chat shows them. Everything it does goes through `/_test/...`.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::SlackDouble;

pub(crate) fn router() -> Router<SlackDouble> {
    const HTML: &str = "text/html; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    const STYLE: &str = "text/css; charset=utf-8";
    Router::new()
        .route(
            "/",
            get(async || file(HTML, include_str!("page/index.html"))),
        )
        .route(
            "/page.css",
            get(async || file(STYLE, include_str!("page/page.css"))),
        )
        .route(
            "/page.js",
            get(async || file(SCRIPT, include_str!("page/page.js"))),
        )
        .route(
            "/blocks.js",
            get(async || file(SCRIPT, include_str!("page/blocks.js"))),
        )
        .route(
            "/mrkdwn.js",
            get(async || file(SCRIPT, include_str!("page/mrkdwn.js"))),
        )
        .route(
            "/emoji.js",
            get(async || file(SCRIPT, include_str!("page/emoji.js"))),
        )
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")],
        text,
    )
}
