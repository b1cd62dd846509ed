//! From what was typed to a command. Total and bounded; what is wrong is said with how it is written.

use abeyance_api::{MOMENT_FORM, Moment, Named, nearest, says_something};

use super::{
    grammar::{self, Command, Filter, Form},
    tokens::{Token, Typed, said, typed},
};
use crate::limits;

/// A stretch of what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    Text(String),
    /// Somebody was picked from the chat's own list of people.
    Person {
        named: Named,
        /// As it reads in a sentence: `@bob`.
        shown: String,
    },
}

/// Why something is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotACommand {
    /// In a sentence, without its full stop.
    pub problem: String,
    /// How the command that was meant is written; none when nobody knows which.
    pub form: Option<&'static str>,
    /// A word that may have been meant.
    pub near: Option<&'static str>,
}

/// Reads a command.
///
/// # Errors
/// What is wrong with it.
pub fn parse(runs: &[Run]) -> Result<Command, NotACommand> {
    let length: usize = runs
        .iter()
        .map(|run| match run {
            Run::Text(text) => text.chars().count(),
            Run::Person { shown, .. } => shown.chars().count(),
        })
        .sum();
    if length > limits::COMMAND_CHARS_MAX {
        return Err(NotACommand {
            problem: format!(
                "a command has at most {} characters",
                limits::COMMAND_CHARS_MAX
            ),
            form: None,
            near: None,
        });
    }
    let typed = typed(runs);
    let mut reading = Reading {
        typed,
        form: &grammar::HELP,
    };
    let command = reading.command()?;
    reading.end()?;
    Ok(command)
}

/// Takes what was typed, word by word, and knows which form it is held against.
struct Reading {
    typed: Typed,
    form: &'static Form,
}

type Read<T> = Result<T, NotACommand>;

const NAMES: [&str; 9] = [
    "help", "holds", "show", "audit", "oncall", "override", "swap", "grants", "revoke",
];

impl Reading {
    fn wrong<T>(&self, problem: impl Into<String>) -> Read<T> {
        Err(NotACommand {
            problem: problem.into(),
            form: Some(self.form.written),
            near: None,
        })
    }

    fn command(&mut self) -> Read<Command> {
        let Some(first) = self.typed.tokens.pop_front() else {
            return Ok(Command::Help);
        };
        let Token::Word(first) = first else {
            return self.unknown("a command begins with a word", None);
        };
        match first.to_lowercase().as_str() {
            "help" => Ok(Command::Help),
            "holds" => self.holds(),
            "show" => self.show(),
            "audit" => self.audit(),
            "oncall" => {
                self.form = &grammar::ONCALL;
                let schedule = self.last_word("a schedule")?;
                Ok(Command::Oncall { schedule })
            }
            "override" => self.overriding(),
            "swap" => self.swap(),
            "grants" => {
                self.form = &grammar::GRANTS;
                Ok(Command::Grants)
            }
            "revoke" => self.revoke(),
            other => {
                let near = nearest(other, NAMES);
                self.unknown(&format!("there is no command “{}”", short(other)), near)
            }
        }
    }

    fn unknown<T>(&self, problem: &str, near: Option<&'static str>) -> Read<T> {
        Err(NotACommand {
            problem: problem.to_owned(),
            form: None,
            near,
        })
    }

    fn holds(&mut self) -> Read<Command> {
        self.form = &grammar::HOLDS;
        let mut filter = Filter::default();
        while let Some(word) = self.keyword(&["agent", "target"])? {
            self.one_of_filter(word, &mut filter)?;
        }
        Ok(Command::Holds(filter))
    }

    fn audit(&mut self) -> Read<Command> {
        self.form = &grammar::AUDIT;
        let mut filter = Filter::default();
        let (mut person, mut hours) = (None, None);
        while let Some(word) = self.keyword(&["agent", "target", "person", "since"])? {
            match word {
                "person" if person.is_none() => person = Some(self.person()?),
                "since" if hours.is_none() => hours = Some(self.hours()?),
                "person" | "since" => return self.wrong(format!("{word} is given twice")),
                word => self.one_of_filter(word, &mut filter)?,
            }
        }
        Ok(Command::Audit {
            filter,
            person,
            hours: hours.unwrap_or(limits::AUDIT_HOURS),
        })
    }

    fn one_of_filter(&mut self, word: &str, filter: &mut Filter) -> Read<()> {
        let place = match word {
            "agent" => &mut filter.agent,
            _ => &mut filter.target,
        };
        if place.is_some() {
            return self.wrong(format!("{word} is given twice"));
        }
        *place = Some(self.word("a name")?);
        Ok(())
    }

    fn show(&mut self) -> Read<Command> {
        self.form = &grammar::SHOW;
        let id = self.word("a hold's id")?;
        match id.parse() {
            Ok(hold) => Ok(Command::Show(hold)),
            Err(_) => self.wrong(format!("“{}” is no hold's id", short(&id))),
        }
    }

    fn revoke(&mut self) -> Read<Command> {
        self.form = &grammar::REVOKE;
        let id = self.word("a grant's id")?;
        let Ok(grant) = id.parse() else {
            return self.wrong(format!("“{}” is no grant's id", short(&id)));
        };
        let reason = self.reason()?;
        Ok(Command::Revoke { grant, reason })
    }

    fn overriding(&mut self) -> Read<Command> {
        self.form = &grammar::OVERRIDE;
        let first = self.word("a schedule")?;
        match first.to_lowercase().as_str() {
            "list" => {
                self.form = &grammar::OVERRIDE_LIST;
                let schedule = self.last_word("a schedule")?;
                return Ok(Command::Overrides { schedule });
            }
            "remove" => {
                self.form = &grammar::OVERRIDE_REMOVE;
                let id = self.word("an override's id")?;
                let reason = self.reason()?;
                return Ok(Command::OverrideRemove { id, reason });
            }
            _ => {}
        }
        let people = self.people()?;
        self.expect("from")?;
        let from = self.moment()?;
        self.expect("until")?;
        let until = self.moment()?;
        Ok(Command::Override {
            schedule: first,
            people,
            from,
            until,
            reason: self.reason()?,
        })
    }

    fn swap(&mut self) -> Read<Command> {
        self.form = &grammar::SWAP;
        let schedule = self.word("a schedule")?;
        let shift = self.moment()?;
        self.expect("with")?;
        let with = self.moment()?;
        Ok(Command::Swap {
            schedule,
            shift,
            with,
            reason: self.reason()?,
        })
    }

    /// A word that may stand here next, or nothing at the end.
    fn keyword(&mut self, words: &[&'static str]) -> Read<Option<&'static str>> {
        let Some(token) = self.typed.tokens.pop_front() else {
            return Ok(None);
        };
        let given = said(&token);
        let found = words.iter().find(|word| given.eq_ignore_ascii_case(word));
        if let Some(word) = found {
            return Ok(Some(word));
        }
        Err(NotACommand {
            problem: format!("“{}” is not expected here", short(&given)),
            form: Some(self.form.written),
            near: nearest(&given, words.iter().copied()),
        })
    }

    fn expect(&mut self, word: &'static str) -> Read<()> {
        match self.keyword(&[word]) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => self.wrong(format!("“{word}” is missing")),
            Err(wrong) => Err(NotACommand {
                problem: format!("“{word}” is missing: {}", wrong.problem),
                ..wrong
            }),
        }
    }

    fn word(&mut self, what: &str) -> Read<String> {
        match self.typed.tokens.pop_front() {
            Some(Token::Word(word)) if word.chars().count() <= limits::COMMAND_NAME_CHARS_MAX => {
                Ok(word)
            }
            Some(Token::Word(_)) => self.wrong(format!(
                "{what} has at most {} characters",
                limits::COMMAND_NAME_CHARS_MAX
            )),
            Some(Token::Comma | Token::Person(_)) | None => {
                self.wrong(format!("{what} is missing"))
            }
        }
    }

    fn last_word(&mut self, what: &str) -> Read<Option<String>> {
        if self.typed.tokens.is_empty() {
            return Ok(None);
        }
        self.word(what).map(Some)
    }

    fn person(&mut self) -> Read<Named> {
        if let Some(Token::Person(_)) = self.typed.tokens.front()
            && let Some(Token::Person(named)) = self.typed.tokens.pop_front()
        {
            return Ok(named);
        }
        let name = self.word("a person")?;
        // Typed and not picked: people write it all the same.
        let name = name.trim_start_matches('@').to_owned();
        Ok(Named::Name { name })
    }

    fn people(&mut self) -> Read<Vec<Named>> {
        let mut people = vec![self.person()?];
        while self.typed.tokens.front() == Some(&Token::Comma) {
            self.typed.tokens.pop_front();
            people.push(self.person()?);
            if people.len() > limits::COMMAND_PEOPLE_MAX {
                return self.wrong(format!(
                    "at most {} people stand in together",
                    limits::COMMAND_PEOPLE_MAX
                ));
            }
        }
        Ok(people)
    }

    fn moment(&mut self) -> Read<Moment> {
        let mut whole = self.word("a time")?;
        if whole.parse::<Moment>().is_err()
            && let Some(Token::Word(second)) = self.typed.tokens.front()
            && second.contains(':')
        {
            whole = format!("{whole} {second}");
            self.typed.tokens.pop_front();
        }
        match whole.parse() {
            Ok(moment) => Ok(moment),
            Err(_) => self.wrong(format!(
                "“{}” is no time; T is {MOMENT_FORM}",
                short(&whole.replace('T', " "))
            )),
        }
    }

    /// `90m`, `24h`, `7d`; in hours, the begun one counted.
    fn hours(&mut self) -> Read<u32> {
        let given = self.word("how long ago")?;
        let lower = given.to_lowercase();
        let read = |unit: char| lower.strip_suffix(unit)?.parse::<u32>().ok();
        let hours = read('h')
            .or_else(|| read('d').map(|days| days.saturating_mul(24)))
            .or_else(|| read('m').map(|minutes| minutes.div_ceil(60)));
        match hours {
            Some(hours) if (1..=limits::AUDIT_HOURS_MAX).contains(&hours) => Ok(hours),
            Some(_) => self.wrong(format!(
                "since looks back 1h to {}d",
                limits::AUDIT_HOURS_MAX / 24
            )),
            None => self.wrong(format!(
                "“{}” says not how long ago; 90m, 24h or 7d does",
                short(&given)
            )),
        }
    }

    fn reason(&mut self) -> Read<String> {
        let left = self.typed.tokens.front().map(said);
        if let Some(left) = left {
            return self.wrong(format!(
                "“because” is missing: “{}” is not expected here",
                short(&left)
            ));
        }
        let reason = self.typed.reason.take();
        match reason.map(|reason| reason.trim().to_owned()) {
            Some(reason) if reason.chars().count() > limits::REASON_CHARS_MAX => {
                self.wrong(format!(
                    "a reason has at most {} characters",
                    limits::REASON_CHARS_MAX
                ))
            }
            Some(reason) if says_something(&reason) => Ok(reason),
            Some(_) | None => self.wrong("say why, after “because”"),
        }
    }

    /// Nothing may be left.
    fn end(&self) -> Read<()> {
        if let Some(left) = self.typed.tokens.front() {
            return self.wrong(format!("“{}” is not expected here", short(&said(left))));
        }
        if self.typed.reason.is_some() {
            return self.wrong("no reason is needed for this");
        }
        Ok(())
    }
}

/// Enough of a word to be recognised.
fn short(word: &str) -> String {
    let mut shown: String = word.chars().take(limits::WORD_SHOWN_CHARS).collect();
    if shown.len() < word.len() {
        shown.push('…');
    }
    shown
}
