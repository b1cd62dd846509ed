//! The approver over HTTP: health for machines that watch it.

use axum::{Router, extract::State, http::StatusCode, routing::get};

use crate::Approver;

impl Approver {
    /// Everything the approver answers over HTTP.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self.clone())
    }
}

/// Whether the store takes writes: without it nothing may run.
async fn ready(State(approver): State<Approver>) -> (StatusCode, String) {
    match approver.0.store.probe().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}
