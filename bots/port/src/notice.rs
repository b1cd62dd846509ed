//! What is said beside the cards, before any vendor's markup.

use abeyance_api::{NoticeBody, PersonRef};

use crate::{Line, Piece, limits};

/// The words of a notice; none for one that is done and not said.
#[must_use]
pub fn notice_line(body: &NoticeBody) -> Option<Line> {
    match body {
        NoticeBody::Asked {
            hold,
            who,
            people,
            expires_at,
        } => {
            let mut line = named(people);
            line.push(Piece::Text(format!(
                " ({who}): {hold} waits for your decision until "
            )));
            line.push(Piece::Time(*expires_at));
            line.push(Piece::Text(
                ". Press “I'm looking” to have nobody else called for a few minutes.".to_owned(),
            ));
            Some(line)
        }
        NoticeBody::HandedOver {
            schedule,
            people,
            before,
            because,
            until,
        } => {
            let mut line = vec![
                Piece::Text("On call for ".to_owned()),
                Piece::Code(schedule.clone()),
            ];
            line.push(Piece::Text(": ".to_owned()));
            line.extend(named(people));
            line.push(Piece::Text(format!(" ({because})")));
            if let Some(until) = until {
                line.push(Piece::Text(" until ".to_owned()));
                line.push(Piece::Time(*until));
            }
            if !before.is_empty() {
                line.push(Piece::Text("; before: ".to_owned()));
                line.extend(names(before));
            }
            Some(line)
        }
        NoticeBody::Members { .. } => None,
    }
}

/// Called by name, so that the chat notifies them.
fn named(people: &[PersonRef]) -> Line {
    listed(people, |person| Piece::Person(person.clone()))
}

/// Told of, and not called.
fn names(people: &[PersonRef]) -> Line {
    listed(people, |person| Piece::Text(person.display_name.clone()))
}

fn listed(people: &[PersonRef], piece: impl Fn(&PersonRef) -> Piece) -> Line {
    let mut line = Line::new();
    for person in people.iter().take(limits::REVIEWERS_SHOWN) {
        if !line.is_empty() {
            line.push(Piece::Text(", ".to_owned()));
        }
        line.push(piece(person));
    }
    match people.len().saturating_sub(limits::REVIEWERS_SHOWN) {
        0 if people.is_empty() => line.push(Piece::Text("nobody".to_owned())),
        0 => {}
        more => line.push(Piece::Text(format!(" and {more} more"))),
    }
    line
}
