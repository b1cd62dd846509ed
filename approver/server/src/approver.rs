//! The approver as one thing: opened, served, run, closed.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use abeyance_api::{
    AskedStep, Asking, CardDesk, Clock, DecisionDesk, DeskError, GrantDesk, HoldDesk, HoldId,
    HoldState, HoldView, LookView, NextStep, OncallDesk, RecordDesk,
};
use abeyance_holds::{Hold, escalation::in_words, quorum::seats_in_words};
use chrono::DateTime;
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    config::{ApproverConfig, ConfigError, Group, OncallSchedule, Person, Route},
    console::{Pages, Sessions},
    duty, escalate,
    http::Tokens,
    leases, limits, reconcile,
    roster::Roster,
    signals::Signals,
    store::{
        AuditReport, HoldRecord, Instance, OpenError, Store, StoreError, StoreLocation, StoreLock,
        gone,
    },
};

/// The approver. Clones share everything.
#[derive(Clone)]
pub struct Approver(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    /// Replaced whole by [`Approver::reload`].
    roster: RwLock<Arc<Roster>>,
    pub(crate) tokens: Tokens,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) signals: Signals,
    pub(crate) proxy_lease: Duration,
    /// Proxy and approver share this process.
    pub(crate) single_process: bool,
    /// As which this process opens holds of its own.
    instance: Uuid,
    pub(crate) console_url: Option<String>,
    pub(crate) pages: Pages,
    pub(crate) sessions: Sessions,
    /// When the store was last tried, and what came of it.
    pub(crate) readiness: Mutex<Option<(Instant, Result<(), StoreError>)>>,
    pub(crate) live_slots: Arc<Semaphore>,
    /// Openings from inside that are being taken back.
    pub(crate) doubted: Semaphore,
    /// Open polls and live pages end when the approver stops.
    pub(crate) stopping: CancellationToken,
    /// Everything spawned; [`Approver::close`] waits for it.
    pub(crate) tasks: TaskTracker,
    /// Of a store that is a file.
    lock: Option<StoreLock>,
}

impl std::fmt::Debug for Approver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Approver").finish_non_exhaustive()
    }
}

impl Approver {
    /// Opens the store, migrates it, and settles what the last run left open.
    ///
    /// # Errors
    /// [`OpenError`]; its text names the store and says what to do.
    pub async fn open(config: ApproverConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let mistakes = config.mistakes();
        if !mistakes.is_empty() {
            return Err(OpenError::Config(mistakes));
        }
        let signals = Signals::default();
        let tasks = TaskTracker::new();
        let (store, lock) = Store::open(&config.store, signals.clone(), &tasks).await?;
        let approver = Self(Arc::new(Inner {
            roster: RwLock::new(Arc::new(Roster::new(&config))),
            tokens: Tokens::new(&config.tokens),
            console_url: config.console_url.clone(),
            pages: Pages::new().map_err(|error| OpenError::Templates(error.to_string()))?,
            sessions: Sessions::default(),
            readiness: Mutex::default(),
            live_slots: Arc::new(Semaphore::new(limits::LIVE_STREAMS_MAX)),
            doubted: Semaphore::new(limits::OPENINGS_DOUBTED_MAX),
            stopping: CancellationToken::new(),
            store,
            clock,
            signals,
            proxy_lease: config.proxy_lease,
            single_process: config.single_process,
            instance: Uuid::new_v4(),
            tasks,
            lock,
        }));
        approver
            .settle_last_run()
            .await
            .map_err(|source| OpenError::store(&config.store, source))?;
        Ok(approver)
    }

    /// Who is who and who is asked, at this moment.
    pub(crate) fn roster(&self) -> Arc<Roster> {
        let roster = self.0.roster.read();
        Arc::clone(&roster.unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other people and routes in place of the present ones. Whoever decides from now on is looked up among
    /// them (invariant 9), also for holds that were opened before.
    ///
    /// # Errors
    /// Every mistake in them; then nothing changes.
    pub fn reload(
        &self,
        people: Vec<Person>,
        groups: Vec<Group>,
        schedules: Vec<OncallSchedule>,
        routes: Vec<Route>,
    ) -> Result<(), Vec<ConfigError>> {
        let config = ApproverConfig {
            store: StoreLocation::Sqlite(PathBuf::new()),
            console_url: None,
            tokens: Vec::new(),
            people,
            groups,
            schedules,
            routes,
            single_process: false,
            proxy_lease: Duration::ZERO,
        };
        let mistakes = config.mistakes();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let roster = Arc::new(Roster::new(&config));
        *self
            .0
            .roster
            .write()
            .unwrap_or_else(PoisonError::into_inner) = roster;
        Ok(())
    }

    /// The approver as proxies see it.
    #[must_use]
    pub fn hold_desk(&self) -> Arc<dyn HoldDesk> {
        Arc::new(self.clone())
    }

    /// The approver as reviewers' surfaces see it.
    #[must_use]
    pub fn decision_desk(&self) -> Arc<dyn DecisionDesk> {
        Arc::new(self.clone())
    }

    /// The approver as whoever plans shifts sees it.
    #[must_use]
    pub fn oncall_desk(&self) -> Arc<dyn OncallDesk> {
        Arc::new(self.clone())
    }

    /// The approver as whoever looks after grants sees it.
    #[must_use]
    pub fn grant_desk(&self) -> Arc<dyn GrantDesk> {
        Arc::new(self.clone())
    }

    /// The approver as whoever looks something up sees it.
    #[must_use]
    pub fn record_desk(&self) -> Arc<dyn RecordDesk> {
        Arc::new(self.clone())
    }

    /// The approver as chats see it.
    #[must_use]
    pub fn card_desk(&self) -> Arc<dyn CardDesk> {
        Arc::new(self.clone())
    }

    /// Runs the reconcilers until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::join!(
            reconcile::run(self, shutdown.clone()),
            escalate::run(self, shutdown.clone()),
            duty::run(self, shutdown.clone()),
            leases::run(self, shutdown),
        );
        self.0.stopping.cancel();
    }

    /// Does at once what the reconcilers of schedules and steps would do by now, for whoever moves the clock.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn settle(&self) -> Result<(), DeskError> {
        escalate::fire_due(self).await?;
        duty::look(self).await?;
        Ok(())
    }

    /// Ends what is queued and closes the store. Call it last.
    pub async fn close(&self) {
        self.0.stopping.cancel();
        self.0.store.close().await;
        self.0.tasks.close();
        let ended = tokio::time::timeout(limits::CLOSE_TIMEOUT, self.0.tasks.wait()).await;
        if ended.is_err() {
            tracing::warn!("the store did not close in time; it is repaired at the next start");
        }
    }

    /// Walks the whole audit record and checks every link of its hash chain.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn audit_verify(&self) -> Result<AuditReport, DeskError> {
        Ok(self.0.store.audit_verify().await?)
    }

    /// On a file, whoever opened holds from inside the last process died with it: the file's lock is ours now.
    /// All others have leases, which prove something only after a while.
    async fn settle_last_run(&self) -> Result<(), StoreError> {
        let store = &self.0.store;
        let now = self.0.clock.now();
        let alone = self.0.lock.is_some();
        store.cards_reset(alone, now).await?;
        if !alone {
            return Ok(());
        }
        store.instances_inside_forsaken().await?;
        for id in store.instances_lapsed(DateTime::UNIX_EPOCH).await? {
            self.end_instance(id).await?;
        }
        if !self.0.single_process {
            return Ok(());
        }
        // From before there were leases.
        for (id, state) in store.holds_unleased().await? {
            // A ticket waits for its agent, not for a session.
            let ticket = store
                .hold(&id)
                .await?
                .is_some_and(|record| record.hold.terms.ticket);
            if ticket && state != HoldState::Claimed {
                continue;
            }
            store.hold_step(&id, gone(state), now).await?;
            tracing::info!(hold = %id, was = %state, "settled a hold of the last run");
        }
        Ok(())
    }

    /// This process, as the one who waits for holds that are opened from inside.
    pub(crate) fn own_instance(&self) -> Instance {
        Instance {
            id: self.0.instance,
            inside: self.0.single_process,
        }
    }

    /// What everybody may see of a hold.
    pub(crate) fn view(&self, record: HoldRecord) -> HoldView {
        let offers = self.offers(&record);
        let now = self.0.clock.now();
        let grant = record.grant.as_ref().map(|grant| grant.view(now));
        let HoldRecord {
            id,
            hold,
            request,
            asked,
            ..
        } = record;
        let roster = self.roster();
        let quorum = roster.renewed(&hold);
        let wanting = quorum
            .wanting(hold.approving().map(|person| &person.id))
            .into_iter()
            .map(|(part, seats)| seats_in_words(part, seats))
            .collect();
        HoldView {
            id,
            offers,
            grant,
            wanting,
            asking: asking(&hold),
            version: hold.version,
            state: hold.state,
            reviewers: roster.reviewers(&hold),
            request,
            asked,
            created_at: hold.created_at,
            expires_at: hold.expires_at,
            votes: hold.votes,
            resolution: hold.resolution,
            resolved_at: hold.resolved_at,
            outcome: hold.outcome,
        }
    }

    pub(crate) fn console_link(&self, id: &HoldId) -> Option<String> {
        let base = self.0.console_url.as_deref()?;
        Some(format!("{}/holds/{id}", base.trim_end_matches('/')))
    }
}

/// Where a hold stands among its steps, as people see it.
fn asking(hold: &Hold) -> Asking {
    let escalation = &hold.escalation;
    let waits = hold.state == HoldState::Pending;
    let asked = escalation.asked().iter().map(|asked| AskedStep {
        who: in_words(escalation.plan().who(asked.step)),
        people: asked.people.clone(),
        at: asked.at,
    });
    let next = escalation
        .next()
        .filter(|(_, at)| waits && *at < hold.expires_at);
    let looks = escalation.looks().iter().map(|look| LookView {
        person: look.person.clone(),
        until: look.until.min(hold.expires_at),
    });
    Asking {
        asked: asked.collect(),
        next: next.map(|(who, at)| NextStep {
            who: in_words(who),
            at,
        }),
        looks: looks.collect(),
    }
}
