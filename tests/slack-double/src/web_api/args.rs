//! How Slack reads arguments: query string, form, or JSON body; never a token out of JSON.

use axum::http::request::Parts;
use serde_json::{Map, Value};

use super::ApiError;

/// The arguments of one call.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) map: Map<String, Value>,
    /// From the header, or from `token=` in a form or query.
    pub(crate) token: Option<String>,
    pub(crate) warnings: Vec<&'static str>,
}

/// Methods that read: they take a query string or a form, and see nothing of a JSON body.
fn reads_only(method: &str) -> bool {
    matches!(
        method,
        "conversations.history"
            | "conversations.replies"
            | "conversations.info"
            | "users.info"
            | "users.lookupByEmail"
            | "usergroups.list"
            | "usergroups.users.list"
    )
}

impl Args {
    pub(crate) fn parse(method: &str, parts: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        let mut args = Self {
            token: bearer(parts),
            ..Self::default()
        };
        args.form(parts.uri.query().unwrap_or_default().as_bytes());
        let content_type = parts
            .headers
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let (kind, charset) = split_content_type(&content_type);
        if body.is_empty() {
            return Ok(args);
        }
        match kind {
            "" => return Err(ApiError::new("missing_post_type")),
            "application/x-www-form-urlencoded" => {
                if charset.is_some() {
                    args.warnings.push("superfluous_charset");
                }
                args.form(body);
            }
            "application/json" => {
                match charset {
                    None => args.warnings.push("missing_charset"),
                    Some("utf-8" | "utf8" | "iso-8859-1") => {}
                    Some(_) => return Err(ApiError::new("invalid_charset")),
                }
                let Ok(Value::Object(map)) = serde_json::from_slice(body) else {
                    return Err(ApiError::new("invalid_json"));
                };
                if !reads_only(method) {
                    args.map
                        .extend(map.into_iter().filter(|(name, _)| name != "token"));
                }
            }
            _ => return Err(ApiError::new("invalid_post_type")),
        }
        Ok(args)
    }

    fn form(&mut self, bytes: &[u8]) {
        for (name, value) in form_urlencoded::parse(bytes) {
            if name == "token" {
                self.token.get_or_insert_with(|| value.into_owned());
            } else {
                self.map
                    .insert(name.into_owned(), Value::String(value.into_owned()));
            }
        }
    }

    /// A string argument; absent when empty, as Slack treats it.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.map.get(name)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A string argument that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<String, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing(name))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        match self.map.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => matches!(text.as_str(), "true" | "1"),
            Some(Value::Number(number)) => number.as_i64() == Some(1),
            _ => false,
        }
    }

    /// A JSON argument: itself in a JSON body, a string of JSON in a form. `Err` when the string is no JSON.
    pub(crate) fn json(&self, name: &str) -> Result<Option<Value>, ()> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(|_| ()),
            Some(other) => Ok(Some(other.clone())),
        }
    }
}

fn bearer(parts: &Parts) -> Option<String> {
    let value = parts.headers.get("authorization")?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

fn split_content_type(value: &str) -> (&str, Option<&str>) {
    let (kind, rest) = value.split_once(';').unwrap_or((value, ""));
    let charset = rest
        .split(';')
        .find_map(|part| part.trim().strip_prefix("charset="))
        .map(|charset| charset.trim_matches('"'));
    (kind.trim(), charset)
}
