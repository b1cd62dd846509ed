//! Tells open pages that something changed. Pages then ask for themselves again: what
//! they show is always rendered in one place.

use std::{convert::Infallible, pin::pin, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use tokio::sync::{mpsc, watch};
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
    let (events, receiver) = mpsc::channel(1);
    // From here on no change is missed.
    let changed = app.0.signals.holds().subscribe();
    let approver = app.clone();
    app.0.tasks.spawn(async move {
        let _slot = slot;
        let stopping = Stopping::told(stopping, &approver);
        tell(&approver, &caller, changed, events, stopping).await;
    });
    Sse::new(ReceiverStream::new(receiver)).into_response()
}

/// Until the page is closed, its log-in has ended, or the approver stops.
async fn tell(
    approver: &Approver,
    caller: &LoggedIn,
    mut changed: watch::Receiver<u64>,
    events: mpsc::Sender<Result<Event, Infallible>>,
    stopping: impl Future<Output = ()>,
) {
    let mut stopping = pin!(stopping);
    loop {
        // All arms are cancel-safe.
        let event = tokio::select! {
            () = &mut stopping => break,
            () = events.closed() => break,
            _ = changed.changed() => {
                tokio::time::sleep(CALM).await;
                changed.mark_unchanged();
                // Browsers drop an event without data.
                Event::default().event("change").data("holds")
            }
            () = tokio::time::sleep(HEARTBEAT) => Event::default().comment("still here"),
        };
        let goes_on = approver
            .0
            .sessions
            .is_live(&caller.cookie, approver.0.clock.now());
        if !goes_on || events.send(Ok(event)).await.is_err() {
            break;
        }
    }
}
