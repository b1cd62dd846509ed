//! Tickets: a hold nobody waits for. The agent gets the hold's id with an error, and sends the same batch again.
//!
//! A ticket's approval outlives the session, so what it is bound to names no session, but everything that could make
//! the same bytes do another thing elsewhere: what analysis and catalog made of them, whether a transaction is
//! open, and what the session was told besides ([`Context`]). Where that cannot be known for sure, the ticket is
//! good for this session alone, as it stands now (invariant 2: approve-A-run-B is impossible).

use abeyance_api::{BindingDigest, Manner, SessionId};
use abeyance_sql::{SessionEffect, StatementClass, StatementFacts};
use abeyance_wire::postgres::{Frame, TransactionStatus};

use super::{
    Session,
    judge::{JudgedBatch, Shown},
};

/// What a batch may do to the way later ones are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drift {
    None,
    /// Settings, in so many words: the digest of its bytes.
    Settings(BindingDigest),
    /// Anything.
    Unseen,
}

impl Drift {
    /// What running these statements may do.
    pub(crate) fn by<'a>(
        facts: &(impl Iterator<Item = &'a StatementFacts> + Clone),
        frames: &[Frame],
        unseen: bool,
    ) -> Self {
        if unseen || facts.clone().any(unreadable) {
            return Self::Unseen;
        }
        if !facts.clone().any(tells) {
            return Self::None;
        }
        if !facts
            .clone()
            .all(|facts| matches!(facts.session, SessionEffect::Set { .. }))
        {
            return Self::Unseen;
        }
        Self::Settings(BindingDigest::over(
            frames.iter().map(|frame| frame.raw().as_ref()),
        ))
    }
}

fn unreadable(facts: &StatementFacts) -> bool {
    let dark = [StatementClass::Unvouched, StatementClass::Opaque];
    let config = |function: &abeyance_sql::FunctionName| function.name == "set_config";
    facts.opaque.is_some()
        || dark.iter().any(|class| facts.classes.contains(class))
        || facts.functions.iter().any(config)
        || facts.transaction != abeyance_sql::TransactionEffect::None && tells(facts)
}

/// Whether a statement changes what the session was told.
fn tells(facts: &StatementFacts) -> bool {
    match &facts.session {
        SessionEffect::None | SessionEffect::Notify => false,
        // Whatever it is: statements can read every setting back.
        SessionEffect::Set { .. } | SessionEffect::Role | SessionEffect::Reset => true,
    }
}

/// What a session was told since it began, as far as it decides what statements do.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The start-up settings and every SET since, in order.
    told: BindingDigest,
    /// How often something came that nobody can follow; then a ticket is for this session alone.
    unknown: u64,
}

impl Default for Context {
    fn default() -> Self {
        Self::begun(&[])
    }
}

impl Context {
    /// A new session with these start-up settings.
    pub(crate) fn begun(settings: &[(String, String)]) -> Self {
        let kept: Vec<(String, &str)> = settings
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
            .collect();
        let parts = kept
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        Self {
            told: BindingDigest::over(parts),
            unknown: 0,
        }
    }

    /// Takes note of a batch that ran. `lasting`: it began and ended outside a transaction, without an error.
    pub(crate) fn ran(&mut self, drift: Drift, lasting: bool) {
        match drift {
            Drift::None => {}
            Drift::Settings(digest) if lasting => {
                let (told, more) = (self.told.to_string(), digest.to_string());
                self.told = BindingDigest::over([told.as_bytes(), more.as_bytes()]);
            }
            Drift::Settings(_) | Drift::Unseen => self.unknown = self.unknown.saturating_add(1),
        }
    }

    fn parts(&self, session: SessionId) -> Vec<Vec<u8>> {
        let mut parts = vec![self.told.to_string().into_bytes()];
        if self.unknown > 0 {
            parts.push(session.0.as_bytes().to_vec());
            parts.push(self.unknown.to_be_bytes().to_vec());
        }
        parts
    }
}

impl Session {
    /// Whether a hold answers at once instead of waiting.
    pub(super) fn gives_tickets(&self) -> bool {
        self.standing.ticket
    }

    /// What an approval is bound to: with `ticket`, no session but everything that takes its place.
    pub(super) fn binding(&self, judged: &JudgedBatch, manner: Manner) -> BindingDigest {
        let identity = &self.identity;
        let mut who = if manner.ticket {
            let inside = self.standing.status != TransactionStatus::Idle;
            let mut who = vec![b"abeyance ticket 1".to_vec(), vec![u8::from(inside)]];
            who.extend(self.standing.context.parts(identity.id));
            let facts = judged.shown().iter().filter_map(Shown::facts);
            who.extend(facts.map(|facts| format!("{facts:?}").into_bytes()));
            who.push(identity.target.database.as_bytes().to_vec());
            who
        } else {
            vec![
                b"abeyance batch 1".to_vec(),
                identity.id.0.as_bytes().to_vec(),
            ]
        };
        if let (true, Some(deferred)) = (manner.at_commit, &self.deferred) {
            who.push(b"what ran".to_vec());
            who.push(deferred.digest().to_string().into_bytes());
        }
        let agent = &identity.agent;
        who.push(identity.target.name.as_bytes().to_vec());
        who.push(agent.name.as_bytes().to_vec());
        // Who may not approve it; a ticket outlives the configuration that said so.
        who.push(format!("{:?}", (&agent.owner, &agent.actor)).into_bytes());
        judged.binding(who)
    }
}

#[cfg(test)]
mod tests {
    use abeyance_sql::{ReadOptions, analyse};

    use super::*;

    fn drift(sql: &str) -> Drift {
        let analysis = analyse(sql.as_bytes(), ReadOptions::default());
        Drift::by(&analysis.statements.iter(), &[], false)
    }

    #[test]
    fn what_a_session_is_told_is_followed_or_doubted() {
        for sql in [
            "SELECT * FROM patients",
            "DELETE FROM rooms WHERE id = 1",
            "BEGIN",
        ] {
            assert_eq!(drift(sql), Drift::None, "{sql}");
        }
        for sql in [
            "SET datestyle = 'DMY'",
            "SET application_name = 'x'",
            "SET abeyance.reason = 'x'",
            "SET abeyance.on_hold = 'ticket'",
            "SET search_path = a",
            "RESET datestyle",
        ] {
            assert!(matches!(drift(sql), Drift::Settings(_)), "{sql}");
        }
        for sql in [
            "SELECT set_config('datestyle', 'DMY', false)",
            "SELECT purge()",
            "SET ROLE nurse",
            "DISCARD ALL",
            "DO 'BEGIN END'",
            "SET datestyle = 'DMY'; DELETE FROM rooms",
        ] {
            assert_eq!(drift(sql), Drift::Unseen, "{sql}");
        }
    }

    #[test]
    fn sessions_that_were_told_the_same_are_alike_and_others_are_not() {
        let session = SessionId(uuid::Uuid::from_u128(1));
        let other = SessionId(uuid::Uuid::from_u128(2));
        let settings = |zone: &str| vec![("TimeZone".to_owned(), zone.to_owned())];
        let begun = |zone: &str| Context::begun(&settings(zone));
        assert_eq!(begun("UTC").parts(session), begun("UTC").parts(other));
        assert_ne!(begun("UTC").parts(session), begun("GMT").parts(session));
        let told = |drift, lasting| {
            let mut context = begun("UTC");
            context.ran(drift, lasting);
            context
        };
        let set = Drift::Settings(BindingDigest::over([b"SET".as_slice()]));
        assert_eq!(told(set, true).parts(session), told(set, true).parts(other));
        assert_ne!(told(set, true).parts(session), begun("UTC").parts(session));
        // A SET that may have been rolled back, and code nobody read: good for this session alone.
        for context in [told(set, false), told(Drift::Unseen, true)] {
            assert_ne!(context.parts(session), context.parts(other));
        }
    }
}
