//! The shape of a WHERE clause: does it narrow the rows, and by a key?
//!
//! Errs towards "touches every row": a condition that no column of the target takes part in, or
//! that compares a column with itself, counts as always true.

use std::collections::BTreeSet;

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, AExprKind, BoolExprType, a_const::Val},
};

use crate::Predicate;

/// Whose rows the predicate narrows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// The only relation in sight: any column is its own.
    Any,
    /// One of several: a column counts only when it is qualified with this name.
    Named(&'a str),
}

impl<'a> Target<'a> {
    /// The target of an UPDATE or DELETE with further relations in `others`.
    pub(super) fn of(relation: Option<&'a pb::RangeVar>, others: &[Node]) -> Self {
        if others.is_empty() {
            return Self::Any;
        }
        Self::Named(relation.map_or("", |relation| {
            let alias = relation.alias.as_ref().map(|alias| &alias.aliasname);
            alias.unwrap_or(&relation.relname)
        }))
    }

    fn owns(&self, column: &[&str]) -> bool {
        match self {
            Self::Any => true,
            Self::Named(name) => column.len() > 1 && column.first() == Some(name),
        }
    }
}

/// The shape of `condition`; an absent one is [`Predicate::Missing`].
pub(super) fn of(condition: Option<&Node>, target: &Target<'_>) -> Predicate {
    match condition {
        None => Predicate::Missing,
        Some(condition) => match truth(condition, target) {
            Truth::Always => Predicate::Tautology,
            Truth::Key => Predicate::Equality,
            Truth::Never | Truth::Some => Predicate::Range,
        },
    }
}

/// The target's columns that must equal constants for a row to count.
pub(super) fn keys(condition: Option<&Node>, target: &Target<'_>) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    if let Some(condition) = condition {
        collect_keys(condition, target, &mut keys);
    }
    keys
}

fn collect_keys(node: &Node, target: &Target<'_>, keys: &mut BTreeSet<String>) {
    match &node.node {
        Some(N::BoolExpr(node))
            if BoolExprType::try_from(node.boolop) == Ok(BoolExprType::AndExpr) =>
        {
            for arm in &node.args {
                collect_keys(arm, target, keys);
            }
        }
        Some(N::AExpr(node)) => {
            let equals = equals(node) && node.name.len() == 1;
            let (Some(left), Some(right)) = (node.lexpr.as_deref(), right_side(node)) else {
                return;
            };
            for (column, constant) in [(left, right), (right, left)] {
                if equals
                    && is_key(column, constant, target)
                    && is_exact(constant)
                    && let Some(N::ColumnRef(column)) = &column.node
                    && let Some(name) = column.fields.last().and_then(super::walk::text)
                {
                    keys.insert(name.to_owned());
                }
            }
        }
        _ => {}
    }
}

/// A constant that is compared as it is: a cast to a coarser type may equal several keys.
fn is_exact(node: &Node) -> bool {
    match &node.node {
        Some(N::AConst(_) | N::ParamRef(_)) => true,
        Some(N::TypeCast(cast)) => {
            let name = cast.type_name.as_ref().and_then(|of| of.names.last());
            let exact = name.and_then(super::walk::text).is_some_and(|name| {
                matches!(
                    name,
                    "int2" | "int4" | "int8" | "numeric" | "text" | "varchar" | "uuid" | "date"
                )
            });
            exact && cast.arg.as_deref().is_some_and(is_exact)
        }
        _ => false,
    }
}

/// The one of two that lets more rows through.
pub(super) fn widest(left: Predicate, right: Predicate) -> Predicate {
    let width = |predicate| match predicate {
        Predicate::NotApplicable => 0,
        Predicate::Equality => 1,
        Predicate::Range => 2,
        Predicate::Tautology => 3,
        Predicate::Missing => 4,
    };
    if width(right) > width(left) {
        right
    } else {
        left
    }
}

/// What is known of a condition's value over the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// True for every row, or the same for every row.
    Always,
    Never,
    /// Holds where a column equals a constant.
    Key,
    Some,
}

fn truth(node: &Node, target: &Target<'_>) -> Truth {
    match &node.node {
        Some(N::BoolExpr(node)) => boolean(node, target),
        Some(N::AExpr(node)) => comparison(node, target),
        Some(N::CurrentOfExpr(_)) => Truth::Key,
        Some(N::AConst(constant)) => match &constant.val {
            Some(Val::Boolval(value)) if !value.boolval => Truth::Never,
            _ => Truth::Always,
        },
        Some(N::CollateClause(node)) => node
            .arg
            .as_deref()
            .map_or(Truth::Some, |n| truth(n, target)),
        Some(N::BooleanTest(node)) => match node.arg.as_deref().map(|arg| truth(arg, target)) {
            Some(Truth::Some | Truth::Key) => Truth::Some,
            _ => Truth::Always,
        },
        Some(_) if columns(node).is_empty() => Truth::Always,
        _ => Truth::Some,
    }
}

fn boolean(node: &pb::BoolExpr, target: &Target<'_>) -> Truth {
    let arms: Vec<Truth> = node.args.iter().map(|arm| truth(arm, target)).collect();
    let any = |wanted| arms.contains(&wanted);
    let all = |wanted| arms.iter().all(|arm| *arm == wanted);
    match BoolExprType::try_from(node.boolop) {
        Ok(BoolExprType::AndExpr) if any(Truth::Never) => Truth::Never,
        Ok(BoolExprType::AndExpr) if all(Truth::Always) => Truth::Always,
        Ok(BoolExprType::AndExpr) if any(Truth::Key) => Truth::Key,
        Ok(BoolExprType::OrExpr) if any(Truth::Always) || complete(&node.args) => Truth::Always,
        Ok(BoolExprType::OrExpr) if all(Truth::Never) => Truth::Never,
        Ok(BoolExprType::NotExpr) if any(Truth::Never) || any(Truth::Always) => Truth::Always,
        _ => Truth::Some,
    }
}

/// Two arms of an OR that leave nothing out: `x OR NOT x`, `a < 1 OR a >= 1`, NULL and NOT NULL.
fn complete(arms: &[Node]) -> bool {
    // Long lists are not worth the pairs; they come from programs, not from tricks.
    let arms = arms.get(..arms.len().min(32)).unwrap_or_default();
    arms.iter().enumerate().any(|(index, one)| {
        arms.iter()
            .skip(index + 1)
            .any(|other| opposite(one, other) || opposite(other, one))
    })
}

fn opposite(one: &Node, other: &Node) -> bool {
    match (&one.node, &other.node) {
        (_, Some(N::BoolExpr(not)))
            if BoolExprType::try_from(not.boolop) == Ok(BoolExprType::NotExpr) =>
        {
            not.args.first().is_some_and(|arg| same(one, arg))
        }
        (Some(N::NullTest(one)), Some(N::NullTest(other))) => {
            one.nulltesttype != other.nulltesttype && same_box(&one.arg, &other.arg)
        }
        (Some(N::AExpr(one)), Some(N::AExpr(other))) => {
            same_box(&one.lexpr, &other.lexpr) && (covers(one, other) || covers(other, one))
        }
        _ => false,
    }
}

/// Comparisons of one left side that together let every row through.
fn covers(one: &pb::AExpr, other: &pb::AExpr) -> bool {
    match (operator(one), operator(other)) {
        (Some("="), Some("<>")) | (Some("~~"), Some("!~~")) => same_box(&one.rexpr, &other.rexpr),
        (Some("<" | "<="), Some(">" | ">=")) => {
            let bounds = (integer(&one.rexpr), integer(&other.rexpr));
            same_box(&one.rexpr, &other.rexpr)
                || matches!(bounds, (Some(below), Some(above)) if below >= above)
        }
        _ => false,
    }
}

fn integer(node: &Option<Box<Node>>) -> Option<i32> {
    match &node.as_deref()?.node {
        Some(N::AConst(constant)) => match &constant.val {
            Some(Val::Ival(value)) => Some(value.ival),
            _ => None,
        },
        _ => None,
    }
}

fn comparison(node: &pb::AExpr, target: &Target<'_>) -> Truth {
    let (Some(left), Some(right)) = (node.lexpr.as_deref(), right_side(node)) else {
        return match node.rexpr.as_deref().or(node.lexpr.as_deref()) {
            Some(arg) if columns(arg).is_empty() => Truth::Always,
            _ => Truth::Some,
        };
    };
    let (left_columns, right_columns) = (columns(left), columns(right));
    if left_columns.is_empty() && right_columns.is_empty() {
        return Truth::Always;
    }
    // A column compared with itself, in whatever disguise.
    let itself = |column: &Column<'_>| right_columns.iter().any(|other| column.may_be(other));
    if left_columns.iter().any(itself) {
        let never = same(left, right) && matches!(operator(node), Some("<>" | "<" | ">"));
        return if never { Truth::Never } else { Truth::Always };
    }
    if matches!(operator(node), Some("~~" | "~~*")) && is_wildcard(right) {
        return Truth::Always;
    }
    if equals(node) && (is_key(left, right, target) || is_key(right, left, target)) {
        return Truth::Key;
    }
    Truth::Some
}

/// `=`, or IN with one item, which is the same.
fn equals(node: &pb::AExpr) -> bool {
    let kind = AExprKind::try_from(node.kind);
    let one = kind == Ok(AExprKind::AexprIn) && only_item(node).is_some();
    operator(node) == Some("=") && (kind == Ok(AExprKind::AexprOp) || one)
}

/// The right side; of IN with one item, that item.
fn right_side(node: &pb::AExpr) -> Option<&Node> {
    only_item(node).or(node.rexpr.as_deref())
}

fn only_item(node: &pb::AExpr) -> Option<&Node> {
    if AExprKind::try_from(node.kind) != Ok(AExprKind::AexprIn) {
        return None;
    }
    match &node.rexpr.as_deref()?.node {
        Some(N::List(list)) => match list.items.as_slice() {
            [item] => Some(item),
            _ => None,
        },
        _ => None,
    }
}

/// `column = constant`.
fn is_key(column: &Node, constant: &Node, target: &Target<'_>) -> bool {
    let Some(N::ColumnRef(column)) = &column.node else {
        return false;
    };
    let names: Vec<&str> = column.fields.iter().filter_map(super::walk::text).collect();
    names.len() == column.fields.len() && target.owns(&names) && is_constant(constant)
}

fn is_constant(node: &Node) -> bool {
    match &node.node {
        Some(N::AConst(_) | N::ParamRef(_) | N::SqlvalueFunction(_)) => true,
        Some(N::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_constant),
        Some(N::AExpr(node)) => [&node.lexpr, &node.rexpr]
            .into_iter()
            .flatten()
            .all(|side| is_constant(side)),
        _ => false,
    }
}

fn is_wildcard(pattern: &Node) -> bool {
    super::walk::string_constant(pattern)
        .is_some_and(|pattern| !pattern.is_empty() && pattern.chars().all(|c| c == '%'))
}

fn operator(node: &pb::AExpr) -> Option<&str> {
    node.name.last().and_then(super::walk::text)
}

fn same_box(one: &Option<Box<Node>>, other: &Option<Box<Node>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if same(one, other))
}

/// Equal expressions, wherever they stand. Casts are looked through.
fn same(one: &Node, other: &Node) -> bool {
    match (&one.node, &other.node) {
        (Some(N::TypeCast(cast)), _) => cast.arg.as_deref().is_some_and(|arg| same(arg, other)),
        (_, Some(N::TypeCast(cast))) => cast.arg.as_deref().is_some_and(|arg| same(one, arg)),
        (Some(N::ColumnRef(one)), Some(N::ColumnRef(other))) => {
            Column::of(one).may_be(&Column::of(other))
        }
        (Some(N::AConst(one)), Some(N::AConst(other))) => {
            one.val == other.val && one.isnull == other.isnull
        }
        (Some(N::ParamRef(one)), Some(N::ParamRef(other))) => one.number == other.number,
        (Some(N::NullTest(one)), Some(N::NullTest(other))) => {
            one.nulltesttype == other.nulltesttype && same_box(&one.arg, &other.arg)
        }
        (Some(N::AExpr(one)), Some(N::AExpr(other))) => {
            operator(one) == operator(other)
                && one.kind == other.kind
                && same_box(&one.lexpr, &other.lexpr)
                && same_box(&one.rexpr, &other.rexpr)
        }
        _ => false,
    }
}

/// A column as written, table and all; or a subquery, which stands for itself.
#[derive(Debug)]
enum Column<'a> {
    Named(Vec<&'a str>),
    Subquery,
}

impl<'a> Column<'a> {
    fn of(column: &'a pb::ColumnRef) -> Self {
        let part = |node| super::walk::text(node).unwrap_or("*");
        Self::Named(column.fields.iter().map(part).collect())
    }

    /// Nothing written tells them apart: `id` may be `t.id`, but `t.id` is not `u.id`.
    fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(one), Self::Named(other)) => one
                .iter()
                .rev()
                .zip(other.iter().rev())
                .all(|(one, other)| one == other),
            (Self::Subquery, Self::Subquery) => true,
            _ => false,
        }
    }
}

/// The expression mentions no column: the planner may work it out beforehand.
pub(super) fn is_fixed(node: &Node) -> bool {
    columns(node).is_empty()
}

/// The columns an expression mentions.
fn columns(node: &Node) -> Vec<Column<'_>> {
    let mut found = Vec::new();
    collect(node, &mut found);
    found
}

fn collect<'a>(node: &'a Node, found: &mut Vec<Column<'a>>) {
    let Some(node) = &node.node else { return };
    match node {
        N::ColumnRef(column) => found.push(Column::of(column)),
        N::AExpr(node) => collect_boxes([&node.lexpr, &node.rexpr], found),
        N::BoolExpr(node) => collect_all(&node.args, found),
        N::TypeCast(node) => collect_boxes([&node.arg], found),
        N::CollateClause(node) => collect_boxes([&node.arg], found),
        N::FuncCall(node) => collect_all(&node.args, found),
        N::CoalesceExpr(node) => collect_all(&node.args, found),
        N::MinMaxExpr(node) => collect_all(&node.args, found),
        N::RowExpr(node) => collect_all(&node.args, found),
        N::AArrayExpr(node) => collect_all(&node.elements, found),
        N::List(node) => collect_all(&node.items, found),
        N::NullTest(node) => collect_boxes([&node.arg], found),
        N::BooleanTest(node) => collect_boxes([&node.arg], found),
        N::NamedArgExpr(node) => collect_boxes([&node.arg], found),
        N::AIndirection(node) => {
            collect_boxes([&node.arg], found);
            collect_all(&node.indirection, found);
        }
        N::AIndices(node) => collect_boxes([&node.lidx, &node.uidx], found),
        N::CaseExpr(node) => {
            collect_boxes([&node.arg, &node.defresult], found);
            collect_all(&node.args, found);
        }
        N::CaseWhen(node) => collect_boxes([&node.expr, &node.result], found),
        // A subquery may look at the row or not; it is treated as if it did.
        N::SubLink(node) => {
            collect_boxes([&node.testexpr], found);
            found.push(Column::Subquery);
        }
        _ => {}
    }
}

fn collect_boxes<'a, const N: usize>(
    nodes: [&'a Option<Box<Node>>; N],
    found: &mut Vec<Column<'a>>,
) {
    for node in nodes.into_iter().flatten() {
        collect(node, found);
    }
}

fn collect_all<'a>(nodes: &'a [Node], found: &mut Vec<Column<'a>>) {
    for node in nodes {
        collect(node, found);
    }
}
