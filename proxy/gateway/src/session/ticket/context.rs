//! What a session was told since it began, as far as it decides what statements do.
//!
//! Followed by facts and by the server's word for how a batch ended; where that does not tell, what follows is good for
//! the session alone. Refuses to know what a ticket is.

use abeyance_api::{BindingDigest, SessionId};
use abeyance_sql::{SessionEffect, StatementClass, StatementFacts, TransactionEffect};

use crate::session::{
    judge::{JudgedBatch, Shown, Step},
    stirs::Stirs,
};

/// What a batch may do to the way later ones are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drift {
    told: Told,
    /// It begins a transaction: in these words.
    begins: Option<BindingDigest>,
    stirs: Stirs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// Settings, in so many words.
    Settings(BindingDigest),
    /// Anything.
    Unseen,
}

impl Drift {
    /// What running a batch may do.
    pub(crate) fn by(judged: &JudgedBatch) -> Self {
        let facts = || judged.shown().iter().filter_map(Shown::facts);
        let begins = facts().any(|facts| facts.transaction == TransactionEffect::Begin);
        Self {
            told: told(&facts(), judged.runs_unseen_code(), || words(judged)),
            begins: begins.then(|| words(judged)),
            stirs: judged.stirs(),
        }
    }
}

/// A batch byte for byte, with the texts that it executes by name: the name alone says nothing.
fn words(judged: &JudgedBatch) -> BindingDigest {
    let texts = judged.steps().iter().filter_map(|step| match step {
        Step::Execute { prepared, .. } => Some(prepared.text()),
        Step::Query { .. }
        | Step::Parse { .. }
        | Step::Bind { .. }
        | Step::Describe
        | Step::CloseStatement { .. }
        | Step::ClosePortal { .. }
        | Step::Flush
        | Step::Sync => None,
    });
    let texts: Vec<_> = texts.collect();
    let frames = judged.frames().iter().map(|frame| frame.raw().as_ref());
    BindingDigest::over(frames.chain(texts.iter().map(AsRef::as_ref)))
}

fn told<'a>(
    facts: &(impl Iterator<Item = &'a StatementFacts> + Clone),
    unseen: bool,
    words: impl FnOnce() -> BindingDigest,
) -> Told {
    if unseen || facts.clone().any(unreadable) {
        return Told::Unseen;
    }
    if !facts.clone().any(tells) {
        return Told::Nothing;
    }
    let settings = |facts: &StatementFacts| matches!(facts.session, SessionEffect::Set { .. });
    if facts.clone().all(settings) {
        Told::Settings(words())
    } else {
        Told::Unseen
    }
}

fn unreadable(facts: &StatementFacts) -> bool {
    let dark = [StatementClass::Unvouched, StatementClass::Opaque];
    let config = |function: &abeyance_sql::FunctionName| function.name == "set_config";
    let tells = tells(facts);
    facts.opaque.is_some()
        || dark.iter().any(|class| facts.classes.contains(class))
        || facts.functions.iter().any(config)
        || facts.transaction != TransactionEffect::None && tells
        // EXECUTE of what a Parse has named: its words are elsewhere.
        || facts.refers_to.is_some() && (tells || facts.transaction != TransactionEffect::None)
}

/// Whether a statement tells the session something in so many words, or ends what it may have been told in.
pub(crate) fn may_tell(facts: &StatementFacts) -> bool {
    let config = |function: &abeyance_sql::FunctionName| function.name == "set_config";
    let ends = !matches!(
        facts.transaction,
        TransactionEffect::None | TransactionEffect::Begin
    );
    ends || tells(facts) || facts.functions.iter().any(config)
}

/// Whether a statement changes what the session was told.
fn tells(facts: &StatementFacts) -> bool {
    match &facts.session {
        SessionEffect::None | SessionEffect::Notify => {
            // When constraints are checked; and a library may do anything.
            matches!(facts.kind.as_str(), "SET CONSTRAINTS" | "LOAD")
        }
        // Whatever it is: statements can read every setting back.
        SessionEffect::Set { .. } | SessionEffect::Role | SessionEffect::Reset => true,
    }
}

/// What a session had been told at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    told: BindingDigest,
    unknown: u64,
}

impl Mark {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let told = self.told.to_string().into_bytes();
        [told, self.unknown.to_be_bytes().to_vec()].concat()
    }
}

impl Default for Mark {
    fn default() -> Self {
        Context::default().mark()
    }
}

/// How a batch ended, for what it told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// A transaction, explicit or not, was open before it.
    pub(crate) before: bool,
    /// One is open now.
    pub(crate) inside: bool,
    /// All of it ran, without an error.
    pub(crate) whole: bool,
}

/// What a session was told since it began, as far as it decides what statements do.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The start-up settings and every SET since, in order.
    told: BindingDigest,
    /// How often something came that nobody can follow; then a ticket is for this session alone.
    unknown: u64,
    /// Something of it may be undone by the end of the open transaction, or of a part of it.
    revocable: bool,
    /// How the open transaction was begun: statements can read its characteristics back.
    begun: Option<BindingDigest>,
    /// How often names may have come to stand for other things.
    stirred: u64,
}

impl Default for Context {
    fn default() -> Self {
        Self::begun(&[])
    }
}

impl Context {
    /// A new session with these start-up settings.
    pub(crate) fn begun(settings: &[(String, String)]) -> Self {
        let kept: Vec<(String, &str)> = settings
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
            .collect();
        let parts = kept
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        Self {
            told: BindingDigest::over(parts),
            unknown: 0,
            revocable: false,
            begun: None,
            stirred: 0,
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            told: self.told,
            unknown: self.unknown,
        }
    }

    /// Takes note of a batch that ran.
    pub(crate) fn ran(&mut self, drift: Drift, course: Course) {
        let Course {
            before,
            inside,
            whole,
        } = course;
        if !inside {
            self.transaction_ended();
        } else if self.revocable && drift.stirs.ends {
            self.doubt();
        }
        match drift.told {
            Told::Nothing => {}
            Told::Settings(digest) if whole && !before && !inside => {
                self.told = joined(self.told, digest);
            }
            Told::Settings(_) | Told::Unseen => {
                self.doubt();
                self.revocable |= inside;
            }
        }
        if drift.stirs.names() {
            self.stirred = self.stirred.saturating_add(1);
        }
        let already = self.begun.filter(|_| before);
        self.begun = match drift.begins {
            Some(begins) => Some(already.map_or(begins, |earlier| joined(earlier, begins))),
            None => already,
        }
        .filter(|_| inside);
    }

    /// Also without a batch that ends it: a refusal may.
    pub(crate) fn transaction_ended(&mut self) {
        if self.revocable {
            self.doubt();
            self.revocable = false;
        }
        self.begun = None;
    }

    fn doubt(&mut self) {
        self.unknown = self.unknown.saturating_add(1);
    }

    /// `common`: other sessions see the same catalog.
    pub(super) fn parts(&self, session: SessionId, common: bool) -> Vec<Vec<u8>> {
        let mut parts = vec![self.told.to_string().into_bytes()];
        let begun = self.begun.map(String::from).unwrap_or_default();
        parts.push(begun.into_bytes());
        let stirred = if common { 0 } else { self.stirred };
        if self.unknown > 0 || stirred > 0 {
            parts.push(session.0.as_bytes().to_vec());
            parts.push(self.unknown.to_be_bytes().to_vec());
            parts.push(stirred.to_be_bytes().to_vec());
        }
        parts
    }
}

fn joined(one: BindingDigest, other: BindingDigest) -> BindingDigest {
    let (one, other) = (one.to_string(), other.to_string());
    BindingDigest::over([one.as_bytes(), other.as_bytes()])
}

#[cfg(test)]
mod tests;
