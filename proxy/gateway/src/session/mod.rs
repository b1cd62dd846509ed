//! A session after start-up: batch after batch, each judged, then run, held or refused.
//!
//! Reading order: `batch` collects, `judge` decides, `cleared` proves, `target` writes, `tracker` follows
//! the replies; `hold`, `refuse` and `relay` are the ways a batch can go. One task owns both sockets,
//! so a hang-up is seen in every state.

mod batch;
mod blast;
mod bracket;
mod card;
mod cleared;
mod deferred;
mod desk;
mod examine;
mod gate;
mod hold;
mod judge;
mod ledger;
mod outcome;
mod own;
mod reading;
mod refuse;
mod rehearsal;
mod relay;
mod settings;
mod sight;
mod standing;
mod stirs;
mod target;
mod ticket;
mod tracker;
mod turn;
mod vague;
mod veil;
mod wording;

use std::{pin::Pin, sync::Arc};

use abeyance_api::{PersonId, SessionId};
use abeyance_policy::Context;
use abeyance_wire::postgres::{ErrorFields, TransactionStatus, backend::tag};
use chrono::{DateTime, Utc};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub use self::rehearsal::{PROXY, Rehearsal, Rehearsed, Stage};
use self::{
    batch::{Batch, Collected, Collector},
    cleared::clear_allowed,
    judge::{Finding, JudgedBatch},
    ledger::Ledger,
    sight::Sighting,
    standing::Standing,
    target::TargetSide,
    turn::{Turn, Wants, turn},
};
pub(crate) use self::{
    gate::Shapes,
    judge::Shown,
    reading::{Reading, ReadingCache, Scope},
    settings::{clean as clean_reason, on_hold},
    ticket::Context as TicketContext,
};
use crate::{
    Agent, Gateway, Target,
    cancel::CancelSlot,
    catalog::{Presence, TargetCatalog},
    error::{SessionError, TargetError},
    exchange::client_send_error,
    io::Link,
    snapshot::{Seat, Snapshot},
    statements::Whose,
    upstream::Connected,
};

/// Who and where. Agent and target are as the configuration has them at the last batch; the rest is fixed for the
/// life of the session.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) id: SessionId,
    pub(crate) agent: Arc<Agent>,
    pub(crate) target: Arc<Target>,
    pub(crate) scope: Scope,
    pub(crate) client_addr: String,
    pub(crate) application_name: Option<String>,
    pub(crate) started_at: DateTime<Utc>,
}

impl Identity {
    fn context(&self) -> Context<'_> {
        context(&self.agent, &self.target)
    }
}

/// What of the configuration enters every verdict.
#[must_use]
pub fn context<'a>(agent: &'a Agent, target: &'a Target) -> Context<'a> {
    Context {
        owner: agent.owner.as_ref().map(PersonId::as_str),
        actor: agent.actor.as_deref(),
        access: agent.access,
        database: Some(&target.database),
        environment: target.environment.as_deref(),
        ..Context::new(&agent.name, &target.name)
    }
}

/// One client connection that has proved who it is, and its target.
pub(crate) struct Session {
    gateway: Arc<Gateway>,
    identity: Identity,
    client: Link,
    target: TargetSide,
    slot: CancelSlot,
    collector: Collector,
    ledger: Ledger,
    standing: Standing,
    /// What names mean to the session.
    sight: Sighting,
    brackets: bracket::Brackets,
    /// What ran in the open transaction and waits for its COMMIT.
    deferred: Option<deferred::Deferred>,
    /// A group of the extended protocol was refused; its Sync has not come yet.
    unsettled: Option<refuse::Unsettled>,
    /// Ends the session when it is idle.
    shutdown: Stop,
    /// Ends the session whatever it does.
    deadline: Stop,
    /// Who may do what, as of the last batch.
    snapshot: Arc<Snapshot>,
    /// There is a newer one.
    superseded: Stop,
    /// The session's places among those its agent and its target may have.
    _seats: [Option<Seat>; 2],
    /// The client's stream is gone: nothing more is written to it.
    client_lost: bool,
}

/// A token of the session's own: polling it touches nothing that sessions share.
type Stop = Pin<Box<WaitForCancellationFutureOwned>>;

/// What [`Session::new`] is made of.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    pub(crate) connected: Connected,
    pub(crate) slot: CancelSlot,
    pub(crate) reason: Option<String>,
    /// Holds answer at once.
    pub(crate) ticket: bool,
    pub(crate) context: ticket::Context,
    pub(crate) seats: [Option<Seat>; 2],
    /// Its target's catalog, where there is one.
    pub(crate) catalog: Option<(Arc<TargetCatalog>, Presence)>,
    pub(crate) snapshot: Arc<Snapshot>,
}

fn stop(token: &CancellationToken) -> Stop {
    Box::pin(token.child_token().cancelled_owned())
}

impl Session {
    pub(crate) fn new(gateway: Arc<Gateway>, client: Link, parts: Parts) -> Self {
        let mut standing = Standing {
            reason: parts.reason.as_deref().and_then(clean_reason),
            ticket: parts.ticket,
            context: parts.context,
            ..Standing::default()
        };
        for (name, value) in &parts.connected.parameters {
            standing.setting(name.as_bytes(), value.as_bytes());
        }
        let shutdown = stop(&gateway.shutdown);
        let deadline = stop(&gateway.deadline);
        Self {
            gateway,
            identity: parts.identity,
            client,
            target: TargetSide::new(
                parts.connected.link,
                parts.connected.cancel,
                parts.snapshot.rules.protects(),
            ),
            slot: parts.slot,
            collector: Collector::default(),
            ledger: Ledger::default(),
            standing,
            sight: Sighting::new(parts.catalog),
            brackets: bracket::Brackets::default(),
            deferred: None,
            unsettled: None,
            shutdown,
            deadline,
            superseded: stop(&parts.snapshot.superseded),
            snapshot: parts.snapshot,
            _seats: parts.seats,
            client_lost: false,
        }
    }

    /// Serves batches until the client leaves or something breaks.
    pub(crate) async fn run(&mut self) -> Result<(), SessionError> {
        while let Some(batch) = self.next_batch().await? {
            self.serve(batch).await?;
        }
        Ok(())
    }

    /// Tells both sides that the session is over.
    pub(crate) async fn end(&mut self, last_words: Option<&ErrorFields>) {
        let limit = self.gateway.limits.exchange_timeout;
        let farewell = async {
            if let Some(fields) = last_words
                && !self.client_lost
                && !self.target.in_bulk()
            {
                client_send_error(&mut self.client, fields);
            }
            if !self.client_lost {
                // A client that is gone needs no farewell.
                let _ = self.client.flush().await;
                self.client.close().await;
            }
        };
        let _ = tokio::time::timeout(limit, farewell).await;
        let _ = tokio::time::timeout(limit, self.target.terminate()).await;
    }

    /// Waits for the next batch, passing on what the target says meanwhile. `None`: the client left.
    async fn next_batch(&mut self) -> Result<Option<Batch>, SessionError> {
        loop {
            match self
                .collector
                .next(&mut self.client.input, &self.gateway.limits)?
            {
                Some(Collected::Batch(batch)) => return Ok(Some(batch)),
                Some(Collected::Terminate) => return Ok(None),
                None if self.client.at_eof() => return Ok(None),
                None => {}
            }
            if self.target.has_input() {
                self.pass_asynchronous()?;
            }
            let between = self.collector.is_idle() && self.unsettled.is_none();
            let may_stop = between && self.standing.status == TransactionStatus::Idle;
            let wants = Wants {
                client: true,
                unwritten_max: self.gateway.limits.outbox_bytes_max,
            };
            // Every arm is cancel-safe: sockets fill their own buffers, the channel keeps what it has.
            tokio::select! {
                biased;
                happened = turn(&mut self.client, &mut self.target, wants) => match happened {
                    Turn::Client | Turn::Drained => {}
                    Turn::ClientGone if self.client.at_eof() => {}
                    Turn::ClientGone => return Err(SessionError::ClientGone),
                    Turn::Target => self.pass_asynchronous()?,
                    Turn::TargetGone(_) => return Err(TargetError::Gone.into()),
                },
                // Nothing runs: as with the server, the request comes to nothing.
                Some(_request) = self.slot.requests.recv() => {}
                () = &mut self.shutdown, if may_stop => return Err(SessionError::Shutdown),
                () = &mut self.deadline => return Err(SessionError::Shutdown),
                () = &mut self.superseded => self.follow_policy()?,
            }
        }
    }

    /// Whether the newest configuration, which is not taken up yet, still lets the agent be here.
    fn still_welcome(&mut self) -> Result<(), SessionError> {
        let snapshot = self.gateway.current.get();
        let identity = &self.identity;
        let agent = snapshot.agent(&identity.agent.name);
        let target = agent.and_then(|agent| snapshot.target(agent, &identity.target.name));
        if target.is_none() {
            return Err(SessionError::AccessEnded);
        }
        self.superseded = stop(&snapshot.superseded);
        Ok(())
    }

    /// Takes up the newest configuration; an agent that may not be here any more is sent away.
    fn follow_policy(&mut self) -> Result<(), SessionError> {
        let gateway = &self.gateway;
        if gateway.current.is(&self.snapshot) {
            return Ok(());
        }
        let snapshot = gateway.current.get();
        let identity = &mut self.identity;
        let agent = snapshot.agent(&identity.agent.name);
        let agent = agent.ok_or(SessionError::AccessEnded)?;
        let (upstream, scope) = snapshot
            .target(agent, &identity.target.name)
            .ok_or(SessionError::AccessEnded)?;
        identity.agent = Arc::clone(agent);
        identity.target = Arc::clone(&upstream.target);
        identity.scope = scope;
        self.superseded = stop(&snapshot.superseded);
        self.target.set_veils(snapshot.rules.protects());
        self.snapshot = snapshot;
        Ok(())
    }

    /// Passes on notices, notifications and settings that come between batches.
    fn pass_asynchronous(&mut self) -> Result<(), SessionError> {
        let mut walk = self.target.walk();
        let mut fatal = false;
        for seen in &mut walk {
            let seen = seen.map_err(|error| TargetError::Malformed(error.to_string()))?;
            match seen.tag {
                tag::NOTICE_RESPONSE | tag::NOTIFICATION_RESPONSE => {}
                tag::PARAMETER_STATUS => self.standing.parameter(seen.body())?,
                tag::ERROR_RESPONSE => fatal |= tracker::error_of(seen.body())?.0,
                _ => return Err(TargetError::Protocol("a message nobody asked for").into()),
            }
        }
        let passed = walk.forwardable();
        let bytes = self.target.take(passed);
        self.client.outbox.push(bytes);
        if fatal {
            // The target's own last words are enough.
            return Err(SessionError::TargetEnded);
        }
        Ok(())
    }

    /// Counts the batch's statements in the log of statements.
    fn note(&self, judged: &JudgedBatch) {
        let whose = Whose {
            agent: &self.identity.agent,
            target: &self.identity.target,
            snapshot: &self.snapshot,
        };
        let log = &self.gateway.statements;
        log.note(whose, judged.shown(), || self.gateway.clock.now());
    }

    /// Whoever is asked is asked about what is there now, and so is a grant.
    async fn confirmed(&mut self, judged: JudgedBatch) -> Result<JudgedBatch, SessionError> {
        self.sight.confirmed = self.confirm().await;
        if self.sight.holds() {
            return Ok(judged);
        }
        let (batch, _, _) = judged.into_parts();
        self.judge(batch).await
    }

    async fn serve(&mut self, batch: Batch) -> Result<(), SessionError> {
        if let Some(unsettled) = self.unsettled.take() {
            return self.settle(unsettled).await;
        }
        self.follow_policy()?;
        let mut judged = self.judge(batch).await?;
        if self.gateway.unjudged.is_none() && matches!(judged.finding(), Finding::Held(_)) {
            judged = Box::pin(self.confirmed(judged)).await?;
        }
        if self.gateway.unjudged.is_none() {
            self.second_gate(&mut judged).await?;
            self.note(&judged);
            self.guard_commit(&mut judged);
        }
        match judged.finding() {
            Finding::Allowed => {
                let rolls_back = deferred::rolls_back(judged.shown());
                match clear_allowed(judged) {
                    Ok(cleared) => self.relay_allowed(cleared, rolls_back).await,
                    Err(_) => Err(SessionError::Internal("an allowed batch was not cleared")),
                }
            }
            Finding::Held(held) if self.may_defer(&judged, held) => {
                Box::pin(self.run_deferred(judged)).await
            }
            Finding::Held(_) => Box::pin(self.hold(judged)).await,
            Finding::Refused(_) => self.refuse_judged(judged).await,
        }
    }
}
