//! Conditions of rules in CEL.
//!
//! The `cel` crate parses; what a condition may say is checked here against a fixed vocabulary, and
//! what comes out is a small typed expression of our own, evaluated in three-valued logic. So every
//! slip is found when the policy is loaded, and no condition can run long, fail or panic later.

mod check;
mod eval;
mod expression;
pub(crate) mod limits;
mod sense;
mod vocabulary;

use std::ops::Range;

pub(crate) use eval::Env;
use expression::Condition;

use crate::{Named, truth::Truth};

/// A condition that was checked.
#[derive(Debug, Clone)]
pub(crate) struct When {
    condition: Condition,
    /// What it is made of: parts joined by `&&`, each with its text.
    parts: Vec<(String, Condition)>,
    /// What will hardly be meant.
    pub(crate) remarks: Vec<WhenError>,
    /// Names it compares with, which the rest of the configuration knows, each with its place.
    pub(crate) mentions: Vec<(Named, String, Option<Range<usize>>)>,
    pub(crate) uses_blast: bool,
    pub(crate) uses_moment: bool,
}

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WhenError {
    /// Bytes in the source; `None` when it is about all of it.
    pub(crate) span: Option<Range<usize>>,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl When {
    /// Parses and checks a condition.
    pub(crate) fn compile(source: &str) -> Result<Self, Vec<WhenError>> {
        check::compile(source)
    }

    pub(crate) fn eval(&self, env: &Env<'_>) -> Truth {
        self.condition.eval(env)
    }

    /// The first of its parts that is not true, with what it is.
    pub(crate) fn first_untrue(&self, env: &Env<'_>) -> Option<(&str, Truth)> {
        self.parts
            .iter()
            .map(|(text, part)| (text.as_str(), part.eval(env)))
            .find(|(_, truth)| *truth != Truth::True)
    }
}
