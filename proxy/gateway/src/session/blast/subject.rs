//! Which statements of a batch are looked at, and how far what is found now still holds when their turn comes.
//!
//! Pure but for reading texts again. A statement behind others that only change rows can be asked about, but not counted;
//! behind anything else it is not known what it does.

use std::{collections::BTreeSet, sync::Arc};

use abeyance_sql::{
    RelationName, Rewrite, SessionEffect, StatementClass, StatementFacts, Undo,
    postgres::{
        counting::{Touched, touched},
        plan::{Explained, Operation},
        retype::{Retypes, retypes},
    },
};
use bytes::Bytes;

use super::{
    super::{judge::Shown, ledger::Bound, settings},
    neighbours::fires,
};

/// Most statements of a batch that are looked at; of the rest nothing is known.
const SUBJECTS_MAX: usize = 32;

/// What the statements before one may have changed by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Before {
    Nothing,
    /// Rows; what names stand for is the same.
    Rows,
    Anything,
}

/// A statement that is looked at.
#[derive(Debug)]
pub(super) struct Subject {
    /// Its place among the statements that would run.
    pub(super) place: usize,
    pub(super) facts: StatementFacts,
    /// Its text, where that is what runs.
    pub(super) text: Option<Bytes>,
    pub(super) bound: Option<Arc<Bound>>,
    pub(super) before: Before,
    pub(super) touched: Option<Touched>,
    /// Columns that get another type, where whether rows are written anew depends on it.
    pub(super) retypes: Option<Retypes>,
}

/// The statements that are looked at, in order.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) subjects: Vec<Subject>,
    /// So many more should have been.
    pub(super) left_out: usize,
}

/// Chooses from the statements of a batch: those that change something; of a batch that only reads, all.
///
/// `held`: their facts as they were held, which may know more than those that were read.
pub(super) async fn subjects(
    shown: &[Shown],
    held: &[StatementFacts],
    standard_strings: bool,
) -> Chosen {
    let changes = held.iter().any(|facts| !is_harmless(facts));
    let mut chosen = Chosen::default();
    let mut before = Before::Nothing;
    let with_facts = shown
        .iter()
        .enumerate()
        .filter(|(_, shown)| shown.facts().is_some());
    for ((place, shown), facts) in with_facts.zip(held) {
        let wanted = if changes {
            !is_harmless(facts)
        } else {
            facts.class == StatementClass::Read
        };
        if wanted && chosen.subjects.len() >= SUBJECTS_MAX {
            chosen.left_out += 1;
        } else if wanted {
            chosen.subjects.push(Subject {
                place,
                touched: touched_by(shown, facts, standard_strings).await,
                retypes: retyped_by(shown, facts, standard_strings).await,
                facts: facts.clone(),
                text: shown.text(),
                bound: shown.bound().cloned(),
                before,
            });
        }
        before = before.max(leaves(facts));
    }
    chosen
}

async fn touched_by(
    shown: &Shown,
    facts: &StatementFacts,
    standard_strings: bool,
) -> Option<Touched> {
    if !facts.explainable && !holds_query(facts) {
        return None;
    }
    let text = shown.text()?;
    touched(std::str::from_utf8(&text).ok()?, standard_strings).await
}

async fn retyped_by(
    shown: &Shown,
    facts: &StatementFacts,
    standard_strings: bool,
) -> Option<Retypes> {
    if facts.kind != "ALTER TABLE" || facts.impact.rewrite != Rewrite::Possible {
        return None;
    }
    let text = shown.text()?;
    retypes(std::str::from_utf8(&text).ok()?, standard_strings).await
}

/// It has a query inside that can be explained, and analysis vouches for everything in it.
fn holds_query(facts: &StatementFacts) -> bool {
    let kinds = [
        "COPY",
        "COPY FILE",
        "COPY PROGRAM",
        "CREATE TABLE AS",
        "CREATE MATERIALIZED VIEW",
        "SELECT INTO",
        "SELECT FOR UPDATE",
        "SELECT FOR NO KEY UPDATE",
        "SELECT FOR SHARE",
        "SELECT FOR KEY SHARE",
    ];
    facts.is_certain()
        && facts.defines.is_none()
        && facts.refers_to.is_none()
        && facts.writes.is_empty()
        && facts.session == SessionEffect::None
        && facts
            .kinds
            .iter()
            .all(|kind| *kind == facts.kind || kind == "SELECT")
        && kinds.contains(&facts.kind.as_str())
}

fn is_harmless(facts: &StatementFacts) -> bool {
    facts.opaque.is_none()
        && facts.classes.iter().all(|class| {
            matches!(
                class,
                StatementClass::Read | StatementClass::Session | StatementClass::Transaction
            )
        })
}

/// What a statement leaves behind for those after it.
fn leaves(facts: &StatementFacts) -> Before {
    let only_rows = matches!(
        facts.kind.as_str(),
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE"
    );
    match facts.class {
        _ if !facts.is_certain() => Before::Anything,
        StatementClass::Read | StatementClass::Transaction => Before::Nothing,
        StatementClass::Session if settings::is_reason(facts) => Before::Nothing,
        StatementClass::Write if only_rows => Before::Rows,
        _ => Before::Anything,
    }
}

impl Subject {
    /// Why nothing at all can be said; `None` when something can.
    pub(super) fn unknowable(&self) -> Option<&'static str> {
        let facts = &self.facts;
        if facts.opaque.is_some() {
            Some("it could not be understood")
        } else if self.before == Before::Anything {
            Some("statements before it in the same batch may change what it does")
        } else if facts.class == StatementClass::Unvouched
            && facts.writes.is_empty()
            && facts.alters.is_empty()
        {
            Some("it runs code that nobody vouches for")
        } else {
            None
        }
    }

    /// Why it cannot be explained; `None` when it can.
    pub(super) fn unexplainable(&self) -> Option<&'static str> {
        let facts = &self.facts;
        if self.text.is_none() {
            Some("it refers to another statement")
        } else if facts.kind.starts_with("COPY") && !facts.writes.is_empty() {
            Some("the rows are not in the statement: they come when it runs")
        } else if facts.explainable && facts.is_certain() || self.inner().is_some() {
            None
        } else {
            Some("it cannot be explained without running code")
        }
    }

    /// What is explained: the statement, or the query inside.
    pub(super) fn planned(&self) -> Option<&[u8]> {
        match self.inner() {
            Some(query) => Some(query.as_bytes()),
            None => self.text.as_deref(),
        }
    }

    /// The query inside a statement that cannot be explained itself.
    fn inner(&self) -> Option<&str> {
        self.touched.as_ref()?.query.as_deref()
    }

    /// Rows can be counted now and will be the same when it runs. `undisturbed`: what only changes rows before it
    /// changes none of its own.
    pub(super) fn countable(&self, undisturbed: bool) -> bool {
        let vouched = self.facts.explainable || self.inner().is_some();
        let same = match self.before {
            Before::Nothing => true,
            Before::Rows => undisturbed,
            Before::Anything => false,
        };
        same && vouched && self.facts.is_certain()
    }

    /// The relations it is about: those the target says it writes, or else those its text names.
    pub(super) fn relations(&self, plan: Option<&Explained>) -> BTreeSet<RelationName> {
        if let Some(plan) = plan {
            let written: BTreeSet<RelationName> =
                plan.writes().map(|write| write.target.clone()).collect();
            if !written.is_empty() {
                return written;
            }
        }
        if !self.names_relations() {
            return BTreeSet::new();
        }
        let facts = &self.facts;
        facts.writes.union(&facts.alters).cloned().collect()
    }

    /// What it does to a relation, as the triggers that fire for it.
    pub(super) fn events(&self, plan: Option<&Explained>, relation: &RelationName) -> i32 {
        let of = |operation| match operation {
            Operation::Insert => fires::INSERT,
            Operation::Update => fires::UPDATE,
            Operation::Delete => fires::DELETE,
            Operation::Merge => fires::INSERT | fires::UPDATE | fires::DELETE,
        };
        let upsert = self.touched.as_ref().is_some_and(|t| t.on_conflict);
        let upsert = if upsert { fires::UPDATE } else { 0 };
        let planned = plan.into_iter().flat_map(Explained::writes);
        let planned = planned
            .filter(|write| write.target == *relation)
            .fold(0, |events, write| events | of(write.operation));
        if planned != 0 {
            return planned | upsert;
        }
        let named = |kind: &String| match kind.as_str() {
            "INSERT" | "COPY" | "COPY FILE" | "COPY PROGRAM" => fires::INSERT | upsert,
            "UPDATE" => fires::UPDATE,
            "DELETE" => fires::DELETE,
            "MERGE" => of(Operation::Merge),
            "TRUNCATE" => fires::TRUNCATE,
            _ => 0,
        };
        self.facts
            .kinds
            .iter()
            .map(named)
            .fold(0, |all, one| all | one)
    }

    /// Columns an UPDATE gives, where they are known.
    pub(super) fn sets(&self) -> Option<&BTreeSet<String>> {
        let touched = self.touched.as_ref()?;
        (touched.operation == Some(Operation::Update)).then_some(&touched.sets)
    }

    /// What it alters are relations, not functions, roles or types.
    fn names_relations(&self) -> bool {
        let kind = self.facts.kind.as_str();
        let object = ["CREATE ", "ALTER ", "DROP "]
            .iter()
            .find_map(|verb| kind.strip_prefix(verb));
        object.is_none_or(|object| {
            matches!(
                object,
                "TABLE"
                    | "TABLE AS"
                    | "FOREIGN TABLE"
                    | "VIEW"
                    | "MATERIALIZED VIEW"
                    | "INDEX"
                    | "SEQUENCE"
                    | "TRIGGER"
                    | "RULE"
                    | "POLICY"
                    | "STATISTICS"
                    | "PUBLICATION"
            )
        })
    }

    /// It takes whole tables: empties, drops or may lose something of every row.
    pub(super) fn takes_tables(&self, rewrites: Rewrite) -> bool {
        let loses = match &self.retypes {
            Some(retypes) => retypes.others_lose,
            None => self.facts.impact.undo >= Undo::UntilCommit,
        };
        match self.facts.kind.as_str() {
            "TRUNCATE" | "DROP TABLE" | "DROP MATERIALIZED VIEW" => true,
            "ALTER TABLE" => loses || rewrites != Rewrite::No,
            _ => rewrites == Rewrite::Yes,
        }
    }

    /// It changes definitions or takes locks, and leaves rows as they are.
    pub(super) fn changes_no_rows(&self) -> bool {
        let facts = &self.facts;
        facts.is_certain()
            && facts.writes.is_empty()
            && facts.classes.iter().all(|class| {
                matches!(
                    class,
                    StatementClass::Ddl
                        | StatementClass::Utility
                        | StatementClass::Session
                        | StatementClass::SessionRisk
                        | StatementClass::Transaction
                )
            })
            && !matches!(
                facts.kind.as_str(),
                "CREATE TABLE AS"
                    | "SELECT INTO"
                    | "DROP SCHEMA"
                    | "DROP OWNED"
                    | "DROP EXTENSION"
                    | "DROP TYPE"
                    | "DROP DOMAIN"
                    | "DROP SEQUENCE"
                    | "DROP DATABASE"
                    | "COMMIT PREPARED"
                    | "ROLLBACK PREPARED"
                    | "CREATE EXTENSION"
                    | "IMPORT FOREIGN SCHEMA"
            )
    }
}
