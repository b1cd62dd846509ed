//! What can be written and will hardly be meant: worth a warning, and no more. Rules that load go on loading.

use std::ops::Range;

use cel::common::ast::IdedExpr;

use super::Check;
use crate::{
    Named,
    when::{
        WhenError,
        expression::{Int, Order, Text},
        vocabulary::{IntFact, Leaf, TextFact, written},
    },
};

impl Check<'_> {
    /// A number is compared with one that it never is: `time.hour > 24`. Bounds that the range itself has, such as
    /// `time.hour < 24`, are fine.
    pub(super) fn remark_order(&mut self, at: &IdedExpr, order: Order, left: &Int, right: &Int) {
        let (fact, order, number) = match (left, right) {
            (Int::Fact(fact, _), Int::Constant(number)) => (*fact, order, *number),
            (Int::Constant(number), Int::Fact(fact, _)) => (*fact, order.turned(), *number),
            _ => return,
        };
        let (low, high) = fact.range();
        // The last number it lets through.
        let bound = match order {
            Order::Less => number.checked_sub(1),
            Order::Greater => number.checked_add(1),
            Order::Equal | Order::NotEqual | Order::LessOrEqual | Order::GreaterOrEqual => {
                Some(number)
            }
        };
        let Some(bound) = bound.filter(|bound| !(low..=high).contains(bound)) else {
            return;
        };
        let always = match order {
            Order::Equal => false,
            Order::NotEqual => true,
            Order::Less | Order::LessOrEqual => bound > high,
            Order::Greater | Order::GreaterOrEqual => bound < low,
        };
        let when = if always { "always" } else { "never" };
        let span = self.range(at);
        self.remark(span, format!("this is {when} true: {}", ranged(fact)));
    }

    /// One of a list of numbers is none that it ever is.
    pub(super) fn remark_among(&mut self, number: &Int, one: i64, span: &Range<usize>) {
        let Int::Fact(fact, _) = number else { return };
        let (low, high) = fact.range();
        if !(low..=high).contains(&one) {
            self.remark(
                Some(span.clone()),
                format!("{one} is never its value: {}", ranged(*fact)),
            );
        }
    }

    /// A name that only the rest of the configuration knows.
    pub(super) fn mention(&mut self, of: &Text, name: &str, span: Option<Range<usize>>) {
        let Text::Fact(fact, _) = of else { return };
        let of = match fact {
            TextFact::AgentName => Named::Agent,
            TextFact::AgentOwner => Named::Owner,
            TextFact::TargetName => Named::Target,
            TextFact::Environment => Named::Environment,
            TextFact::Database => Named::Database,
            _ => return,
        };
        // Empty where nobody gave it.
        if !name.is_empty() {
            self.mentions.push((of, name.to_owned(), span));
        }
    }

    fn remark(&mut self, span: Option<Range<usize>>, message: String) {
        self.remarks.push(WhenError {
            span,
            message,
            hint: "write a number that it can be, or leave this out".to_owned(),
        });
    }
}

/// `time.hour` is 0 to 23.
fn ranged(fact: IntFact) -> String {
    let name = written(Leaf::Int(fact)).unwrap_or_default();
    match fact.range() {
        (low, i64::MAX) => format!("`{name}` is {low} or more"),
        (low, high) => format!("`{name}` is {low} to {high}"),
    }
}
