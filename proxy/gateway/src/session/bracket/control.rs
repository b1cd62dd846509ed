//! Tells transaction control from other statements, and writes it anew in words of our own.
//!
//! A session under the read-only floor never forwards a client's transaction command: what is understood here is
//! sent as canonical text, and what begins like one without being understood is refused. The server's command tags
//! are the second look at it, should a command ever be taken for something else.

use abeyance_wire::postgres::{ErrorFields, SqlState};

use super::words::{Word, words};

/// A transaction command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Control {
    Begin(Opening, Modes),
    Commit { chain: bool },
    Rollback { chain: bool },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    SetTransaction(Modes),
    DiscardAll,
}

/// The words a transaction is begun with: the server's answer repeats them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    Begin,
    Start,
}

impl Opening {
    /// The command, and its tag.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "BEGIN",
            Self::Start => "START TRANSACTION",
        }
    }
}

/// What a statement is to the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not transaction control.
    Plain,
    Control(Control),
    /// May not run on a session that is read-only.
    Refused(&'static str),
}

/// Transaction modes; reading or writing is not among them: the floor decides that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Modes {
    isolation: Option<&'static str>,
    deferrable: Option<bool>,
}

impl Modes {
    /// The session's defaults.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// These, and what they leave open from `other`.
    pub(super) fn or(self, other: &Self) -> Self {
        Self {
            isolation: self.isolation.or(other.isolation),
            deferrable: self.deferrable.or(other.deferrable),
        }
    }

    fn text(&self) -> String {
        let isolation = self
            .isolation
            .map(|level| format!(" ISOLATION LEVEL {level}"));
        let deferrable = self
            .deferrable
            .map(|on| if on { " DEFERRABLE" } else { " NOT DEFERRABLE" });
        format!(
            "{}{}",
            isolation.unwrap_or_default(),
            deferrable.unwrap_or_default()
        )
    }
}

impl Control {
    /// The command in our own words. What begins a transaction begins a read-only one.
    pub(super) fn text(&self) -> String {
        let chain = |chain: &bool| if *chain { " AND CHAIN" } else { "" };
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        match self {
            Self::Begin(opening, modes) => {
                format!("{}{} READ ONLY", opening.as_str(), modes.text())
            }
            Self::SetTransaction(modes) => format!("SET TRANSACTION{} READ ONLY", modes.text()),
            Self::Commit { chain: and } => format!("COMMIT{}", chain(and)),
            Self::Rollback { chain: and } => format!("ROLLBACK{}", chain(and)),
            Self::Savepoint(name) => format!("SAVEPOINT {}", quoted(name)),
            Self::Release(name) => format!("RELEASE SAVEPOINT {}", quoted(name)),
            Self::RollbackTo(name) => format!("ROLLBACK TO SAVEPOINT {}", quoted(name)),
            Self::DiscardAll => "DISCARD ALL".to_owned(),
        }
    }
}

/// The refusal of what would lift the floor.
pub(crate) fn refusal(what: &str) -> ErrorFields {
    ErrorFields::error(SqlState::READ_ONLY_TRANSACTION, format!("{what}: this agent's access is read-only"))
        .detail("The proxy runs every statement of this agent in a read-only transaction.")
        .hint("Send a write on its own, outside of a transaction: it is held for approval, and runs read-write for that statement alone.")
}

/// What a statement is, by its words alone.
pub(crate) fn kind_of(text: &[u8]) -> Kind {
    let mut words = words(text);
    while words.last() == Some(&Word::Sign(';')) {
        words.pop();
    }
    let mut reader = Reader { words: &words };
    let Some(first) = reader.plain() else {
        return Kind::Plain;
    };
    let control = match first {
        "begin" => {
            reader.work();
            reader
                .modes(true)
                .map(|modes| Control::Begin(Opening::Begin, modes))
        }
        "start" if reader.take("transaction") => reader
            .modes(true)
            .map(|modes| Control::Begin(Opening::Start, modes)),
        "commit" | "end" => reader.ended(|chain| Control::Commit { chain }),
        "abort" => reader.ended(|chain| Control::Rollback { chain }),
        "rollback" => reader.rollback(),
        "savepoint" => reader.name().map(Control::Savepoint),
        "release" => {
            reader.savepoint();
            reader.name().map(Control::Release)
        }
        "prepare" if reader.take("transaction") => None,
        "discard" if reader.take("all") => Some(Control::DiscardAll),
        "set" => return reader.set(),
        _ => return Kind::Plain,
    };
    match control {
        Some(control) if reader.words.is_empty() => Kind::Control(control),
        _ if reader.writes() => Kind::Refused("a read-write transaction cannot be begun"),
        _ => Kind::Refused("the transaction command is not carried by the proxy"),
    }
}

struct Reader<'a> {
    words: &'a [Word],
}

impl<'a> Reader<'a> {
    fn plain(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        let Word::Plain(word) = first else {
            return None;
        };
        self.words = rest;
        Some(word)
    }

    fn take(&mut self, expected: &str) -> bool {
        let found = matches!(self.words.first(), Some(Word::Plain(word)) if word == expected);
        if found {
            self.words = self.words.get(1..).unwrap_or_default();
        }
        found
    }

    fn take_all(&mut self, expected: &[&str]) -> bool {
        let before = self.words;
        let found = expected.iter().all(|word| self.take(word));
        if !found {
            self.words = before;
        }
        found
    }

    fn sign(&mut self, expected: char) -> bool {
        let found = self.words.first() == Some(&Word::Sign(expected));
        if found {
            self.words = self.words.get(1..).unwrap_or_default();
        }
        found
    }

    fn work(&mut self) {
        let _ = self.take("work") || self.take("transaction");
    }

    fn savepoint(&mut self) {
        // `RELEASE savepoint` alone names a savepoint so called.
        if self.words.len() > 1 {
            self.take("savepoint");
        }
    }

    fn name(&mut self) -> Option<String> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        match first {
            Word::Plain(name) | Word::Quoted(name) if !name.starts_with("_abeyance") => {
                Some(name.clone())
            }
            _ => None,
        }
    }

    fn ended(&mut self, control: impl Fn(bool) -> Control) -> Option<Control> {
        self.work();
        if self.take_all(&["and", "chain"]) {
            return Some(control(true));
        }
        self.take_all(&["and", "no", "chain"]);
        Some(control(false))
    }

    fn rollback(&mut self) -> Option<Control> {
        self.work();
        if self.take("to") {
            self.savepoint();
            return self.name().map(Control::RollbackTo);
        }
        self.ended(|chain| Control::Rollback { chain })
    }

    /// Modes up to the end. `may_be_none`: none at all is fine too.
    fn modes(&mut self, may_be_none: bool) -> Option<Modes> {
        let mut modes = Modes::default();
        if self.words.is_empty() {
            return may_be_none.then_some(modes);
        }
        loop {
            if self.take_all(&["isolation", "level"]) {
                modes.isolation = Some(self.level()?);
            } else if self.take_all(&["not", "deferrable"]) {
                modes.deferrable = Some(false);
            } else if self.take("deferrable") {
                modes.deferrable = Some(true);
            } else if !self.take_all(&["read", "only"]) {
                return None;
            }
            if self.words.is_empty() {
                return Some(modes);
            }
            self.sign(',');
        }
    }

    fn level(&mut self) -> Option<&'static str> {
        for (words, level) in [
            (&["serializable"][..], "SERIALIZABLE"),
            (&["repeatable", "read"], "REPEATABLE READ"),
            (&["read", "committed"], "READ COMMITTED"),
            (&["read", "uncommitted"], "READ UNCOMMITTED"),
        ] {
            if self.take_all(words) {
                return Some(level);
            }
        }
        None
    }

    /// `READ WRITE` stands somewhere in what is left.
    fn writes(&self) -> bool {
        let write = Word::Plain("write".to_owned());
        self.words.contains(&write)
    }

    fn set(&mut self) -> Kind {
        const READ_WRITE: Kind = Kind::Refused("read-only access cannot be lifted");
        let _ = self.take("local") || (self.words.len() > 1 && self.take("session"));
        if self.take_all(&["characteristics", "as", "transaction"])
            || self.take_all(&["session", "characteristics", "as", "transaction"])
        {
            return match self.writes() {
                true => READ_WRITE,
                false => Kind::Plain,
            };
        }
        if self.take("transaction") {
            return match self.modes(false) {
                Some(modes) => Kind::Control(Control::SetTransaction(modes)),
                None if self.writes() => READ_WRITE,
                None => Kind::Refused("this form of SET TRANSACTION is not carried by the proxy"),
            };
        }
        let name = match self.words.first() {
            Some(Word::Plain(name) | Word::Quoted(name)) => name.to_ascii_lowercase(),
            _ => return Kind::Plain,
        };
        if !matches!(
            &*name,
            "transaction_read_only" | "default_transaction_read_only"
        ) {
            return Kind::Plain;
        }
        self.words = self.words.get(1..).unwrap_or_default();
        let _ = self.sign('=') || self.take("to");
        let on = match self.words {
            [Word::Plain(word) | Word::Quoted(word) | Word::Value(word)] => {
                matches!(
                    &*word.to_ascii_lowercase(),
                    "on" | "true" | "yes" | "1" | "default"
                )
            }
            _ => false,
        };
        if on { Kind::Plain } else { READ_WRITE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: &str) -> String {
        match kind_of(sql.as_bytes()) {
            Kind::Control(control) => control.text(),
            Kind::Plain => "plain".to_owned(),
            Kind::Refused(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn commands_come_out_in_our_own_words() {
        for (sql, expected) in [
            ("BEGIN", "BEGIN READ ONLY"),
            (";; /* a /* b */ c */ begin -- x\n work;", "BEGIN READ ONLY"),
            (
                "START TRANSACTION ISOLATION LEVEL repeatable read, READ ONLY DEFERRABLE",
                "START TRANSACTION ISOLATION LEVEL REPEATABLE READ DEFERRABLE READ ONLY",
            ),
            ("end transaction", "COMMIT"),
            ("commit work and chain", "COMMIT AND CHAIN"),
            ("COMMIT AND NO CHAIN;", "COMMIT"),
            ("abort", "ROLLBACK"),
            ("ROLLBACK AND CHAIN", "ROLLBACK AND CHAIN"),
            ("rollback to savepoint A", "ROLLBACK TO SAVEPOINT \"a\""),
            (
                "rollback transaction to \"A\"\"b\"",
                "ROLLBACK TO SAVEPOINT \"A\"\"b\"",
            ),
            ("savepoint s", "SAVEPOINT \"s\""),
            ("release savepoint", "RELEASE SAVEPOINT \"savepoint\""),
            ("release savepoint s", "RELEASE SAVEPOINT \"s\""),
            (
                "set local transaction isolation level serializable",
                "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY",
            ),
            ("discard all", "DISCARD ALL"),
        ] {
            assert_eq!(text(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_would_lift_the_floor_is_refused() {
        for sql in [
            "BEGIN READ WRITE",
            "begin isolation level serializable, read write",
            "START TRANSACTION READ WRITE",
            "SET TRANSACTION READ WRITE",
            "set session transaction read write",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "set session session characteristics as transaction read write",
            "SET default_transaction_read_only = off",
            "set session \"default_transaction_read_only\" to 'false'",
            "set local TRANSACTION_READ_ONLY = 0",
            "set transaction_read_only = E'off'",
            "PREPARE TRANSACTION 'x'",
            "COMMIT PREPARED 'x'",
            "ROLLBACK PREPARED 'x'",
            "COMMIT; BEGIN READ WRITE",
            "begin /* never ends",
            "SAVEPOINT U&\"a\"",
            "SAVEPOINT _abeyance",
            "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'",
        ] {
            assert_eq!(text(sql), "refused", "{sql}");
        }
    }

    #[test]
    fn everything_else_is_plain() {
        for sql in [
            "",
            "SELECT 1",
            "prepare p as select 1",
            "\"begin\"",
            "set search_path = a",
            "SET default_transaction_read_only = on",
            "set default_transaction_read_only to default",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "discard plans",
            "(select 1)",
            "/* commit */ select 1",
            "beginning",
        ] {
            assert_eq!(text(sql), "plain", "{sql}");
        }
    }
}
