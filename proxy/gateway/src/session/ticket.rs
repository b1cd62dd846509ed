//! Tickets: a hold nobody waits for. The agent gets the hold's id with an error, and sends the same batch again.
//!
//! A ticket's approval outlives the session, so what it is bound to names no session, but everything that could make
//! the same bytes do another thing elsewhere: what analysis and catalog made of them, whether a transaction is
//! open, and what the session was told besides ([`Context`]). Where that cannot be known for sure, the ticket is
//! good for this session alone, as it stands now (invariant 2: approve-A-run-B is impossible).

use abeyance_api::{BindingDigest, Manner};
use abeyance_sql::{CatalogFacts, RelationName, StatementFacts};
use abeyance_wire::postgres::TransactionStatus;

pub(crate) use self::context::{Context, Course, Drift, Mark, may_tell};
use super::{
    Session,
    judge::{JudgedBatch, Shown},
};
use crate::Target;

mod context;
mod defaults;

/// Whether a statement does the same wherever the session was told the same: nothing in it is a session's own, and
/// nothing in it is unknown.
pub(super) fn travels(facts: &StatementFacts) -> bool {
    let catalog = facts.catalog.as_ref();
    let reached = |catalog: &CatalogFacts| {
        let relations = catalog.reads.iter().chain(&catalog.writes);
        relations.chain(&catalog.through).any(is_temporary)
    };
    !facts.positioned
        && facts.is_certain()
        && !facts.relations().any(is_temporary)
        && !catalog.is_some_and(reached)
}

/// What is in it only its session knows.
fn is_temporary(relation: &RelationName) -> bool {
    let schema = relation.schema.as_deref();
    schema.is_some_and(|schema| schema.starts_with("pg_temp"))
}

/// Where statements run, and as whom; a name in the configuration may come to stand for another place.
pub(super) fn place(target: &Target) -> Vec<u8> {
    let Target {
        name,
        host,
        port,
        database,
        user,
        environment,
        ..
    } = target;
    format!("{:?}", (name, host, port, database, user, environment)).into_bytes()
}

impl Session {
    /// Whether a hold answers at once instead of waiting.
    pub(super) fn gives_tickets(&self) -> bool {
        self.standing.ticket
    }

    /// What an approval is bound to: with `ticket`, no session but everything that takes its place. `defaults`: what
    /// the session has without having been told; nothing when that is not known.
    pub(super) fn binding(
        &self,
        judged: &JudgedBatch,
        manner: Manner,
        defaults: Option<&str>,
    ) -> BindingDigest {
        let identity = &self.identity;
        let mut who = if manner.ticket {
            let inside = self.standing.status != TransactionStatus::Idle;
            let mut who = vec![b"abeyance ticket 2".to_vec(), vec![u8::from(inside)]];
            let context = &self.standing.context;
            who.extend(context.parts(identity.id, self.sight.is_common()));
            who.push(match defaults {
                Some(defaults) => defaults.as_bytes().to_vec(),
                None => identity.id.0.as_bytes().to_vec(),
            });
            let facts = judged.shown().iter().filter_map(Shown::facts);
            who.extend(facts.map(|facts| format!("{facts:?}").into_bytes()));
            who.push(place(&identity.target));
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
    use super::*;

    #[test]
    fn a_place_is_more_than_its_name() {
        let target = |host: &str, user: &str| Target {
            name: "clinic".to_owned(),
            host: host.to_owned(),
            port: 5432,
            database: "clinic".to_owned(),
            user: user.to_owned(),
            password: None,
            tls: crate::UpstreamTls::disable(),
            environment: None,
            vouched_functions: std::sync::Arc::default(),
            catalog_poll: None,
            sessions_max: None,
        };
        assert_ne!(place(&target("a", "app")), place(&target("b", "app")));
        assert_ne!(place(&target("a", "app")), place(&target("a", "admin")));
    }
}
