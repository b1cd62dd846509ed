//! Judging one statement.

use abeyance_sql::StatementFacts;

use crate::RuleSet;

/// What happens to a statement, from least to most guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Allow,
    Hold { route: String },
    Deny,
}

/// A decision with the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub decision: Decision,
    /// The rule's name; `default` when none matched.
    pub rule: String,
    /// For people, one line each; no literals.
    pub reasons: Vec<String>,
}

/// Who asks, and where.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub agent: &'a str,
    pub target: &'a str,
    pub environment: Option<&'a str>,
}

/// Judges one statement: deny beats hold beats allow among the rules that match.
#[must_use]
pub fn evaluate(rules: &RuleSet, _facts: &StatementFacts, _context: Context<'_>) -> Verdict {
    Verdict {
        decision: rules.default_decision().clone(),
        rule: "default".to_owned(),
        reasons: Vec::new(),
    }
}
