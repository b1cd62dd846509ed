//! `chat.*`: posting, editing, whispering, deleting.

use serde_json::{Value, json};

use super::{Answered, ApiError, Args};
use crate::blocks;
use crate::config::Channel;
use crate::model::{Ephemeral, Message};
use crate::world::World;

const TEXT_MAX: usize = 40_000;
const UPDATE_TEXT_MAX: usize = 4_000;
/// Slack publishes no figure; apps are told to keep metadata small.
const METADATA_BYTES_MAX: usize = 8_000;
const EVENT_TYPE_MAX: usize = 255;

/// Text and blocks of a message, checked and filled in.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) text: Option<String>,
    pub(crate) blocks: Option<Vec<Value>>,
}

/// Reads and checks `text` and `blocks`.
pub(crate) fn content(
    args: &Args,
    text_max: usize,
    too_long: &'static str,
) -> Result<Content, ApiError> {
    if args
        .map
        .get("attachments")
        .is_some_and(|value| !value.is_null())
    {
        return Err(ApiError::invalid_arguments(vec![
            "attachments are unknown to this stand-in: use blocks".to_owned(),
        ]));
    }
    let text = args.text("text");
    if text
        .as_ref()
        .is_some_and(|text| text.chars().count() > text_max)
    {
        return Err(ApiError::new("msg_too_long"));
    }
    let blocks = match args.json("blocks") {
        Err(()) => return Err(ApiError::new("invalid_blocks_format")),
        Ok(None) => None,
        Ok(Some(value)) => {
            blocks::check_message(&value)
                .map_err(|refusal| ApiError::of_blocks(refusal, too_long))?;
            let Value::Array(mut list) = value else {
                return Err(ApiError::new("invalid_blocks_format"));
            };
            blocks::fill_in(&mut list);
            Some(list)
        }
    };
    Ok(Content { text, blocks })
}

/// `Ok(None)`: not given. `Ok(Some(None))`: given as `{}`, which removes it.
fn metadata(args: &Args) -> Result<Option<Option<Value>>, ApiError> {
    let Some(value) = args
        .json("metadata")
        .map_err(|()| ApiError::new("invalid_metadata_format"))?
    else {
        return Ok(None);
    };
    let Some(map) = value.as_object() else {
        return Err(ApiError::new("invalid_metadata_format"));
    };
    if map.is_empty() {
        return Ok(Some(None));
    }
    let event_type = map.get("event_type").and_then(Value::as_str);
    let payload = map.get("event_payload").and_then(Value::as_object);
    let (Some(event_type), Some(payload)) = (event_type, payload) else {
        return Err(ApiError::new("invalid_metadata_format"));
    };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if map.len() != 2
        || event_type.is_empty()
        || event_type.len() > EVENT_TYPE_MAX
        || !event_type.chars().all(word)
    {
        return Err(ApiError::new("invalid_metadata_format"));
    }
    let flat = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let flat_object = |value: &Value| value.as_object().is_some_and(|map| map.values().all(flat));
    let fits = |value: &Value| {
        flat(value)
            || flat_object(value)
            || value
                .as_array()
                .is_some_and(|list| list.iter().all(flat_object))
    };
    if !payload.values().all(fits) {
        return Err(ApiError::new("invalid_metadata_schema"));
    }
    if value.to_string().len() > METADATA_BYTES_MAX {
        return Err(ApiError::new("metadata_too_large"));
    }
    Ok(Some(Some(value)))
}

/// The channel, by id or by `#name`, if the app may know of it.
fn channel_named(world: &World, args: &Args) -> Result<Channel, ApiError> {
    let name = args.required("channel")?;
    let found = world
        .workspace
        .channels
        .iter()
        .find(|channel| channel.id == name || channel.name == name.trim_start_matches('#'));
    let bot_in = |channel: &&Channel| {
        !channel.is_private || channel.members.contains(&world.workspace.bot_user)
    };
    found
        .filter(bot_in)
        .cloned()
        .ok_or_else(|| ApiError::new("channel_not_found"))
}

/// A channel the app can write to.
fn writable(world: &World, args: &Args) -> Result<Channel, ApiError> {
    let channel = channel_named(world, args)?;
    if channel.is_archived {
        return Err(ApiError::new("is_archived"));
    }
    if !channel.members.contains(&world.workspace.bot_user) {
        return Err(ApiError::new("not_in_channel"));
    }
    Ok(channel)
}

pub(super) fn post(world: &mut World, args: &Args) -> Answered {
    let channel = writable(world, args)?;
    let content = content(args, TEXT_MAX, "msg_blocks_too_long")?;
    let metadata = metadata(args)?.flatten();
    let thread_ts = args.text("thread_ts");
    if thread_ts
        .as_ref()
        .is_some_and(|thread| world.message(&channel.id, thread).is_none())
    {
        return Err(ApiError::new("cannot_reply_to_message"));
    }
    let blocks = content.blocks.unwrap_or_default();
    if content.text.is_none() && blocks.is_empty() {
        return Err(ApiError::new("no_text"));
    }
    let message = Message {
        ts: world.next_ts(),
        channel: channel.id.clone(),
        user: world.workspace.bot_user.clone(),
        text: content.text.unwrap_or_default(),
        blocks,
        metadata,
        edits: 0,
        edited_ts: None,
        thread_ts,
        triangles: Vec::new(),
    };
    let shown = message.as_slack(&world.workspace, true);
    let answer = json!({"ok": true, "channel": channel.id, "ts": message.ts, "message": shown});
    world.post(message);
    Ok(answer)
}

pub(super) fn update(world: &mut World, args: &Args) -> Answered {
    let ts = args.required("ts")?;
    let channel = channel_named(world, args)?;
    let Some(message) = world.message(&channel.id, &ts) else {
        return Err(ApiError::new("message_not_found"));
    };
    if message.user != world.workspace.bot_user {
        return Err(ApiError::new("cant_update_message"));
    }
    if channel.is_archived {
        return Err(ApiError::new("is_inactive"));
    }
    let content = content(args, UPDATE_TEXT_MAX, "msg_too_long")?;
    let metadata = metadata(args)?;
    let edited_ts = world.next_ts();
    let mut message = message_clone(world, &channel.id, &ts)?;
    if content.text.is_none() && content.blocks.as_ref().is_none_or(Vec::is_empty) {
        return Err(ApiError::new("no_text"));
    }
    // Blocks that are not given stay; text that is not given is emptied.
    message.text = content.text.unwrap_or_default();
    if let Some(blocks) = content.blocks {
        message.blocks = blocks;
    }
    if let Some(metadata) = metadata {
        message.metadata = metadata;
    }
    message.edits += 1;
    message.edited_ts = Some(edited_ts);
    message.triangles.clear();
    let shown = message.as_slack(&world.workspace, true);
    let text = message.text.clone();
    if let Some(stored) = world.message_mut(&channel.id, &ts) {
        *stored = message;
    }
    Ok(json!({"ok": true, "channel": channel.id, "ts": ts, "text": text, "message": shown}))
}

fn message_clone(world: &World, channel: &str, ts: &str) -> Result<Message, ApiError> {
    world
        .message(channel, ts)
        .cloned()
        .ok_or_else(|| ApiError::new("message_not_found"))
}

pub(super) fn post_ephemeral(world: &mut World, args: &Args) -> Answered {
    let user = args.required("user")?;
    let channel = writable(world, args)?;
    if !channel.members.contains(&user) {
        return Err(ApiError::new("user_not_in_channel"));
    }
    let content = content(args, TEXT_MAX, "msg_too_long")?;
    let blocks = content.blocks.unwrap_or_default();
    if content.text.is_none() && blocks.is_empty() {
        return Err(ApiError::new("no_text"));
    }
    let ts = world.next_ts();
    world.whisper(Ephemeral {
        ts: ts.clone(),
        channel: channel.id,
        user,
        from: world.workspace.bot_user.clone(),
        text: content.text.unwrap_or_default(),
        blocks,
        triangles: Vec::new(),
    });
    Ok(json!({"ok": true, "message_ts": ts}))
}

pub(super) fn delete(world: &mut World, args: &Args) -> Answered {
    let ts = args.required("ts")?;
    let channel = channel_named(world, args)?;
    let message = message_clone(world, &channel.id, &ts)?;
    if message.user != world.workspace.bot_user {
        return Err(ApiError::new("cant_delete_message"));
    }
    if let Some(messages) = world.messages.get_mut(&channel.id) {
        messages.retain(|message| message.ts != ts);
    }
    Ok(json!({"ok": true, "channel": channel.id, "ts": ts}))
}
