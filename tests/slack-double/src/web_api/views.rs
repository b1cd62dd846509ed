//! `views.*`: modals. A `trigger_id` lives three seconds and opens one modal.

use serde_json::{Value, json};

use super::{Answered, ApiError, Args};
use crate::blocks::{self, Refusal};
use crate::clock;
use crate::model::View;
use crate::world::{TRIGGER_LIFE, World};

const STACK_MAX: usize = 3;

pub(super) fn open(world: &mut World, args: &Args) -> Answered {
    let view = view_argument(args)?;
    let user = exchange_trigger(world, args)?;
    // A new modal takes the place of what the user had open.
    world.views.retain(|open| open.user != user);
    Ok(json!({"ok": true, "view": show(world, &user, view, None)}))
}

pub(super) fn push(world: &mut World, args: &Args) -> Answered {
    let view = view_argument(args)?;
    let user = exchange_trigger(world, args)?;
    let stack: Vec<&View> = world
        .views
        .iter()
        .filter(|open| open.user == user)
        .collect();
    if stack.len() >= STACK_MAX {
        return Err(ApiError::new("push_limit_reached"));
    }
    let Some(top) = stack.last().map(|view| view.id.clone()) else {
        return Err(ApiError::new("not_found"));
    };
    Ok(json!({"ok": true, "view": show(world, &user, view, Some(&top))}))
}

pub(super) fn update(world: &mut World, args: &Args) -> Answered {
    let view = view_argument(args)?;
    let (id, external) = (args.text("view_id"), args.text("external_id"));
    if id.is_some() == external.is_some() {
        return Err(ApiError::invalid_arguments(vec![
            "exactly one of `view_id` and `external_id` is required".to_owned(),
        ]));
    }
    let at = world.views.iter().position(|open| {
        id.as_ref().is_some_and(|id| open.id == *id)
            || external
                .as_ref()
                .is_some_and(|external| open.view["external_id"] == external.as_str())
    });
    let Some(at) = at else {
        return Err(ApiError::new("not_found"));
    };
    if let Some(hash) = args.text("hash")
        && world.views[at].view["hash"] != hash.as_str()
    {
        return Err(ApiError::new("hash_conflict"));
    }
    Ok(json!({"ok": true, "view": replace(world, at, view)}))
}

/// Puts a checked view in the place of an open one.
pub(crate) fn replace(world: &mut World, at: usize, view: Value) -> Value {
    let id = world.views[at].id.clone();
    let (previous, root) = (
        world.views[at].view["previous_view_id"].clone(),
        world.views[at].view["root_view_id"].clone(),
    );
    let mut shown = as_shown(world, &id, view);
    shown["previous_view_id"] = previous;
    shown["root_view_id"] = root;
    let open = &mut world.views[at];
    open.view = shown.clone();
    open.errors.clear();
    open.trouble = None;
    shown
}

/// Opens a checked view for a user.
pub(crate) fn show(world: &mut World, user: &str, view: Value, on_top_of: Option<&str>) -> Value {
    let id = format!("V{}", clock::random_id(10));
    let mut shown = as_shown(world, &id, view);
    if let Some(below) = on_top_of {
        shown["previous_view_id"] = json!(below);
        let root = world
            .views
            .iter()
            .find(|open| open.id == below)
            .map(|open| open.view["root_view_id"].clone());
        shown["root_view_id"] = root.unwrap_or_else(|| json!(below));
    }
    world.views.push(View {
        id,
        user: user.to_owned(),
        view: shown.clone(),
        errors: serde_json::Map::new(),
        trouble: None,
    });
    shown
}

/// Checks a view as Slack does; `Err` is the list of faults.
pub(crate) fn check(view: &Value) -> Result<(), ApiError> {
    blocks::check_view(view).map_err(|refusal| match refusal {
        Refusal::Format => ApiError::invalid_arguments(vec![
            "must provide an object [json-pointer:/view]".to_owned(),
        ]),
        Refusal::Invalid(messages) => ApiError::invalid_arguments(messages),
        Refusal::TooLong => ApiError::new("view_too_large"),
    })
}

fn view_argument(args: &Args) -> Result<Value, ApiError> {
    let unreadable = || {
        ApiError::invalid_arguments(vec![
            "must provide an object [json-pointer:/view]".to_owned(),
        ])
    };
    let view = args.json("view").map_err(|()| unreadable())?;
    let view = view.ok_or_else(|| ApiError::missing("view"))?;
    check(&view)?;
    Ok(view)
}

fn exchange_trigger(world: &mut World, args: &Args) -> Result<String, ApiError> {
    let id = args.required("trigger_id")?;
    let now = world.expiry_now();
    let Some(trigger) = world.triggers.get_mut(&id) else {
        return Err(ApiError::new("invalid_trigger_id"));
    };
    if trigger.used {
        return Err(ApiError::new("exchanged_trigger_id"));
    }
    if now.saturating_sub(trigger.made) > TRIGGER_LIFE {
        return Err(ApiError::new("expired_trigger_id"));
    }
    trigger.used = true;
    Ok(trigger.user.clone())
}

fn as_shown(world: &World, id: &str, view: Value) -> Value {
    let mut shown = json!({
        "id": id,
        "team_id": world.workspace.team_id,
        "type": "modal",
        "blocks": [],
        "private_metadata": "",
        "callback_id": "",
        "state": {"values": {}},
        "hash": format!("{}.{}", clock::unix_seconds(), clock::random_hex(8)),
        "title": null,
        "clear_on_close": false,
        "notify_on_close": false,
        "close": null,
        "submit": null,
        "previous_view_id": null,
        "root_view_id": id,
        "app_id": world.workspace.app_id,
        "external_id": "",
        "app_installed_team_id": world.workspace.team_id,
        "bot_id": world.workspace.bot_id,
    });
    if let Value::Object(map) = view {
        for (name, value) in map {
            shown[name] = value;
        }
    }
    if let Some(blocks) = shown["blocks"].as_array_mut() {
        blocks::fill_in(blocks);
        for block in blocks.iter_mut().filter(|block| block["type"] == "input") {
            for name in ["optional", "dispatch_action"] {
                if block.get(name).is_none() {
                    block[name] = json!(false);
                }
            }
        }
    }
    for name in ["title", "submit", "close"] {
        blocks::texts(&mut shown[name]);
    }
    shown
}
