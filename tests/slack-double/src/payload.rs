//! The payloads Slack sends to an app, field for field.

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::config::{User, Workspace};
use crate::inner::Inner;
use crate::model::{View, elements};
use crate::world::World;

/// Slack's old verification token. Apps must not rely on it; it is there because Slack still sends it.
const VERIFICATION_TOKEN: &str = "verification-token-of-the-double";

/// A click, ready to be sent.
#[derive(Debug)]
pub(crate) struct Click {
    pub(crate) payload: Value,
    pub(crate) confirm: Option<Value>,
    pub(crate) ephemeral: bool,
}

fn member<'a>(world: &'a World, user: &str, channel: &str) -> anyhow::Result<&'a User> {
    let place = world
        .workspace
        .channel(channel)
        .with_context(|| format!("there is no channel {channel}"))?;
    ensure!(
        place.members.iter().any(|member| member == user),
        "{user} is not in {channel}, and cannot see its messages"
    );
    world
        .workspace
        .user(user)
        .with_context(|| format!("there is no user {user}"))
}

fn user_part(world: &World, user: &User) -> Value {
    json!({"id": user.id, "username": user.name, "name": user.name, "team_id": world.workspace.team_id})
}

/// A click on a button, or the choice of `option` (by its value) in an overflow menu or select.
pub(crate) fn block_actions(
    inner: &Inner,
    world: &mut World,
    user: &str,
    channel: &str,
    ts: &str,
    action_id: &str,
    option: Option<&str>,
) -> anyhow::Result<Click> {
    let person = user_part(world, member(world, user, channel)?);
    let channel_name = world
        .workspace
        .channel(channel)
        .map(|channel| channel.name.clone());
    let with_metadata = true;
    let (blocks, message) = if let Some(message) = world.message(channel, ts) {
        (
            message.blocks.clone(),
            Some(message.as_slack(&world.workspace, with_metadata)),
        )
    } else if let Some(whisper) = world.ephemeral_mut(channel, user, ts) {
        (whisper.blocks.clone(), None)
    } else {
        bail!("{user} sees no message {ts} in {channel}");
    };
    let (action, confirm) = action(&blocks, action_id, option)?;
    let ephemeral = message.is_none();
    let trigger_id = world.new_trigger(user);
    let response_url = world.new_response_url("actions", user, channel, Some(ts));
    let mut payload = json!({
        "type": "block_actions",
        "user": person,
        "api_app_id": null,
        "token": VERIFICATION_TOKEN,
        "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": ephemeral},
        "trigger_id": trigger_id,
        "team": null,
        "enterprise": null,
        "is_enterprise_install": false,
        "channel": {"id": channel, "name": channel_name},
        "state": {"values": {}},
        "response_url": format!("{}/{response_url}", inner.origin),
        "actions": [action],
    });
    if let Some(message) = message {
        payload["message"] = message;
    }
    world.team_parts(&mut payload);
    Ok(Click {
        payload,
        confirm,
        ephemeral,
    })
}

fn action(
    blocks: &[Value],
    action_id: &str,
    option: Option<&str>,
) -> anyhow::Result<(Value, Option<Value>)> {
    let (block, element) = elements(blocks)
        .find(|(_, element)| element["action_id"] == action_id)
        .with_context(|| format!("the message has no element {action_id}"))?;
    let kind = element["type"].as_str().unwrap_or_default();
    let mut action = json!({"action_id": action_id, "block_id": block["block_id"]});
    match kind {
        "button" => {
            for name in ["text", "value", "style", "url", "confirm"] {
                if let Some(value) = element.get(name) {
                    action[name] = value.clone();
                }
            }
        }
        "overflow" | "static_select" | "radio_buttons" => {
            let wanted = option.context("say which option")?;
            let chosen = element["options"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|option| option["value"] == wanted)
                .with_context(|| format!("{action_id} has no option {wanted}"))?;
            action["selected_option"] = chosen.clone();
        }
        other => bail!("the double cannot click a {other}"),
    }
    action["type"] = json!(kind);
    let micros = u64::try_from(clock::since_epoch().as_micros()).unwrap_or(u64::MAX);
    action["action_ts"] = json!(clock::slack_ts(micros));
    Ok((action, element.get("confirm").cloned()))
}

/// `view_submission` and `view_closed`.
fn of_view(world: &mut World, kind: &str, view: &View) -> anyhow::Result<Value> {
    let user = world
        .workspace
        .user(&view.user)
        .context("the view's user is gone")?;
    let person = user_part(world, user);
    let mut payload = json!({
        "type": kind,
        "team": null,
        "user": person,
        "api_app_id": null,
        "token": VERIFICATION_TOKEN,
        "view": view.view,
        "is_enterprise_install": false,
        "enterprise": null,
    });
    world.team_parts(&mut payload);
    Ok(payload)
}

/// A submission, or why Slack's own form would not send it.
pub(crate) fn view_submission(
    world: &mut World,
    view: &View,
    values: &Value,
) -> anyhow::Result<Value> {
    let state = state_values(&view.view["blocks"], values)?;
    let mut view = view.clone();
    view.view["state"]["values"] = Value::Object(state);
    let mut payload = of_view(world, "view_submission", &view)?;
    payload["trigger_id"] = json!(world.new_trigger(&view.user));
    payload["response_urls"] = json!([]);
    Ok(payload)
}

pub(crate) fn view_closed(world: &mut World, view: &View) -> anyhow::Result<Value> {
    let mut payload = of_view(world, "view_closed", view)?;
    payload["is_cleared"] = json!(false);
    Ok(payload)
}

fn state_values(blocks: &Value, values: &Value) -> anyhow::Result<Map<String, Value>> {
    let mut state = Map::new();
    let mut known = Vec::new();
    for block in blocks
        .as_array()
        .into_iter()
        .flatten()
        .filter(|block| block["type"] == "input")
    {
        let (block_id, element) = (
            block["block_id"].as_str().unwrap_or_default(),
            &block["element"],
        );
        let action_id = element["action_id"].as_str().unwrap_or_default();
        known.push((block_id, action_id));
        let given = &values[block_id][action_id];
        check_input(block, element, given)?;
        let kind = element["type"].as_str().unwrap_or_default();
        let mut value = json!({"type": kind});
        match given {
            Value::Object(map) => map
                .iter()
                .for_each(|(name, part)| value[name] = part.clone()),
            Value::String(choice) if chosen(kind) => {
                let options = element["options"].as_array().into_iter().flatten();
                let mut options = options.filter(|option| option["value"] == choice.as_str());
                let option = options.next();
                value["selected_option"] = option
                    .with_context(|| format!("{block_id} has no option {choice}"))?
                    .clone();
            }
            Value::Null if chosen(kind) => value["selected_option"] = Value::Null,
            Value::String(text) if text.is_empty() => value["value"] = Value::Null,
            other => value["value"] = other.clone(),
        }
        let mut entry = Map::new();
        entry.insert(action_id.to_owned(), value);
        state.insert(block_id.to_owned(), Value::Object(entry));
    }
    for (block_id, actions) in values.as_object().into_iter().flatten() {
        for action_id in actions
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
        {
            ensure!(
                known.contains(&(block_id.as_str(), action_id.as_str())),
                "the modal has no input {block_id}/{action_id}"
            );
        }
    }
    Ok(state)
}

/// Inputs of which one option is picked.
fn chosen(kind: &str) -> bool {
    matches!(kind, "radio_buttons" | "static_select")
}

/// What Slack's form checks before it sends anything.
fn check_input(block: &Value, element: &Value, given: &Value) -> anyhow::Result<()> {
    let block_id = &block["block_id"];
    let optional = block["optional"] == true;
    let Some(text) = given.as_str() else {
        ensure!(
            optional || !given.is_null(),
            "Slack asks to complete the required field {block_id}"
        );
        return Ok(());
    };
    ensure!(
        optional || !text.trim().is_empty(),
        "Slack asks to complete the required field {block_id}"
    );
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    let max = element["max_length"].as_u64().unwrap_or(3000);
    ensure!(
        length <= max,
        "Slack's form takes at most {max} characters in {block_id}"
    );
    let min = element["min_length"].as_u64().unwrap_or(0);
    ensure!(
        length >= min,
        "Slack's form wants at least {min} characters in {block_id}"
    );
    Ok(())
}

/// As an app gets what was typed when its command has `should_escape`: entities for `&<>`, and ids for people and
/// channels that were picked (<https://docs.slack.dev/interactivity/implementing-slash-commands>).
fn escaped(workspace: &Workspace, typed: &str) -> String {
    let typed = typed
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut out = String::new();
    let mut rest = typed.as_str();
    while let Some(at) = rest.find(['@', '#']) {
        let (before, after) = rest.split_at(at);
        let begins_word = before
            .chars()
            .next_back()
            .is_none_or(|c| c.is_whitespace() || c == ',');
        let end = after[1..]
            .find(|c: char| !(c.is_alphanumeric() || "._-".contains(c)))
            .map_or(after.len(), |end| end + 1);
        let (sign, name) = (&after[..1], &after[1..end]);
        let picked = if !begins_word {
            None
        } else if sign == "@" {
            let user = workspace.users.iter().find(|user| user.name == name);
            user.map(|user| format!("<@{}|{name}>", user.id))
        } else {
            let place = workspace.channels.iter().find(|place| place.name == name);
            place.map(|place| format!("<#{}|{name}>", place.id))
        };
        out.push_str(before);
        out.push_str(picked.as_deref().unwrap_or(&after[..end]));
        rest = &after[end..];
    }
    out + rest
}

/// The fields of a slash command; Slack sends them as a form, over Socket Mode as an object.
pub(crate) fn slash_command(
    inner: &Inner,
    world: &mut World,
    user: &str,
    channel: &str,
    command: &str,
    text: &str,
) -> anyhow::Result<Value> {
    ensure!(command.starts_with('/'), "a command starts with a slash");
    let name = member(world, user, channel)?.name.clone();
    let channel_name = world
        .workspace
        .channel(channel)
        .map(|channel| channel.name.clone());
    let trigger_id = world.new_trigger(user);
    let response_url = world.new_response_url("commands", user, channel, None);
    let workspace = &world.workspace;
    Ok(json!({
        "token": VERIFICATION_TOKEN,
        "team_id": workspace.team_id,
        "team_domain": workspace.team_domain,
        "channel_id": channel,
        "channel_name": channel_name,
        "user_id": user,
        "user_name": name,
        "command": command,
        "text": escaped(workspace, text),
        "api_app_id": workspace.app_id,
        "is_enterprise_install": world.enterprise_install.to_string(),
        "response_url": format!("{}/{response_url}", inner.origin),
        "trigger_id": trigger_id,
    }))
}
