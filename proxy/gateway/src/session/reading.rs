//! The reading of one query string for one agent and target: facts and verdicts, kept for reuse.
//!
//! The key is the exact bytes with the lexer's flag, the scope and the view of the catalog: nothing else enters
//! analysis or policy, so a kept reading is as good as a new one. Bounded in entries and bytes (invariant 10).

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use abeyance_policy::{Context, Decision, RuleSet, Verdict, evaluate};
use abeyance_sql::{Analysis, OpaqueReason, SessionEffect, StatementFacts, TransactionEffect};
use bytes::Bytes;
use quick_cache::{Equivalent, Weighter, sync::Cache};

use super::{gate, stirs::Stirs};
use crate::{Limits, catalog::View};

/// Facts and verdicts of one query string.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The exact text.
    pub(crate) text: Bytes,
    pub(crate) facts: Vec<StatementFacts>,
    /// One for each statement, as if names it refers to were unknown.
    pub(crate) verdicts: Vec<Verdict>,
    /// Every statement is allowed whatever the session's state: none refers to or defines a name.
    pub(crate) plain: bool,
    /// What it was read with.
    pub(crate) stamp: Stamp,
    /// What running each statement may change, names it refers to unknown.
    pub(crate) stirs: Vec<Stirs>,
    /// It names something the catalog does not have.
    pub(crate) missing: bool,
    /// The same text, read as if something before it in its batch had changed what names stand for.
    preceded: OnceLock<Arc<Reading>>,
    /// How often each statement was judged since the log of statements was flushed.
    seen: Box<[AtomicU64]>,
    /// The second until which the second gate has nothing to ask about it.
    checked_until: AtomicI64,
}

/// What a text was read with, besides the agent and the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Of the configuration.
    pub(crate) generation: u32,
    /// The view's number.
    pub(crate) view: u64,
    /// The lexer's flag.
    pub(crate) conforming: bool,
    /// The session made the text ambiguous: it was not read, and never will be.
    pub(crate) opaque: bool,
}

impl Reading {
    #[cfg(test)]
    pub(crate) fn new(
        text: Bytes,
        analysis: Analysis,
        rules: &RuleSet,
        context: Context<'_>,
    ) -> Self {
        Self::stamped(text, analysis, Stamp::default(), rules, context)
    }

    /// A reading that says what it was made with.
    pub(crate) fn stamped(
        text: Bytes,
        analysis: Analysis,
        stamp: Stamp,
        rules: &RuleSet,
        context: Context<'_>,
    ) -> Self {
        let facts = analysis.statements;
        let verdicts: Vec<_> = facts
            .iter()
            .map(|facts| evaluate(rules, facts, context))
            .collect();
        let plain = facts.iter().zip(&verdicts).all(|(facts, verdict)| {
            verdict.decision == Decision::Allow
                && facts.refers_to.is_none()
                && facts.defines.is_none()
        });
        let stirs = facts
            .iter()
            .map(|facts| Stirs::by(facts, !facts.is_certain()))
            .collect();
        let missing = facts.iter().any(|facts| {
            let catalog = facts.catalog.as_ref();
            catalog.is_some_and(|catalog| !catalog.missing.is_empty())
        });
        let planless = !facts.iter().any(gate::has_plan);
        Self {
            seen: facts.iter().map(|_| AtomicU64::new(0)).collect(),
            checked_until: AtomicI64::new(if planless { i64::MAX } else { i64::MIN }),
            text,
            facts,
            verdicts,
            plain,
            stamp,
            stirs,
            missing,
            preceded: OnceLock::new(),
        }
    }

    /// Counts a statement; true for the first since it was taken.
    pub(crate) fn seen_first(&self, index: usize) -> bool {
        let seen = self.seen.get(index);
        seen.is_some_and(|seen| seen.fetch_add(1, Ordering::Relaxed) == 0)
    }

    /// How often a statement was counted since the last time.
    pub(crate) fn seen_take(&self, index: usize) -> u64 {
        let seen = self.seen.get(index);
        seen.map_or(0, |seen| seen.swap(0, Ordering::Relaxed))
    }

    /// Whether the second gate has nothing to ask about it. `now` is looked at only when it has to be.
    pub(super) fn is_checked(&self, now: impl FnOnce() -> i64) -> bool {
        match self.checked_until.load(Ordering::Relaxed) {
            i64::MAX => true,
            i64::MIN => false,
            until => now() < until,
        }
    }

    /// The second gate found all of it to be as predicted.
    pub(super) fn mark_checked(&self, until: i64) {
        self.checked_until.store(until, Ordering::Relaxed);
    }

    /// The same text as if something before it had changed what names stand for, once it was read so.
    pub(crate) fn preceded(&self) -> Option<&Arc<Self>> {
        self.preceded.get()
    }

    /// Keeps how the text is read behind something that changes what names stand for.
    pub(crate) fn precede(&self, reading: Arc<Self>) {
        // Of two that read it at once, both read the same.
        let _ = self.preceded.set(reading);
    }

    /// The text of one of its statements.
    pub(crate) fn text_of(&self, facts: &StatementFacts) -> Bytes {
        let end = facts.span.end.min(self.text.len());
        self.text.slice(facts.span.start.min(end)..end)
    }

    /// A query string that is not analysed, for a reason that lies in the session.
    pub(crate) fn opaque(text: &[u8], rules: &RuleSet, context: Context<'_>) -> Self {
        let mut facts = StatementFacts::opaque(0..text.len(), OpaqueReason::Encoding);
        facts.redacted = "(not shown: settings of the session make its text ambiguous)".to_owned();
        facts.doubts.insert(
            "an earlier statement may have changed how the server reads this text".to_owned(),
        );
        let analysis = Analysis {
            statements: vec![facts],
        };
        let stamp = Stamp {
            opaque: true,
            ..Stamp::default()
        };
        Self::stamped(
            Bytes::copy_from_slice(text),
            analysis,
            stamp,
            rules,
            context,
        )
    }
}

impl Stamp {
    /// It was read without the catalog the target has.
    pub(crate) fn is_blind(self) -> bool {
        View::is_blind(self.view)
    }

    /// The same but for the lexer's flag, which belongs to the text.
    pub(crate) fn agrees(self, other: Self) -> bool {
        (self.generation, self.view) == (other.generation, other.view)
    }
}

/// Whether running the statement may change how later text is read: `standard_conforming_strings`
/// or `client_encoding`, set directly, through a function, or back by the end of a transaction.
pub(crate) fn may_change_reading(facts: &StatementFacts) -> bool {
    let harmless_setting = match &facts.session {
        SessionEffect::None | SessionEffect::Notify => true,
        SessionEffect::Set { parameter, .. } => {
            let parameter = parameter.to_ascii_lowercase();
            !matches!(
                parameter.as_str(),
                "client_encoding" | "names" | "standard_conforming_strings"
            )
        }
        SessionEffect::Role | SessionEffect::Reset => false,
    };
    let harmless_end = matches!(
        facts.transaction,
        TransactionEffect::None | TransactionEffect::Begin
    );
    !(harmless_setting && harmless_end && facts.is_certain())
        || facts.functions.iter().any(|f| f.name == "set_config")
}

/// Whether the text reads differently under other settings: only backslashes and bytes beyond
/// ASCII do.
pub(crate) fn depends_on_settings(text: &[u8]) -> bool {
    text.iter().any(|byte| *byte == b'\\' || !byte.is_ascii())
}

/// Readings of all sessions.
#[derive(Debug)]
pub(crate) struct ReadingCache(Cache<Key, Arc<Reading>, TextWeight>);

/// Where a reading is valid: under which configuration, for which agent at which target, by their places in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    /// Of the snapshot: rules that were reloaded never meet a verdict of older ones.
    pub(crate) generation: u32,
    pub(crate) agent: u32,
    pub(crate) target: u32,
}

#[derive(Debug, Clone)]
struct Key {
    scope: Scope,
    view: u64,
    conforming: bool,
    text: Bytes,
}

/// A key that borrows its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lookup<'a> {
    pub(crate) scope: Scope,
    /// The number of the view the session has of the catalog.
    pub(crate) view: u64,
    /// The session's `standard_conforming_strings`.
    pub(crate) conforming: bool,
    pub(crate) text: &'a [u8],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            scope,
            view,
            conforming,
            text,
        } = self;
        Lookup {
            scope: *scope,
            view: *view,
            conforming: *conforming,
            text,
        }
        .hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self.scope, self.view, self.conforming, &self.text)
            == (other.scope, other.view, other.conforming, &other.text)
    }
}

impl Eq for Key {}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.scope.hash(state);
        self.view.hash(state);
        self.conforming.hash(state);
        self.text.hash(state);
    }
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.scope, self.view, self.conforming, self.text)
            == (key.scope, key.view, key.conforming, &key.text[..])
    }
}

#[derive(Debug, Clone)]
struct TextWeight;

impl Weighter<Key, Arc<Reading>> for TextWeight {
    fn weight(&self, key: &Key, reading: &Arc<Reading>) -> u64 {
        // Measured: the facts of a short SELECT take about 1.5 KiB besides their texts.
        const FACTS_BYTES: usize = 1536;
        let facts = reading.facts.iter();
        let facts: usize = facts.map(|facts| facts.redacted.len() + FACTS_BYTES).sum();
        (key.text.len() + facts + FACTS_BYTES) as u64
    }
}

impl ReadingCache {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Cache::with_weighter(
            limits.reading_cache_entries,
            limits.reading_cache_bytes,
            TextWeight,
        ))
    }

    pub(crate) fn find(&self, lookup: Lookup<'_>) -> Option<Arc<Reading>> {
        self.0.get(&lookup)
    }

    pub(crate) fn keep(&self, lookup: Lookup<'_>, reading: Arc<Reading>) {
        if reading.text.len() <= crate::limits::CACHED_TEXT_BYTES_MAX {
            let key = Key {
                scope: lookup.scope,
                view: lookup.view,
                conforming: lookup.conforming,
                text: reading.text.clone(),
            };
            self.0.insert(key, reading);
        }
    }
}
