//! The three desks, over the store.

use abeyance_api::DeskError;

use crate::store::{HoldRecord, Stepped};

mod cards;
mod decisions;
mod holds;
mod opening;

pub(crate) use decisions::required_reason;

fn done(stepped: Stepped) -> Result<Box<HoldRecord>, DeskError> {
    match stepped {
        Stepped::Done(record) => Ok(record),
        Stepped::Refused(refusal) => Err(refusal.into()),
        Stepped::Foreign => refused(
            "it is another proxy's hold: only the one that opened it may speak for it".to_owned(),
        ),
        Stepped::NotFound => Err(DeskError::NotFound),
    }
}

fn stopping() -> DeskError {
    DeskError::Unavailable {
        detail: "the approver is stopping".to_owned(),
    }
}

fn refused<T>(detail: String) -> Result<T, DeskError> {
    Err(DeskError::Refused { detail })
}
