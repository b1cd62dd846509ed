//! Rules, protections and packs as the configuration gives them, not checked yet.

use abeyance_sql::{Predicate, StatementClass};
use serde::Serialize;

use crate::{Decision, Pack};

/// Everything verdicts rest on. [`crate::RuleSet::build`] checks it.
#[derive(Debug, Clone, Serialize)]
pub struct Policy {
    pub rules: Vec<Rule>,
    pub protections: Vec<Protection>,
    pub packs: Vec<Pack>,
    /// What applies when no rule matches.
    pub default: Decision,
    /// Who is asked by the packs' rules, and by protections without a route of their own.
    pub route: Option<String>,
    /// Relations that are what their names say: no views, no rules or triggers on them. Only asked
    /// where the catalog is not known.
    pub plain_tables: Vec<String>,
}

impl Policy {
    /// Nothing but a default.
    #[must_use]
    pub fn new(default: Decision) -> Self {
        let route = match &default {
            Decision::Hold { route } => Some(route.clone()),
            Decision::Allow | Decision::Deny => None,
        };
        Self {
            rules: Vec::new(),
            protections: Vec::new(),
            packs: Vec::new(),
            default,
            route,
            plain_tables: Vec::new(),
        }
    }
}

/// One rule: when everything in `matcher` and `when` holds, `decision` applies.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    pub name: String,
    pub matcher: Matcher,
    pub decision: Decision,
    /// Shown to the reviewer or, for a denial, to the client.
    pub message: Option<String>,
    /// A condition in CEL over facts and context, besides the matcher's.
    pub when: Option<String>,
    /// Of an *allow* rule: what it lets through may write this many rows, and is rolled back beyond.
    /// Of a *hold* rule: no approval lets more rows through.
    pub rows_max: Option<u64>,
    pub mode: Mode,
    /// What is asked about: the statement before it runs, or its transaction before it commits.
    pub review: Review,
}

impl Rule {
    /// A rule that is enforced, without message, `when` or row cap.
    #[must_use]
    pub fn new(name: impl Into<String>, matcher: Matcher, decision: Decision) -> Self {
        Self {
            name: name.into(),
            matcher,
            decision,
            message: None,
            when: None,
            rows_max: None,
            mode: Mode::Enforce,
            review: Review::Statement,
        }
    }
}

/// Whether a rule decides.
/// What a hold is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Review {
    /// The statement waits, and nothing of it has run.
    #[default]
    Statement,
    /// Inside a transaction of the client's, the statement runs, and the COMMIT waits. Only what can be rolled back;
    /// everything else waits itself.
    Commit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Mode {
    #[default]
    Enforce,
    /// Judged and told, never decisive.
    Shadow,
}

/// Conditions, all of which must hold. An absent one always holds.
///
/// Among the conditions on the statement (`classes`, `kinds`, `tables`, `columns`, `predicates`) an
/// *allow* rule must cover all that a statement is and touches; a *hold* or *deny* rule matches
/// when any of it is named, or may be. See [`crate::evaluate`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Matcher {
    pub agents: Option<Vec<String>>,
    pub targets: Option<Vec<String>>,
    pub environments: Option<Vec<String>>,
    pub classes: Option<Vec<StatementClass>>,
    /// Statement names such as `DELETE`, `ALTER TABLE`; case does not matter.
    pub kinds: Option<Vec<String>>,
    /// Relations read, written or altered: `patients`, `public.patients`, `audit.*`.
    pub tables: Option<Vec<String>>,
    /// Columns read, compared or written: `patients.ssn`, `*.ssn`, `public.patients.*`.
    pub columns: Option<Vec<String>>,
    pub predicates: Option<Vec<Predicate>>,
}

impl Matcher {
    /// No condition on the statement itself.
    pub(crate) fn takes_any_statement(&self) -> bool {
        self.classes.is_none()
            && self.kinds.is_none()
            && self.tables.is_none()
            && self.columns.is_none()
            && self.predicates.is_none()
    }

    pub(crate) fn takes_anyone(&self) -> bool {
        self.agents.is_none() && self.targets.is_none() && self.environments.is_none()
    }
}

/// Columns whose values must not reach a client unmasked. Results are not masked yet: a statement
/// that touches one, or may, is held.
#[derive(Debug, Clone, Serialize)]
pub struct Protection {
    pub name: String,
    /// `patients.ssn`, `*.ssn`, `public.patients.*`.
    pub columns: Vec<String>,
    /// Who is asked; [`Policy::route`] without it.
    pub route: Option<String>,
    pub agents: Option<Vec<String>>,
    pub targets: Option<Vec<String>>,
    pub environments: Option<Vec<String>>,
}

/// What in a policy is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// `[policy]` itself.
    Policy,
    /// The rule at this place, from 0.
    Rule(usize),
    /// The protection at this place, from 0.
    Protection(usize),
}

/// A name that a condition compares with, and that only the rest of the configuration knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    pub entry: Entry,
    pub of: Named,
    pub name: String,
    /// Bytes within the condition.
    pub within: Option<std::ops::Range<usize>>,
}

/// Whose name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Agent,
    /// Of an agent: a person.
    Owner,
    Target,
    Environment,
    /// Of a target.
    Database,
}

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?}: {message}")]
pub struct RuleError {
    pub entry: Entry,
    /// The one it clashes with.
    pub other: Option<Entry>,
    /// The field at fault.
    pub field: &'static str,
    /// Bytes within the field's text, when it is about a part of it.
    pub within: Option<std::ops::Range<usize>>,
    pub message: String,
    pub hint: String,
}
