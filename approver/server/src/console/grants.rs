//! The page of grants: what may run without being asked about, and the button that ends it.

use abeyance_api::{
    Claimant, GrantDesk as _, GrantId, GrantRevocation, GrantView, Surface, blast::words::rows,
};
use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::{
    guard::{self, SameOrigin},
    pages::{in_words, status_of, trouble},
    session::LoggedIn,
    views::Me,
    words::Moment,
};
use crate::Approver;

/// A grant as the page shows it.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    hold: String,
    agent: String,
    target: String,
    database: String,
    route: String,
    statement: String,
    /// At most how many rows each use may change, in words.
    cap: String,
    used: u32,
    uses: u32,
    by: String,
    expires: Moment,
    active: bool,
    /// Who ended it, when somebody did.
    ended: Option<String>,
}

impl From<GrantView> for Row {
    fn from(grant: GrantView) -> Self {
        let names = grant.by.iter().map(|person| person.display_name.as_str());
        let ended = match (&grant.revoked, grant.active) {
            (Some(revoked), _) => {
                let said = revoked
                    .reason
                    .as_ref()
                    .map(|reason| format!(": “{reason}”"));
                let by = &revoked.by.display_name;
                Some(format!("revoked by {by}{}", said.unwrap_or_default()))
            }
            (None, false) if grant.used >= grant.uses => Some("used up".to_owned()),
            (None, false) => Some("ended by time".to_owned()),
            (None, true) => None,
        };
        Self {
            by: names.collect::<Vec<_>>().join(", "),
            cap: grant.rows_cap.map_or_else(
                || "changes no rows".to_owned(),
                |cap| format!("at most {} a use", rows(cap)),
            ),
            id: grant.id.to_string(),
            hold: grant.hold.to_string(),
            agent: grant.agent,
            target: grant.target,
            database: grant.database,
            route: grant.route,
            statement: grant.statement,
            used: grant.used,
            uses: grant.uses,
            expires: grant.expires_at.into(),
            active: grant.active,
            ended,
        }
    }
}

pub(super) async fn list(caller: LoggedIn, State(app): State<Approver>) -> Response {
    show(&app, &caller, StatusCode::OK, None).await
}

async fn show(
    app: &Approver,
    caller: &LoggedIn,
    status: StatusCode,
    error: Option<String>,
) -> Response {
    let grants = match app.grants(false).await {
        Ok(grants) => grants,
        Err(error) => return trouble(app, &error),
    };
    let mut rows: Vec<Row> = grants.into_iter().map(Row::from).collect();
    rows.sort_by_key(|row| !row.active);
    let values = context! {
        me => Me::new(caller),
        active => rows.iter().filter(|row| row.active).count(),
        grants => rows,
        error,
    };
    app.0.pages.render(status, "grants.html", values)
}

#[derive(Deserialize)]
pub(super) struct RevokeForm {
    csrf: String,
    #[serde(default)]
    reason: String,
}

pub(super) async fn revoke(
    _: SameOrigin,
    caller: LoggedIn,
    State(app): State<Approver>,
    Path(text): Path<String>,
    Form(form): Form<RevokeForm>,
) -> Response {
    if !caller.made(&form.csrf) {
        return guard::refusal(&app);
    }
    let Ok(id) = text.parse::<GrantId>() else {
        return Redirect::to("/grants").into_response();
    };
    let revocation = GrantRevocation {
        id,
        claimant: Claimant::Person {
            id: caller.person.id.clone(),
        },
        reason: Some(form.reason),
        surface: Surface::Console,
    };
    match app.grant_revoke(revocation).await {
        Ok(_) => Redirect::to("/grants").into_response(),
        Err(error) => {
            let said = in_words(&error);
            show(&app, &caller, status_of(&error), Some(said)).await
        }
    }
}
