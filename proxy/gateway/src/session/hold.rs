//! Holds a batch until somebody with the right to decide has decided.
//!
//! Nothing of the batch has gone upstream while this runs (invariant 3). Any doubt ends in a
//! refusal (invariant 4): approver away, claim refused, client or target gone.

use std::{sync::Arc, time::Duration};

use abeyance_api::{
    BindingDigest, DeskError, HoldId, HoldReceipt, HoldRequest, Manner, Outcome, Resolution,
    WithdrawReason,
};
use abeyance_wire::postgres::{ErrorFields, TransactionStatus};
use tokio::time::{Instant, interval_at, sleep_until, timeout};

use super::{
    Session,
    batch::terminates,
    card,
    cleared::{Cleared, clear_permitted},
    deferred::does_more,
    judge::{Finding, Held, JudgedBatch, Place, Shown},
    refuse::Unsettled,
    relay::Broken,
    turn::{Turn, Wants, turn},
    wording,
};
use crate::error::{SessionError, TargetError};

/// How waiting ended.
enum Waited {
    Approved,
    /// The client is told; the hold is taken back when nobody else has ended it.
    Refused(ErrorFields, Option<WithdrawReason>),
    /// The session ends.
    Over(SessionError, WithdrawReason),
}

/// What a batch comes to that was approved under rules that may have changed.
enum Again {
    Stands(Box<JudgedBatch>),
    Refused(Box<JudgedBatch>, ErrorFields),
}

/// How claiming ended.
enum Claim {
    Cleared(Cleared),
    Refused(ErrorFields),
    Over(SessionError),
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
            // What ran already cannot be sent again, and what depends on where a cursor stands would be another thing then.
            ticket: self.gives_tickets()
                && !held.at_commit
                && !held.statements.iter().any(|facts| facts.positioned),
            at_commit: held.at_commit,
            plain: card::plain(&held.statements),
            shape: card::shape(&held.statements).filter(|_| self.sight.confirmed),
        };
        let binding = self.binding(&judged, manner);
        let request = match Box::pin(self.hold_request(&judged, held, binding, manner)).await? {
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
                    match Box::pin(self.claim(*judged, &story, (binding, manner), rows_cap)).await {
                        (Claim::Cleared(cleared), None) => {
                            let ran = Box::pin(self.run_approved(cleared, &receipt.id)).await;
                            if manner.at_commit {
                                // Also behind COMMIT AND CHAIN, whose next transaction is a new one.
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

    /// What reviewers will see; the inner error when the batch cannot be shown to anybody.
    async fn hold_request(
        &mut self,
        judged: &JudgedBatch,
        held: &Held,
        binding: BindingDigest,
        manner: Manner,
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

    /// The policy may have changed while the batch waited, and so may what the batch means. What the policy would
    /// now deny, or ask others about, and what would now do other things than were shown, does not run on the
    /// old approval; the hold lapses.
    async fn judge_again(
        &mut self,
        judged: JudgedBatch,
        story: &wording::Story<'_>,
        route: &str,
    ) -> Result<Again, SessionError> {
        let current = self.gateway.current.is(&self.snapshot);
        if !story.at_commit {
            self.sight.confirmed = self.confirm().await;
        }
        if current && (self.sight.holds() || story.at_commit) {
            // What was shown at a COMMIT has run: definitions that change now change nothing of it.
            return Ok(Again::Stands(Box::new(judged)));
        }
        if story.at_commit {
            let hold = &story.receipt.id;
            self.gateway.withdraw(hold, WithdrawReason::PolicyChanged);
            return Ok(Again::Refused(Box::new(judged), story.rules_changed()));
        }
        let hold = &story.receipt.id;
        if let Err(error) = self.follow_policy() {
            self.gateway.withdraw(hold, WithdrawReason::PolicyChanged);
            return Err(error);
        }
        let (batch, _, finding) = judged.into_parts();
        let mut judged = self.judge(batch).await?;
        let Finding::Held(asked) = &finding else {
            return Err(SessionError::Internal("a hold without what it asked for"));
        };
        let now = judged.shown().iter().filter_map(Shown::facts);
        let same = now.eq(&asked.statements);
        let (fields, reason) = match judged.finding() {
            Finding::Held(held) if held.route != route => {
                let fields = story.rerouted(&held.rule, &held.route);
                (Some(fields), WithdrawReason::PolicyChanged)
            }
            Finding::Refused(refused) => {
                let fields = story.ruled_out(&refused.fields);
                (Some(fields), WithdrawReason::PolicyChanged)
            }
            Finding::Allowed | Finding::Held(_) if !same => (
                Some(story.meant_otherwise()),
                WithdrawReason::MeaningChanged,
            ),
            Finding::Allowed | Finding::Held(_) => (None, WithdrawReason::PolicyChanged),
        };
        // What was approved needs its permit, whatever newer rules would have let pass.
        judged.guard(finding);
        let version = self.snapshot.rules.version();
        tracing::info!(
            hold = hold.as_str(),
            policy = version,
            stands = fields.is_none(),
            "judged again"
        );
        Ok(match fields {
            None => Again::Stands(Box::new(judged)),
            Some(fields) => {
                self.gateway.withdraw(hold, reason);
                Again::Refused(Box::new(judged), fields)
            }
        })
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

    /// Waits for a decision, and for everything that makes one pointless.
    async fn wait(&mut self, story: &wording::Story<'_>) -> Waited {
        let desk = Arc::clone(&self.gateway.desk);
        let mut decision = desk.hold_wait(&story.receipt.id);
        let expiry = self.until(story) + self.gateway.limits.expiry_grace;
        let overdue = sleep_until(Instant::now() + expiry);
        tokio::pin!(overdue);
        let every = self.gateway.limits.notice_interval;
        let mut notices = interval_at(Instant::now() + every, every);
        self.notify(&story.notice(self.until(story)));
        loop {
            if let Some(over) = self.client_left() {
                return over;
            }
            let wants = Wants {
                client: true,
                unwritten_max: self.gateway.limits.outbox_bytes_max,
            };
            // Every arm is cancel-safe: sockets fill their own buffers, the channel keeps what it has,
            // `hold_wait` promises it.
            tokio::select! {
                biased;
                happened = turn(&mut self.client, &mut self.target, wants) => match happened {
                    Turn::Client | Turn::Drained => {}
                    Turn::ClientGone => {
                        return Waited::Over(SessionError::ClientGone, WithdrawReason::ClientGone);
                    }
                    Turn::Target => if let Err(error) = self.pass_asynchronous() {
                        return Waited::Over(error, WithdrawReason::TargetGone);
                    },
                    Turn::TargetGone(_) => {
                        return Waited::Over(TargetError::Gone.into(), WithdrawReason::TargetGone);
                    }
                },
                Some(_request) = self.slot.requests.recv() => {
                    return Waited::Refused(story.cancelled(), Some(WithdrawReason::ClientCancelled));
                }
                resolution = &mut decision => return resolved(resolution, story),
                _ = notices.tick() => self.notify(&story.reminder(self.until(story))),
                () = &mut overdue => {
                    return Waited::Refused(story.overdue(), Some(WithdrawReason::ClientGone));
                }
                () = &mut self.deadline => {
                    return Waited::Over(SessionError::Shutdown, WithdrawReason::ProxyShutdown);
                }
                // The batch itself is judged again once it is approved.
                () = &mut self.superseded => if let Err(error) = self.still_welcome() {
                    return Waited::Over(error, WithdrawReason::PolicyChanged);
                },
            }
        }
    }

    /// What the client sent behind the held batch ends the hold when it is Terminate or too much.
    fn client_left(&self) -> Option<Waited> {
        let ahead = &self.client.input;
        if terminates(ahead) {
            let reason = WithdrawReason::ClientTerminated;
            return Some(Waited::Over(SessionError::ClientGone, reason));
        }
        if self.client.at_eof() {
            let reason = WithdrawReason::ClientGone;
            return Some(Waited::Over(SessionError::ClientGone, reason));
        }
        let max = self.gateway.limits.buffered_while_held_bytes_max;
        (ahead.len() > max).then(|| {
            let error = SessionError::Overflow { max };
            Waited::Over(error, WithdrawReason::ClientOverflow)
        })
    }

    fn until(&self, story: &wording::Story<'_>) -> Duration {
        let left = story.receipt.expires_at - self.gateway.clock.now();
        left.to_std().unwrap_or_default()
    }

    fn notify(&mut self, notice: &ErrorFields) {
        self.client.outbox.encode(|out| notice.encode_notice(out));
    }

    fn release_buffers(&mut self) {
        self.client.release();
        self.target.release();
    }

    /// Takes the permit and clears the batch with it. Gives the batch back when it must be refused.
    async fn claim(
        &mut self,
        judged: JudgedBatch,
        story: &wording::Story<'_>,
        (binding, manner): (BindingDigest, Manner),
        rows_cap: Option<u64>,
    ) -> (Claim, Option<Box<JudgedBatch>>) {
        let hold = &story.receipt.id;
        let permit = match self.gateway.claim(hold, binding).await {
            Ok(permit) => permit,
            Err(error) => {
                tracing::warn!(%error, hold = hold.as_str(), "the permit could not be claimed");
                self.gateway.withdraw(hold, WithdrawReason::ClientGone);
                let refused = Claim::Refused(story.not_claimed(&error));
                return (refused, Some(Box::new(judged)));
            }
        };
        // The claim took a moment: a client that left or cancelled meanwhile gets nothing run.
        let nothing_ran = |reason: &str| Outcome::RolledBack {
            reason: format!("{reason}; nothing ran"),
            elapsed: Duration::ZERO,
        };
        if let Some(error) = self.left_meanwhile() {
            self.gateway.report(
                hold,
                nothing_ran("the client left while the approval was claimed"),
            );
            return (Claim::Over(error), None);
        }
        if self.slot.requests.try_recv().is_ok() {
            self.gateway.report(
                hold,
                nothing_ran("the client cancelled while the approval was claimed"),
            );
            return (Claim::Refused(story.cancelled()), Some(Box::new(judged)));
        }
        let binding = self.binding(&judged, manner);
        match clear_permitted(judged, binding, permit, rows_cap) {
            Ok(cleared) => (Claim::Cleared(cleared), None),
            Err(_) => {
                self.gateway
                    .report(hold, nothing_ran("the permit was for another batch"));
                let error = SessionError::Internal("a permit did not cover its batch");
                (Claim::Over(error), None)
            }
        }
    }

    /// Looks at the client's socket once more, without waiting.
    fn left_meanwhile(&mut self) -> Option<SessionError> {
        use futures::FutureExt;
        let wants = Wants {
            client: true,
            unwritten_max: self.gateway.limits.outbox_bytes_max,
        };
        while let Some(happened) = turn(&mut self.client, &mut self.target, wants).now_or_never() {
            match happened {
                Turn::Client | Turn::Drained => {}
                Turn::Target => {
                    if let Err(error) = self.pass_asynchronous() {
                        return Some(error);
                    }
                }
                Turn::ClientGone => return Some(SessionError::ClientGone),
                Turn::TargetGone(_) => return Some(TargetError::Gone.into()),
            }
            if self.client.input.len() > self.gateway.limits.buffered_while_held_bytes_max {
                break;
            }
        }
        match self.client_left() {
            Some(Waited::Over(error, _)) => Some(error),
            _ => None,
        }
    }

    /// Runs the approved batch and reports what came of it.
    async fn run_approved(&mut self, cleared: Cleared, hold: &HoldId) -> Result<(), SessionError> {
        tracing::info!(hold = hold.as_str(), "approved and running");
        let started = Instant::now();
        let (outcome, result) = match self.relay(cleared).await {
            Ok(ran) => (ran.into_outcome(started.elapsed()), Ok(())),
            Err(Broken { error, ran }) if ran.fatal => {
                (ran.into_outcome(started.elapsed()), Err(error))
            }
            Err(Broken { error, .. }) => {
                let reason = format!("the session broke while the batch ran: {}", error.kind());
                (Outcome::Unknown { reason }, Err(error))
            }
        };
        self.gateway.report(hold, outcome);
        result
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

fn resolved(resolution: Result<Resolution, DeskError>, story: &wording::Story<'_>) -> Waited {
    match resolution {
        Ok(Resolution::Approved { .. }) => Waited::Approved,
        Ok(Resolution::Denied { vote }) => Waited::Refused(story.denied(&vote), None),
        Ok(Resolution::Expired) => Waited::Refused(story.expired(), None),
        Ok(Resolution::Nobody { why }) => Waited::Refused(story.nobody(&why), None),
        Ok(Resolution::Withdrawn { .. }) => Waited::Refused(story.withdrawn(), None),
        Err(error) => {
            tracing::warn!(%error, hold = story.receipt.id.as_str(), "the approver went away");
            Waited::Refused(story.unreachable(&error), Some(WithdrawReason::ClientGone))
        }
    }
}
