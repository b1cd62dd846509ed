//! Variables and fields.

use cel::common::ast::IdedExpr;
use chrono_tz::Tz;

use super::{Check, Typed};
use crate::{
    suggest,
    when::{
        expression::{Condition, Int, List, Text},
        vocabulary::{BoolFact, GLOBALS, IntFact, Leaf, Object, TextFact, fields},
    },
};

impl Check<'_> {
    pub(super) fn ident(&mut self, expr: &IdedExpr, name: &str) -> Option<Typed> {
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
                        "a text stands in quotes, \"{name}\"; the variables are {}",
                        suggest::listed(GLOBALS.iter().map(|(known, _)| *known))
                    ),
                },
            };
            return self.mistake(expr, format!("there is no variable `{name}`"), hint);
        };
        Some(self.leaf(*leaf, Tz::UTC))
    }

    pub(super) fn leaf(&mut self, leaf: Leaf, zone: Tz) -> Typed {
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

    pub(super) fn uses(&mut self, leaf: Leaf) {
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

    pub(super) fn field(&mut self, expr: &IdedExpr, operand: Typed, field: &str) -> Option<Typed> {
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

    pub(super) fn no_field(
        &mut self,
        expr: &IdedExpr,
        object: Object,
        field: &str,
    ) -> Option<Typed> {
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
}

/// The variable that has such a field.
pub(super) fn owner_of(field: &str) -> Option<Object> {
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

pub(super) fn fields_hint(object: Object) -> String {
    let names = fields(object).iter().map(|(name, _)| *name);
    format!("{} has {}", quoted(object), suggest::listed(names))
}

pub(super) fn quoted(object: Object) -> String {
    match object {
        Object::Table | Object::Column => object.as_str().to_owned(),
        _ => format!("`{}`", object.as_str()),
    }
}
