//! Slash commands: from what Slack sends to an answer for the person who typed, and nobody else.
//!
//! Acknowledged at once with nothing; the answer follows by the command's `response_url`. Read by hand and with
//! tolerance, like clicks. Every command is answered, also one that cannot be worked on.

use std::sync::Arc;

use abeyance_api::{Claimant, Named, Surface};
use abeyance_chat::command::{Asker, Commands as Chat, Run};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::{
    answer,
    clicks::Ack,
    identity::Origin,
    payload::{Malformed, Place, at},
    reception::Reception,
    text,
};

/// A command as Slack sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    pub origin: Origin,
    pub user: String,
    /// As the workspace calls it.
    pub command: String,
    pub runs: Vec<Run>,
    pub place: Place,
    /// Slack makes one for each command.
    pub trigger: Option<String>,
}

pub(crate) struct Commands {
    reception: Arc<Reception>,
    chat: Chat,
}

impl Commands {
    pub fn new(reception: Arc<Reception>, chat: Chat) -> Self {
        Self { reception, chat }
    }

    /// Takes a payload whose origin the transport has proved; what there is to do goes on in a tracked task.
    pub fn accept(self: &Arc<Self>, payload: &Value) -> Ack {
        let typed = match read(payload) {
            Ok(typed) => typed,
            Err(Malformed(what)) => {
                warn!(what, "a command from Slack was malformed");
                return Ack::Malformed(what);
            }
        };
        if self.reception.known_foreign(&typed.origin) {
            return Ack::Foreign;
        }
        let Some(room) = self.reception.enter() else {
            let said = "Too much is going on here; nothing was done, try again in a moment.";
            return Ack::Answer(json!({ "response_type": "ephemeral", "text": said }));
        };
        let this = Arc::clone(self);
        self.reception.tasks.spawn(async move {
            this.work(&typed).await;
            drop(room);
        });
        Ack::Empty
    }

    async fn work(&self, typed: &Typed) {
        if let Some(why) = self.reception.outsider(&typed.origin).await {
            self.reception.tell(&typed.user, &typed.place, &why).await;
            return;
        }
        let asker = Asker {
            claimant: Claimant::Slack {
                user: typed.user.clone(),
            },
            surface: Surface::Slack,
            command: typed.command.clone(),
            key: typed.trigger.clone(),
        };
        let (command, answer) = self.chat.answer(&asker, &typed.runs).await;
        info!(command, "a command was answered in Slack");
        let (said, blocks) = answer::rendered(&answer);
        let (user, place) = (&typed.user, &typed.place);
        self.reception.show(user, place, &said, &blocks).await;
    }
}

/// Reads the fields of a command, from a form or from an envelope.
pub(crate) fn read(payload: &Value) -> Result<Typed, Malformed> {
    let own = |pointer| at(payload, pointer).map(ToOwned::to_owned);
    let user = own("/user_id").filter(|id| text::is_user_id(id));
    let command = own("/command").filter(|name| is_command(name));
    Ok(Typed {
        origin: Origin {
            team: own("/team_id"),
            enterprise: own("/enterprise_id"),
            // Slack takes commands from people of the app's own workspaces only.
            user_team: None,
        },
        user: user.ok_or(Malformed("no user"))?,
        command: command.ok_or(Malformed("no command"))?,
        runs: runs(at(payload, "/text").unwrap_or_default()),
        trigger: own("/trigger_id"),
        place: Place {
            channel: own("/channel_id"),
            message: None,
            response_url: at(payload, "/response_url").and_then(|url| url.parse().ok()),
        },
    })
}

/// A slash and what Slack lets follow it.
fn is_command(name: &str) -> bool {
    let word = name.strip_prefix('/').unwrap_or_default();
    (1..=31).contains(&word.chars().count())
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "-_".contains(c))
}

/// What was typed, without Slack's escapes: entities become characters, `<@U123|bob>` a person, any other `<...>` what
/// it shows.
fn runs(escaped: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut rest = escaped;
    while let Some(open) = rest.find('<') {
        let (before, after) = rest.split_at(open);
        let Some(close) = after.find('>') else { break };
        plain(&mut runs, &unescaped(before));
        let (target, label) = match after[1..close].split_once('|') {
            Some((target, label)) => (target, Some(label)),
            None => (&after[1..close], None),
        };
        match target.strip_prefix('@').filter(|id| text::is_user_id(id)) {
            Some(user) => runs.push(Run::Person {
                named: Named::Slack {
                    user: user.to_owned(),
                },
                shown: format!("@{}", unescaped(label.unwrap_or(user))),
            }),
            None => plain(&mut runs, &unescaped(label.unwrap_or(target))),
        }
        rest = &after[close + 1..];
    }
    plain(&mut runs, &unescaped(rest));
    runs
}

fn plain(runs: &mut Vec<Run>, said: &str) {
    match runs.last_mut() {
        Some(Run::Text(text)) => text.push_str(said),
        Some(Run::Person { .. }) | None if said.is_empty() => {}
        Some(Run::Person { .. }) | None => runs.push(Run::Text(said.to_owned())),
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(user: &str, shown: &str) -> Run {
        Run::Person {
            named: Named::Slack {
                user: user.to_owned(),
            },
            shown: shown.to_owned(),
        }
    }

    fn said(text: &str) -> Run {
        Run::Text(text.to_owned())
    }

    #[test]
    fn escapes_are_taken_off_and_mentions_are_people() {
        let cases = [
            ("", vec![]),
            ("holds agent x", vec![said("holds agent x")]),
            (
                "override dba <@U0BOB0001|bob>, <@W0CY00001> from",
                vec![
                    said("override dba "),
                    person("U0BOB0001", "@bob"),
                    said(", "),
                    person("W0CY00001", "@W0CY00001"),
                    said(" from"),
                ],
            ),
            ("a &lt;b&gt; &amp;amp;", vec![said("a <b> &amp;")]),
            (
                "see <https://x.example/?a=1&amp;b|x.example> in <#C1|dba>",
                vec![said("see x.example in dba")],
            ),
            (
                "<@not a user> <unclosed",
                vec![said("@not a user <unclosed")],
            ),
        ];
        for (escaped, want) in cases {
            assert_eq!(runs(escaped), want, "{escaped}");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let whole = json!({
            "command": "/abeyance", "text": "help", "user_id": "U0BOB0001", "team_id": "T1",
            "channel_id": "C1", "response_url": "https://hooks.slack.com/commands/T1/2/3",
            "enterprise_id": null, "from_the_future": {"a": 1}
        });
        let typed = read(&whole).unwrap();
        assert_eq!(
            (typed.user.as_str(), typed.runs),
            ("U0BOB0001", vec![said("help")])
        );
        for (key, value, want) in [
            ("user_id", json!("<!channel>"), "no user"),
            ("user_id", json!(null), "no user"),
            ("command", json!("abeyance"), "no command"),
            ("command", json!("/abey ance"), "no command"),
        ] {
            let mut payload = whole.clone();
            payload[key] = value;
            assert_eq!(read(&payload), Err(Malformed(want)), "{payload}");
        }
    }
}
