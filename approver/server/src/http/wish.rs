//! What a person wants: bodies that name their `claimant`, and the `surface` they came through.
//!
//! A bot has authenticated the person it speaks for, and says both. Somebody with their own token speaks for themselves
//! alone: both go without saying, and so does what the path names.

use abeyance_api::{
    BulkDecision, Claimant, DecideError, DecisionRequest, GrantRevocation, HoldSearch, LookRequest,
    OverrideRemoval, OverrideRequest, ShiftsQuery, StandIn, Surface, Swap,
};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    auth::Decider,
    body,
    reply::{Decide, Malformed},
    unsaid::{Completed, Unsaid},
};
use crate::Approver;

/// A request that says who makes it.
pub(super) trait Spoken: DeserializeOwned {
    /// Whether it says through what, too. Of looks nothing is written down.
    const BY_SURFACE: bool;
    fn claimant(&self) -> &Claimant;
    fn came_by(&mut self, surface: Surface);
}

macro_rules! spoken {
    ($($by_surface:ident: $($request:ty),+;)+) => { $($(
        impl Spoken for $request {
            const BY_SURFACE: bool = spoken!(@is $by_surface);
            fn claimant(&self) -> &Claimant {
                &self.claimant
            }
            spoken!(@came $by_surface);
        }
    )+)+ };
    (@is through_a_surface) => { true };
    (@is anyhow) => { false };
    (@came through_a_surface) => {
        fn came_by(&mut self, surface: Surface) {
            self.surface = surface;
        }
    };
    (@came anyhow) => {
        fn came_by(&mut self, _: Surface) {}
    };
}

spoken! {
    through_a_surface:
        DecisionRequest, BulkDecision, LookRequest, GrantRevocation, OverrideRequest, OverrideRemoval, StandIn, Swap;
    anyhow: ShiftsQuery, HoldSearch;
}

/// The body of such a request, before it is known whose it is.
pub(super) struct Wish(Bytes);

impl FromRequest<Approver> for Wish {
    type Rejection = Malformed;
    async fn from_request(request: Request, app: &Approver) -> Result<Self, Malformed> {
        body::bytes(request, app).await.map(Self)
    }
}

impl Wish {
    /// As whoever calls wants it.
    pub(super) fn of<T: Spoken>(&self, decider: Decider) -> Result<T, Decide> {
        self.completed(decider, Vec::new())
    }

    /// About what the path names, which is `field` in the body where that says it again.
    pub(super) fn about<T: Spoken, I: Serialize + PartialEq>(
        &self,
        decider: Decider,
        (field, id): (&'static str, &I),
        own: impl Fn(&T) -> &I,
    ) -> Result<T, Decide> {
        let request = self.completed(decider, vec![(field, json!(id))])?;
        if own(&request) != id {
            return Err(invalid(&format!(
                "the {field} in the body is not the one in the path"
            )));
        }
        Ok(request)
    }

    fn completed<T: Spoken>(&self, decider: Decider, mut unsaid: Unsaid) -> Result<T, Decide> {
        let oneself = match decider {
            Decider::Person(id) => Some(Claimant::Person { id }),
            Decider::Bot => None,
        };
        if let Some(oneself) = &oneself {
            unsaid.push(("claimant", json!(oneself)));
            if T::BY_SURFACE {
                unsaid.push(("surface", json!(Surface::Cli)));
            }
        }
        // Nothing at all says as little as an empty object.
        let said = if self.0.is_empty() {
            b"{}".as_slice()
        } else {
            &self.0
        };
        let mut request: T = body::read(said, |said| {
            serde_path_to_error::deserialize(Completed { said, unsaid })
        })?;
        if let Some(oneself) = &oneself {
            if request.claimant() != oneself {
                return Err(invalid("with your own token you act as yourself only"));
            }
            request.came_by(Surface::Cli);
        }
        Ok(request)
    }
}

fn invalid(detail: &str) -> Decide {
    Decide::from(DecideError::Invalid {
        detail: detail.to_owned(),
    })
}
