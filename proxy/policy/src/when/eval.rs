//! Evaluates a checked condition. What facts, catalog or probe could not tell is *unknown*, and stays
//! so until the rest decides. Bounded: a step budget turns what is too long into *unknown*.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
};

use abeyance_sql::{ColumnName, FunctionName, RelationName, Rewrite, SessionEffect};
use chrono::{Datelike as _, Timelike as _};
use chrono_tz::Tz;

use super::{
    expression::{Condition, Int, List, Part, Text},
    limits::{DEPTH_MAX, STEPS_MAX},
    vocabulary::{
        BoolFact, IntFact, TableList, TextFact, TextList, WEEKDAYS, lock_word, reach_word,
        undo_word,
    },
};
use crate::{
    case::{Case, TableAccess},
    pattern::glob,
    truth::Truth,
};

/// What a condition is evaluated against.
#[derive(Debug)]
pub(crate) struct Env<'a> {
    /// `None`: nothing at all is known, for finding conditions that no statement changes.
    case: Option<Case<'a>>,
    steps: Cell<u32>,
    elements: [Cell<Option<Element<'a>>>; DEPTH_MAX],
    /// Facts that were asked for and not known.
    unknown: Option<RefCell<Vec<&'static str>>>,
}

#[derive(Debug, Clone, Copy)]
enum Element<'a> {
    Text(&'a str),
    Table(&'a RelationName, TableAccess),
    Column(&'a ColumnName),
}

impl<'a> Env<'a> {
    pub(crate) fn new(case: Case<'a>) -> Self {
        Self {
            case: Some(case),
            ..Self::of_nothing()
        }
    }

    pub(crate) fn of_nothing() -> Self {
        Self {
            case: None,
            steps: Cell::new(STEPS_MAX),
            elements: [const { Cell::new(None) }; DEPTH_MAX],
            unknown: None,
        }
    }

    /// Remembers what was not known.
    pub(crate) fn tracing(case: Case<'a>) -> Self {
        Self {
            unknown: Some(RefCell::default()),
            ..Self::new(case)
        }
    }

    pub(crate) fn into_unknown(self) -> Vec<&'static str> {
        let mut names = self.unknown.map(RefCell::into_inner).unwrap_or_default();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Counts one step; `false` when the budget is used up.
    fn step(&self) -> bool {
        match self.steps.get().checked_sub(1) {
            Some(left) => {
                self.steps.set(left);
                true
            }
            None => false,
        }
    }

    fn note(&self, name: &'static str) {
        if let Some(unknown) = &self.unknown {
            unknown.borrow_mut().push(name);
        }
    }

    fn noted<T>(&self, value: Option<T>, name: &'static str) -> Option<T> {
        if value.is_none() {
            self.note(name);
        }
        value
    }

    fn element(&self, depth: usize) -> Option<Element<'a>> {
        self.elements.get(depth)?.get()
    }
}

impl Condition {
    pub(crate) fn eval(&self, env: &Env<'_>) -> Truth {
        if !env.step() {
            return Truth::Unknown;
        }
        match self {
            Self::Constant(value) => (*value).into(),
            Self::Fact(fact) => bool_fact(*fact, env),
            Self::Not(inner) => !inner.eval(env),
            Self::And(parts) => Truth::all(parts.iter().map(|part| part.eval(env)), true),
            Self::Or(parts) => Truth::any(parts.iter().map(|part| part.eval(env)), true),
            Self::If(parts) => {
                let [condition, yes, no] = parts.as_ref();
                match condition.eval(env) {
                    Truth::True => yes.eval(env),
                    Truth::False => no.eval(env),
                    Truth::Unknown => {
                        let (yes, no) = (yes.eval(env), no.eval(env));
                        if yes == no { yes } else { Truth::Unknown }
                    }
                }
            }
            Self::Same(sides) => match (sides[0].eval(env), sides[1].eval(env)) {
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                (one, other) => (one == other).into(),
            },
            Self::Ints(order, one, other) => match (one.eval(env), other.eval(env)) {
                (Some(one), Some(other)) => order.holds(one.cmp(&other)).into(),
                _ => Truth::Unknown,
            },
            Self::IntIn(number, list) => {
                number.eval(env).map(|number| list.contains(&number)).into()
            }
            Self::Texts(order, one, other) => match (one.eval(env), other.eval(env)) {
                (Some(one), Some(other)) => order.holds(one.cmp(&other)).into(),
                _ => Truth::Unknown,
            },
            Self::TextIn(text, list) => {
                let found = text.eval(env);
                found
                    .map(|text| list.iter().any(|listed| *listed == text))
                    .into()
            }
            Self::Has(list, text) => match text.eval(env) {
                Some(text) => List::Texts(*list).any(env, |element| match element {
                    Element::Text(found) => (found == text).into(),
                    Element::Table(..) | Element::Column(_) => Truth::False,
                }),
                None => Truth::Unknown,
            },
            Self::HasTable(list, pattern) => {
                List::Tables(*list).any(env, |element| match element {
                    Element::Table(relation, _) => pattern.matches(relation),
                    Element::Text(_) | Element::Column(_) => Truth::False,
                })
            }
            Self::HasColumn(pattern) => List::Columns.any(env, |element| match element {
                Element::Column(column) => pattern.matches(column),
                Element::Text(_) | Element::Table(..) => Truth::False,
            }),
            Self::Part(part, text, wanted) => match (text.eval(env), wanted.eval(env)) {
                (Some(text), Some(wanted)) => match part {
                    Part::Start => text.starts_with(wanted.as_ref()),
                    Part::End => text.ends_with(wanted.as_ref()),
                    Part::Anywhere => text.contains(wanted.as_ref()),
                }
                .into(),
                _ => Truth::Unknown,
            },
            Self::Like(text, pattern) => text.eval(env).map(|text| glob(pattern, &text)).into(),
            Self::Some(list, body) => list.each(env, body, false),
            Self::Every(list, body) => !list.each(env, body, true),
        }
    }
}

impl Int {
    fn eval(&self, env: &Env<'_>) -> Option<i64> {
        if !env.step() {
            return None;
        }
        match self {
            Self::Constant(number) => Some(*number),
            Self::Fact(fact, zone) => int_fact(*fact, *zone, env),
            Self::Size(list) => {
                let mut size = 0i64;
                let complete = list.visit(env, &mut |_| {
                    size += 1;
                    true
                });
                complete.then_some(size)
            }
            Self::Length(text) => i64::try_from(text.eval(env)?.chars().count()).ok(),
            Self::Sum(sides) => sides[0].eval(env)?.checked_add(sides[1].eval(env)?),
            Self::Difference(sides) => sides[0].eval(env)?.checked_sub(sides[1].eval(env)?),
            Self::Product(sides) => sides[0].eval(env)?.checked_mul(sides[1].eval(env)?),
        }
    }
}

impl Text {
    fn eval<'e, 'a: 'e>(&'e self, env: &Env<'a>) -> Option<Cow<'e, str>> {
        if !env.step() {
            return None;
        }
        match self {
            Self::Constant(text) => Some(Cow::Borrowed(text)),
            Self::Fact(fact, zone) => text_fact(*fact, *zone, env),
            Self::Element(depth, fact) => element_text(env.element(*depth)?, *fact),
        }
    }
}

fn element_text<'a>(element: Element<'a>, fact: TextFact) -> Option<Cow<'a, str>> {
    let relation = match element {
        Element::Text(text) => return Some(Cow::Borrowed(text)),
        Element::Table(relation, _) => Some(relation),
        Element::Column(column) => column.relation.as_ref(),
    };
    let text = match (fact, element) {
        (TextFact::ElementAccess, Element::Table(_, access)) => access.as_str(),
        (TextFact::ElementName, Element::Column(column)) if column.name == "*" => return None,
        (TextFact::ElementName, Element::Column(column)) => &column.name,
        (TextFact::ElementSchema, _) => relation?.schema.as_deref()?,
        // `GRANT ... ON ALL TABLES IN SCHEMA s`.
        (TextFact::ElementName | TextFact::ElementTable, _) => {
            Some(relation?.name.as_str()).filter(|name| *name != "*")?
        }
        _ => return None,
    };
    Some(Cow::Borrowed(text))
}

impl List {
    /// Gives every element to `visit` until it returns `false`; whether the list has no gaps and
    /// was not cut short by the budget.
    fn visit<'a>(self, env: &Env<'a>, visit: &mut dyn FnMut(Element<'a>) -> bool) -> bool {
        let complete = self.walk(env, &mut |element| env.step() && visit(element));
        let complete = complete && env.steps.get() > 0;
        if !complete {
            env.note(self.name());
        }
        complete
    }

    fn any<'a>(self, env: &Env<'a>, test: impl Fn(Element<'a>) -> Truth) -> Truth {
        let mut found = Truth::False;
        let complete = self.visit(env, &mut |element| {
            found = found.or(test(element));
            found != Truth::True
        });
        if complete {
            found
        } else {
            found.or(Truth::Unknown)
        }
    }

    /// Whether `body` holds (or, `negated`, does not) for some element.
    fn each(self, env: &Env<'_>, body: &Condition, negated: bool) -> Truth {
        let Some(place) = env.elements.iter().find(|place| place.get().is_none()) else {
            return Truth::Unknown;
        };
        let found = self.any(env, |element| {
            place.set(Some(element));
            let truth = body.eval(env);
            if negated { !truth } else { truth }
        });
        place.set(None);
        found
    }

    fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Tables(TableList::All) => "tables",
            Self::Tables(TableList::Reads) => "statement.reads",
            Self::Tables(TableList::Writes) => "statement.writes",
            Self::Tables(TableList::Alters) => "statement.alters",
            Self::Tables(TableList::Through) => "statement.through",
            Self::Tables(TableList::Foreign) => "statement.foreign",
            Self::Tables(TableList::Cascades) => "statement.cascades",
            Self::Texts(TextList::Kinds) => "statement.kinds",
            Self::Texts(TextList::Classes) => "statement.classes",
            Self::Texts(TextList::Names) => "statement.names",
            Self::Texts(TextList::Functions) => "statement.functions",
            Self::Texts(TextList::Operators) => "statement.operators",
            Self::Texts(TextList::Casts) => "statement.casts",
            Self::Texts(TextList::Routines) => "statement.routines",
            Self::Texts(TextList::Triggers) => "statement.triggers",
            Self::Texts(TextList::Reach) => "statement.reach",
            Self::Texts(TextList::KeyedBy) => "statement.keyed_by",
            Self::Texts(TextList::Missing) => "statement.missing",
        }
    }

    fn walk<'a>(self, env: &Env<'a>, visit: &mut dyn FnMut(Element<'a>) -> bool) -> bool {
        let Some(case) = env.case else { return false };
        let facts = case.facts;
        match self {
            Self::Columns => {
                let _ = facts.columns.iter().map(Element::Column).all(visit);
                facts.columns_known && case.tables_complete()
            }
            Self::Tables(list) => tables(list, case, visit),
            Self::Texts(list) => texts(list, case, visit),
        }
    }
}

fn tables<'a>(list: TableList, case: Case<'a>, visit: &mut dyn FnMut(Element<'a>) -> bool) -> bool {
    let facts = case.facts;
    let catalog = facts.catalog.as_ref();
    let wanted = match list {
        TableList::All => {
            let mut all = case
                .tables()
                .map(|(relation, access)| Element::Table(relation, access));
            let _ = all.all(visit);
            return case.tables_complete();
        }
        TableList::Reads => TableAccess::Read,
        TableList::Writes => TableAccess::Write,
        TableList::Alters => TableAccess::Alter,
        TableList::Cascades => TableAccess::Cascade,
        TableList::Through | TableList::Foreign => {
            let set = catalog.map(|catalog| match list {
                TableList::Foreign => &catalog.foreign,
                _ => &catalog.through,
            });
            let mut all = set.into_iter().flatten();
            let _ = all.all(|relation| visit(Element::Table(relation, TableAccess::Read)));
            return case.tables_complete();
        }
    };
    let mut some = case.tables().filter(|(_, access)| *access == wanted);
    let _ = some.all(|(relation, access)| visit(Element::Table(relation, access)));
    // Without the catalog, what a plain table's keys do to others is not in its name.
    let beyond_names = wanted == TableAccess::Cascade
        && catalog.is_none()
        && !(facts.writes.is_empty() && facts.alters.is_empty());
    case.tables_complete() && !beyond_names
}

fn texts<'a>(list: TextList, case: Case<'a>, visit: &mut dyn FnMut(Element<'a>) -> bool) -> bool {
    let facts = case.facts;
    let named = |names: &'a std::collections::BTreeSet<FunctionName>,
                 visit: &mut dyn FnMut(Element<'a>) -> bool| {
        let _ = names.iter().all(|name| visit(Element::Text(&name.name)));
    };
    let plain = |names: &'a std::collections::BTreeSet<String>,
                 visit: &mut dyn FnMut(Element<'a>) -> bool| {
        let _ = names.iter().all(|name| visit(Element::Text(name)));
    };
    match list {
        TextList::Kinds => {
            plain(&facts.kinds, visit);
            return true;
        }
        TextList::Classes => {
            let _ = facts
                .classes
                .iter()
                .all(|class| visit(Element::Text(class.as_str())));
            return true;
        }
        TextList::Names => {
            let _ = facts
                .relations()
                .all(|name| visit(Element::Text(&name.name)));
        }
        TextList::Functions => named(&facts.functions, visit),
        TextList::Operators => named(&facts.operators, visit),
        TextList::Casts => named(&facts.casts, visit),
        TextList::KeyedBy => plain(&facts.keyed_by, visit),
        TextList::Reach => {
            let reach = &facts.impact.reach;
            let _ = reach
                .iter()
                .all(|reach| visit(Element::Text(reach_word(*reach))));
        }
        TextList::Routines | TextList::Triggers | TextList::Missing => {
            if let Some(catalog) = &facts.catalog {
                plain(
                    match list {
                        TextList::Routines => &catalog.routines,
                        TextList::Triggers => &catalog.triggers,
                        _ => &catalog.missing,
                    },
                    visit,
                );
            }
            return case.tables_complete()
                && (list != TextList::Missing || facts.catalog.is_some());
        }
    }
    case.text_complete()
}

fn bool_fact(fact: BoolFact, env: &Env<'_>) -> Truth {
    let Some(case) = env.case else {
        return Truth::Unknown;
    };
    let facts = case.facts;
    let understood = |value: bool| case.text_complete().then_some(value);
    let blast = case.context.blast;
    let moment = case.context.moment;
    let (value, name) = match fact {
        BoolFact::Opaque => (Some(facts.opaque.is_some()), ""),
        BoolFact::Certain => (Some(facts.is_certain()), ""),
        BoolFact::Resolved => (Some(case.resolved), ""),
        BoolFact::Explainable => (Some(facts.explainable), ""),
        BoolFact::ColumnsKnown => (Some(facts.columns_known), ""),
        BoolFact::OneRow => {
            let known = facts.catalog.as_ref().map(|catalog| catalog.one_row);
            let known = known.filter(|one_row| !one_row || case.text_complete());
            (known, "statement.one_row")
        }
        BoolFact::BlocksReads => {
            let value = facts.impact.lock.blocks_reads();
            (
                understood(value).filter(|_| facts.is_certain() || value),
                "statement.blocks_reads",
            )
        }
        BoolFact::BlocksWrites => {
            let value = facts.impact.lock.blocks_writes();
            (
                understood(value).filter(|_| facts.is_certain() || value),
                "statement.blocks_writes",
            )
        }
        BoolFact::Rewrites => (
            match facts.impact.rewrite {
                Rewrite::Yes => Some(true),
                Rewrite::No => facts.is_certain().then_some(false),
                Rewrite::Possible => None,
            },
            "statement.rewrites",
        ),
        BoolFact::Transactional => (
            understood(facts.impact.transactional),
            "statement.transactional",
        ),
        BoolFact::Cascade => (understood(facts.impact.cascades), "statement.cascade"),
        BoolFact::BlastRewrites => (blast.and_then(|blast| blast.rewrites), "blast.rewrites"),
        BoolFact::BlastFullScan => (blast.and_then(|blast| blast.full_scan), "blast.full_scan"),
        BoolFact::BlastReversible => (blast.and_then(|blast| blast.reversible), "blast.reversible"),
        BoolFact::BlastTransactional => (
            blast.and_then(|blast| blast.transactional),
            "blast.transactional",
        ),
        BoolFact::InTransaction => (
            moment.and_then(|moment| moment.in_transaction),
            "session.in_transaction",
        ),
    };
    env.noted(value, name).into()
}

fn int_fact(fact: IntFact, zone: Tz, env: &Env<'_>) -> Option<i64> {
    let case = env.case?;
    let blast = case.context.blast;
    let moment = case.context.moment;
    let whole =
        |number: Option<u64>| number.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let local = moment.map(|moment| moment.now.with_timezone(&zone));
    let (value, name) = match fact {
        IntFact::RowsMax => (
            whole(case.facts.rows_max).filter(|_| case.text_complete()),
            "statement.rows_max",
        ),
        IntFact::StatementsInBatch => (
            whole(moment.and_then(|moment| moment.statements_in_batch)),
            "statement.statements_in_batch",
        ),
        IntFact::BlastRows => (whole(blast.and_then(|blast| blast.rows)), "blast.rows"),
        IntFact::BlastCascadeRows => (
            whole(blast.and_then(|blast| blast.cascade_rows)),
            "blast.cascade_rows",
        ),
        IntFact::BlastBlockedSessions => (
            whole(blast.and_then(|blast| blast.blocked_sessions)),
            "blast.blocked_sessions",
        ),
        IntFact::SessionAge => (
            whole(
                moment
                    .and_then(|moment| moment.session_age)
                    .map(|age| age.as_secs()),
            ),
            "session.age",
        ),
        IntFact::Year => (local.map(|at| i64::from(at.year())), "time.year"),
        IntFact::Month => (local.map(|at| i64::from(at.month())), "time.month"),
        IntFact::Day => (local.map(|at| i64::from(at.day())), "time.day"),
        IntFact::Hour => (local.map(|at| i64::from(at.hour())), "time.hour"),
        IntFact::Minute => (local.map(|at| i64::from(at.minute())), "time.minute"),
    };
    env.noted(value, name)
}

fn text_fact<'a>(fact: TextFact, zone: Tz, env: &Env<'a>) -> Option<Cow<'a, str>> {
    let case = env.case?;
    let facts = case.facts;
    let context = case.context;
    let moment = context.moment;
    let understood = |text: &'a str| case.text_complete().then_some(text);
    let (value, name) = match fact {
        TextFact::Kind => (Some(facts.kind.as_str()), ""),
        TextFact::Class => (Some(facts.class.as_str()), ""),
        TextFact::Predicate => (understood(facts.predicate.as_str()), "statement.predicate"),
        TextFact::Lock => (
            Some(lock_word(facts.impact.lock)).filter(|_| facts.is_certain()),
            "statement.lock",
        ),
        TextFact::Undo => (undo_word(facts.impact.undo), "statement.undo"),
        TextFact::SessionEffect => (
            understood(match &facts.session {
                SessionEffect::None => "none",
                SessionEffect::Set { .. } => "set",
                SessionEffect::Role => "role",
                SessionEffect::Reset => "reset",
                SessionEffect::Notify => "notify",
            }),
            "statement.session",
        ),
        TextFact::Sets => (
            understood(match &facts.session {
                SessionEffect::Set { parameter, .. } => parameter,
                _ => "",
            }),
            "statement.sets",
        ),
        TextFact::Fingerprint => (
            understood(&facts.fingerprint).filter(|print| !print.is_empty()),
            "statement.fingerprint",
        ),
        TextFact::AgentName => (Some(context.agent), ""),
        TextFact::AgentOwner => (Some(context.owner.unwrap_or("")), ""),
        TextFact::AgentAccess => (Some(context.access.as_str()), ""),
        TextFact::Actor => (Some(context.actor.unwrap_or("")), ""),
        TextFact::TargetName => (Some(context.target), ""),
        TextFact::Environment => (Some(context.environment.unwrap_or("")), ""),
        TextFact::Database => (context.database, "target.database"),
        TextFact::ApplicationName => (
            moment.and_then(|moment| moment.application_name),
            "session.application_name",
        ),
        TextFact::ClientAddr => (
            moment.and_then(|moment| moment.client_addr),
            "session.client_addr",
        ),
        TextFact::Weekday => {
            let at = moment.map(|moment| moment.now.with_timezone(&zone).weekday());
            let day = at.and_then(|day| WEEKDAYS.get(day.num_days_from_monday() as usize));
            (day.copied(), "time.weekday")
        }
        TextFact::Date => {
            let at = moment.map(|moment| moment.now.with_timezone(&zone).date_naive());
            let date = at.map(|date| Cow::Owned(date.format("%Y-%m-%d").to_string()));
            return env.noted(date, "time.date");
        }
        TextFact::ElementSchema
        | TextFact::ElementTable
        | TextFact::ElementName
        | TextFact::ElementAccess => (None, ""),
    };
    env.noted(value, name).map(Cow::Borrowed)
}
