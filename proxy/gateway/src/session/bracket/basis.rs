//! Whether an approved batch did what was approved, where definitions were changed while it ran.
//!
//! A definition that is not committed is seen by nobody, and its lock shuts the batch out. When it is committed the batch goes
//! on with it, though people were shown another (invariant 2). So before an approved change of rows is made to last the
//! target is asked again; where what the batch reaches has become another thing, all of it is rolled back.

use std::{collections::HashSet, sync::Arc};

use abeyance_api::HoldId;
use abeyance_wire::postgres::{ErrorFields, SqlState, TransactionStatus};

use super::Run;
use crate::{
    error::SessionError,
    session::{
        Session, cleared::Cleared, judge::Step, ledger::Ledger, reading::Reading, sight::Since,
    },
};

/// What was approved, as it was read.
#[derive(Debug)]
pub(super) struct Basis {
    hold: HoldId,
    readings: Vec<Arc<Reading>>,
    /// Something of it ran since it was last compared.
    open: bool,
}

impl Basis {
    /// Of an approved batch that changes rows; nothing of any other.
    pub(super) fn of(cleared: &Cleared, ledger: &Ledger) -> Option<Self> {
        let hold = cleared.hold().filter(|_| cleared.changes_rows_alone())?;
        let readings = readings(cleared.steps(), ledger);
        Some(Self {
            hold: hold.clone(),
            readings,
            open: false,
        })
    }

    /// Some of it is about to run.
    pub(super) fn begins(&mut self) {
        self.open = true;
    }
}

/// Everything that steps run, as it was read.
pub(in crate::session) fn readings(steps: &[Step], ledger: &Ledger) -> Vec<Arc<Reading>> {
    let mut readings: Vec<Arc<Reading>> = Vec::new();
    let mut taken = HashSet::new();
    let mut take = |reading: &Arc<Reading>| {
        if taken.insert(Arc::as_ptr(reading)) {
            readings.push(Arc::clone(reading));
        }
    };
    for step in steps {
        let reading = match step {
            Step::Query { reading } => reading,
            Step::Bind { prepared, .. } | Step::Execute { prepared, .. } => &prepared.reading,
            Step::Parse { .. }
            | Step::Describe
            | Step::CloseStatement { .. }
            | Step::ClosePortal { .. }
            | Step::Flush
            | Step::Sync => continue,
        };
        take(reading);
        let names = reading.facts.iter();
        for name in names.filter_map(|facts| facts.refers_to.as_deref()) {
            let statement = ledger.statement(name.as_bytes());
            let portal = ledger
                .portal(name.as_bytes())
                .map(|portal| &portal.prepared);
            let named = statement.into_iter().chain(portal);
            named.for_each(|prepared| take(&prepared.reading));
        }
    }
    readings
}

impl Session {
    /// Before what ran can last: undoes it when it is not what was approved.
    pub(super) async fn check_basis(&mut self, run: &mut Run) -> Result<(), SessionError> {
        let over = run.failed || self.standing.status != TransactionStatus::InTransaction;
        let Some(basis) = run.basis.as_mut().filter(|basis| basis.open && !over) else {
            return Ok(());
        };
        basis.open = false;
        let readings = basis.readings.clone();
        if self.still_means(&readings).await {
            return Ok(());
        }
        let fields = overtaken(&basis.hold);
        tracing::warn!(
            hold = basis.hold.as_str(),
            "definitions changed while it ran"
        );
        run.undone =
            Some("what it does changed while it ran; everything was rolled back".to_owned());
        self.fail(run, &fields).await
    }

    /// Whether these texts mean what they were read as.
    pub(in crate::session) async fn still_means(&self, readings: &[Arc<Reading>]) -> bool {
        let view = match self.since().await {
            Since::Nothing => return true,
            Since::Changed(view) => view,
            Since::Unknown => return false,
        };
        for reading in readings.iter().filter(|reading| !reading.stamp.opaque) {
            let now = self.read_again(reading, &view).await;
            if now.facts != reading.facts {
                return false;
            }
        }
        true
    }
}

fn overtaken(hold: &HoldId) -> ErrorFields {
    ErrorFields::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!(
            "{} was approved, but what it does changed while it ran: everything was rolled back",
            hold.as_str()
        ),
    )
    .detail("Definitions on the target, or what is known of them, are not those that were shown.")
    .hint("Nothing was kept. Send the statement again; it will be asked about anew.")
}
