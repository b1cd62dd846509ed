//! Settings that decide how text is read, followed by the text of SET alone.
//!
//! A server would report `standard_conforming_strings` and `client_encoding`, and could be asked for `search_path`.
//! Here the value has to stand in the statement; what changes one otherwise leaves it unknown.

use std::sync::Arc;

use abeyance_sql::{SessionEffect, Sight, StatementFacts, TransactionEffect};

use crate::session::reading::may_change_reading;

/// The settings now, and what the end of the transaction makes of them.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    now: Values,
    fresh: Values,
    /// In a transaction: as they were before it, and as its COMMIT leaves them.
    before: Option<(Values, Values)>,
}

/// `None` where a value is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Values {
    conforming: Option<bool>,
    utf8: Option<bool>,
    search_path: Option<Arc<[String]>>,
}

impl Values {
    const UNKNOWN: Self = Self {
        conforming: None,
        utf8: None,
        search_path: None,
    };
}

impl Settings {
    pub(super) fn new(sight: Option<&Sight>) -> Self {
        let fresh = Values {
            conforming: Some(true),
            utf8: Some(true),
            search_path: sight.map(|sight| Arc::clone(&sight.search_path)),
        };
        Self {
            now: fresh.clone(),
            fresh,
            before: None,
        }
    }

    pub(super) fn conforming_strings(&self) -> bool {
        self.now.conforming.unwrap_or(true)
    }

    pub(super) fn is_utf8(&self) -> bool {
        self.now.utf8 != Some(false)
    }

    /// How text is read is not known.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.now.conforming.is_none() || self.now.utf8.is_none()
    }

    /// The catalog as the session would see it; none where names may lead anywhere.
    pub(super) fn sight(&self, sight: Option<&Sight>) -> Option<Sight> {
        let search_path = Arc::clone(self.now.search_path.as_ref()?);
        Some(Sight {
            search_path,
            ..sight?.clone()
        })
    }

    /// Follows a statement that completed.
    pub(super) fn follow(&mut self, facts: &StatementFacts, text: &[u8]) {
        match facts.transaction {
            TransactionEffect::None => {}
            TransactionEffect::Begin => {
                let now = self.now.clone();
                self.before.get_or_insert((now.clone(), now));
                return;
            }
            TransactionEffect::Commit => {
                if let Some((_, kept)) = self.before.take() {
                    self.now = kept;
                }
                return;
            }
            TransactionEffect::Rollback | TransactionEffect::TwoPhase => {
                if let Some((before, _)) = self.before.take() {
                    self.now = before;
                }
                return;
            }
            TransactionEffect::Savepoint => {
                // ROLLBACK TO takes back what came since the savepoint, which is not kept track of.
                let changed = self.before.as_ref().is_some_and(|(b, _)| *b != self.now);
                if changed {
                    self.forget();
                }
                return;
            }
        }
        match &facts.session {
            SessionEffect::Set { parameter, local } => self.set(parameter, *local, text),
            SessionEffect::Role => self.change(false, |values| values.search_path = None),
            SessionEffect::Reset => {
                let fresh = self.fresh.clone();
                self.change(false, |values| *values = fresh.clone());
            }
            SessionEffect::None | SessionEffect::Notify => {}
        }
        if !facts.is_certain() || facts.functions.iter().any(|f| f.name == "set_config") {
            self.forget();
        } else if may_change_reading(facts) && !is_followed(&facts.session) {
            self.change(false, |values| {
                values.conforming = None;
                values.utf8 = None;
            });
        }
    }

    fn forget(&mut self) {
        self.change(false, |values| *values = Values::UNKNOWN);
    }

    /// A change with SET LOCAL ends with the transaction. Outside of one the server only warns, but for the rest of a
    /// query string with several statements it counts.
    fn change(&mut self, local: bool, change: impl Fn(&mut Values)) {
        if local && self.before.is_none() {
            self.now = Values::UNKNOWN;
            return;
        }
        change(&mut self.now);
        if let Some((_, kept)) = &mut self.before
            && !local
        {
            change(kept);
        }
    }

    fn set(&mut self, parameter: &str, local: bool, text: &[u8]) {
        let parameter = parameter.to_ascii_lowercase();
        let values = std::str::from_utf8(text).ok().and_then(values_of);
        let fresh = self.fresh.clone();
        let reset = values.as_ref().is_some_and(Vec::is_empty);
        let word = match values.as_deref() {
            Some([only]) => Some(only.to_ascii_lowercase()),
            _ => None,
        };
        match parameter.as_str() {
            "standard_conforming_strings" => {
                let value = match word.as_deref() {
                    _ if reset => fresh.conforming,
                    Some("on" | "true" | "yes" | "1") => Some(true),
                    Some("off" | "false" | "no" | "0") => Some(false),
                    _ => None,
                };
                self.change(local, |values| values.conforming = value);
            }
            "client_encoding" | "names" => {
                let value = match word.as_deref() {
                    _ if reset => fresh.utf8,
                    Some(name) => Some(matches!(name, "utf8" | "utf-8" | "unicode")),
                    None => None,
                };
                self.change(local, |values| values.utf8 = value);
            }
            "search_path" => {
                let value = if reset {
                    fresh.search_path
                } else {
                    values
                        .map(|names| resolved_path(&names))
                        .unwrap_or_default()
                };
                self.change(local, |values| values.search_path.clone_from(&value));
            }
            _ => {}
        }
    }
}

/// The value of the setting is read from the statement.
fn is_followed(effect: &SessionEffect) -> bool {
    matches!(effect, SessionEffect::Set { .. } | SessionEffect::Reset)
}

/// As `current_schemas(true)` would give it; `None` where the login's own schema is in it.
fn resolved_path(names: &[String]) -> Option<Arc<[String]>> {
    if names.iter().any(|name| name == "$user") {
        return None;
    }
    let named = names.iter().filter(|name| *name != "pg_temp").cloned();
    let implied = (!names.iter().any(|name| name == "pg_catalog")).then(|| "pg_catalog".to_owned());
    Some(implied.into_iter().chain(named).collect())
}

/// The values of `SET name = a, 'b', "c"`; empty for DEFAULT and RESET, `None` for what is written otherwise.
fn values_of(statement: &str) -> Option<Vec<String>> {
    let mut words = words_of(statement)?.into_iter().peekable();
    let plain = |word: &Word, text: &str| matches!(word, Word::Name(name) if name == text);
    let first = words.next()?;
    if plain(&first, "reset") {
        return Some(Vec::new());
    }
    if !plain(&first, "set") {
        return None;
    }
    if words
        .peek()
        .is_some_and(|word| plain(word, "session") || plain(word, "local"))
    {
        words.next();
    }
    let names = plain(&words.next()?, "names");
    while words
        .next_if(|word| matches!(word, Word::Sign('.')))
        .is_some()
    {
        words.next()?;
    }
    if !names {
        let assigns = words.next()?;
        if !matches!(assigns, Word::Sign('=')) && !plain(&assigns, "to") {
            return None;
        }
    }
    let mut values = Vec::new();
    loop {
        match words.next()? {
            Word::Name(name) if name == "default" && values.is_empty() => {
                return words.next().is_none().then(Vec::new);
            }
            Word::Name(text) | Word::Quoted(text) => values.push(text),
            Word::Sign(_) => return None,
        }
        match words.next() {
            None => return Some(values),
            Some(Word::Sign(',')) => {}
            Some(_) => return None,
        }
    }
}

enum Word {
    /// Unquoted, in lower case; numbers too.
    Name(String),
    /// A string or a quoted name.
    Quoted(String),
    Sign(char),
}

/// Words of a SET; `None` where reading it needs more than this: comments, backslashes, escapes.
fn words_of(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '=' | ',' | '.' => words.push(Word::Sign(c)),
            '\'' | '"' => {
                let mut inner = String::new();
                loop {
                    match chars.next()? {
                        '\\' => return None,
                        found if found == c => {
                            if chars.next_if_eq(&c).is_none() {
                                break;
                            }
                            inner.push(c);
                        }
                        other => inner.push(other),
                    }
                }
                words.push(Word::Quoted(inner));
            }
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '$') => {
                let mut name = c.to_ascii_lowercase().to_string();
                while let Some(c) =
                    chars.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '-'))
                {
                    name.push(c.to_ascii_lowercase());
                }
                words.push(Word::Name(name));
            }
            _ => return None,
        }
    }
    Some(words)
}
