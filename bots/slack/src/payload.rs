//! What a click says, read from the raw payload.
//!
//! Read by hand and with tolerance: Slack adds fields and kinds without notice, and sends `null` where models
//! expect a value. What we need is checked strictly; everything else is not looked at.

use abeyance_api::{BindingDigest, Decision, HoldId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{blocks, form, identity::Origin, text};

/// Something a person did in Slack that concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Interaction {
    Click(Click),
    Submission(Submission),
    /// Acknowledged, and nothing else: a link was opened, a form closed, something newer than us.
    Nothing(&'static str),
}

/// What a button is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Decide(Decision),
    /// "I'm looking": no vote.
    Look,
    Grant,
    BreakGlass,
    Alike,
}

/// A press of a button on a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Click {
    pub origin: Origin,
    pub user: String,
    pub wanted: Wanted,
    pub hold: HoldId,
    pub place: Place,
    /// Opens a form, for three seconds.
    pub trigger: Option<String>,
    /// The same whenever this press is delivered, and no other's.
    pub key: String,
}

/// A reason that was sent from the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submission {
    pub origin: Origin,
    pub user: String,
    pub hold: HoldId,
    pub place: Place,
    pub asks: Asks,
    pub reason: String,
    /// For a grant, as they were typed.
    pub minutes: String,
    pub uses: String,
    /// Of several holds: which way, and which.
    pub choice: String,
    pub alike: Vec<HoldId>,
    /// The same whenever this submission is delivered, and no other's.
    pub key: String,
}

/// What a form is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asks {
    #[default]
    Deny,
    Grant,
    BreakGlass,
    Alike,
}

/// Where the card is, and how to answer the person who clicked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub channel: Option<String>,
    pub message: Option<String>,
    /// Not to be trusted before [`crate::config::Addresses::trusts_webhook`] said so.
    pub response_url: Option<Url>,
}

/// What the form carries from the click to the submission.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FormMemory {
    pub hold: HoldId,
    #[serde(default)]
    pub asks: Asks,
    pub channel: Option<String>,
    pub message: Option<String>,
    /// The holds that are decided together, this one among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<HoldId>,
}

/// A payload that Slack would not have sent. Says what is wrong, not what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed payload: {0}")]
pub(crate) struct Malformed(pub &'static str);

/// Reads an interaction payload.
pub(crate) fn read(payload: &Value) -> Result<Interaction, Malformed> {
    match at(payload, "/type") {
        None => Err(Malformed("no type")),
        Some("block_actions") => click(payload),
        Some("view_submission") => submission(payload),
        Some("view_closed") => Ok(Interaction::Nothing("a form was closed")),
        Some(_) => Ok(Interaction::Nothing(
            "a kind of interaction this app does not use",
        )),
    }
}

fn click(payload: &Value) -> Result<Interaction, Malformed> {
    let actions = payload
        .get("actions")
        .and_then(Value::as_array)
        .ok_or(Malformed("no actions"))?;
    let ours = actions
        .iter()
        .find_map(|action| match at(action, "/action_id") {
            Some(blocks::APPROVE) => Some((action, Wanted::Decide(Decision::Approve))),
            Some(blocks::DENY) => Some((action, Wanted::Decide(Decision::Deny))),
            Some(blocks::LOOK) => Some((action, Wanted::Look)),
            Some(blocks::GRANT) => Some((action, Wanted::Grant)),
            Some(blocks::ALIKE) => Some((action, Wanted::Alike)),
            Some(blocks::BREAK_GLASS) => Some((action, Wanted::BreakGlass)),
            _ => None,
        });
    let Some((action, wanted)) = ours else {
        return Ok(Interaction::Nothing("a button that decides nothing"));
    };
    let hold = at(action, "/value")
        .and_then(|value| value.parse().ok())
        .ok_or(Malformed("no hold"))?;
    let own = |pointer| at(payload, pointer).map(ToOwned::to_owned);
    Ok(Interaction::Click(Click {
        origin: origin(payload),
        user: user(payload)?,
        wanted,
        hold,
        place: Place {
            channel: own("/channel/id").or_else(|| own("/container/channel_id")),
            message: own("/message/ts").or_else(|| own("/container/message_ts")),
            response_url: at(payload, "/response_url").and_then(|url| url.parse().ok()),
        },
        trigger: own("/trigger_id"),
        key: key(payload),
    }))
}

fn submission(payload: &Value) -> Result<Interaction, Malformed> {
    if at(payload, "/view/callback_id") != Some(form::CALLBACK) {
        return Ok(Interaction::Nothing("a form of somebody else"));
    }
    let memory = at(payload, "/view/private_metadata").ok_or(Malformed("no metadata"))?;
    let memory: FormMemory =
        serde_json::from_str(memory).map_err(|_| Malformed("unreadable metadata"))?;
    let own = |pointer| at(payload, pointer).unwrap_or_default().to_owned();
    Ok(Interaction::Submission(Submission {
        origin: origin(payload),
        user: user(payload)?,
        hold: memory.hold,
        place: Place {
            channel: memory.channel,
            message: memory.message,
            response_url: None,
        },
        asks: memory.asks,
        // Slack sends null for an empty field.
        reason: own(form::REASON_POINTER),
        minutes: own(form::MINUTES_POINTER),
        uses: own(form::USES_POINTER),
        choice: own(form::CHOICE_POINTER),
        alike: memory.alike,
        key: key(payload),
    }))
}

/// Slack makes a trigger for each interaction; without one, what was sent tells it from others.
fn key(payload: &Value) -> String {
    at(payload, "/trigger_id").map_or_else(
        || BindingDigest::over([payload.to_string().as_bytes()]).to_string(),
        ToOwned::to_owned,
    )
}

fn user(payload: &Value) -> Result<String, Malformed> {
    let user = at(payload, "/user/id").filter(|id| text::is_user_id(id));
    user.map(ToOwned::to_owned).ok_or(Malformed("no user"))
}

fn origin(payload: &Value) -> Origin {
    let own = |pointer| at(payload, pointer).map(ToOwned::to_owned);
    Origin {
        team: own("/team/id"),
        enterprise: own("/enterprise/id").or_else(|| own("/team/enterprise_id")),
        user_team: own("/user/team_id"),
    }
}

/// A string that is there and not empty.
pub(crate) fn at<'a>(payload: &'a Value, pointer: &str) -> Option<&'a str> {
    payload
        .pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn a_click() -> Value {
        json!({
            "type": "block_actions",
            "user": {"id": "U0BOB0001", "username": "bob", "team_id": "T1"},
            "api_app_id": "A1",
            "container": {"type": "message", "message_ts": "1.2", "channel_id": "C1", "is_ephemeral": false},
            "trigger_id": "1.2.3",
            "team": {"id": "T1", "domain": "clinic"},
            "enterprise": null,
            "channel": {"id": "C1", "name": "dba"},
            "message": {"type": "message", "ts": "1.2", "blocks": [{"type": "from_the_future"}]},
            "response_url": "https://hooks.slack.com/actions/T1/2/3",
            "actions": [{"action_id": "abeyance_approve", "block_id": "abeyance_actions", "type": "button", "value": "HLD-7K3Q"}]
        })
    }

    #[test]
    fn a_click_is_read_whatever_else_is_in_it() {
        let Interaction::Click(click) = read(&a_click()).unwrap() else {
            panic!("no click")
        };
        assert_eq!(
            (click.user.as_str(), click.hold.as_str()),
            ("U0BOB0001", "HLD-7K3Q")
        );
        assert_eq!(click.place.channel.as_deref(), Some("C1"));
        assert_eq!(click.place.message.as_deref(), Some("1.2"));
        assert_eq!(click.origin.team.as_deref(), Some("T1"));

        let mut sparse = a_click();
        for key in ["channel", "message", "team", "trigger_id", "response_url"] {
            sparse[key] = Value::Null;
        }
        let Interaction::Click(click) = read(&sparse).unwrap() else {
            panic!("no click")
        };
        assert_eq!(click.place.channel.as_deref(), Some("C1"));
        assert_eq!(
            (click.origin.team, click.trigger, click.place.response_url),
            (None, None, None)
        );
    }

    #[test]
    fn what_is_missing_is_said_and_what_is_new_is_let_pass() {
        let change = |pointer: &str, value: Value| {
            let mut payload = a_click();
            *payload.pointer_mut(pointer).unwrap() = value;
            payload
        };
        let malformed = [
            (json!(null), "no type"),
            (json!([]), "no type"),
            (json!({"type": 5}), "no type"),
            (change("/actions", json!({})), "no actions"),
            (change("/user", json!(null)), "no user"),
            (change("/user/id", json!("<!channel>")), "no user"),
            (change("/actions/0/value", json!("7K3Q; DROP")), "no hold"),
            (change("/actions/0/value", json!(null)), "no hold"),
            (
                json!({"type": "view_submission", "view": {"callback_id": form::CALLBACK}}),
                "no metadata",
            ),
            (
                json!({"type": "view_submission", "view": {"callback_id": form::CALLBACK, "private_metadata": "{"}}),
                "unreadable metadata",
            ),
        ];
        for (payload, want) in malformed {
            assert_eq!(read(&payload), Err(Malformed(want)), "{payload}");
        }
        let nothing = [
            change("/actions/0/action_id", json!("abeyance_open_console")),
            change("/actions/0/action_id", json!("something_newer")),
            change("/actions", json!([])),
            change("/type", json!("shortcut")),
            json!({"type": "view_closed"}),
            json!({"type": "view_submission", "view": {"callback_id": "other"}}),
        ];
        for payload in nothing {
            assert!(
                matches!(read(&payload), Ok(Interaction::Nothing(_))),
                "{payload}"
            );
        }
    }
}
