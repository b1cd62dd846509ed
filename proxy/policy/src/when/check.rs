//! From CEL's tree to a typed condition. Everything that is not understood is a mistake, with its
//! place and a hint.

mod place;

use std::ops::Range;

use cel::{
    common::ast::{
        CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators,
    },
    parser::Parser,
};
use chrono_tz::Tz;

use super::{
    When, WhenError,
    expression::{Condition, Int, List, Order, Part, Text},
    limits::{DEPTH_MAX, NESTING_MAX, NODES_MAX, SOURCE_BYTES_MAX},
    sense,
    vocabulary::{BoolFact, GLOBALS, IntFact, Leaf, Object, TextFact, Words, fields},
};
use crate::suggest;

pub(super) fn compile(source: &str) -> Result<When, Vec<WhenError>> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(vec![WhenError {
            span: None,
            message: format!("it is longer than {SOURCE_BYTES_MAX} bytes"),
            hint: "split it into several rules".to_owned(),
        }]);
    }
    if source.trim().is_empty() {
        return Err(vec![WhenError {
            span: None,
            message: "the condition is empty".to_owned(),
            hint: "leave `when` out to match everything".to_owned(),
        }]);
    }
    let parser = Parser::new().max_recursion_depth(NESTING_MAX);
    let (tree, info) = parser
        .parse_with_source_info(source)
        .map_err(|errors| syntax(source, errors))?;
    let mut check = Check {
        source,
        info: &info,
        scope: Vec::new(),
        errors: Vec::new(),
        nodes: 0,
        uses_blast: false,
        uses_moment: false,
    };
    let condition = check.condition(&tree);
    let parts = condition.is_some().then(|| check.parts(&tree));
    let Check {
        mut errors,
        uses_blast,
        uses_moment,
        ..
    } = check;
    let (Some(condition), Some(parts), true) = (condition, parts, errors.is_empty()) else {
        errors.sort_by_key(|error| error.span.as_ref().map_or(0, |span| span.start));
        return Err(errors);
    };
    sense::check(&condition, &parts)?;
    Ok(When {
        condition,
        parts,
        uses_blast,
        uses_moment,
    })
}

/// What the parser said, in our words and with its place in bytes.
fn syntax(source: &str, errors: cel::ParseErrors) -> Vec<WhenError> {
    let mut found: Vec<WhenError> = errors
        .errors
        .into_iter()
        .map(|error| {
            let at = byte_at(source, error.pos);
            WhenError {
                span: at.and_then(|at| {
                    let letter = source.get(at..)?.chars().next()?;
                    Some(at..at + letter.len_utf8())
                }),
                message: syntax_message(&error.msg),
                hint: syntax_hint(source, at),
            }
        })
        .collect();
    found.dedup_by(|later, earlier| later.span == earlier.span);
    // One slip upsets the parser several times.
    found.truncate(1);
    found
}

fn syntax_message(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting ").next().unwrap_or(message);
    let message = message
        .replace("'<EOF>'", "the end")
        .replace("<EOF>", "the end");
    format!("it cannot be read: {}", message.trim())
}

fn syntax_hint(source: &str, at: Option<usize>) -> String {
    let around = at.map_or(source, |at| {
        source.get(at.saturating_sub(4)..).unwrap_or(source)
    });
    let lower = source.to_ascii_lowercase();
    if lower.contains(" and ")
        || lower.contains(" or ")
        || lower.starts_with("not ")
        || lower.contains(" not ")
    {
        "CEL writes `&&`, `||` and `!`".to_owned()
    } else if around.contains('=') && !around.contains("==") && !around.contains("!=") {
        "CEL compares by `==`".to_owned()
    } else {
        "conditions are CEL, such as `statement.kind == \"DELETE\" && blast.rows > 100`".to_owned()
    }
}

/// Line from 1 and column from 0 or 1, as the parser counts them, to a byte.
fn byte_at(source: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let column = usize::try_from(column).ok()?.saturating_sub(1);
    let rest = source.get(start..)?;
    let letter = rest
        .char_indices()
        .nth(column)
        .or(rest.char_indices().last());
    letter.map(|(at, _)| start + at)
}

/// What a part of the tree is.
enum Typed {
    Bool(Condition),
    Int(Int),
    Text(Text, Option<Words>),
    List(List),
    Literals(Vec<(Literal, Range<usize>)>),
    Object(Object, Tz),
    /// An element of a list of texts, tables or columns.
    Element(usize, List),
}

enum Literal {
    Int(i64),
    Text(String),
}

impl Typed {
    fn name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a number",
            Self::Text(..) | Self::Element(_, List::Texts(_)) => "a text",
            Self::List(List::Texts(_)) => "a list of texts",
            Self::List(List::Tables(_)) => "a list of tables",
            Self::List(List::Columns) => "a list of columns",
            Self::Literals(_) => "a list",
            Self::Object(..) => "a variable with fields",
            Self::Element(_, List::Tables(_)) => "a table",
            Self::Element(_, List::Columns) => "a column",
        }
    }
}

struct Check<'s> {
    source: &'s str,
    info: &'s SourceInfo,
    /// Names bound by `exists` and `all`, outermost first.
    scope: Vec<(String, List)>,
    errors: Vec<WhenError>,
    nodes: usize,
    uses_blast: bool,
    uses_moment: bool,
}

impl Check<'_> {
    fn mistake<T>(
        &mut self,
        at: &IdedExpr,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        let span = self.range(at);
        self.mistake_at(span, message, hint)
    }

    fn mistake_at<T>(
        &mut self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.errors.push(WhenError {
            span,
            message: message.into(),
            hint: hint.into(),
        });
        None
    }

    /// Something that has to be true or false.
    fn condition(&mut self, expr: &IdedExpr) -> Option<Condition> {
        match self.typed(expr)? {
            Typed::Bool(condition) => Some(condition),
            other => self.mistake(
                expr,
                format!(
                    "this is {}, where something true or false is needed",
                    other.name()
                ),
                match other {
                    Typed::Int(_) | Typed::Text(..) => "compare it with something".to_owned(),
                    Typed::List(_) | Typed::Literals(_) => {
                        "use `.exists(x, ...)`, `.all(x, ...)`, `in` or `size(...)`".to_owned()
                    }
                    Typed::Object(object, _) => fields_hint(object),
                    _ => "compare one of its fields".to_owned(),
                },
            ),
        }
    }

    fn typed(&mut self, expr: &IdedExpr) -> Option<Typed> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            if self.nodes == NODES_MAX + 1 {
                return self.mistake_at(
                    None,
                    format!("it has more than {NODES_MAX} parts"),
                    "split it into several rules",
                );
            }
            return None;
        }
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.ident(expr, name),
            Expr::Select(select) if select.test => self.mistake(
                &select.operand,
                "`has` is not offered: whether something is known must not loosen a rule",
                "compare the field itself; what is not known holds a statement and never lets it pass",
            ),
            Expr::Select(select) => {
                let operand = self.typed(&select.operand)?;
                self.field(expr, operand, &select.field)
            }
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => {
                let mut literals = Vec::new();
                for element in &list.elements {
                    let span = self.range(element).unwrap_or(0..0);
                    match self.typed(element)? {
                        Typed::Text(Text::Constant(text), _) => literals.push((Literal::Text(text), span)),
                        Typed::Int(Int::Constant(number)) => literals.push((Literal::Int(number), span)),
                        _ => return self.mistake(element, "a written list takes texts or numbers only", "compare with `==` and join by `||`"),
                    }
                }
                Some(Typed::Literals(literals))
            }
            Expr::Comprehension(comprehension) => self.comprehension(expr, comprehension),
            Expr::Map(_) | Expr::Struct(_) => self.mistake(expr, "maps and messages are not offered", "compare single fields"),
            Expr::Unspecified => self.mistake(expr, "something is missing here", ""),
        }
    }

    fn literal(&mut self, expr: &IdedExpr, literal: &LiteralValue) -> Option<Typed> {
        match literal {
            LiteralValue::Boolean(value) => Some(Typed::Bool(Condition::Constant(*value.inner()))),
            LiteralValue::Int(value) => Some(Typed::Int(Int::Constant(*value.inner()))),
            LiteralValue::UInt(value) => match i64::try_from(*value.inner()) {
                Ok(number) => Some(Typed::Int(Int::Constant(number))),
                Err(_) => self.mistake(expr, "this number is too large", ""),
            },
            LiteralValue::String(text) => {
                Some(Typed::Text(Text::Constant(text.inner().to_owned()), None))
            }
            LiteralValue::Double(_) => self.mistake(
                expr,
                "numbers with a fraction are not offered",
                "every number here is whole",
            ),
            LiteralValue::Bytes(_) => {
                self.mistake(expr, "bytes are not offered", "write the text without `b`")
            }
            LiteralValue::Null => self.mistake(
                expr,
                "`null` is not offered: nothing here is ever null",
                "a name that nobody gave is \"\"; what is not known holds a statement by itself",
            ),
        }
    }

    fn ident(&mut self, expr: &IdedExpr, name: &str) -> Option<Typed> {
        if let Some(depth) = self.scope.iter().rposition(|(bound, _)| bound == name) {
            let (_, list) = self.scope.get(depth)?;
            return Some(Typed::Element(depth, *list));
        }
        let Some((_, leaf)) = GLOBALS.iter().find(|(known, _)| *known == name) else {
            let bound = self.scope.iter().map(|(bound, _)| bound.as_str());
            let known = GLOBALS.iter().map(|(known, _)| *known).chain(bound);
            let hint = match suggest::nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => match owner_of(name) {
                    Some(object) => format!("did you mean `{}.{name}`?", object.as_str()),
                    None => format!(
                        "the variables are {}",
                        suggest::listed(GLOBALS.iter().map(|(known, _)| *known))
                    ),
                },
            };
            return self.mistake(expr, format!("there is no variable `{name}`"), hint);
        };
        Some(self.leaf(*leaf, Tz::UTC))
    }

    fn leaf(&mut self, leaf: Leaf, zone: Tz) -> Typed {
        self.uses(leaf);
        match leaf {
            Leaf::Object(object) => Typed::Object(object, zone),
            Leaf::Bool(fact) => Typed::Bool(Condition::Fact(fact)),
            Leaf::Int(fact) => Typed::Int(Int::Fact(fact, zone)),
            Leaf::Text(fact) => Typed::Text(Text::Fact(fact, zone), fact.words()),
            Leaf::Texts(list) => Typed::List(List::Texts(list)),
            Leaf::Tables(list) => Typed::List(List::Tables(list)),
            Leaf::Columns => Typed::List(List::Columns),
        }
    }

    fn uses(&mut self, leaf: Leaf) {
        self.uses_blast |= matches!(
            leaf,
            Leaf::Int(
                IntFact::BlastRows | IntFact::BlastCascadeRows | IntFact::BlastBlockedSessions
            ) | Leaf::Bool(
                BoolFact::BlastRewrites
                    | BoolFact::BlastFullScan
                    | BoolFact::BlastReversible
                    | BoolFact::BlastTransactional
            )
        );
        self.uses_moment |= matches!(
            leaf,
            Leaf::Int(
                IntFact::StatementsInBatch
                    | IntFact::SessionAge
                    | IntFact::Year
                    | IntFact::Month
                    | IntFact::Day
                    | IntFact::Hour
                    | IntFact::Minute
            ) | Leaf::Bool(BoolFact::InTransaction)
                | Leaf::Text(
                    TextFact::ApplicationName
                        | TextFact::ClientAddr
                        | TextFact::Weekday
                        | TextFact::Date
                )
        );
    }

    fn field(&mut self, expr: &IdedExpr, operand: Typed, field: &str) -> Option<Typed> {
        let (object, zone) = match operand {
            Typed::Object(object, zone) => (object, zone),
            Typed::Element(depth, list @ (List::Tables(_) | List::Columns)) => {
                let object = if list == List::Columns {
                    Object::Column
                } else {
                    Object::Table
                };
                return match fields(object).iter().find(|(known, _)| *known == field) {
                    Some((_, Leaf::Text(fact))) => {
                        Some(Typed::Text(Text::Element(depth, *fact), fact.words()))
                    }
                    _ => self.no_field(expr, object, field),
                };
            }
            other => {
                let hint = match other {
                    Typed::List(_) => "its elements do: use `.exists(x, x.name == ...)`",
                    _ => "",
                };
                return self.mistake(
                    expr,
                    format!("{} has no fields, so no `{field}`", other.name()),
                    hint,
                );
            }
        };
        match fields(object).iter().find(|(known, _)| *known == field) {
            Some((_, leaf)) => Some(self.leaf(*leaf, zone)),
            None => self.no_field(expr, object, field),
        }
    }

    fn no_field(&mut self, expr: &IdedExpr, object: Object, field: &str) -> Option<Typed> {
        let known = fields(object).iter().map(|(known, _)| *known);
        let hint = match suggest::nearest(field, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match owner_of(field) {
                Some(owner) => format!("did you mean `{}.{field}`?", owner.as_str()),
                None => fields_hint(object),
            },
        };
        let span = self.range(expr).map(|range| {
            let end = range.end;
            end.saturating_sub(field.len()).max(range.start)..end
        });
        self.mistake_at(
            span,
            format!("{} has no field `{field}`", quoted(object)),
            hint,
        )
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Option<Typed> {
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

    fn joined(&mut self, one: &IdedExpr, other: &IdedExpr) -> Option<[Condition; 2]> {
        let (one, other) = (self.condition(one), self.condition(other));
        Some([one?, other?])
    }

    fn arithmetic(&mut self, operator: &str, one: &IdedExpr, other: &IdedExpr) -> Option<Typed> {
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

    fn compared(
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
            (Typed::Int(left), Typed::Int(right)) => Condition::Ints(order, left, right),
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
                    (Typed::Int(_), Typed::Text(..)) | (Typed::Text(..), Typed::Int(_)) => {
                        "numbers stand without quotes".to_owned()
                    }
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
    fn word(&mut self, at: &IdedExpr, text: Text, words: Option<Words>) -> Option<Text> {
        let (Some(words), Text::Constant(given)) = (words, &text) else {
            return Some(text);
        };
        let span = self.range(at);
        self.spelled(span, given, words).map(Text::Constant)
    }

    fn spelled(&mut self, span: Option<Range<usize>>, given: &str, words: Words) -> Option<String> {
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

    fn contained(&mut self, expr: &IdedExpr, element: &IdedExpr, list: &IdedExpr) -> Option<Typed> {
        let (left, right) = (self.typed(element), self.typed(list));
        let condition = match (as_text(left?), right?) {
            (Typed::Text(text, words), Typed::Literals(literals)) => {
                let mut texts = Vec::new();
                for (literal, span) in literals {
                    texts.push(match (literal, words) {
                        (Literal::Text(text), Some(words)) => {
                            self.spelled(Some(span), &text, words)?
                        }
                        (Literal::Text(text), None) => text,
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
                        Literal::Int(number) => numbers.push(number),
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

    fn function(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        target: Option<&IdedExpr>,
        args: &[IdedExpr],
    ) -> Option<Typed> {
        match (name, target, args) {
            ("size", Some(of), []) | ("size", None, [of]) => match as_text(self.typed(of)?) {
                Typed::List(list) => Some(Typed::Int(Int::Size(list))),
                Typed::Text(text, _) => Some(Typed::Int(Int::Length(Box::new(text)))),
                other => self.mistake(
                    of,
                    format!(
                        "`size` takes a list or a text, and this is {}",
                        other.name()
                    ),
                    "",
                ),
            },
            ("startsWith", Some(of), [wanted]) => self.part(Part::Start, of, wanted),
            ("endsWith", Some(of), [wanted]) => self.part(Part::End, of, wanted),
            ("contains", Some(of), [wanted]) => self.part(Part::Anywhere, of, wanted),
            ("like", Some(of), [pattern]) => {
                let (text, pattern_text) = (self.text(of), self.text(pattern));
                match pattern_text? {
                    Text::Constant(pattern) => Some(Typed::Bool(Condition::Like(text?, pattern))),
                    _ => self.mistake(
                        pattern,
                        "the pattern has to be written out",
                        "such as `t.name.like(\"lab_*\")`",
                    ),
                }
            }
            ("zone", Some(of), [zone]) => self.zone(expr, of, zone),
            _ => self.unknown_function(expr, name, target, args),
        }
    }

    fn text(&mut self, expr: &IdedExpr) -> Option<Text> {
        match as_text(self.typed(expr)?) {
            Typed::Text(text, _) => Some(text),
            other => self.mistake(
                expr,
                format!("this is {}, where a text is needed", other.name()),
                "",
            ),
        }
    }

    fn part(&mut self, part: Part, of: &IdedExpr, wanted: &IdedExpr) -> Option<Typed> {
        let (text, wanted) = (self.text(of), self.text(wanted));
        Some(Typed::Bool(Condition::Part(part, text?, wanted?)))
    }

    fn zone(&mut self, expr: &IdedExpr, of: &IdedExpr, zone: &IdedExpr) -> Option<Typed> {
        let (of, name) = (self.typed(of)?, self.text(zone)?);
        let Text::Constant(name) = name else {
            return self.mistake(
                zone,
                "the time zone has to be written out",
                "such as `time.zone(\"Europe/Berlin\").hour`",
            );
        };
        if !matches!(of, Typed::Object(Object::Time, _)) {
            return self.mistake(
                expr,
                format!("{} has no time zone", of.name()),
                "write `time.zone(\"Europe/Berlin\").hour`",
            );
        }
        match name.parse() {
            Ok(zone) => Some(Typed::Object(Object::Time, zone)),
            Err(_) => {
                let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
                let hint = match suggest::nearest(&name, names) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => {
                        "zones are named as in \"Europe/Berlin\"; offsets alone know no summer time"
                            .to_owned()
                    }
                };
                self.mistake(zone, format!("there is no time zone \"{name}\""), hint)
            }
        }
    }

    fn unknown_function(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        target: Option<&IdedExpr>,
        args: &[IdedExpr],
    ) -> Option<Typed> {
        let span = self.name_span(expr, name);
        if let Some((_, usage)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            let given = args.len();
            let how = if target.is_some() { "as a method " } else { "" };
            return self.mistake_at(
                span,
                format!("`{name}` is called {how}with {given} arguments"),
                format!("it is written `{usage}`"),
            );
        }
        let hint = match name {
            "matches" | "find" | "findAll" => {
                "there are no regular expressions; `.like(\"lab_*\")` knows `*`".to_owned()
            }
            "map" | "filter" | "exists_one" | "existsOne" | "transformList" => {
                "use `.exists(x, ...)` or `.all(x, ...)`".to_owned()
            }
            "getHours" | "getMinutes" | "getDayOfWeek" | "timestamp" | "now" => {
                "use `time.hour`, `time.weekday` or `time.zone(\"Europe/Berlin\").hour`".to_owned()
            }
            "int" | "uint" | "string" | "double" | "dyn" | "type" => {
                "types are fixed; nothing is converted".to_owned()
            }
            _ => match suggest::nearest(name, FUNCTIONS.iter().map(|(known, _)| *known)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "the functions are {}",
                    suggest::listed(FUNCTIONS.iter().map(|(known, _)| *known))
                ),
            },
        };
        self.mistake_at(span, format!("there is no function `{name}`"), hint)
    }

    fn comprehension(
        &mut self,
        expr: &IdedExpr,
        comprehension: &ComprehensionExpr,
    ) -> Option<Typed> {
        let every = match &comprehension.accu_init.expr {
            Expr::Literal(LiteralValue::Boolean(init)) => *init.inner(),
            _ => {
                return self.mistake(
                    expr,
                    "only `exists` and `all` go through lists",
                    "there is no `map`, `filter` or `exists_one`",
                );
            }
        };
        let body = match &comprehension.loop_step.expr {
            Expr::Call(CallExpr { args, .. }) if comprehension.iter_var2.is_none() => args.get(1),
            _ => None,
        };
        let Some(body) = body else {
            return self.mistake(
                expr,
                "this way through a list is not offered",
                "use `.exists(x, ...)` or `.all(x, ...)`",
            );
        };
        let list = match self.typed(&comprehension.iter_range)? {
            Typed::List(list) => list,
            other => {
                return self.mistake(
                    &comprehension.iter_range,
                    format!(
                        "`exists` and `all` go through lists, and this is {}",
                        other.name()
                    ),
                    "",
                );
            }
        };
        if self.scope.len() >= DEPTH_MAX {
            return self.mistake(
                expr,
                format!("`exists` and `all` may stand inside each other {DEPTH_MAX} deep at most"),
                "split it into several rules",
            );
        }
        let name = &comprehension.iter_var;
        if GLOBALS.iter().any(|(known, _)| known == name) {
            return self.mistake(
                expr,
                format!("`{name}` is a variable already"),
                "choose another name for the element",
            );
        }
        self.scope.push((name.clone(), list));
        let body = self.condition(body);
        self.scope.pop();
        let body = Box::new(body?);
        Some(Typed::Bool(if every {
            Condition::Every(list, body)
        } else {
            Condition::Some(list, body)
        }))
    }

    /// The parts joined by `&&` at the top, each with its text.
    fn parts(&mut self, expr: &IdedExpr) -> Vec<(String, Condition)> {
        if let Expr::Call(call) = &expr.expr
            && call.func_name == operators::LOGICAL_AND
        {
            return call.args.iter().flat_map(|side| self.parts(side)).collect();
        }
        let text = self
            .range(expr)
            .and_then(|range| self.source.get(range))
            .unwrap_or(self.source);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.nodes = 0;
        self.condition(expr)
            .map(|condition| (text, condition))
            .into_iter()
            .collect()
    }

    fn range(&self, expr: &IdedExpr) -> Option<Range<usize>> {
        place::range(expr, self.info, self.source)
    }

    fn name_span(&self, expr: &IdedExpr, name: &str) -> Option<Range<usize>> {
        let range = self.range(expr)?;
        let text = self.source.get(range.clone())?;
        let at = text.rfind(&format!("{name}(")).or_else(|| text.rfind(name));
        at.map(|at| range.start + at..range.start + at + name.len())
            .or(Some(range))
    }
}

/// The functions, and how they are written.
const FUNCTIONS: &[(&str, &str)] = &[
    ("size", "size(list)"),
    ("startsWith", "text.startsWith(\"a\")"),
    ("endsWith", "text.endsWith(\"a\")"),
    ("contains", "text.contains(\"a\")"),
    ("like", "text.like(\"a*\")"),
    ("exists", "list.exists(x, condition)"),
    ("all", "list.all(x, condition)"),
    ("zone", "time.zone(\"Europe/Berlin\")"),
];

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

/// An element of a list of texts is a text.
fn as_text(typed: Typed) -> Typed {
    match typed {
        Typed::Element(depth, List::Texts(list)) => {
            Typed::Text(Text::Element(depth, TextFact::ElementName), list.words())
        }
        other => other,
    }
}

/// `a && (b && c)` as one list.
fn flat(
    sides: [Condition; 2],
    parts: impl Fn(Condition) -> Result<Vec<Condition>, Condition>,
) -> Vec<Condition> {
    let parts = |side| parts(side).unwrap_or_else(|one| vec![one]);
    sides.into_iter().flat_map(parts).collect()
}

/// The variable that has such a field.
fn owner_of(field: &str) -> Option<Object> {
    let objects = [
        Object::Statement,
        Object::Blast,
        Object::Agent,
        Object::Session,
        Object::Target,
        Object::Time,
    ];
    objects
        .into_iter()
        .find(|object| fields(*object).iter().any(|(known, _)| *known == field))
}

fn fields_hint(object: Object) -> String {
    let names = fields(object).iter().map(|(name, _)| *name);
    format!("{} has {}", quoted(object), suggest::listed(names))
}

fn quoted(object: Object) -> String {
    match object {
        Object::Table | Object::Column => object.as_str().to_owned(),
        _ => format!("`{}`", object.as_str()),
    }
}
