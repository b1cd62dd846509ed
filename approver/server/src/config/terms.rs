//! What a route says of its holds beside whom it asks.

use std::{num::NonZeroU32, time::Duration};

use abeyance_api::{HoldRequest, PersonId, TransactionContext};
use abeyance_holds::{Grantable, Terms, alike::counted, limits};

use super::ConfigError;

/// The smaller print of a route.
#[derive(Debug, Clone)]
pub struct RouteTerms {
    /// How long a hold waits inside an open transaction, whose locks stay taken; never longer than elsewhere.
    pub timeout_in_transaction: Duration,
    /// Inside a transaction nobody is asked at all.
    pub refuse_in_transaction: bool,
    /// How many people have to deny.
    pub denials: NonZeroU32,
    /// How long the approval of a ticket waits for its agent.
    pub ticket_life: Duration,
    pub grants: Grants,
    /// The longest grant.
    pub grant_minutes_max: u32,
    pub break_glass: Option<BreakGlassRule>,
}

/// Which approvals may hold for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grants {
    Never,
    /// Of statements that are understood, and change rows at most.
    Rows,
    /// Also of definitions and of what is not understood.
    Any,
}

/// Who may approve alone in an emergency, and who hears of it.
#[derive(Debug, Clone)]
pub struct BreakGlassRule {
    pub group: String,
    pub people: Vec<PersonId>,
    /// Gets a card when it happened.
    pub slack_channel: Option<String>,
}

impl Default for RouteTerms {
    fn default() -> Self {
        let ticket_life = limits::TICKET_LIFE.to_std().unwrap_or_default();
        Self {
            timeout_in_transaction: Duration::from_secs(60),
            refuse_in_transaction: false,
            denials: NonZeroU32::MIN,
            ticket_life,
            grants: Grants::Rows,
            grant_minutes_max: limits::GRANT_MINUTES_MAX,
            break_glass: None,
        }
    }
}

impl RouteTerms {
    /// How long a hold of `request` waits, when the route waits `timeout` elsewhere.
    pub(crate) fn timeout(&self, timeout: Duration, request: &HoldRequest) -> Duration {
        match request.transaction {
            TransactionContext::Idle => timeout,
            TransactionContext::Open => timeout.min(self.timeout_in_transaction),
        }
    }

    /// Whether an approval of `request` may hold for a while.
    pub(crate) fn grants(&self, request: &HoldRequest) -> bool {
        let shaped = !request.manner.at_commit
            && request.manner.shape.is_some()
            && request
                .statements
                .iter()
                .all(|one| !one.fingerprint.is_empty());
        match self.grants {
            Grants::Never => false,
            Grants::Rows => shaped && request.manner.plain,
            Grants::Any => shaped,
        }
    }

    /// The terms of a new hold.
    pub(crate) fn of(&self, request: &HoldRequest) -> Terms {
        let mut terms = Terms {
            denials: self.denials,
            ticket: request.manner.ticket,
            ..Terms::default()
        };
        if request.manner.ticket {
            terms.claim_seconds = u32::try_from(self.ticket_life.as_secs()).unwrap_or(u32::MAX);
        }
        let rows_cap = request.blast.rows_cap;
        let writes = request.statements.iter().any(|one| !one.writes.is_empty());
        // Without a cap a grant for rows would let any number of them be changed, or be read.
        let known = !writes && counted(&request.blast.rows).is_some();
        let bounded = rows_cap.is_some() || known || !request.manner.plain;
        if self.grants(request) && bounded {
            terms.grantable = Some(Grantable {
                minutes_max: self.grant_minutes_max,
                rows_cap,
            });
        }
        terms
    }

    pub(crate) fn mistakes(&self, route: &str, people: usize, found: &mut Vec<ConfigError>) {
        let route = || route.to_owned();
        let denials = self.denials.get();
        if usize::try_from(denials).is_ok_and(|denials| denials > people) {
            found.push(ConfigError::Denials {
                route: route(),
                denials,
            });
        }
        if self.timeout_in_transaction.is_zero() || self.ticket_life.is_zero() {
            found.push(ConfigError::Timeout { route: route() });
        }
        if let Some(glass) = self
            .break_glass
            .as_ref()
            .filter(|glass| glass.people.is_empty())
        {
            found.push(ConfigError::BreakGlass {
                route: route(),
                group: glass.group.clone(),
            });
        }
    }
}
