//! What travels on the socket (<https://docs.slack.dev/apis/events-api/using-socket-mode>).

use std::{
    collections::{HashSet, VecDeque},
    sync::Mutex,
};

use serde_json::{Value, json};

use crate::{clicks::Ack, limits};

/// A message from Slack.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Hello,
    /// Another connection should take over; this one ends soon.
    Replace,
    /// Socket Mode was turned off in the app's settings.
    Disabled,
    /// Needs an acknowledgement.
    Envelope {
        id: String,
        kind: Kind,
        payload: Value,
    },
    /// Something newer than us that wants no acknowledgement.
    Other,
}

/// What an envelope is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Interactive,
    Command,
    /// Events, which this app does not use.
    Other,
}

/// Reads a message, or says what is wrong with it.
pub(super) fn read(text: &str) -> Result<Message, &'static str> {
    let mut value: Value = serde_json::from_str(text).map_err(|_| "not JSON")?;
    let payload = value
        .get_mut("payload")
        .map(Value::take)
        .unwrap_or_default();
    let at = |key: &str| value.get(key).and_then(Value::as_str);
    let kind = at("type").ok_or("no type")?;
    match (kind, at("envelope_id")) {
        ("hello", _) => Ok(Message::Hello),
        ("disconnect", _) if at("reason") == Some("link_disabled") => Ok(Message::Disabled),
        ("disconnect", _) => Ok(Message::Replace),
        (kind, Some(id)) if (1..=256).contains(&id.len()) => Ok(Message::Envelope {
            id: id.to_owned(),
            kind: match kind {
                "interactive" => Kind::Interactive,
                "slash_commands" => Kind::Command,
                _ => Kind::Other,
            },
            payload,
        }),
        (_, Some(_)) => Err("an envelope id of unlikely length"),
        (_, None) => Ok(Message::Other),
    }
}

/// The acknowledgement of an envelope; nothing when Slack should show the person that it failed.
pub(super) fn acknowledgement(id: &str, ack: Ack) -> Option<String> {
    match ack {
        Ack::Empty => Some(json!({ "envelope_id": id }).to_string()),
        Ack::Answer(answer) => Some(json!({ "envelope_id": id, "payload": answer }).to_string()),
        Ack::Malformed(_) | Ack::Foreign | Ack::Busy => None,
    }
}

/// Envelopes that were worked on, over all connections, so that one delivered again is only acknowledged again.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<(HashSet<String>, VecDeque<String>)>);

impl Seen {
    /// Whether it is the first time. Remembers the last [`limits::SOCKET_ENVELOPES_MAX`].
    pub fn first_time(&self, id: &str) -> bool {
        let mut seen = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (set, order) = &mut *seen;
        if !set.insert(id.to_owned()) {
            return false;
        }
        order.push_back(id.to_owned());
        if order.len() > limits::SOCKET_ENVELOPES_MAX
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_and_oddities_named() {
        let cases = [
            (
                r#"{"type":"hello","num_connections":1}"#,
                Ok(Message::Hello),
            ),
            (
                r#"{"type":"disconnect","reason":"warning"}"#,
                Ok(Message::Replace),
            ),
            (
                r#"{"type":"disconnect","reason":"refresh_requested"}"#,
                Ok(Message::Replace),
            ),
            (
                r#"{"type":"disconnect","reason":"from_the_future"}"#,
                Ok(Message::Replace),
            ),
            (
                r#"{"type":"disconnect","reason":"link_disabled"}"#,
                Ok(Message::Disabled),
            ),
            (r#"{"type":"from_the_future"}"#, Ok(Message::Other)),
            ("nonsense", Err("not JSON")),
            ("[]", Err("no type")),
            (
                r#"{"type":"interactive","envelope_id":""}"#,
                Err("an envelope id of unlikely length"),
            ),
        ];
        for (text, want) in cases {
            assert_eq!(read(text), want, "{text}");
        }
        for (name, kind) in [
            ("interactive", Kind::Interactive),
            ("slash_commands", Kind::Command),
            ("events_api", Kind::Other),
        ] {
            let text = json!({"type": name, "envelope_id": "e1", "payload": {"type": "x"}});
            assert_eq!(
                read(&text.to_string()),
                Ok(Message::Envelope {
                    id: "e1".to_owned(),
                    kind,
                    payload: json!({"type": "x"})
                })
            );
        }
    }

    #[test]
    fn memory_is_bounded() {
        let seen = Seen::default();
        assert!(seen.first_time("a"));
        assert!(!seen.first_time("a"));
        for n in 0..limits::SOCKET_ENVELOPES_MAX * 2 {
            assert!(seen.first_time(&n.to_string()));
        }
        assert!(seen.0.lock().unwrap().0.len() <= limits::SOCKET_ENVELOPES_MAX);
    }
}
