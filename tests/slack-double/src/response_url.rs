//! `response_url`: five uses in thirty minutes, without a token.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::inner::Inner;
use crate::model::{Ephemeral, Message};
use crate::web_api::{Args, Content, content};
use crate::world::{RESPONSE_URL_LIFE, RESPONSE_URL_USES, ResponseUrl, World};

pub(crate) async fn respond(
    State(inner): State<Arc<Inner>>,
    Path((kind, team, number, secret)): Path<(String, String, String, String)>,
    body: Bytes,
) -> Response {
    let key = format!("{kind}/{team}/{number}/{secret}");
    match inner.change(|world| used(world, &key, &body)) {
        Ok(()) => (StatusCode::OK, "ok").into_response(),
        Err((status, body)) => (status, Json(body)).into_response(),
    }
}

type Refused = (StatusCode, Value);

fn refuse(status: StatusCode, code: &str) -> Refused {
    (status, json!({"ok": false, "error": code}))
}

fn used(world: &mut World, key: &str, body: &[u8]) -> Result<(), Refused> {
    let now = world.expiry_now();
    let Some(url) = world.response_urls.get(key).cloned() else {
        return Err(refuse(StatusCode::NOT_FOUND, "invalid_url"));
    };
    if now.saturating_sub(url.made) > RESPONSE_URL_LIFE {
        return Err(refuse(StatusCode::NOT_FOUND, "expired_url"));
    }
    if url.uses >= RESPONSE_URL_USES {
        return Err(refuse(StatusCode::NOT_FOUND, "used_url"));
    }
    let Ok(Value::Object(map)) = serde_json::from_slice(body) else {
        return Err(refuse(StatusCode::BAD_REQUEST, "invalid_payload"));
    };
    let args = Args {
        map,
        ..Args::default()
    };
    let delete = args.flag("delete_original");
    let content = content(&args, 40_000, "msg_too_long")
        .map_err(|error| (StatusCode::BAD_REQUEST, error.body()))?;
    if !delete && content.text.is_none() && content.blocks.as_ref().is_none_or(Vec::is_empty) {
        return Err(refuse(StatusCode::BAD_REQUEST, "no_text"));
    }
    if let Some(stored) = world.response_urls.get_mut(key) {
        stored.uses += 1;
    }
    if delete {
        delete_original(world, &url);
    } else if args.flag("replace_original") {
        replace_original(world, &url, content);
    } else {
        let in_channel = args.text("response_type").as_deref() == Some("in_channel");
        place(world, &url.user, &url.channel, content, in_channel);
    }
    Ok(())
}

fn delete_original(world: &mut World, url: &ResponseUrl) {
    let Some(ts) = &url.message else { return };
    if let Some(messages) = world.messages.get_mut(&url.channel) {
        messages.retain(|message| message.ts != *ts);
    }
    world
        .ephemerals
        .retain(|message| message.ts != *ts || message.user != url.user);
}

fn replace_original(world: &mut World, url: &ResponseUrl, content: Content) {
    let Some(ts) = url.message.clone() else {
        return;
    };
    let edited = world.next_ts();
    let (text, blocks) = (
        content.text.unwrap_or_default(),
        content.blocks.unwrap_or_default(),
    );
    if let Some(message) = world.message_mut(&url.channel, &ts) {
        (message.text, message.blocks) = (text, blocks);
        message.edits += 1;
        message.edited_ts = Some(edited);
        message.triangles.clear();
    } else if let Some(whisper) = world.ephemeral_mut(&url.channel, &url.user, &ts) {
        (whisper.text, whisper.blocks) = (text, blocks);
        whisper.triangles.clear();
    }
}

/// A new message in answer to something a user did: to them alone, or to the channel.
pub(crate) fn place(
    world: &mut World,
    user: &str,
    channel: &str,
    content: Content,
    in_channel: bool,
) {
    let ts = world.next_ts();
    let (text, blocks) = (
        content.text.unwrap_or_default(),
        content.blocks.unwrap_or_default(),
    );
    let (channel, from) = (channel.to_owned(), world.workspace.bot_user.clone());
    if in_channel {
        world.post(Message {
            ts,
            channel,
            user: from,
            text,
            blocks,
            metadata: None,
            edits: 0,
            edited_ts: None,
            thread_ts: None,
            triangles: Vec::new(),
        });
    } else {
        world.whisper(Ephemeral {
            ts,
            channel,
            user: user.to_owned(),
            from,
            text,
            blocks,
            triangles: Vec::new(),
        });
    }
}
