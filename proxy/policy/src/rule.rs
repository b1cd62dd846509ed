//! Rules as the configuration gives them, validated.

use abeyance_sql::{Predicate, StatementClass};

use crate::Decision;

/// One rule: when everything in `matcher` holds, `decision` applies.
#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    pub matcher: Matcher,
    pub decision: Decision,
    /// Shown to the reviewer or, for a denial, to the client.
    pub message: Option<String>,
}

/// Conditions, all of which must hold. An absent one always holds.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    pub agents: Option<Vec<String>>,
    pub targets: Option<Vec<String>>,
    pub environments: Option<Vec<String>>,
    pub classes: Option<Vec<StatementClass>>,
    /// Statement names such as `DELETE`, `ALTER TABLE`; case does not matter.
    pub kinds: Option<Vec<String>>,
    /// Relations read, written or altered: `patients`, `public.patients`, `audit.*`.
    pub tables: Option<Vec<String>>,
    pub predicates: Option<Vec<Predicate>>,
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {index}: {message}")]
pub struct RuleError {
    /// Position in the list given, from 0.
    pub index: usize,
    /// The field at fault.
    pub field: &'static str,
    pub message: String,
    pub hint: String,
}

/// Rules that were checked together.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Rule>,
    default: Decision,
}

impl RuleSet {
    /// Checks the rules: names unique and not empty, lists not empty, no rule that can never match.
    ///
    /// # Errors
    /// Every mistake found, not only the first.
    pub fn new(rules: Vec<Rule>, default: Decision) -> Result<Self, Vec<RuleError>> {
        Ok(Self { rules, default })
    }

    /// The rules in the order given.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What applies when no rule matches.
    #[must_use]
    pub fn default_decision(&self) -> &Decision {
        &self.default
    }
}
