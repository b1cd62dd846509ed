//! Which start-up settings of a client reach the target: an allowlist, and nothing else.
//!
//! Anything that could change what a statement means before it was judged (encodings, roles,
//! `search_path`), or that loosens the target's own guard, is refused with an error that names it:
//! the same SET would be held, and at start-up there is nobody to ask.

use abeyance_wire::postgres::{ErrorFields, SqlState, StartupMessage};

use crate::{error::SessionError, session::on_hold};

/// Settings a client may give at start-up, in lower case.
const FORWARDED: &[&str] = &[
    "abeyance.on_hold",
    "abeyance.reason",
    "application_name",
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lock_timeout",
    "statement_timeout",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "timezone",
];

/// What is left of a client's start-up settings after the allowlist.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) forwarded: Vec<(String, String)>,
    pub(crate) application_name: Option<String>,
    pub(crate) reason: Option<String>,
    /// Holds answer at once.
    pub(crate) ticket: bool,
}

/// Sorts a client's settings.
///
/// # Errors
/// With the first setting that is not allowed.
pub(crate) fn settings(message: &StartupMessage) -> Result<Settings, SessionError> {
    let mut settings = Settings::default();
    for (name, value) in message.parameters() {
        match name.to_ascii_lowercase().as_str() {
            "options" => {
                for (name, value) in parse_options(value)? {
                    settings.add(&name, &value)?;
                }
            }
            "replication" if is_off(value) => {}
            "replication" => {
                return Err(refused(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "replication connections do not go through the proxy",
                    "Connect to the database directly for replication.",
                ));
            }
            _ => settings.add(name, value)?,
        }
    }
    Ok(settings)
}

impl Settings {
    /// Transactions are read-only on the target unless they say otherwise, whatever the client asked for.
    pub(crate) fn read_only(&mut self) {
        const NAME: &str = "default_transaction_read_only";
        self.forwarded
            .retain(|(name, _)| !name.eq_ignore_ascii_case(NAME));
        self.forwarded.push((NAME.to_owned(), "on".to_owned()));
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), SessionError> {
        let folded = name.to_ascii_lowercase();
        match folded.as_str() {
            "client_encoding" if is_utf8(value) => return Ok(()),
            "client_encoding" => {
                return Err(refused(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "the proxy speaks UTF8 only",
                    "Set client_encoding (or PGCLIENTENCODING) to UTF8 in the client.",
                ));
            }
            "default_transaction_read_only" if is_off(value) => {
                return Err(refused(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "start-up setting \"default_transaction_read_only\" may only be switched on",
                    "Leave it out of the connection string.",
                ));
            }
            "application_name" => self.application_name = Some(value.to_owned()),
            "abeyance.on_hold" => {
                self.ticket = on_hold(value).ok_or_else(|| {
                    refused(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "abeyance.on_hold is neither \"wait\" nor \"ticket\"",
                        "Leave it out to wait on the connection.",
                    )
                })?;
            }
            "abeyance.reason" => self.reason = Some(value.to_owned()),
            known if FORWARDED.contains(&known) => {}
            _ => {
                return Err(refused(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    &format!("start-up setting {name:?} is not passed on by the proxy"),
                    "Leave it out of the connection string, or use SET after connecting.",
                ));
            }
        }
        self.forwarded.push((name.to_owned(), value.to_owned()));
        Ok(())
    }
}

fn refused(state: SqlState, message: &str, hint: &str) -> SessionError {
    SessionError::Refused(ErrorFields::fatal(state, message).hint(hint))
}

fn is_utf8(value: &str) -> bool {
    let folded: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    // libpq's "auto" never reaches the wire; "unicode" is the server's old alias.
    matches!(folded.as_str(), "utf8" | "unicode")
}

fn is_off(value: &str) -> bool {
    // The server takes any unambiguous beginning of a word.
    let folded = value.trim().to_ascii_lowercase();
    folded == "0"
        || folded == "of"
        || folded == "off"
        || (!folded.is_empty() && ["false", "no"].iter().any(|word| word.starts_with(&folded)))
}

/// Reads `options` as the server does: words split at spaces, backslash escapes, `-c name=value`,
/// `-cname=value` and `--name=value`.
fn parse_options(text: &str) -> Result<Vec<(String, String)>, SessionError> {
    let mut words = words(text).into_iter();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next()
        } else {
            let rest = word.strip_prefix("--").or_else(|| word.strip_prefix("-c"));
            rest.map(ToOwned::to_owned)
        };
        let Some((name, value)) = assignment.as_deref().and_then(|text| text.split_once('='))
        else {
            return Err(refused(
                SqlState::FEATURE_NOT_SUPPORTED,
                &format!(
                    "start-up option {:?} is not passed on by the proxy",
                    switch_of(&word)
                ),
                "Only `-c name=value` and `--name=value` are understood.",
            ));
        };
        found.push((name.trim().replace('-', "_"), value.to_owned()));
    }
    Ok(found)
}

/// The part of an option word that is safe to show: no value.
fn switch_of(word: &str) -> &str {
    word.split('=').next().unwrap_or_default()
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut escaped = false;
    for c in text.chars() {
        if escaped {
            word.push(c);
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c.is_ascii_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use abeyance_wire::postgres::ProtocolVersion;

    use super::*;

    fn sorted(parameters: &[(&str, &str)]) -> Result<Settings, String> {
        let message = parameters.iter().fold(
            StartupMessage::new(ProtocolVersion::V3_0, "bot", "clinic"),
            |message, (name, value)| message.with_parameter(name, value),
        );
        settings(&message).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_on_the_list_goes_through() {
        let settings = sorted(&[
            ("application_name", "psql"),
            ("client_encoding", "utf-8"),
            ("DateStyle", "ISO, MDY"),
            (
                "options",
                r"-c statement_timeout=5s --lock\_timeout=1s -cTimeZone=Etc/GMT\ 0",
            ),
        ])
        .unwrap();
        let names: Vec<_> = settings
            .forwarded
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "application_name",
                "DateStyle",
                "statement_timeout",
                "lock_timeout",
                "TimeZone"
            ]
        );
        assert_eq!(settings.forwarded[4].1, "Etc/GMT 0");
        assert_eq!(settings.application_name.as_deref(), Some("psql"));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (name, value, expected) in [
            ("session_authorization", "root", "session_authorization"),
            ("options", "-c role=admin", "role"),
            (
                "options",
                "-c standard_conforming_strings=off",
                "standard_conforming_strings",
            ),
            ("search_path", "public, pg_catalog", "search_path"),
            ("options", "-c search_path=public", "search_path"),
            ("default_transaction_read_only", "OFF", "switched on"),
            (
                "options",
                "-c default_transaction_read_only=f",
                "switched on",
            ),
            ("options", "-d 5", "-d"),
            ("options", "-c", "-c"),
            ("client_encoding", "SJIS", "UTF8 only"),
            ("replication", "database", "replication"),
        ] {
            let error = sorted(&[(name, value)]).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(sorted(&[("replication", "false")]).is_ok());
    }
}
