//! The record as people of the roster may look at it, from wherever they are.
//!
//! What they see is what the console shows to whoever is logged in: everything, redacted. Strangers see nothing.

use abeyance_api::{
    Claimant, DecideError, HoldHistory, HoldId, HoldSearch, HoldsFound, PersonRef, RecordDesk,
    Which,
};
use async_trait::async_trait;

use crate::{Approver, console, limits, store::Wanted};

#[async_trait]
impl RecordDesk for Approver {
    async fn person(&self, claimant: &Claimant) -> Result<PersonRef, DecideError> {
        let roster = self.roster();
        let person = roster.claimant(claimant);
        Ok(person.ok_or(DecideError::UnknownPerson)?.to_ref())
    }

    async fn holds_search(&self, search: HoldSearch) -> Result<HoldsFound, DecideError> {
        self.person(&search.claimant).await?;
        let person = match &search.person {
            Some(named) => Some(self.roster().named(named)?.id.clone()),
            None => None,
        };
        let wanted = Wanted {
            ended_since: match search.which {
                Which::Waiting => None,
                Which::Decided { since } => Some(since),
            },
            agent: search.agent,
            target: search.target,
            person,
            limit: search.limit.clamp(1, limits::SEARCH_MAX),
        };
        let (records, total) = self.0.store.holds_find(&wanted).await?;
        let holds = records.into_iter().map(|record| self.view(record));
        Ok(HoldsFound {
            holds: holds.collect(),
            total,
        })
    }

    async fn hold_history(
        &self,
        id: &HoldId,
        claimant: &Claimant,
    ) -> Result<HoldHistory, DecideError> {
        self.person(claimant).await?;
        let record = self.0.store.hold(id).await?.ok_or(DecideError::NotFound)?;
        let events = self.0.store.hold_events(id).await?;
        let (hold, _) = self.view_in_company(record).await?;
        let lines = console::record_lines(&events, hold.request.manner.at_commit);
        Ok(HoldHistory { hold, lines })
    }
}
