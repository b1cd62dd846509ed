//! Requests that other sites made a browser send are turned away, before anything is looked at.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use minijinja::context;

use crate::Approver;

/// Proof that a form was sent from one of our own pages, as far as the browser tells.
pub(super) struct SameOrigin(());

impl FromRequestParts<Approver> for SameOrigin {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, app: &Approver) -> Result<Self, Response> {
        if is_same_origin(&parts.headers, app) {
            Ok(Self(()))
        } else {
            tracing::warn!(path = %parts.uri.path(), "a form from another site was refused");
            Err(refusal(app))
        }
    }
}

/// What a forged or outdated form gets.
pub(super) fn refusal(app: &Approver) -> Response {
    let values = context! {
        title => "Not accepted",
        text => "This form did not come from a current page of the console. Nothing was decided. \
                 Open the hold again and repeat.",
    };
    app.0
        .pages
        .render(StatusCode::FORBIDDEN, "message.html", values)
}

/// Browsers send `Sec-Fetch-Site`; older ones send `Origin` with every form. A request with neither
/// is no browser's.
fn is_same_origin(headers: &HeaderMap, app: &Approver) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text(headers, header::ORIGIN.as_str()) else {
        return false;
    };
    let host = text(headers, header::HOST.as_str()).unwrap_or_default();
    let own = app.0.console_url.as_deref().map(origin_of);
    own == Some(origin)
        || origin.strip_prefix("https://") == Some(host)
        || (!is_https(app) && origin.strip_prefix("http://") == Some(host))
}

/// Scheme and authority of a URL.
fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url
        .get(authority..)
        .and_then(|rest| rest.find('/'))
        .map_or(url.len(), |at| authority + at);
    url.get(..end).unwrap_or(url)
}

pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    text(headers, "sec-fetch-site").is_some_and(|site| matches!(site, "cross-site" | "same-site"))
}

pub(super) fn is_https(app: &Approver) -> bool {
    app.0
        .console_url
        .as_deref()
        .is_some_and(|url| url.starts_with("https://"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Over https, browsers are told to come by https alone.
pub(super) async fn strict_transport(
    State(app): State<Approver>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if is_https(&app) {
        let forever = HeaderValue::from_static("max-age=31536000");
        response
            .headers_mut()
            .insert(header::STRICT_TRANSPORT_SECURITY, forever);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn an_origin_ends_before_the_path() {
        assert_eq!(
            origin_of("https://a.example:8443/x/y"),
            "https://a.example:8443"
        );
        assert_eq!(origin_of("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }
}
