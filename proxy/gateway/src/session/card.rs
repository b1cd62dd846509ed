//! What of a held batch reviewers get to see: redacted statements and who asks.
//!
//! Everything here leaves the proxy, so nothing here may hold a literal (invariant 7).

use abeyance_api::{
    AgentIdentity, BindingDigest, Blast, HoldRequest, Manner, RedactedStatement, SessionInfo,
    TargetInfo, TransactionContext,
};
use abeyance_sql::{
    RelationName, SessionEffect, StatementClass, StatementFacts, TransactionEffect,
};
use abeyance_wire::postgres::{ErrorFields, SqlState, TransactionStatus};

use super::{
    Identity,
    judge::{Held, JudgedBatch},
    settings,
    standing::Standing,
    ticket::place,
};
use crate::Target;

/// Different statements that one hold may show; nobody can judge more.
const STATEMENTS_MAX: usize = 64;

/// The batch's statements as reviewers see them. Statements of one shape in a row are shown once, with their count.
///
/// # Errors
/// When there are more than anybody could review.
pub(super) fn statements(facts: &[StatementFacts]) -> Result<Vec<RedactedStatement>, ErrorFields> {
    let mut shown: Vec<(RedactedStatement, usize)> = Vec::new();
    for facts in facts {
        let statement = redacted(facts);
        match shown.last_mut() {
            Some((last, times))
                if last.fingerprint == statement.fingerprint && last.text == statement.text =>
            {
                *times += 1;
            }
            _ => shown.push((statement, 1)),
        }
    }
    if shown.len() > STATEMENTS_MAX {
        return Err(ErrorFields::error(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("a held batch may have at most {STATEMENTS_MAX} different statements"),
        )
        .detail("Nothing ran, and nobody was asked.")
        .hint("Send fewer statements at once."));
    }
    let counted = |(mut statement, times): (RedactedStatement, usize)| {
        if times > 1 {
            statement.text = format!("-- {times} times\n{}", statement.text);
        }
        statement
    };
    Ok(shown.into_iter().map(counted).collect())
}

/// The same, each by itself.
pub(super) fn statements_each(
    facts: &[StatementFacts],
) -> Result<Vec<RedactedStatement>, ErrorFields> {
    // Bounded alike.
    statements(facts).map(|_| facts.iter().map(redacted).collect())
}

fn redacted(facts: &StatementFacts) -> RedactedStatement {
    let text = match (&facts.opaque, facts.redacted.is_empty()) {
        (_, false) => facts.redacted.clone(),
        (Some(reason), true) => format!("(not shown: {reason})"),
        (None, true) => "(not shown)".to_owned(),
    };
    let names = |names: &mut dyn Iterator<Item = &RelationName>| -> Vec<String> {
        names.map(ToString::to_string).collect()
    };
    RedactedStatement {
        text,
        kind: facts.kind.clone(),
        fingerprint: facts.fingerprint.clone(),
        writes: names(&mut facts.writes.union(&facts.alters)),
        reads: names(&mut facts.reads.iter()),
    }
}

/// Whether the shapes of these statements say enough for a grant: each is understood, and changes rows at most.
pub(super) fn plain(facts: &[StatementFacts]) -> bool {
    facts.iter().all(is_plain)
}

fn is_plain(facts: &StatementFacts) -> bool {
    let rows =
        |class: &StatementClass| matches!(class, StatementClass::Read | StatementClass::Write);
    facts.opaque.is_none()
        && facts.alters.is_empty()
        && facts.classes.iter().all(rows)
        && facts.session == SessionEffect::None
        && facts.transaction == TransactionEffect::None
}

/// Whether the values in a statement decide no more than which rows it is about, and how many: then its number of rows
/// says how much it does. Elsewhere they may be the work itself: code, files, definitions, any number of rows in one value.
fn choose_rows(facts: &StatementFacts) -> bool {
    let ends = facts
        .classes
        .iter()
        .all(|class| *class == StatementClass::Transaction)
        && facts.transaction != TransactionEffect::TwoPhase;
    is_plain(facts) && !facts.gathers || ends || settings::is_reason(facts)
}

/// What a batch means at this target, `None` without a catalog to say so. `role`: as whom, when it is not the login's own.
/// Values are left out where they only choose rows; otherwise it is the batch byte for byte.
pub(super) fn shape(
    judged: &JudgedBatch,
    facts: &[StatementFacts],
    target: &Target,
    role: Option<&str>,
) -> Option<BindingDigest> {
    let meaning = |facts: &StatementFacts| {
        let catalog = facts.catalog.as_ref()?;
        let named = (&facts.reads, &facts.writes, &facts.alters);
        let code = (&facts.functions, &facts.operators, &facts.casts);
        let does = (&facts.columns, &facts.predicate, &facts.keyed_by);
        let fingerprint = &facts.fingerprint;
        Some(format!(
            "{fingerprint} {named:?} {code:?} {does:?} {catalog:?}"
        ))
    };
    let meanings: Option<Vec<String>> = facts.iter().map(meaning).collect();
    let mut parts: Vec<Vec<u8>> = meanings?.into_iter().map(String::into_bytes).collect();
    parts.push(place(target));
    parts.push(format!("{role:?}").into_bytes());
    if !facts.iter().all(choose_rows) {
        parts.push(judged.binding(Vec::new()).to_string().into_bytes());
    }
    Some(BindingDigest::over(parts.iter().map(Vec::as_slice)))
}

/// The request that opens a hold.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different part of one request"
)]
pub(super) fn request(
    identity: &Identity,
    standing: &Standing,
    held: &Held,
    statements: Vec<RedactedStatement>,
    blast: Blast,
    binding: BindingDigest,
    manner: Manner,
    policy_version: &str,
) -> HoldRequest {
    let agent = &identity.agent;
    let target = &identity.target;
    HoldRequest {
        session: SessionInfo {
            id: identity.id,
            client_addr: identity.client_addr.clone(),
            application_name: identity.application_name.clone(),
            started_at: identity.started_at,
        },
        agent: AgentIdentity {
            name: agent.name.clone(),
            owner: agent.owner.clone(),
            actor: agent.actor.clone(),
        },
        target: TargetInfo {
            name: target.name.clone(),
            database: target.database.clone(),
            environment: target.environment.clone(),
        },
        statements,
        rule: held.rule.clone(),
        policy_version: policy_version.to_owned(),
        reasons: held.reasons.clone(),
        route: held.route.clone(),
        blast,
        transaction: if standing.status == TransactionStatus::Idle && !standing.is_unsynced() {
            TransactionContext::Idle
        } else {
            TransactionContext::Open
        },
        agent_reason: held.reason.clone().or_else(|| standing.reason.clone()),
        binding,
        manner,
    }
}
