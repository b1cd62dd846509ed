//! What people do: click, submit, close, command. Each delivers a payload and lets the answer take effect.

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value, json};

use crate::deliver::deliver;
use crate::inner::Inner;
use crate::model::{Delivery, Kind, Message, Outcome, View};
use crate::payload;
use crate::response_url;
use crate::web_api::{Args, content};
use crate::world::World;

const TROUBLE: &str = "We had some trouble connecting. Try again?";

pub(crate) async fn click(
    inner: &Inner,
    user: &str,
    channel: &str,
    ts: &str,
    action_id: &str,
    option: Option<&str>,
) -> anyhow::Result<Delivery> {
    let click = inner.change(|world| {
        payload::block_actions(inner, world, user, channel, ts, action_id, option)
    })?;
    let delivery = deliver(inner, Kind::BlockActions, click.payload, click.confirm).await;
    inner.change(|world| {
        let triangles = if click.ephemeral {
            world
                .ephemeral_mut(channel, user, ts)
                .map(|message| &mut message.triangles)
        } else {
            world
                .message_mut(channel, ts)
                .map(|message| &mut message.triangles)
        };
        if let Some(triangles) = triangles {
            triangles.retain(|id| id != action_id);
            if !delivery.acked() {
                triangles.push(action_id.to_owned());
            }
        }
        world.record_delivery(delivery.clone());
    });
    Ok(delivery)
}

fn open_view(world: &World, user: &str, view_id: &str) -> anyhow::Result<View> {
    world
        .views
        .iter()
        .find(|view| view.id == view_id && view.user == user)
        .cloned()
        .with_context(|| format!("{user} has no modal {view_id} open"))
}

pub(crate) async fn submit_view(
    inner: &Inner,
    user: &str,
    view_id: &str,
    values: &Value,
) -> anyhow::Result<Delivery> {
    let payload = inner.change(|world| {
        let view = open_view(world, user, view_id)?;
        ensure!(
            !view.view["submit"].is_null(),
            "the modal has no submit button"
        );
        payload::view_submission(world, &view, values)
    })?;
    let delivery = deliver(inner, Kind::ViewSubmission, payload, None).await;
    inner.change(|world| {
        let body = match &delivery.outcome {
            Outcome::Acked { body, .. } => Ok(body.as_str()),
            Outcome::TimedOut | Outcome::Refused { .. } | Outcome::Unreachable { .. } => {
                Err(TROUBLE.to_owned())
            }
        };
        let effect = body.and_then(|body| submitted(world, view_id, body));
        if let (Err(trouble), Some(view)) = (
            effect,
            world.views.iter_mut().find(|view| view.id == view_id),
        ) {
            view.trouble = Some(trouble);
        }
        world.record_delivery(delivery.clone());
    });
    Ok(delivery)
}

/// Lets `response_action` take effect. `Err` is what the user reads.
fn submitted(world: &mut World, view_id: &str, body: &str) -> Result<(), String> {
    let Some(at) = world.views.iter().position(|view| view.id == view_id) else {
        return Ok(());
    };
    world.views[at].trouble = None;
    world.views[at].errors.clear();
    if body.trim().is_empty() {
        world.views.remove(at);
        return Ok(());
    }
    let Ok(answer) = serde_json::from_str::<Value>(body) else {
        return Err(format!("{TROUBLE} (the answer is not JSON)"));
    };
    let user = world.views[at].user.clone();
    match answer["response_action"].as_str() {
        None if answer.as_object().is_some_and(Map::is_empty) => {
            world.views.remove(at);
        }
        Some("clear") => world.views.retain(|view| view.user != user),
        Some("errors") => {
            let errors = answer["errors"].as_object().cloned().unwrap_or_default();
            check_errors(&world.views[at].view, &errors)?;
            world.views[at].errors = errors;
        }
        Some(action @ ("update" | "push")) => {
            let view = answer["view"].clone();
            crate::web_api::views::check(&view)
                .map_err(|error| format!("{TROUBLE} ({})", error.body()))?;
            if action == "update" {
                crate::web_api::views::replace(world, at, view);
            } else {
                crate::web_api::views::show(world, &user, view, Some(view_id));
            }
        }
        _ => return Err(format!("{TROUBLE} (no known response_action)")),
    }
    Ok(())
}

fn check_errors(view: &Value, errors: &Map<String, Value>) -> Result<(), String> {
    let blocks = view["blocks"].as_array();
    let is_input = |id: &str| {
        blocks.is_some_and(|blocks| {
            blocks
                .iter()
                .any(|block| block["type"] == "input" && block["block_id"] == id)
        })
    };
    if errors.is_empty()
        || !errors
            .iter()
            .all(|(id, text)| is_input(id) && text.is_string())
    {
        return Err(format!("{TROUBLE} (errors must name input blocks)"));
    }
    Ok(())
}

pub(crate) async fn close_view(
    inner: &Inner,
    user: &str,
    view_id: &str,
) -> anyhow::Result<Option<Delivery>> {
    let payload = inner.change(|world| {
        let view = open_view(world, user, view_id)?;
        world.views.retain(|open| open.id != view_id);
        let notify = view.view["notify_on_close"] == true;
        notify
            .then(|| payload::view_closed(world, &view))
            .transpose()
    })?;
    let Some(payload) = payload else {
        return Ok(None);
    };
    let delivery = deliver(inner, Kind::ViewClosed, payload, None).await;
    inner.change(|world| world.record_delivery(delivery.clone()));
    Ok(Some(delivery))
}

pub(crate) async fn slash_command(
    inner: &Inner,
    user: &str,
    channel: &str,
    command: &str,
    text: &str,
) -> anyhow::Result<Delivery> {
    let payload =
        inner.change(|world| payload::slash_command(inner, world, user, channel, command, text))?;
    let delivery = deliver(inner, Kind::SlashCommand, payload, None).await;
    inner.change(|world| {
        let failed = |why: &str| format!("{command} failed with the error \"{why}\"");
        let notice = match &delivery.outcome {
            Outcome::Acked { body, .. } => command_answer(world, user, channel, body)
                .err()
                .map(|()| failed("invalid_blocks")),
            Outcome::TimedOut => Some(failed("operation_timeout")),
            Outcome::Refused { .. } | Outcome::Unreachable { .. } => {
                Some(failed("dispatch_failed"))
            }
        };
        if let Some(notice) = notice {
            world.slackbot_whisper(channel, user, &notice);
        }
        world.record_delivery(delivery.clone());
    });
    Ok(delivery)
}

/// The body of a command's answer is a message: text, or JSON with text and blocks.
fn command_answer(world: &mut World, user: &str, channel: &str, body: &str) -> Result<(), ()> {
    if body.trim().is_empty() {
        return Ok(());
    }
    let map = match serde_json::from_str::<Value>(body) {
        Ok(Value::Object(map)) if map.is_empty() => return Ok(()),
        Ok(Value::Object(map)) => map,
        _ => Map::from_iter([("text".to_owned(), json!(body))]),
    };
    let in_channel = map
        .get("response_type")
        .is_some_and(|kind| kind == "in_channel");
    let args = Args {
        map,
        ..Args::default()
    };
    let content = content(&args, 40_000, "msg_too_long").map_err(|_| ())?;
    response_url::place(world, user, channel, content, in_channel);
    Ok(())
}

/// Somebody types a message.
pub(crate) fn say(
    world: &mut World,
    user: &str,
    channel: &str,
    text: &str,
) -> anyhow::Result<Message> {
    let place = world
        .workspace
        .channel(channel)
        .context("there is no such channel")?;
    ensure!(
        place.members.iter().any(|member| member == user),
        "{user} is not in {channel}"
    );
    let message = Message {
        ts: world.next_ts(),
        channel: channel.to_owned(),
        user: user.to_owned(),
        text: text.to_owned(),
        blocks: Vec::new(),
        metadata: None,
        edits: 0,
        edited_ts: None,
        thread_ts: None,
        triangles: Vec::new(),
    };
    world.post(message.clone());
    Ok(message)
}
