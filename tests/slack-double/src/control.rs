//! `/_test/...`: the controls of [`SlackDouble`] for drivers that are not Rust, and for the page.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;

use crate::blocks::{self, Refusal};
use crate::config::{Interactivity, Rates};
use crate::forge::Forgery;
use crate::model::{DisconnectReason, Fault};
use crate::{SlackDouble, page};

pub(crate) fn router(double: SlackDouble) -> Router {
    Router::new()
        .route(
            "/_test/info",
            get(async |State(double): Handle| Json(double.info())),
        )
        .route("/_test/messages", get(messages))
        .route("/_test/message", get(message))
        .route("/_test/ephemerals", get(ephemerals))
        .route("/_test/views", get(views))
        .route(
            "/_test/requests",
            get(async |State(double): Handle| Json(double.requests())),
        )
        .route(
            "/_test/deliveries",
            get(async |State(double): Handle| Json(double.deliveries())),
        )
        .route(
            "/_test/sockets",
            get(async |State(double): Handle| Json(double.sockets())),
        )
        .route("/_test/wait_message", get(wait_message))
        .route("/_test/events", get(events))
        .route("/_test/click", post(click))
        .route("/_test/submit_view", post(submit_view))
        .route("/_test/close_view", post(close_view))
        .route("/_test/command", post(command))
        .route("/_test/say", post(say))
        .route("/_test/event", post(event))
        .route("/_test/forge", post(forge))
        .route("/_test/fault", post(fault).delete(clear_faults))
        .route("/_test/refuse_connections", post(refuse_connections))
        .route("/_test/interactivity", post(interactivity))
        .route("/_test/rates", post(rates))
        .route("/_test/advance_expiry", post(advance_expiry))
        .route("/_test/sockets/disconnect", post(disconnect))
        .route("/_test/sockets/cut", post(cut))
        .route("/_test/reset", post(reset))
        .route("/_test/validate", post(validate))
        .merge(page::router())
        .with_state(double)
}

type Handle = State<SlackDouble>;

/// 400 with what is wrong.
struct Wrong(anyhow::Error);

impl From<anyhow::Error> for Wrong {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": format!("{:#}", self.0)})),
        )
            .into_response()
    }
}

type Answer<T> = Result<Json<T>, Wrong>;

fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    channel: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    ts: String,
    #[serde(default)]
    contains: String,
    timeout_ms: Option<u64>,
}

async fn messages(State(double): Handle, Query(wanted): Query<Wanted>) -> impl IntoResponse {
    Json(double.messages(&wanted.channel))
}

async fn message(State(double): Handle, Query(wanted): Query<Wanted>) -> Response {
    match double.message(&wanted.channel, &wanted.ts) {
        Some(message) => Json(message).into_response(),
        None => (
            StatusCode::NOT_FOUND,
            Json(json!({"error": "there is no such message"})),
        )
            .into_response(),
    }
}

async fn ephemerals(State(double): Handle, Query(wanted): Query<Wanted>) -> impl IntoResponse {
    Json(double.ephemerals(&wanted.channel, &wanted.user))
}

async fn views(State(double): Handle, Query(wanted): Query<Wanted>) -> impl IntoResponse {
    Json(double.views(&wanted.user))
}

async fn wait_message(State(double): Handle, Query(wanted): Query<Wanted>) -> Response {
    let limit = Duration::from_millis(wanted.timeout_ms.unwrap_or(10_000));
    let found = double
        .wait_for_message(&wanted.channel, limit, |message| {
            message.all_text().contains(&wanted.contains)
        })
        .await;
    match found {
        Ok(message) => Json(message).into_response(),
        Err(error) => (
            StatusCode::REQUEST_TIMEOUT,
            Json(json!({"error": format!("{error:#}")})),
        )
            .into_response(),
    }
}

async fn events(State(double): Handle) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = WatchStream::new(double.changes());
    let stream = changes
        .map(|count| Ok(Event::default().event("changed").data(count.to_string())))
        .take_until(double.stopped());
    Sse::new(stream).keep_alive(KeepAlive::default())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Click {
    user: String,
    channel: String,
    ts: String,
    action_id: String,
    option: Option<String>,
}

async fn click(State(double): Handle, Json(wish): Json<Click>) -> Answer<impl Serialize> {
    let delivery = match wish.option {
        None => {
            double
                .click(&wish.user, &wish.channel, &wish.ts, &wish.action_id)
                .await?
        }
        Some(option) => {
            double
                .choose(
                    &wish.user,
                    &wish.channel,
                    &wish.ts,
                    &wish.action_id,
                    &option,
                )
                .await?
        }
    };
    Ok(Json(delivery))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfView {
    user: String,
    view_id: String,
    #[serde(default)]
    values: Value,
}

async fn submit_view(State(double): Handle, Json(wish): Json<OfView>) -> Answer<impl Serialize> {
    Ok(Json(
        double
            .submit_view(&wish.user, &wish.view_id, wish.values)
            .await?,
    ))
}

async fn close_view(State(double): Handle, Json(wish): Json<OfView>) -> Answer<impl Serialize> {
    Ok(Json(double.close_view(&wish.user, &wish.view_id).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    user: String,
    channel: String,
    command: String,
    #[serde(default)]
    text: String,
}

async fn command(State(double): Handle, Json(wish): Json<Command>) -> Answer<impl Serialize> {
    let delivery = double
        .slash_command(&wish.user, &wish.channel, &wish.command, &wish.text)
        .await?;
    Ok(Json(delivery))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    user: String,
    channel: String,
    text: String,
}

async fn say(State(double): Handle, Json(wish): Json<Say>) -> Answer<impl Serialize> {
    Ok(Json(double.say(&wish.user, &wish.channel, &wish.text)?))
}

async fn event(State(double): Handle, Json(event): Json<Value>) -> impl IntoResponse {
    Json(double.event(event).await)
}

async fn forge(State(double): Handle, Json(forgery): Json<Forgery>) -> Answer<impl Serialize> {
    Ok(Json(double.forge(forgery).await?))
}

async fn fault(State(double): Handle, Json(fault): Json<Fault>) -> impl IntoResponse {
    double.fault(fault);
    done()
}

async fn clear_faults(State(double): Handle) -> impl IntoResponse {
    double.clear_faults();
    done()
}

#[derive(Debug, Deserialize)]
struct Millis {
    ms: u64,
}

/// Answers first: the connection this came by is refused too.
async fn refuse_connections(State(double): Handle, Json(wish): Json<Millis>) -> impl IntoResponse {
    double.refuse_connections_later(Duration::from_millis(20), Duration::from_millis(wish.ms));
    done()
}

async fn interactivity(
    State(double): Handle,
    Json(setting): Json<Interactivity>,
) -> impl IntoResponse {
    double.set_interactivity(setting);
    done()
}

#[derive(Debug, Deserialize)]
struct RatesWish {
    rates: Rates,
}

async fn rates(State(double): Handle, Json(wish): Json<RatesWish>) -> impl IntoResponse {
    double.set_rates(wish.rates);
    done()
}

#[derive(Debug, Deserialize)]
struct Seconds {
    seconds: u64,
}

async fn advance_expiry(State(double): Handle, Json(wish): Json<Seconds>) -> impl IntoResponse {
    double.advance_expiry(Duration::from_secs(wish.seconds));
    done()
}

#[derive(Debug, Deserialize)]
struct Reason {
    reason: DisconnectReason,
}

async fn disconnect(State(double): Handle, Json(wish): Json<Reason>) -> impl IntoResponse {
    double.socket_disconnect(wish.reason);
    done()
}

#[derive(Debug, Deserialize)]
struct Cut {
    id: Option<u64>,
}

async fn cut(State(double): Handle, Json(wish): Json<Cut>) -> impl IntoResponse {
    double.socket_cut(wish.id);
    done()
}

async fn reset(State(double): Handle) -> impl IntoResponse {
    double.reset();
    done()
}

/// What the double thinks of blocks or a view, without posting them.
async fn validate(Json(wish): Json<Value>) -> impl IntoResponse {
    let checked = match wish.get("view") {
        Some(view) => blocks::check_view(view),
        None => blocks::check_message(&wish["blocks"]),
    };
    let errors = match checked {
        Ok(()) => Vec::new(),
        Err(Refusal::Format) => vec!["not an array of objects".to_owned()],
        Err(Refusal::TooLong) => vec!["too long as a whole".to_owned()],
        Err(Refusal::Invalid(errors)) => errors,
    };
    Json(json!({"ok": errors.is_empty(), "errors": errors}))
}
