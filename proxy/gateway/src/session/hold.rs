//! Holds a batch until somebody with the right to decide has decided.
//!
//! Nothing of the batch has gone upstream while this runs (invariant 3). Any doubt ends in a
//! refusal (invariant 4): approver away, claim refused, client or target gone.

use abeyance_api::{BindingDigest, DeskError, HoldId, HoldReceipt, HoldRequest, Manner};
use abeyance_wire::postgres::{ErrorFields, TransactionStatus};
use tokio::time::timeout;

use self::{
    again::Again,
    run::Claim,
    wait::{Waited, resolved},
};
use super::{
    Session, card,
    deferred::does_more,
    judge::{Finding, Held, JudgedBatch, Place},
    refuse::Unsettled,
    ticket::travels,
    wording,
};
use crate::error::SessionError;

mod again;
mod run;
mod wait;

/// What an approval is asked for.
pub(super) struct Bound {
    binding: BindingDigest,
    manner: Manner,
    /// What the session has without having been told, for a ticket.
    defaults: Option<String>,
}

impl Session {
    /// Opens a hold, waits, and then runs or refuses the batch. What comes before and after the wait is boxed: a
    /// thousand sessions that wait need no room for it.
    pub(super) async fn hold(&mut self, judged: JudgedBatch) -> Result<(), SessionError> {
        let Finding::Held(held) = judged.finding() else {
            return Err(SessionError::Internal("a batch was held without a rule"));
        };
        let place = held.place;
        let (rule, reasons) = (held.rule.clone(), held.reasons.clone());
        let route = held.route.clone();
        let manner = Manner {
            // What ran already cannot be sent again, and what is the session's own would be another thing then.
            ticket: self.gives_tickets()
                && !held.at_commit
                && !judged.continues()
                && held.statements.iter().all(travels),
            at_commit: held.at_commit,
            plain: card::plain(&held.statements),
            shape: self.shape(&judged, held),
        };
        let defaults = match manner.ticket {
            true => Box::pin(self.defaults()).await?,
            false => None,
        };
        let bound = Bound {
            binding: self.binding(&judged, manner, defaults.as_deref()),
            manner,
            defaults,
        };
        let request = match Box::pin(self.hold_request(&judged, held, &bound)).await? {
            Ok(request) => request,
            Err(fields) => return self.hold_refused(judged, place, None, &fields).await,
        };
        let mut rows_cap = request.blast.rows_cap;
        let receipt = match Box::pin(self.open(request)).await {
            Ok(receipt) => receipt,
            Err(error) => {
                tracing::warn!(%error, rule, "no hold could be opened");
                let fields = wording::not_opened(&rule, &error);
                return self.hold_refused(judged, place, None, &fields).await;
            }
        };
        rows_cap = rows_cap.into_iter().chain(receipt.rows_cap).min();
        tracing::info!(
            hold = receipt.id.as_str(),
            rule,
            ticket = manner.ticket,
            "held"
        );
        let story = wording::Story {
            receipt: &receipt,
            rule: &rule,
            reasons: &reasons,
            at_commit: manner.at_commit,
        };
        self.release_buffers();
        let waited = match (&receipt.resolution, manner.ticket) {
            (Some(resolution), _) => resolved(Ok(resolution.clone()), &story),
            (None, true) => Waited::Refused(story.ticket(self.until(&story)), None),
            (None, false) => self.wait(&story).await,
        };
        let fields = match waited {
            Waited::Approved => match Box::pin(self.judge_again(judged, &story, &route)).await? {
                Again::Stands(judged) => {
                    match Box::pin(self.claim(*judged, &story, &bound, rows_cap)).await {
                        (Claim::Cleared(cleared), None) => {
                            let ran = Box::pin(self.run_approved(cleared, &receipt.id)).await;
                            // Also behind COMMIT AND CHAIN, whose next transaction is a new one; not where it failed,
                            // and a savepoint may heal it.
                            if manner.at_commit && self.standing.status != TransactionStatus::Failed
                            {
                                self.deferred = None;
                            }
                            return ran;
                        }
                        (Claim::Refused(fields), Some(judged)) => {
                            return self
                                .hold_refused(*judged, place, Some(&receipt.id), &fields)
                                .await;
                        }
                        (Claim::Over(error), _) => return Err(error),
                        _ => return Err(SessionError::Internal("a claim without an end")),
                    }
                }
                Again::Refused(judged, fields) => {
                    return self
                        .hold_refused(*judged, place, Some(&receipt.id), &fields)
                        .await;
                }
            },
            Waited::Refused(fields, withdraw) => {
                if let Some(reason) = withdraw {
                    self.gateway.withdraw(&receipt.id, reason);
                }
                fields
            }
            Waited::Over(error, reason) => {
                self.gateway.withdraw(&receipt.id, reason);
                return Err(error);
            }
        };
        self.hold_refused(judged, place, Some(&receipt.id), &fields)
            .await
    }

    /// What others have to mean to be no other thing; at a COMMIT with what ran before it. `None`: not known.
    pub(super) fn shape(&self, judged: &JudgedBatch, held: &Held) -> Option<BindingDigest> {
        let role = self.sight.role(&self.identity.target.user);
        let shape = card::shape(judged, &held.statements, &self.identity.target, role)
            .filter(|_| self.sight.confirmed)?;
        match self.deferred.as_ref().filter(|_| held.at_commit) {
            Some(deferred) => deferred.shape_with(shape),
            None => Some(shape),
        }
    }

    /// What reviewers will see; the inner error when the batch cannot be shown to anybody.
    async fn hold_request(
        &mut self,
        judged: &JudgedBatch,
        held: &Held,
        &Bound {
            binding, manner, ..
        }: &Bound,
    ) -> Result<Result<HoldRequest, ErrorFields>, SessionError> {
        if let Some(fields) = self.floor_objects(judged, held) {
            return Ok(Err(fields));
        }
        let statements = match card::statements(&held.statements) {
            Ok(statements) => statements,
            Err(fields) => return Ok(Err(fields)),
        };
        let ran = self.deferred.as_ref().filter(|_| manner.at_commit);
        let (statements, blast) = match ran {
            Some(deferred) if !does_more(&held.statements) => {
                ([deferred.shown(), statements].concat(), deferred.blast())
            }
            _ => {
                let mut blast = self.blast(judged).await?;
                self.guard(&mut blast, judged, held);
                match self.deferred.as_ref().filter(|_| manner.at_commit) {
                    Some(deferred) => {
                        let shown = [deferred.shown(), statements].concat();
                        (shown, deferred.blast_with(blast))
                    }
                    None => (statements, blast),
                }
            }
        };
        Ok(Ok(card::request(
            &self.identity,
            &self.standing,
            held,
            statements,
            blast,
            binding,
            manner,
            self.snapshot.rules.version(),
        )))
    }

    async fn open(&self, request: HoldRequest) -> Result<HoldReceipt, DeskError> {
        let limit = self.gateway.limits.hold_open_timeout;
        timeout(limit, self.gateway.desk.hold_open(request))
            .await
            .unwrap_or_else(|_| {
                Err(DeskError::Unavailable {
                    detail: "no answer in time".to_owned(),
                })
            })
    }

    fn release_buffers(&mut self) {
        self.client.release();
        self.target.release();
    }

    pub(super) async fn hold_refused(
        &mut self,
        judged: JudgedBatch,
        place: Place,
        hold: Option<&HoldId>,
        fields: &ErrorFields,
    ) -> Result<(), SessionError> {
        let at_commit = matches!(judged.finding(), Finding::Held(held) if held.at_commit);
        let mut place = place;
        if at_commit {
            self.roll_back_deferred().await?;
            place.status = TransactionStatus::Idle;
        }
        let kept_nothing = |fields: &ErrorFields| {
            let hint = "The whole transaction was rolled back; nothing was kept.";
            fields.clone().hint(hint)
        };
        let unopened = (at_commit && hold.is_none()).then(|| kept_nothing(fields));
        let fields = unopened.as_ref().unwrap_or(fields);
        let what = hold.map_or("the statement", HoldId::as_str);
        tracing::info!(
            hold = hold.map(HoldId::as_str),
            sqlstate = fields.sqlstate().map(|state| state.as_str().to_owned()),
            "not approved"
        );
        let unsettled = Unsettled {
            place,
            what: format!("{what} was not approved"),
        };
        let (batch, steps, _) = judged.into_parts();
        self.refuse(batch.ending(), &steps, fields, unsettled).await
    }
}
