//! Functions, methods and ways through lists.

use std::ops::Range;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::{Check, Typed, as_text, duration};
use crate::{
    suggest,
    when::{
        expression::{Condition, Int, Part, Text},
        limits::DEPTH_MAX,
        vocabulary::{GLOBALS, Object},
    },
};

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

impl Check<'_> {
    pub(super) fn function(
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

    pub(super) fn text(&mut self, expr: &IdedExpr) -> Option<Text> {
        match as_text(self.typed(expr)?) {
            Typed::Text(text, _) => Some(text),
            other => self.mistake(
                expr,
                format!("this is {}, where a text is needed", other.name()),
                "",
            ),
        }
    }

    pub(super) fn part(&mut self, part: Part, of: &IdedExpr, wanted: &IdedExpr) -> Option<Typed> {
        let (text, wanted) = (self.text(of), self.text(wanted));
        Some(Typed::Bool(Condition::Part(part, text?, wanted?)))
    }

    pub(super) fn zone(
        &mut self,
        expr: &IdedExpr,
        of: &IdedExpr,
        zone: &IdedExpr,
    ) -> Option<Typed> {
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

    pub(super) fn unknown_function(
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
            "duration" => match args {
                [word] => self.text_of(word).as_deref().and_then(duration::hint),
                _ => None,
            }
            .unwrap_or_else(|| "time is counted in seconds: write 300 for 5m".to_owned()),
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

    pub(super) fn comprehension(
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

    /// A text that is written out.
    fn text_of(&self, expr: &IdedExpr) -> Option<String> {
        match &expr.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
            _ => None,
        }
    }

    fn name_span(&self, expr: &IdedExpr, name: &str) -> Option<Range<usize>> {
        let range = self.range(expr)?;
        let text = self.source.get(range.clone())?;
        let at = text.rfind(&format!("{name}(")).or_else(|| text.rfind(name));
        at.map(|at| range.start + at..range.start + at + name.len())
            .or(Some(range))
    }
}
