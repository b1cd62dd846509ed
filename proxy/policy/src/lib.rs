//! Rules to verdicts. Pure: `evaluate(rules, facts, context)`; no I/O, no clock, no wire.
//!
//! Carries the policy half of invariant 1: every statement gets a verdict, and the rule that gave
//! it; doubt never makes a statement less guarded.

mod batch;
mod case;
mod check;
mod context;
mod exposure;
mod matching;
mod pack;
mod pattern;
mod reach;
mod rule;
mod ruleset;
mod suggest;
mod truth;
mod unmatched;
mod verdict;
mod when;
mod words;

pub use batch::{Asked, Joint, asked};
pub use context::{Access, Blast, Context, Moment};
pub use pack::Pack;
pub use rule::{Entry, Matcher, Mention, Mode, Named, Policy, Protection, Review, Rule, RuleError};
pub use ruleset::RuleSet;
pub use unmatched::{Seen, Unmatched};
pub use verdict::{Decision, Match, Verdict, evaluate, matches};
