//! The approver over HTTP: the API for proxies and bots on other machines, the console for
//! people, health for machines that watch.

mod auth;
mod body;
mod cards;
mod grants;
mod holds;
mod misfit;
mod oncall;
mod params;
mod record;
mod reply;
mod unsaid;
mod wish;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, StatusCode, header},
    routing::{get, post},
};
use serde::Deserialize;
use tokio::time::Instant;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer, timeout::TimeoutLayer,
};

pub(crate) use auth::Tokens;

use crate::{Approver, limits};

/// Long polls add this to what they were asked to wait.
const POLL_MARGIN: Duration = Duration::from_secs(10);

impl Approver {
    /// Everything the approver answers over HTTP.
    pub fn router(&self) -> Router {
        let health = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .layer(within(limits::HTTP_TIMEOUT))
            .with_state(self.clone());
        health
            .nest("/api/v1", self.api())
            .merge(crate::console::router(self.clone()))
            .layer(CatchPanicLayer::new())
    }

    fn api(&self) -> Router {
        let calls = Router::new()
            .route("/holds", post(holds::open).get(holds::list))
            .route("/holds/{id}", get(holds::view))
            .route("/holds/{id}/claim", post(holds::claim))
            .route("/holds/{id}/withdraw", post(holds::withdraw))
            .route("/holds/{id}/outcome", post(holds::report))
            .route("/holds/{id}/decision", post(holds::decide))
            .route("/openings/withdraw", post(holds::opening_withdraw))
            .route("/holds/decision", post(grants::decide))
            .route("/grants", get(grants::list))
            .route("/grants/{id}/revoke", post(grants::revoke))
            .route("/statements", post(holds::record))
            .route("/holds/{id}/look", post(holds::look))
            .route("/oncall/overrides", get(oncall::list).post(oncall::add))
            .route("/oncall/overrides/{id}/remove", post(oncall::remove))
            .route("/oncall/shifts", post(record::shifts))
            .route("/oncall/stand-ins", post(record::stand_in))
            .route("/oncall/swaps", post(record::swap))
            .route("/record/person", post(record::person))
            .route("/record/search", post(record::search))
            .route("/record/holds/{id}", post(record::history))
            .route("/holds/{id}/alike", get(record::alike))
            .route("/me", get(oncall::me))
            .route("/notices/due", post(cards::notices_due))
            .route("/notices/begin", post(cards::notice_begin))
            .route("/notices/delivered", post(cards::notice_delivered))
            .route("/notices/failed", post(cards::notice_failed))
            .route("/proxies/alive", post(holds::alive))
            .route("/cards/due", post(cards::due))
            .route("/cards/begin", post(cards::begin))
            .route("/cards/delivered", post(cards::delivered))
            .route("/cards/failed", post(cards::failed))
            .layer(within(limits::HTTP_TIMEOUT));
        let polls = Router::new()
            .route("/holds/{id}/resolution", get(holds::wait))
            .route("/cards/changed", get(cards::changed))
            .layer(within(limits::POLL_MAX + POLL_MARGIN));
        let headers = ServiceBuilder::new()
            .layer(header_layer(header::CACHE_CONTROL, "no-store"))
            .layer(header_layer(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(DefaultBodyLimit::max(limits::API_BODY_MAX));
        calls
            .merge(polls)
            .fallback(reply::no_such_call)
            .layer(headers)
            .with_state(self.clone())
    }
}

pub(crate) fn within(timeout: Duration) -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout)
}

pub(crate) fn header_layer(
    name: header::HeaderName,
    value: &'static str,
) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// How long a poll may wait.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PollQuery {
    #[serde(default)]
    wait_ms: u64,
}

impl PollQuery {
    fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms).min(limits::POLL_MAX)
    }
}

/// Whether the store takes writes: without it nothing may run. Asked by anybody, so the store is
/// tried at most once in a while.
async fn ready(State(approver): State<Approver>) -> (StatusCode, String) {
    let mut last = approver.0.readiness.lock().await;
    let fresh = last
        .as_ref()
        .filter(|(at, _)| at.elapsed() < limits::READY_FOR)
        .map(|(_, answer)| answer.clone());
    let answer = match fresh {
        Some(answer) => answer,
        None => {
            let answer = approver.0.store.probe().await;
            *last = Some((Instant::now(), answer.clone()));
            answer
        }
    };
    match answer {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}
