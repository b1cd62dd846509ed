//! Refusals, slips and help, in words.

use abeyance_api::{DecideError, MOMENT_FORM, PersonRef};

use super::{
    answer::{Answer, Part},
    grammar::FORMS,
    parse::NotACommand,
};
use crate::Piece;

/// The error as a sentence to the person who typed.
pub(super) fn refused(error: &DecideError) -> Answer {
    let said = error.to_string();
    let mut letters = said.chars();
    let first: String = letters
        .next()
        .map(|letter| letter.to_uppercase().collect())
        .unwrap_or_default();
    let end = if said.ends_with(['.', '?']) { "" } else { "." };
    Answer::line(&format!("{first}{}{end}", letters.as_str()))
}

pub(super) fn misspelt(wrong: &NotACommand, command: &str) -> Answer {
    let near = wrong
        .near
        .map(|near| format!(" Did you mean “{near}”?"))
        .unwrap_or_default();
    let mut answer = Answer::line(&format!("Not understood: {}.{near}", wrong.problem));
    let written = wrong.form.unwrap_or("help");
    let before = match wrong.form {
        Some(_) => "It is written ",
        None => "All commands: ",
    };
    answer.push(Part::Line(vec![
        Piece::Text(before.to_owned()),
        Piece::Code(format!("{command} {written}")),
    ]));
    answer
}

pub(super) fn help(me: &PersonRef, command: &str) -> Answer {
    let mut answer = Answer::titled("What can be typed");
    for form in FORMS {
        answer.push(Part::Item(vec![
            Piece::Code(format!("{command} {}", form.written)),
            Piece::Text(format!(" — {}", form.does)),
        ]));
    }
    answer.note(format!(
        "T is {MOMENT_FORM}. PERSON is a name of the configuration, or an @mention."
    ));
    answer.note(format!(
        "You are {} here. Only you see these answers.",
        me.display_name
    ));
    answer
}
