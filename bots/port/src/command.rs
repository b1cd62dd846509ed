//! Commands typed in a chat: looking things up, standing in for somebody, ending a grant.
//!
//! A vendor's part hands over what was typed as [`Run`]s and the person it authenticated; [`Commands`] reads it,
//! asks the approver and gives an [`Answer`] in plain pieces, for that person alone. Who may what is looked up by the
//! server now; somebody it does not know gets one refusal, whatever they typed, and learns nothing (invariant 9).
//! Answers show what cards and the console show: redacted text and names, never a literal (invariant 7).

mod answer;
mod grammar;
mod parse;
mod show;
mod tokens;
mod words;

use std::sync::Arc;

use abeyance_api::{
    Claimant, Clock, DecideError, DeskError, GrantDesk, GrantId, GrantRevocation, HoldSearch,
    Named, OncallDesk, Override, OverrideRemoval, PersonRef, RecordDesk, ShiftsQuery, StandIn,
    Surface, Swap, Which,
};
use tokio::time::timeout;

pub use answer::{Answer, Part};
pub use grammar::{Command, Filter};
pub use parse::{NotACommand, Run, parse};

use crate::limits;

/// What commands ask of the approver.
#[derive(Clone)]
pub struct CommandDesks {
    pub records: Arc<dyn RecordDesk>,
    pub oncall: Arc<dyn OncallDesk>,
    pub grants: Arc<dyn GrantDesk>,
}

impl std::fmt::Debug for CommandDesks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandDesks").finish_non_exhaustive()
    }
}

/// Somebody who typed a command, as a vendor's part authenticated them.
#[derive(Debug, Clone)]
pub struct Asker {
    pub claimant: Claimant,
    pub surface: Surface,
    /// How the command is called here: `/abeyance`.
    pub command: String,
    /// By what the chat tells this command from all others; none when it has nothing of the kind.
    pub key: Option<String>,
}

/// Answers commands.
#[derive(Clone)]
pub struct Commands {
    desks: CommandDesks,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

impl Commands {
    #[must_use]
    pub fn new(desks: CommandDesks, clock: Arc<dyn Clock>) -> Self {
        Self { desks, clock }
    }

    /// What the person reads, whatever happens. Also the command's name for the log; nothing of what was typed.
    pub async fn answer(&self, asker: &Asker, typed: &[Run]) -> (&'static str, Answer) {
        let answered = timeout(limits::COMMAND_MAX, self.try_answer(asker, typed)).await;
        answered.unwrap_or_else(|_| {
            let said = "The approver did not answer in time. Look before you try again.";
            ("timeout", Answer::line(said))
        })
    }

    async fn try_answer(&self, asker: &Asker, typed: &[Run]) -> (&'static str, Answer) {
        let me = match self.desks.records.person(&asker.claimant).await {
            Ok(me) => me,
            Err(error) => return ("refused", words::refused(&error)),
        };
        let command = match parse(typed) {
            Ok(command) => command,
            Err(wrong) => return ("misspelt", words::misspelt(&wrong, &asker.command)),
        };
        let name = command.name();
        let done = self.run(asker, &me, command).await;
        (name, done.unwrap_or_else(|error| words::refused(&error)))
    }

    async fn run(
        &self,
        asker: &Asker,
        me: &PersonRef,
        command: Command,
    ) -> Result<Answer, DecideError> {
        match command {
            Command::Help => Ok(words::help(me, &asker.command)),
            Command::Holds(filter) => self.holds(asker, filter).await,
            Command::Show(hold) => {
                let records = &self.desks.records;
                let history = records.hold_history(&hold, &asker.claimant).await?;
                Ok(show::history(&history))
            }
            Command::Audit {
                filter,
                person,
                hours,
            } => self.audit(asker, filter, person, hours).await,
            Command::Oncall { schedule } => self.oncall(asker, schedule).await,
            Command::Overrides { schedule } => self.overrides(schedule).await,
            Command::Grants => self.grants().await,
            Command::Override { .. }
            | Command::OverrideRemove { .. }
            | Command::Swap { .. }
            | Command::Revoke { .. } => self.change(asker, command).await,
        }
    }

    async fn holds(&self, asker: &Asker, filter: Filter) -> Result<Answer, DecideError> {
        let search = search(asker, Which::Waiting, filter.clone(), None);
        let found = self.desks.records.holds_search(search).await?;
        Ok(show::waiting(&found, &filter, self.clock.now()))
    }

    async fn audit(
        &self,
        asker: &Asker,
        filter: Filter,
        person: Option<Named>,
        hours: u32,
    ) -> Result<Answer, DecideError> {
        let since = self.clock.now() - chrono::TimeDelta::hours(hours.into());
        let search = search(asker, Which::Decided { since }, filter, person);
        let found = self.desks.records.holds_search(search).await?;
        Ok(show::decided(&found, hours, &asker.command))
    }

    async fn oncall(&self, asker: &Asker, schedule: Option<String>) -> Result<Answer, DecideError> {
        let query = ShiftsQuery {
            claimant: asker.claimant.clone(),
            schedule,
        };
        Ok(show::shifts(&self.desks.oncall.shifts(query).await?))
    }

    async fn overrides(&self, schedule: Option<String>) -> Result<Answer, DecideError> {
        let mut overrides = self.overrides_now().await?;
        overrides.retain(|one| {
            schedule
                .as_ref()
                .is_none_or(|schedule| *schedule == one.schedule)
        });
        Ok(show::overrides("Overrides that are not over", &overrides))
    }

    async fn overrides_now(&self) -> Result<Vec<Override>, DecideError> {
        let overrides = self.desks.oncall.overrides(self.clock.now()).await;
        overrides.map_err(|error| unavailable(&error))
    }

    async fn grants(&self) -> Result<Answer, DecideError> {
        let grants = self.desks.grants.grants(true).await;
        let grants = grants.map_err(|error| unavailable(&error))?;
        Ok(show::grants(&grants))
    }

    /// What changes something. The server authorises each by itself.
    async fn change(&self, asker: &Asker, command: Command) -> Result<Answer, DecideError> {
        let (claimant, surface) = (asker.claimant.clone(), asker.surface);
        let key = asker.key.clone();
        match command {
            Command::Override {
                schedule,
                people,
                from,
                until,
                reason,
            } => {
                let request = StandIn {
                    schedule,
                    people,
                    from,
                    until,
                    reason,
                    claimant,
                    surface,
                    key,
                };
                let made = self.desks.oncall.stand_in(request).await?;
                Ok(show::overrides("Done: on call is overridden", &made))
            }
            Command::Swap {
                schedule,
                shift,
                with,
                reason,
            } => {
                let request = Swap {
                    schedule,
                    shift,
                    with,
                    reason,
                    claimant,
                    surface,
                    key,
                };
                let made = self.desks.oncall.swap(request).await?;
                Ok(show::overrides("Done: the shifts change people", &made))
            }
            Command::OverrideRemove { id, reason } => self.take_back(asker, &id, reason).await,
            Command::Revoke { grant, reason } => self.revoke(asker, grant, reason).await,
            // Nothing else changes anything.
            Command::Help
            | Command::Holds(_)
            | Command::Show(_)
            | Command::Audit { .. }
            | Command::Oncall { .. }
            | Command::Overrides { .. }
            | Command::Grants => Err(DecideError::NotFound),
        }
    }

    async fn take_back(
        &self,
        asker: &Asker,
        id: &str,
        reason: String,
    ) -> Result<Answer, DecideError> {
        let overrides = self.overrides_now().await?;
        let list = format!("{} override list shows them", asker.command);
        let found = Override::by_beginning(&overrides, id);
        let id = found.map_err(|count| DecideError::Invalid {
            detail: match count {
                0 => format!("there is no override {id}; {list}"),
                many => format!("{many} overrides begin with {id}; give more of it; {list}"),
            },
        })?;
        let removal = OverrideRemoval {
            id,
            reason,
            claimant: asker.claimant.clone(),
            surface: asker.surface,
        };
        self.desks.oncall.override_remove(removal).await?;
        Ok(Answer::line(&format!("Done: override {id} is taken back.")))
    }

    async fn revoke(
        &self,
        asker: &Asker,
        id: GrantId,
        reason: String,
    ) -> Result<Answer, DecideError> {
        let revocation = GrantRevocation {
            id: id.clone(),
            claimant: asker.claimant.clone(),
            reason: Some(reason),
            surface: asker.surface,
        };
        match self.desks.grants.grant_revoke(revocation).await {
            Ok(grant) => Ok(Answer::line(&format!(
                "Done: {} is revoked after {} of {} uses. The next statement of its shape is held again.",
                grant.id, grant.used, grant.uses
            ))),
            Err(DecideError::NotFound) => Err(DecideError::Invalid {
                detail: format!("there is no grant {id}"),
            }),
            Err(error) => Err(error),
        }
    }
}

fn search(asker: &Asker, which: Which, filter: Filter, person: Option<Named>) -> HoldSearch {
    HoldSearch {
        claimant: asker.claimant.clone(),
        which,
        agent: filter.agent,
        target: filter.target,
        person,
        limit: limits::HOLDS_LISTED,
    }
}

fn unavailable(error: &DeskError) -> DecideError {
    DecideError::Invalid {
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
