//! Rules to verdicts. Pure: `evaluate(rules, facts, context)`; no I/O, no clock, no wire.
//!
//! Carries the policy half of invariant 1: every statement gets a verdict, and the rule that gave
//! it; doubt never makes a statement less guarded.

mod context;
mod rule;
mod table;
mod verdict;

pub use context::{Access, Blast, Context, Moment};
pub use rule::{Matcher, Mode, Rule, RuleError, RuleSet};
pub use verdict::{Decision, Verdict, evaluate, evaluate_batch, matching};
