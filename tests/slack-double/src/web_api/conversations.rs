//! `conversations.*`: what an app can read back.

use serde_json::{Value, json};

use super::{Answered, ApiError, Args};
use crate::config::Channel;
use crate::world::World;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 999;

fn visible(world: &World, args: &Args) -> Result<Channel, ApiError> {
    let id = args.required("channel")?;
    let bot = &world.workspace.bot_user;
    world
        .workspace
        .channel(&id)
        .filter(|channel| !channel.is_private || channel.members.contains(bot))
        .cloned()
        .ok_or_else(|| ApiError::new("channel_not_found"))
}

pub(super) fn info(world: &World, args: &Args) -> Answered {
    let channel = visible(world, args)?;
    let mut shown = json!({
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": !channel.is_private,
        "is_group": channel.is_private,
        "is_im": channel.id.starts_with('D'),
        "is_mpim": false,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_general": false,
        "is_member": channel.members.contains(&world.workspace.bot_user),
        "is_shared": false,
        "is_ext_shared": false,
        "is_org_shared": false,
        "created": 1_654_868_334,
        "creator": "USLACKBOT",
        "context_team_id": world.workspace.team_id,
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "previous_names": [],
    });
    if args.flag("include_num_members") {
        shown["num_members"] = json!(channel.members.len());
    }
    Ok(json!({"ok": true, "channel": shown}))
}

pub(super) fn history(world: &World, args: &Args) -> Answered {
    let channel = visible(world, args)?;
    if !channel.members.contains(&world.workspace.bot_user) {
        return Err(ApiError::new("not_in_channel"));
    }
    let window = Window::of(args)?;
    let mut found: Vec<_> = world
        .messages
        .get(&channel.id)
        .into_iter()
        .flatten()
        .filter(|message| {
            message
                .thread_ts
                .as_ref()
                .is_none_or(|thread| *thread == message.ts)
        })
        .filter(|message| window.holds(&message.ts))
        .collect();
    found.reverse();
    let has_more = found.len() > window.limit;
    found.truncate(window.limit);
    let with_metadata = args.flag("include_all_metadata");
    let messages: Vec<Value> = found
        .iter()
        .map(|message| message.as_slack(&world.workspace, with_metadata))
        .collect();
    let mut answer =
        json!({"ok": true, "messages": messages, "has_more": has_more, "pin_count": 0});
    if let (true, Some(last)) = (has_more, found.last()) {
        answer["response_metadata"] = json!({"next_cursor": format!("next_ts:{}", last.ts)});
    }
    Ok(answer)
}

/// A message and what was said under it, oldest first.
pub(super) fn replies(world: &World, args: &Args) -> Answered {
    let channel = visible(world, args)?;
    let parent = args.required("ts")?;
    if !channel.members.contains(&world.workspace.bot_user) {
        return Err(ApiError::new("not_in_channel"));
    }
    if world.message(&channel.id, &parent).is_none() {
        return Err(ApiError::new("thread_not_found"));
    }
    let window = Window::of(args)?;
    let mut found: Vec<_> = world
        .messages
        .get(&channel.id)
        .into_iter()
        .flatten()
        .filter(|message| {
            // The parent is shown whatever the window.
            message.ts == parent
                || (message.thread_ts.as_ref() == Some(&parent) && window.holds(&message.ts))
        })
        .collect();
    let has_more = found.len() > window.limit;
    found.truncate(window.limit);
    let with_metadata = args.flag("include_all_metadata");
    let messages: Vec<Value> = found
        .iter()
        .map(|message| message.as_slack(&world.workspace, with_metadata))
        .collect();
    Ok(json!({"ok": true, "messages": messages, "has_more": has_more}))
}

/// The direct messages of the app and one person.
pub(super) fn open(world: &mut World, args: &Args) -> Answered {
    let Some(users) = args.text("users") else {
        return Err(ApiError::new("users_list_not_supplied"));
    };
    let users: Vec<&str> = users.split(',').map(str::trim).collect();
    let [user] = users[..] else {
        return Err(ApiError::invalid_arguments(vec![
            "group messages are unknown to this stand-in: give one user".to_owned(),
        ]));
    };
    let person = world.workspace.user(user);
    if person.is_none_or(|person| person.deleted || person.is_bot) {
        return Err(ApiError::new("user_not_found"));
    }
    let id = format!("D{}", &user[1..]);
    let known = world.workspace.channel(&id).is_some();
    if !known {
        let bot = world.workspace.bot_user.clone();
        world.workspace.channels.push(Channel {
            id: id.clone(),
            name: String::new(),
            topic: String::new(),
            is_private: true,
            is_archived: false,
            members: vec![bot, user.to_owned()],
        });
    }
    let mut answer = json!({"ok": true, "channel": {"id": id}});
    if known {
        answer["no_op"] = json!(true);
        answer["already_open"] = json!(true);
    }
    Ok(answer)
}

/// Which messages a call wants to see.
struct Window {
    oldest: Option<String>,
    latest: Option<String>,
    before: Option<String>,
    inclusive: bool,
    limit: usize,
}

impl Window {
    fn of(args: &Args) -> Result<Self, ApiError> {
        let oldest = bound(args, "oldest", "invalid_ts_oldest")?;
        let latest = bound(args, "latest", "invalid_ts_latest")?;
        let limit = args
            .text("limit")
            .map_or(Ok(PAGE_DEFAULT), |text| text.parse::<usize>())
            .map_err(|_| {
                ApiError::invalid_arguments(vec![
                    "must provide an integer [json-pointer:/limit]".to_owned(),
                ])
            })?
            .clamp(1, PAGE_MAX);
        let before = match args.text("cursor") {
            None => None,
            Some(cursor) => {
                let ts = cursor
                    .strip_prefix("next_ts:")
                    .ok_or_else(|| ApiError::new("invalid_cursor"))?;
                Some(ts.to_owned())
            }
        };
        Ok(Self {
            oldest,
            latest,
            before,
            inclusive: args.flag("inclusive"),
            limit,
        })
    }

    fn holds(&self, ts: &str) -> bool {
        let (oldest, latest) = (self.oldest.as_deref(), self.latest.as_deref());
        let after = oldest.is_none_or(|oldest| ts > oldest || (self.inclusive && ts == oldest));
        let until = latest.is_none_or(|latest| ts < latest || (self.inclusive && ts == latest));
        after && until && self.before.as_deref().is_none_or(|before| ts < before)
    }
}

/// A timestamp bound, padded so that plain comparison of text orders it.
fn bound(args: &Args, name: &str, code: &'static str) -> Result<Option<String>, ApiError> {
    let Some(text) = args.text(name) else {
        return Ok(None);
    };
    let (seconds, micros) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || micros.len() > 6 || !digits(seconds) || !digits(micros) {
        return Err(ApiError::new(code));
    }
    Ok(Some(format!("{seconds:0>10}.{micros:0<6}")))
}
