//! Tells open pages that something changed. Pages then ask for themselves again: what
//! they show is always rendered in one place.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::session::LoggedIn;
use crate::{Approver, serve::Stopping};

/// Several changes in a row are told once.
const CALM: Duration = Duration::from_millis(150);
/// Keeps the connection open, and notices a log-in that has ended.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) async fn stream(
    caller: LoggedIn,
    State(app): State<Approver>,
    stopping: Option<Extension<Stopping>>,
) -> Response {
    let Ok(slot) = app.0.live_slots.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (events, receiver) = mpsc::channel::<Result<Event, Infallible>>(1);
    let approver = app.clone();
    app.0.tasks.spawn(async move {
        let _slot = slot;
        let mut changed = approver.0.signals.holds().subscribe();
        // All arms are cancel-safe.
        loop {
            let event = tokio::select! {
                () = Stopping::told(stopping.clone(), &approver) => break,
                () = events.closed() => break,
                _ = changed.changed() => {
                    tokio::time::sleep(CALM).await;
                    changed.mark_unchanged();
                    // Browsers drop an event without data.
                    Event::default().event("change").data("holds")
                }
                () = tokio::time::sleep(HEARTBEAT) => Event::default().comment("still here"),
            };
            let now = approver.0.clock.now();
            if !approver.0.sessions.is_live(&caller.cookie, now)
                || events.send(Ok(event)).await.is_err()
            {
                break;
            }
        }
    });
    Sse::new(ReceiverStream::new(receiver)).into_response()
}
