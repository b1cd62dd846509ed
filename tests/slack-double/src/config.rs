//! What the stand-in workspace looks like when it starts: people, channels, tokens, and where interactions go.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything [`crate::SlackDouble::start`] needs.
#[derive(Debug, Clone)]
pub struct DoubleConfig {
    /// 0 takes any free port of 127.0.0.1.
    pub port: u16,
    pub workspace: Workspace,
    pub bot_token: String,
    pub bot_scopes: Vec<String>,
    pub app_token: String,
    pub signing_secret: String,
    pub interactivity: Interactivity,
    pub rates: Rates,
    /// The app is installed on an organisation: payloads carry `team: null`.
    pub enterprise_install: bool,
    /// More tokens, for tests of scopes.
    pub tokens: Vec<Token>,
    /// How long an app has to acknowledge. Slack gives 3 s; only tests of the time-out itself shorten it.
    pub ack_limit: Duration,
}

/// The scopes of the default bot token.
pub const BOT_SCOPES: &[&str] = &[
    "chat:write",
    "commands",
    "users:read",
    "users:read.email",
    "usergroups:read",
    "usergroups:write",
    "channels:read",
    "channels:history",
    "groups:read",
    "groups:history",
    "im:write",
    "im:history",
];

impl Default for DoubleConfig {
    fn default() -> Self {
        Self {
            port: 0,
            workspace: Workspace::default(),
            bot_token: "xoxb-double-bot".to_owned(),
            bot_scopes: BOT_SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            app_token: "xapp-double-app".to_owned(),
            signing_secret: "8f742231b10e8888abcd99yyyzzz85a5".to_owned(),
            interactivity: Interactivity::Socket,
            rates: Rates::Slack,
            enterprise_install: false,
            tokens: Vec::new(),
            ack_limit: Duration::from_secs(3),
        }
    }
}

impl DoubleConfig {
    /// Interactions go over Socket Mode.
    #[must_use]
    pub fn socket() -> Self {
        Self::default()
    }

    /// Interactions are posted to `request_url`.
    #[must_use]
    pub fn http(request_url: &str) -> Self {
        Self {
            interactivity: Interactivity::Http {
                request_url: request_url.to_owned(),
                command_url: None,
            },
            ..Self::default()
        }
    }

    /// Interactions are posted to `request_url`, and slash commands to `command_url`.
    #[must_use]
    pub fn http_with_commands(request_url: &str, command_url: &str) -> Self {
        Self {
            interactivity: Interactivity::Http {
                request_url: request_url.to_owned(),
                command_url: Some(command_url.to_owned()),
            },
            ..Self::default()
        }
    }
}

/// The app's "Interactivity & Shortcuts" and "Slash Commands" settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Interactivity {
    Socket,
    Http {
        request_url: String,
        /// The request URL of every slash command; that of interactions when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command_url: Option<String>,
    },
    Off,
}

/// Whether calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rates {
    /// Slack's tiers, and one message a second and channel with a short burst.
    Slack,
    Off,
}

/// A token and what it may do. `xapp-` tokens are app-level, `xoxb-` bot, `xoxp-` user tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub value: String,
    pub scopes: Vec<String>,
}

/// Team, app, people and places.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    pub team_id: String,
    pub team_name: String,
    pub team_domain: String,
    pub app_id: String,
    pub bot_id: String,
    pub bot_user: String,
    pub bot_name: String,
    pub users: Vec<User>,
    pub channels: Vec<Channel>,
    pub usergroups: Vec<UserGroup>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub id: String,
    pub name: String,
    pub real_name: String,
    pub email: Option<String>,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub is_bot: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub topic: String,
    #[serde(default)]
    pub is_private: bool,
    #[serde(default)]
    pub is_archived: bool,
    /// User ids, the bot's among them when it was invited.
    pub members: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserGroup {
    pub id: String,
    pub handle: String,
    pub name: String,
    pub users: Vec<String>,
}

impl Default for Workspace {
    fn default() -> Self {
        let bot = "U0BOT00001";
        let (ann, bob, cy, eve) = ("U0ANN0001", "U0BOB0001", "U0CY00001", "U0EVE0001");
        Self {
            team_id: "T0CLINIC01".to_owned(),
            team_name: "Clinic".to_owned(),
            team_domain: "clinic".to_owned(),
            app_id: "A0ABEYANC1".to_owned(),
            bot_id: "B0BOT00001".to_owned(),
            bot_user: bot.to_owned(),
            bot_name: "abeyance".to_owned(),
            users: vec![
                person(ann, "ann", "Ann"),
                person(bob, "bob", "Bob"),
                person(cy, "cy", "Cy"),
                person(eve, "eve", "Eve"),
            ],
            channels: vec![
                channel(
                    "C0DBA0001",
                    "dba-approvals",
                    "Held statements wait here",
                    &[bot, ann, bob, cy, eve],
                ),
                channel("C0ONCALL1", "on-call", "Who is on duty", &[bot, ann, bob]),
                channel("C0LOBBY01", "lobby", "Everybody", &[bot, ann, bob, cy, eve]),
                channel(
                    "C0NOBOT01",
                    "no-bot",
                    "The app was never invited",
                    &[ann, bob],
                ),
                Channel {
                    is_private: true,
                    ..channel(
                        "C0SECRET1",
                        "secret",
                        "Private, and without the app",
                        &[ann],
                    )
                },
                Channel {
                    is_archived: true,
                    ..channel("C0OLD0001", "old", "Closed", &[bot, ann])
                },
            ],
            usergroups: vec![UserGroup {
                id: "S0DBA00001".to_owned(),
                handle: "dba".to_owned(),
                name: "Database administrators".to_owned(),
                users: vec![ann.to_owned(), bob.to_owned()],
            }],
        }
    }
}

impl Workspace {
    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(crate) fn channel(&self, id: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == id)
    }
}

fn person(id: &str, name: &str, real_name: &str) -> User {
    User {
        id: id.to_owned(),
        name: name.to_owned(),
        real_name: real_name.to_owned(),
        email: Some(format!("{name}@clinic.example")),
        deleted: false,
        is_bot: false,
    }
}

fn channel(id: &str, name: &str, topic: &str, members: &[&str]) -> Channel {
    Channel {
        id: id.to_owned(),
        name: name.to_owned(),
        topic: topic.to_owned(),
        is_private: false,
        is_archived: false,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    }
}
