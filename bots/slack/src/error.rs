//! What can go wrong with Slack, without a word of what was being said, and what to do about it.

use std::time::Duration;

use abeyance_chat::PortError;
use slack_morphism::errors::{SlackClientError, SlackClientHttpProtocolError};

use crate::limits;

/// The bot could not be set up.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SlackError {
    #[error("{key} {problem}; {hint}")]
    Config {
        key: &'static str,
        problem: String,
        hint: &'static str,
    },
    #[error("console_url is not an address: {0}")]
    ConsoleUrl(String),
    #[error("TLS could not be set up: {0}")]
    Tls(String),
    #[error("Slack: {0}")]
    Call(#[from] CallError),
}

/// A call of Slack's did not work. Never carries bodies: slack-morphism's own errors print them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Slack understood and said no.
    #[error("{method}: {code}; {}", advice(.code))]
    Refused { method: &'static str, code: String },
    #[error("{method}: rate limited for {} s", .retry_after.as_secs())]
    RateLimited {
        method: &'static str,
        retry_after: Duration,
    },
    /// An HTTP status that is no answer of the API.
    #[error("{method}: HTTP status {status}")]
    Status { method: &'static str, status: u16 },
    /// Nothing was sent.
    #[error("{method}: no connection to Slack")]
    Unreachable { method: &'static str },
    /// No answer, or none that makes sense: it may or may not have happened.
    #[error("{method}: {what}")]
    Unclear {
        method: &'static str,
        what: &'static str,
    },
}

impl CallError {
    pub(crate) fn from_client(method: &'static str, error: &SlackClientError) -> Self {
        let unclear = |what| Self::Unclear { method, what };
        match error {
            SlackClientError::ApiError(error) => Self::Refused {
                method,
                code: known_shape(&error.code),
            },
            SlackClientError::RateLimitError(error) => Self::RateLimited {
                method,
                retry_after: error.retry_after.unwrap_or(limits::RETRY_AFTER_DEFAULT),
            },
            SlackClientError::HttpError(error) => Self::Status {
                method,
                status: error.status_code.as_u16(),
            },
            SlackClientError::HttpProtocolError(error) if never_connected(error) => {
                Self::Unreachable { method }
            }
            SlackClientError::HttpProtocolError(_) | SlackClientError::SystemError(_) => {
                unclear("the connection broke")
            }
            SlackClientError::EndOfStream(_) => unclear("the connection ended"),
            SlackClientError::ProtocolError(_) | SlackClientError::SocketModeProtocolError(_) => {
                unclear("the answer could not be understood")
            }
        }
    }

    /// What Slack said, when it said something.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether somebody has to change something before it can work.
    pub(crate) fn needs_a_person(&self) -> bool {
        const PASSING: [&str; 12] = [
            "expired_trigger_id",
            "exchanged_trigger_id",
            "trigger_expired",
            "message_not_found",
            "cant_update_message",
            "user_not_in_channel",
            "ratelimited",
            "rate_limited",
            "internal_error",
            "fatal_error",
            "service_unavailable",
            "request_timeout",
        ];
        self.code().is_some_and(|code| !PASSING.contains(&code))
    }

    /// Names the complaint, so that it is not repeated all the time.
    pub(crate) fn topic(&self) -> String {
        match self {
            Self::Refused { method, code } => format!("{method} {code}"),
            Self::RateLimited { method, .. } => format!("{method} 429"),
            Self::Status { method, status } => format!("{method} {status}"),
            Self::Unreachable { method } => format!("{method} unreachable"),
            Self::Unclear { method, what } => format!("{method} {what}"),
        }
    }

    /// The same for the card reconciler.
    pub(crate) fn for_port(&self) -> PortError {
        let error = match self {
            // What is stored needs no advice: that went to the log.
            Self::Refused { method, code } => format!("{method}: {code}"),
            other => other.to_string(),
        };
        match self {
            Self::RateLimited { retry_after, .. } => PortError::RateLimited {
                retry_after: *retry_after,
            },
            Self::Unclear { .. } => PortError::Doubt { error },
            Self::Status { status, .. } if *status >= 500 => PortError::Doubt { error },
            Self::Status { .. } | Self::Unreachable { .. } => PortError::Refused { error },
            Self::Refused { code, .. } => match code.as_str() {
                "message_not_found"
                | "cant_update_message"
                | "edit_window_closed"
                | "cannot_reply_to_message"
                | "thread_not_found" => PortError::Gone { error },
                "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
                    PortError::Doubt { error }
                }
                _ => PortError::Refused { error },
            },
        }
    }
}

fn never_connected(error: &SlackClientHttpProtocolError) -> bool {
    let cause = error
        .cause
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>());
    cause.is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// Slack's codes are short words. Anything else is not repeated.
fn known_shape(code: &str) -> String {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !code.is_empty() && code.len() <= 64 && code.bytes().all(word) {
        code.to_owned()
    } else {
        "unknown_error".to_owned()
    }
}

/// What a person should do about an error code.
#[must_use]
pub fn advice(code: &str) -> &'static str {
    match code {
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
            "Slack does not accept the token: copy it again from the app's settings and restart"
        }
        "not_allowed_token_type" => {
            "this is another kind of token: bot_token starts with xoxb-, app_token with xapp-"
        }
        "no_such_subteam" | "subteam_max_users_exceeded" => {
            "no such user group: check the schedule's slack_group (an id such as S0614TZR7)"
        }
        "permission_denied" => {
            "the workspace lets this app not change user groups: an administrator has to allow it"
        }
        "user_not_found" | "user_disabled" => {
            "no such person in this workspace: check their slack id"
        }
        "cannot_reply_to_message" | "thread_not_found" => "the card is not there any more",
        "not_in_channel" => "invite the app to the channel: /invite @abeyance",
        "channel_not_found" => {
            "no such channel, or a private one without the app: check the route's slack_channel (an id such as C0123ABCD) and /invite @abeyance"
        }
        "is_archived" => "the channel is archived: give the route another slack_channel",
        "missing_scope" => "reinstall the app with the scopes of deploy/slack-manifest.json",
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_non_threadable_channel" => {
            "the workspace lets this app not post there: ask an administrator or choose another channel"
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "msg_blocks_too_long"
        | "msg_too_long"
        | "no_text" => "Slack refused the card's layout: please report this as a defect",
        "expired_trigger_id" | "trigger_expired" | "exchanged_trigger_id" => {
            "Slack's time to open a form had run out"
        }
        "user_not_in_channel" => "the person is not in the channel",
        "link_disabled" | "socket_mode_not_enabled" => {
            "Socket Mode is off: turn it on in the app's settings, or use mode = \"http\""
        }
        "team_access_not_granted"
        | "access_denied"
        | "no_permission"
        | "ekm_access_denied"
        | "org_login_required" => {
            "the workspace refuses the app: ask an administrator to approve it"
        }
        "ratelimited" | "rate_limited" => "Slack asks to slow down",
        _ => "see https://docs.slack.dev for this code",
    }
}

#[cfg(test)]
mod tests {
    use slack_morphism::errors::{
        SlackClientApiError, SlackClientHttpError, SlackClientProtocolError, SlackRateLimitError,
    };

    use super::*;

    const BODY: &str = "DELETE FROM visits xoxb-secret";

    fn all() -> Vec<(SlackClientError, PortError)> {
        let body = || BODY.to_owned();
        let unreadable = serde_json::from_str::<u8>("{").unwrap_err();
        let api = |code: &str| {
            SlackClientError::ApiError(
                SlackClientApiError::new(code.to_owned()).with_http_response_body(body()),
            )
        };
        let http = |status: u16| {
            let status = axum::http::StatusCode::from_u16(status).unwrap();
            SlackClientError::HttpError(
                SlackClientHttpError::new(status).with_http_response_body(body()),
            )
        };
        let limited = |error: SlackRateLimitError| {
            SlackClientError::RateLimitError(error.with_http_response_body(body()))
        };
        let text = |text: &str| format!("chat.postMessage: {text}");
        let after = Duration::from_secs(7);
        vec![
            (
                api("not_in_channel"),
                PortError::Refused {
                    error: text("not_in_channel"),
                },
            ),
            (
                api("message_not_found"),
                PortError::Gone {
                    error: text("message_not_found"),
                },
            ),
            (
                api("internal_error"),
                PortError::Doubt {
                    error: text("internal_error"),
                },
            ),
            (
                api(BODY),
                PortError::Refused {
                    error: text("unknown_error"),
                },
            ),
            (
                http(503),
                PortError::Doubt {
                    error: text("HTTP status 503"),
                },
            ),
            (
                http(404),
                PortError::Refused {
                    error: text("HTTP status 404"),
                },
            ),
            (
                limited(SlackRateLimitError::new().with_retry_after(after)),
                PortError::RateLimited { retry_after: after },
            ),
            (
                limited(SlackRateLimitError::new()),
                PortError::RateLimited {
                    retry_after: limits::RETRY_AFTER_DEFAULT,
                },
            ),
            (
                SlackClientError::ProtocolError(
                    SlackClientProtocolError::new(unreadable).with_json_body(body()),
                ),
                PortError::Doubt {
                    error: text("the answer could not be understood"),
                },
            ),
        ]
    }

    #[test]
    fn errors_say_what_happened_and_nothing_of_what_was_said() {
        for (from, want) in all() {
            let error = CallError::from_client("chat.postMessage", &from);
            assert_eq!(error.for_port(), want);
            for text in [
                error.to_string(),
                format!("{error:?}"),
                error.topic(),
                error.for_port().text(),
            ] {
                assert!(
                    !text.contains("DELETE") && !text.contains("xoxb-secret"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let refused = |code: &str| CallError::Refused {
            method: "auth.test",
            code: code.to_owned(),
        };
        assert!(
            refused("invalid_auth")
                .to_string()
                .contains("copy it again")
        );
        assert!(
            refused("not_in_channel")
                .to_string()
                .contains("/invite @abeyance")
        );
        assert!(
            refused("missing_scope")
                .to_string()
                .contains("deploy/slack-manifest.json")
        );
        assert!(
            refused("invalid_auth").needs_a_person()
                && !refused("expired_trigger_id").needs_a_person()
        );
    }
}
