//! Holds as pages show them.

use abeyance_api::{Alike, AskedStep, HoldState, HoldView, RedactedStatement, TransactionContext};
use abeyance_holds::{Ineligible, Roster, eligible};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    alike::Company,
    effects::{EffectRow, effects},
    session::LoggedIn,
    sql::{self, Piece},
    words::{self, Moment},
};
use crate::config::Person;

/// Who looks.
#[derive(Debug, Serialize)]
pub(super) struct Me {
    name: String,
    csrf: String,
}

impl Me {
    pub(super) fn new(caller: &LoggedIn) -> Self {
        Self {
            name: caller.person.display_name.clone(),
            csrf: caller.csrf.clone(),
        }
    }
}

/// A hold in a list, and the head of its page.
#[derive(Debug, Serialize)]
pub(super) struct HoldRow {
    id: String,
    state: &'static str,
    tone: &'static str,
    waits: bool,
    /// What it would do, to what: `DELETE public.invoices`.
    headline: String,
    more: usize,
    agent: String,
    owner: Option<String>,
    actor: Option<String>,
    target: String,
    database: String,
    environment: Option<String>,
    rows: String,
    rows_known: &'static str,
    rows_note: Option<String>,
    first_line: String,
    opened: Moment,
    expires: Moment,
    /// Seconds until it expires, and the same in words.
    left: i64,
    left_words: String,
    /// The whole waiting time, in seconds.
    whole: i64,
    decided_by: Option<String>,
    outcome: Option<String>,
    /// How it ended, in a sentence; `None` while it waits.
    ending: Option<String>,
    /// The person who looks may decide it.
    mine: bool,
}

impl HoldRow {
    pub(super) fn new(hold: &HoldView, viewer: &Person, now: DateTime<Utc>) -> Self {
        let request = &hold.request;
        let (state, tone) = words::state(hold.state);
        let (rows, rows_known) = words::estimate(&request.blast.rows);
        let left = hold.expires_at - now;
        let whole = hold.expires_at - hold.created_at;
        let first = request.statements.first();
        Self {
            id: hold.id.to_string(),
            state,
            tone,
            waits: hold.state == HoldState::Pending,
            headline: first.map(headline).unwrap_or_default(),
            more: request.statements.len().saturating_sub(1),
            agent: request.agent.name.clone(),
            owner: request.agent.owner.as_ref().map(ToString::to_string),
            actor: request.agent.actor.clone(),
            target: request.target.name.clone(),
            database: request.target.database.clone(),
            environment: request.target.environment.clone(),
            rows,
            rows_known,
            rows_note: request.blast.rows.note.clone(),
            first_line: first.map(|first| squeeze(&first.text)).unwrap_or_default(),
            opened: hold.created_at.into(),
            expires: hold.expires_at.into(),
            left: words::seconds(left),
            left_words: words::span(left),
            whole: words::seconds(whole).max(1),
            decided_by: deciding(hold),
            outcome: hold.outcome.as_ref().map(words::outcome),
            ending: words::ending(hold),
            mine: hold.state == HoldState::Pending && bar(hold, viewer).is_none(),
        }
    }
}

/// A hold's own page.
#[derive(Debug, Serialize)]
pub(super) struct HoldPage {
    #[serde(flatten)]
    row: HoldRow,
    statements: Vec<Statement>,
    /// What it would do besides changing its own rows.
    effects: Vec<EffectRow>,
    rule: String,
    policy_version: String,
    reasons: Vec<String>,
    asked: String,
    agent_reason: Option<String>,
    in_transaction: bool,
    /// Its whole waiting time.
    whole_words: String,
    at_commit: bool,
    ticket: bool,
    /// The grant its approval gave, in words.
    grant: Option<String>,
    /// The others like it that wait, unless there are none.
    alike: Option<Company>,
    grant_choices: Vec<u32>,
    may_break_glass: bool,
    /// Who approved it alone.
    broken_glass: Option<String>,
    my_vote: Option<&'static str>,
    client: String,
    application: Option<String>,
    session: String,
    session_since: Moment,
    binding: String,
    reviewers: Vec<Reviewer>,
    /// Steps that asked somebody, in order.
    steps: Vec<AskedRow>,
    next_step: Option<NextRow>,
    /// Who looks, in words.
    looking: Option<String>,
    /// The person who looks at the page may say that they look at the hold.
    may_look: bool,
    /// Why the person who looks may not decide; `None` when they may.
    bar: Option<String>,
    resolved: Option<Moment>,
}

#[derive(Debug, Serialize)]
struct Statement {
    kind: String,
    pieces: Vec<Piece>,
    writes: Vec<String>,
    reads: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AskedRow {
    who: String,
    people: String,
    at: Moment,
}

#[derive(Debug, Serialize)]
struct NextRow {
    who: String,
    /// In words.
    left: String,
}

#[derive(Debug, Serialize)]
struct Reviewer {
    name: String,
    me: bool,
    /// Why this reviewer may not decide this hold.
    bar: Option<&'static str>,
    vote: Option<&'static str>,
}

impl HoldPage {
    pub(super) fn new(hold: &HoldView, viewer: &Person, alike: &Alike, now: DateTime<Utc>) -> Self {
        let request = &hold.request;
        Self {
            row: HoldRow::new(hold, viewer, now),
            statements: request.statements.iter().map(statement).collect(),
            effects: effects(&request.blast),
            rule: request.rule.clone(),
            policy_version: request.policy_version.clone(),
            reasons: request.reasons.clone(),
            asked: hold.asked.clone(),
            agent_reason: request.agent_reason.clone(),
            in_transaction: request.transaction == TransactionContext::Open,
            whole_words: words::span(hold.expires_at - hold.created_at),
            at_commit: request.manner.at_commit,
            ticket: request.manner.ticket,
            grant: hold.grant.as_ref().map(words::grant),
            alike: Company::of(alike, now),
            grant_choices: GRANT_CHOICES
                .into_iter()
                .filter(|minutes| *minutes <= hold.offers.grant_minutes)
                .collect(),
            may_break_glass: hold.state == HoldState::Pending
                && hold
                    .offers
                    .break_glass
                    .iter()
                    .any(|one| one.id == viewer.id),
            broken_glass: broken_glass(hold),
            my_vote: my_vote(hold, viewer),
            client: request.session.client_addr.clone(),
            application: request.session.application_name.clone(),
            session: request.session.id.to_string(),
            session_since: request.session.started_at.into(),
            binding: request.binding.to_string().chars().take(16).collect(),
            reviewers: reviewers(hold, viewer),
            steps: hold.asking.asked.iter().map(asked_row).collect(),
            next_step: hold.asking.next.as_ref().map(|next| NextRow {
                who: next.who.clone(),
                left: words::span((next.at - now).max(TimeDelta::zero())),
            }),
            looking: looking(hold),
            may_look: hold.state == HoldState::Pending
                && bar(hold, viewer).is_none()
                && !hold
                    .asking
                    .looks
                    .iter()
                    .any(|look| look.person.id == viewer.id),
            bar: bar(hold, viewer),
            resolved: hold.resolved_at.map(Into::into),
        }
    }
}

/// For how many minutes an approval may hold.
const GRANT_CHOICES: [u32; 3] = [15, 30, 60];

fn broken_glass(hold: &HoldView) -> Option<String> {
    let vote = hold.votes.iter().find(|vote| vote.break_glass)?;
    Some(vote.person.display_name.clone())
}

fn my_vote(hold: &HoldView, viewer: &Person) -> Option<&'static str> {
    let mut votes = hold.votes.iter();
    let vote = votes.find(|vote| vote.person.id == viewer.id)?;
    Some(words::decided(vote.decision))
}

fn statement(statement: &RedactedStatement) -> Statement {
    Statement {
        kind: statement.kind.clone(),
        pieces: sql::pieces(&statement.text),
        writes: statement.writes.clone(),
        reads: statement.reads.clone(),
    }
}

fn asked_row(step: &AskedStep) -> AskedRow {
    let names: Vec<&str> = step
        .people
        .iter()
        .map(|p| p.display_name.as_str())
        .collect();
    AskedRow {
        who: step.who.clone(),
        people: if names.is_empty() {
            "a card was posted".to_owned()
        } else {
            names.join(", ")
        },
        at: step.at.into(),
    }
}

fn looking(hold: &HoldView) -> Option<String> {
    let looks = hold.asking.looks.iter();
    let names: Vec<&str> = looks
        .map(|look| look.person.display_name.as_str())
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn reviewers(hold: &HoldView, viewer: &Person) -> Vec<Reviewer> {
    let ids: Vec<_> = hold.reviewers.iter().map(|r| r.id.clone()).collect();
    let agent = &hold.request.agent;
    hold.reviewers
        .iter()
        .map(|reviewer| {
            let roster = Roster { reviewers: &ids };
            let may = eligible(
                reviewer,
                roster,
                agent.owner.as_ref(),
                agent.actor.as_deref(),
            );
            Reviewer {
                name: reviewer.display_name.clone(),
                me: reviewer.id == viewer.id,
                bar: may.err().map(|why| match why {
                    Ineligible::OwnAgent => "owns the agent, or it acts for them",
                    Ineligible::NotAReviewer => "not a reviewer",
                }),
                vote: hold
                    .votes
                    .iter()
                    .find(|vote| vote.person.id == reviewer.id)
                    .map(|vote| words::decided(vote.decision)),
            }
        })
        .collect()
}

/// Why `viewer` could not decide now. The desk asks again at the click.
fn bar(hold: &HoldView, viewer: &Person) -> Option<String> {
    let ids: Vec<_> = hold.reviewers.iter().map(|r| r.id.clone()).collect();
    let roster = Roster { reviewers: &ids };
    let agent = &hold.request.agent;
    let person = viewer.to_ref();
    match eligible(
        &person,
        roster,
        agent.owner.as_ref(),
        agent.actor.as_deref(),
    ) {
        Ok(()) => None,
        Err(Ineligible::OwnAgent) => Some(
            "You own this agent or it acts for you, so somebody else has to decide.".to_owned(),
        ),
        Err(Ineligible::NotAReviewer) => Some(format!(
            "You are not a reviewer of route {}. You may look, others decide.",
            hold.request.route
        )),
    }
}

fn deciding(hold: &HoldView) -> Option<String> {
    use abeyance_api::Resolution;
    match hold.resolution.as_ref()? {
        Resolution::Approved { vote } | Resolution::Denied { vote } => {
            Some(vote.person.display_name.clone())
        }
        Resolution::Expired | Resolution::Nobody { .. } | Resolution::Withdrawn { .. } => None,
    }
}

/// `DELETE public.invoices`
fn headline(statement: &RedactedStatement) -> String {
    match statement.writes.first().or(statement.reads.first()) {
        Some(relation) => format!("{} {relation}", statement.kind),
        None => statement.kind.clone(),
    }
}

/// One line of a list.
fn squeeze(sql: &str) -> String {
    const CHARS_MAX: usize = 200;
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(CHARS_MAX).collect()
}
