//! Operators: joining, comparing, counting and looking into lists.

use std::ops::Range;

use cel::common::ast::{CallExpr, IdedExpr, operators};

use super::{Check, Literal, Typed, as_text, duration, names::fields_hint};
use crate::{
    suggest,
    when::{
        expression::{Condition, Int, List, Order, Text},
        vocabulary::Words,
    },
};

impl Check<'_> {
    pub(super) fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Option<Typed> {
        match (
            call.func_name.as_str(),
            call.target.as_deref(),
            call.args.as_slice(),
        ) {
            (operators::LOGICAL_AND, None, [one, other]) => self.joined(one, other).map(|sides| {
                Typed::Bool(Condition::And(flat(sides, |c| match c {
                    Condition::And(parts) => Ok(parts),
                    other => Err(other),
                })))
            }),
            (operators::LOGICAL_OR, None, [one, other]) => self.joined(one, other).map(|sides| {
                Typed::Bool(Condition::Or(flat(sides, |c| match c {
                    Condition::Or(parts) => Ok(parts),
                    other => Err(other),
                })))
            }),
            (operators::LOGICAL_NOT, None, [inner]) => {
                let inner = self.condition(inner)?;
                Some(Typed::Bool(Condition::Not(Box::new(inner))))
            }
            (operators::CONDITIONAL, None, [condition, yes, no]) => {
                let condition = self.condition(condition);
                let yes = self.condition(yes);
                let no = self.condition(no);
                Some(Typed::Bool(Condition::If(Box::new([
                    condition?, yes?, no?,
                ]))))
            }
            (operators::IN, None, [element, list]) => self.contained(expr, element, list),
            (operators::NEGATE, None, [inner]) => match self.typed(inner)? {
                Typed::Int(Int::Constant(number)) => {
                    Some(Typed::Int(Int::Constant(number.checked_neg()?)))
                }
                Typed::Int(number) => Some(Typed::Int(Int::Difference(Box::new([
                    Int::Constant(0),
                    number,
                ])))),
                other => self.mistake(
                    inner,
                    format!("`-` takes a number, and this is {}", other.name()),
                    "",
                ),
            },
            (name, None, [one, other]) if order(name).is_some() => {
                let order = order(name)?;
                let (left, right) = (self.typed(one), self.typed(other));
                self.compared(expr, order, (one, left?), (other, right?))
            }
            (
                name @ (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY),
                None,
                [one, other],
            ) => self.arithmetic(name, one, other),
            (operators::DIVIDE | operators::MODULO, None, _) => self.mistake(
                expr,
                "division is not offered",
                "multiply the other side instead",
            ),
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, ..) => self.mistake(
                expr,
                "single elements cannot be picked",
                "use `.exists(x, ...)` or `.all(x, ...)`",
            ),
            (name, target, args) => self.function(expr, name, target, args),
        }
    }

    pub(super) fn joined(&mut self, one: &IdedExpr, other: &IdedExpr) -> Option<[Condition; 2]> {
        let (one, other) = (self.condition(one), self.condition(other));
        Some([one?, other?])
    }

    pub(super) fn arithmetic(
        &mut self,
        operator: &str,
        one: &IdedExpr,
        other: &IdedExpr,
    ) -> Option<Typed> {
        let mut number = |side: &IdedExpr| match self.typed(side)? {
            Typed::Int(number) => Some(number),
            found => self.mistake(
                side,
                format!("arithmetic takes numbers, and this is {}", found.name()),
                "",
            ),
        };
        let (one, other) = (number(one), number(other));
        let sides = Box::new([one?, other?]);
        Some(Typed::Int(match operator {
            operators::ADD => Int::Sum(sides),
            operators::SUBSTRACT => Int::Difference(sides),
            _ => Int::Product(sides),
        }))
    }

    pub(super) fn compared(
        &mut self,
        expr: &IdedExpr,
        order: Order,
        (one, left): (&IdedExpr, Typed),
        (other, right): (&IdedExpr, Typed),
    ) -> Option<Typed> {
        let equality = matches!(order, Order::Equal | Order::NotEqual);
        let condition = match (as_text(left), as_text(right)) {
            (Typed::Bool(left), Typed::Bool(right)) if equality => {
                let same = Condition::Same(Box::new([left, right]));
                if order == Order::Equal {
                    same
                } else {
                    Condition::Not(Box::new(same))
                }
            }
            (Typed::Int(left), Typed::Int(right)) => {
                self.remark_order(expr, order, &left, &right);
                Condition::Ints(order, left, right)
            }
            (Typed::Text(left, left_words), Typed::Text(right, right_words)) => {
                if !equality && (left_words.is_some() || right_words.is_some()) {
                    return self.mistake(
                        expr,
                        "words have no order here",
                        "compare with `==`, or use `in [...]`",
                    );
                }
                let left = self.word(one, left, right_words)?;
                let right = self.word(other, right, left_words)?;
                for (of, name, at) in [(&left, &right, other), (&right, &left, one)] {
                    if let (true, Text::Constant(name)) = (equality, name) {
                        let span = self.range(at);
                        self.mention(of, name, span);
                    }
                }
                Condition::Texts(order, left, right)
            }
            (left, right) => {
                let (left_name, right_name) = (left.name(), right.name());
                let hint = match (&left, &right) {
                    (Typed::List(_) | Typed::Literals(_), _)
                    | (_, Typed::List(_) | Typed::Literals(_)) => {
                        "use `in`, `.exists(x, ...)`, `.all(x, ...)` or `size(...)`".to_owned()
                    }
                    (Typed::Object(object, _), _) | (_, Typed::Object(object, _)) => {
                        fields_hint(*object)
                    }
                    (Typed::Element(..), _) | (_, Typed::Element(..)) => {
                        "compare its `name` or `schema`".to_owned()
                    }
                    (Typed::Int(_), Typed::Text(text, _))
                    | (Typed::Text(text, _), Typed::Int(_)) => match text {
                        Text::Constant(word) => duration::hint(word),
                        Text::Fact(..) | Text::Element(..) => None,
                    }
                    .unwrap_or_else(|| "numbers stand without quotes".to_owned()),
                    (Typed::Bool(_), Typed::Text(..)) | (Typed::Text(..), Typed::Bool(_)) => {
                        "true and false stand without quotes".to_owned()
                    }
                    _ => String::new(),
                };
                return self.mistake(
                    expr,
                    format!("{left_name} is compared with {right_name}"),
                    hint,
                );
            }
        };
        Some(Typed::Bool(condition))
    }

    /// A text that is compared with one of a fixed set: itself as the set spells it.
    pub(super) fn word(&mut self, at: &IdedExpr, text: Text, words: Option<Words>) -> Option<Text> {
        let (Some(words), Text::Constant(given)) = (words, &text) else {
            return Some(text);
        };
        let span = self.range(at);
        self.spelled(span, given, words).map(Text::Constant)
    }

    pub(super) fn spelled(
        &mut self,
        span: Option<Range<usize>>,
        given: &str,
        words: Words,
    ) -> Option<String> {
        let all = words.all();
        if let Some(word) = all.iter().find(|word| word.eq_ignore_ascii_case(given)) {
            return Some(word.clone());
        }
        let hint = match suggest::nearest(given, all.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if all.len() > 12 => {
                "statement names are those of the manual, such as \"DELETE\" or \"ALTER TABLE\""
                    .to_owned()
            }
            None => format!(
                "it is one of {}",
                suggest::listed(all.iter().map(String::as_str))
            ),
        };
        self.mistake_at(span, format!("\"{given}\" is never its value"), hint)
    }

    pub(super) fn contained(
        &mut self,
        expr: &IdedExpr,
        element: &IdedExpr,
        list: &IdedExpr,
    ) -> Option<Typed> {
        let (left, right) = (self.typed(element), self.typed(list));
        let condition = match (as_text(left?), right?) {
            (Typed::Text(text, words), Typed::Literals(literals)) => {
                let mut texts = Vec::new();
                for (literal, span) in literals {
                    texts.push(match (literal, words) {
                        (Literal::Text(one), Some(words)) => {
                            self.spelled(Some(span), &one, words)?
                        }
                        (Literal::Text(one), None) => {
                            self.mention(&text, &one, Some(span));
                            one
                        }
                        (Literal::Int(_), _) => {
                            return self.mistake_at(
                                Some(span),
                                "a text is looked for among numbers",
                                "texts stand in quotes",
                            );
                        }
                    });
                }
                Condition::TextIn(text, texts)
            }
            (Typed::Int(number), Typed::Literals(literals)) => {
                let mut numbers = Vec::new();
                for (literal, span) in literals {
                    match literal {
                        Literal::Int(one) => {
                            self.remark_among(&number, one, &span);
                            numbers.push(one);
                        }
                        Literal::Text(_) => {
                            return self.mistake_at(
                                Some(span),
                                "a number is looked for among texts",
                                "numbers stand without quotes",
                            );
                        }
                    }
                }
                Condition::IntIn(number, numbers)
            }
            (Typed::Text(text, _), Typed::List(List::Texts(texts))) => {
                let text = self.word(element, text, texts.words())?;
                Condition::Has(texts, text)
            }
            (Typed::Text(Text::Constant(text), _), Typed::List(List::Tables(tables))) => {
                match text.parse() {
                    Ok(pattern) => Condition::HasTable(tables, pattern),
                    Err(error) => {
                        return self.mistake(
                            element,
                            format!("`{text}` is not a table pattern: {error}"),
                            "write `patients`, `public.patients`, `audit.*` or `lab_*`",
                        );
                    }
                }
            }
            (Typed::Text(Text::Constant(text), _), Typed::List(List::Columns)) => {
                match text.parse() {
                    Ok(pattern) => Condition::HasColumn(pattern),
                    Err(error) => {
                        return self.mistake(
                            element,
                            format!("`{text}` is not a column pattern: {error}"),
                            "write `patients.ssn`, `*.ssn` or `public.patients.*`",
                        );
                    }
                }
            }
            (left, right) => {
                let hint = match right {
                    Typed::Text(..) => "for a part of a text use `.contains(...)`",
                    Typed::List(_) => "look for a written text",
                    _ => "`in` looks into a list",
                };
                let message = format!("{} is looked for in {}", left.name(), right.name());
                return self.mistake(expr, message, hint);
            }
        };
        Some(Typed::Bool(condition))
    }
}

fn order(name: &str) -> Option<Order> {
    Some(match name {
        operators::EQUALS => Order::Equal,
        operators::NOT_EQUALS => Order::NotEqual,
        operators::LESS => Order::Less,
        operators::LESS_EQUALS => Order::LessOrEqual,
        operators::GREATER => Order::Greater,
        operators::GREATER_EQUALS => Order::GreaterOrEqual,
        _ => return None,
    })
}
/// `a && (b && c)` as one list.
fn flat(
    sides: [Condition; 2],
    parts: impl Fn(Condition) -> Result<Vec<Condition>, Condition>,
) -> Vec<Condition> {
    let parts = |side| parts(side).unwrap_or_else(|one| vec![one]);
    sides.into_iter().flat_map(parts).collect()
}
