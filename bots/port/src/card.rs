//! A card: what a hold looks like at one version, before any vendor's markup.

use std::collections::BTreeSet;

use abeyance_api::{
    AgentIdentity, Decision, EstimateSource, GrantView, HoldId, HoldRequest, HoldState, HoldView,
    Outcome, PersonRef, TransactionContext, blast,
};
use chrono::{DateTime, Utc};

use crate::{limits, words};

/// One piece of a line. All text is untrusted: renderers escape it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// A name, shown so that it cannot be mistaken for prose.
    Code(String),
    /// An instant, shown in the reader's own time zone where the chat can.
    Time(DateTime<Utc>),
    /// A person to be notified where the chat knows them.
    Person(PersonRef),
}

/// Pieces in a row, without separators between them.
pub type Line = Vec<Piece>;

/// A labelled fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub label: &'static str,
    pub value: Line,
}

/// How a card feels at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Waiting,
    Running,
    Done,
    Refused,
    Trouble,
    Quiet,
}

/// What a reviewer can press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Button {
    /// `confirm` is asked first, when a slip of the thumb would be worse than a second tap.
    Approve {
        confirm: Option<String>,
    },
    Deny,
    /// Says that somebody looks; the next step of an escalation waits for them.
    Look,
    /// Approves this shape for a while: a form asks for how long and how often.
    Grant,
    /// Approves alone, in an emergency: a form asks for the reason.
    BreakGlass,
    /// Decides this hold and all that are alike: a form shows which.
    Alike,
}

/// A vendor-neutral projection of a hold at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub hold: HoldId,
    pub version: u64,
    pub state: HoldState,
    /// `HLD-7K3Q · DELETE on clinic (production)`.
    pub title: String,
    pub tone: Tone,
    pub status: Line,
    /// What it would do besides changing its own rows, a line each; only while it can be decided.
    pub effects: Vec<String>,
    pub facts: Vec<Fact>,
    /// Why it was held, a line each.
    pub reasons: Vec<String>,
    /// The agent's own words.
    pub agent_reason: Option<String>,
    /// The reviewer's own words.
    pub decision_reason: Option<String>,
    /// The statements, redacted, in order.
    pub sql: String,
    /// Who is asked; only while somebody can still decide.
    pub asked: Line,
    pub buttons: Vec<Button>,
    /// Small print.
    pub footer: Line,
    /// One sentence for notifications.
    pub summary: String,
}

impl Card {
    /// Projects a hold. Pure, and total: a state whose details are missing still gives a card.
    #[must_use]
    pub fn of(view: &HoldView) -> Self {
        let pending = view.state == HoldState::Pending;
        Self {
            hold: view.id.clone(),
            version: view.version,
            state: view.state,
            title: title(view),
            tone: tone(view),
            status: status(view),
            effects: if pending {
                blast::words::lines(&view.request.blast)
            } else {
                Vec::new()
            },
            facts: facts(view),
            reasons: reasons(&view.request),
            agent_reason: view.request.agent_reason.clone(),
            decision_reason: words::deciding_vote(view).and_then(|vote| vote.reason.clone()),
            sql: sql(&view.request),
            asked: if pending { asked(view) } else { Line::new() },
            buttons: if pending { buttons(view) } else { Vec::new() },
            footer: footer(view),
            summary: summary(view),
        }
    }
}

fn title(view: &HoldView) -> String {
    let target = &view.request.target;
    let environment = target
        .environment
        .as_ref()
        .map(|label| format!(" ({label})"))
        .unwrap_or_default();
    format!(
        "{} · {} on {}{environment}",
        view.id,
        kinds(&view.request),
        target.name
    )
}

/// The kinds of the batch's statements, each once, in order.
pub(crate) fn kinds(request: &HoldRequest) -> String {
    let mut seen = BTreeSet::new();
    let distinct: Vec<&str> = request
        .statements
        .iter()
        .map(|statement| statement.kind.as_str())
        .filter(|kind| seen.insert(*kind))
        .collect();
    let shown = distinct
        .iter()
        .take(limits::KINDS_SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match distinct.len().saturating_sub(limits::KINDS_SHOWN) {
        0 if shown.is_empty() => "statement".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn tone(view: &HoldView) -> Tone {
    // Loud, however it ended.
    if view.votes.iter().any(|vote| vote.break_glass) {
        return Tone::Trouble;
    }
    match view.state {
        HoldState::Pending => Tone::Waiting,
        HoldState::Approved | HoldState::Claimed => Tone::Running,
        HoldState::Executed => Tone::Done,
        HoldState::Denied => Tone::Refused,
        HoldState::Failed | HoldState::RolledBack => Tone::Trouble,
        HoldState::Expired | HoldState::Withdrawn | HoldState::Lapsed => Tone::Quiet,
    }
}

fn status(view: &HoldView) -> Line {
    if view.state == HoldState::Pending && view.request.manner.at_commit {
        let said = "It ran and waits at its COMMIT, to be kept or rolled back, until ";
        return vec![Piece::Text(said.to_owned()), Piece::Time(view.expires_at)];
    }
    let mut line = vec![Piece::Text(words::status(view))];
    match view.state {
        HoldState::Pending => {
            line.push(Piece::Text(" until ".to_owned()));
            line.push(Piece::Time(view.expires_at));
        }
        HoldState::Approved | HoldState::Claimed => {}
        _ => {
            if let Some(at) = view.resolved_at {
                line.push(Piece::Text(" · ".to_owned()));
                line.push(Piece::Time(at));
            }
        }
    }
    line
}

fn facts(view: &HoldView) -> Vec<Fact> {
    let request = &view.request;
    let mut facts = vec![
        fact("Agent", agent(request)),
        fact("For", on_behalf(&request.agent)),
        fact("Target", target(request)),
        fact(
            "Rows",
            vec![Piece::Text(blast::words::estimate(&request.blast.rows))],
        ),
        fact("Rule", vec![Piece::Code(request.rule.clone())]),
    ];
    let writes = writes(request);
    if !writes.is_empty() {
        facts.push(fact("Writes", writes));
    }
    let open = request.transaction == TransactionContext::Open;
    if request.manner.at_commit {
        let said = "already run; denying rolls everything back";
        facts.push(fact("At COMMIT", vec![Piece::Text(said.to_owned())]));
    } else if view.state == HoldState::Pending || open {
        facts.push(fact(
            "Transaction",
            vec![Piece::Text(words::transaction(view))],
        ));
    }
    if request.manner.ticket {
        let said = "nobody waits; the agent sends it again once approved";
        facts.push(fact("Ticket", vec![Piece::Text(said.to_owned())]));
    }
    if let Some(grant) = &view.grant {
        facts.push(fact("Grant", granted(grant)));
    }
    if let Some(Outcome::Executed {
        rows: Some(_),
        tags,
        ..
    }) = &view.outcome
        && tags.len() > 1
    {
        facts.push(fact("Command tags", vec![Piece::Text(tags.join(", "))]));
    }
    facts
}

/// `GRT-7K3Q, 3 of 10 used, active until ...`.
fn granted(grant: &GrantView) -> Line {
    let mut line = vec![
        Piece::Code(grant.id.to_string()),
        Piece::Text(format!(", {} of {} used, ", grant.used, grant.uses)),
    ];
    match &grant.revoked {
        Some(revoked) => {
            line.push(Piece::Text("revoked by ".to_owned()));
            line.push(Piece::Person(revoked.by.clone()));
        }
        None => {
            line.push(Piece::Text("until ".to_owned()));
            line.push(Piece::Time(grant.expires_at));
        }
    }
    line
}

fn fact(label: &'static str, value: Line) -> Fact {
    Fact { label, value }
}

fn agent(request: &HoldRequest) -> Line {
    let mut line = vec![Piece::Code(request.agent.name.clone())];
    if let Some(application) = &request.session.application_name
        && !application.trim().is_empty()
        && *application != request.agent.name
    {
        line.push(Piece::Text(" using ".to_owned()));
        line.push(Piece::Code(application.clone()));
    }
    line
}

fn on_behalf(agent: &AgentIdentity) -> Line {
    match (&agent.actor, &agent.owner) {
        (Some(actor), Some(owner)) => vec![
            Piece::Code(actor.clone()),
            Piece::Text(" (owner ".to_owned()),
            Piece::Code(owner.to_string()),
            Piece::Text(")".to_owned()),
        ],
        (Some(actor), None) => vec![Piece::Code(actor.clone())],
        (None, Some(owner)) => vec![
            Piece::Text("its owner ".to_owned()),
            Piece::Code(owner.to_string()),
        ],
        (None, None) => vec![Piece::Text("nobody named".to_owned())],
    }
}

fn target(request: &HoldRequest) -> Line {
    let target = &request.target;
    let mut line = vec![Piece::Code(target.name.clone())];
    if target.database != target.name {
        line.push(Piece::Text(", database ".to_owned()));
        line.push(Piece::Code(target.database.clone()));
    }
    if let Some(environment) = &target.environment {
        line.push(Piece::Text(format!(" ({environment})")));
    }
    line
}

fn writes(request: &HoldRequest) -> Line {
    let mut seen = BTreeSet::new();
    let distinct: Vec<&String> = request
        .statements
        .iter()
        .flat_map(|statement| &statement.writes)
        .filter(|relation| seen.insert(relation.as_str()))
        .collect();
    let mut line = Line::new();
    for relation in distinct.iter().take(limits::RELATIONS_SHOWN) {
        if !line.is_empty() {
            line.push(Piece::Text(", ".to_owned()));
        }
        line.push(Piece::Code((*relation).clone()));
    }
    let more = distinct.len().saturating_sub(limits::RELATIONS_SHOWN);
    if more > 0 {
        line.push(Piece::Text(format!(" and {more} more")));
    }
    line
}

fn reasons(request: &HoldRequest) -> Vec<String> {
    let mut reasons: Vec<String> = request
        .reasons
        .iter()
        .take(limits::REASONS_SHOWN)
        .cloned()
        .collect();
    let more = request.reasons.len().saturating_sub(limits::REASONS_SHOWN);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    reasons
}

/// One statement as it is; several with a comment line that numbers them.
fn sql(request: &HoldRequest) -> String {
    match request.statements.as_slice() {
        [only] => only.text.clone(),
        many => many
            .iter()
            .enumerate()
            .map(|(index, statement)| {
                let terminated = statement.text.trim_end().trim_end_matches(';');
                format!("-- {} of {}\n{terminated};", index + 1, many.len())
            })
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

/// The people who could decide: owners never approve their own, so they are not called. With steps, those
/// who were asked so far, and who comes next.
fn asked(view: &HoldView) -> Line {
    let mut line = vec![Piece::Text(format!("Asked: {}", view.asked))];
    let eligible: Vec<&PersonRef> = view
        .reviewers
        .iter()
        .filter(|person| view.request.agent.owner.as_ref() != Some(&person.id))
        .collect();
    people(&mut line, &eligible, ": ");
    if let Some(next) = &view.asking.next {
        line.push(Piece::Text(format!(" · next: {}, ", next.who)));
        line.push(Piece::Time(next.at));
    }
    let looks: Vec<&PersonRef> = view.asking.looks.iter().map(|look| &look.person).collect();
    if !looks.is_empty() {
        people(&mut line, &looks, " · looking: ");
    }
    let approvals = view.votes.iter();
    let mut approvals = approvals.filter(|vote| vote.decision == Decision::Approve);
    if let (HoldState::Pending, Some(first)) = (view.state, approvals.next()) {
        line.push(Piece::Text(" · approved by ".to_owned()));
        line.push(Piece::Person(first.person.clone()));
        for vote in approvals {
            line.push(Piece::Text(", ".to_owned()));
            line.push(Piece::Person(vote.person.clone()));
        }
        let wanting = view.wanting.join(" and ");
        line.push(Piece::Text(format!(", still wanted: {wanting}")));
    }
    line
}

fn people(line: &mut Line, people: &[&PersonRef], before: &str) {
    for (index, person) in people.iter().take(limits::REVIEWERS_SHOWN).enumerate() {
        let between = if index == 0 { before } else { ", " };
        line.push(Piece::Text(between.to_owned()));
        line.push(Piece::Person((*person).clone()));
    }
    let more = people.len().saturating_sub(limits::REVIEWERS_SHOWN);
    if more > 0 {
        line.push(Piece::Text(format!(" and {more} more")));
    }
}

fn buttons(view: &HoldView) -> Vec<Button> {
    let mut buttons = vec![
        Button::Approve {
            confirm: confirm(&view.request),
        },
        Button::Deny,
        Button::Look,
    ];
    if view.offers.grant_minutes > 0 {
        buttons.push(Button::Grant);
    }
    if !view.offers.break_glass.is_empty() {
        buttons.push(Button::BreakGlass);
    }
    if view.offers.alike > 0 {
        buttons.push(Button::Alike);
    }
    buttons
}

/// A second tap is asked where the card cannot show what an approval would cost.
fn confirm(request: &HoldRequest) -> Option<String> {
    if request
        .statements
        .iter()
        .any(|statement| statement.kind.eq_ignore_ascii_case("opaque"))
    {
        return Some("This statement could not be understood. Approve it as it stands?".to_owned());
    }
    let truncates = |kind: &str| kind.to_ascii_uppercase().starts_with("TRUNCATE");
    if request
        .statements
        .iter()
        .any(|statement| truncates(&statement.kind))
    {
        return Some(format!(
            "This empties whole tables of {}. Approve it?",
            request.target.name
        ));
    }
    if request
        .statements
        .iter()
        .any(|statement| changes_structure(&statement.kind))
    {
        return Some(format!(
            "This changes the structure of {}. Approve it?",
            request.target.name
        ));
    }
    let unknown =
        request.blast.rows.rows.is_none() || request.blast.rows.source == EstimateSource::Unknown;
    unknown.then(|| "Nobody knows how many rows this touches. Approve it?".to_owned())
}

fn changes_structure(kind: &str) -> bool {
    let first = kind.split_whitespace().next().unwrap_or_default();
    [
        "ALTER", "CREATE", "DROP", "RENAME", "REINDEX", "CLUSTER", "GRANT", "REVOKE",
    ]
    .iter()
    .any(|word| first.eq_ignore_ascii_case(word))
}

fn footer(view: &HoldView) -> Line {
    let mut line = vec![
        Piece::Text("Held ".to_owned()),
        Piece::Time(view.created_at),
        Piece::Text(" · from ".to_owned()),
        Piece::Code(view.request.session.client_addr.clone()),
    ];
    if view.state != HoldState::Pending {
        line.push(Piece::Text(format!(" · asked {}", view.asked)));
    }
    line.push(Piece::Text(
        " · literals, bind values and comments are taken out".to_owned(),
    ));
    line
}

fn summary(view: &HoldView) -> String {
    let request = &view.request;
    let glass = view.votes.iter().find(|vote| vote.break_glass);
    if let Some(vote) = glass {
        let said = vote.reason.as_deref().unwrap_or_default();
        return format!(
            "{}: {} broke the glass and approved {} on {} alone: {said}",
            view.id,
            vote.person.display_name,
            kinds(request),
            request.target.name
        );
    }
    let what = format!("{} on {}", kinds(request), request.target.name);
    match view.state {
        HoldState::Pending => format!(
            "{}: {} asks to run {what}; {}",
            view.id,
            request.agent.name,
            match request.blast.rows.rows {
                Some(_) => blast::words::estimate(&request.blast.rows),
                None => "how many rows is unknown".to_owned(),
            }
        ),
        _ => format!("{}: {what}: {}", view.id, words::status(view)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
