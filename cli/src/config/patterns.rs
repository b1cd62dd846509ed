//! Places patterns that match nothing where they are written in the file.

use std::path::Path;

use abeyance_policy::{Entry, Unmatched};
use toml::de::{DeArray, DeTable, DeValue};

use super::problem::{Problems, Report, Span};

/// What is wrong with the patterns of a file that was read without mistakes. Where not every target of a pattern was
/// looked at, it may be fine.
pub fn report(path: &Path, source: String, unmatched: &[Unmatched]) -> Report {
    let problems = Problems::default();
    let (document, _) = DeTable::parse_recoverable(&source);
    for one in unmatched {
        let span = place(document.get_ref(), one).unwrap_or(0..0);
        if one.unread.is_empty() {
            problems.error(&span, one.to_string(), one.hint());
        } else {
            problems.warning(&span, one.to_string(), one.hint());
        }
    }
    drop(document);
    problems.into_report(path.to_owned(), source)
}

fn place(document: &DeTable<'_>, one: &Unmatched) -> Option<Span> {
    let (key, index) = match one.entry {
        Entry::Rule(index) => ("rule", index),
        Entry::Protection(index) => ("protect", index),
        Entry::Policy => return None,
    };
    let list = |value: Option<&DeValue<'_>>, at: usize, field: Option<&str>| {
        let array: &DeArray<'_> = value?.as_array()?;
        let entry = array.get(at)?;
        match field {
            Some(field) => {
                let inner = entry
                    .get_ref()
                    .as_table()?
                    .get(field)?
                    .get_ref()
                    .as_array()?;
                Some(inner.get(one.index)?.span())
            }
            None => Some(entry.span()),
        }
    };
    let entries = document.get(key).map(toml::Spanned::get_ref);
    list(entries, index, Some(one.field)).or_else(|| list(entries, index, None))
}
