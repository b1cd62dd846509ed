//! Where in its source an expression stands.

use std::ops::Range;

use cel::common::ast::{Expr, IdedExpr, SourceInfo};

/// The bytes an expression stands at, with the brackets that it opens closed.
pub(super) fn range(expr: &IdedExpr, info: &SourceInfo, source: &str) -> Option<Range<usize>> {
    let mut range = None;
    cover(expr, info, source, &mut range);
    let mut range = range?;
    // A method call or selection begins where its operand does, which may be in brackets.
    let text = source.get(range.clone())?;
    let closed = text.matches(')').count();
    let open = text.matches('(').count();
    if let Some(missing) = open.checked_sub(closed).filter(|missing| *missing > 0) {
        let rest = source.get(range.end..)?;
        let (at, _) = rest.match_indices(')').nth(missing - 1)?;
        range.end += at + 1;
    } else if let Some(missing) = closed.checked_sub(open).filter(|missing| *missing > 0) {
        let before = source.get(..range.start)?;
        let (at, _) = before.rmatch_indices('(').nth(missing - 1)?;
        range.start = at;
    }
    Some(range)
}

/// Widens `range` by all that the expression consists of.
fn cover(expr: &IdedExpr, info: &SourceInfo, source: &str, range: &mut Option<Range<usize>>) {
    if let Some((start, stop)) = info.offset_for(expr.id) {
        let start = byte(source, start);
        let end = byte(source, stop.saturating_add(1)).max(start);
        *range = Some(match range.take() {
            Some(found) => found.start.min(start)..found.end.max(end),
            None => start..end,
        });
    }
    let mut inner = |expr: &IdedExpr| cover(expr, info, source, range);
    match &expr.expr {
        Expr::Call(call) => {
            call.target.iter().for_each(|target| inner(target));
            call.args.iter().for_each(inner);
            widen_by_name(source, range, &call.func_name);
        }
        Expr::Select(select) => {
            inner(&select.operand);
            widen_by_field(source, range, &select.field);
        }
        Expr::List(list) => list.elements.iter().for_each(inner),
        Expr::Comprehension(comprehension) => {
            inner(&comprehension.iter_range);
            if let Expr::Call(step) = &comprehension.loop_step.expr {
                step.args.iter().for_each(inner);
            }
        }
        Expr::Literal(_) | Expr::Ident(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

/// The place of a call is its bracket; the function's name stands before it.
fn widen_by_name(source: &str, range: &mut Option<Range<usize>>, name: &str) {
    if let Some(found) = range
        && source
            .get(..found.start)
            .is_some_and(|before| before.ends_with(name))
    {
        found.start -= name.len();
    }
}

/// The place of a selection is its dot; the field's name follows.
fn widen_by_field(source: &str, range: &mut Option<Range<usize>>, field: &str) {
    if let Some(found) = range
        && source
            .get(found.end..)
            .is_some_and(|rest| rest.starts_with(field))
    {
        found.end += field.len();
    }
}

/// The parser counts characters.
fn byte(source: &str, at: u32) -> usize {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    if source.is_ascii() {
        return at.min(source.len());
    }
    source
        .char_indices()
        .nth(at)
        .map_or(source.len(), |(at, _)| at)
}
