//! Conditions that no statement changes, and such as contradict themselves.

use super::{
    Env, WhenError,
    expression::{Condition, Int, Order, Text},
};
use crate::truth::Truth;

/// Refuses a condition that is always true or never.
pub(super) fn check(
    condition: &Condition,
    parts: &[(String, Condition)],
) -> Result<(), Vec<WhenError>> {
    let mistake = |message: String, hint: &str| {
        Err(vec![WhenError {
            span: None,
            message,
            hint: hint.to_owned(),
        }])
    };
    match condition.eval(&Env::of_nothing()) {
        Truth::True => {
            return mistake(
                "it is always true".to_owned(),
                "leave it out: a rule without conditions matches everything",
            );
        }
        Truth::False => {
            return mistake(
                "it is never true, so the rule can never match".to_owned(),
                "remove the rule, or mend the condition",
            );
        }
        Truth::Unknown => {}
    }
    for (index, (text, part)) in parts.iter().enumerate() {
        for (earlier_text, earlier) in parts.iter().take(index) {
            if contradict(earlier, part) {
                return mistake(
                    format!("`{earlier_text}` and `{text}` are never true together"),
                    "join them by `||`, or write two rules",
                );
            }
        }
    }
    Ok(())
}

/// Whether two parts joined by `&&` exclude each other.
fn contradict(one: &Condition, other: &Condition) -> bool {
    match (one, other) {
        (Condition::Not(inner), whole) | (whole, Condition::Not(inner)) => {
            same(inner.as_ref(), whole)
        }
        (
            Condition::Ints(left_order, left, Int::Constant(a)),
            Condition::Ints(right_order, right, Int::Constant(b)),
        ) => same(left, right) && excludes(*left_order, *a, *right_order, *b),
        (
            Condition::Texts(Order::Equal, left, Text::Constant(a)),
            Condition::Texts(Order::Equal, right, Text::Constant(b)),
        ) => same(left, right) && a != b,
        (
            Condition::Texts(Order::Equal, left, Text::Constant(a)),
            Condition::TextIn(right, list),
        )
        | (
            Condition::TextIn(right, list),
            Condition::Texts(Order::Equal, left, Text::Constant(a)),
        ) => same(left, right) && !list.contains(a),
        (Condition::TextIn(left, some), Condition::TextIn(right, others)) => {
            same(left, right) && !some.iter().any(|text| others.contains(text))
        }
        _ => false,
    }
}

/// The same expression, letter by letter.
fn same<T: std::fmt::Debug>(one: &T, other: &T) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

/// No number is `left a` and `right b`.
fn excludes(left: Order, a: i64, right: Order, b: i64) -> bool {
    let range = |order: Order, bound: i64| match order {
        Order::Equal => Some((bound, bound)),
        Order::Less => Some((i64::MIN, bound.checked_sub(1)?)),
        Order::LessOrEqual => Some((i64::MIN, bound)),
        Order::Greater => Some((bound.checked_add(1)?, i64::MAX)),
        Order::GreaterOrEqual => Some((bound, i64::MAX)),
        Order::NotEqual => None,
    };
    match (range(left, a), range(right, b)) {
        (Some((low, high)), Some((from, to))) => low.max(from) > high.min(to),
        _ => false,
    }
}
