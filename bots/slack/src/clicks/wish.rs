//! What a click or a form asks for, and whether it can come to anything.

use abeyance_api::{DecideError, Decision, GrantWish, HoldState, HoldView};
use abeyance_chat::words;
use serde_json::Value;

use crate::{
    form,
    payload::{Asks, Submission},
};

/// A vote as a click or a form asks for it.
pub(super) struct Wish {
    pub(super) decision: Decision,
    pub(super) reason: Option<String>,
    pub(super) break_glass: bool,
    pub(super) grant: Option<GrantWish>,
}

impl Wish {
    pub(super) fn plain(decision: Decision, reason: Option<String>) -> Self {
        Self {
            decision,
            reason,
            break_glass: false,
            grant: None,
        }
    }

    /// What a form says, or the answer that keeps it open.
    pub(super) fn of(submission: &Submission) -> Result<Self, Value> {
        let asks = submission.asks;
        let reason = || form::reason(&submission.reason).map_err(|why| form::refused(asks, &why));
        match asks {
            Asks::Deny => Ok(Self::plain(Decision::Deny, Some(reason()?))),
            Asks::BreakGlass => Ok(Self {
                break_glass: true,
                ..Self::plain(Decision::Approve, Some(reason()?))
            }),
            Asks::Alike => Self::of_all(submission),
            Asks::Grant => {
                let wish = form::wish(&submission.minutes, &submission.uses);
                let wish = wish.map_err(|(field, why)| form::refused_at(field, &why))?;
                Ok(Self {
                    grant: Some(wish),
                    ..Self::plain(Decision::Approve, None)
                })
            }
        }
    }
}

pub(super) fn decided(view: &HoldView) -> bool {
    view.state != HoldState::Pending
}

/// What the server is bound to answer, as far as the hold shows it.
pub(super) fn hopeless(view: &HoldView, user: &str, asks: Asks) -> Option<DecideError> {
    if decided(view) {
        let by = words::deciding_vote(view).map(|vote| vote.person.display_name.clone());
        return Some(DecideError::AlreadyResolved {
            state: view.state,
            by,
        });
    }
    if asks == Asks::BreakGlass {
        let mut may = view.offers.break_glass.iter();
        let may = may.any(|person| person.slack.as_deref() == Some(user));
        return (!may).then(|| DecideError::NoBreakGlass {
            route: view.request.route.clone(),
        });
    }
    let Some(reviewer) = view
        .reviewers
        .iter()
        .find(|person| person.slack.as_deref() == Some(user))
    else {
        return Some(DecideError::NotAReviewer {
            route: view.request.route.clone(),
        });
    };
    (view.request.agent.owner.as_ref() == Some(&reviewer.id)).then_some(DecideError::OwnAgent)
}

pub(super) fn refused_kind(error: &DecideError) -> &'static str {
    match error {
        DecideError::NotFound => "not_found",
        DecideError::UnknownPerson => "unknown_person",
        DecideError::NotAReviewer { .. } => "not_a_reviewer",
        DecideError::OwnAgent => "own_agent",
        DecideError::NoBreakGlass { .. } => "no_break_glass",
        DecideError::AlreadyResolved { .. } => "already_resolved",
        DecideError::Invalid { .. } => "invalid",
        DecideError::Unavailable { .. } => "unavailable",
    }
}
