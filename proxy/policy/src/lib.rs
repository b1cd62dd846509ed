//! Rules to verdicts. Pure: `evaluate(rules, facts, context)`; no I/O, no clock, no wire.
//!
//! Carries the policy half of invariant 1: every statement gets a verdict, and the rule that gave
//! it; doubt never makes a statement less guarded.

mod rule;
mod table;
mod verdict;

pub use rule::{Matcher, Rule, RuleError, RuleSet};
pub use verdict::{Context, Decision, Verdict, evaluate, evaluate_batch, matching};
