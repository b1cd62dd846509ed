//! Reads TOML tables key by key and notes every mistake instead of stopping at the first.
//!
//! A section remembers which keys were asked for; what is left over when it is finished is
//! unknown. Knows TOML's types and nothing of what a key means.

use std::{cell::RefCell, ops::RangeInclusive, str::FromStr, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::{Problems, Span},
    suggest,
};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct At<T> {
    pub span: Span,
    pub value: T,
}

impl<T> At<T> {
    /// The same place, another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At {
            span: self.span,
            value: f(self.value),
        }
    }
}

#[cfg(test)]
thread_local! {
    /// Every key that was ever asked for, so that a test can look for it in the documentation.
    pub static KEYS: RefCell<std::collections::BTreeSet<&'static str>> = RefCell::default();
}

/// One table of the file.
#[derive(Debug)]
pub struct Section<'a> {
    /// How messages call it: `[proxy]`.
    name: String,
    span: Span,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
    pub problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// A table found at `span`.
    pub fn new(
        name: impl Into<String>,
        span: Span,
        table: &'a DeTable<'a>,
        problems: &'a Problems,
    ) -> Self {
        Self {
            name: name.into(),
            span,
            table,
            asked: RefCell::default(),
            problems,
        }
    }

    /// Where the section begins.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Whether the key is there, without counting it as asked for.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The raw value of a key.
    pub fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        #[cfg(test)]
        KEYS.with_borrow_mut(|keys| keys.insert(key));
        self.table.get(key)
    }

    /// Where the key itself stands, when it is there; else where the section begins.
    pub fn key_span(&self, key: &str) -> Span {
        self.table
            .get_key_value(key)
            .map_or_else(|| self.span.clone(), |(key, _)| key.span())
    }

    /// A string that is not empty.
    pub fn string(&self, key: &'static str) -> Option<At<String>> {
        let value = self.value(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a string");
            return None;
        };
        if text.trim().is_empty() {
            self.problems.error(
                &value.span(),
                format!("`{key}` in {} is empty", self.name),
                "",
            );
            return None;
        }
        self.one_line(key, value, text)
    }

    /// A text that may have several lines, and is not empty.
    pub fn text(&self, key: &'static str) -> Option<At<String>> {
        let value = self.value(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a string");
            return None;
        };
        Some(At {
            span: value.span(),
            value: text.to_owned(),
        })
    }

    /// Names and texts from here end up on cards, in errors and in logs, one line each.
    fn one_line(&self, key: &str, value: &Spanned<DeValue<'_>>, text: &str) -> Option<At<String>> {
        if text.chars().any(char::is_control) {
            self.problems.error(
                &value.span(),
                format!("`{key}` in {} holds a control character", self.name),
                "write it in one line, without tabs",
            );
            return None;
        }
        Some(At {
            span: value.span(),
            value: text.to_owned(),
        })
    }

    /// A string that must be there.
    pub fn require_string(&self, key: &'static str, example: &str) -> Option<At<String>> {
        let found = self.string(key);
        if !self.has(key) {
            self.missing(key, example);
        }
        found
    }

    /// Says that a key must be there.
    pub fn missing(&self, key: &str, example: &str) {
        self.problems.absent(
            &self.span,
            format!("{} has no `{key}`", self.name),
            format!("add `{key} = {example}`"),
        );
    }

    /// A string that a type can be made from.
    pub fn parsed<T>(&self, key: &'static str, hint: &str) -> Option<At<T>>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.string(key)?;
        match text.value.parse() {
            Ok(value) => Some(At {
                span: text.span,
                value,
            }),
            Err(error) => {
                self.problems.error(
                    &text.span,
                    format!("`{key}` in {}: {error}", self.name),
                    hint,
                );
                None
            }
        }
    }

    /// True or false.
    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        found
    }

    /// A whole number within a range.
    pub fn integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let parsed = u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok();
        let found = parsed.filter(|number| range.contains(number));
        if found.is_none() {
            self.problems.error(
                &value.span(),
                format!("`{key}` in {} is out of range", self.name),
                format!("give a number from {} to {}", range.start(), range.end()),
            );
        }
        found
    }

    /// A number that need not be whole, within a range.
    pub fn number(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.value(key)?;
        let written = value.get_ref();
        let float = written.as_float().map(toml::de::DeFloat::as_str);
        let Some(text) = float.or_else(|| written.as_integer().map(toml::de::DeInteger::as_str))
        else {
            self.wrong_type(key, value, "a number");
            return None;
        };
        let parsed = text.replace('_', "").parse::<f64>().ok();
        let found = parsed.filter(|number| range.contains(number));
        if found.is_none() {
            self.problems.error(
                &value.span(),
                format!("`{key}` in {} is out of range", self.name),
                format!("give a number from {} to {}", range.start(), range.end()),
            );
        }
        found
    }

    /// A time span such as `"90s"` or `"1h30m"`, within a range.
    pub fn duration(
        &self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<At<Duration>> {
        let value = self.value(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a time span in quotes, such as \"5m\"");
            return None;
        };
        let found = super::duration::parse(text);
        match found {
            Some(duration) if range.contains(&duration) => Some(At {
                span: value.span(),
                value: duration,
            }),
            Some(_) => {
                self.problems.error(
                    &value.span(),
                    format!("`{key}` in {} is out of range", self.name),
                    format!(
                        "give a time span from {} to {}",
                        super::duration::show(*range.start()),
                        super::duration::show(*range.end())
                    ),
                );
                None
            }
            None => {
                self.problems.error(
                    &value.span(),
                    format!("`{key}` in {}: `{text}` is not a time span", self.name),
                    "write a number and a unit: `500ms`, `30s`, `5m`, `1h30m`, `1d`",
                );
                None
            }
        }
    }

    /// One of a fixed set of words.
    pub fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        let text = self.string(key)?;
        self.choose(key, &text, words)
    }

    /// A list of strings; absent is `None`, a wrong element is noted and left out.
    pub fn strings(&self, key: &'static str) -> Option<Vec<At<String>>> {
        let value = self.value(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of strings in brackets");
            return None;
        };
        let mut found = Vec::new();
        for element in array.iter() {
            match element.get_ref().as_str() {
                Some(text) => found.extend(self.one_line(key, element, text)),
                None => self.wrong_type(key, element, "strings only"),
            }
        }
        Some(found)
    }

    /// A list of words out of a fixed set; `None` also when one of them is wrong.
    pub fn choices<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<Vec<T>> {
        let texts = self.strings(key)?;
        let chosen: Vec<T> = texts
            .iter()
            .filter_map(|text| self.choose(key, text, words))
            .map(|chosen| chosen.value)
            .collect();
        (chosen.len() == texts.len()).then_some(chosen)
    }

    fn choose<T: Copy>(&self, key: &str, text: &At<String>, words: &[(&str, T)]) -> Option<At<T>> {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At {
                span: text.span.clone(),
                value: *value,
            });
        }
        self.problems.error(
            &text.span,
            format!("`{key}` in {}: unknown value `{}`", self.name, text.value),
            suggest::hint(&text.value, words.iter().map(|(word, _)| *word)),
        );
        None
    }

    /// A table below this one, as `[name]` or inline.
    pub fn section(&self, key: &'static str, name: &str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(Section::new(
                name,
                self.header_span(key, value),
                table,
                self.problems,
            )),
            None => {
                self.wrong_type(key, value, "a table");
                None
            }
        }
    }

    /// The tables of `[[key]]`, each called by its `name` where it has one.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.problems.error(
                &self.key_span(key),
                format!("`{key}` is a list of tables"),
                format!("write `[[{key}]]` with two brackets"),
            );
            return Vec::new();
        };
        let mut found = Vec::new();
        for element in array.iter() {
            let Some(table) = element.get_ref().as_table() else {
                self.wrong_type(key, element, "a table");
                continue;
            };
            let name = table
                .get("name")
                .and_then(|name| name.get_ref().as_str())
                .map_or_else(
                    || format!("[[{key}]]"),
                    |name| format!("[[{key}]] `{}`", name.escape_debug()),
                );
            found.push(Section::new(name, element.span(), table, self.problems));
        }
        found
    }

    /// `[name]` is marked at its header, an inline table at its key.
    fn header_span(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Span {
        let key_span = self.key_span(key);
        let value_span = value.span();
        if value_span.start <= key_span.start && key_span.end <= value_span.end {
            value_span
        } else {
            key_span
        }
    }

    /// Notes a value of the wrong type.
    pub fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.problems.error(
            &value.span(),
            format!(
                "`{key}` in {} is a TOML {}",
                self.name,
                value.get_ref().type_str()
            ),
            format!("it takes {wanted}"),
        );
    }

    /// Notes every key nobody asked for. Their values may be secrets with a misspelt name.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for (key, value) in self.table.iter() {
            let word: &str = key.get_ref();
            if asked.contains(&word) {
                continue;
            }
            if value.get_ref().as_table().is_none() {
                self.problems.conceal(&value.span());
            }
            self.problems.error(
                &key.span(),
                format!("unknown key `{word}` in {}", self.name),
                suggest::hint(word, asked.iter().copied()),
            );
        }
    }

    /// How messages call this section.
    pub fn name(&self) -> &str {
        &self.name
    }
}
