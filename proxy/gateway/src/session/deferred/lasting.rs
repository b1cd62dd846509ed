//! What of a batch may run before it is reviewed, and what would make it last.

use abeyance_policy::Decision;
use abeyance_sql::{StatementClass, StatementFacts, TransactionEffect};
use abeyance_wire::postgres::{ErrorFields, FrontendMessage, SqlState, frontend::tag};

use crate::session::{
    bracket::COUNTING,
    judge::{JudgedBatch, Shown, Step},
    ledger::Prepared,
};

/// The rows a command tag says were changed: `UPDATE 12`, `INSERT 0 3`; those of `SELECT 12` were returned.
pub(super) fn rows_of(tag: &str) -> u64 {
    let verb = tag.split(' ').next().unwrap_or_default();
    if !COUNTING.contains(&verb) {
        return 0;
    }
    let last = tag.rsplit(' ').next();
    last.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The batch ends where the server says how the transaction stands.
pub(super) fn ends_whole(judged: &JudgedBatch) -> bool {
    let last = judged.frames().last();
    let last = last.map(abeyance_wire::postgres::Frame::tag);
    last == Some(tag::QUERY) || last == Some(tag::SYNC)
}

/// Each Bind is executed to its end before the next comes: so the tags are those of the statements, in their order,
/// and no portal is left that could change rows later, unasked and uncounted.
pub(super) fn runs_whole(judged: &JudgedBatch) -> bool {
    let mut bound: Option<&[u8]> = None;
    for (step, frame) in judged.steps().iter().zip(judged.frames()) {
        match step {
            Step::Bind { portal, .. } if bound.is_none() => bound = Some(portal),
            Step::Execute { .. } => {
                let Ok(FrontendMessage::Execute(execute)) = FrontendMessage::decode(frame) else {
                    return false;
                };
                let own = bound.take() == Some(execute.portal.as_bytes());
                if !own || execute.rows_max != 0 {
                    return false;
                }
            }
            Step::Bind { .. } | Step::ClosePortal { .. } => return false,
            Step::Query { .. }
            | Step::Parse { .. }
            | Step::Describe
            | Step::CloseStatement { .. }
            | Step::Flush
            | Step::Sync => {}
        }
    }
    bound.is_none()
}

/// Whether a batch does more than end the transaction and read.
pub(in crate::session) fn does_more(statements: &[StatementFacts]) -> bool {
    let plain = |class: &StatementClass| {
        matches!(
            class,
            StatementClass::Read | StatementClass::Transaction | StatementClass::Session
        )
    };
    let more = |facts: &StatementFacts| facts.opaque.is_some() || !facts.classes.iter().all(plain);
    statements.iter().any(more)
}

/// A rollback undoes all of it, and nothing of it was secret: reads are not taken back.
pub(super) fn can_be_taken_back(shown: &Shown) -> bool {
    let Some(facts) = shown.facts() else {
        return false;
    };
    let rows = |class: &StatementClass| {
        matches!(
            class,
            StatementClass::Read | StatementClass::Write | StatementClass::Transaction
        )
    };
    let begins = facts.transaction == TransactionEffect::Begin;
    let asked = shown
        .verdict()
        .is_some_and(|verdict| matches!(verdict.decision, Decision::Hold { .. }));
    let writes = facts.classes.contains(&StatementClass::Write);
    facts.opaque.is_none()
        && facts.alters.is_empty()
        && facts.classes.iter().all(rows)
        && (begins || facts.impact.transactional)
        && (begins || !asked || writes)
}

/// Whether all that a batch does is to roll the transaction back.
pub(in crate::session) fn rolls_back(shown: &[Shown]) -> bool {
    let [only] = shown else { return false };
    only.facts()
        .is_some_and(|facts| facts.transaction == TransactionEffect::Rollback)
}

/// How many statements a batch runs.
pub(super) fn statements(steps: &[Step]) -> usize {
    let count = |step: &Step| match step {
        Step::Query { reading } => reading.facts.len(),
        Step::Execute { .. } => 1,
        _ => 0,
    };
    steps.iter().map(count).sum()
}

/// Whether a batch could make what ran before it last.
pub(super) enum Lasting {
    No,
    Maybe,
    /// PREPARE TRANSACTION: somebody else could commit it later.
    Elsewhere,
}

pub(super) fn lasting(judged: &JudgedBatch) -> Lasting {
    let mut lasting = Lasting::No;
    let mut take = |facts: &StatementFacts| match facts.transaction {
        TransactionEffect::TwoPhase => lasting = Lasting::Elsewhere,
        TransactionEffect::Commit if !matches!(lasting, Lasting::Elsewhere) => {
            lasting = Lasting::Maybe;
        }
        _ if facts.opaque.is_some()
            && facts.refers_to.is_none()
            && matches!(lasting, Lasting::No) =>
        {
            lasting = Lasting::Maybe;
        }
        _ => {}
    };
    for step in judged.steps() {
        match step {
            Step::Query { reading } => reading.facts.iter().for_each(&mut take),
            Step::Bind { prepared, .. } | Step::Execute { prepared, .. } => {
                Prepared::facts(prepared).iter().for_each(&mut take);
            }
            Step::Parse { .. }
            | Step::Describe
            | Step::CloseStatement { .. }
            | Step::ClosePortal { .. }
            | Step::Flush
            | Step::Sync => {}
        }
    }
    // With names resolved: the server runs a COMMIT that was prepared by a Parse for EXECUTE, too.
    let resolved = judged.shown().iter().filter_map(Shown::facts);
    resolved.for_each(&mut take);
    lasting
}

pub(super) fn prepared_elsewhere() -> ErrorFields {
    ErrorFields::error(
        SqlState::FEATURE_NOT_SUPPORTED,
        "a transaction that is reviewed at its COMMIT cannot be prepared for another session",
    )
    .detail("PREPARE TRANSACTION would let it be committed without anybody being asked.")
    .hint("Nothing is kept yet. Use COMMIT, or ROLLBACK.")
}

pub(super) fn meant_otherwise() -> ErrorFields {
    ErrorFields::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "what statements of the transaction do changed while they ran, so it is not kept",
    )
    .detail(
        "Definitions on the target, or what is known of them, are not those that would be shown.",
    )
    .hint("Nothing was kept. Roll back, and run the transaction again.")
}

pub(super) fn rules_changed() -> ErrorFields {
    ErrorFields::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "the rules changed while the transaction was open, so it is not kept",
    )
    .hint("Nothing was kept. Roll back, and run the transaction again under the new rules.")
}
