//! From CEL's tree to a typed condition. Everything that is not understood is a mistake, with its
//! place and a hint.

mod duration;
mod function;
mod names;
mod operator;
mod place;
mod remark;
mod syntax;

use std::{mem, ops::Range};

use cel::{
    common::ast::{Expr, IdedExpr, LiteralValue, SourceInfo, operators},
    parser::Parser,
};
use chrono_tz::Tz;

use self::names::fields_hint;
use super::{
    When, WhenError,
    expression::{Condition, Int, List, Text},
    limits::{NESTING_MAX, NODES_MAX, SOURCE_BYTES_MAX},
    sense,
    vocabulary::{Object, TextFact, Words},
};
use crate::Named;

/// Parses and checks a condition.
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
        .map_err(|errors| syntax::mistakes(source, errors))?;
    let mut check = Check {
        source,
        info: &info,
        scope: Vec::new(),
        errors: Vec::new(),
        remarks: Vec::new(),
        mentions: Vec::new(),
        nodes: 0,
        uses_blast: false,
        uses_moment: false,
    };
    let condition = check.condition(&tree);
    // The parts are read once more.
    let (remarks, mentions) = (
        mem::take(&mut check.remarks),
        mem::take(&mut check.mentions),
    );
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
        remarks,
        mentions,
        uses_blast,
        uses_moment,
    })
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
    remarks: Vec<WhenError>,
    mentions: Vec<(Named, String, Option<Range<usize>>)>,
    nodes: usize,
    uses_blast: bool,
    uses_moment: bool,
}

impl Check<'_> {
    pub(super) fn mistake<T>(
        &mut self,
        at: &IdedExpr,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        let span = self.range(at);
        self.mistake_at(span, message, hint)
    }

    pub(super) fn mistake_at<T>(
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
    pub(super) fn condition(&mut self, expr: &IdedExpr) -> Option<Condition> {
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

    pub(super) fn typed(&mut self, expr: &IdedExpr) -> Option<Typed> {
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

    pub(super) fn range(&self, expr: &IdedExpr) -> Option<Range<usize>> {
        place::range(expr, self.info, self.source)
    }
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
