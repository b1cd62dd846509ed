//! The pages about holds.

use abeyance_api::{
    Claimant, DecideError, Decision, DecisionDesk as _, DecisionRequest, DeskError, GrantWish,
    HoldId, LookRequest, Surface, says_something,
};
use axum::{
    Form,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use minijinja::context;
use serde::Deserialize;

use super::{
    alike,
    guard::{self, SameOrigin},
    session::LoggedIn,
    timeline::timeline,
    views::{HoldPage, HoldRow, Me},
};
use crate::{Approver, store::HoldRecord};

/// Holds on one page of the history.
const HISTORY_SHOWN: u32 = 50;
/// Holds on the page of those that wait.
const WAITING_SHOWN: u32 = 200;

pub(super) async fn home(_: LoggedIn) -> Redirect {
    Redirect::to("/holds")
}

/// Those that end first come first.
pub(super) async fn waiting(caller: LoggedIn, State(app): State<Approver>) -> Response {
    let mut holds = match app.0.store.holds(true, None, WAITING_SHOWN).await {
        Ok(holds) => holds,
        Err(error) => return trouble(&app, &error.into()),
    };
    holds.sort_by_key(|record| record.hold.expires_at);
    let values = context! {
        me => Me::new(&caller),
        holds => rows(&app, &caller, holds),
    };
    app.0.pages.render(StatusCode::OK, "waiting.html", values)
}

#[derive(Debug, Deserialize)]
pub(super) struct HistoryQuery {
    /// The last hold of the page before.
    before: Option<HoldId>,
}

pub(super) async fn history(
    caller: LoggedIn,
    State(app): State<Approver>,
    Query(query): Query<HistoryQuery>,
) -> Response {
    let before = query.before.as_ref();
    let holds = match app.0.store.holds(false, before, HISTORY_SHOWN).await {
        Ok(holds) => holds,
        Err(error) => return trouble(&app, &error.into()),
    };
    let full = holds.len() >= usize::try_from(HISTORY_SHOWN).unwrap_or(usize::MAX);
    let older = holds.last().filter(|_| full).map(|last| last.id.clone());
    let values = context! {
        me => Me::new(&caller),
        older,
        first_page => before.is_none(),
        holds => rows(&app, &caller, holds),
    };
    app.0.pages.render(StatusCode::OK, "history.html", values)
}

fn rows(app: &Approver, caller: &LoggedIn, holds: Vec<HoldRecord>) -> Vec<HoldRow> {
    let now = app.0.clock.now();
    let row = |record| HoldRow::new(&app.view(record), &caller.person, now);
    holds.into_iter().map(row).collect()
}

#[derive(Debug, Deserialize)]
pub(super) struct FindQuery {
    #[serde(default)]
    id: String,
}

/// Somebody types an id they were told.
pub(super) async fn find(
    _: LoggedIn,
    State(app): State<Approver>,
    Query(query): Query<FindQuery>,
) -> Response {
    match query.id.parse::<HoldId>() {
        Ok(id) => Redirect::to(&format!("/holds/{id}")).into_response(),
        Err(_) => no_such_hold(&app),
    }
}

pub(super) async fn hold(
    caller: LoggedIn,
    State(app): State<Approver>,
    Path(text): Path<String>,
) -> Response {
    let Ok(id) = text.parse::<HoldId>() else {
        return no_such_hold(&app);
    };
    if id.as_str() != text {
        return Redirect::to(&format!("/holds/{id}")).into_response();
    }
    show(&app, &caller, &id, StatusCode::OK, None).await
}

/// Somebody reloads or shares the answer to a form.
pub(super) async fn back(_: LoggedIn, Path(text): Path<String>) -> Redirect {
    match text.parse::<HoldId>() {
        Ok(id) => Redirect::to(&format!("/holds/{id}")),
        Err(_) => Redirect::to("/holds"),
    }
}

/// What went wrong with a decision, and what the person had written.
struct Trouble {
    text: String,
    reason: String,
}

async fn show(
    app: &Approver,
    caller: &LoggedIn,
    id: &HoldId,
    status: StatusCode,
    trouble_with_decision: Option<Trouble>,
) -> Response {
    let found = match app.0.store.hold(id).await {
        Ok(Some(record)) => app.view_in_company(record).await,
        Ok(None) => return no_such_hold(app),
        Err(error) => Err(error),
    };
    let (view, alike) = match found {
        Ok(found) => found,
        Err(error) => return trouble(app, &error.into()),
    };
    let events = match app.0.store.hold_events(id).await {
        Ok(events) => events,
        Err(error) => return trouble(app, &error.into()),
    };
    let now = app.0.clock.now();
    let (error, reason) = trouble_with_decision
        .map(|trouble| (Some(trouble.text), trouble.reason))
        .unwrap_or_default();
    let values = context! {
        me => Me::new(caller),
        hold => HoldPage::new(&view, &caller.person, &alike, now),
        timeline => timeline(&events, view.request.manner.at_commit),
        error,
        reason,
    };
    app.0.pages.render(status, "hold.html", values)
}

#[derive(Deserialize)]
pub(super) struct DecisionForm {
    csrf: String,
    decision: Decision,
    #[serde(default)]
    reason: String,
    /// The ids of the holds that were alike when the page was shown.
    alike: Option<String>,
    /// So many minutes; empty for not.
    #[serde(default)]
    grant: String,
    uses: Option<u32>,
    break_glass: Option<String>,
}

impl DecisionForm {
    fn wish(&self) -> Option<GrantWish> {
        let minutes = self.grant.parse().ok()?;
        let approve = self.decision == Decision::Approve;
        approve.then_some(GrantWish {
            minutes,
            uses: self.uses.unwrap_or(1),
        })
    }
}

pub(super) async fn decide(
    _: SameOrigin,
    caller: LoggedIn,
    State(app): State<Approver>,
    Path(text): Path<String>,
    Form(form): Form<DecisionForm>,
) -> Response {
    if !caller.made(&form.csrf) {
        return guard::refusal(&app);
    }
    let Ok(id) = text.parse::<HoldId>() else {
        return no_such_hold(&app);
    };
    let reason = form.reason.trim().to_owned();
    if form.decision == Decision::Deny && !says_something(&reason) {
        let text = "Say in a few words why: whoever waits reads it and knows what to change.";
        let trouble = Trouble {
            text: text.to_owned(),
            reason,
        };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return show(&app, &caller, &id, status, Some(trouble)).await;
    }
    let request = DecisionRequest {
        hold: id.clone(),
        claimant: Claimant::Person {
            id: caller.person.id.clone(),
        },
        decision: form.decision,
        reason: Some(reason.clone()),
        surface: Surface::Console,
        break_glass: form.break_glass.is_some(),
        grant: form.wish(),
        key: None,
    };
    let decided = match &form.alike {
        Some(shown) => alike::decide(&app, &id, shown, request).await,
        None => app.hold_decide(request).await.map(|_| ()),
    };
    match decided {
        Ok(()) => Redirect::to(&format!("/holds/{id}")).into_response(),
        Err(error) => {
            let trouble = Trouble {
                text: in_words(&error),
                reason,
            };
            show(&app, &caller, &id, status_of(&error), Some(trouble)).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct LookForm {
    csrf: String,
}

/// "I'm looking": no vote.
pub(super) async fn look(
    _: SameOrigin,
    caller: LoggedIn,
    State(app): State<Approver>,
    Path(text): Path<String>,
    Form(form): Form<LookForm>,
) -> Response {
    if !caller.made(&form.csrf) {
        return guard::refusal(&app);
    }
    let Ok(id) = text.parse::<HoldId>() else {
        return no_such_hold(&app);
    };
    let request = LookRequest {
        hold: id.clone(),
        claimant: Claimant::Person {
            id: caller.person.id.clone(),
        },
        surface: Surface::Console,
    };
    match app.hold_look(request).await {
        Ok(_) => Redirect::to(&format!("/holds/{id}")).into_response(),
        Err(error) => {
            let trouble = Trouble {
                text: in_words(&error),
                reason: String::new(),
            };
            show(&app, &caller, &id, status_of(&error), Some(trouble)).await
        }
    }
}

/// The error as a sentence to the person who clicked.
pub(super) fn in_words(error: &DecideError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

pub(super) fn status_of(error: &DecideError) -> StatusCode {
    match error {
        DecideError::NotFound => StatusCode::NOT_FOUND,
        DecideError::UnknownPerson
        | DecideError::NotAReviewer { .. }
        | DecideError::NoBreakGlass { .. }
        | DecideError::OwnAgent => StatusCode::FORBIDDEN,
        DecideError::AlreadyResolved { .. } => StatusCode::CONFLICT,
        DecideError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        DecideError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(super) async fn no_such_page(State(app): State<Approver>) -> Response {
    missing(&app, "No such page", "There is no page at this address.")
}

fn no_such_hold(app: &Approver) -> Response {
    let text = "There is no hold with that id. Ids look like HLD-7K3Q.";
    missing(app, "No such hold", text)
}

fn missing(app: &Approver, title: &str, text: &str) -> Response {
    let values = context! { title, text };
    app.0
        .pages
        .render(StatusCode::NOT_FOUND, "message.html", values)
}

pub(super) fn trouble(app: &Approver, error: &DeskError) -> Response {
    tracing::error!(%error, "the console cannot read the store");
    let values = context! {
        title => "The store does not answer",
        text => format!("Nothing runs until it does: {error}."),
    };
    app.0
        .pages
        .render(StatusCode::SERVICE_UNAVAILABLE, "message.html", values)
}
