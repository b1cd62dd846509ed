//! What was found, as answers.

use abeyance_api::{
    Decision, GrantView, HoldHistory, HoldView, HoldsFound, Override, PersonId, PersonRef,
    Resolution, ScheduleView, ShiftView, blast, blast::words::rows,
};
use chrono::{DateTime, Utc};

use super::{
    answer::{Answer, Part},
    grammar::Filter,
};
use crate::{Card, Line, Piece, limits, words};

fn text(said: impl Into<String>) -> Piece {
    Piece::Text(said.into())
}

fn code(name: impl Into<String>) -> Piece {
    Piece::Code(name.into())
}

/// What waits, the ones that end first.
pub(super) fn waiting(found: &HoldsFound, filter: &Filter, now: DateTime<Utc>) -> Answer {
    if found.holds.is_empty() {
        let nothing = filter.agent.is_none() && filter.target.is_none();
        return Answer::line(if nothing {
            "Nothing waits for a decision."
        } else {
            "Nothing of that waits for a decision."
        });
    }
    let mut answer = Answer::titled(format!("{} waiting", holds(found.total)));
    for hold in &found.holds {
        let mut line = what(hold);
        let left = hold.expires_at - now;
        line.push(text(format!(
            " · rule {} · {} left",
            hold.request.rule,
            words::span(left)
        )));
        answer.push(Part::Item(line));
    }
    more(&mut answer, found, "name an agent or a target to see fewer");
    answer
}

/// What was decided, the latest first.
pub(super) fn decided(found: &HoldsFound, hours: u32, command: &str) -> Answer {
    let since = match (hours / 24, hours % 24) {
        (days, 0) if days > 1 => format!("{days} days"),
        _ => format!("{hours} h"),
    };
    if found.holds.is_empty() {
        return Answer::line(&format!("Nothing of that was decided in the last {since}."));
    }
    let mut answer = Answer::titled(format!("{} in the last {since}", holds(found.total)));
    for hold in &found.holds {
        let mut line = Line::new();
        if let Some(at) = hold.resolved_at {
            line.extend([Piece::Time(at), text(" · ")]);
        }
        line.extend(what(hold));
        line.push(text(format!(" · {}", words::status(hold))));
        if let Some(said) = words::deciding_vote(hold).and_then(|vote| vote.reason.as_ref()) {
            line.push(text(format!(" “{said}”")));
        }
        if let Some(others) = also(hold) {
            line.push(text(others));
        }
        answer.push(Part::Item(line));
    }
    more(
        &mut answer,
        found,
        "name an agent, a target or a person, or look less far back",
    );
    answer.note(format!("{command} show ID tells all about one"));
    answer
}

/// Others who voted the same way before the vote that decided.
fn also(hold: &HoldView) -> Option<String> {
    let wanted = match hold.resolution.as_ref()? {
        Resolution::Approved { .. } => Decision::Approve,
        Resolution::Denied { .. } => Decision::Deny,
        Resolution::Expired | Resolution::Nobody { .. } | Resolution::Withdrawn { .. } => {
            return None;
        }
    };
    let deciding = words::deciding_vote(hold)?;
    let others = hold
        .votes
        .iter()
        .filter(|vote| vote.decision == wanted && vote.person.id != deciding.person.id);
    let names: Vec<&str> = others
        .map(|vote| vote.person.display_name.as_str())
        .collect();
    (!names.is_empty()).then(|| format!(" (with {})", names.join(", ")))
}

/// `HLD-7K3Q · DELETE · billing-bot on clinic`.
fn what(hold: &HoldView) -> Line {
    let request = &hold.request;
    vec![
        code(hold.id.to_string()),
        text(format!(" · {} by ", crate::card::kinds(request))),
        code(request.agent.name.clone()),
        text(" on "),
        code(request.target.name.clone()),
    ]
}

fn holds(count: u64) -> String {
    if count == 1 {
        "1 hold".to_owned()
    } else {
        format!("{} holds", words::grouped(count))
    }
}

fn more(answer: &mut Answer, found: &HoldsFound, advice: &str) {
    let shown = u64::try_from(found.holds.len()).unwrap_or(u64::MAX);
    let left = found.total.saturating_sub(shown);
    if left > 0 {
        answer.note(format!("and {} more; {advice}", words::grouped(left)));
    }
}

/// One hold: what its card says, and its whole record.
pub(super) fn history(history: &HoldHistory) -> Answer {
    let card = Card::of(&history.hold);
    let mut answer = Answer::titled(card.title);
    answer.push(Part::Line(card.status));
    for fact in card.facts {
        let mut line = vec![text(format!("{}: ", fact.label))];
        line.extend(fact.value);
        answer.push(Part::Item(line));
    }
    let request = &history.hold.request;
    for said in blast::words::lines(&request.blast) {
        answer.push(Part::Item(vec![text(said)]));
    }
    for why in card.reasons {
        answer.push(Part::Item(vec![text(format!("Held since {why}"))]));
    }
    if let Some(said) = card.agent_reason {
        answer.push(Part::Line(vec![text(format!("The agent says: “{said}”"))]));
    }
    answer.push(Part::Sql(card.sql));
    answer.push(Part::Line(vec![text("The record:")]));
    for line in history.lines.iter().take(limits::RECORD_LINES_SHOWN) {
        let mut said = vec![Piece::Time(line.at), text(format!(" · {}", line.text))];
        if let Some(quote) = &line.quote {
            said.push(text(format!(": “{quote}”")));
        }
        answer.push(Part::Item(said));
    }
    let left = history
        .lines
        .len()
        .saturating_sub(limits::RECORD_LINES_SHOWN);
    if left > 0 {
        answer.note(format!("and {left} more; the console shows them all"));
    }
    answer.note("literals, bind values and comments are taken out");
    answer
}

pub(super) fn shifts(schedules: &[ScheduleView]) -> Answer {
    if schedules.is_empty() {
        return Answer::line("The configuration has no schedules.");
    }
    let mut answer = Answer::titled("On call");
    for schedule in schedules.iter().take(limits::SCHEDULES_SHOWN) {
        answer.push(Part::Line(vec![
            code(schedule.name.clone()),
            text(format!(" ({})", schedule.zone)),
        ]));
        for (index, shift) in schedule.shifts.iter().take(3).enumerate() {
            answer.push(Part::Item(shift_line(shift, index == 0)));
        }
    }
    let left = schedules.len().saturating_sub(limits::SCHEDULES_SHOWN);
    if left > 0 {
        answer.note(format!("and {left} more; name one to see it"));
    }
    answer
}

fn shift_line(shift: &ShiftView, now: bool) -> Line {
    let mut line = people(&shift.people);
    if now {
        line.insert(0, text("now: "));
    } else {
        line.insert(0, text("then: "));
        line.extend([text(" from "), Piece::Time(shift.from)]);
    }
    match shift.until {
        Some(until) => line.extend([text(" until "), Piece::Time(until)]),
        None => line.push(text(", with no end in sight")),
    }
    line.push(text(format!(" ({})", shift.because)));
    line
}

fn people(people: &[PersonRef]) -> Line {
    if people.is_empty() {
        return vec![text("nobody")];
    }
    let names: Vec<&str> = people
        .iter()
        .map(|person| person.display_name.as_str())
        .collect();
    vec![text(names.join(" and "))]
}

pub(super) fn overrides(title: &str, overrides: &[Override]) -> Answer {
    if overrides.is_empty() {
        return Answer::line("There are no overrides.");
    }
    let mut answer = Answer::titled(title);
    for one in overrides.iter().take(limits::OVERRIDES_SHOWN) {
        let people: Vec<&str> = one.people.iter().map(PersonId::as_str).collect();
        let id = one.id.to_string();
        answer.push(Part::Item(vec![
            code(id.split('-').next().unwrap_or(&id)),
            text(format!(" · {} for ", people.join(" and "))),
            code(one.schedule.clone()),
            text(" from "),
            Piece::Time(one.from),
            text(" until "),
            Piece::Time(one.until),
            text(format!(" · by {}: “{}”", one.author, one.reason)),
        ]));
    }
    let left = overrides.len().saturating_sub(limits::OVERRIDES_SHOWN);
    if left > 0 {
        answer.note(format!("and {left} more; name a schedule to see fewer"));
    }
    answer
}

pub(super) fn grants(grants: &[GrantView]) -> Answer {
    if grants.is_empty() {
        return Answer::line("No approval holds for a while now.");
    }
    let mut answer = Answer::titled("Approvals that hold for a while");
    for grant in grants.iter().take(limits::GRANTS_LISTED) {
        let by: Vec<&str> = grant
            .by
            .iter()
            .map(|person| person.display_name.as_str())
            .collect();
        let cap = grant
            .rows_cap
            .map(|cap| format!(", at most {} each", rows(cap)))
            .unwrap_or_default();
        answer.push(Part::Item(vec![
            code(grant.id.to_string()),
            text(" · "),
            code(grant.agent.clone()),
            text(" on "),
            code(grant.target.clone()),
            text(format!(
                " · {} of {} used{cap} · by {} · until ",
                grant.used,
                grant.uses,
                by.join(" and ")
            )),
            Piece::Time(grant.expires_at),
        ]));
        answer.push(Part::Sql(grant.statement.clone()));
    }
    let left = grants.len().saturating_sub(limits::GRANTS_LISTED);
    if left > 0 {
        answer.note(format!("and {left} more; the console shows them all"));
    }
    answer
}
