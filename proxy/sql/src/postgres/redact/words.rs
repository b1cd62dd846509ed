//! Which words and quoted names are values.
//!
//! The grammar takes bare words where one would expect constants: values of settings and options,
//! arguments of triggers, bounds of partitions. And people put values into double quotes. A few
//! states follow the statement's words; where a value may stand, a word is hidden unless it is on a
//! list. The text has been through the grammar: what that refuses need not be thought of here.

mod lists;

use std::borrow::Cow;

use crate::{
    postgres::{lexer::TokenKind, pretty},
    shown,
};
use lists::{BOUND_WORDS, DATABASE_WORDS, NAME_OPTIONS, OBJECT_MODIFIERS, VALUE_WORDS};

/// What a token is to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sees<'a> {
    Keyword(Cow<'a, str>),
    /// A name that may be shown.
    Name,
    /// A name that could be a value.
    HiddenName,
    Value,
    /// An operator, a bracket, a parameter.
    Sign,
}

/// Follows one statement from token to token.
pub(super) struct Words<'k> {
    is_known: &'k dyn Fn(&str) -> bool,
    /// Words and names so far.
    seen: usize,
    first: First,
    /// What CREATE or ALTER is about.
    object: Object,
    setting: Setting,
    brackets: Vec<Bracket>,
    /// The token before, as far as it matters.
    last: Last,
    trigger: Trigger,
    /// Of a database: the value of the option before is a name.
    option_names: bool,
    /// `FOR VALUES`: brackets hold bounds.
    bounds: bool,
}

/// The statement's first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    None,
    Alter,
    Copy,
    Create,
    /// EXPLAIN and kin: brackets right after the word hold options.
    Optioned,
    Set,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    Undecided,
    /// Its definition is a list of `name = value`.
    Definition,
    Database,
    Index,
    /// Can have settings: a role, a routine, the system.
    Holder,
    Other,
}

/// `SET name = value, ..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    None,
    Name,
    Value,
    /// After a value: a comma brings another.
    AfterValue,
}

/// `EXECUTE FUNCTION f`: what its brackets hold are strings without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    None,
    Execute,
    /// After FUNCTION or PROCEDURE, up to the bracket.
    Name,
}

/// What a bracket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Plain,
    /// `name = value` between commas; `name value` too where `spaced`. `names`: the value is one.
    Options {
        part: Part,
        spaced: bool,
        names: bool,
    },
    /// Constants, whatever they look like.
    Values,
    /// A list where a quoted name is likelier a value. `row`: one of VALUES.
    Suspect {
        row: bool,
    },
}

/// Where in an option the next word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    /// After the key's first word; a dot continues it.
    AfterKey,
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    None,
    With,
    Set,
    Time,
    In,
    Values,
    /// The bracket of a row of VALUES closed.
    RowEnd,
    For,
    As,
    Begin,
    /// Something COPY reads from or writes to.
    Place,
    /// After this a quoted name is likelier a value: `=`, LIKE.
    Comparison,
    Dot,
    Other,
}

impl<'k> Words<'k> {
    pub(super) fn new(is_known: &'k dyn Fn(&str) -> bool) -> Self {
        Self {
            is_known,
            seen: 0,
            first: First::None,
            object: Object::Undecided,
            setting: Setting::None,
            brackets: Vec::new(),
            last: Last::None,
            trigger: Trigger::None,
            option_names: false,
            bounds: false,
        }
    }

    /// The next token; `follows` is the kind of the one after it.
    pub(super) fn see<'a>(
        &mut self,
        kind: TokenKind,
        text: &'a str,
        follows: Option<TokenKind>,
    ) -> Sees<'a> {
        match kind {
            TokenKind::Word => self.word(text),
            TokenKind::QuotedIdent => self.quoted(text, follows),
            TokenKind::String | TokenKind::Number => {
                self.advance("");
                self.last = Last::Place;
                Sees::Value
            }
            TokenKind::Param => {
                self.advance("");
                self.last = Last::Other;
                Sees::Sign
            }
            TokenKind::Operator => {
                self.operator(text);
                Sees::Sign
            }
            TokenKind::Punct(byte) => {
                self.punct(byte);
                Sees::Sign
            }
        }
    }

    fn word<'a>(&mut self, text: &'a str) -> Sees<'a> {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        self.seen += 1;
        self.begin(text);
        let upper = text.to_ascii_uppercase();
        let keyword = pretty::is_keyword(&upper);
        let starts_value =
            self.setting == Setting::Name && (is("to") || (self.last == Last::Time && is("zone")));
        let value = !starts_value && self.is_value(text, keyword);
        self.advance(text);
        if starts_value {
            self.setting = Setting::Value;
        } else if is("set") && !value && self.can_set() {
            self.setting = Setting::Name;
        }
        self.last = self.last_of(&upper);
        if value {
            Sees::Value
        } else if keyword {
            Sees::Keyword(Cow::Owned(upper))
        } else if shown(text) == text || (self.is_known)(&text.to_lowercase()) {
            Sees::Name
        } else {
            Sees::HiddenName
        }
    }

    fn quoted<'a>(&mut self, text: &str, follows: Option<TokenKind>) -> Sees<'a> {
        let inside = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let value = self.is_value("", false);
        let qualified =
            self.last == Last::Dot || matches!(follows, Some(TokenKind::Punct(b'.' | b'(')));
        let suspect = !qualified
            && (self.last == Last::Comparison
                || matches!(self.brackets.last(), Some(Bracket::Suspect { .. })));
        self.seen += 1;
        self.advance("");
        self.last = Last::Other;
        match inside {
            _ if value => Sees::Value,
            Some(name) if (self.is_known)(name) => Sees::Name,
            Some(name) if !suspect && shown(name) == name => Sees::Name,
            _ => Sees::HiddenName,
        }
    }

    /// The words that say what kind of statement this is.
    fn begin(&mut self, text: &str) {
        let any = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if self.seen == 1 {
            self.first = first_of(text);
            if !matches!(self.first, First::Alter | First::Create) {
                self.object = Object::Other;
            }
            return;
        }
        match self.object {
            Object::Definition if self.seen == 3 && any(&["class", "family"]) => {
                self.object = Object::Other;
            }
            Object::Undecided if !any(&OBJECT_MODIFIERS) => self.object = object_of(text),
            _ => {}
        }
    }

    fn can_set(&self) -> bool {
        match self.first {
            First::Set => true,
            First::Alter => matches!(self.object, Object::Holder | Object::Database),
            First::Create => self.object == Object::Holder,
            First::None | First::Copy | First::Optioned | First::Other => false,
        }
    }

    /// Whether a word, or a quoted name, stands where a value does.
    fn is_value(&self, text: &str, keyword: bool) -> bool {
        let among = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if self.setting == Setting::Value {
            return !among(&VALUE_WORDS);
        }
        match self.brackets.last() {
            Some(Bracket::Options {
                part,
                spaced,
                names,
            }) => {
                let stands_for_value = match part {
                    Part::Key => false,
                    Part::AfterKey => *spaced && self.last != Last::Dot,
                    Part::Value => !names,
                };
                stands_for_value && !among(&VALUE_WORDS)
            }
            Some(Bracket::Values) => !among(&VALUE_WORDS) && !among(&BOUND_WORDS),
            Some(Bracket::Plain | Bracket::Suspect { .. }) => false,
            None => {
                self.object == Object::Database
                    && self.setting == Setting::None
                    && self.seen > DATABASE_NAME_AT
                    && !self.option_names
                    && !keyword
                    && !among(&VALUE_WORDS)
                    && !among(&DATABASE_WORDS)
            }
        }
    }

    /// Takes note of a word, name or constant that was judged.
    fn advance(&mut self, text: &str) {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        self.setting = match self.setting {
            Setting::Value => Setting::AfterValue,
            Setting::AfterValue => Setting::None,
            other => other,
        };
        self.advance_bracket(text);
        self.option_names = ["owner", "template", "tablespace", "to", "reset"]
            .into_iter()
            .any(is);
        self.bounds = (self.bounds || self.last == Last::For && is("values")) && !is("by");
        if self.last == Last::Begin && is("atomic") {
            // Statements follow; what they SET are columns.
            self.object = Object::Other;
        }
        self.trigger = match self.trigger {
            Trigger::None if is("execute") => Trigger::Execute,
            Trigger::Execute if is("function") || is("procedure") => Trigger::Name,
            Trigger::Name => Trigger::Name,
            Trigger::None | Trigger::Execute => Trigger::None,
        };
    }

    fn advance_bracket(&mut self, text: &str) {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        let defines = self.object == Object::Definition;
        match self.brackets.last_mut() {
            Some(Bracket::Options { part, names, .. }) if *part == Part::Key => {
                *part = Part::AfterKey;
                *names = defines && NAME_OPTIONS.iter().any(|option| is(option));
            }
            Some(Bracket::Options {
                part, spaced: true, ..
            }) if *part == Part::AfterKey && self.last != Last::Dot => *part = Part::Value,
            // A query, not a list.
            Some(bracket @ Bracket::Suspect { .. }) if is("select") || is("with") => {
                *bracket = Bracket::Plain;
            }
            _ => {}
        }
    }

    fn operator(&mut self, text: &str) {
        if text == "=" {
            if self.setting == Setting::Name {
                self.setting = Setting::Value;
            }
            if let Some(Bracket::Options { part, .. }) = self.brackets.last_mut() {
                *part = Part::Value;
            }
            if self.object == Object::Database {
                // `OWNER = name`: the word before decides still.
                return;
            }
        }
        // Any comparison, of whatever type; not `||` and arithmetic.
        let compares = text.bytes().any(|byte| b"<>=~!".contains(&byte));
        self.last = if compares {
            Last::Comparison
        } else {
            Last::Other
        };
    }

    fn punct(&mut self, byte: u8) {
        self.last = match byte {
            b'(' | b'[' => {
                let bracket = self.bracket(byte);
                self.brackets.push(bracket);
                self.trigger = Trigger::None;
                Last::Other
            }
            b')' | b']' => match self.brackets.pop() {
                Some(Bracket::Suspect { row: true }) => Last::RowEnd,
                _ => Last::Other,
            },
            b',' => {
                if let Some(Bracket::Options { part, .. }) = self.brackets.last_mut() {
                    *part = Part::Key;
                }
                if self.setting == Setting::AfterValue {
                    self.setting = Setting::Value;
                }
                if self.last == Last::RowEnd {
                    Last::Values
                } else {
                    Last::Other
                }
            }
            b'.' => Last::Dot,
            _ => Last::Other,
        };
    }

    /// What the bracket that opens here holds.
    fn bracket(&self, byte: u8) -> Bracket {
        let options = |spaced| Bracket::Options {
            part: Part::Key,
            spaced,
            names: false,
        };
        let outermost = self.brackets.is_empty();
        match self.brackets.last() {
            // `FORCE_QUOTE (a, b)` lists columns.
            Some(Bracket::Options { .. }) => return Bracket::Plain,
            Some(Bracket::Values) => return Bracket::Values,
            _ if byte == b'[' => return Bracket::Suspect { row: false },
            _ if self.trigger == Trigger::Name => return Bracket::Values,
            _ => {}
        }
        match self.last {
            Last::With => options(self.first == First::Copy),
            Last::Set if self.first == First::Alter => options(false),
            Last::Place if self.first == First::Copy && outermost => options(true),
            Last::Other if self.first == First::Optioned && self.seen == 1 => options(true),
            _ if self.bounds && outermost => Bracket::Values,
            // Parameters of an operator class: `(c gist_ops (siglen = 8))`.
            Last::Other if self.object == Object::Index && self.brackets.len() == 1 => {
                options(false)
            }
            Last::As => Bracket::Plain,
            _ if self.object == Object::Definition && outermost => options(false),
            Last::Values => Bracket::Suspect { row: true },
            Last::In => Bracket::Suspect { row: false },
            _ if matches!(self.brackets.last(), Some(Bracket::Suspect { .. })) => {
                Bracket::Suspect { row: false }
            }
            _ => Bracket::Plain,
        }
    }

    fn last_of(&self, upper: &str) -> Last {
        match upper {
            "WITH" => Last::With,
            "SET" => Last::Set,
            "TIME" => Last::Time,
            "IN" => Last::In,
            "VALUES" => Last::Values,
            "FOR" => Last::For,
            "AS" => Last::As,
            "BEGIN" => Last::Begin,
            "STDIN" | "STDOUT" => Last::Place,
            // `CREATE TABLE t (LIKE "Other")` names a table.
            "LIKE" | "ILIKE" | "BETWEEN" if self.first != First::Create => Last::Comparison,
            _ => Last::Other,
        }
    }
}

/// `CREATE DATABASE name`: words up to the name.
const DATABASE_NAME_AT: usize = 3;

fn first_of(word: &str) -> First {
    let any = |words: &[&str]| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    if any(&["alter"]) {
        First::Alter
    } else if any(&["create"]) {
        First::Create
    } else if any(&["set"]) {
        First::Set
    } else if any(&["copy"]) {
        First::Copy
    } else if any(&["explain", "vacuum", "reindex", "cluster", "checkpoint"])
        || any(&["analyze", "analyse"])
    {
        First::Optioned
    } else {
        First::Other
    }
}

fn object_of(word: &str) -> Object {
    let any = |words: &[&str]| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    if any(&["role", "user", "system", "function", "procedure", "routine"]) {
        Object::Holder
    } else if any(&["database"]) {
        Object::Database
    } else if any(&["index"]) {
        Object::Index
    } else if any(&["type", "aggregate", "operator", "collation", "text"]) {
        Object::Definition
    } else {
        Object::Other
    }
}
