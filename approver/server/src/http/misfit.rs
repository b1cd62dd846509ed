//! What does not fit a call, told by its place.
//!
//! Content is never repeated (invariant 7). Serde's messages do repeat it, so of each only that is taken which this
//! program wrote into it: names of fields, and what is expected. What a caller made up is named only where it reads
//! like a field's name, so that a slip can be found.

use serde_path_to_error::{Path, Segment};

/// Longest made-up field that is named.
const NAME_MAX: usize = 32;

/// What is wrong where, of an error with the message `message` at `path`.
pub(super) fn told(path: &Path, message: &str) -> String {
    let place: Vec<&Segment> = path.iter().collect();
    let said = |beginning: &str| message.strip_prefix(beginning).and_then(named);
    if let Some((field, known)) = said("unknown field `") {
        return unknown(without(&place, field), field, known);
    }
    if let Some((field, _)) = said("missing field `") {
        return format!("{} is missing", joined(&place, Some(field)));
    }
    if let Some((field, _)) = said("duplicate field `") {
        let place = without(&place, field);
        return format!("{} is there twice", joined(place, Some(field)));
    }
    if let Some((variant, known)) = said("unknown variant `") {
        let known = listed(known).unwrap_or_else(|| "nothing".to_owned());
        return format!("{} takes {known}", joined(without(&place, variant), None));
    }
    let place = joined(&place, None);
    let mistaken = ["invalid type: ", "invalid value: ", "invalid length "];
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if mistaken.iter().any(|kind| message.starts_with(kind)) => {
            format!("{place} has to be {}", in_words(expected))
        }
        _ => format!("{place} has a value that does not fit"),
    }
}

/// The place of what has a wrong name: that name ends the path where it was read as it came, and not where all was
/// read first.
fn without<'p, 's>(place: &'p [&'s Segment], name: &str) -> &'p [&'s Segment] {
    match place.split_last() {
        Some((Segment::Map { key } | Segment::Enum { variant: key }, rest)) if key == name => rest,
        _ => place,
    }
}

fn unknown(place: &[&Segment], field: &str, known: &str) -> String {
    let known = match listed(known) {
        Some(known) => format!("known: {}", known.replace(" or ", ", ")),
        None => "it has none".to_owned(),
    };
    let within = match place {
        [] => String::new(),
        _ => format!(" of {}", joined(place, None)),
    };
    match is_name(field) {
        true => format!("{field} is no field{within}; {known}"),
        false => format!("there is a field too many{within}; {known}"),
    }
}

/// A name up to its backtick, and what is said after it. What a caller made up may hold anything, the end of the
/// message may not: it is looked for from there.
fn named(rest: &str) -> Option<(&str, &str)> {
    let end = ["`, expected ", "`, there are no "];
    let end = end.iter().filter_map(|end| rest.rfind(end)).max();
    match end {
        Some(at) => Some((rest.get(..at)?, rest.get(at + "`, ".len()..)?)),
        None => Some((rest.strip_suffix('`')?, "")),
    }
}

/// What serde lists as expected; nothing when there is nothing.
fn listed(known: &str) -> Option<String> {
    let known = known.strip_prefix("expected ")?;
    Some(known.trim_start_matches("one of ").replace('`', ""))
}

/// What Rust expects, as somebody calls it who writes JSON.
fn in_words(expected: &str) -> String {
    let first = expected.split(' ').next().unwrap_or_default();
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "string or map" => "one of the names it takes, or an object".to_owned(),
        "variant identifier" => "one of the names it takes".to_owned(),
        "a map" => "an object".to_owned(),
        _ if first == "struct" || expected.contains("tagged enum") => "an object".to_owned(),
        _ if first == "enum" => "one of the names it takes".to_owned(),
        _ if first == "a" || first == "an" => expected.replace('`', ""),
        _ => "something else".to_owned(),
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// `spans[0].people`; `it` for no place at all.
fn joined(place: &[&Segment], field: Option<&str>) -> String {
    let mut said = String::new();
    for segment in place {
        match segment {
            Segment::Seq { index } => said += &format!("[{index}]"),
            Segment::Map { key } | Segment::Enum { variant: key } if is_name(key) => {
                push(&mut said, key);
            }
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => push(&mut said, "…"),
        }
    }
    if let Some(field) = field {
        push(&mut said, field);
    }
    if said.is_empty() {
        "it".clone_into(&mut said);
    }
    said
}

fn push(said: &mut String, name: &str) {
    if !said.is_empty() {
        said.push('.');
    }
    said.push_str(name);
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Call {
        decision: Decision,
        by: Option<By>,
        spans: Vec<Span>,
        uses: Option<u32>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Decision {
        Approve,
        Deny,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    enum By {
        Slack { user: String },
        Person { id: String },
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Span {
        people: Vec<String>,
    }

    fn said(body: &str) -> String {
        let mut body = serde_json::Deserializer::from_str(body);
        let error = serde_path_to_error::deserialize::<_, Call>(&mut body).unwrap_err();
        let message = error.inner().to_string();
        let (message, _) = message.rsplit_once(" at line ").unwrap();
        told(error.path(), message)
    }

    #[test]
    fn the_place_is_told_and_what_fits_there() {
        for (body, want) in [
            ("{}", "decision is missing"),
            (
                r#"{"decision": "approve", "reasn": 1}"#,
                "reasn is no field; known: decision, by, spans, uses",
            ),
            (
                r#"{"decision": "approve", "decision": "deny"}"#,
                "decision is there twice",
            ),
            (
                r#"{"decision": "S3cret"}"#,
                "decision takes approve or deny",
            ),
            (
                r#"{"decision": 5}"#,
                "decision has a value that does not fit",
            ),
            (
                r#"{"decision": "deny", "uses": "S3cret, expected 5"}"#,
                "uses has to be a whole number, not negative",
            ),
            (
                r#"{"decision": "deny", "spans": [{"people": []}, {"people": [5]}]}"#,
                "spans[1].people[0] has to be a string",
            ),
            (
                r#"{"decision": "deny", "spans": [{}]}"#,
                "spans[0].people is missing",
            ),
            (
                r#"{"decision": "deny", "spans": [{"people": [], "who": 1}]}"#,
                "who is no field of spans[0]; known: people",
            ),
            (
                r#"{"decision": "deny", "spans": 5}"#,
                "spans has to be a list",
            ),
            (
                r#"{"decision": "deny", "by": {"by": "person"}}"#,
                "by.id is missing",
            ),
            (
                r#"{"decision": "deny", "by": {"id": "S3cret"}}"#,
                "by.by is missing",
            ),
            (
                r#"{"decision": "deny", "by": {"by": "S3cret"}}"#,
                "by.by takes slack or person",
            ),
            (
                r#"{"decision": "deny", "by": {"by": "person", "role": 1}}"#,
                "role is no field of by; known: id",
            ),
            ("5", "it has to be an object"),
        ] {
            assert_eq!(said(body), want, "{body}");
        }
    }

    /// A field that is a value by mistake, or by malice.
    #[test]
    fn what_a_caller_made_up_is_not_repeated() {
        for body in [
            r#"{"S3cret": 1}"#,
            r#"{"s3cret": 1}"#,
            r#"{"delete from s3cret": 1}"#,
            r#"{"x`, expected `s3cret": 1}"#,
            r#"{"decision": "x`, expected `s3cret`"}"#,
            r#"{"decision": "deny", "uses": "`, expected s3cret"}"#,
            r#"{"decision": "deny", "spans": [{"s3cret": 1}]}"#,
            r#"{"decision": "deny", "by": {"by": "person", "s3cret": 1}}"#,
            r#"{"decision": "deny", "by": {"by": "`, there are no s3cret"}}"#,
            r#"{"decision": {"s3cret": 1}}"#,
        ] {
            let said = said(body);
            assert!(!said.to_lowercase().contains("s3cret"), "{body}: {said}");
        }
        let long = format!("{{\"{}\": 1}}", "a".repeat(NAME_MAX + 1));
        assert!(said(&long).starts_with("there is a field too many"));
    }
}
