//! `auth.test`, `users.*`, `usergroups.*`.

use serde_json::{Value, json};

use super::{Answered, ApiError, Args};
use crate::config::{User, UserGroup};
use crate::inner::Inner;
use crate::world::World;

pub(super) fn auth_test(inner: &Inner, world: &World) -> Value {
    let workspace = &world.workspace;
    json!({
        "ok": true,
        "url": format!("{}/", inner.origin),
        "team": workspace.team_name,
        "user": workspace.bot_name,
        "team_id": workspace.team_id,
        "user_id": workspace.bot_user,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": world.enterprise_install,
    })
}

fn shown(world: &World, user: &User) -> Value {
    json!({
        "id": user.id,
        "team_id": world.workspace.team_id,
        "name": user.name,
        "deleted": user.deleted,
        "real_name": user.real_name,
        "tz": "Europe/Amsterdam",
        "tz_label": "Central European Time",
        "tz_offset": 3600,
        "profile": {
            "real_name": user.real_name,
            "display_name": user.name,
            "real_name_normalized": user.real_name,
            "display_name_normalized": user.name,
            "email": user.email,
            "team": world.workspace.team_id,
        },
        "is_admin": false,
        "is_owner": false,
        "is_primary_owner": false,
        "is_restricted": false,
        "is_ultra_restricted": false,
        "is_bot": user.is_bot,
        "is_app_user": false,
        "updated": 1_502_138_686,
    })
}

pub(super) fn info(world: &World, args: &Args) -> Answered {
    let id = args.required("user")?;
    match world.workspace.user(&id) {
        Some(user) => Ok(json!({"ok": true, "user": shown(world, user)})),
        None => Err(ApiError::new("user_not_found")),
    }
}

pub(super) fn lookup_by_email(world: &World, args: &Args) -> Answered {
    let email = args.required("email")?;
    let users = &world.workspace.users;
    let found = users.iter().find(|user| {
        !user.deleted
            && user
                .email
                .as_deref()
                .is_some_and(|have| have.eq_ignore_ascii_case(&email))
    });
    match found {
        Some(user) => Ok(json!({"ok": true, "user": shown(world, user)})),
        None => Err(ApiError::new("users_not_found")),
    }
}

fn group_shown(world: &World, group: &UserGroup, with_users: bool, with_count: bool) -> Value {
    let mut shown = json!({
        "id": group.id,
        "team_id": world.workspace.team_id,
        "is_usergroup": true,
        "is_subteam": true,
        "name": group.name,
        "description": "",
        "handle": group.handle,
        "is_external": false,
        "date_create": 1_446_598_059,
        "date_update": 1_446_670_362,
        "date_delete": 0,
        "auto_type": null,
        "created_by": "USLACKBOT",
        "updated_by": "USLACKBOT",
        "deleted_by": null,
        "prefs": {"channels": [], "groups": []},
    });
    if with_users {
        shown["users"] = json!(group.users);
    }
    if with_count {
        // A string in Slack's own documented reply.
        shown["user_count"] = json!(group.users.len().to_string());
    }
    shown
}

pub(super) fn groups(world: &World, args: &Args) -> Value {
    let (users, count) = (args.flag("include_users"), args.flag("include_count"));
    let groups: Vec<Value> = world
        .workspace
        .usergroups
        .iter()
        .map(|group| group_shown(world, group, users, count))
        .collect();
    json!({"ok": true, "usergroups": groups})
}

pub(super) fn group_users(world: &World, args: &Args) -> Answered {
    let id = args.required("usergroup")?;
    let group = world
        .workspace
        .usergroups
        .iter()
        .find(|group| group.id == id);
    match group {
        Some(group) => Ok(json!({"ok": true, "users": group.users})),
        None => Err(ApiError::new("no_such_subteam")),
    }
}

pub(super) fn group_users_update(world: &mut World, args: &Args) -> Answered {
    let id = args.required("usergroup")?;
    let users: Vec<String> = match args.map.get("users") {
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Some(Value::String(text)) => text
            .split(',')
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty())
            .collect(),
        _ => return Err(ApiError::missing("users")),
    };
    if users.is_empty() {
        return Err(ApiError::new("no_users_provided"));
    }
    if !users
        .iter()
        .all(|user| world.workspace.user(user).is_some())
    {
        return Err(ApiError::new("invalid_users"));
    }
    let Some(at) = world
        .workspace
        .usergroups
        .iter()
        .position(|group| group.id == id)
    else {
        return Err(ApiError::new("no_such_subteam"));
    };
    world.workspace.usergroups[at].users = users;
    let group = group_shown(world, &world.workspace.usergroups[at], true, true);
    Ok(json!({"ok": true, "usergroup": group}))
}
