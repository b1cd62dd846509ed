//! Takes up a changed configuration while everything runs: at SIGHUP, and when the file has changed.
//!
//! The whole file or nothing of it. A file with a mistake, or with a change that needs a restart, leaves everything
//! as it was and is an ERROR in the log, once. Watches by reading: no mistaken time stamp, no lost event.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use abeyance_approver::Approver;
use abeyance_gateway::Gateway;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, Config, Fixed, LoadError, Role},
    exit::Failure,
    wiring,
};

/// How often the file is looked at. A change is taken up at the second look that finds it the same.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What runs, and what it runs by.
pub struct Reloader {
    path: PathBuf,
    role: Role,
    hangup: Signal,
    gateway: Option<Arc<Gateway>>,
    approver: Option<Approver>,
    fixed: Fixed,
    version: String,
    /// The last text that was taken up or refused.
    settled: String,
    /// A text that was found once and may still be being written.
    found: Option<String>,
    /// The file could not be read the last time either.
    away: bool,
}

impl Reloader {
    /// For a process that was started with `source`.
    ///
    /// # Errors
    /// When the system lets nobody listen for signals.
    pub fn new(path: &Path, role: Role, source: String) -> Result<Self, Failure> {
        let hangup = signal(SignalKind::hangup());
        let hangup = hangup.map_err(|error| Failure::Unavailable(format!("signals: {error}")))?;
        let fixed = Fixed::of(&source);
        Ok(Self {
            path: path.to_owned(),
            role,
            hangup,
            gateway: None,
            approver: None,
            fixed: fixed
                .ok_or_else(|| Failure::Internal("the file cannot be compared".to_owned()))?,
            version: String::new(),
            settled: source,
            found: None,
            away: false,
        })
    }

    pub fn gateway(&mut self, gateway: Arc<Gateway>, version: &str) {
        self.gateway = Some(gateway);
        version.clone_into(&mut self.version);
    }

    pub fn approver(&mut self, approver: Approver) {
        self.approver = Some(approver);
    }

    /// Watches until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Every arm is cancel-safe: a signal that was not received stays noted.
            tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = self.hangup.recv() => self.asked(),
                _ = looks.tick() => self.look(),
            }
        }
    }

    /// SIGHUP: the file as it is now.
    fn asked(&mut self) {
        match config::source(&self.path) {
            Ok(source) if source == self.settled => {
                tracing::info!(
                    policy = self.version,
                    "asked to reload: the configuration has not changed"
                );
            }
            Ok(source) => self.take_up(source),
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded; the one before stays");
            }
        }
    }

    fn look(&mut self) {
        let source = match config::source(&self.path) {
            Ok(source) => source,
            Err(error) => {
                // Editors that replace a file leave it missing for a moment.
                if std::mem::replace(&mut self.away, true) {
                    tracing::debug!(%error, "the configuration cannot be read");
                } else {
                    tracing::warn!(%error, "the configuration cannot be read; the one before stays");
                }
                return;
            }
        };
        self.away = false;
        if source == self.settled {
            self.found = None;
        } else if self.found.as_ref() == Some(&source) {
            self.take_up(source);
        } else {
            self.found = Some(source);
        }
    }

    fn take_up(&mut self, source: String) {
        self.found = None;
        let read = config::load_text(&self.path, source.clone(), self.role);
        let fixed = Fixed::of(&source);
        self.settled = source;
        match read {
            Ok((config, report)) => {
                for warning in report.warning_lines() {
                    tracing::warn!(warning, "in the changed configuration");
                }
                self.apply(config, fixed);
            }
            Err(LoadError::Wrong(report)) => {
                for mistake in report.error_lines() {
                    tracing::error!(mistake, "in the changed configuration");
                }
                tracing::error!(
                    mistakes = report.errors(),
                    policy = self.version,
                    "configuration not reloaded; the one before stays"
                );
            }
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded; the one before stays");
            }
        }
    }

    fn apply(&mut self, config: Config, fixed: Option<Fixed>) {
        let differences = fixed.map_or_else(
            || vec!["the file as a whole".to_owned()],
            |fixed| self.fixed.differences(&fixed),
        );
        if !differences.is_empty() {
            tracing::error!(
                restart_for = differences.join(", "),
                policy = self.version,
                "configuration not reloaded: this needs a restart, and nothing of the file was taken up"
            );
            return;
        }
        let version = config.rules.version().to_owned();
        // Routes first: a rule may name one that is new.
        if let Some(approver) = &self.approver {
            let people = config.people.into_iter().map(wiring::person).collect();
            let routes = config.routes.into_iter().map(wiring::route).collect();
            if let Err(mistakes) = approver.reload(people, config.groups, config.schedules, routes)
            {
                for mistake in mistakes {
                    tracing::error!(%mistake, "in the changed configuration");
                }
                tracing::error!("configuration not reloaded; the one before stays");
                return;
            }
        }
        let (agents, rules) = (config.agents.len(), config.rules.rules().len());
        if let Some(gateway) = &self.gateway {
            let targets = config.targets.into_iter().map(wiring::target).collect();
            let agents = config.agents.into_iter().map(wiring::agent).collect();
            gateway.reload(targets, agents, config.rules);
        }
        let before = std::mem::replace(&mut self.version, version);
        tracing::info!(
            policy = self.version,
            policy_before = before,
            agents,
            rules,
            "configuration reloaded"
        );
    }
}
